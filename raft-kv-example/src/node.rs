//! Joins a Raft node with the server: translates requests, outcomes and happenings.

use std::{error, fmt};

use raft_core::sessions::{SessionCommand, SessionError, SessionOutput, Sessions};
use raft_core::{
    Event, Member, MemberRole, MembershipChange, Node, NodeError, Notice, Outcome as NodeOutcome, PeerMode,
    Position, ProposalId, ProposeError, ReadError, Refusal, SnapshotStore, Transport,
};
use slog::{Logger, info};

use crate::address::Addresses;
use crate::admin::{AdminError, Orders, Roads};
use crate::command::Order;
use crate::kv::{Fault, Machine, Replies, Reply, ReplySink};
use crate::notices::NoticeLog;
use crate::server::{
    MemberOverview, Outcome, Overview, PeerOverview, Refused, Replica, ReplicaEvent, SnapshotTransfer,
    SnapshotsOverview, Ticket,
};
use crate::session_limits::SessionLimitArgs;
use crate::standing::Standing;

/// A Raft node that drives the key-value machine.
#[derive(Debug)]
pub struct KvNode<L, T> {
    node: Node<L, T, Sessions<Machine>>,
    log: Logger,
    cluster: u64,
    /// Where clients reach this node.
    client_address: String,
    session_limits: SessionLimitArgs,
    /// A proposal that changes the limits of sessions, until its fate is known.
    limits_proposal: Option<ProposalId>,
    orders: Orders,
    roads: Roads,
    standing: Standing,
    notices: NoticeLog,
    /// Counts of snapshots; where the newest one ends is in the node's status.
    snapshots: SnapshotsOverview,
    /// What an extra pump failed with; the next one reports it.
    failure: Option<NodeFailure>,
}

/// Why the node stopped, with all its causes in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFailure(String);

impl fmt::Display for NodeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for NodeFailure {}

impl<E: error::Error + 'static> From<NodeError<E>> for NodeFailure {
    fn from(error: NodeError<E>) -> Self {
        Self::of(&error)
    }
}

impl NodeFailure {
    /// Keeps the error and its causes as text.
    #[must_use]
    pub fn of(error: &dyn error::Error) -> Self {
        Self(explain(error))
    }
}

/// An error and its causes in one line.
#[must_use]
pub fn explain(error: &dyn error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl<L: SnapshotStore, T: Transport> KvNode<L, T> {
    /// Takes over a node of this cluster, which clients reach at this address, the limits of sessions
    /// that it brings into force, and the ways to its peers.
    #[must_use]
    pub fn new(
        node: Node<L, T, Sessions<Machine>>,
        cluster: u64,
        client_address: String,
        session_limits: SessionLimitArgs,
        roads: Roads,
        log: Logger,
    ) -> Self {
        let orders = Orders::new(node.raft().config());
        let standing = Standing::new(node.raft().config(), cluster, log.clone());
        Self {
            node,
            cluster,
            client_address,
            session_limits,
            limits_proposal: None,
            orders,
            roads,
            standing,
            notices: NoticeLog::new(log.clone()),
            log,
            snapshots: SnapshotsOverview::default(),
            failure: None,
        }
    }

    /// Follows the membership, and takes orders as far as they go. Gives whether there is something
    /// to pump.
    fn administer(&mut self) -> bool {
        self.roads.follow(self.node.raft());
        let is_settled = self.roads.is_settled(self.node.raft());
        self.standing.follow(self.node.raft(), is_settled);
        let has_begun = self.orders.conduct(&mut self.node, is_settled);
        has_begun || (is_settled && self.publish_address()) || self.bring_limits_into_force()
    }

    /// A leader proposes the limits of sessions that it was started with, if others are in force.
    fn bring_limits_into_force(&mut self) -> bool {
        if !self.node.raft().is_leader() || self.limits_proposal.is_some() {
            return false;
        }
        let in_force = self.node.machine().limits();
        let wanted = self.session_limits.over(in_force);
        if wanted == in_force {
            return false;
        }
        self.limits_proposal = self.node.propose(&SessionCommand::Limits(wanted).to_payload()).ok();
        self.limits_proposal.is_some()
    }

    /// A leader sees to it that its own address for clients is in the membership, so that the others
    /// can send clients to it. Founders do not know that of each other.
    fn publish_address(&mut self) -> bool {
        let raft = self.node.raft();
        if !raft.is_leader() || raft.membership().is_joint() {
            return false;
        }
        let id = raft.id();
        let Some(member) = raft.membership().member(id) else { return false };
        // Usually all is well, and this is asked after every pump: first without reading it.
        if member.context.splitn(2, |byte| *byte == b',').nth(1) == Some(self.client_address.as_bytes()) {
            return false;
        }
        let Ok(own) = Addresses::decode(&member.context) else { return false };
        let addresses = Addresses { client: Some(self.client_address.clone()), ..own };
        let change = MembershipChange::new().context(id, addresses.encode());
        // Whatever speaks against it now may not do so later; it is tried again.
        self.node.change_membership(&change).is_ok()
    }

    fn is_witness(&self) -> bool {
        let raft = self.node.raft();
        raft.membership().is_witness(raft.id())
    }

    fn try_propose(&mut self, payload: &[u8]) -> Result<Ticket, Refused> {
        // It would be sent on, but a witness does not learn what comes of it.
        if self.is_witness() {
            return Err(Refused::Witness);
        }
        if self.standing.is_outsider() {
            return Err(Refused::Outsider);
        }
        match self.node.propose(payload) {
            Ok(id) => Ok(Ticket(id.get())),
            Err(ProposeError::Busy { .. }) => Err(Refused::Busy),
            Err(ProposeError::TooLarge { .. }) => Err(Refused::TooLarge),
            // Refusals that are not known here are nothing that waiting could not cure.
            Err(_) => Err(Refused::NoLeader),
        }
    }

    /// Counts what happened, and tells it to whoever waits for it.
    fn on_notice(&mut self, notice: Notice) {
        self.notices.write(notice);
        match notice {
            Notice::TransferEnded { to } => self.orders.on_transfer_ended(to),
            Notice::SnapshotTaken { last } => {
                self.snapshots.taken_total += 1;
                self.orders.on_snapshot(Ok(last));
            }
            Notice::SnapshotInstalled { last } => {
                self.snapshots.installed_total += 1;
                // One that was being taken gave way to it.
                self.orders.on_snapshot(Ok(last));
            }
            Notice::SnapshotFailed { .. } => {
                self.snapshots.failed_total += 1;
                self.orders.on_snapshot(Err(AdminError::SnapshotFailed));
            }
            _ => {}
        }
    }
}

impl<L: SnapshotStore, T: Transport> Replica for KvNode<L, T> {
    type Error = NodeFailure;

    fn tick(&mut self, ticks: u32) {
        // With leases every tick counts (N18). Without, a process that was not let run for a moment had
        // better not think that all others were silent so long.
        let has_leases = self.node.raft().config().read_lease_ticks > 0;
        let ticks = if has_leases { ticks } else { ticks.min(PAUSE_TICKS_MAX) };
        self.node.tick_many(ticks);
        self.orders.tick(ticks);
        self.standing.tick(ticks);
    }

    fn pump(&mut self) -> Result<(), NodeFailure> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(self.node.pump()?),
        }
    }

    fn has_work(&self) -> bool {
        self.node.has_work()
    }

    fn propose(&mut self, payload: &[u8]) -> Result<Ticket, Refused> {
        match self.try_propose(payload) {
            Err(Refused::Busy) if self.failure.is_none() => {
                // What is proposed in one turn may fill a message; a pump sends it and makes room.
                self.failure = self.node.pump().err().map(NodeFailure::from);
                self.try_propose(payload)
            }
            result => result,
        }
    }

    fn read(&mut self) -> Result<Ticket, Refused> {
        if self.standing.is_outsider() {
            return Err(Refused::Outsider);
        }
        self.node.read().map(|id| Ticket(id.get())).map_err(|error| match error {
            ReadError::Witness => Refused::Witness,
            // Refusals that are not known here are nothing that waiting could not cure.
            _ => Refused::NoLeader,
        })
    }

    fn order(&mut self, order: Order) -> Ticket {
        Ticket(self.orders.take(order))
    }

    fn poll_event(&mut self) -> Option<ReplicaEvent> {
        loop {
            let Some(event) = self.node.poll_event() else {
                // Now everything that the last pump brought is known.
                if self.administer() && self.failure.is_none() {
                    self.failure = self.node.pump().err().map(NodeFailure::from);
                }
                let (id, result) = self.orders.poll_done()?;
                let result = match result {
                    Err(AdminError::NoLeader) if self.standing.is_outsider() => Err(AdminError::Outsider),
                    result => result,
                };
                return Some(ReplicaEvent::Ordered { ticket: Ticket(id), result });
            };
            match event {
                Event::Proposed { id, outcome } if self.limits_proposal == Some(id) => {
                    info!(self.log, "limits of sessions"; "outcome" => ?outcome);
                    self.limits_proposal = None;
                }
                Event::Proposed { id, outcome } => {
                    let outcome = translate(outcome);
                    return Some(ReplicaEvent::Answered { ticket: Ticket(id.get()), outcome });
                }
                Event::ReadReady { up_to } => {
                    return Some(ReplicaEvent::ReadReady { up_to: Ticket(up_to.get()) });
                }
                Event::ReadRefused { up_to } => {
                    return Some(ReplicaEvent::ReadRefused { up_to: Ticket(up_to.get()) });
                }
                Event::Notice(notice) => {
                    self.on_notice(notice);
                    if matches!(notice, Notice::Leader { .. } | Notice::Role { .. }) {
                        return Some(ReplicaEvent::LeaderChanged);
                    }
                }
            }
        }
    }

    fn machine(&self) -> &Machine {
        self.node.machine().machine()
    }

    fn fault(&self) -> Option<Fault> {
        let sessions = self.node.machine();
        let unknown = sessions.fault().map(|fault| Fault { index: fault.index.get() });
        unknown.or_else(|| sessions.machine().fault())
    }

    fn overview(&self) -> Overview {
        let status = self.node.status();
        let members = status.membership.members().iter().map(member_overview);
        let others = status.peers.iter().filter(|peer| peer.id != status.id);
        let peers = others.map(|peer| PeerOverview {
            id: peer.id.get(),
            mode: match peer.mode {
                PeerMode::Probe => "probe",
                PeerMode::Replicate => "replicate",
                PeerMode::Snapshot => "snapshot",
                PeerMode::Stopped => "stopped",
            },
            matched: peer.matched.get(),
            next: peer.next.get(),
            inflight: peer.inflight_messages.into(),
            is_active: peer.is_active,
            snapshot: peer.snapshot.map(|on_its_way| SnapshotTransfer {
                index: on_its_way.last.index.get(),
                arrived_bytes: on_its_way.acknowledged_bytes,
                size_bytes: on_its_way.size_bytes,
            }),
        });
        let newest = status.snapshot.unwrap_or(Position::ZERO);
        Overview {
            cluster: self.cluster,
            is_joint: status.membership.is_joint(),
            is_outsider: self.standing.is_outsider(),
            id: status.id.get(),
            role: if self.is_witness() { "witness" } else { role_word(status.role) },
            term: status.term.get(),
            leader: status.leader.map(raft_core::NodeId::get),
            commit: status.commit.get(),
            applied: status.applied.get(),
            first: status.mark.index.next().get(),
            last: status.last.index.get(),
            read_rounds: self.node.raft().counters().read_rounds,
            lease_reads: self.node.raft().counters().lease_reads,
            sessions: self.node.machine().session_count(),
            session_reply_bytes: self.node.machine().reply_bytes(),
            snapshots: SnapshotsOverview {
                index: newest.index.get(),
                term: newest.term.get(),
                ..self.snapshots
            },
            durable: status.durable.get(),
            members: members.collect(),
            peers: peers.collect(),
        }
    }
}

fn member_overview(member: &Member) -> MemberOverview {
    let addresses = Addresses::decode(&member.context).unwrap_or_default();
    MemberOverview {
        id: member.id.get(),
        role: match member.role {
            MemberRole::Learner => "learner",
            MemberRole::Voter => "voter",
            MemberRole::Witness => "witness",
            MemberRole::Leaving | MemberRole::LeavingWitness => "leaving",
            MemberRole::Joining => "joining",
            MemberRole::JoiningWitness => "joining-witness",
        },
        is_outgoing: member.outgoing_voter,
        domain: member.domain,
        address: addresses.peer,
        client: addresses.client.unwrap_or_default(),
    }
}

fn translate(outcome: NodeOutcome<Result<SessionOutput<Replies>, SessionError>>) -> Outcome {
    let one = |reply| {
        let mut replies = Replies::default();
        replies.push(reply);
        Outcome::Applied(replies)
    };
    match outcome {
        NodeOutcome::Applied(Ok(SessionOutput::Applied(replies))) => Outcome::Applied(replies),
        NodeOutcome::Applied(Ok(SessionOutput::Registered(session))) => {
            one(Reply::Integer(i64::try_from(session.get()).unwrap_or(i64::MAX)))
        }
        NodeOutcome::Applied(Ok(SessionOutput::Closed | SessionOutput::LimitsSet)) => one(Reply::Ok),
        NodeOutcome::Applied(Err(error)) => Outcome::SessionRefused(error),
        NodeOutcome::Refused(Refusal::Busy) => Outcome::Busy,
        NodeOutcome::Refused(
            Refusal::NotLeader
            | Refusal::TooLarge
            | Refusal::Transferring
            | Refusal::NotMember
            | Refusal::Witness,
        )
        | NodeOutcome::Lost => Outcome::NotApplied,
        NodeOutcome::Unknown => Outcome::Unknown,
    }
}

fn role_word(role: raft_core::RoleName) -> &'static str {
    match role {
        raft_core::RoleName::Follower => "follower",
        raft_core::RoleName::PreCandidate => "pre-candidate",
        raft_core::RoleName::Candidate => "candidate",
        raft_core::RoleName::Leader => "leader",
    }
}

/// A pause of the process counts for no more than this, where nothing depends on it.
const PAUSE_TICKS_MAX: u32 = 10;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use raft_storage::{Failure, LogError, Operation};

    use super::*;

    #[test]
    fn what_the_system_says_is_said_once() {
        let source = Arc::new(std::io::Error::other("gone"));
        let failure = Failure { operation: Operation::Sync, path: "/d/1.wal".into(), source };
        assert_eq!(explain(&LogError::Failed(failure)), "could not sync /d/1.wal: gone");
    }
}
