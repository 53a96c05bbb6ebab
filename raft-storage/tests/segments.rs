//! What segments are besides records: as long as their heads say, and zeros behind the end of the log.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;

use common::faulty::{GROUP, append};
use common::{DIR, compact, hard_state, initialise, open, options, read_all, request, segment};
use raft_core::{LogStore, Persist};
use raft_storage::fs::SimFs;
use raft_storage::inspect::{Inspector, SegmentRole};
use raft_storage::{Flushing, Start, Wal, WalOptions};

/// Each segment's length, and the one that its head says.
fn lengths(fs: &SimFs) -> Vec<(usize, u32)> {
    let content = |seq| fs.content(segment(seq));
    let stated = |bytes: &[u8]| u32::from_le_bytes(bytes[48..52].try_into().unwrap());
    (1..100).filter_map(content).map(|bytes| (bytes.len(), stated(&bytes))).collect()
}

#[track_caller]
fn assert_lengths(fs: &SimFs, what: &str) {
    let lengths = lengths(fs);
    assert!(lengths.iter().all(|(found, stated)| *found == *stated as usize), "{what}: {lengths:?}");
}

/// Appending changes no metadata: neither zeros nor a seal go past the end of the file.
#[test]
fn no_write_makes_a_segment_longer_than_its_head_says() {
    for odd in (0..4096).step_by(520) {
        let fs = SimFs::new();
        let settings = options(&fs, Start::Initialise).segment_bytes(WalOptions::SEGMENT_BYTES_MIN + odd);
        let wal = Wal::open(&settings, || ()).unwrap();
        let mut log = wal.group(GROUP).unwrap();
        log.recover().unwrap();
        (1..=120).for_each(|id| append(&mut log, id, id, 1, 700));
        assert!(lengths(&fs).len() > 2, "it rolled");
        assert_lengths(&fs, &format!("{odd} bytes more"));
    }
    // A segment of its own has room for its seal too, where a page just suffices or just does not.
    for bytes in (40_700..40_900).step_by(4) {
        let fs = SimFs::new();
        let wal = initialise(&fs).unwrap();
        let mut log = wal.group(GROUP).unwrap();
        log.recover().unwrap();
        append(&mut log, 1, 1, 1, bytes);
        append(&mut log, 2, 2, 1, bytes);
        assert_eq!(lengths(&fs).len(), 3);
        assert_lengths(&fs, &format!("{bytes} bytes"));
        drop((log, wal));
        let found = read_all(&open(&fs).unwrap_or_else(|error| panic!("{bytes} bytes: {error}"))).unwrap();
        assert_eq!(found[&GROUP].entries.len(), 2);
    }
}

/// One that was ready but too small for a request gives its name to a larger one, and the next is ready
/// again in time.
#[test]
fn a_segment_is_made_ahead_of_need_after_one_was_too_small() {
    let fs = SimFs::new();
    let settings = options(&fs, Start::Initialise)
        .reserved_bytes(u64::from(WalOptions::SEGMENT_BYTES_MIN))
        .flushing(Flushing::Thread);
    let wal = Wal::open(&settings, || ()).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    append(&mut log, 1, 1, 1, 40_000);
    drop(log);
    wal.close().unwrap();
    let found = Inspector::new(DIR).fs(Arc::new(fs)).inspect().unwrap();
    let roles: Vec<SegmentRole> = found.segments.iter().map(|segment| segment.role).collect();
    assert_eq!(roles, [SegmentRole::Full, SegmentRole::Last, SegmentRole::Prepared]);
}

/// F14: nobody enters a segment that lost its end while it was waiting.
#[test]
fn a_ready_segment_that_was_cut_is_made_anew_f14() {
    let fs = SimFs::new();
    let ahead = u64::from(WalOptions::SEGMENT_BYTES_MIN);
    Wal::open(&options(&fs, Start::Initialise).reserved_bytes(ahead), || ()).unwrap().close().unwrap();
    fs.edit(segment(2), |bytes| bytes.truncate(9000));
    let wal = open(&fs).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    (1..=40).for_each(|id| append(&mut log, id, id, 1, 1000));
    assert_eq!(lengths(&fs).len(), 2);
    assert_lengths(&fs, "made anew");
    fs.stop_after(0);
    drop((log, wal));
    assert_eq!(read_all(&open(&fs.after_process_death()).unwrap()).unwrap()[&GROUP].entries.len(), 40);
}

/// F3: at least 32 zeros, and zeros to the end of the page, tell the end of the log among old records.
#[test]
fn zeros_stand_behind_the_log_wherever_it_ends_among_old_records_f3() {
    let fs = SimFs::new();
    let mut wal = initialise(&fs).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    let mut id = 0;
    while id < 20 || fs.content(segment(1)).is_some() {
        id += 1;
        append(&mut log, 2 * id, 10 * id - 9, 10, 900);
        log.persist(Persist { mark: Some(compact(1, 10 * id)), ..request(2 * id + 1) }).unwrap();
        log.flush_now().unwrap();
    }
    let mut page_ends = 0;
    // Such a record takes 56 bytes, so the log ends at every place in a page where a record may end.
    for term in 2..600 {
        if term == 300 {
            // A log that goes on in the same segment.
            drop(log);
            wal.close().unwrap();
            wal = open(&fs).unwrap();
            log = wal.group(GROUP).unwrap();
        }
        let state = hard_state(term, 1, 10 * id);
        log.persist(Persist { hard_state: state, ..request(2 * id + term) }).unwrap();
        log.flush_now().unwrap();
        let found = Inspector::new(DIR).fs(Arc::new(fs.clone())).inspect().unwrap();
        let last = found.segments.iter().find(|segment| segment.role == SegmentRole::Last).unwrap();
        let (bytes, end) = (fs.content(&last.path).unwrap(), last.end_offset as usize);
        let zeros_end = (end + 32).next_multiple_of(4096).min(bytes.len());
        assert!(bytes[end..zeros_end].iter().all(|byte| *byte == 0), "behind {end} in {last:?}");
        let is_among_old = bytes[zeros_end..].iter().any(|byte| *byte != 0);
        page_ends += usize::from(is_among_old && end.next_multiple_of(4096) - end < 32);
    }
    assert!(page_ends >= 3, "{page_ends} ends near that of a page");
    drop((log, wal));
    assert!(open(&fs).is_ok());
}
