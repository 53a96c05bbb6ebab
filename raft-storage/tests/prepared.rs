//! What damage to a segment that was made ahead of need means (F6, F14).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::faulty::{append, closed_with_segments, damage, new_log, refused};
use common::{Models, open, options, read_all, segment};
use raft_storage::fs::SimFs;
use raft_storage::{Damage, Start, Wal, WalOptions};

/// A log in one segment, with a second one prepared.
fn prepared() -> (SimFs, Models) {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 3, 100);
    drop(log);
    wal.close().unwrap();
    let settings = options(&fs, Start::Existing).reserved_bytes(u64::from(WalOptions::SEGMENT_BYTES_MIN));
    let wal = Wal::open(&settings, || ()).unwrap();
    let models = read_all(&wal).unwrap();
    wal.close().unwrap();
    assert!(fs.content(segment(2)).is_some() && fs.content(segment(3)).is_none());
    (fs, models)
}

#[test]
fn a_broken_head_of_a_prepared_segment_is_refused_as_no_loss_and_deleting_it_opens_f6() {
    let (fs, models) = prepared();
    for at in (0..8).chain(12..60) {
        let image = fs.after_process_death();
        image.edit(segment(2), |bytes| bytes[at] ^= 1);
        let error = refused(&image);
        let (path, _, found) = damage(&error);
        assert_eq!((path, found), (segment(2), Damage::Unused { is_certain: true }), "byte {at}");
        let text = error.to_string();
        assert!(text.contains("delete this file") && !text.contains("is lost"), "{text}");
        image.delete(segment(2));
        assert_eq!(read_all(&open(&image).unwrap()).unwrap(), models);
    }
}

#[test]
fn a_prepared_segment_cut_to_its_head_is_said_to_be_unclear_f14() {
    let (fs, models) = prepared();
    let size = fs.content(segment(2)).unwrap().len();
    for length in [0, 1, 59, 60, 4096, 5000, size - 1] {
        let image = fs.after_process_death();
        image.edit(segment(2), |bytes| bytes.truncate(length));
        if length < 60 {
            let error = refused(&image);
            assert_eq!(damage(&error).2, Damage::Unused { is_certain: false });
            let text = error.to_string();
            assert!(text.contains("cannot be told") && !text.contains("is lost"), "{text}");
            image.delete(segment(2));
        }
        assert_eq!(read_all(&open(&image).unwrap()).unwrap(), models, "cut at {length}");
    }
}

#[test]
fn a_broken_head_of_a_segment_with_records_is_never_called_unused_f6() {
    let (fs, _) = closed_with_segments();
    let last = (1..).take_while(|seq| fs.content(segment(*seq)).is_some()).last().unwrap();
    // With the sync mark and without it.
    for is_marked in [true, false] {
        for length in [None, Some(40), Some(0)] {
            let image = fs.after_process_death();
            if !is_marked {
                image.put(format!("{}/sync-mark", common::DIR), &[0; 8192]);
            }
            image.edit(segment(last), |bytes| match length {
                Some(length) => bytes.truncate(length),
                None => bytes[20] ^= 1,
            });
            let (path, _, found) = damage(&refused(&image));
            assert_eq!(path, segment(last));
            assert!(!matches!(found, Damage::Unused { .. }), "{found}");
        }
    }
}

/// F6, F14: recovery cut the first segment as it went on to the second, which no mark names yet.
#[test]
fn a_segment_that_recovery_went_on_to_is_never_called_unused_f6_f14() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 3, 100);
    append(&mut log, 2, 4, 3, 100);
    fs.stop_after(0);
    drop((log, wal));
    let fs = fs.after_process_death();
    let wal = open(&fs).unwrap();
    assert_eq!(wal.recovery().carried_records, 1);
    fs.stop_after(0);
    drop(wal);
    let dead = fs.after_process_death();
    dead.edit(segment(2), |bytes| bytes.truncate(40));
    assert_eq!(damage(&refused(&dead)), (segment(2), 0, Damage::TooShort { needed_bytes: 60 }));
}
