//! A refusal names the entries that are lost, as far as the records before and behind the broken place tell.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;

use common::faulty::{GROUP, append, damage, lost, new_log, refused};
use common::{DIR, compact, entries, hard_state, request, segment};
use raft_core::{GroupId, LogIndex, LogStore, Persist};
use raft_storage::fs::SimFs;
use raft_storage::inspect::{Inspector, LogRecord, RecordContent};
use raft_storage::{LostEntries, OpenError};

const HEADER_BYTES: usize = 32;

/// A closed log of three groups in several segments: groups 1 and 2 write in turn, group 3 only at first.
fn closed() -> SimFs {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    let mut others = [2, 3].map(|id| wal.group(GroupId::new(id)).unwrap());
    for id in 1..=12 {
        append(&mut log, id, (id - 1) * 10 + 1, 10, 900);
        append(&mut others[0], id, (id - 1) * 3 + 1, 3, 30);
        if id == 1 {
            append(&mut others[1], 1, 1, 4, 30);
        }
    }
    drop((log, others));
    wal.close().unwrap();
    assert!(fs.content(segment(4)).is_some(), "several segments");
    fs
}

fn records(fs: &SimFs) -> Vec<LogRecord> {
    let mut records = Vec::new();
    let inspector = Inspector::new(DIR).fs(Arc::new(fs.clone()));
    let show = |record: &LogRecord| {
        records.push(record.clone());
        ControlFlow::Continue(())
    };
    inspector.for_each_record(show).unwrap();
    records
}

/// The group of a record, and its first and last entry.
fn entries_of(record: &LogRecord) -> Option<(GroupId, LogIndex, LogIndex)> {
    let RecordContent::Request { group, batches, .. } = &record.content else { return None };
    Some((*group, batches.first()?.written.first(), batches.last()?.written.last()))
}

/// What is refused once a bit of a record is flipped, and that looking at the directory says the same.
fn refused_without(fs: &SimFs, record: &LogRecord, at: usize) -> OpenError {
    let image = fs.after_process_death();
    image.edit(segment(record.segment), |bytes| bytes[record.offset as usize + at] ^= 4);
    let error = refused(&image);
    let (path, offset, _) = damage(&error);
    assert_eq!((path, offset), (segment(record.segment), u64::from(record.offset)), "{error}");
    let found = Inspector::new(DIR).fs(Arc::new(image)).inspect().unwrap();
    assert_eq!(found.damages[0].lost, lost(&error), "{error}");
    error
}

#[test]
fn a_broken_record_is_refused_with_the_entries_that_were_in_it_f4() {
    let fs = closed();
    let records = records(&fs);
    let mut seen = [0; 2];
    for (at, record) in records.iter().enumerate() {
        let Some((group, first, last)) = entries_of(record) else { continue };
        let is_followed =
            records[at + 1..].iter().any(|next| entries_of(next).is_some_and(|next| next.0 == group));
        let first_behind = is_followed.then(|| last.next());
        let expected = LostEntries { group, last_before: first.prev(), first_behind, other_groups: 0 };
        // The body alone: its header says whose it is. The header as well: what is left of its group does.
        for at in [HEADER_BYTES + 30, 24] {
            let error = refused_without(&fs, record, at);
            let found = lost(&error);
            if at == 24 && !is_followed {
                // It might have been of any group of which nothing follows.
                seen[1] += 1;
                assert!(found.is_none_or(|lost| lost.first_behind.is_none()), "{error}");
            } else {
                seen[0] += 1;
                assert_eq!(found, Some(expected), "{error}");
                let text = match first_behind {
                    Some(_) if first == LogIndex::new(1) => {
                        format!("; group {group} lacks the entries before {}; ", last.next())
                    }
                    Some(_) => format!("; group {group} lacks entries {first} to {last}; "),
                    None => format!("; the log of group {group} ends with entry {}; ", first.prev()),
                };
                assert!(error.to_string().contains(&text), "{error}");
            }
        }
    }
    assert!(seen[0] > 40 && seen[1] == 3, "{seen:?}");
}

/// Nothing of the segment can be read, so it is as if it were missing.
#[test]
fn a_broken_head_is_refused_with_the_entries_of_its_segment_f6() {
    let fs = closed();
    let mut own: Vec<_> =
        records(&fs).iter().filter(|record| record.segment == 2).filter_map(entries_of).collect();
    own.retain(|(group, ..)| *group == GROUP);
    fs.edit(segment(2), |bytes| bytes[20] ^= 1);
    let error = refused(&fs);
    let found = lost(&error).unwrap();
    let (first, last) = (own.first().unwrap().1, own.last().unwrap().2);
    assert_eq!(
        (found.group, found.first(), found.last(), found.other_groups),
        (GROUP, Some(first), Some(last), 1)
    );
    assert!(error.to_string().contains("; group 1 lacks entries "), "{error}");
    assert!(
        error.to_string().contains(" (one of 2 groups that lack some); acknowledged data is lost"),
        "{error}"
    );
}

/// Entries that were cut off later are no loss, and a hard state has none.
#[test]
fn what_was_replaced_later_and_hard_states_are_not_called_lost_entries() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 5, 100);
    append(&mut log, 2, 6, 5, 100);
    let new = Persist { truncate_from: Some(LogIndex::new(4)), entries: entries(2, 4, 1, 100), ..request(3) };
    log.persist(Persist { hard_state: hard_state(2, 1, 3), ..new }).unwrap();
    log.flush_now().unwrap();
    log.persist(Persist { hard_state: hard_state(3, 1, 3), ..request(4) }).unwrap();
    log.flush_now().unwrap();
    log.persist(Persist { entries: entries(3, 5, 1, 100), ..request(5) }).unwrap();
    log.persist(Persist { hard_state: hard_state(4, 1, 3), ..request(6) }).unwrap();
    drop(log);
    wal.close().unwrap();
    let records = records(&fs);
    let [.., cut, _, vote, _, last_vote] = &records[..] else { panic!("{records:?}") };
    assert_eq!(entries_of(cut).unwrap().1, LogIndex::new(6));
    for (record, at) in [(cut, 40), (cut, 24), (vote, 40), (vote, 24), (last_vote, 40)] {
        let error = refused_without(&fs, record, at);
        assert_eq!(lost(&error), None, "{error}");
        assert!(error.to_string().contains("is written; acknowledged data is lost here"), "{error}");
    }
}

/// Another group, of which nothing follows, has lost nothing by a record that is plainly not its own; and
/// what a later snapshot replaces is no loss.
#[test]
fn no_entries_are_called_lost_of_another_group_or_from_before_a_later_mark() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 4, 100);
    append(&mut wal.group(GroupId::new(2)).unwrap(), 1, 1, 1, 100);
    // What this replaces was there before, and what follows it is there behind.
    let new = Persist { truncate_from: Some(LogIndex::new(3)), entries: entries(1, 3, 2, 100), ..request(2) };
    log.persist(new).unwrap();
    append(&mut log, 3, 5, 2, 100);
    append(&mut log, 4, 7, 2, 100);
    append(&mut log, 5, 9, 2, 100);
    log.persist(Persist { mark: Some(compact(1, 8)), ..request(6) }).unwrap();
    log.flush_now().unwrap();
    drop(log);
    wal.close().unwrap();
    let records = records(&fs);
    let [.., replacing, five, seven, _, _] = &records[..] else { panic!("{records:?}") };
    assert_eq!(entries_of(five).unwrap().1, LogIndex::new(5));
    for record in [replacing, five, seven] {
        let error = refused_without(&fs, record, HEADER_BYTES + 40);
        assert_eq!(lost(&error), None, "{error}");
    }
}
