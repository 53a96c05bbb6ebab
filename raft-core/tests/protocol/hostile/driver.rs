//! Any bytes as the life of a small group: messages that are real, altered or made up, and time, disks
//! and callers in whatever order the bytes say.
//!
//! The bytes are read as a program that cannot be wrong, so random ones go far, and a fuzzer that
//! knows nothing of Raft finds its way by changing them. What holds for a single node is checked after
//! each step, here and in [`Peer`]. What holds between nodes is not, for made-up messages may well come
//! from two leaders of one term.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use raft_core::bytes::Bytes;
use raft_core::{
    Action, Config, LogIndex, Membership, MembershipChange, Message, Notice, PeerStatus, PersistId, Position,
    RoleName,
};

use super::forge::{self, Reader, View};
use crate::support::{Peer, config, index, node, voters};

/// How often lives came to what is worth testing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reached(pub(crate) BTreeMap<&'static str, usize>);

impl Reached {
    fn add(&mut self, what: &'static str, count: usize) {
        *self.0.entry(what).or_default() += count;
    }
}

/// Lives through what the bytes say, and panics if a node does anything that no input may make it do.
pub(crate) fn drive(bytes: &[u8], reached: &mut Reached) {
    let mut reader = Reader::new(bytes);
    let mut group = Group::new(&mut reader, reached);
    while !reader.is_done() {
        group.step(&mut reader);
    }
    for peer in &group.peers {
        let picture = format!("{:?}", peer.raft).len();
        assert!(
            picture < PICTURE_MAX + PICTURE_PER_BYTE * bytes.len(),
            "{picture} characters: {:?}",
            peer.raft
        );
    }
}

struct Group<'a> {
    peers: Vec<Peer>,
    /// Messages under way.
    bag: Vec<Message>,
    /// How many inputs each node got since it was drained.
    undrained: Vec<usize>,
    restarts: usize,
    reached: &'a mut Reached,
}

impl<'a> Group<'a> {
    /// A new group, one whose nodes have different pasts, or one that is led; and a node that waits
    /// to be brought in.
    fn new(reader: &mut Reader<'_>, reached: &'a mut Reached) -> Self {
        static BEGINNINGS: OnceLock<[Vec<Peer>; 3]> = OnceLock::new();
        let beginnings = BEGINNINGS.get_or_init(|| [founded(), with_pasts(), led()]);
        let peers = beginnings[reader.below(beginnings.len())].clone();
        Self::of(peers, reached)
    }

    fn of(peers: Vec<Peer>, reached: &'a mut Reached) -> Self {
        let undrained = vec![0; peers.len()];
        Self { peers, bag: Vec::new(), undrained, restarts: 0, reached }
    }

    /// One input, or a few outputs carried out, at one node.
    fn step(&mut self, reader: &mut Reader<'_>) {
        let (code, at) = (reader.byte(), reader.below(self.peers.len()));
        let is_drained = reader.below(4) != 0;
        let (before, restarts) = (Before::of(&self.peers[at]), self.restarts);
        match code {
            0..=89 => self.network(code % 16, at, reader),
            90..=115 => {
                let message = forge::message(reader, &self.view(at));
                self.receive(at, message);
            }
            116..=119 => {
                if let Some(message) = forge::decoded(reader) {
                    self.receive(at, message);
                }
            }
            120..=169 => self.caller(code % 25, at, reader),
            170..=224 => self.world(code % 13, at, reader),
            225..=227 => self.misload(at, reader),
            228..=251 => return self.rest(),
            252..=255 => self.restart(at),
        }
        if self.restarts > restarts {
            // It may have forgotten what was not durable, and nothing came out of it yet.
            return;
        }
        self.undrained[at] += 1;
        if is_drained {
            self.drain(at);
        }
        self.check(at, &before);
    }

    /// A message under way arrives, once or twice, altered, or not at all; without one, time passes.
    fn network(&mut self, code: u8, at: usize, reader: &mut Reader<'_>) {
        let id = self.peers[at].raft.id();
        let pick = usize::from(reader.byte());
        let waiting: Vec<usize> = (0..self.bag.len()).filter(|slot| self.bag[*slot].to == id).collect();
        let Some(slot) = waiting.get(pick % waiting.len().max(1)).copied() else {
            return self.peers[at].raft.tick_many(u32::try_from(pick % 16).expect("small"));
        };
        let mut message = self.bag[slot].clone();
        match code {
            0..=10 => drop(self.bag.remove(slot)),
            11 | 12 => {}
            13 => return drop(self.bag.remove(slot)),
            _ => forge::alter(&mut message, reader, &self.view(at)),
        }
        self.receive(at, message);
    }

    fn receive(&mut self, at: usize, message: Message) {
        self.reached.add("messages", 1);
        self.peers[at].raft.receive(message);
    }

    /// What the owner of a node may ask of it, whether that makes sense or not.
    fn caller(&mut self, code: u8, at: usize, reader: &mut Reader<'_>) {
        let raft = &mut self.peers[at].raft;
        let target = node(reader.number(u64::from(code % 5)));
        match code {
            0 | 1 => drop(raft.campaign()),
            2..=9 => drop(raft.propose(&vec![code; reader.below(70)])),
            10 | 11 => drop(raft.forward(&vec![code; reader.below(70)])),
            12..=14 => drop(raft.read()),
            15..=19 => drop(raft.change_membership(&change(reader))),
            20 => drop(raft.leave_joint()),
            21 | 22 => drop(raft.transfer_leadership(target)),
            _ => raft.unreachable(target),
        }
    }

    /// Time, and answers to what a node asked for: in order, late, made up.
    fn world(&mut self, code: u8, at: usize, reader: &mut Reader<'_>) {
        let peer = &mut self.peers[at];
        let applied = peer.applied.last().map_or(0, |applied| applied.position.index.get());
        match code {
            0 | 1 => peer.raft.tick_many(reader.below(24).try_into().expect("small")),
            2..=5 => peer.sync_up_to(1 + reader.below(4)),
            6 => {
                // What was never asked for counts for all that was, which is durable then.
                peer.sync_up_to(usize::MAX);
                peer.raft.persisted(PersistId::new(reader.number(u64::MAX)));
            }
            7 | 8 => peer.raft.applied(index(applied)),
            9 => peer.raft.applied(index(reader.number(applied))),
            10 => sync_snapshot(peer),
            11 => self.snapshot(at, reader),
            _ => self.answer_load(at),
        }
    }

    /// What the owner of a node may say about snapshots; that one is durable is never made up.
    fn snapshot(&mut self, at: usize, reader: &mut Reader<'_>) {
        let view = self.view(at);
        let raft = &mut self.peers[at].raft;
        let last = forge::snapshot_last(reader, &view);
        match reader.below(8) {
            0 => drop(raft.request_snapshot()),
            1 => raft.snapshot_failed(last),
            2 => raft.snapshot_written(last, reader.number(10)),
            3 => raft.chunk_unavailable(reader.number(1).into()),
            4 => raft.chunk_loaded(reader.number(1).into(), Bytes::from_static(b"of another snapshot")),
            _ => drop(raft.take_snapshot()),
        }
    }

    fn answer_load(&mut self, at: usize) {
        let peer = &mut self.peers[at];
        let mark = peer.status().mark.index;
        // What was compacted meanwhile is in no store any more.
        peer.loads.retain(|load| load.first > mark);
        if !peer.loads.is_empty() {
            self.reached.add("loads", 1);
            peer.answer_load();
        }
    }

    /// For a while everything works: disks, stores, and the network.
    fn rest(&mut self) {
        for round in 0..12 {
            for at in 0..self.peers.len() {
                let before = Before::of(&self.peers[at]);
                let to = self.peers[at].raft.id();
                let (arriving, others) =
                    std::mem::take(&mut self.bag).into_iter().partition(|sent| sent.to == to);
                self.bag = others;
                let arriving: Vec<Message> = arriving;
                self.undrained[at] += arriving.len();
                arriving.into_iter().for_each(|message| self.receive(at, message));
                self.peers[at].raft.tick_many(u32::from(round == 0));
                self.peers[at].sync_up_to(usize::MAX);
                let applied =
                    self.peers[at].applied.last().map_or(index(0), |applied| applied.position.index);
                self.peers[at].raft.applied(applied);
                self.answer_load(at);
                sync_snapshot(&mut self.peers[at]);
                self.undrained[at] += 5;
                self.drain(at);
                self.check(at, &before);
            }
            if self.bag.is_empty() {
                return;
            }
        }
    }

    /// A store that answers a load with something else is found out, or asked for nothing any more.
    fn misload(&mut self, at: usize, reader: &mut Reader<'_>) {
        let view = self.view(at);
        let peer = &mut self.peers[at];
        let Some(load) = peer.loads.pop() else { return };
        let batches: Vec<_> = forge::batches(reader, &view, load.first.get()).iter().cloned().collect();
        if peer.raft.loaded(load.id, &batches).is_err() {
            // The store is not to be trusted; its node stops, and starts again on a better one.
            self.restart(at);
        }
    }

    fn restart(&mut self, at: usize) {
        self.peers[at].restart();
        slow_down(&mut self.peers[at]);
        self.undrained[at] = 0;
        self.restarts += 1;
        self.reached.add("restarts", 1);
    }

    /// What made-up messages are made like, so that some of them fit.
    fn view(&self, at: usize) -> View {
        let status = self.peers[at].status();
        let sender = self.peers.iter().find(|peer| peer.role() == RoleName::Leader);
        View {
            to: status.id.get(),
            from: sender.map_or(2, |peer| peer.raft.id().get()),
            term: status.term.get(),
            commit: status.commit.get(),
            last: status.last,
        }
    }

    /// Carries out what a node wants done: no more than its inputs can have led to.
    fn drain(&mut self, at: usize) {
        let inputs = std::mem::take(&mut self.undrained[at]);
        let peer = &mut self.peers[at];
        peer.drain();
        let members = peer.raft.membership().members().len();
        let outputs = peer.sent.len() + peer.told.len();
        let outputs_max = OUTPUTS_MAX + inputs * (OUTPUTS_PER_INPUT + OUTPUTS_PER_MEMBER * members);
        assert!(outputs <= outputs_max, "{outputs} outputs: {:?}", peer.told);
    }

    /// What holds after any input: nothing goes back, and windows and memberships keep their bounds.
    fn check(&mut self, at: usize, before: &Before) {
        let peer = &mut self.peers[at];
        let status = peer.status();
        assert!(status.applied >= before.applied, "{status:?} after {before:?}");
        let committed = peer.raft.term_at(before.commit.index);
        let is_compacted = before.commit.index < status.mark.index;
        assert!(is_compacted || committed == Some(before.commit.term), "{before:?}, then {status:?}");
        status.peers.iter().for_each(|member| check_window(peer.raft.config(), member));
        check_membership(&status.membership);
        self.reached.add("full windows", status.peers.iter().filter(|peer| is_full(peer)).count());
        self.reached.add("entries applied", peer.applied.len().saturating_sub(before.entries));
        self.reached.add("steps in a joint configuration", usize::from(status.membership.is_joint()));
        for action in peer.told.drain(..) {
            if let Action::Notice(notice) = action {
                count(self.reached, &notice);
            }
        }
        self.bag.append(&mut peer.sent);
        let surplus = self.bag.len().saturating_sub(BAG_MAX);
        self.bag.drain(..surplus);
    }
}

/// A node as it was before an input.
#[derive(Debug)]
struct Before {
    commit: Position,
    applied: LogIndex,
    entries: usize,
}

impl Before {
    fn of(peer: &Peer) -> Self {
        let commit = peer.raft.commit();
        let term = peer.raft.term_at(commit).expect("what is committed is in the log");
        Self {
            commit: Position::new(term, commit),
            applied: peer.status().applied,
            entries: peer.applied.len(),
        }
    }
}

/// Limits so low that every one of them is met.
fn small(id: u64) -> Config {
    let mut config = config(id);
    config.entry_bytes_max = 64;
    config.append_bytes_max = 48;
    config.inflight_messages_max = 3;
    config.inflight_bytes_max = 100;
    config.proposals_bytes_max = 300;
    config.forward_bytes_max = 200;
    config.read_rounds_max = 2;
    config.apply_bytes_max = 60;
    config.tail_bytes_max = 80;
    config.proposal_timeout_ticks = 30;
    config.snapshot_log_entries = 6;
    config.retained_entries = 2;
    config.snapshot_chunk_bytes = 16;
    config.snapshot_chunks_max = 2;
    config.snapshot_bytes_max = 2000;
    config
}

/// A node without a group yet, and three founding voters.
fn founded() -> Vec<Peer> {
    let mut peers: Vec<Peer> = (1..=3).map(|id| Peer::found(small(id), voters(3))).collect();
    peers.push(Peer::join(small(4)));
    peers.iter_mut().for_each(slow_down);
    peers
}

/// The same, but for two that have a past, which differ.
fn with_pasts() -> Vec<Peer> {
    let mut peers = founded();
    peers[1] = Peer::with_log(small(2), voters(3), (3, 0, 1), &[1, 2, 2, 3]);
    peers[2] = Peer::with_log(small(3), voters(3), (4, 3, 1), &[1, 2, 2, 2, 2, 4]);
    peers.iter_mut().for_each(slow_down);
    peers
}

/// The same as founded, but that node 1 leads.
fn led() -> Vec<Peer> {
    let mut reached = Reached::default();
    let mut group = Group::of(founded(), &mut reached);
    group.peers[0].campaign();
    group.rest();
    group.peers
}

/// Nothing is answered unless the bytes say so.
fn slow_down(peer: &mut Peer) {
    (peer.is_disk_slow, peer.is_store_slow, peer.is_apply_slow) = (true, true, true);
    peer.is_snapshot_slow = true;
}

fn sync_snapshot(peer: &mut Peer) {
    if peer.unsynced_snapshot.is_some() {
        peer.sync_snapshot();
    }
}

/// A window is never fuller than it may be; one append may go over its bytes.
fn check_window(config: &Config, member: &PeerStatus) {
    assert!(member.inflight_messages <= config.inflight_messages_max, "{member:?}");
    let bytes_max = config.inflight_bytes_max + config.append_bytes_max.max(ENTRY_BYTES_MAX);
    assert!(member.inflight_bytes <= bytes_max, "{member:?}");
}

fn is_full(member: &PeerStatus) -> bool {
    member.inflight_messages == small(1).inflight_messages_max
}

/// Whatever came in, what is in force is a membership: it can be written, read, and is the same.
fn check_membership(membership: &Membership) {
    let read = Membership::decode(&membership.encode());
    assert!(membership.members().is_empty() || read.as_ref() == Ok(membership), "{membership:?}, {read:?}");
}

/// A change of membership, sensible or not.
fn change(reader: &mut Reader<'_>) -> MembershipChange {
    let mut change = MembershipChange::new();
    for _ in 0..=reader.below(3) {
        let id = node(if reader.once_in(8) { reader.number(u64::MAX) } else { 1 + reader.number(3) % 6 });
        change = match reader.below(8) {
            0..=2 => change.voter(id),
            3 | 4 => change.learner(id),
            5 => change.domain(id, reader.number(1)),
            6 => change.remove(id),
            _ => change.stay_joint(),
        };
    }
    change
}

fn count(reached: &mut Reached, notice: &Notice) {
    let what = match notice {
        Notice::Role { role: RoleName::Leader, .. } => "leaders",
        Notice::SteppedDown { .. } => "leaders that stepped down",
        Notice::Truncated { .. } => "logs cut",
        Notice::MembershipAppended { .. } => "changes of membership",
        Notice::Offended { .. } => "offences",
        Notice::PeerRegressed { .. } => "followers stopped",
        Notice::TransferBegan { .. } => "transfers",
        Notice::DiskStalled => "stalled disks",
        Notice::SnapshotTaken { .. } => "snapshots taken",
        Notice::SnapshotFailed { .. } => "snapshots failed",
        Notice::SnapshotSending { .. } => "snapshots sent",
        Notice::SnapshotInstalled { .. } => "snapshots installed",
        Notice::Compacted { .. } => "logs compacted",
        _ => return,
    };
    reached.add(what, 1);
}

/// How many kinds of situations [`Reached`] counts.
pub(crate) const SITUATIONS: usize = 19;

/// Messages under way that are kept; the oldest are lost first.
const BAG_MAX: usize = 64;

/// Outputs of one drain: a constant, since every forwarded proposal may be given up at once; and what
/// each input may lead to by itself and for each member, such as a heartbeat per tick.
const OUTPUTS_MAX: usize = 200;
const OUTPUTS_PER_INPUT: usize = 16;
const OUTPUTS_PER_MEMBER: usize = 24;

/// No made-up entry is longer.
const ENTRY_BYTES_MAX: u32 = 80;

/// The characters of a node's picture: a constant, and what each byte of input may leave behind.
const PICTURE_MAX: usize = 20_000;
const PICTURE_PER_BYTE: usize = 200;
