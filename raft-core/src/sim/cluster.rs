//! One run: nodes, faults, clients, and the check after every step.

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use super::by_node::ByNode;
use super::dice::Dice;
use super::ends::{SimTransport, WatchedStore};
use super::machine::Watched;
use super::options::Options;
use super::panics::caught;
use super::plan::{Plan, STEPS_PER_TICK, joining_count};
use super::recorder::MarkKind;
use super::recording::Recording;
use super::report::Report;
use super::requests::Requests;
use super::subject::{Fate, Medium, Subject};
use super::violation::{Failure, Violation};
use super::world::{Shared, World};
use crate::doors::node::Node;
use crate::doors::outcome::NodeError;
use crate::doors::state_machine::StateMachine;
use crate::doors::store::LogStore;
use crate::words::ids::NodeId;
use crate::words::membership::Membership;
#[cfg(feature = "trace")]
use crate::words::trace::TraceEvent;

/// Runs one seed: faults first, then calm, in which the cluster must recover and agree.
///
/// The report counts what the run met, so that a suite can tell whether its seeds reached everything.
///
/// ```
/// use raft_core::sim::{Digests, Options, Report, run};
///
/// let mut options = Options::default();
/// options.fault_steps = 500;
/// let mut all = Report::default();
/// for seed in 0..3 {
///     all.merge(&run(seed, &options, Digests::default())?);
/// }
/// assert!(all.count("leader elected") > 0);
/// let again = run(0, &options, Digests::default())?;
/// assert_eq!(run(0, &options, Digests::default())?, again); // the seed decides everything
/// # Ok::<(), raft_core::sim::Failure>(())
/// ```
///
/// # Errors
///
/// The first property that did not hold. The same seed, options and subject fail in the same way. A panic
/// of a node, or of what the subject brings, is such a failure as well (with feature `std`).
pub fn run<S: Subject>(seed: u64, options: &Options, subject: S) -> Result<Report, Failure> {
    Cluster::new(seed, options, subject).finish(seed, options)
}

/// Runs one seed as [`run`] does, and writes down all that happens. That takes several times as long,
/// and a seed that has failed fails again; so run first, and record what has failed. If it fails in another
/// way or not at all, the subject is not deterministic.
///
/// ```
/// use raft_core::sim::{Digests, Options, record};
///
/// let recording = record(42, &Options::default(), Digests::default());
/// assert!(recording.failure().is_none() && recording.message_count() > 0);
/// assert!(recording.story(10).last().is_some_and(|line| line.starts_with("step ")));
/// ```
#[must_use]
pub fn record<S: Subject>(seed: u64, options: &Options, subject: S) -> Recording {
    let mut cluster = Cluster::new(seed, options, subject);
    cluster.world.borrow_mut().recorder = Some(Box::default());
    let failure = cluster.finish(seed, options).err();
    let world = &mut *cluster.world.borrow_mut();
    let what = world.recorder.take().map(|recorder| *recorder).unwrap_or_default();
    Recording { seed, options: options.clone(), steps: world.now, failure, what }
}

/// What a node's machine gives: the index of the command, and the application's output.
pub(super) type Output<S> = <Watched<S> as StateMachine>::Output;

/// A whole node on simulated hardware.
pub(super) type SimNode<S> =
    Node<WatchedStore<<<S as Subject>::Medium as Medium>::Store>, SimTransport, Watched<S>>;

/// A place for a node: running, paused or crashed.
pub(super) struct Seat<S: Subject> {
    pub(super) node: Option<SimNode<S>>,
    pub(super) medium: S::Medium,
    /// Neither ticks nor pumps before this step.
    pub(super) paused_until: u64,
    /// Ticks that it slept through.
    missed_ticks: u32,
    /// Ticks that it was given.
    pub(super) ticks: u64,
    /// Steps per tick; clocks are skewed.
    tick_steps: u64,
}

impl<S: Subject> Seat<S> {
    pub(super) fn new(medium: S::Medium, tick_steps: u64) -> Self {
        Self { node: None, medium, paused_until: 0, missed_ticks: 0, ticks: 0, tick_steps }
    }
}

pub(super) struct Cluster<S: Subject> {
    pub(super) world: Shared,
    pub(super) ids: Vec<NodeId>,
    pub(super) seats: ByNode<Seat<S>>,
    pub(super) requests: Requests,
    pub(super) subject: S,
    /// Whose disks are gone for ever.
    pub(super) lost: Vec<NodeId>,
    /// Whose disk is spoilt, and nobody has found out yet.
    pub(super) damaged: Option<NodeId>,
    /// Who is down or cut off while the others have to serve without faults.
    pub(super) away: Vec<NodeId>,
    /// What all nodes did, if it is to be told.
    #[cfg(feature = "trace")]
    pub(super) events: Option<Vec<TraceEvent>>,
}

impl<S: Subject> Cluster<S> {
    pub(super) fn new(seed: u64, options: &Options, mut subject: S) -> Self {
        let mut dice = Dice::new(seed);
        let plan = Plan::new(&mut dice, options);
        let ids: Vec<NodeId> = (1..=plan.nodes + plan.spares).map(NodeId::new).collect();
        let mut world = World::new(dice, plan);
        let mut seats = ByNode::default();
        for _ in &ids {
            let id = world.add_node();
            let mut medium = subject.medium(id, world.dice.split(), &world.situations);
            if world.plan.has_calm_disks {
                medium.calm();
            }
            let tick_steps = STEPS_PER_TICK - 1 + world.dice.between(0, 2);
            let tick_steps = if world.plan.has_right_clocks { STEPS_PER_TICK } else { tick_steps };
            seats.insert(id, Seat::new(medium, u64::from(tick_steps)));
        }
        let (requests, lost, away) = Default::default();
        Self {
            world: Rc::new(RefCell::new(world)),
            ids,
            seats,
            requests,
            subject,
            lost,
            damaged: None,
            away,
            #[cfg(feature = "trace")]
            events: None,
        }
    }

    /// Runs to the end and sums up.
    pub(super) fn finish(&mut self, seed: u64, options: &Options) -> Result<Report, Failure> {
        let result = caught(|| self.run(options));
        let world = self.world.borrow();
        match result {
            Ok(()) => {
                world.situations.note_many("committed", world.checker.committed_count() as u64);
                world.situations.note_many("witness counted for a commit", world.checker.witnessed);
                Ok(Report::new(&world.situations, world.now, world.trace.value()))
            }
            Err(violation) => Err(Failure { seed, step: world.now, violation }),
        }
    }

    /// First with faults, then without.
    fn run(&mut self, options: &Options) -> Result<(), Violation> {
        for id in self.ids.clone() {
            self.start(id);
        }
        for _ in 0..options.fault_steps {
            self.step()?;
        }
        if options.ends_with_faults {
            return Ok(());
        }
        self.calm_down(options.calm_steps / 10);
        if self.serve_by_core()? {
            self.calm_down(options.calm_steps / 10);
        }
        self.serve()?;
        self.settle(options.calm_steps)?;
        self.disturb()?;
        self.settle(options.calm_steps)?;
        self.hand_over()?;
        self.settle(options.calm_steps)?;
        self.lose_full_voter(options.calm_steps)?;
        self.check_end()
    }

    pub(super) fn step(&mut self) -> Result<(), Violation> {
        {
            let world = &mut *self.world.borrow_mut();
            world.now += 1;
            world.deliver();
        }
        for id in self.ids.clone() {
            // Its disk may have been lost just now, by what befell another node, or by what befalls it.
            if self.seats.contains_key(&id) {
                self.faults(id);
            }
            if self.seats.contains_key(&id) {
                self.advance(id);
            }
            #[cfg(feature = "trace")]
            self.collect_trace(id);
            self.record_state(id);
            if let Some(violation) = self.world.borrow().checker.violation() {
                return Err(violation.clone());
            }
        }
        Ok(())
    }

    fn advance(&mut self, id: NodeId) {
        let now = self.world.borrow().now;
        if let Some(seat) = self.seats.get_mut(&id).filter(|seat| seat.node.is_some()) {
            seat.medium.step(now);
        }
        self.tick(id);
        self.load(id);
        self.administer(id);
        self.pump(id);
    }

    /// Starts a node from what its medium holds.
    pub(super) fn start(&mut self, id: NodeId) {
        let seat = self.seats.get_mut(&id).expect("every node has a seat");
        let store = match seat.medium.open() {
            Ok(store) => store,
            Err(fate) => {
                seat.medium.crash();
                return self.on_fate(id, fate);
            }
        };
        let (config, founders) = {
            let world = &mut *self.world.borrow_mut();
            (world.plan.clone().config(id, &mut world.dice), world.plan.founders())
        };
        let store = WatchedStore::new(id, Rc::clone(&self.world), store);
        let transport = SimTransport::new(id, Rc::clone(&self.world));
        let machine = Watched::new(id, &self.world, self.subject.machine());
        let opened = if founders.member(id).is_some() {
            Node::open(config, Some(founders), store, transport, machine)
        } else {
            Node::join(config, store, transport, machine)
        };
        match opened {
            Ok(node) => {
                let world = &mut *self.world.borrow_mut();
                world.checker.on_start(id, node.raft());
                let status = node.status();
                let (mark, last, applied) = (status.mark, status.last, status.applied);
                world.tell(
                    MarkKind::Start,
                    Some(id),
                    format_args!("node {id} starts; its log is from {mark} to {last}, applied {applied}"),
                );
                if status.snapshot.is_some() {
                    world.note("restarted from a snapshot");
                }
                seat.node = Some(node);
            }
            Err(error) => {
                self.on_node_error(id, error);
            }
        }
        #[cfg(feature = "trace")]
        self.record(id);
    }

    /// A node cannot start or go on.
    fn on_node_error(&mut self, id: NodeId, error: StoreError<S>) {
        let seat = self.seats.get_mut(&id).expect("every node has a seat");
        let fate = match error {
            NodeError::Store(error) => seat.medium.judge(&error),
            NodeError::Snapshot(_) => {
                let details = format!("at node {id}, `StateMachine::restore` takes a snapshot for invalid");
                Fate::Violation(Violation::new("a machine restores the snapshots it took", details))
            }
            other => {
                let details = format!("node {id}: {other:?}");
                Fate::Violation(Violation::new("a node stops only if its disk fails", details))
            }
        };
        self.crash(id);
        self.on_fate(id, fate);
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
            if ticks > 0 {
                seat.ticks += u64::from(ticks);
                let durable = world.ledgers[&id].last();
                world.checker.reigns.on_tick(node.raft(), ticks, durable);
            }
        }
    }

    /// Whether a node leads while another one leads a later term.
    pub(super) fn is_overtaken(&self, id: NodeId) -> bool {
        let leads = |id: &NodeId| {
            let raft = self.seats.get(id)?.node.as_ref()?.raft();
            raft.is_leader().then(|| raft.term())
        };
        leads(&id).is_some_and(|own| self.ids.iter().filter_map(leads).any(|other| other > own))
    }

    /// Lets a node work, but not at every step: inputs pile up before outputs are drained.
    fn pump(&mut self, id: NodeId) {
        let pumps = {
            let world = &mut *self.world.borrow_mut();
            let (dice, plan) = (&mut world.dice, &world.plan);
            world.now >= self.seats[&id].paused_until && (dice.happens(plan.pump) || !world.is_hostile)
        };
        let Some(node) = self.seats.get_mut(&id).and_then(|seat| seat.node.as_mut()).filter(|_| pumps) else {
            return;
        };
        let lease_reads = node.raft().counters().lease_reads;
        let before = node.raft().membership().clone();
        let result = node.pump();
        let lease_reads = node.raft().counters().lease_reads - lease_reads;
        self.check(id, &before, lease_reads);
        if let Err(error) = result {
            return self.on_node_error(id, error);
        }
        while let Some(event) = self.node(id).and_then(Node::poll_event) {
            self.on_event(id, event);
        }
        self.check_patience(id);
    }

    /// Nobody waits for what became of a proposal for longer than the settings say, give or take an
    /// eighth; one that was sent on may do so twice, until it is known where it stands and from then on.
    fn check_patience(&self, id: NodeId) {
        let seat = &self.seats[&id];
        let timeout = seat.node.as_ref().map_or(0, |node| node.raft().config().proposal_timeout_ticks);
        let Some(asked) = self.requests.oldest_proposal(id) else { return };
        let waited = seat.ticks - asked;
        if waited > 2 * u64::from(timeout + timeout / 8) {
            let details = format!("a proposal at node {id} waits for {waited} ticks");
            self.world.borrow_mut().checker.violate("what waits is bounded", details);
        }
    }

    /// After every pump: what the node did, and what that means for the cluster.
    fn check(&mut self, id: NodeId, before: &Membership, lease_reads: u64) {
        let Some(node) = self.seats.get(&id).and_then(|seat| seat.node.as_ref()) else { return };
        let world = &mut *self.world.borrow_mut();
        if lease_reads > 0 {
            world.situations.note_many("read served by lease", lease_reads);
        }
        world.checker.on_pump(id, before, node.raft(), &world.ledgers);
        let (is_leader, membership) = (node.raft().is_leader(), node.raft().membership());
        if is_leader && membership.is_joint() && joining_count(membership) < joining_count(before) {
            world.note("joining voter promoted");
            if let Err(violation) = world.checker.reigns.check_promoted(node.raft(), before, &world.ledgers) {
                world.checker.report(violation);
            }
        }
        if world.plan.change == 0 && self.lost.is_empty() {
            world.checker.check_electable(&world.ledgers);
            if is_leader
                && let Err(violation) = world.checker.reigns.check_witnesses(node.raft(), &world.ledgers)
            {
                world.checker.report(violation);
            }
        }
    }

    /// Writes down what a node is after a step.
    fn record_state(&self, id: NodeId) {
        self.world.borrow_mut().record(|recorder, now| {
            let seat = self.seats.get(&id);
            let is_paused = seat.is_some_and(|seat| now < seat.paused_until);
            let node = seat.and_then(|seat| seat.node.as_ref());
            recorder.on_state(now, id, node.map(Node::raft), is_paused);
        });
    }

    pub(super) fn node(&mut self, id: NodeId) -> Option<&mut SimNode<S>> {
        self.seats.get_mut(&id).and_then(|seat| seat.node.as_mut())
    }
}

/// What a node over this subject's store can fail with.
type StoreError<S> = NodeError<<<<S as Subject>::Medium as Medium>::Store as LogStore>::Error>;
