//! The corridor: from each input to the room it belongs to, and from there to the next.
//!
//! Messages come in through one door ([`step`]), change the role only here ([`change`]), and
//! everything that goes out is made when it is asked for ([`drain`]).

mod change;
mod drain;
#[cfg(feature = "trace")]
mod recorder;
mod settings;
mod snapshot;
mod step;
mod tick;
#[cfg(not(feature = "trace"))]
mod unrecorded;

use alloc::vec::Vec;

use crate::books::Books;
use crate::books::Clock;
use crate::books::applying::Applying;
use crate::books::disk::Disk;
use crate::books::forwards::Forwards;
use crate::books::log::Log;
use crate::books::memberships::Memberships;
use crate::books::outbox::Outbox;
use crate::books::reads::{Asked, LocalReads};
use crate::books::role::{Follower, Leader, Role};
use crate::books::snapshots::Snapshots;
use crate::means::config::Config;
use crate::means::rng::Rng;
use crate::rooms::{applying, proposing, reading, reconfiguration, replication, sending, transfer};
use crate::words::action::Load;
use crate::words::change::MembershipChange;
use crate::words::counters::Counters;
use crate::words::entries::Entries;
use crate::words::error::{ChangeError, LoadError, ProposeError, ReadError, RestoreError, TransferError};
use crate::words::ids::{ForwardId, LoadId, LogIndex, NodeId, PersistId, Position, ReadId};
use crate::words::membership::Membership;
use crate::words::message::{Body, SnapshotMeta};
use crate::words::notice::StepDown;
use crate::words::persist::{HardState, Recovered, SnapshotMark};

#[cfg(feature = "trace")]
use recorder::Trace;
#[cfg(not(feature = "trace"))]
use unrecorded::Trace;

/// The state machine of one node in one group.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Machine {
    pub(crate) books: Books,
    pub(crate) role: Role,
    /// Loads that were asked for and not answered.
    loads: Vec<(Load, LoadFor)>,
    /// What this node did, if that is to be told; of no size without feature `trace`.
    pub(crate) trace: Trace,
}

/// Whom loaded entries are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum LoadFor {
    Apply,
    Peer(NodeId),
}

impl Machine {
    /// A node of a new group. The first thing it asks for is to make that durable.
    pub(crate) fn found(config: Config, membership: Membership) -> Self {
        Self::begin(config, membership)
    }

    /// A node that does not belong to a group yet. It waits for a leader to reach out.
    pub(crate) fn join(config: Config) -> Self {
        Self::begin(config, Membership::default())
    }

    fn begin(config: Config, membership: Membership) -> Self {
        let mark = SnapshotMark { last: Position::ZERO, membership };
        let memberships = Memberships::new((LogIndex::ZERO, mark.membership.clone()), Vec::new());
        let log = Log::new(Position::ZERO);
        let mut machine = Self::new(config, HardState::default(), log, memberships, None);
        machine.books.disk.reset(mark);
        machine
    }

    /// A node with a past.
    ///
    /// A snapshot that the log does not lead up to was stored just before a crash; the log begins
    /// behind it then (F19, S106). Its term may be one that this node has not noted: it has not voted
    /// in it either, since votes wait for the disk.
    pub(crate) fn restore(
        config: Config,
        recovered: Recovered,
        snapshot: Option<SnapshotMeta>,
        entries: Vec<(LogIndex, Membership)>,
    ) -> Result<Self, RestoreError> {
        let nothing = || SnapshotMark { last: Position::ZERO, membership: Membership::default() };
        let mark = recovered.mark.or_else(|| snapshot.as_ref().map(|_| nothing()));
        let Some(mark) = mark else { return Err(RestoreError::NotInitialised) };
        let start = snapshot.as_ref().map_or(Position::ZERO, |snapshot| snapshot.last);
        if start.index < mark.last.index {
            return Err(RestoreError::SnapshotMissing { mark: mark.last.index });
        }
        let mut log = Log::new(mark.last);
        for run in &recovered.runs {
            let last = log.last();
            if run.first != last.index.next() || run.last < run.first || run.term < last.term {
                return Err(RestoreError::LogOrder { at: run.first });
            }
            log.extend_stored(Position::new(run.term, run.last), run.kind);
        }
        let (mut hard, last) = (recovered.hard_state, log.last());
        if hard.term < last.term {
            return Err(RestoreError::TermBehindLog);
        }
        if hard.commit > last.index {
            return Err(RestoreError::CommitOutsideLog { commit: hard.commit, last: last.index });
        }
        // What the mark replaced was committed.
        hard.commit = hard.commit.max(mark.last.index);
        let memberships = Memberships::new((mark.last.index, mark.membership), entries);
        let leads_up = log.matches(start);
        if !leads_up && hard.commit >= start.index {
            return Err(RestoreError::SnapshotContradictsLog { at: start.index });
        }
        let mut machine = Self::new(config, hard, log, memberships, snapshot.clone());
        if let Some(snapshot) = snapshot.filter(|_| !leads_up) {
            machine.books.reset_log(SnapshotMark { last: start, membership: snapshot.membership });
            if machine.books.term() < start.term {
                machine.books.hard = HardState { term: start.term, vote: None, ..machine.books.hard };
                machine.books.disk.touch_hard_state();
            }
        }
        if machine.books.commit_to(start.index) {
            machine.role = Role::Follower(Follower::new(None, start.index, ReadId::ZERO));
        }
        // Nobody remembers when; it may have been just before the crash.
        machine.books.clock.leader_silence = 0;
        Ok(machine)
    }

    fn new(
        config: Config,
        hard: HardState,
        log: Log,
        memberships: Memberships,
        snapshot: Option<SnapshotMeta>,
    ) -> Self {
        let last = log.last().index;
        let snapshots = Snapshots::new(snapshot);
        let applied = snapshots.last().index;
        let mut rng = Rng::new(config.seed ^ config.id.get().rotate_left(32));
        let mut books = Books {
            epoch: rng.next(),
            rng,
            config,
            hard,
            disk: Disk::new(last, hard.commit),
            log,
            memberships,
            applying: Applying::new(applied),
            snapshots,
            outbox: Outbox::default(),
            local_reads: LocalReads::default(),
            counters: Counters::default(),
            forwards: Forwards::default(),
            clock: Clock {
                election_elapsed: 0,
                election_timeout: 0,
                beat_elapsed: 0,
                leader_silence: u32::MAX,
            },
            campaign: 0,
            load: LoadId::ZERO,
            last_at_tick: last,
        };
        books.reset_clock();
        let follower = Follower::new(None, hard.commit, ReadId::ZERO);
        Self { books, role: Role::Follower(follower), loads: Vec::new(), trace: Trace::new() }
    }

    /// Appends a command, if this node leads.
    pub(crate) fn propose(&mut self, payload: &[u8]) -> Result<Position, ProposeError> {
        match &mut self.role {
            Role::Leader(leader) => {
                let position = proposing::append(&mut self.books, leader, payload)?;
                replication::wake(leader);
                Ok(position)
            }
            Role::Follower(Follower { leader: Some(leader), .. }) => {
                Err(ProposeError::NotLeader { leader: *leader })
            }
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => Err(ProposeError::NoLeader),
        }
    }

    /// Sends a command on to the leader, if another node leads.
    pub(crate) fn forward(&mut self, payload: &[u8]) -> Result<ForwardId, ProposeError> {
        match &self.role {
            Role::Follower(follower) => proposing::forward(&mut self.books, follower, payload),
            Role::Leader(_) | Role::PreCandidate(_) | Role::Candidate(_) => Err(ProposeError::NoLeader),
        }
    }

    /// Asks for a linearizable read.
    pub(crate) fn read(&mut self) -> Result<ReadId, ReadError> {
        if self.books.is_witness() {
            return Err(ReadError::Witness);
        }
        let next = self.books.local_reads.asked.next();
        match &mut self.role {
            Role::Leader(leader) => {
                let (asker, epoch) = (self.books.config.id, self.books.epoch);
                leader.reads.ask(Asked { asker, epoch, up_to: next });
            }
            Role::Follower(Follower { leader: Some(_), .. }) => {}
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                return Err(ReadError::NoLeader);
            }
        }
        self.books.local_reads.asked = next;
        Ok(next)
    }

    /// Everything up to this request is durable.
    pub(crate) fn persisted(&mut self, id: PersistId) {
        self.books.disk.complete(id);
        if let Role::Leader(leader) = &mut self.role {
            replication::count_own_disk(&mut self.books, leader);
            self.after_commit();
        }
        let completed = self.books.disk.completed();
        while let Some(message) = self.books.outbox.release(completed) {
            self.books.outbox.send(message);
        }
    }

    /// Entries up to this index are applied.
    pub(crate) fn applied(&mut self, index: LogIndex) {
        applying::on_applied(&mut self.books, index);
    }

    /// Entries that were asked for. An answer to nothing is ignored.
    pub(crate) fn loaded(&mut self, id: LoadId, batches: &[Entries]) -> Result<(), LoadError> {
        let Some(at) = self.loads.iter().position(|(load, _)| load.id == id) else { return Ok(()) };
        let (load, asker) = self.loads.remove(at);
        match asker {
            LoadFor::Apply => {
                // A snapshot that took, or will take, the place of these entries is not overtaken.
                if self.books.applying.loading == Some(id) {
                    let batches = applying::check_loaded(&self.books, load, batches)?;
                    applying::hand_out_loaded(&mut self.books, batches);
                }
            }
            LoadFor::Peer(peer) => {
                // What was compacted away meanwhile is not compared any more, nor sent.
                if let Role::Leader(leader) = &mut self.role
                    && load.first > self.books.log.mark().index
                    && leader.progress.find(peer).is_some_and(|progress| progress.loading == Some(id))
                {
                    let batches = applying::check_loaded(&self.books, load, batches)?;
                    replication::send_loaded(&mut self.books, leader, peer, batches);
                }
            }
        }
        Ok(())
    }

    /// Messages to this member may have been lost.
    pub(crate) fn unreachable(&mut self, peer: NodeId) {
        match &mut self.role {
            Role::Leader(leader) => {
                replication::on_unreachable(leader, peer);
                sending::on_unreachable(leader, peer);
            }
            Role::Follower(follower) if follower.leader == Some(peer) => {
                // Ask again, and expect no answer to what was sent.
                follower.reads_sent = self.books.local_reads.done;
                proposing::give_up_sent(&mut self.books);
            }
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {}
        }
    }

    /// Changes the membership, if this node leads.
    pub(crate) fn change_membership(&mut self, change: &MembershipChange) -> Result<Position, ChangeError> {
        self.reconfigure(|books, leader| reconfiguration::change(books, leader, change))
    }

    /// Leaves a joint configuration, if this node leads.
    pub(crate) fn leave_joint(&mut self) -> Result<Position, ChangeError> {
        self.reconfigure(reconfiguration::leave_joint)
    }

    fn reconfigure(
        &mut self,
        append: impl FnOnce(&mut Books, &mut Leader) -> Result<Position, ChangeError>,
    ) -> Result<Position, ChangeError> {
        let known = self.leader();
        match &mut self.role {
            Role::Leader(leader) => {
                let position = append(&mut self.books, leader)?;
                self.after_membership();
                Ok(position)
            }
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => match known {
                Some(leader) => Err(ChangeError::NotLeader { leader }),
                None => Err(ChangeError::NoLeader),
            },
        }
    }

    /// Hands leadership over, if this node leads.
    pub(crate) fn transfer_leadership(&mut self, to: NodeId) -> Result<(), TransferError> {
        let known = self.leader();
        match &mut self.role {
            Role::Leader(leader) => {
                transfer::begin(&mut self.books, leader, to)?;
                replication::broadcast_heartbeat(&mut self.books, leader);
                transfer::tell_if_ready(&mut self.books, leader);
                Ok(())
            }
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => match known {
                Some(leader) => Err(TransferError::NotLeader { leader }),
                None => Err(TransferError::NoLeader),
            },
        }
    }

    /// Leads on, if leadership is being handed over; whether it was.
    pub(crate) fn abort_transfer(&mut self) -> bool {
        let Role::Leader(leader) = &mut self.role else { return false };
        let is_aborted = transfer::abort(&mut self.books, leader);
        if is_aborted {
            // Whoever hears it will not help the target any more.
            replication::broadcast_heartbeat(&mut self.books, leader);
        }
        is_aborted
    }

    /// Who leads, as far as this node knows.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        match &self.role {
            Role::Follower(follower) => follower.leader,
            Role::Leader(_) => Some(self.books.id()),
            Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// Whom the leader of our term wants to take over, as far as this node knows.
    pub(crate) fn transferee(&self) -> Option<NodeId> {
        match &self.role {
            Role::Leader(leader) => leader.transferee(),
            Role::Follower(follower) => follower.transferee,
            Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// Whether a leader was heard within the shortest election timeout, so that other candidates
    /// are not listened to (diss. §4.2.3). A leader hears itself as long as it hears a quorum. Whoever
    /// gave its word for a lease keeps it, even if it knows that leader no more.
    fn hears_leader(&self) -> bool {
        let hears_its_own = match &self.role {
            Role::Leader(_) => true,
            Role::Follower(follower) => {
                follower.leader.is_some()
                    && self.books.clock.election_elapsed < self.books.config.election_timeout_ticks_min
            }
            Role::PreCandidate(_) | Role::Candidate(_) => false,
        };
        hears_its_own || self.books.is_lease_given()
    }

    /// A member's answer was taken: more may be committed, confirmed, or ready to be handed over.
    fn after_reply(&mut self, has_risen: bool) {
        if let Role::Leader(leader) = &mut self.role {
            if has_risen {
                replication::advance_commit(&mut self.books, leader);
                transfer::tell_if_ready(&mut self.books, leader);
            }
            self.answer_reads();
            self.after_commit();
        }
    }

    /// The membership changed: what waits for a quorum is counted anew (S110).
    fn after_membership(&mut self) {
        if let Role::Leader(leader) = &mut self.role {
            leader.is_in_flux = reconfiguration::is_in_flux(&self.books);
            replication::wake(leader);
            replication::count_own_disk(&mut self.books, leader);
            self.answer_reads();
        }
    }

    /// Once a membership is committed, the change goes on by itself: out of the joint
    /// configuration, out of leadership if this node cannot lead any more (S89, S90), and on to
    /// making voters of who joins.
    fn after_commit(&mut self) {
        self.trace.observe(&self.books, &self.role);
        let Role::Leader(leader) = &mut self.role else { return };
        if !leader.is_in_flux {
            return;
        }
        if reconfiguration::finish(&mut self.books, leader) {
            self.after_membership();
        } else if reconfiguration::is_leader_out(&self.books, leader) {
            if let Some(heir) = transfer::best_target(&self.books, leader) {
                transfer::hurry(leader, heir);
                replication::broadcast_heartbeat(&mut self.books, leader);
                self.books.send(heir, Body::TimeoutNow);
            }
            self.step_down(StepDown::Removed, self.books.term());
        } else if reconfiguration::promote(&mut self.books, leader) {
            self.after_membership();
        } else {
            leader.is_in_flux = reconfiguration::is_in_flux(&self.books);
        }
    }

    /// Reads that a quorum confirmed are answered; whoever asked from afar is told the commit
    /// index as well.
    fn answer_reads(&mut self) {
        if let Role::Leader(leader) = &mut self.role
            && leader.reads.has_round()
        {
            let mut waiting = Vec::new();
            reading::answer_confirmed(&mut self.books, leader, |peer, index| waiting.push((peer, index)));
            for (peer, index) in waiting {
                replication::want_commit(&mut self.books, leader, peer, index);
            }
        }
    }

    /// Answers reads that wait without a round, if this node leads and has a lease; whether it did.
    fn answer_by_lease(&mut self) -> bool {
        let Role::Leader(leader) = &mut self.role else { return false };
        if !leader.reads.has_open() || !reading::has_lease(&self.books, leader) {
            return false;
        }
        reading::answer_by_lease(&mut self.books, leader)
    }

    /// Notes who a load is for. What was asked for before for the same is overtaken.
    fn note_load(&mut self, load: Load, asker: LoadFor) {
        self.loads.retain(|(_, other)| *other != asker);
        self.loads.push((load, asker));
    }
}
