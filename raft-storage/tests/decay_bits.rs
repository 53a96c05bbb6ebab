//! Bits of a log and of a snapshot of 64 KiB flipped, one of each byte; `cargo xtask crash --bits`
//! flips all of them. What is flipped is refused or makes no difference, for a sync mark proves that
//! all of it was durable (F4, F5, F6, S47, S64).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::faulty::{GROUP, append, new_log};
use common::snapshots::Snapshot;
use common::{open, read_all, segment};
use raft_core::SnapshotStore;
use raft_storage::OpenError;
use raft_storage::fs::SimFs;

/// Flips bits of so many bytes, on all cores. `show` tells whether the image was refused.
fn flip(bytes: usize, show: impl Fn(usize, u8) -> bool + Sync) -> usize {
    let per_byte = std::env::var("RAFT_DECAY_BITS").map_or(1, |text| text.parse().unwrap());
    let (next, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= bytes {
                        return;
                    }
                    for bit in 0..per_byte {
                        // Another bit of each byte.
                        let bit = (at + at / 8 + bit) % 8;
                        refused.fetch_add(usize::from(show(at, 1 << bit)), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    refused.into_inner()
}

#[test]
fn a_flipped_bit_of_a_log_of_64_kib_is_refused_or_harmless() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    for id in 1..=60 {
        append(&mut log, id, id * 4 - 3, 4, 250);
    }
    drop(log);
    wal.close().unwrap();
    let models = read_all(&open(&fs.after_process_death()).unwrap()).unwrap();
    let size = fs.content(segment(1)).unwrap().len();
    assert!(fs.content(segment(3)).is_some() && size == 32 << 10);
    let refused = flip(2 * size, |at, mask| {
        let (seq, at) = if at < size { (1, at) } else { (2, at - size) };
        let image = fs.after_process_death();
        image.edit(segment(seq), |bytes| bytes[at] ^= mask);
        match open(&image) {
            Ok(wal) => {
                assert_eq!(read_all(&wal).unwrap(), models, "segment {seq}, byte {at}, bit {mask}");
                false
            }
            Err(OpenError::Damaged { .. } | OpenError::Version { .. } | OpenError::OtherIdentity { .. }) => {
                true
            }
            Err(other) => panic!("segment {seq}, byte {at}, bit {mask}: {other}"),
        }
    });
    // The rest is the pages behind the heads and the ends of the segments.
    assert!(refused > size, "{refused} refused");
}

#[test]
fn a_flipped_bit_of_a_snapshot_of_64_kib_is_refused_and_never_read() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 3, 20);
    Snapshot::new(1, 3, 65_400).hand_over(&mut log);
    log.flush_now().unwrap();
    drop(log);
    wal.close().unwrap();
    let path = fs.paths().into_iter().find(|path| path.extension().is_some_and(|end| end == "snap")).unwrap();
    let size = fs.content(&path).unwrap().len();
    let refused = flip(size, |at, mask| {
        let image = fs.after_process_death();
        image.edit(&path, |bytes| bytes[at] ^= mask);
        let Ok(wal) = open(&image) else { return true };
        let mut log = wal.group(GROUP).unwrap();
        // The log begins at entry 1, so it can do without the snapshot, but never with this one.
        log.recover_snapshot().unwrap().is_none() && log.snapshot_losses().len() == 1
    });
    let flipped = std::env::var("RAFT_DECAY_BITS").map_or(1, |text| text.parse().unwrap()) * size;
    assert_eq!(refused, flipped);
}
