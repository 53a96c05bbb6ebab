//! The same inputs give the same actions, byte for byte (D8).

use raft_core::{Action, Membership, Message, Raft};

use crate::support::{Dice, config, message, node, voters};

/// A node and what it did; its messages are kept as material for later inputs.
#[derive(Clone, Debug)]
struct Recorded {
    raft: Raft,
    dice: Dice,
    actions: Vec<Action>,
    replies: Vec<Message>,
}

impl Recorded {
    fn new(seed: u64, membership: Membership) -> Self {
        let mut config = config(1);
        config.seed = seed;
        (config.append_bytes_max, config.tail_bytes_max) = (40, 400);
        let raft = Raft::found(config, membership).expect("a valid configuration");
        Self { raft, dice: Dice::new(seed), actions: Vec::new(), replies: Vec::new() }
    }

    /// One random input, drawn from this run's own dice.
    fn step(&mut self) {
        match self.dice.below(12) {
            0..=3 => self.raft.tick(),
            4 => drop(self.raft.propose(b"payload")),
            5 => drop(self.raft.forward(b"payload")),
            6 => drop(self.raft.read()),
            7 => drop(self.raft.campaign()),
            8 => self.raft.unreachable(node(1 + self.dice.below(3))),
            _ if self.replies.is_empty() => self.raft.tick(),
            _ => {
                let at = self.dice.place(self.replies.len());
                let reply = self.replies.swap_remove(at);
                self.raft.receive(reply);
            }
        }
        if self.dice.once_in(3) {
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Some(action) = self.raft.poll_action() {
            match &action {
                Action::Persist(request) => self.raft.persisted(request.id),
                Action::Apply(batches) => self.raft.applied(batches.last().expect("never empty")),
                Action::Send(sent) => {
                    // Whoever is asked agrees.
                    let (from, term) = (sent.to.get(), sent.term.get());
                    let agreed = match &sent.body {
                        raft_core::Body::PreVote(vote) => {
                            Some(raft_core::Body::PreVoteReply(raft_core::VoteReply {
                                campaign: vote.campaign,
                                granted: true,
                            }))
                        }
                        raft_core::Body::Vote(vote) => {
                            Some(raft_core::Body::VoteReply(raft_core::VoteReply {
                                campaign: vote.campaign,
                                granted: true,
                            }))
                        }
                        raft_core::Body::Append(append) => {
                            let last = append.batches.last().unwrap_or(append.prev.index).get();
                            Some(crate::support::append_reply(append.round, last, last))
                        }
                        raft_core::Body::Heartbeat(beat) => {
                            Some(crate::support::heartbeat_reply(beat.round, 0, 0))
                        }
                        _ => None,
                    };
                    self.replies.extend(agreed.map(|body| message(from, 1, term, body)));
                }
                Action::Load(_)
                | Action::TakeSnapshot(_)
                | Action::LoadChunk(_)
                | Action::StoreChunk(_)
                | Action::RestoreSnapshot(_)
                | Action::ReadReady { .. }
                | Action::ReadRefused { .. }
                | Action::Forwarded { .. }
                | Action::Notice(_) => {}
            }
            self.actions.push(action);
        }
    }
}

#[test]
fn the_same_inputs_give_the_same_actions() {
    let mut leaders = 0;
    for seed in 0..50 {
        let mut runs = [Recorded::new(seed, voters(3)), Recorded::new(seed, voters(3))];
        for run in &mut runs {
            for _ in 0..400 {
                run.step();
            }
        }
        let [first, second] = &runs;
        assert_eq!(first.actions, second.actions);
        assert_eq!(format!("{:?}", first.raft), format!("{:?}", second.raft));
        leaders += u32::from(first.raft.is_leader());
    }
    assert!(leaders > 10, "only {leaders} runs had a leader in the end");
}

/// A clone taken anywhere, also between inputs and their outputs, goes on in the same way.
#[test]
fn a_clone_goes_on_like_the_original() {
    for seed in 0..50 {
        let mut original = Recorded::new(seed, voters(3));
        for _ in 0..seed * 5 {
            original.step();
        }
        let mut clone = original.clone();
        for _ in 0..300 {
            original.step();
            clone.step();
        }
        assert_eq!(original.actions, clone.actions, "seed {seed}");
    }
}

/// Another seed draws other timeouts, within their bounds.
#[test]
fn timeouts_are_drawn_from_the_seed() {
    let timeout = |seed| {
        let mut run = Recorded::new(seed, voters(3));
        (1..).find(|_| {
            run.raft.tick();
            run.drain();
            run.raft.role() != raft_core::RoleName::Follower
        })
    };
    let timeouts: std::collections::BTreeSet<_> = (0..200).filter_map(timeout).collect();
    assert_eq!(timeouts, (10..=20).collect());
}
