//! A network that duplicates, against one that does not: the same happens (S22).

use raft_core::{Config, LogIndex, Membership, MembershipChange, Message, NodeId, RoleName, Term};

use crate::support::{Applied, Cluster, Dice, Peer, config, node, voters};

/// What the owner of a cluster does, the same in both worlds.
#[derive(Clone, Copy, Debug)]
enum Step {
    Propose,
    /// Nobody hears anybody for a while, so no leader is left, and this one campaigns.
    Campaign(u64),
    /// This one is cut off, until another step says so.
    Isolate(u64),
    Heal,
    Restart(u64),
    /// This one becomes a learner, or a voter again, unless it leads.
    Change(u64, bool),
}

/// All of a node that others could tell.
#[derive(Debug, PartialEq)]
struct Picture {
    role: RoleName,
    term: Term,
    vote: Option<NodeId>,
    leader: Option<NodeId>,
    log: Vec<u64>,
    commit: LogIndex,
    durable: LogIndex,
    membership: Membership,
    applied: Vec<Applied>,
}

impl Picture {
    fn of(peer: &Peer) -> Self {
        let status = peer.status();
        Self {
            role: status.role,
            term: status.term,
            vote: status.vote,
            leader: status.leader,
            log: peer.log_terms(),
            commit: status.commit,
            durable: status.durable,
            membership: status.membership,
            applied: peer.applied.clone(),
        }
    }
}

/// Nobody campaigns but by hand: timeouts are drawn anew whenever a leader is heard for the first
/// time, so a duplicate may well move one.
fn patient(id: u64, has_pre_vote: bool) -> Config {
    let mut config = config(id);
    config.election_timeout_ticks_max = 1 << 30;
    config.pre_vote = has_pre_vote;
    config
}

fn steps(dice: &mut Dice) -> Vec<Step> {
    let mut step = |_| {
        let id = 1 + dice.below(COUNT);
        match dice.below(12) {
            0..=4 => Step::Propose,
            5 | 6 => Step::Campaign(id),
            7 | 8 => Step::Isolate(id),
            9 => Step::Heal,
            10 => Step::Restart(id),
            _ => Step::Change(id, dice.once_in(2)),
        }
    };
    (0..30).map(&mut step).collect()
}

/// A cluster and its network.
struct World {
    cluster: Cluster,
    /// Decides how often a message comes, if it may come more than once.
    dice: Option<Dice>,
    /// Copies that come later, in any order, perhaps in another term.
    late: Vec<Message>,
    copies: u64,
}

impl World {
    fn new(has_pre_vote: bool, dice: Option<Dice>) -> Self {
        let peers = (1..=COUNT).map(|id| Peer::found(patient(id, has_pre_vote), voters(COUNT)));
        Self { cluster: Cluster::from_peers(peers), dice, late: Vec::new(), copies: 0 }
    }

    fn step(&mut self, step: Step) {
        let leader = self.cluster.leader().unwrap_or(1);
        match step {
            Step::Propose => {
                let payload = self.cluster.peer(leader).raft.last().to_string();
                self.cluster.with(leader, |peer| {
                    let _ = peer.raft.propose(payload.as_bytes());
                    peer.drain();
                });
            }
            Step::Campaign(id) => {
                for id in self.cluster.ids() {
                    self.cluster.with(id, |peer| peer.tick(20));
                }
                self.cluster.lose_all();
                self.cluster.with(id, |peer| {
                    let _ = peer.raft.campaign();
                    peer.drain();
                });
            }
            Step::Isolate(id) => {
                self.cluster.heal();
                self.cluster.partition(&[id]);
            }
            Step::Heal => self.cluster.heal(),
            Step::Restart(id) => {
                self.cluster.restart(id);
                self.cluster.with(id, Peer::drain);
            }
            // A leader that leaves hands over, which is an election.
            Step::Change(id, _) if id == leader => {}
            Step::Change(id, is_voter) => {
                let change = MembershipChange::new();
                let id = node(id);
                let change = if is_voter { change.voter(id) } else { change.learner(id) };
                let _ = self.cluster.with(leader, |peer| peer.change(&change));
            }
        }
        self.settle(matches!(step, Step::Campaign(_)));
        for _ in 0..2 {
            // What is committed is told to everybody, and what was lost is found out.
            if let Some(leader) = self.cluster.leader() {
                self.cluster.with(leader, |peer| peer.tick(1));
            }
            self.settle(false);
        }
    }

    /// Delivers everything that is under way: once, or many times, now and later.
    ///
    /// Late copies come before or after an election: a heartbeat is taken for a sign of life whenever
    /// it comes, so that of a leader which fell silent may cost a candidate a vote.
    fn settle(&mut self, is_election: bool) {
        let mut deliveries = 0;
        while !self.cluster.bag.is_empty() {
            let message = self.cluster.bag.remove(0);
            // Copies lead to answers, which are copied as well: somewhere there must be an end to it.
            let copies = if deliveries < DELIVERIES_MAX { self.copies(&message) } else { 1 };
            for _ in 0..copies {
                self.cluster.deliver(message.clone());
                if !is_election {
                    self.deliver_late();
                }
            }
            deliveries += copies;
            self.copies += copies - 1;
        }
    }

    /// How often a message comes now. It comes again later.
    fn copies(&mut self, message: &Message) -> u64 {
        let Some(dice) = &mut self.dice else { return 1 };
        // What is lost is lost with all its copies.
        if self.late.len() < LATE_MAX && !self.cluster.is_cut(message) {
            self.late.push(message.clone());
        }
        2 + if dice.once_in(10) { dice.below(49) } else { 0 }
    }

    fn deliver_late(&mut self) {
        let Some(dice) = &mut self.dice else { return };
        if !self.late.is_empty() && dice.once_in(3) {
            let message = self.late.swap_remove(dice.place(self.late.len()));
            self.cluster.deliver(message);
            self.copies += 1;
        }
    }

    fn pictures(&self) -> Vec<Picture> {
        self.cluster.peers.values().map(Picture::of).collect()
    }
}

/// S22, N9: every message comes two to fifty times, some of them much later, within and across terms.
/// After each step every node is what it is without that.
#[test]
fn a_network_that_duplicates_changes_nothing() {
    let (mut copies, mut terms, mut entries) = (0, 0, 0);
    for seed in 0..150 {
        let mut dice = Dice::new(seed);
        let has_pre_vote = dice.once_in(2);
        let mut once = World::new(has_pre_vote, None);
        let mut often = World::new(has_pre_vote, Some(Dice::new(seed + 1000)));
        let mut taken = Vec::new();
        for step in steps(&mut dice) {
            taken.push(step);
            once.step(step);
            often.step(step);
            assert_eq!(often.pictures(), once.pictures(), "seed {seed}, pre-vote {has_pre_vote}: {taken:?}");
        }
        let pictures = once.pictures();
        terms += pictures.iter().map(|picture| picture.term.get()).max().unwrap_or(0);
        entries += pictures.iter().map(|picture| picture.applied.len()).max().unwrap_or(0);
        copies += often.copies;
    }
    assert!(copies > 10_000 && terms > 300 && entries > 1000, "{copies} copies, {terms} terms, {entries}");
}

/// How many nodes there are.
const COUNT: u64 = 3;

/// So many deliveries within a step are copied; the rest comes once.
const DELIVERIES_MAX: u64 = 1000;

/// So many copies wait to come late.
const LATE_MAX: usize = 500;
