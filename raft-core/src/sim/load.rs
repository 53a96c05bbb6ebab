//! Clients at the nodes: what they ask for, and what they are told.

use alloc::format;

use super::caption::Told;
use super::cluster::{Cluster, Output};
use super::dice::Chance;
use super::recorder::MarkKind;
use super::subject::{Answer, RequestId, Subject};
use super::world::World;
use crate::doors::outcome::{Event, Outcome};
use crate::doors::waiting::ProposalId;
use crate::words::ids::{NodeId, ReadId};
use crate::words::notice::{Notice, StepDown};
use crate::words::status::RoleName;

/// How likely a client asks a node in a step without faults.
const CALM_CHANCE: Chance = 500;

impl<S: Subject> Cluster<S> {
    /// Clients propose and read.
    pub(super) fn load(&mut self, id: NodeId) {
        if self.away.contains(&id) {
            return;
        }
        let (proposes, reads) = {
            let world = &mut *self.world.borrow_mut();
            // In calm times clients ask seldom, and in the end not at all.
            let (propose, read) = match (world.is_hostile, world.now < world.quiet_from) {
                (true, _) => (world.plan.propose, world.plan.read),
                (false, true) => (CALM_CHANCE, CALM_CHANCE),
                (false, false) => (0, 0),
            };
            (world.dice.happens(propose), world.dice.happens(read))
        };
        // Whoever leads an earlier term than another is asked for certain: it must not answer.
        let is_overtaken = self.is_overtaken(id);
        if proposes {
            self.propose(id);
        }
        if reads || is_overtaken {
            self.read(id, is_overtaken);
        }
    }

    /// A client proposes.
    pub(super) fn propose(&mut self, id: NodeId) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        let (Some(node), ticks) = (seat.node.as_mut(), seat.ticks) else { return };
        let request = self.requests.next();
        let payload = {
            let world = &mut *self.world.borrow_mut();
            self.subject.propose(request, world.now, &mut world.dice)
        };
        let Some(payload) = payload else { return };
        self.world.borrow_mut().record(|recorder, now| recorder.on_ask(now, request, id, Some(&payload)));
        let is_leader = node.raft().role() == RoleName::Leader;
        match node.propose(&payload) {
            Ok(proposal) => {
                self.requests.on_propose(id, proposal, request, ticks);
                if !is_leader {
                    self.world.borrow().note("forwarded");
                }
            }
            // What was not taken can never be applied.
            Err(_) => self.answer(request, Answer::Never),
        }
    }

    fn read(&mut self, id: NodeId, is_overtaken: bool) {
        let Some(node) = self.seats.get_mut(&id).and_then(|seat| seat.node.as_mut()) else { return };
        let request = self.requests.next();
        let reads = {
            let world = &mut *self.world.borrow_mut();
            self.subject.read(request, world.now, &mut world.dice)
        };
        if !reads {
            return;
        }
        self.world.borrow_mut().record(|recorder, now| recorder.on_ask(now, request, id, None));
        let Ok(read) = node.read() else { return self.answer(request, Answer::Unread) };
        let world = self.world.borrow();
        if is_overtaken {
            world.note("read asked of an overtaken leader");
        }
        self.requests.on_read(id, read, request, world.checker.acknowledged);
    }

    /// A node is gone: nobody will answer.
    pub(super) fn forget_requests(&mut self, id: NodeId) {
        let (proposals, reads) = self.requests.take_all(id);
        proposals.into_iter().for_each(|request| self.answer(request, Answer::Unknown));
        reads.into_iter().for_each(|request| self.answer(request, Answer::Unread));
    }

    /// Clients read elsewhere: a leader that hears nobody, and does not care, lets reads wait for ever.
    pub(super) fn leave_readers(&mut self, id: NodeId) {
        for (request, _) in self.requests.take_reads(id, ReadId::new(u64::MAX)) {
            self.answer(request, Answer::Unread);
        }
    }

    /// A node tells something.
    pub(super) fn on_event(&mut self, id: NodeId, event: Event<Output<S>>) {
        match event {
            Event::Proposed { id: proposal, outcome } => self.on_outcome(id, proposal, outcome),
            Event::ReadReady { up_to } => self.on_reads_served(id, up_to),
            Event::ReadRefused { up_to } => {
                for (request, _) in self.requests.take_reads(id, up_to) {
                    self.world.borrow().note("read refused");
                    self.answer(request, Answer::Unread);
                }
            }
            Event::Notice(notice) => self.on_notice(id, notice),
        }
    }

    /// An outcome; an applied one makes everything up to its index visible to later reads.
    fn on_outcome(&mut self, id: NodeId, proposal: ProposalId, outcome: Outcome<Output<S>>) {
        let world = &mut *self.world.borrow_mut();
        let Some(request) = self.requests.take_proposal(id, proposal) else {
            return world.checker.violate("one outcome per proposal", format!("node {id}, {proposal:?}"));
        };
        let (situation, answer) = match outcome {
            Outcome::Applied((index, output)) => {
                world.checker.acknowledged = world.checker.acknowledged.max(index);
                ("acknowledged", Answer::Applied(output))
            }
            Outcome::Refused(_) => ("proposal refused", Answer::Never),
            Outcome::Lost => ("proposal lost", Answer::Never),
            Outcome::Unknown => ("proposal unknown", Answer::Unknown),
        };
        world.note(situation);
        tell_client(world, &mut self.subject, request, answer);
    }

    /// Reads up to `up_to` are served from the state as it is.
    fn on_reads_served(&mut self, id: NodeId, up_to: ReadId) {
        let world = &mut *self.world.borrow_mut();
        if world.plan.is_witness(id) {
            return world.checker.violate("a witness serves no reads", format!("node {id}"));
        }
        let Some(node) = self.seats.get(&id).and_then(|seat| seat.node.as_ref()) else { return };
        let machine = node.machine();
        let applied = machine.applied;
        for (request, needed) in self.requests.take_reads(id, up_to) {
            world.note("read served");
            if applied < needed {
                let details = format!("read {request} at node {id} saw {applied}, needs {needed}");
                world.checker.violate("linearizable reads", details);
            }
            world.checker.acknowledged = world.checker.acknowledged.max(applied);
            tell_client(world, &mut self.subject, request, Answer::Read(&machine.machine));
        }
    }

    fn answer(&mut self, request: RequestId, answer: Answer<'_, S::Machine>) {
        tell_client(&mut self.world.borrow_mut(), &mut self.subject, request, answer);
    }

    fn on_notice(&mut self, id: NodeId, notice: Notice) {
        let world = &mut *self.world.borrow_mut();
        world.tell(MarkKind::Notice, Some(id), format_args!("node {id} {}", Told(notice)));
        world.note(match notice {
            Notice::Role { role: RoleName::Leader, .. } => "leader elected",
            Notice::Truncated { .. } => "entries cut off",
            Notice::SteppedDown { cause: StepDown::Removed, .. } => "leader removed",
            Notice::SteppedDown { cause: StepDown::QuorumLost, .. } => "stepped down: quorum lost",
            Notice::SteppedDown { cause: StepDown::DiskStalled, .. } => "stepped down: disk stalled",
            Notice::PeerRegressed { peer, .. } => {
                let property = "a disk that keeps its promises is trusted";
                return world.checker.violate(property, format!("node {peer}"));
            }
            Notice::SnapshotTaken { .. } => "snapshot taken",
            Notice::SnapshotSending { .. } => "snapshot sent",
            Notice::SnapshotInstalled { .. } => "snapshot installed",
            Notice::Compacted { .. } => "compacted",
            _ => return,
        });
    }
}

/// Gives a client its answer, about which it may complain.
fn tell_client<S: Subject>(
    world: &mut World,
    subject: &mut S,
    request: RequestId,
    answer: Answer<'_, S::Machine>,
) {
    world.record(|recorder, now| recorder.on_answer(now, request, answer.name()));
    if let Err(violation) = subject.on_answer(request, world.now, answer) {
        world.checker.report(violation);
    }
}
