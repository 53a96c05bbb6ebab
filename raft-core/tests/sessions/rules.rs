//! Which entries are applied, and what each is answered.

use raft_core::sessions::{
    CommandError, Reply, SessionCommand, SessionError, SessionId, SessionLimits, SessionOutput, Sessions,
    SessionsFault,
};
use raft_core::{Entry, LogIndex, StateMachine, Term};

use crate::support::{Log, entry};

const LIMITS: SessionLimits = SessionLimits {
    sessions_max: 3,
    idle_entries_max: 100,
    calls_max: 4,
    session_bytes_max: 200,
    table_bytes_max: 1000,
};

fn applied(output: &[u8]) -> Result<SessionOutput<Vec<u8>>, SessionError> {
    Ok(SessionOutput::Applied(output.to_vec()))
}

/// S76, N19: the client asks again, as often as it likes.
#[test]
fn a_call_is_applied_once_and_answered_alike_each_time() {
    let mut log = Log::new(LIMITS);
    let session = log.register();
    for _ in 0..3 {
        assert_eq!(log.call(session, 1, 1, b"\x03once"), applied(&[1, 1, 1]));
    }
    assert_eq!(log.commands(), [b"\x03once"]);
    assert_eq!(log.call(session, 2, 1, b"\x01next"), applied(&[2]));
}

/// S77: a retry was made later and overtakes the original, which knows less of what is answered.
#[test]
fn a_retry_that_overtakes_its_original_is_the_one_that_counts() {
    let mut log = Log::new(LIMITS);
    let session = log.register();
    assert_eq!(log.call(session, 1, 1, b"\x01a"), applied(&[1]));
    assert_eq!(log.call(session, 2, 2, b"\x01b"), applied(&[2]), "the retry");
    assert_eq!(log.call(session, 2, 1, b"\x01b"), applied(&[2]), "the original");
    assert_eq!(log.commands(), [b"\x01a", b"\x01b"]);
}

#[test]
fn sessions_number_their_calls_independently_and_are_named_by_their_entries() {
    let mut log = Log::new(LIMITS);
    let first = log.register();
    log.pass(10);
    let second = log.register();
    assert_eq!((first, second), (SessionId::new(1), SessionId::new(12)));
    assert_eq!(log.call(first, 1, 1, b"\x01"), applied(&[1]));
    assert_eq!(log.call(second, 1, 1, b"\x01"), applied(&[2]));
}

#[test]
fn a_call_that_the_client_called_answered_is_refused_even_if_it_never_came() {
    let mut log = Log::new(LIMITS);
    let session = log.register();
    log.call(session, 1, 1, b"\x01a").unwrap();
    log.call(session, 3, 3, b"\x01c").unwrap();
    for sequence in [1, 2] {
        assert_eq!(log.call(session, sequence, 1, b"\x01b"), Err(SessionError::Answered));
    }
    assert_eq!(log.commands(), [b"\x01a", b"\x01c"]);
}

/// S81: numbers only tell calls apart; a gap is no reason to wait.
#[test]
fn calls_are_applied_in_the_order_of_the_log() {
    let mut log = Log::new(LIMITS);
    let session = log.register();
    assert_eq!(log.call(session, 3, 1, b"\x013"), applied(&[1]));
    assert_eq!(log.call(session, 1, 1, b"\x011"), applied(&[2]));
    assert_eq!(log.call(session, 3, 1, b"\x013"), applied(&[1]));
    assert_eq!(log.call(session, 2, 1, b"\x012"), applied(&[3]));
    assert_eq!(log.commands(), [b"\x013", b"\x011", b"\x012"]);
}

/// S81: the window is counted from the first unanswered call.
#[test]
fn a_call_too_far_ahead_is_refused_and_can_be_asked_again() {
    let mut log = Log::new(LIMITS);
    let session = log.register();
    assert_eq!(log.call(session, 5, 1, b"\x01"), Err(SessionError::TooFarAhead { calls_max: 4 }));
    assert_eq!(log.call(session, 4, 1, b"\x01"), applied(&[1]));
    assert_eq!(log.call(session, 5, 2, b"\x01"), applied(&[2]));
    assert_eq!(log.call(session, u64::MAX, 2, b"\x01"), Err(SessionError::TooFarAhead { calls_max: 4 }));
    assert_eq!(log.call(session, u64::MAX, u64::MAX, b"\x01"), applied(&[3]));
}

#[test]
fn a_session_with_full_replies_is_refused_new_calls_but_not_old_answers() {
    let mut log = Log::new(LIMITS);
    let session = log.register();
    assert_eq!(log.call(session, 1, 1, &[135]), applied(&[1; 135]));
    assert_eq!(log.sessions.reply_bytes(), 135 + SessionLimits::REPLY_OVERHEAD_BYTES);
    assert_eq!(log.call(session, 2, 1, &[200]), applied(&[2; 200]), "one byte was left");
    assert_eq!(log.call(session, 3, 1, &[1]), Err(SessionError::RepliesFull { bytes_max: 200 }));
    assert_eq!(log.call(session, 1, 1, &[135]), applied(&[1; 135]));
    assert_eq!(log.call(session, 3, 3, &[1]), applied(&[3]), "the client has the others");
    assert_eq!(log.sessions.reply_bytes(), 1 + SessionLimits::REPLY_OVERHEAD_BYTES);
}

#[test]
fn a_closed_session_and_one_that_never_was_have_expired() {
    let mut log = Log::new(LIMITS);
    let session = log.register();
    log.call(session, 1, 1, b"\x09").unwrap();
    assert_eq!(log.apply(SessionCommand::Close(session)), Ok(SessionOutput::Closed));
    assert_eq!((log.sessions.session_count(), log.sessions.reply_bytes()), (0, 0));
    assert_eq!(log.apply(SessionCommand::Close(session)), Err(SessionError::Expired));
    assert_eq!(log.call(session, 1, 1, b"\x09"), Err(SessionError::Expired));
    assert_eq!(log.call(SessionId::new(77), 1, 1, b"\x09"), Err(SessionError::Expired));
    assert_eq!(log.commands().len(), 1);
}

#[test]
fn plain_commands_are_applied_each_time_between_calls() {
    let mut log = Log::new(LIMITS);
    let session = log.register();
    assert_eq!(log.apply(SessionCommand::Plain(b"\x01p")), applied(&[1]));
    assert_eq!(log.call(session, 1, 1, b"\x01c"), applied(&[2]));
    assert_eq!(log.apply(SessionCommand::Plain(b"\x01p")), applied(&[3]));
    assert_eq!(log.commands(), [b"\x01p", b"\x01c", b"\x01p"]);
}

#[test]
fn the_machine_sees_its_command_at_the_place_of_the_entry() {
    let mut log = Log::new(LIMITS);
    let session = log.register();
    log.pass(40);
    log.call(session, 1, 1, b"call").unwrap();
    log.apply(SessionCommand::Plain(b"plain")).unwrap();
    let place = |index| (LogIndex::new(index), Term::new(5));
    let expected = [(place(42), &b"call"[..]), (place(43), b"plain")];
    let seen =
        log.sessions.machine().applied.iter().map(|(index, term, command)| ((*index, *term), &command[..]));
    assert!(seen.eq(expected));
}

#[test]
fn malformed_payloads_are_answered_with_their_fault_and_change_nothing() {
    let mut log = Log::new(LIMITS);
    let session = log.register();
    let call = |sequence, first_unanswered| {
        let numbers: [u64; 3] = [session.get(), sequence, first_unanswered];
        [&[3][..], &numbers.map(u64::to_le_bytes).concat(), b"\x01"].concat()
    };
    let faults = [
        (Vec::new(), CommandError::Empty),
        (vec![2, 0], CommandError::Length),
        (vec![4, 1], CommandError::Length),
        (call(1, 1)[..24].to_vec(), CommandError::Length),
        (call(0, 0), CommandError::Sequence),
        (call(1, 2), CommandError::Sequence),
    ];
    for (payload, fault) in faults {
        assert_eq!(log.apply_payload(&payload), Err(SessionError::Malformed(fault)), "{payload:?}");
    }
    assert!(log.commands().is_empty());
    assert_eq!(log.sessions.fault(), None);
    assert_eq!(log.call(session, 1, 1, b"\x01"), applied(&[1]));
}

/// N15: a later version would do something at this entry, so going on would make members differ.
#[test]
fn command_of_an_unknown_kind_stops_everything_and_is_not_passed_over() {
    for tag in [0, 6, 255] {
        let mut log = Log::new(LIMITS);
        let session = log.register();
        log.call(session, 1, 1, b"\x01a").unwrap();
        assert!(log.sessions.snapshot().is_some());
        let unknown = Err(SessionError::Malformed(CommandError::UnknownTag { tag }));
        assert_eq!(log.apply_payload(&[tag, 1, 2]), unknown);
        let fault = log.sessions.fault();
        assert_eq!(fault, Some(SessionsFault { index: LogIndex::new(3), tag }));
        assert_eq!(log.apply(SessionCommand::Plain(b"\x01b")), unknown);
        assert_eq!(log.call(session, 1, 1, b"\x01a"), unknown);
        assert_eq!(log.apply_payload(&[7]), unknown, "the first one counts");
        assert_eq!(log.sessions.fault(), fault);
        assert_eq!(log.commands(), [b"\x01a"]);
        assert!(log.sessions.snapshot().is_none(), "it would lack what was left out");
    }
}

/// An output that cannot be read back once it is kept.
#[derive(Debug, PartialEq, Eq)]
struct OneWay;

impl Reply for OneWay {
    fn encode(&self, _into: &mut Vec<u8>) {}

    fn decode(_bytes: &[u8]) -> Option<Self> {
        None
    }
}

struct Forgetful(u32);

impl StateMachine for Forgetful {
    type Output = OneWay;

    fn apply(&mut self, _entry: &Entry<'_>) -> OneWay {
        self.0 += 1;
        OneWay
    }
}

#[test]
fn a_reply_that_cannot_be_read_back_is_an_error_and_no_reason_to_apply_again() {
    let mut sessions = Sessions::new(Forgetful(0), LIMITS);
    sessions.apply(&entry(1, &SessionCommand::Register.to_payload())).unwrap();
    let session = SessionId::new(1);
    let (sequence, first_unanswered) = (1.into(), 1.into());
    let call = SessionCommand::Call { session, sequence, first_unanswered, command: b"" }.to_payload();
    assert_eq!(sessions.apply(&entry(2, &call)), Ok(SessionOutput::Applied(OneWay)));
    assert_eq!(sessions.apply(&entry(3, &call)), Err(SessionError::UnreadableReply));
    assert_eq!(sessions.machine().0, 1);
    assert!(sessions.snapshot().is_none(), "the machine has none");
}
