//! S76: what is known of sessions is in the snapshot.

use raft_core::bytes::Bytes;
use raft_core::sessions::{SessionCommand, SessionError, SessionId, SessionLimits, SessionOutput, Sessions};
use raft_core::{Entry, InvalidSnapshot, SnapshotPiece, SnapshotSource, StateMachine};

use crate::support::{Ledger, Log, entry, read_all, restore};

const LIMITS: SessionLimits = SessionLimits {
    sessions_max: 3,
    idle_entries_max: 50,
    calls_max: 10,
    session_bytes_max: 1000,
    table_bytes_max: 5000,
};

/// A log with two sessions, one of which has replies.
fn lived() -> (Log, SessionId, SessionId) {
    let mut log = Log::new(LIMITS);
    let (busy, idle) = (log.register(), log.register());
    log.call(busy, 1, 1, b"\x00a").expect("the first call");
    log.call(busy, 3, 2, b"\x05b").expect("a later call");
    log.call(busy, 2, 2, b"\x01c").expect("the call between");
    (log, busy, idle)
}

fn snapshot(log: &mut Log) -> Vec<u8> {
    read_all(log.sessions.snapshot().expect("a ledger has snapshots"))
}

fn restored(snapshot: &[u8], last: u64, sizes: &[usize]) -> Log {
    let mut log = Log::new(SessionLimits::default());
    restore(&mut log.sessions, snapshot, sizes.iter().copied()).expect("a snapshot");
    Log { last, ..log }
}

/// After all members were restarted from it, too: nothing else is left of the past then.
#[test]
fn a_retry_after_a_restore_is_answered_from_the_snapshot() {
    let (mut log, busy, idle) = lived();
    let snapshot = snapshot(&mut log);
    for size in 1..snapshot.len() {
        let sizes = vec![size; snapshot.len() / size];
        let mut log = restored(&snapshot, log.last, &sizes);
        assert_eq!(log.call(busy, 3, 2, b"\x05b"), Ok(SessionOutput::Applied(vec![2; 5])));
        assert_eq!(log.call(busy, 2, 2, b"\x01c"), Ok(SessionOutput::Applied(vec![3])));
        assert_eq!(log.call(busy, 1, 1, b"\x00a"), Err(SessionError::Answered));
        assert_eq!(log.commands(), [b"\x00a", b"\x05b", b"\x01c"]);
        assert_eq!(log.call(idle, 1, 1, b"\x01d"), Ok(SessionOutput::Applied(vec![4])));
        assert_eq!(log.sessions.limits(), LIMITS);
    }
}

#[test]
fn a_restored_machine_is_the_same_and_so_is_its_snapshot() {
    let (mut log, ..) = lived();
    let first = snapshot(&mut log);
    let mut again = restored(&first, log.last, &[]);
    assert_eq!(again.sessions.machine(), log.sessions.machine());
    assert_eq!(again.sessions.reply_bytes(), log.sessions.reply_bytes());
    assert_eq!(snapshot(&mut again), first);
}

#[test]
fn a_restored_session_expires_at_the_same_entry() {
    let (mut log, busy, idle) = lived();
    let mut again = restored(&snapshot(&mut log), log.last, &[]);
    for log in [&mut log, &mut again] {
        log.pass(46);
        assert_eq!(log.call(busy, 4, 4, b"\x01"), Ok(SessionOutput::Applied(vec![4])));
        assert_eq!(log.call(idle, 1, 1, b"\x01"), Err(SessionError::Expired));
        assert_eq!(log.sessions.session_count(), 1);
    }
}

#[test]
fn a_picture_stays_as_it_was_while_commands_are_applied() {
    let (mut log, busy, _) = lived();
    let expected = snapshot(&mut log);
    let picture = log.sessions.snapshot().unwrap();
    log.call(busy, 4, 4, b"\x09later").unwrap();
    log.register();
    assert_eq!(read_all(picture), expected);
}

#[test]
fn a_snapshot_may_begin_again_before_it_is_whole() {
    let (mut log, busy, _) = lived();
    let snapshot = snapshot(&mut log);
    for end in 1..snapshot.len() {
        let mut sessions = Sessions::new(Ledger::default(), LIMITS);
        let piece = SnapshotPiece { offset: 0, bytes: &snapshot[..end], is_last: false };
        sessions.restore(piece).unwrap();
        assert_eq!(sessions.session_count(), 0, "nothing changes before the last piece");
        restore(&mut sessions, &snapshot, []).unwrap();
        let mut log = Log { sessions, last: log.last };
        assert_eq!(log.call(busy, 3, 2, b"\x05b"), Ok(SessionOutput::Applied(vec![2; 5])));
    }
}

#[test]
fn a_snapshot_that_is_cut_or_out_of_order_is_refused() {
    let (mut log, ..) = lived();
    let (table_end, snapshot) = (snapshot(&mut Log::new(LIMITS)).len(), snapshot(&mut log));
    let mut sessions = log.sessions.clone();
    for end in 0..table_end {
        assert_eq!(restore(&mut sessions, &snapshot[..end], []), Err(InvalidSnapshot), "{end} bytes");
    }
    for offset in [4, 6] {
        let first = SnapshotPiece { offset: 0, bytes: &snapshot[..5], is_last: false };
        sessions.restore(first).unwrap();
        let second = SnapshotPiece { offset, bytes: &snapshot[5..], is_last: true };
        assert_eq!(sessions.restore(second), Err(InvalidSnapshot), "offset {offset}");
    }
    let other_format = [&[0][..], &snapshot[1..]].concat();
    assert_eq!(restore(&mut sessions, &other_format, []), Err(InvalidSnapshot));
}

/// Whatever a broken disk gives: an error or some table, never a panic.
#[test]
fn changed_bytes_never_panic() {
    let (mut log, busy, _) = lived();
    let snapshot = snapshot(&mut log);
    for (at, flip) in (0..snapshot.len()).flat_map(|at| [1, 0x80, 0xff].map(|flip| (at, flip))) {
        let mut changed = snapshot.clone();
        changed[at] ^= flip;
        let mut sessions = Sessions::new(Ledger::default(), LIMITS);
        if restore(&mut sessions, &changed, []).is_ok() {
            let mut log = Log { sessions, last: log.last };
            let _ = log.call(busy, 4, 3, b"\x01");
            log.register();
        }
    }
}

/// Writes a table with one session by hand: its last use, and its replies.
fn table(sessions: &[(u64, u64, u64)], replies: &[(u64, &[u8])]) -> Vec<u8> {
    let mut table = snapshot(&mut Log::new(LIMITS))[9..].to_vec();
    for (id, last_used, first_unanswered) in sessions {
        for number in [*id, *last_used, *first_unanswered, replies.len() as u64] {
            table.extend(number.to_le_bytes());
        }
        for (sequence, reply) in replies {
            table.extend(sequence.to_le_bytes());
            table.extend((reply.len() as u64).to_le_bytes());
            table.extend(*reply);
        }
    }
    [&[1][..], &(table.len() as u64).to_le_bytes(), &table].concat()
}

/// A machine without any state.
#[derive(Debug, Default)]
struct Stateless(Vec<(u64, usize, bool)>);

impl StateMachine for Stateless {
    type Output = bool;

    fn apply(&mut self, _entry: &Entry<'_>) -> bool {
        true
    }

    fn snapshot(&mut self) -> Option<Box<dyn SnapshotSource>> {
        Some(Box::new(Bytes::new()))
    }

    fn restore(&mut self, piece: SnapshotPiece<'_>) -> Result<(), InvalidSnapshot> {
        self.0.push((piece.offset, piece.bytes.len(), piece.is_last));
        Ok(())
    }
}

#[test]
fn tables_that_no_member_has_are_refused() {
    let good = table(&[(1, 5, 2), (2, 6, 2)], &[(2, &[1]), (3, &[0])]);
    let bad = [
        ("ids go down", table(&[(2, 5, 1), (1, 6, 1)], &[])),
        ("one entry used two sessions", table(&[(1, 5, 1), (2, 5, 1)], &[])),
        ("used before it was opened", table(&[(6, 5, 1)], &[])),
        ("a reply the client has", table(&[(1, 5, 3)], &[(2, &[1])])),
        ("numbers go down", table(&[(1, 5, 1)], &[(3, &[1]), (2, &[1])])),
        ("a number twice", table(&[(1, 5, 1)], &[(u64::MAX, &[1]), (u64::MAX, &[1])])),
        ("a reply that is none", table(&[(1, 5, 1)], &[(1, &[7])])),
    ];
    let fresh = || Sessions::new(Stateless::default(), LIMITS);
    assert_eq!(restore(&mut fresh(), &good, []), Ok(()));
    for (what, snapshot) in bad {
        assert_eq!(restore(&mut fresh(), &snapshot, []), Err(InvalidSnapshot), "{what}");
    }
}

#[test]
fn a_machine_without_state_gets_its_one_empty_piece() {
    let mut sessions = Sessions::new(Stateless::default(), LIMITS);
    sessions.apply(&entry(1, &SessionCommand::Register.to_payload())).unwrap();
    let snapshot = read_all(sessions.snapshot().unwrap());
    for size in 1..=snapshot.len() {
        let mut again = Sessions::new(Stateless::default(), LIMITS);
        restore(&mut again, &snapshot, vec![size; snapshot.len() / size]).unwrap();
        assert_eq!(again.session_count(), 1);
        assert_eq!(again.machine().0, [(0, 0, true)]);
    }
}
