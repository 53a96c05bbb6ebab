//! What a witness is sent, against a model that counts copies by hand.

use std::collections::BTreeMap;

use proptest::prelude::*;
use raft_core::{Body, EntryKind, Member, Membership};

use crate::support::{Peer, append_reply, config, heartbeat_reply, node};

/// One thing that happens at the leader, node 1.
#[derive(Clone, Copy, Debug)]
enum Step {
    Propose,
    /// A full voter has so many entries more, as far as there are so many.
    Acknowledge(u64, u64),
    /// A full voter is heard and has nothing new.
    Answer(u64),
    Pass(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Propose),
        4 => (2..=4_u64, 1..6_u64).prop_map(|(id, more)| Step::Acknowledge(id, more)),
        2 => (2..=4_u64).prop_map(Step::Answer),
        3 => (1..8_u32).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..60)
}

/// What the leader knows of a full voter.
#[derive(Clone, Copy, Debug)]
struct Copy {
    matched: u64,
    is_heard: bool,
    is_in_sync: bool,
}

#[derive(Debug)]
struct Model {
    copies: BTreeMap<u64, Copy>,
    voters: usize,
    due: u64,
    ticks: u32,
}

/// A leader checks what it heard this often, in ticks.
const CHECK: u32 = 10;

impl Model {
    fn new(full: u64, voters: usize) -> Self {
        let copy = Copy { matched: 0, is_heard: true, is_in_sync: true };
        Self { copies: (1..=full).map(|id| (id, copy)).collect(), voters, due: 0, ticks: 0 }
    }

    fn hear(&mut self, id: u64, matched: u64) {
        let due = self.due;
        if let Some(copy) = self.copies.get_mut(&id) {
            copy.matched = copy.matched.max(matched);
            copy.is_heard = true;
            copy.is_in_sync |= copy.matched >= due;
        }
    }

    fn tick(&mut self, durable: u64) {
        self.ticks += 1;
        if self.ticks.is_multiple_of(CHECK) {
            self.hear(1, durable);
            for copy in self.copies.values_mut() {
                copy.is_in_sync &= copy.is_heard && copy.matched >= self.due;
                copy.is_heard = false;
            }
            self.due = durable;
        }
    }

    /// The highest entry that all copies in sync have, or a majority.
    fn bound(&self, last: u64) -> u64 {
        let in_sync = || self.copies.values().filter(|copy| copy.is_in_sync);
        let holders = |index: u64| in_sync().filter(|copy| copy.matched >= index).count();
        let is_safe = |index: &u64| holders(*index) == in_sync().count() || holders(*index) * 2 > self.voters;
        (0..=last).rev().find(is_safe).expect("everybody has entry 0")
    }
}

/// The witnesses acknowledge all that they are sent, until there is nothing more.
fn answer_for(leader: &mut Peer, witnesses: &[u64]) {
    for witness in witnesses {
        loop {
            let bodies = leader.take_bodies(*witness);
            let ends = bodies.iter().filter_map(|body| match body {
                Body::Append(append) => Some(append.batches.last().unwrap_or(append.prev.index).get()),
                _ => None,
            });
            let Some(end) = ends.max() else { break };
            let kinds = bodies.iter().filter_map(|body| match body {
                Body::Append(append) => Some(append.batches.entries().map(|entry| entry.kind)),
                _ => None,
            });
            assert!(kinds.flatten().all(|kind| kind != EntryKind::Command), "{bodies:?}");
            leader.hear(*witness, 1, append_reply(0, end, end));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// A witness is sent exactly what enough full voters that keep up have, no more and no less, at
    /// every moment.
    #[test]
    fn a_witness_is_sent_exactly_what_enough_copies_have(full in 2..=4_u64, few: bool, steps in steps()) {
        let witnesses: Vec<u64> = (10..10 + if few { 1 } else { full - 1 }).collect();
        let members = (1..=full).map(|id| Member::voter(node(id)));
        let members = members.chain(witnesses.iter().map(|id| Member::witness(node(*id))));
        let membership = Membership::new(members.collect()).expect("full voters are among them");
        let mut config = config(1);
        config.check_quorum = false;
        let mut leader = Peer::found(config, membership);
        let voters = usize::try_from(full).expect("few") + witnesses.len();
        let helpers: Vec<u64> = (2..=full).chain(witnesses.iter().copied()).collect();
        leader.win(&helpers);
        // What was sent during the election is answered, or nothing more would be.
        helpers.iter().for_each(|id| leader.hear(*id, 1, append_reply(0, 0, 0)));
        let mut model = Model::new(full, voters);
        let mut sent = 0;
        for step in steps {
            let last = leader.raft.last().index.get();
            match step {
                Step::Propose => drop(leader.propose(b"x")),
                Step::Acknowledge(id, more) if id <= full => {
                    let has = (model.copies[&id].matched + more).min(last);
                    leader.hear(id, 1, append_reply(0, has, has));
                    model.hear(id, has);
                }
                Step::Answer(id) if id <= full => {
                    let has = model.copies[&id].matched;
                    leader.hear(id, 1, heartbeat_reply(0, has, has));
                    model.hear(id, has);
                }
                Step::Acknowledge(..) | Step::Answer(_) => {}
                Step::Pass(ticks) => {
                    for _ in 0..ticks {
                        leader.tick(1);
                        model.tick(last);
                        sent = sent.max(model.bound(last));
                    }
                }
            }
            let last = leader.raft.last().index.get();
            model.hear(1, last);
            answer_for(&mut leader, &witnesses);
            sent = sent.max(model.bound(last));
            for witness in &witnesses {
                let next = leader.progress(*witness).next.get();
                prop_assert_eq!(next - 1, sent, "witness {} after {:?}: {:?}", witness, step, model);
            }
        }
    }
}
