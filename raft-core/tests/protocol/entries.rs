//! Entries and batches: one layout in memory, on the wire and on disk (D4).

use proptest::collection::vec;
use proptest::prelude::*;
use raft_core::bytes::Bytes;
use raft_core::{Batches, Entries, EntriesBuilder, EntriesError, EntryKind};

use crate::support::{at, batch, batches, index, term};

fn parse(bytes: &[u8]) -> Result<Entries, EntriesError> {
    Entries::parse(index(1), term(1), EntryKind::Command, Bytes::copy_from_slice(bytes))
}

fn build(first: u64, payloads: &[Vec<u8>]) -> Entries {
    let mut builder = EntriesBuilder::default();
    for payload in payloads {
        builder.push(payload).expect("not too long");
    }
    assert_eq!((builder.count() as usize, builder.is_empty()), (payloads.len(), payloads.is_empty()));
    builder.take(at(3, first), EntryKind::Command).expect("not empty")
}

fn contents(entries: &Entries) -> Vec<(u64, Vec<u8>)> {
    entries.iter().map(|entry| (entry.index.get(), entry.payload.to_vec())).collect()
}

#[test]
fn a_batch_is_each_payload_behind_its_length() {
    let long = vec![7; 200];
    let entries = build(5, &[b"ab".to_vec(), vec![], long.clone()]);
    let mut expected = b"\x02ab\x00\xc8\x01".to_vec();
    expected.extend(&long);
    assert_eq!(entries.payloads()[..], expected);
    assert_eq!(contents(&entries), [(5, b"ab".to_vec()), (6, vec![]), (7, long)]);
    assert_eq!((entries.first(), entries.last_position(), entries.count()), (index(5), at(3, 7), 3));
    assert_eq!(entries.clone().into_payloads().len(), entries.byte_count());
}

/// One length has one spelling, so equal batches are equal bytes.
#[test]
fn lengths_have_one_spelling() {
    for bytes in [&b"\x80\x00"[..], b"\x81\x00x", b"\x80\x80\x00", b"\x80\x80\x80\x80\x80\x01"] {
        assert_eq!(parse(bytes), Err(EntriesError::Length), "{bytes:?}");
    }
    assert_eq!(parse(b"\x00").map(|entries| entries.count()), Ok(1));
}

/// N1, N12: every way of not being a batch is told apart.
#[test]
fn malformed_batches_are_refused() {
    assert_eq!(parse(b""), Err(EntriesError::Empty));
    for bytes in
        [&b"\x01"[..], b"\x02a", b"\x01a\x05bc", b"\x80", b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x1f"]
    {
        assert_eq!(parse(bytes), Err(EntriesError::Length), "{bytes:?}");
    }
    let at_the_end = |first: u64| {
        Entries::parse(index(first), term(1), EntryKind::Command, Bytes::from_static(b"\x00\x00"))
    };
    assert_eq!(at_the_end(u64::MAX - 1), Err(EntriesError::Range));
    assert_eq!(at_the_end(u64::MAX - 2).map(|entries| entries.last()), Ok(index(u64::MAX - 1)));
    assert_eq!(Entries::single(at(1, u64::MAX), EntryKind::Empty, b""), Err(EntriesError::Range));
    for error in [EntriesError::Empty, EntriesError::Length, EntriesError::Range] {
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn a_builder_hands_out_what_was_pushed_since() {
    let mut builder = EntriesBuilder::default();
    assert!(builder.take(at(1, 1), EntryKind::Command).is_none());
    builder.push(b"a").expect("short");
    let copy = builder.clone();
    let first = builder.take(at(1, 1), EntryKind::Command).expect("one");
    builder.push(b"b").expect("short");
    assert_eq!((builder.byte_count(), builder.take_payloads()), (2, Bytes::from_static(b"\x01b")));
    builder.push(b"c").expect("short");
    builder.clear();
    assert!(builder.is_empty() && builder.take(at(1, 2), EntryKind::Command).is_none());
    let mut copy = copy;
    assert_eq!(copy.take(at(1, 1), EntryKind::Command), Some(first));
}

/// S19: batches follow each other without a gap and without a step down in term.
#[test]
fn batches_do_not_leave_gaps() {
    let mut joined = Batches::new();
    assert!(joined.is_empty() && joined.first().is_none() && joined.last().is_none());
    joined.push(batch(2, 4, 3));
    for wrong in [batch(2, 6, 1), batch(2, 8, 1), batch(1, 7, 1), batch(2, 4, 3)] {
        assert_eq!(joined.try_push(wrong.clone()), Err(wrong));
    }
    joined.try_push(batch(3, 7, 2)).expect("follows");
    assert_eq!((joined.first(), joined.last(), joined.entry_count()), (Some(index(4)), Some(index(8)), 5));
    assert_eq!(joined.byte_count(), joined.iter().map(Entries::byte_count).sum::<usize>());
    assert_eq!(joined, batches(3, &[2, 2, 2, 3, 3]));
    assert_eq!(joined.clone().into_iter().count(), 2);
    assert_eq!(Batches::from(batch(2, 4, 3)).entries().count(), 3);
}

proptest! {
    /// Whatever is pushed comes out again, also after a trip through the layout.
    #[test]
    fn what_is_built_is_what_is_parsed(first in 1..1000u64, payloads in vec(vec(any::<u8>(), 0..300), 1..20)) {
        let entries = build(first, &payloads);
        let expected: Vec<_> = (first..).zip(payloads).collect();
        prop_assert_eq!(contents(&entries), expected);
        let bytes = entries.payloads().clone();
        prop_assert_eq!(Entries::parse(index(first), term(3), EntryKind::Command, bytes), Ok(entries));
    }

    /// A batch can be cut anywhere, and the parts are what they were.
    #[test]
    fn a_batch_can_be_cut_anywhere(payloads in vec(vec(any::<u8>(), 0..200), 1..20), cut in 0..25u64) {
        let whole = build(3, &payloads);
        let contents_whole = contents(&whole);
        let (before, behind) = (whole.prefix_before(index(cut)), whole.suffix_from(index(cut)));
        let mut joined = before.as_ref().map(contents).unwrap_or_default();
        prop_assert!(before.iter().all(|part| part.last() < index(cut) || cut > whole.last().get()));
        joined.extend(behind.as_ref().map(contents).unwrap_or_default());
        prop_assert_eq!(joined, contents_whole);
        for part in before.iter().chain(&behind) {
            let again = Entries::parse(part.first(), part.term(), part.kind(), part.payloads().clone());
            prop_assert_eq!(again.as_ref(), Ok(part));
        }
    }

    /// A prefix by size is the longest that fits, and at least one entry.
    #[test]
    fn a_prefix_within_a_size_is_the_longest(payloads in vec(vec(any::<u8>(), 0..200), 1..20), max in 0..2000usize) {
        let whole = build(3, &payloads);
        let part = whole.prefix_within(max);
        prop_assert!(part.byte_count() <= max || part.count() == 1);
        if let Some(one_more) = whole.prefix_before(part.last().next().next()) && one_more != part {
            prop_assert!(one_more.byte_count() > max);
        }
    }

    /// N1: bytes from anywhere are a batch or an error, and what is a batch has this one spelling.
    #[test]
    fn arbitrary_bytes_never_break_the_parser(bytes in vec(prop_oneof![0..4u8, any::<u8>()], 0..60)) {
        if let Ok(entries) = parse(&bytes) {
            let payloads: Vec<_> = entries.iter().map(|entry| entry.payload.to_vec()).collect();
            prop_assert_eq!(payloads.len(), entries.count() as usize);
            prop_assert_eq!(build(1, &payloads).into_payloads(), bytes);
        }
    }
}
