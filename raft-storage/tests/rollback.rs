//! Files of a directory are put back as they were earlier: what a node notices by itself, and what
//! nobody can notice who sees this directory alone (F14, F23).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::PathBuf;

use common::faulty::{GROUP, append};
use common::snapshots::Snapshot;
use common::{compact, open, read_all, request};
use raft_core::{LogStore, Persist, SnapshotStore};
use raft_storage::fs::SimFs;

/// A closed log as it was early and as it was late, and the files in which the two differ.
fn grown(rounds: u64, bytes: usize, compacts: bool) -> (SimFs, SimFs, Vec<PathBuf>) {
    let fs = SimFs::new();
    let (wal, mut log) = common::faulty::new_log(&fs);
    append(&mut log, 1, 1, 10, bytes);
    append(&mut log, 2, 11, 10, bytes);
    drop(log);
    wal.close().unwrap();
    let early = fs.after_process_death();
    let wal = open(&fs).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    for round in 1..=rounds {
        append(&mut log, 2 * round, 11 + round * 10, 10, bytes);
    }
    if compacts {
        Snapshot::new(1, 25, 1000).write(&mut log);
        log.persist(Persist { mark: Some(compact(1, 25)), ..request(99) }).unwrap();
    }
    drop(log);
    wal.close().unwrap();
    let mut paths = fs.paths();
    paths.extend(early.paths());
    paths.sort();
    paths.dedup();
    paths.retain(|path| early.content(path) != fs.content(path) && !path.ends_with("lock"));
    (early, fs, paths)
}

/// Whichever of the files are old ones: what opens is the late log or, if all are, the early one, and
/// never anything between. So with everything put back, a node cannot know; its leader may.
#[test]
fn a_log_of_which_some_files_are_older_ones_is_refused_or_whole_f14_f23() {
    let (mut refused, mut late_opened) = (0, 0);
    for (rounds, bytes, compacts) in [(1, 30, false), (3, 1200, false), (6, 1200, true), (1, 30, true)] {
        let (early, late, paths) = grown(rounds, bytes, compacts);
        let of = |fs: &SimFs| {
            let wal = open(&fs.after_process_death()).unwrap();
            let meta = wal.group(GROUP).unwrap().recover_snapshot().unwrap();
            drop(wal);
            (read_all(&open(&fs.after_process_death()).unwrap()).unwrap(), meta)
        };
        let (expected_early, expected_late) = (of(&early), of(&late));
        for subset in 1..1u32 << paths.len() {
            let image = late.after_process_death();
            let old = paths.iter().enumerate().filter(|(at, _)| subset & 1 << at != 0).map(|(_, path)| path);
            let old: Vec<&PathBuf> = old.collect();
            for path in &old {
                match early.content(path) {
                    Some(bytes) => image.put(path, &bytes),
                    None => image.delete(path),
                }
            }
            let opened = open(&image).map(|wal| {
                let mut log = wal.group(GROUP).unwrap();
                log.recover_snapshot().ok().map(|meta| (meta, wal))
            });
            let Ok(Some((meta, wal))) = opened else {
                refused += 1;
                continue;
            };
            drop(wal);
            let found = read_all(&open(&image.after_process_death()).unwrap()).unwrap();
            if found == expected_late.0 {
                assert_eq!(meta, expected_late.1, "{old:?}");
                late_opened += 1;
            } else {
                assert!(found == expected_early.0, "something between, with old {old:?}");
                let left: Vec<_> = paths.iter().filter(|path| !old.contains(path)).collect();
                let is_harmless = |path: &&&PathBuf| path.extension().is_some_and(|end| end == "snap");
                assert!(
                    left.iter().all(|path| is_harmless(&path)),
                    "the early log, although {left:?} are late"
                );
            }
        }
    }
    println!("{refused} refused, {late_opened} late");
    assert!(refused > 20 && late_opened > 3, "{refused} refused, {late_opened} late");
}
