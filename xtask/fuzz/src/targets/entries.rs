//! [`Entries`]: the layout that memory, wire and disk share.

use raft_core::bytes::Bytes;
use raft_core::{Entries, EntryKind, LogIndex, Term};

use crate::bytes::Choices;

pub(super) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let kind = KINDS[choices.below(KINDS.len())];
    // Near zero, or near the end of all indexes.
    let near = u64::from(choices.byte());
    let first = LogIndex::new(if near < 128 { near } else { u64::MAX - (near - 128) });
    let payloads = Bytes::copy_from_slice(choices.rest());
    let Ok(batch) = Entries::parse(first, Term::new(1), kind, payloads) else { return };
    let whole = list(&batch);
    assert_eq!((whole.len(), whole[0].0), (batch.count() as usize, first));
    assert_eq!((whole[whole.len() - 1].0, batch.last()), (batch.last_position().index, batch.last()));
    for at in 0..=whole.len() {
        let index = LogIndex::new(first.get() + at as u64);
        assert_part(batch.suffix_from(index), &whole[at..]);
        assert_part(batch.clone().into_suffix_from(index), &whole[at..]);
        assert_part(batch.prefix_before(index), &whole[..at]);
    }
    for bytes_max in 0..=batch.byte_count() {
        let prefix = batch.prefix_within(bytes_max);
        assert!(prefix.byte_count() <= bytes_max || prefix.count() == 1, "{prefix:?}");
        assert_eq!(list(&prefix), whole[..prefix.count() as usize]);
    }
    let hollow = batch.clone().into_hollow();
    assert_eq!((hollow.first(), hollow.last()), (batch.first(), batch.last()));
    assert_reparses(&hollow);
}

/// A part holds what the list holds there, and is a batch of its own; there is no empty one.
fn assert_part(part: Option<Entries>, expected: &[(LogIndex, Vec<u8>)]) {
    let Some(part) = part else { return assert!(expected.is_empty(), "{expected:?} is missing") };
    assert_eq!(list(&part), expected);
    assert_reparses(&part);
}

fn assert_reparses(batch: &Entries) {
    let again = Entries::parse(batch.first(), batch.term(), batch.kind(), batch.payloads().clone());
    assert_eq!(again.as_ref(), Ok(batch));
}

fn list(batch: &Entries) -> Vec<(LogIndex, Vec<u8>)> {
    batch.iter().map(|entry| (entry.index, entry.payload.to_vec())).collect()
}

const KINDS: [EntryKind; 4] =
    [EntryKind::Command, EntryKind::Empty, EntryKind::Membership, EntryKind::Hollow];
