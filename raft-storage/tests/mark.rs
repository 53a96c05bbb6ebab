//! What is lost with the sync mark, and what is left of the evidence then (F27).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::PathBuf;

use common::faulty::{closed_with_segments, damage, last_byte, refused};
use common::{DIR, open, read_all, segment};
use raft_storage::Damage;

fn mark() -> PathBuf {
    PathBuf::from(format!("{DIR}/sync-mark"))
}

#[test]
fn a_missing_sync_mark_is_refused_by_name_with_a_way_out_f27() {
    let (fs, models) = closed_with_segments();
    fs.delete(mark());
    let error = refused(&fs);
    let (path, _, found) = damage(&error);
    assert_eq!((path, found), (mark(), Damage::MarkMissing));
    let text = error.to_string();
    for said in ["/sync-mark is missing: ", "how far the log was durable", "under a new id", "empty file"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    // What the message says about an empty file is so.
    fs.put(mark(), b"");
    assert_eq!(read_all(&open(&fs).unwrap()).unwrap(), models);
}

#[test]
fn a_damaged_sync_mark_costs_evidence_not_data_and_is_reported_f27() {
    let (fs, models) = closed_with_segments();
    let whole = fs.content(mark()).unwrap();
    let cases = [(vec![], 2), (vec![7; 8192], 2), (vec![7; 100], 2), (whole[..4000].to_vec(), 1)];
    for (bytes, unreadable_slots) in cases {
        let image = fs.after_process_death();
        image.put(mark(), &bytes);
        let wal = open(&image).unwrap();
        let loss = wal.recovery().mark_loss.clone().unwrap();
        assert_eq!((loss.path, loss.unreadable_slots), (mark(), unreadable_slots));
        assert_eq!(read_all(&wal).unwrap(), models);
        // A slot is written each time that the log comes to rest, though nothing was added.
        for _ in 0..unreadable_slots {
            wal.write_sync_mark().unwrap();
        }
        wal.close().unwrap();
        assert_eq!(open(&image).unwrap().recovery().mark_loss, None);
    }
    assert_eq!(open(&fs).unwrap().recovery().mark_loss, None);
}

/// It says how far another file was durable, which had the same number.
#[test]
fn the_sync_mark_of_another_log_is_refused_f7_f23() {
    let (fs, _) = closed_with_segments();
    let (other, _) = closed_with_segments();
    fs.put(mark(), &other.content(mark()).unwrap());
    let (path, _, found) = damage(&refused(&fs));
    let newest = (1..).take_while(|seq| fs.content(segment(*seq)).is_some()).last().unwrap();
    assert_eq!((path, found), (segment(newest), Damage::Foreign));
}

#[test]
fn without_the_sync_mark_later_records_still_prove_what_was_durable_f27() {
    let (fs, _) = closed_with_segments();
    fs.put(mark(), &[7; 8192]);
    fs.edit(segment(1), |bytes| bytes[5000] ^= 1);
    let (path, _, _) = damage(&refused(&fs));
    assert_eq!(path, segment(1));
    assert!(last_byte(&fs, 1) > 5000);
}
