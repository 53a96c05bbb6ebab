//! Real processes on a real disk: one is killed while it appends, one finds the directory taken.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use raft_core::{
    Entries, EntryKind, GroupId, HardState, LogIndex, LogStore, NodeId, Persist, PersistId, Position, Term,
};
use raft_storage::inspect::Inspector;
use raft_storage::{GroupLog, Identity, OpenError, Start, Wal, WalOptions};

const IDENTITY: Identity = Identity { cluster: 5, node: NodeId::new(3) };
const GROUPS: [u64; 2] = [1, 2];
/// Tells the test binary that it is the process to be killed, and where its log is.
const DIR_VARIABLE: &str = "RAFT_STORAGE_TEST_DIR";

fn options(dir: &Path) -> WalOptions {
    WalOptions::new(dir, IDENTITY).segment_bytes(64 << 10)
}

/// Appends to all groups until killed, and says which index of which group is durable. Does nothing
/// unless it is started by the test below.
#[test]
fn append_until_killed() {
    let Ok(dir) = std::env::var(DIR_VARIABLE) else { return };
    let woken: Arc<(Mutex<bool>, Condvar)> = Arc::default();
    let wakes = Arc::clone(&woken);
    let wal = Wal::open(&options(dir.as_ref()).start(Start::InitialiseIfMissing), move || {
        *wakes.0.lock() = true;
        wakes.1.notify_one();
    });
    let wal = wal.unwrap();
    let mut logs: Vec<GroupLog> = GROUPS.iter().map(|id| wal.group(GroupId::new(*id)).unwrap()).collect();
    let mut next: Vec<u64> =
        logs.iter_mut().map(|log| log.recover().unwrap().last().index.get() + 1).collect();
    let mut out = std::io::stdout();
    loop {
        for (log, next) in logs.iter_mut().zip(&mut next) {
            for _ in 0..3 {
                let term = Term::new(1);
                let payload = [u8::try_from(*next % 251).unwrap(); 300];
                let position = Position::new(term, LogIndex::new(*next));
                let entries = Entries::single(position, EntryKind::Command, &payload).unwrap().into();
                let hard_state = Some(HardState { term, vote: None, commit: LogIndex::new(*next - 1) });
                let id = PersistId::new(*next);
                log.persist(Persist { id, mark: None, truncate_from: None, entries, hard_state }).unwrap();
                *next += 1;
            }
        }
        let mut is_woken = woken.0.lock();
        while !std::mem::take(&mut *is_woken) {
            woken.1.wait(&mut is_woken);
        }
        drop(is_woken);
        for log in &mut logs {
            if let Some(id) = log.poll_persisted().unwrap() {
                writeln!(out, "durable {} {id}", log.id()).unwrap();
            }
        }
    }
}

fn start(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["append_until_killed", "--exact", "--nocapture"])
        .env(DIR_VARIABLE, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What the process said before it was killed: the last durable index of each group.
fn kill_after(mut child: Child, lines: usize) -> [u64; 2] {
    let mut durable = [0; 2];
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut seen = 0;
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 0 {
        // The test harness may have begun the line.
        if let Some(said) = line.find("durable ") {
            let mut words = line[said..].split_whitespace().skip(1);
            let group: u64 = words.next().unwrap().parse().unwrap();
            let at = GROUPS.iter().position(|id| *id == group).unwrap();
            durable[at] = words.next().unwrap().parse().unwrap();
            seen += 1;
            if seen == lines {
                child.kill().unwrap();
            }
        }
        line.clear();
    }
    child.wait().unwrap();
    durable
}

#[test]
fn a_killed_process_loses_nothing_it_called_durable_s58() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("log");
    for round in 0..6 {
        let durable = kill_after(start(&dir), 20 + round * 35);
        let wal = Wal::open(&options(&dir), || ()).unwrap();
        for (id, durable) in GROUPS.iter().zip(durable) {
            let mut log = wal.group(GroupId::new(*id)).unwrap();
            let last = log.recover().unwrap().last().index;
            assert!(last.get() >= durable, "group {id}: {durable} was durable, {last} is left");
            let batches = log.load(LogIndex::new(1), last.next(), usize::MAX).unwrap();
            for entry in batches.iter().flat_map(Entries::iter) {
                let byte = u8::try_from(entry.index.get() % 251).unwrap();
                assert!(entry.payload == [byte; 300], "entry {}", entry.index);
            }
        }
    }
}

/// A process that has the directory open.
fn holder_of(dir: &Path) -> Child {
    let mut child = start(dir);
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("durable ") {
        line.clear();
        reader.read_line(&mut line).unwrap();
    }
    // As long as somebody could listen, it goes on.
    child.stdout = Some(reader.into_inner());
    child
}

/// Opening is refused, and names the process.
fn check_held(dir: &Path, holder: &Child) {
    let error = Wal::open(&options(dir), || ()).unwrap_err();
    let OpenError::Locked { path, holder: named } = &error else { panic!("{error}") };
    assert_eq!((path, named), (&dir.join("lock"), &format!("process {}", holder.id())));
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_second_process_is_told_who_holds_the_directory_f22() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("log");
    let child = holder_of(&dir);
    check_held(&dir, &child);
    end(child);
    // The next one's name replaces a longer one.
    std::fs::write(dir.join("lock"), "process 123456789 of long ago").unwrap();
    let _wal = Wal::open(&options(&dir), || ()).unwrap();
    let Err(OpenError::Locked { holder, .. }) = Wal::open(&options(&dir), || ()) else { panic!("opened") };
    assert_eq!(holder, format!("process {}", std::process::id()));
}

/// The lock is the process's as long as it is there, whether it does anything or not. Nobody waits for it.
#[test]
fn a_hung_process_holds_the_directory_until_it_is_gone_f22() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("log");
    let child = holder_of(&dir);
    let hang = Command::new("kill").args(["-STOP", &child.id().to_string()]).status();
    assert!(hang.unwrap().success());
    for _ in 0..2 {
        check_held(&dir, &child);
    }
    let looked = Inspector::new(&dir).inspect().unwrap();
    assert_eq!(looked.in_use_by, Some(format!("process {}", child.id())));
    end(child);
    let wal = Wal::open(&options(&dir), || ()).unwrap();
    assert!(GROUPS.iter().all(|id| wal.group_ids().contains(&GroupId::new(*id))), "nothing is lost");
}

/// What stands where a segment should be, but is no file, is refused by name, and nobody waits for it.
#[test]
fn a_pipe_in_the_place_of_a_segment_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let wal = Wal::open(&options(dir.path()).start(Start::Initialise), || ()).unwrap();
    wal.close().unwrap();
    let path = dir.path().join("00000002.wal");
    let _ = std::fs::remove_file(&path);
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let error = Wal::open(&options(dir.path()), || ()).unwrap_err().to_string();
    assert!(error.contains("00000002.wal") && error.contains("no regular file"), "{error}");
}

/// A file called `lock` invites to be removed; whoever does it lets nobody in.
#[test]
fn a_removed_lock_file_lets_nobody_in_f22() {
    let dir = tempfile::tempdir().unwrap();
    let wal = Wal::open(&options(dir.path()).start(Start::Initialise), || ()).unwrap();
    for _ in 0..2 {
        std::fs::remove_file(dir.path().join("lock")).unwrap();
        let looked = Inspector::new(dir.path()).inspect().unwrap();
        assert!(looked.in_use_by.unwrap().contains("was removed"));
        // It makes a new file of that name.
        let error = Wal::open(&options(dir.path()), || ()).unwrap_err();
        assert!(
            matches!(&error, OpenError::Locked { holder, .. } if holder.contains("was removed")),
            "{error}"
        );
        let looked = Inspector::new(dir.path()).inspect().unwrap();
        assert!(looked.in_use_by.unwrap().contains("was removed"));
    }
    wal.close().unwrap();
    Wal::open(&options(dir.path()), || ()).unwrap().close().unwrap();
}

/// What has the lock's name and is no file is named, and nobody waits for it.
#[test]
fn a_pipe_in_the_place_of_the_lock_is_refused_f16() {
    let dir = tempfile::tempdir().unwrap();
    Wal::open(&options(dir.path()).start(Start::Initialise), || ()).unwrap().close().unwrap();
    let lock = dir.path().join("lock");
    std::fs::remove_file(&lock).unwrap();
    assert!(Command::new("mkfifo").arg(&lock).status().unwrap().success());
    let error = Wal::open(&options(dir.path()), || ()).unwrap_err();
    assert!(error.to_string().contains("no regular file"), "{error}");
    let error = Inspector::new(dir.path()).inspect().unwrap_err();
    assert!(error.to_string().contains("no regular file"), "{error}");
}
