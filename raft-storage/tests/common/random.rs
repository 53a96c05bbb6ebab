//! Workloads drawn from a seed: whatever requests a store may get, in any order.

#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use std::collections::BTreeMap;

use raft_core::{Batches, HardState, LogIndex, Persist, Term};

use super::{Model, Step, compact, entries, hard_state, request, reset};

/// Draws numbers (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

/// So many steps of two groups.
pub(crate) fn steps(random: &mut Random, count: usize) -> Vec<Step> {
    let mut groups: BTreeMap<u64, Model> = BTreeMap::new();
    let mut steps = Vec::new();
    for id in 1..=count as u64 {
        match random.below(16) {
            0..=9 => {
                let group = 1 + random.below(2);
                let model = groups.entry(group).or_default();
                let request = draw(random, model, id);
                model.apply(&request);
                steps.push(Step::Persist(group, request));
            }
            10..=13 => steps.push(Step::Flush),
            14 => steps.push(Step::SyncMark),
            _ => steps.push(Step::Reopen),
        }
    }
    steps.push(Step::Flush);
    steps
}

fn draw(random: &mut Random, model: &Model, id: u64) -> Persist {
    let term = model.hard_state.term.get().max(1);
    let begin = model.mark.as_ref().map_or(0, |mark| mark.last.index.get());
    let last = model.last().get();
    match random.below(12) {
        // To begin again at zero fills segments with what was in them before.
        0 => Persist { mark: Some(reset(0, 0)), hard_state: voted(term, 0), ..request(id) },
        1 => {
            let index = last + random.below(5);
            Persist { mark: Some(reset(term, index)), hard_state: voted(term, index), ..request(id) }
        }
        2 | 3 if !model.entries.is_empty() => {
            let (index, term, _) = &model.entries[random.below(model.entries.len() as u64) as usize];
            Persist { mark: Some(compact(term.get(), index.get())), ..request(id) }
        }
        4 if last > begin => {
            let from = begin + 1 + random.below(last - begin);
            let entries = some_entries(random, term + 1, from);
            let commit = model.hard_state.commit.get().min(from - 1);
            let hard_state = voted(term + 1, commit);
            let truncate_from = Some(LogIndex::new(from));
            Persist { truncate_from, entries, hard_state, ..request(id) }
        }
        5 => Persist { hard_state: voted(term + random.below(2), last), ..request(id) },
        _ => {
            let needs_term = model.hard_state.term == Term::ZERO;
            let hard_state = voted(term, last).filter(|_| needs_term || random.below(2) == 0);
            Persist { entries: some_entries(random, term, last + 1), hard_state, ..request(id) }
        }
    }
}

/// One vote in each term.
fn voted(term: u64, commit: u64) -> Option<HardState> {
    hard_state(term, 1 + term % 3, commit)
}

fn some_entries(random: &mut Random, term: u64, first: u64) -> Batches {
    let (count, bytes) = match random.below(6) {
        0 => (1, 0),
        1 => (1, 30),
        2 => (3, 200),
        3 => (2, 1500),
        // Two of these fill a segment.
        _ => (12, 900),
    };
    entries(term, first, count, bytes)
}
