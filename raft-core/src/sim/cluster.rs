//! One run: nodes, faults, clients, and the check after every step.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::{error, fmt};

use super::admin::{draw_change, draw_conversion, joining_count, pick};
use super::checker::{Checker, Violation};
use super::clients::Clients;
use super::disk::Disk;
use super::ends::{SimLog, SimTransport};
use super::machine::Watched;
use super::network::Network;
use super::plan::{Chance, Options, Plan, STEPS_PER_TICK, happens};
use super::report::Report;
use super::world::{Shared, World};
use crate::doors::node::Node;
use crate::doors::outcome::Event;
use crate::means::rng::Rng;
use crate::words::ids::{LogIndex, NodeId};
use crate::words::notice::{Notice, StepDown};
use crate::words::status::RoleName;

/// A violated property, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed of the run.
    pub seed: u64,
    /// The step at which it was seen.
    pub step: u64,
    /// What was violated.
    pub violation: Violation,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}, step {}: {}", self.seed, self.step, self.violation)
    }
}

impl error::Error for Failure {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.violation)
    }
}

/// Runs one seed: faults first, then calm, in which the cluster must recover and agree.
///
/// The report counts what the run met, so that a suite can tell whether its seeds reached everything.
///
/// ```
/// use raft_core::sim::{Options, Report, run};
///
/// let mut options = Options::default();
/// options.fault_steps = 500;
/// let mut all = Report::default();
/// for seed in 0..3 {
///     all.merge(&run(seed, &options)?);
/// }
/// assert!(all.count("leader elected") > 0);
/// assert_eq!(run(0, &options)?, run(0, &options)?); // the seed decides everything
/// # Ok::<(), raft_core::sim::Failure>(())
/// ```
///
/// # Errors
///
/// The first property that did not hold. The same seed and options fail in the same way.
pub fn run(seed: u64, options: &Options) -> Result<Report, Failure> {
    let mut cluster = Cluster::new(seed);
    let result = cluster.run(options);
    let world = cluster.world.borrow();
    match result {
        Ok(()) => {
            let mut report = world.report.clone();
            report.note_many("committed", world.checker.committed_count() as u64);
            report.note_many("witness counted for a commit", world.checker.witnessed);
            Ok(report)
        }
        Err(violation) => Err(Failure { seed, step: world.now, violation }),
    }
}

/// A whole node on simulated hardware.
pub(super) type SimNode = Node<SimLog, SimTransport, Watched>;

/// A place for a node: running, paused or crashed.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) node: Option<SimNode>,
    /// Neither ticks nor pumps before this step.
    pub(super) paused_until: u64,
    /// Ticks that it slept through.
    missed_ticks: u32,
    /// Steps per tick; clocks are skewed.
    tick_steps: u64,
}

/// How likely a client asks a node in a step without faults.
const CALM_CHANCE: Chance = 500;

pub(super) struct Cluster {
    pub(super) world: Shared,
    pub(super) ids: Vec<NodeId>,
    pub(super) seats: BTreeMap<NodeId, Seat>,
    pub(super) clients: Clients,
}

impl Cluster {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng);
        let ids: Vec<NodeId> = (1..=plan.nodes + plan.spares).map(NodeId::new).collect();
        let mut world = World {
            now: 0,
            rng,
            plan,
            is_hostile: true,
            network: Network::default(),
            disks: BTreeMap::new(),
            checker: Checker::default(),
            report: Report::default(),
            committed_before_calm: 0,
            quiet_from: 0,
        };
        let mut seats = BTreeMap::new();
        for id in &ids {
            world.disks.insert(*id, Disk::default());
            let tick_steps = u64::from(STEPS_PER_TICK - 1 + world.rng.between(0, 2));
            seats.insert(*id, Seat { node: None, paused_until: 0, missed_ticks: 0, tick_steps });
        }
        Self { world: Rc::new(RefCell::new(world)), ids, seats, clients: Clients::default() }
    }

    fn run(&mut self, options: &Options) -> Result<(), Violation> {
        for id in self.ids.clone() {
            self.start(id);
        }
        for _ in 0..options.fault_steps {
            self.step()?;
        }
        self.calm_down(options.calm_steps / 10);
        self.settle(options.calm_steps)?;
        self.disturb()?;
        self.settle(options.calm_steps)?;
        self.lose_full_voter(options.calm_steps)?;
        self.check_end()
    }

    pub(super) fn step(&mut self) -> Result<(), Violation> {
        {
            let world = &mut *self.world.borrow_mut();
            world.now += 1;
            world.report.steps += 1;
            let now = world.now;
            world.network.deliver(now);
        }
        for id in self.ids.clone() {
            self.faults(id);
            self.tick(id);
            self.load(id);
            self.administer(id);
            self.pump(id);
            if let Some(violation) = self.world.borrow().checker.violation() {
                return Err(violation.clone());
            }
        }
        Ok(())
    }

    /// Lets faults strike around one node.
    fn faults(&mut self, id: NodeId) {
        if !self.world.borrow().is_hostile {
            return;
        }
        self.strike_network(id);
        self.ambush(id);
        let is_up = self.seats[&id].node.is_some();
        let (crash, restart, pause, campaign, snapshot, lose_state) = {
            let world = &mut *self.world.borrow_mut();
            let (rng, plan) = (&mut world.rng, &world.plan);
            (
                is_up && happens(rng, plan.crash),
                !is_up && happens(rng, plan.restart),
                is_up && happens(rng, plan.pause),
                is_up && happens(rng, plan.campaign),
                is_up && happens(rng, plan.snapshot),
                is_up && happens(rng, plan.lose_state),
            )
        };
        if snapshot && let Some(node) = self.node(id) {
            // There may be nothing new to take one of.
            let _refusal = node.take_snapshot();
        }
        if lose_state && self.node(id).is_some_and(|node| node.request_snapshot().is_ok()) {
            self.world.borrow_mut().report.note("snapshot requested");
        }
        if crash {
            self.crash(id);
        } else if restart {
            self.start(id);
        } else if pause {
            let world = &mut *self.world.borrow_mut();
            world.report.note("pause");
            let until = world.now + u64::from(world.rng.between(10, 800));
            self.seats.get_mut(&id).expect("every node has a seat").paused_until = until;
        } else if campaign && let Some(node) = self.node(id) {
            // A leader, and a node whose disk does not answer, say no; that is fine.
            let _refusal = node.campaign();
        }
    }

    fn strike_network(&mut self, id: NodeId) {
        let world = &mut *self.world.borrow_mut();
        if happens(&mut world.rng, world.plan.partition) {
            world.report.note("partition");
            world.network.partition(&self.ids, &mut world.rng);
        }
        if world.network.is_partitioned() && happens(&mut world.rng, world.plan.heal) {
            world.network.heal();
        }
        if happens(&mut world.rng, world.plan.unreachable) {
            let others = u32::try_from(self.ids.len() - 1).expect("a few nodes");
            let peer = self.ids[world.rng.between(0, others) as usize];
            world.network.report_unreachable(id, peer);
        }
    }

    /// The process ends; of what was under way to the disk, any prefix arrived.
    pub(super) fn crash(&mut self, id: NodeId) {
        self.seats.get_mut(&id).expect("every node has a seat").node = None;
        self.clients.on_crash(id);
        let world = &mut *self.world.borrow_mut();
        world.network.clear_inbox(id);
        let disk = world.disks.get_mut(&id).expect("every node has a disk");
        let queued = u32::try_from(disk.queued()).expect("a few requests");
        world.report.note("crash");
        if queued > 0 {
            world.report.note("crash with unsynced writes");
        }
        let keeps_snapshot = world.rng.between(0, 1) == 1;
        disk.crash(world.rng.between(0, queued) as usize, keeps_snapshot);
    }

    /// Starts a node from what its disk holds.
    pub(super) fn start(&mut self, id: NodeId) {
        let world = &self.world;
        let (config, founders) = {
            let world = &mut *world.borrow_mut();
            (world.plan.clone().config(id, &mut world.rng), world.plan.founders())
        };
        let store = SimLog::open(id, Rc::clone(world));
        let transport = SimTransport::new(id, Rc::clone(world));
        let machine = Watched::new(world);
        let opened = if founders.member(id).is_some() {
            Node::open(config, Some(founders), store, transport, machine)
        } else {
            Node::join(config, store, transport, machine)
        };
        let world = &mut *self.world.borrow_mut();
        match opened {
            Ok(node) => {
                world.checker.on_start(id, node.raft());
                if node.status().snapshot.is_some() {
                    world.report.note("restarted from a snapshot");
                }
                self.seats.get_mut(&id).expect("every node has a seat").node = Some(node);
            }
            Err(error) => world.checker.violate("a node can restart", format!("node {id}: {error:?}")),
        }
    }

    /// Time passes. A node that was paused first gets the ticks it missed if there are leases, and
    /// otherwise never: without leases, nothing may depend on how slow a clock is.
    fn tick(&mut self, id: NodeId) {
        let world = &mut *self.world.borrow_mut();
        let seat = self.seats.get_mut(&id).expect("every node has a seat");
        let is_due = world.now.is_multiple_of(seat.tick_steps);
        if world.now < seat.paused_until {
            seat.missed_ticks += u32::from(is_due && world.plan.read_lease_ticks > 0);
            return;
        }
        let ticks = core::mem::take(&mut seat.missed_ticks) + u32::from(is_due);
        if let Some(node) = seat.node.as_mut() {
            node.tick_many(ticks);
            world.report.ticks += u64::from(ticks);
        }
    }

    /// Clients propose and read.
    fn load(&mut self, id: NodeId) {
        let (proposes, reads, random) = {
            let world = &mut *self.world.borrow_mut();
            // In calm times clients ask seldom, and in the end not at all.
            let (propose, read) = match (world.is_hostile, world.now < world.quiet_from) {
                (true, _) => (world.plan.propose, world.plan.read),
                (false, true) => (CALM_CHANCE, CALM_CHANCE),
                (false, false) => (0, 0),
            };
            let proposes = happens(&mut world.rng, propose);
            (proposes, happens(&mut world.rng, read), world.rng.next())
        };
        // Whoever leads an earlier term than another is asked for certain: it must not answer.
        let is_overtaken = self.is_overtaken(id);
        if proposes {
            self.propose(id, random);
        }
        let Some(node) = self.seats.get_mut(&id).and_then(|seat| seat.node.as_mut()) else { return };
        if (reads || is_overtaken)
            && let Ok(read) = node.read()
        {
            if is_overtaken {
                self.world.borrow_mut().report.note("read asked of an overtaken leader");
            }
            self.clients.on_read(id, read, &self.world.borrow().checker);
        }
    }

    /// A client proposes.
    pub(super) fn propose(&mut self, id: NodeId, random: u64) {
        let Some(node) = self.seats.get_mut(&id).and_then(|seat| seat.node.as_mut()) else { return };
        let payload = self.clients.next_payload(random);
        let is_leader = node.raft().role() == RoleName::Leader;
        match node.propose(&payload) {
            Ok(proposal) => {
                self.clients.on_propose(id, proposal, payload);
                if !is_leader {
                    self.world.borrow_mut().report.note("forwarded");
                }
            }
            Err(_) => self.clients.on_refused(payload),
        }
    }

    /// An administrator changes settings and the membership, and moves leadership about.
    fn administer(&mut self, id: NodeId) {
        let world = &mut *self.world.borrow_mut();
        let Some(node) = self.seats.get_mut(&id).and_then(|seat| seat.node.as_mut()) else { return };
        if world.is_hostile && happens(&mut world.rng, world.plan.settings) {
            let result = node.update_config(|config| world.plan.vary(config, &mut world.rng));
            result.expect("what a node may start with it may change to");
            world.report.note("settings changed");
        }
        if !node.raft().is_leader() {
            return;
        }
        let (rng, plan) = (&mut world.rng, &world.plan);
        let membership = node.raft().membership();
        if membership.is_joint() && !membership.leaves_by_itself() {
            if !world.is_hostile || rng.between(0, 63) == 0 {
                // Refused until the joint configuration is committed; asked again later.
                let _refusal = node.leave_joint();
            }
            return;
        }
        if !world.is_hostile {
            return;
        }
        if happens(rng, plan.change) {
            if rng.between(0, 7) == 0 {
                match node.change_membership(&draw_conversion(rng, membership)) {
                    Ok(_) => world.checker.violate("no member turns", format!("node {id} let one")),
                    Err(_) => world.report.note("conversion refused"),
                }
            }
            let joining = joining_count(node.raft().membership());
            if node.change_membership(&draw_change(rng, plan, &self.ids)).is_ok() {
                let membership = node.raft().membership();
                if membership.is_joint() {
                    world.report.note("joint configuration");
                }
                if joining_count(membership) > joining {
                    world.report.note("joining voter");
                }
            }
        }
        if happens(rng, plan.transfer) {
            let heir = pick(rng, &self.ids);
            match node.transfer_leadership(heir) {
                Ok(()) if plan.is_witness(heir) => {
                    world.checker.violate("a witness cannot lead", format!("node {id} hands over to {heir}"));
                }
                Ok(()) => world.report.note("transfer"),
                Err(_) => {}
            }
        }
    }

    /// Whether a node leads while another one leads a later term.
    fn is_overtaken(&self, id: NodeId) -> bool {
        let leads = |id: &NodeId| {
            let raft = self.seats[id].node.as_ref()?.raft();
            raft.is_leader().then(|| raft.term())
        };
        leads(&id).is_some_and(|own| self.ids.iter().filter_map(leads).any(|other| other > own))
    }

    /// Lets a node work, but not at every step: inputs pile up before outputs are drained.
    fn pump(&mut self, id: NodeId) {
        let pumps = {
            let world = &mut *self.world.borrow_mut();
            let (rng, plan) = (&mut world.rng, &world.plan);
            world.now >= self.seats[&id].paused_until && (happens(rng, plan.pump) || !world.is_hostile)
        };
        let Some(node) = self.seats.get_mut(&id).and_then(|seat| seat.node.as_mut()).filter(|_| pumps) else {
            return;
        };
        let lease_reads = node.raft().counters().lease_reads;
        let before = node.raft().membership().clone();
        let result = node.pump();
        let lease_reads = node.raft().counters().lease_reads - lease_reads;
        let world = &mut *self.world.borrow_mut();
        if lease_reads > 0 {
            world.report.note_many("read served by lease", lease_reads);
        }
        world.checker.on_pump(id, &before, node.raft(), &world.disks);
        let (is_leader, membership) = (node.raft().is_leader(), node.raft().membership());
        if is_leader && membership.is_joint() && joining_count(membership) < joining_count(&before) {
            world.report.note("joining voter promoted");
        }
        if world.plan.change == 0 {
            world.checker.check_electable(&world.plan.founders(), &world.disks);
        }
        if let Err(error) = result {
            world.checker.violate("a node stops only if its disk fails", format!("node {id}: {error:?}"));
        }
        while let Some(event) = node.poll_event() {
            let applied = node.machine().applied;
            on_event(&mut self.clients, world, id, applied, event);
        }
    }

    pub(super) fn node(&mut self, id: NodeId) -> Option<&mut SimNode> {
        self.seats.get_mut(&id).and_then(|seat| seat.node.as_mut())
    }
}

fn on_event(clients: &mut Clients, world: &mut World, id: NodeId, applied: LogIndex, event: Event<LogIndex>) {
    let (checker, report) = (&mut world.checker, &mut world.report);
    match event {
        Event::Proposed { id: proposal, outcome } => {
            clients.on_outcome(id, proposal, &outcome, checker, report);
        }
        Event::ReadReady { .. } if world.plan.is_witness(id) => {
            checker.violate("a witness serves no reads", format!("node {id}"));
        }
        Event::ReadReady { up_to } => clients.on_reads_served(id, up_to, applied, checker, report),
        Event::ReadRefused { up_to } => clients.on_reads_refused(id, up_to, report),
        Event::Notice(Notice::Role { role: RoleName::Leader, .. }) => report.note("leader elected"),
        Event::Notice(Notice::Truncated { .. }) => report.note("entries cut off"),
        Event::Notice(Notice::SteppedDown { cause: StepDown::Removed, .. }) => report.note("leader removed"),
        Event::Notice(Notice::SteppedDown { cause: StepDown::QuorumLost, .. }) => {
            report.note("stepped down: quorum lost");
        }
        Event::Notice(Notice::SteppedDown { cause: StepDown::DiskStalled, .. }) => {
            report.note("stepped down: disk stalled");
        }
        Event::Notice(Notice::PeerRegressed { peer, .. }) => {
            checker.violate("a disk that keeps its promises is trusted", format!("node {peer}"));
        }
        Event::Notice(Notice::SnapshotTaken { .. }) => report.note("snapshot taken"),
        Event::Notice(Notice::SnapshotSending { .. }) => report.note("snapshot sent"),
        Event::Notice(Notice::SnapshotInstalled { .. }) => report.note("snapshot installed"),
        Event::Notice(Notice::SnapshotFailed { .. }) => report.note("snapshot failed"),
        Event::Notice(Notice::Compacted { .. }) => report.note("compacted"),
        Event::Notice(_) => {}
    }
}
