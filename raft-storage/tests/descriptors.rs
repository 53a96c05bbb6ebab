//! Real processes without a file descriptor to spare (F26): what cannot be opened is said with its path, and
//! nothing is lost by it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::Command;

use raft_core::bytes::Bytes;
use raft_core::{
    Entries, EntryKind, GroupId, HardState, LogIndex, LogStore, Membership, NodeId, Persist, PersistId,
    Position, SnapshotFailure, SnapshotMeta, SnapshotStore, Term, crc32c,
};
use raft_storage::{
    Failure, Flushing, GroupLog, Identity, LogError, OpenError, Operation, Start, Wal, WalOptions,
};

const IDENTITY: Identity = Identity { cluster: 5, node: NodeId::new(3) };
const GROUP: GroupId = GroupId::new(1);
/// Tells the test binary that it is the process with few descriptors.
const CHILD_VARIABLE: &str = "RAFT_STORAGE_TEST_FEW_DESCRIPTORS";
const DESCRIPTORS_MAX: usize = 64;
/// What the system says when a process has no descriptor left.
const EMFILE: i32 = 24;

/// Runs a test of this file in a process of its own, because descriptors are the whole process's.
fn with_few_descriptors(test: &str, body: impl FnOnce(&Path)) {
    if std::env::var_os(CHILD_VARIABLE).is_some() {
        let root = tempfile::tempdir().unwrap();
        return body(&root.path().join("log"));
    }
    let script = format!("ulimit -n {DESCRIPTORS_MAX} && exec \"$0\" \"$@\"");
    let status = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(CHILD_VARIABLE, "1")
        .status();
    assert!(status.unwrap().success(), "{test}");
}

/// Takes every descriptor that is left.
fn take_all() -> Vec<File> {
    let mut taken = Vec::new();
    loop {
        match File::open("/dev/null") {
            Ok(file) => taken.push(file),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(EMFILE), "{error}");
                return taken;
            }
        }
    }
}

fn options(dir: &Path) -> WalOptions {
    let options = WalOptions::new(dir, IDENTITY).flushing(Flushing::Manual);
    options.start(Start::InitialiseIfMissing).segment_bytes(WalOptions::SEGMENT_BYTES_MIN)
}

fn open(dir: &Path) -> (Wal, GroupLog, u64) {
    let wal = Wal::open(&options(dir), || ()).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    log.recover_snapshot().unwrap();
    let last = log.recover().unwrap().last().index.get();
    (wal, log, last)
}

fn append(log: &mut GroupLog, index: u64) -> Result<(), LogError> {
    let term = Term::new(1);
    let position = Position::new(term, LogIndex::new(index));
    let entries = Entries::single(position, EntryKind::Command, &[7; 1000]).unwrap().into();
    let hard_state = Some(HardState { term, vote: None, commit: LogIndex::new(index - 1) });
    let id = PersistId::new(index);
    log.persist(Persist { id, mark: None, truncate_from: None, entries, hard_state })?;
    log.flush_now()?;
    assert_eq!(log.poll_persisted()?, Some(id));
    Ok(())
}

fn is_for_want_of_a_descriptor(failure: &Failure) -> bool {
    failure.source.raw_os_error() == Some(EMFILE)
}

#[test]
fn a_log_that_opens_without_a_descriptor_to_spare_says_so_and_opens_later_f26() {
    with_few_descriptors(
        "a_log_that_opens_without_a_descriptor_to_spare_says_so_and_opens_later_f26",
        |dir| {
            let (wal, mut log, _) = open(dir);
            (1..=100).for_each(|index| append(&mut log, index).unwrap());
            drop(log);
            wal.close().unwrap();
            let mut refused_at = BTreeSet::new();
            for spared in 0.. {
                let mut taken = take_all();
                taken.truncate(taken.len() - spared);
                match Wal::open(&options(dir).start(Start::Existing), || ()) {
                    Ok(_) => break,
                    Err(OpenError::Io(failure)) => {
                        assert!(is_for_want_of_a_descriptor(&failure), "{failure}");
                        assert!(failure.path.starts_with(dir), "{failure}");
                        refused_at.insert(format!("{:?}", failure.operation));
                    }
                    Err(error) => panic!("{spared} descriptors: {error}"),
                }
            }
            for operation in [Operation::Lock, Operation::List, Operation::Open] {
                assert!(refused_at.contains(&format!("{operation:?}")), "{operation:?}: {refused_at:?}");
            }
            let (_wal, mut log, last) = open(dir);
            assert_eq!(last, 100);
            append(&mut log, 101).unwrap();
        },
    );
}

#[test]
fn a_log_without_a_descriptor_for_a_segment_stops_and_has_all_that_was_acknowledged_f26() {
    with_few_descriptors(
        "a_log_without_a_descriptor_for_a_segment_stops_and_has_all_that_was_acknowledged_f26",
        |dir| {
            let (wal, mut log, _) = open(dir);
            append(&mut log, 1).unwrap();
            let taken = take_all();
            let (acknowledged, error) =
                (1..).find_map(|last| append(&mut log, last + 1).err().map(|error| (last, error))).unwrap();
            let LogError::Failed(failure) = &error else { panic!("{error}") };
            assert!(is_for_want_of_a_descriptor(failure), "{failure}");
            assert_eq!(
                (failure.operation, &failure.path),
                (Operation::Create, &dir.join("00000002.wal.new"))
            );
            drop(taken);
            // What became of it only opening tells (W6).
            assert!(matches!(append(&mut log, acknowledged + 1), Err(LogError::Failed(_))));
            drop((log, wal));
            let (_wal, mut log, last) = open(dir);
            assert_eq!(last, acknowledged);
            (last + 1..last + 60).for_each(|index| append(&mut log, index).unwrap());
        },
    );
}

/// What saves time and costs a descriptor is done without.
#[test]
fn a_log_without_a_descriptor_for_direct_writes_goes_on_f26() {
    with_few_descriptors("a_log_without_a_descriptor_for_direct_writes_goes_on_f26", |dir| {
        let reserved = options(dir).reserved_bytes(4 * u64::from(WalOptions::SEGMENT_BYTES_MIN));
        let wal = Wal::open(&reserved, || ()).unwrap();
        let mut log = wal.group(GROUP).unwrap();
        let taken = take_all();
        // Into the third of the segments that are there.
        (1..=70).for_each(|index| append(&mut log, index).unwrap());
        drop((taken, log, wal));
        let (_wal, mut log, last) = open(dir);
        assert_eq!(last, 70);
        append(&mut log, 71).unwrap();
    });
}

#[test]
fn a_snapshot_without_a_descriptor_is_reported_and_the_log_goes_on_f26() {
    with_few_descriptors("a_snapshot_without_a_descriptor_is_reported_and_the_log_goes_on_f26", |dir| {
        let (wal, mut log, _) = open(dir);
        (1..=5).for_each(|index| append(&mut log, index).unwrap());
        let last = Position::new(Term::new(1), LogIndex::new(3));
        let membership = Membership::of_voters([NodeId::new(3)]).unwrap();
        let meta = SnapshotMeta { last, membership, size: 5, crc32c: crc32c(b"state"), is_hollow: false };
        let write = |log: &mut GroupLog| {
            log.begin_snapshot(last);
            log.write_snapshot(Bytes::from_static(b"state"));
            log.finish_snapshot(meta.clone());
            log.flush_now().unwrap();
            log.poll_snapshot().unwrap()
        };
        let taken = take_all();
        let Err(SnapshotFailure { last: failed, error: LogError::Failed(failure) }) = write(&mut log) else {
            panic!("it was written");
        };
        assert!(failed == last && is_for_want_of_a_descriptor(&failure), "{failure}");
        assert!(failure.path.starts_with(dir) && failure.operation == Operation::Create, "{failure}");
        append(&mut log, 6).unwrap();
        drop(taken);
        assert_eq!(write(&mut log).unwrap(), meta);
        drop((log, wal));
        let wal = Wal::open(&options(dir), || ()).unwrap();
        let mut log = wal.group(GROUP).unwrap();
        assert_eq!(log.recover_snapshot().unwrap(), Some(meta));
        assert_eq!(log.recover().unwrap().last().index, LogIndex::new(6));
    });
}
