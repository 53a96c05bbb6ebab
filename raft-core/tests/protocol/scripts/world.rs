//! The commands of a script, and a cluster that carries them out and tells what happened.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::{EntryKind, LogIndex, Membership, MembershipChange, Message};

use super::{clients, trace};
use crate::support::{Cluster, Peer, config, kind, node, voters, with_witness};

/// A cluster under the command of a script.
#[derive(Debug)]
pub(super) struct World {
    cluster: Cluster,
    /// Nodes that crashed, as their disks were.
    down: BTreeMap<u64, Peer>,
    lines: Vec<String>,
    seen: BTreeMap<u64, Seen>,
    /// What was under way before this block.
    known: Vec<Message>,
    is_quiet: bool,
}

/// What of a node's doings was told.
#[derive(Clone, Debug, Default)]
struct Seen {
    told: usize,
    applied: usize,
    persists: u64,
    commit: LogIndex,
    membership: Membership,
}

impl Default for World {
    fn default() -> Self {
        Self {
            cluster: Cluster::of(0),
            down: BTreeMap::new(),
            lines: Vec::new(),
            seen: BTreeMap::new(),
            known: Vec::new(),
            is_quiet: false,
        }
    }
}

impl World {
    /// Carries out one line.
    pub(super) fn command(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["quietly", ..] = words[..] {
            self.is_quiet = true;
            let result = self.command(&words[1..].join(" "));
            self.is_quiet = false;
            self.known = self.cluster.bag.clone();
            return result;
        }
        match words[..] {
            ["nodes", ..] | ["past", ..] | ["join", ..] => self.set_up(&words),
            ["deliver", ..] | ["drop", ..] | ["repeat", ..] | ["cut", ..] | ["isolate", ..] | ["heal"] => {
                self.network(&words)
            }
            ["slow", id] => self.on_disk(id, |peer| peer.is_disk_slow = true),
            ["fast", id] => self.on_disk(id, |peer| {
                peer.is_disk_slow = false;
                peer.sync();
            }),
            ["persist", id] => self.persist(number(id)?),
            ["crash", id] => self.crash(number(id)?),
            ["restart", id] => self.restart(number(id)?),
            ["set", "*", ref settings @ ..] => {
                self.cluster.ids().into_iter().try_for_each(|id| self.set(id, settings))
            }
            ["set", id, ref settings @ ..] => self.set(number(id)?, settings),
            ["pass", ticks] => self.pass(number(ticks)?),
            ["status"] => self.status(),
            [_, id, ..] => self.on_node(number(id)?, &words),
            _ => Err("no such command".to_owned()),
        }
    }

    /// What happened since the last call, and what is newly under way.
    pub(super) fn take_trace(&mut self) -> Vec<String> {
        let mut known = std::mem::take(&mut self.known);
        for message in &self.cluster.bag {
            match known.iter().position(|other| other == message) {
                Some(at) => drop(known.remove(at)),
                None => self.lines.push(trace::message(message, "..")),
            }
        }
        self.known = self.cluster.bag.clone();
        std::mem::take(&mut self.lines)
    }

    fn set_up(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["nodes", count] => self.cluster = Cluster::of(number(count)?),
            ["nodes", count, "small"] => self.cluster = Cluster::of_small(number(count)?, |_| {}),
            ["nodes", count, lease] => {
                let (count, lease) = (number(count)?, value(lease, "lease=")?);
                let read_lease_ticks = u32::try_from(lease).map_err(|error| error.to_string())?;
                let leased = |id| {
                    let mut config = config(id);
                    config.read_lease_ticks = read_lease_ticks;
                    Peer::found(config, voters(count))
                };
                self.cluster = Cluster::from_peers((1..=count).map(leased));
            }
            ["nodes", count, "witness", id] => {
                let (count, id) = (number(count)?, number(id)?);
                let found = |each| Peer::found(config(each), with_witness(count, id));
                self.cluster = Cluster::from_peers((1..=count).chain([id]).map(found));
            }
            ["join", id] => self.cluster.join(number(id)?),
            ["past", id, term, vote, commit, log] => {
                let id = number(id)?;
                let hard = (value(term, "term=")?, value(vote, "vote=")?, value(commit, "commit=")?);
                let log = log.strip_prefix("log=").ok_or("log=1,1,2")?;
                let log: Vec<u64> = log.split(',').map(number).collect::<Result<_, _>>()?;
                let count = self.cluster.peers.len() as u64;
                self.cluster.peers.insert(id, Peer::with_log(config(id), voters(count), hard, &log));
            }
            _ => {
                return Err("nodes COUNT [lease=L | witness ID], join ID, \
                            past ID term=T vote=V commit=C log=T,T,T"
                    .to_owned());
            }
        }
        for (id, peer) in &self.cluster.peers {
            self.seen.insert(*id, Seen::of(peer));
        }
        Ok(())
    }

    fn network(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["deliver"] => self.deliver_all(|_| true),
            ["heal"] => self.cluster.heal(),
            ["cut", link] => match link.split_once("->") {
                Some((from, to)) => self.cluster.cut(number(from)?, number(to)?),
                None => return Err("cut FROM->TO".to_owned()),
            },
            ["isolate", side @ ..] => {
                let side: Vec<u64> = side.iter().map(|id| number(id)).collect::<Result<_, _>>()?;
                self.cluster.partition(&side);
            }
            [verb @ ("deliver" | "drop" | "repeat"), which @ ..] => {
                let is_meant = |message: &Message| which.iter().all(|filter| fits(message, filter));
                let taken = self.cluster.take(is_meant);
                if taken.is_empty() {
                    return Err("nothing like that is under way".to_owned());
                }
                for message in taken {
                    match *verb {
                        "drop" => self.tell(trace::message(&message, "-x")),
                        "repeat" => {
                            self.deliver(message.clone(), true);
                            self.cluster.bag.push(message);
                        }
                        _ => self.deliver(message, true),
                    }
                }
            }
            _ => return Err("deliver, drop, cut, isolate or heal".to_owned()),
        }
        Ok(())
    }

    /// Inputs of one node.
    fn on_node(&mut self, id: u64, words: &[&str]) -> Result<(), String> {
        let peer = self.cluster.peers.get_mut(&id).ok_or("no such node, or it is down")?;
        let refusal = match words {
            ["campaign", _] => peer.raft.campaign().err().map(|error| error.to_string()),
            ["propose", _, text] => peer.raft.propose(text.as_bytes()).err().map(|error| error.to_string()),
            ["forward", _, text] => peer.raft.forward(text.as_bytes()).err().map(|error| error.to_string()),
            [client @ ("session" | "call"), _, rest @ ..] => {
                let words: Vec<&str> = [*client].into_iter().chain(rest.iter().copied()).collect();
                peer.raft.propose(&clients::payload(&words)?).err().map(|error| error.to_string())
            }
            ["read", _] => peer.raft.read().err().map(|error| error.to_string()),
            ["snapshot", _] => peer.raft.take_snapshot().err().map(|error| error.to_string()),
            ["lose-state", _] => peer.raft.request_snapshot().err().map(|error| error.to_string()),
            ["leave", _] => peer.raft.leave_joint().err().map(|error| error.to_string()),
            ["transfer", _, to] => {
                peer.raft.transfer_leadership(node(number(to)?)).err().map(|error| error.to_string())
            }
            ["call-off", _] => {
                let refusal = "hands over to nobody".to_owned();
                (!peer.raft.abort_transfer()).then_some(refusal)
            }
            ["change", _, steps @ ..] => {
                peer.raft.change_membership(&change(steps)?).err().map(|error| error.to_string())
            }
            ["unreachable", _, other] => {
                peer.raft.unreachable(node(number(other)?));
                None
            }
            ["skip", _, ticks] => {
                peer.raft.tick_many(u32::try_from(number(ticks)?).map_err(|error| error.to_string())?);
                None
            }
            ["progress", _] => {
                let lines = trace::progress(peer);
                lines.into_iter().for_each(|line| self.tell(line));
                return Ok(());
            }
            ["tick", _, ticks] => {
                peer.tick(u32::try_from(number(ticks)?).map_err(|error| error.to_string())?);
                None
            }
            _ => return Err("no such command".to_owned()),
        };
        self.cluster.with(id, Peer::drain);
        if let Some(refusal) = refusal {
            self.tell(format!("  {id}: refuses, {refusal}"));
        }
        self.tell_news();
        Ok(())
    }

    fn on_disk(&mut self, id: &str, set: impl FnOnce(&mut Peer)) -> Result<(), String> {
        let id = number(id)?;
        set(self.cluster.peers.get_mut(&id).ok_or("no such node")?);
        self.cluster.with(id, Peer::drain);
        self.tell_news();
        Ok(())
    }

    /// The oldest write of a slow disk is done.
    fn persist(&mut self, id: u64) -> Result<(), String> {
        let peer = self.cluster.peers.get(&id).ok_or("no such node")?;
        let request = peer.queue.front().ok_or("its disk has nothing to do")?;
        self.tell(format!("  {id}: durable: {}", trace::persist(request)));
        self.cluster.with(id, |peer| {
            peer.sync_one();
            peer.drain();
        });
        self.tell_news();
        Ok(())
    }

    /// Starts a node again with other settings.
    fn set(&mut self, id: u64, settings: &[&str]) -> Result<(), String> {
        let peer = self.cluster.peers.get_mut(&id).ok_or("no such node, or it is down")?;
        let mut config = peer.raft.config().clone();
        for setting in settings {
            let (name, value) = setting.split_once('=').ok_or("set ID NAME=VALUE")?;
            let number = i32::try_from(number(value)?).map_err(|error| error.to_string())?;
            match name {
                "priority" => config.priority = number.into(),
                "pre-vote" => config.pre_vote = number != 0,
                "check-quorum" => config.check_quorum = number != 0,
                "window" => config.inflight_messages_max = number.unsigned_abs(),
                "timeout-max" => config.election_timeout_ticks_max = number.unsigned_abs(),
                "domains" => config.commit_domains_min = number.unsigned_abs(),
                _ => return Err(format!("no setting is called {name}")),
            }
        }
        *peer = Peer::reopen(config, peer.durable.clone());
        self.seen.insert(id, Seen::of(self.cluster.peer(id)));
        Ok(())
    }

    fn crash(&mut self, id: u64) -> Result<(), String> {
        let peer = self.cluster.peers.remove(&id).ok_or("no such node")?;
        self.down.insert(id, peer);
        Ok(())
    }

    fn restart(&mut self, id: u64) -> Result<(), String> {
        let mut peer = self.down.remove(&id).ok_or("it is not down")?;
        peer.restart();
        self.tell(trace::status(&peer));
        self.seen.insert(id, Seen::of(&peer));
        self.cluster.peers.insert(id, peer);
        Ok(())
    }

    /// Time passes everywhere; everything is delivered, and signs of life are not told.
    fn pass(&mut self, ticks: u64) -> Result<(), String> {
        for _ in 0..ticks {
            for id in self.cluster.ids() {
                self.cluster.with(id, |peer| peer.tick(1));
                self.tell_news();
            }
            self.deliver_all(|message| !kind(message).starts_with("heartbeat"));
        }
        Ok(())
    }

    fn status(&mut self) -> Result<(), String> {
        let lines: Vec<String> = self.cluster.peers.values().map(trace::status).collect();
        lines.into_iter().for_each(|line| self.tell(line));
        Ok(())
    }

    fn deliver_all(&mut self, is_told: impl Fn(&Message) -> bool) {
        let mut count = 0;
        while !self.cluster.bag.is_empty() {
            let message = self.cluster.bag.remove(0);
            let is_told = is_told(&message);
            self.deliver(message, is_told);
            count += 1;
            assert!(count < 10_000, "messages without end");
        }
    }

    fn deliver(&mut self, message: Message, is_told: bool) {
        let is_lost = self.cluster.is_cut(&message) || !self.cluster.peers.contains_key(&message.to.get());
        if is_told {
            self.tell(trace::message(&message, if is_lost { "-x" } else { "->" }));
        }
        self.cluster.deliver(message);
        self.tell_news();
    }

    /// Tells what the nodes did, messages apart.
    fn tell_news(&mut self) {
        for id in self.cluster.ids() {
            let peer = self.cluster.peer(id);
            let now = Seen::of(peer);
            let before = self.seen.insert(id, now).unwrap_or_default();
            let lines = news(&before, self.cluster.peer(id));
            lines.into_iter().for_each(|line| self.tell(format!("  {id}: {line}")));
        }
    }

    fn tell(&mut self, line: String) {
        if !self.is_quiet {
            self.lines.push(line);
        }
    }
}

impl Seen {
    fn of(peer: &Peer) -> Self {
        Self {
            told: peer.told.len(),
            applied: peer.applied.len(),
            persists: peer.persists,
            commit: peer.raft.commit(),
            membership: peer.raft.membership().clone(),
        }
    }
}

fn news(before: &Seen, peer: &Peer) -> Vec<String> {
    let mut lines: Vec<String> = peer.told[before.told..].iter().filter_map(trace::action).collect();
    if *peer.raft.membership() != before.membership {
        lines.push(format!("members {}", trace::membership(peer.raft.membership())));
    }
    let asked = usize::try_from(peer.persists - before.persists).expect("few");
    if peer.is_disk_slow {
        let requests = peer.queue.iter().skip(peer.queue.len().saturating_sub(asked));
        lines.extend(requests.map(|request| format!("asks its disk: {}", trace::persist(request))));
    }
    if peer.raft.commit() != before.commit {
        lines.push(format!("commit {}", peer.raft.commit()));
    }
    // A restored state is one thing that was applied; what came before is in it.
    let is_restored = peer.applied.len() < before.applied;
    let first = if is_restored { 0 } else { before.applied };
    let commands: Vec<String> = (first..peer.applied.len())
        .filter(|at| peer.applied[*at].kind == EntryKind::Command)
        .map(|at| trace::applied(&peer.applied[..=at]))
        .collect();
    if !commands.is_empty() {
        lines.push(format!("applies {}", commands.join(", ")));
    }
    lines
}

/// Whether a message is of this link, such as `1->2` or `*->2`, or of this kind, such as `append` or
/// `vote-reply`.
fn fits(message: &Message, filter: &str) -> bool {
    match filter.split_once("->") {
        Some((from, to)) => {
            let is = |wanted: &str, id: raft_core::NodeId| wanted == "*" || wanted == id.to_string();
            is(from, message.from) && is(to, message.to)
        }
        None => kind(message) == filter.replace("-reply", " reply").replace("-now", " now"),
    }
}

fn change(steps: &[&str]) -> Result<MembershipChange, String> {
    let mut change = MembershipChange::new();
    let mut steps = steps.iter();
    while let Some(step) = steps.next() {
        if *step == "stay" {
            change = change.stay_joint();
            continue;
        }
        let id = node(number(steps.next().ok_or("an id is missing")?)?);
        change = match *step {
            "voter" => change.voter(id),
            "learner" => change.learner(id),
            "joining" => change.joining_voter(id),
            "joining-witness" => change.joining_witness(id),
            "witness" => change.witness(id),
            "remove" => change.remove(id),
            "domain" => change.domain(id, number(steps.next().ok_or("a domain is missing")?)?),
            _ => return Err(format!("{step} is no step of a change")),
        };
    }
    Ok(change)
}

pub(super) fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("`{word}` is no number"))
}

fn value(word: &str, name: &str) -> Result<u64, String> {
    number(word.strip_prefix(name).ok_or_else(|| format!("{name} is missing"))?)
}

/// A script with a slip of the pen fails instead of telling nothing.
#[test]
fn commands_that_make_no_sense_are_refused() {
    let mut world = World::default();
    world.command("nodes 3").expect("a command");
    let senseless = [
        "sing 1",
        "campaign",
        "campaign x",
        "campaign 9",
        "snapshot x",
        "snapshot 9",
        "deliver 1->2",
        "persist 1",
        "restart 1",
        "nodes",
        "nodes 3 5",
        "change 1 voter",
        "change 1 elect 2",
        "past 1 log=1",
        "cut 12",
        "tick 1 x",
        "skip 1 x",
        "unreachable 1 x",
        "session 1 shut",
        "call 1 2 5 from 1",
        "change 1 domain 2",
        "set 1 priority",
        "set 1 colour=3",
        "crash 7",
    ];
    let refused: BTreeSet<&str> = senseless.into_iter().filter(|line| world.command(line).is_err()).collect();
    assert_eq!(refused.len(), senseless.len(), "{refused:?}");
}
