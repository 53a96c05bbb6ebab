//! Records whose checksums all fit, but which say what no request may say: recovery refuses each of them
//! for what it says (F7, F17).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use common::faulty::{GROUP, append, closed_with_segments, damage, new_log, refused};
use common::{DIR, entries, hard_state, open, read_all, request, segment};
use raft_core::{LogIndex, LogStore, NodeId, Persist, Term};
use raft_storage::Damage;
use raft_storage::fs::SimFs;
use raft_storage::inspect::{Inspector, Outcome};

/// Where a header has the checksum of the body, the body's length, the checksum of the header before, up
/// to where the segment was durable, the kind and the parts.
const BODY_CRC: usize = 4;
const LENGTH: usize = 8;
const PREVIOUS: usize = 12;
const DURABLE: usize = 16;
const KIND: usize = 20;
const PARTS: usize = 21;
const BODY: usize = 32;
/// Where a segment has its link, and the first record behind that.
const LINK: usize = 4096;
const FIRST: usize = 4152;

/// A closed log whose last record, either three entries with a hard state or, behind them, a hard state
/// alone, was changed and given checksums that fit; and where that record is.
fn forged(hard_state_alone: bool, forge: impl Fn(&mut [u8])) -> (SimFs, Range<usize>) {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 2, 100);
    append(&mut log, 2, 3, 3, 100);
    if hard_state_alone {
        for term in [2, 3] {
            log.persist(Persist { hard_state: hard_state(term, 1, 4), ..request(term + 1) }).unwrap();
        }
    }
    drop(log);
    wal.close().unwrap();
    let mut last = 0..0;
    Inspector::new(DIR)
        .fs(Arc::new(fs.clone()))
        .for_each_record(|record| {
            let start = record.offset as usize;
            last = start..start + record.byte_count as usize;
            ControlFlow::Continue(())
        })
        .unwrap();
    let change = |forge: &dyn Fn(&mut [u8])| {
        fs.edit(segment(1), |bytes| {
            forge(&mut bytes[last.clone()]);
            make_fit(bytes, last.start);
        });
    };
    // Not changed, it is as it was written.
    let before = fs.content(segment(1)).unwrap();
    change(&|_| {});
    assert_eq!(fs.content(segment(1)).unwrap(), before);
    drop(open(&fs.after_process_death()).unwrap());
    change(&forge);
    (fs, last)
}

/// Gives the records of a segment checksums that fit, from one of them on.
fn make_fit(bytes: &mut [u8], mut at: usize) {
    let number = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let seed = number(bytes, 56);
    loop {
        let length = number(bytes, at + LENGTH) as usize;
        if let Some(body) = bytes.get(at + BODY..at + BODY + length) {
            let crc = crc32c::crc32c(body);
            bytes[at + BODY_CRC..at + LENGTH].copy_from_slice(&crc.to_le_bytes());
        }
        let start = u32::try_from(at).unwrap();
        let crc = crc32c::crc32c_append(seed ^ start, &bytes[at + 4..at + BODY]);
        bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
        at = (at + BODY + length).next_multiple_of(8);
        match bytes.get_mut(at..at + BODY) {
            Some(next) if next[KIND] != 0 => next[PREVIOUS..PREVIOUS + 4].copy_from_slice(&crc.to_le_bytes()),
            Some(_) | None => return,
        }
    }
}

/// What such a log is refused for.
fn refused_for(hard_state_alone: bool, forge: impl Fn(&mut [u8])) -> Damage {
    let (fs, last) = forged(hard_state_alone, forge);
    let (path, offset, found) = damage(&refused(&fs));
    assert_eq!(path, segment(1));
    let offset = usize::try_from(offset).unwrap();
    assert!(offset == last.start || offset == last.end, "{found} at {offset}, {last:?}");
    found
}

fn put(record: &mut [u8], at: usize, number: u64) {
    record[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

#[test]
fn a_hard_state_of_an_earlier_term_is_refused_f17() {
    // The entries are of term 1, the hard state before is of term 2.
    for term in [0, 1] {
        let found = refused_for(true, |record| put(record, BODY, term));
        let (hard_state, last) = (Term::new(term), Term::new(2));
        assert_eq!(found, Damage::StaleTerm { group: GROUP, hard_state, last });
    }
}

#[test]
fn a_vote_that_changes_within_its_term_is_refused_f17() {
    for second in [Some(2), None] {
        let found = refused_for(true, |record| {
            put(record, BODY, 2);
            put(record, BODY + 8, second.unwrap_or(0));
        });
        let second = second.map(NodeId::new);
        let term = Term::new(2);
        assert_eq!(found, Damage::VoteChanged { group: GROUP, term, first: NodeId::new(1), second });
    }
    // In a later term it may, and the same vote may be written again.
    for (term, vote) in [(3, 2), (3, 0), (2, 1)] {
        let (fs, _) = forged(true, |record| {
            put(record, BODY, term);
            put(record, BODY + 8, vote);
        });
        let state = read_all(&open(&fs).unwrap()).unwrap()[&GROUP].hard_state;
        assert_eq!((state.term.get(), state.vote.map_or(0, NodeId::get)), (term, vote));
    }
}

#[test]
fn a_commit_index_beyond_the_log_is_refused_f17() {
    let found = refused_for(true, |record| put(record, BODY + 16, 6));
    let (commit, last) = (LogIndex::new(6), LogIndex::new(5));
    assert_eq!(found, Damage::CommitPastEnd { group: GROUP, commit, last });
}

/// The hard state is of term 1, the entries behind it of term 9.
#[test]
fn an_entry_of_a_later_term_than_the_hard_state_is_refused_f17() {
    let found = refused_for(false, |record| put(record, BODY + 24 + 8, 9));
    assert_eq!(found, Damage::StaleTerm { group: GROUP, hard_state: Term::new(1), last: Term::new(9) });
}

#[test]
fn entries_that_leave_a_gap_are_refused_f17() {
    let found = refused_for(false, |record| put(record, BODY + 24, 4));
    let (expected, found_first) = (LogIndex::new(3), LogIndex::new(4));
    assert_eq!(found, Damage::Gap { group: GROUP, expected, found: found_first });
}

/// The newest link lets go of a segment with entries that no mark makes up for.
#[test]
fn a_log_whose_beginning_was_let_go_too_early_is_refused_f17() {
    let (fs, models) = closed_with_segments();
    let last = models[&GROUP].last();
    let newest = (1..).take_while(|seq| fs.content(segment(*seq)).is_some()).last().unwrap();
    for first_live in [2, 3] {
        let image = fs.after_process_death();
        image.edit(segment(newest), |bytes| {
            let place = LINK + BODY + 12;
            bytes[place..place + 4].copy_from_slice(&u32::to_le_bytes(first_live));
            make_fit(bytes, LINK);
        });
        let Damage::Gap { group, expected, found } = damage(&refused(&image)).2 else { panic!("no gap") };
        assert_eq!((group, expected), (GROUP, LogIndex::new(1)));
        assert!(found > expected && found <= last, "{found}");
    }
}

#[test]
fn a_link_to_another_segment_than_the_one_before_is_refused_f7() {
    let (fs, _) = closed_with_segments();
    for previous in [0, 1, 3, 9] {
        let image = fs.after_process_death();
        image.edit(segment(3), |bytes| {
            bytes[LINK + BODY..LINK + BODY + 4].copy_from_slice(&u32::to_le_bytes(previous));
            make_fit(bytes, LINK);
        });
        let (path, _, found) = damage(&refused(&image));
        assert_eq!((path, found), (segment(3), Damage::Content), "{previous}");
    }
}

/// Where the log leaves a segment, it says what the last record there was.
#[test]
fn a_link_to_another_end_of_the_segment_before_is_refused_f7() {
    let (fs, _) = closed_with_segments();
    fs.edit(segment(3), |bytes| {
        bytes[LINK + BODY + 8] ^= 1;
        make_fit(bytes, LINK);
    });
    let (path, _, found) = damage(&refused(&fs));
    assert_eq!(path, segment(2));
    assert!(matches!(found, Damage::Chain { .. }), "{found}");
}

/// Links are where segments begin and nowhere else: a request that passed for one would be passed over.
#[test]
fn a_record_of_a_kind_that_does_not_belong_there_is_refused_f7() {
    assert_eq!(refused_for(false, |record| record[KIND] = 1), Damage::Content);
    let (fs, _) = forged(false, |_| ());
    fs.edit(segment(1), |bytes| {
        bytes[LINK + KIND] = 2;
        make_fit(bytes, LINK);
    });
    assert_eq!(damage(&refused(&fs)), (segment(1), LINK as u64, Damage::Content));
}

/// One request with entries of two terms, of which the first is made the later one.
#[test]
fn entries_whose_terms_fall_within_a_request_are_refused_f17() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    let mut batches = entries(1, 1, 2, 100);
    entries(2, 3, 2, 100).into_iter().for_each(|batch| batches.push(batch));
    log.persist(Persist { entries: batches, hard_state: hard_state(2, 1, 0), ..request(1) }).unwrap();
    drop(log);
    wal.close().unwrap();
    assert_eq!(read_all(&open(&fs.after_process_death()).unwrap()).unwrap()[&GROUP].last().get(), 4);
    fs.edit(segment(1), |bytes| {
        put(bytes, FIRST + BODY + 24 + 8, 9);
        make_fit(bytes, FIRST);
    });
    let (_, offset, found) = damage(&refused(&fs));
    assert_eq!((offset, found), (FIRST as u64, Damage::Content));
}

/// F4: among what a segment held in a former life, a checksum fits by chance now and then. Only a header
/// that can be right where it stands proves that the log had gone on.
#[test]
fn a_header_with_numbers_that_cannot_be_right_in_its_place_proves_nothing_f3_f4() {
    let (fs, last) = forged(true, |_| ());
    let place = last.end + 160;
    let capacity = fs.content(segment(1)).unwrap().len();
    let durable = |number: usize| (DURABLE, number);
    let cases = [
        (durable(place), true),
        (durable(place + 8), false),
        (durable(place - 4), false),
        (durable(LINK - 8), false),
        ((LENGTH, capacity - place - BODY), true),
        ((LENGTH, capacity - place - BODY + 1), false),
    ];
    for ((at, number), can_be_right) in cases {
        let image = fs.after_process_death();
        image.edit(segment(1), |bytes| {
            bytes.copy_within(last.clone(), place);
            bytes[place + DURABLE..place + DURABLE + 4].copy_from_slice(&number32(place));
            bytes[place + at..place + at + 4].copy_from_slice(&number32(number));
            make_fit(bytes, place);
        });
        let opened = open(&image);
        assert_eq!(opened.is_err(), can_be_right, "{number} at {at}: {opened:?}");
        if let Ok(wal) = opened {
            assert_eq!(wal.recovery().torn_tail, None);
        }
    }
}

fn number32(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap().to_le_bytes()
}

#[test]
fn parts_that_nobody_knows_and_lengths_past_the_file_are_refused_f7() {
    assert_eq!(refused_for(true, |record| record[PARTS] |= 1 << 6), Damage::Content);
    assert_eq!(refused_for(true, |record| record[LENGTH] += 8), Damage::Content, "more than its parts");
    let found = refused_for(true, |record| record[LENGTH + 3] = 0x7f);
    assert!(matches!(found, Damage::Length { .. }), "{found}");
}

#[test]
fn a_batch_that_counts_other_than_it_has_is_refused_f17() {
    let count = BODY + 24 + 8 + 8;
    assert_eq!(refused_for(false, |record| record[count] += 1), Damage::Content);
    assert_eq!(refused_for(false, |record| record[count] -= 1), Damage::Content);
    assert_eq!(refused_for(false, |record| record[count] = 0), Damage::Content);
}

/// Where the numbers are of a segment's head, its link, and of its first records.
fn numbers(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut places: Vec<_> = (12..56).step_by(4).map(|place| (LINK, place)).collect();
    let mut at = LINK;
    for _ in 0..3 {
        let length = u32::from_le_bytes(bytes[at + LENGTH..at + PREVIOUS].try_into().unwrap()) as usize;
        places.extend((LENGTH..BODY + length.min(60)).step_by(4).map(|place| (at, at + place)));
        at = (at + BODY + length).next_multiple_of(8);
    }
    places
}

/// Whatever a number in a log is, with checksums that fit, opening and looking say what they find of it.
#[test]
fn no_number_makes_reading_a_log_panic_s103() {
    let (fs, _) = closed_with_segments();
    let mut refusals = 0;
    for seq in 1..=4 {
        let whole = fs.content(segment(seq)).unwrap();
        for (record, place) in numbers(&whole) {
            for number in [0, 1, 7, 0x00ff_0000, 0x7fff_ffff, 0xffff_fff8, u32::MAX] {
                let image = fs.after_process_death();
                image.edit(segment(seq), |bytes| {
                    bytes[place..place + 4].copy_from_slice(&number.to_le_bytes());
                    let crc = crc32c::crc32c(&bytes[..56]);
                    bytes[56..60].copy_from_slice(&crc.to_le_bytes());
                    make_fit(bytes, if place < LINK { LINK } else { record });
                });
                let look = Inspector::new(DIR).fs(Arc::new(image.clone())).inspect().unwrap();
                let read = open(&image)
                    .map_err(|error| error.to_string())
                    .and_then(|wal| read_all(&wal).map_err(|error| error.to_string()));
                let place = format!("{number:x} at {place} of segment {seq}");
                match &read {
                    Ok(_) => assert_ne!(look.outcome(), Outcome::Damaged, "{place}: {:?}", look.damages),
                    Err(error) => assert_eq!(look.outcome(), Outcome::Damaged, "{place}: {error}"),
                }
                refusals += u32::from(read.is_err());
            }
        }
    }
    assert!(refusals > 500, "{refusals}");
}
