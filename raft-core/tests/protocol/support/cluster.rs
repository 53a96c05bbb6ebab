//! Several nodes around a bag of messages: a test delivers, drops, repeats and reorders them.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::{Body, Config, MembershipChange, Message, NodeId, RoleName, Term};
use raft_proto::prost::Message as _;
use raft_proto::v1;

use super::dice::Dice;
use super::make::{kind, node, small, voters};
use super::peer::{Applied, Peer};

/// A cluster whose messages move only when the test says so.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) peers: BTreeMap<u64, Peer>,
    /// Messages under way, oldest first.
    pub(crate) bag: Vec<Message>,
    /// Links that lose everything, each in one direction.
    cut: BTreeSet<(u64, u64)>,
    leaders: BTreeMap<Term, NodeId>,
    committed: Vec<Applied>,
}

impl Cluster {
    /// Founding voters 1 to `count` with the usual settings.
    pub(crate) fn of(count: u64) -> Self {
        Self::from_peers((1..=count).map(|id| Peer::voter(id, count)))
    }

    /// A cluster in which node 1 leads, everybody knows it, and nothing is under way.
    pub(crate) fn led(count: u64) -> Self {
        let mut cluster = Self::of(count);
        cluster.elect(1);
        cluster
    }

    /// As [`led`](Self::led), with chunks of four bytes, two of them on their way, and a log that ends
    /// where a snapshot does; what else is to be different.
    pub(crate) fn led_small(count: u64, change: impl Fn(&mut Config)) -> Self {
        let mut cluster = Self::of_small(count, change);
        cluster.elect(1);
        cluster
    }

    /// The same without a leader.
    pub(crate) fn of_small(count: u64, change: impl Fn(&mut Config)) -> Self {
        let settings = |id| {
            let mut config = small(id);
            change(&mut config);
            config
        };
        Self::from_peers((1..=count).map(|id| Peer::found(settings(id), voters(count))))
    }

    /// The leader, node 1, appends so many commands and takes a snapshot of all of them.
    pub(crate) fn fill(&mut self, commands: u64) {
        for _ in 0..commands {
            self.with(1, |peer| peer.propose(b"four"));
            self.settle();
        }
        self.with(1, Peer::take_snapshot);
    }

    /// Node 1 leads three with a snapshot of so many commands; node 3 has nothing of them, and two
    /// chunks are on their way to it.
    pub(crate) fn in_transfer(commands: u64) -> Self {
        let mut cluster = Self::led_small(3, |_| {});
        cluster.partition(&[3]);
        cluster.fill(commands);
        cluster.heal();
        cluster.with(1, |peer| peer.tick(1));
        cluster.settle_but("install snapshot");
        assert_eq!(cluster.bag.len(), 2);
        cluster
    }

    /// Everybody gets to the state of the leader.
    pub(crate) fn assert_caught_up(&mut self, leader: u64) {
        self.with(leader, |peer| peer.propose(b"last"));
        self.settle();
        self.tick(1);
        let state = self.peer(leader).state();
        for id in self.ids() {
            if !self.peer(id).raft.is_witness() {
                assert_eq!(self.peer(id).state(), state, "node {id}");
            }
        }
    }

    pub(crate) fn from_peers(peers: impl IntoIterator<Item = Peer>) -> Self {
        let peers = peers.into_iter().map(|peer| (peer.raft.id().get(), peer)).collect();
        let (cut, leaders) = (BTreeSet::new(), BTreeMap::new());
        Self { peers, bag: Vec::new(), cut, leaders, committed: Vec::new() }
    }

    /// Starts a node that has no past, and waits to be brought into the group.
    pub(crate) fn join(&mut self, id: u64) {
        self.peers.insert(id, Peer::join(small(id)));
    }

    /// Changes the membership through a node, and lets the cluster come to rest.
    pub(crate) fn change(&mut self, id: u64, change: &MembershipChange) {
        self.with(id, |peer| peer.change(change)).expect("leads and is settled");
        self.settle();
    }

    pub(crate) fn peer(&mut self, id: u64) -> &mut Peer {
        self.peers.get_mut(&id).expect("a node of this id")
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.peers.keys().copied().collect()
    }

    /// Lets a node do something, and collects what it sends.
    pub(crate) fn with<T>(&mut self, id: u64, input: impl FnOnce(&mut Peer) -> T) -> T {
        let result = input(self.peer(id));
        self.collect();
        result
    }

    /// Makes a node campaign, and lets the cluster come to rest.
    pub(crate) fn elect(&mut self, id: u64) {
        self.with(id, Peer::campaign);
        self.settle();
        assert!(self.peer(id).raft.is_leader(), "{:?}", self.peer(id).status());
    }

    /// Moves leadership, and lets the cluster come to rest.
    pub(crate) fn hand_over(&mut self, from: u64, to: u64) {
        self.with(from, |peer| peer.transfer(to)).expect("leads, and the other one votes");
        self.settle();
        assert!(self.peer(to).raft.is_leader(), "{:?}", self.peer(to).status());
    }

    /// A node that hears no leader takes over with those it reaches.
    pub(crate) fn hand_over_by_silence(&mut self, to: u64) {
        for id in self.ids() {
            self.with(id, |peer| {
                peer.raft.tick_many(10);
                peer.drain();
            });
        }
        self.lose_all();
        self.with(to, Peer::campaign);
        self.settle_but("install snapshot");
        assert!(self.peer(to).raft.is_leader(), "{:?}", self.peer(to).status());
    }

    /// Delivers until nothing is under way.
    pub(crate) fn settle(&mut self) {
        let mut delivered = 0;
        while !self.bag.is_empty() {
            let message = self.bag.remove(0);
            self.deliver(message);
            delivered += 1;
            assert!(delivered < 100_000, "messages without end, such as {:?}", self.bag.last());
        }
    }

    /// Delivers until nothing but messages of this kind is under way.
    pub(crate) fn settle_but(&mut self, kept: &str) {
        while let Some(at) = self.bag.iter().position(|message| kind(message) != kept) {
            let message = self.bag.remove(at);
            self.deliver(message);
        }
    }

    /// Delivers one message, over the wire format.
    pub(crate) fn deliver(&mut self, message: Message) {
        if self.is_cut(&message) {
            return;
        }
        let bytes = v1::Message::from(message.clone()).encode_to_vec();
        let wire = v1::Message::decode(&bytes[..]).expect("what was encoded can be decoded");
        assert_eq!(Message::try_from(wire).as_ref(), Ok(&message));
        if let Some(peer) = self.peers.get_mut(&message.to.get()) {
            peer.receive(message);
        }
        self.collect();
    }

    /// Takes messages out of the bag: to keep, to deliver later, or to lose.
    pub(crate) fn take(&mut self, wanted: impl Fn(&Message) -> bool) -> Vec<Message> {
        let (taken, left) = std::mem::take(&mut self.bag).into_iter().partition(wanted);
        self.bag = left;
        taken
    }

    /// Loses everything that is under way.
    pub(crate) fn lose_all(&mut self) {
        self.bag.clear();
    }

    /// Everything from one node to another is lost from now on.
    pub(crate) fn cut(&mut self, from: u64, to: u64) {
        self.cut.insert((from, to));
    }

    pub(crate) fn is_cut(&self, message: &Message) -> bool {
        self.cut.contains(&(message.from.get(), message.to.get()))
    }

    /// These nodes hear each other and nobody else; the others likewise.
    pub(crate) fn partition(&mut self, side: &[u64]) {
        let ids = self.ids();
        for (a, b) in ids.iter().flat_map(|a| ids.iter().map(move |b| (*a, *b))) {
            if side.contains(&a) != side.contains(&b) {
                self.cut.insert((a, b));
            }
        }
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    /// Lets time pass everywhere, and delivers everything after every tick.
    pub(crate) fn tick(&mut self, ticks: u32) {
        for _ in 0..ticks {
            for id in self.ids() {
                self.with(id, |peer| peer.tick(1));
            }
            self.settle();
        }
    }

    /// Crashes a node; it starts again from what was durable.
    pub(crate) fn restart(&mut self, id: u64) {
        self.peer(id).restart();
    }

    /// The only leader of the highest term that has one.
    pub(crate) fn leader(&self) -> Option<u64> {
        let leaders = self.peers.values().filter(|peer| peer.role() == RoleName::Leader);
        leaders.max_by_key(|peer| peer.raft.term()).map(|peer| peer.raft.id().get())
    }

    /// Whether a leader in the newest term is followed by everybody.
    pub(crate) fn all_follow(&self, leader: u64) -> bool {
        self.peers.values().all(|peer| peer.raft.leader() == Some(node(leader)))
    }

    /// Delivers the bag in random order, losing and repeating messages, until `steps` are over.
    pub(crate) fn shake(&mut self, dice: &mut Dice, steps: u64, copies_max: u64) {
        for _ in 0..steps {
            if self.bag.is_empty() {
                return;
            }
            let at = dice.place(self.bag.len());
            let message = self.bag.swap_remove(at);
            for _ in 0..dice.below(copies_max + 1) {
                self.deliver(message.clone());
            }
            if dice.once_in(3) {
                self.bag.push(message);
            }
        }
    }

    /// The payloads of the commands that one node has applied.
    pub(crate) fn commands(&mut self, id: u64) -> Vec<Vec<u8>> {
        let is_command = |applied: &&Applied| applied.kind == raft_core::EntryKind::Command;
        self.peer(id).applied.iter().filter(is_command).map(|applied| applied.payload.clone()).collect()
    }

    fn collect(&mut self) {
        for peer in self.peers.values_mut() {
            self.bag.append(&mut peer.sent);
            let (term, id) = (peer.raft.term(), peer.raft.id());
            if peer.role() == RoleName::Leader {
                let first = *self.leaders.entry(term).or_insert(id);
                assert_eq!(first, id, "two leaders in term {term}");
            }
            for (at, applied) in peer.applied.iter().enumerate() {
                let place = usize::try_from(applied.position.index.get()).expect("small") - 1;
                if at == 0 && place > 0 && peer.raft.is_witness() {
                    continue;
                }
                if at == 0 && place > 0 {
                    // A restored state: what everybody else has applied up to there.
                    let before = self.committed.get(..=place);
                    let state = before.map(|before| before.iter().flat_map(Applied::state).collect());
                    assert!(state.is_none_or(|state: Vec<u8>| state == applied.payload), "restored by {id}");
                    continue;
                }
                let count = self.committed.len();
                match self.committed.get_mut(place) {
                    Some(known) if known.is_hollow_of(applied) => *known = applied.clone(),
                    Some(known) if applied.is_hollow_of(known) => {}
                    Some(known) => assert_eq!(known, applied, "applied by {id}"),
                    None if place == count => self.committed.push(applied.clone()),
                    None => {}
                }
            }
        }
    }
}

/// Whether a message carries entries.
pub(crate) fn carries_entries(message: &Message) -> bool {
    matches!(&message.body, Body::Append(append) if !append.batches.is_empty())
}
