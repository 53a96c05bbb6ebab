//! Random requests, crashes and waits, compared with a plain list.

use alloc::vec;

use super::Bench;
use super::model::{Model, batch_of, compact, hard_state, persist, poll, recover, request, reset};
use crate::words::batches::Batches;
use crate::words::entries::EntryKind;
use crate::words::ids::{LogIndex, NodeId, Position, Term};
use crate::words::persist::Persist;

/// Any sequence of requests leaves what the same sequence leaves in a plain list; after a crash, a
/// first part of it that has all that was reported.
///
/// # Panics
///
/// If it does not; the message names the seed.
pub fn random_requests_match_a_plain_list<B: Bench>(bench: &mut B, seed: u64) {
    let mut random = Random(seed);
    let mut states = vec![Model::default()];
    let mut id = 0;
    for _ in 0..8 {
        let mut store = bench.open();
        let found = recover(&mut store);
        let Some(survived) = states.iter().rposition(|state| state.recovered() == found) else {
            panic!("seed {seed}: recovered {found:?}, which no request left behind");
        };
        let mut state = states.swap_remove(survived);
        state.check(&mut store);
        // States before the newest reported one are not acceptable after the next crash.
        states = vec![state.clone()];
        let mut newest_reported = id;
        for _ in 0..random.below(12) {
            id += 1;
            let new = random_request(&mut random, &state, id);
            state.apply(&new);
            states.push(state.clone());
            persist(&mut store, new);
            if random.below(3) == 0 {
                bench.settle(&mut store);
            }
            if let Some(reported) = poll(&mut store) {
                let newly = usize::try_from(reported.get() - newest_reported).expect("a short run");
                states.drain(..newly);
                newest_reported = reported.get();
            }
            if random.below(4) == 0 {
                state.check(&mut store);
            }
        }
        bench.crash(store);
    }
}

fn random_request(random: &mut Random, state: &Model, id: u64) -> Persist {
    let mut new = request(id);
    let (mut start, mut last) = (state.mark_position(), state.last());
    let term = state.hard_state.term.get() + u64::from(random.below(4) == 0);
    let mut commit = state.hard_state.commit.get();
    if random.below(12) == 0 {
        let index = last.index.get() + random.below(5);
        new.mark = Some(reset(term, index));
        start = Position::new(Term::new(term), LogIndex::new(index));
        last = start;
        commit = commit.max(index);
    } else if random.below(8) == 0
        && let Some(at) = usize::try_from(random.below(state.entries.len() as u64 + 4)).ok()
        && let Some(entry) = state.entries.get(at)
    {
        new.mark = Some(compact(entry.term.get(), entry.index.get()));
        start = Position::new(entry.term, entry.index);
        commit = commit.max(entry.index.get());
    }
    if random.below(4) == 0 && last.index > start.index.max(LogIndex::new(commit)) {
        let from = start.index.get().max(commit) + 1;
        let from = from + random.below(last.index.get() - from + 1);
        new.truncate_from = Some(LogIndex::new(from));
        last.index = LogIndex::new(from - 1);
    }
    if random.below(5) != 0 {
        let mut batches = Batches::new();
        for _ in 0..=random.below(3) {
            let (kind, bytes_end) = match random.below(4) {
                0 => (EntryKind::Empty, 300),
                1 => (EntryKind::Hollow, 1),
                _ => (EntryKind::Command, 300),
            };
            let (count, bytes) = (1 + random.below(20), random.below(bytes_end));
            let bytes = usize::try_from(bytes).expect("small");
            batches.push(batch_of(kind, term, last.index.get() + 1, count, bytes));
            last.index = LogIndex::new(last.index.get() + count);
        }
        new.entries = batches;
    }
    commit += random.below(last.index.get().saturating_sub(commit) + 1);
    let drawn = random.below(4);
    // A vote stays for the rest of its term.
    let given = state.hard_state.vote.filter(|_| term == state.hard_state.term.get());
    new.hard_state = Some(hard_state(term, given.map_or(drawn, NodeId::get), commit));
    new
}

/// Splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }
}
