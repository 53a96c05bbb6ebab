//! S78: sessions expire by the log alone, and say so.

use raft_core::StateMachine;
use raft_core::sessions::{SessionCommand, SessionError, SessionId, SessionLimits, SessionOutput};

use crate::support::{Log, entry};

const LIMITS: SessionLimits = SessionLimits {
    sessions_max: 3,
    idle_entries_max: 100,
    calls_max: 10,
    session_bytes_max: 500,
    table_bytes_max: 1000,
};

fn is_open(log: &mut Log, session: SessionId, sequence: u64) -> bool {
    match log.call(session, sequence, sequence, b"\x01") {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error, SessionError::Expired);
            false
        }
    }
}

#[test]
fn a_session_lives_through_the_idle_limit_and_not_one_entry_longer() {
    for (idle, lives) in [(99, true), (100, false)] {
        let mut log = Log::new(LIMITS);
        let session = log.register();
        log.call(session, 1, 1, b"\x01").unwrap();
        log.pass(idle);
        assert_eq!(is_open(&mut log, session, 2), lives, "{idle} entries between");
    }
}

#[test]
fn a_new_session_finds_the_idle_ones_gone() {
    let mut log = Log::new(LIMITS);
    log.register();
    log.register();
    log.pass(99);
    log.register();
    assert_eq!(log.sessions.session_count(), 2);
}

#[test]
fn a_retry_after_expiry_is_told_so_and_never_applied() {
    let mut log = Log::new(LIMITS);
    let session = log.register();
    log.call(session, 1, 1, b"\x01").unwrap();
    log.pass(101);
    for _ in 0..3 {
        assert_eq!(log.call(session, 1, 1, b"\x01"), Err(SessionError::Expired));
    }
    assert_eq!(log.commands().len(), 1);
    assert_eq!((log.sessions.session_count(), log.sessions.reply_bytes()), (0, 0));
}

#[test]
fn any_call_keeps_a_session_even_one_that_is_refused() {
    let mut log = Log::new(LIMITS);
    let session = log.register();
    log.call(session, 1, 1, b"\x01").unwrap();
    log.pass(90);
    log.call(session, 1, 1, b"\x01").unwrap();
    log.pass(90);
    log.call(session, 99, 1, b"\x01").unwrap_err();
    log.pass(90);
    assert!(is_open(&mut log, session, 2));
}

#[test]
fn other_commands_neither_keep_a_session_nor_save_it() {
    let mut log = Log::new(LIMITS);
    let session = log.register();
    for _ in 0..101 {
        log.apply(SessionCommand::Plain(b"\x01")).unwrap();
    }
    assert!(!is_open(&mut log, session, 1));
}

#[test]
fn one_session_too_many_ends_the_least_recently_used() {
    let mut log = Log::new(LIMITS);
    let [first, second, third] = [(); 3].map(|()| log.register());
    assert!(is_open(&mut log, first, 1));
    let fourth = log.register();
    assert!(!is_open(&mut log, second, 1));
    for session in [first, third, fourth] {
        assert!(is_open(&mut log, session, 2), "{session}");
    }
    assert_eq!(log.sessions.session_count(), 3);
}

#[test]
fn too_many_bytes_of_replies_end_the_least_recently_used() {
    let mut log = Log::new(LIMITS);
    let [first, second] = [(); 2].map(|()| log.register());
    for (session, sequence) in [(first, 1), (second, 1), (first, 2), (second, 2)] {
        log.call(session, sequence, 1, &[186]).unwrap();
    }
    assert_eq!(log.sessions.reply_bytes(), 1000, "as much as there may be");
    let third = log.register();
    log.call(third, 1, 1, &[0]).unwrap();
    assert!(!is_open(&mut log, first, 3));
    assert!(is_open(&mut log, second, 3) && is_open(&mut log, third, 2));
}

#[test]
fn a_session_whose_replies_alone_are_too_large_gets_its_output_and_is_gone() {
    let mut log = Log::new(SessionLimits { table_bytes_max: 100, ..LIMITS });
    let session = log.register();
    assert_eq!(log.call(session, 1, 1, &[37]), Ok(SessionOutput::Applied(vec![1; 37])));
    assert_eq!(log.call(session, 1, 1, &[37]), Err(SessionError::Expired));
    assert_eq!((log.commands().len(), log.sessions.reply_bytes()), (1, 0));
}

#[test]
fn limits_from_the_log_hold_from_their_entry_on() {
    let mut log = Log::new(LIMITS);
    let [first, second, third] = [(); 3].map(|()| log.register());
    let fewer = SessionLimits { sessions_max: 2, calls_max: 1, ..LIMITS };
    assert_eq!(log.apply(SessionCommand::Limits(fewer)), Ok(SessionOutput::LimitsSet));
    assert_eq!((log.sessions.limits(), log.sessions.session_count()), (fewer, 2));
    assert!(!is_open(&mut log, first, 1));
    assert_eq!(log.call(second, 2, 1, b"\x01"), Err(SessionError::TooFarAhead { calls_max: 1 }));
    log.pass(20);
    log.apply(SessionCommand::Limits(SessionLimits { idle_entries_max: 20, ..fewer })).unwrap();
    assert_eq!(log.sessions.session_count(), 0);
    assert!(!is_open(&mut log, third, 1));
}

#[test]
fn limits_of_zero_turn_sessions_off_and_leave_plain_commands() {
    let zero = SessionLimits {
        sessions_max: 0,
        idle_entries_max: 0,
        calls_max: 0,
        session_bytes_max: 0,
        table_bytes_max: 0,
    };
    let mut log = Log::new(zero);
    let session = log.register();
    assert!(!is_open(&mut log, session, 1));
    assert_eq!(log.apply(SessionCommand::Plain(b"\x01")), Ok(SessionOutput::Applied(vec![1])));
}

/// Members apply at their own pace, and in pieces of their own size: only indexes count.
#[test]
fn what_expires_does_not_depend_on_when_it_is_looked_at() {
    let mut log = Log::new(LIMITS);
    let session = log.register();
    let mut often = log.sessions.clone();
    for index in 2..=102 {
        let other = often.apply(&entry(index, &SessionCommand::Close(SessionId::new(999)).to_payload()));
        assert_eq!(other, Err(SessionError::Expired));
    }
    log.pass(101);
    assert_eq!(often.session_count(), 0);
    assert!(!is_open(&mut log, session, 1));
}
