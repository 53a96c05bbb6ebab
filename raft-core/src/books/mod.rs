//! Books: what a node keeps, each book a single idea. Books do not decide; rooms do.

pub(crate) mod applying;
pub(crate) mod disk;
pub(crate) mod forwards;
pub(crate) mod inflight;
pub(crate) mod lease;
pub(crate) mod log;
pub(crate) mod memberships;
pub(crate) mod origins;
pub(crate) mod outbox;
pub(crate) mod progress;
pub(crate) mod reach;
pub(crate) mod reads;
pub(crate) mod role;
pub(crate) mod snapshots;

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use crate::means::config::Config;
use crate::means::rng::Rng;
use crate::words::counters::Counters;
use crate::words::entries::EntryKind;
use crate::words::ids::{LoadId, LogIndex, NodeId, PersistId, Position, Term};
use crate::words::message::{Body, Message};
use crate::words::notice::{Notice, Offence};
use crate::words::persist::{HardState, SnapshotMark};

use applying::Applying;
use disk::Disk;
use forwards::Forwards;
use log::Log;
use memberships::Memberships;
use outbox::Outbox;
use reads::LocalReads;
use snapshots::Snapshots;

/// Everything a node keeps whatever its role.
#[derive(Clone, Debug)]
pub(crate) struct Books {
    pub(crate) config: Config,
    pub(crate) rng: Rng,
    /// Tells this start of the node from earlier ones, in what is asked of a leader.
    pub(crate) epoch: u64,
    pub(crate) hard: HardState,
    pub(crate) log: Log,
    pub(crate) disk: Disk,
    pub(crate) memberships: Memberships,
    pub(crate) applying: Applying,
    pub(crate) snapshots: Snapshots,
    pub(crate) outbox: Outbox,
    pub(crate) local_reads: LocalReads,
    pub(crate) counters: Counters,
    pub(crate) forwards: Forwards,
    pub(crate) clock: Clock,
    /// The last campaign of this node.
    pub(crate) campaign: u64,
    /// The last load that was asked for.
    pub(crate) load: LoadId,
    /// The end of the log at the last tick.
    pub(crate) last_at_tick: LogIndex,
}

/// Ticks since something happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Since a leader was heard, a vote given, or a campaign begun. At a leader: since the quorum
    /// was checked.
    pub(crate) election_elapsed: u32,
    /// When `election_elapsed` reaches this, campaign.
    pub(crate) election_timeout: u32,
    /// At a leader: since the last heartbeat. Elsewhere: since reads were sent on.
    pub(crate) beat_elapsed: u32,
    /// Since a leader was heard, whatever happened in between. A restarted node may have heard one
    /// just before; `u32::MAX` if there never was one.
    pub(crate) leader_silence: u32,
}

/// What decides about the future. Counters do not. Nor does the last load: loads are only told apart.
/// The generator decides about election timeouts still to be drawn, and whoever explores all states
/// lets timeouts come at all times anyway. How long a leader was silent is asked for leases alone, and
/// the end of the log at the last tick for what memory to give back.
impl Hash for Books {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            config,
            rng: _,
            epoch,
            hard,
            log,
            last_at_tick: _,
            disk,
            memberships,
            applying,
            snapshots,
            outbox,
            local_reads,
            counters: _,
            forwards,
            clock,
            campaign,
            load: _,
        } = self;
        (config, epoch, hard, log, disk, memberships, applying, snapshots).hash(state);
        outbox.hash_behind(disk.completed(), state);
        let Clock { election_elapsed, election_timeout, beat_elapsed, leader_silence } = clock;
        (election_elapsed, election_timeout, beat_elapsed).hash(state);
        config.has_leases().then_some(leader_silence).hash(state);
        (local_reads, forwards, campaign).hash(state);
    }
}

impl Books {
    /// This node.
    #[inline]
    pub(crate) fn id(&self) -> NodeId {
        self.config.id
    }

    #[inline]
    pub(crate) fn term(&self) -> Term {
        self.hard.term
    }

    #[inline]
    pub(crate) fn commit(&self) -> LogIndex {
        self.hard.commit
    }

    /// Begins to wait anew, for a newly drawn time (Raft §5.2).
    pub(crate) fn reset_clock(&mut self) {
        self.draw_election_timeout();
        self.clock.election_elapsed = 0;
        self.clock.beat_elapsed = 0;
    }

    /// Draws anew how long to wait, from when the waiting began.
    pub(crate) fn draw_election_timeout(&mut self) {
        let (low, high) = (self.config.election_timeout_ticks_min, self.config.election_timeout_ticks_max);
        self.clock.election_timeout = self.rng.between(low, high);
    }

    /// A message of this node in its current term.
    pub(crate) fn message(&self, to: NodeId, body: Body) -> Message {
        Message { from: self.id(), to, term: self.term(), body }
    }

    pub(crate) fn send(&mut self, to: NodeId, body: Body) {
        let message = self.message(to, body);
        self.outbox.send(message);
    }

    /// Sends once everything that holds now is durable.
    pub(crate) fn send_when_durable(&mut self, to: NodeId, body: Body) {
        let message = self.message(to, body);
        let barrier: Option<PersistId> = self.disk.barrier(&self.log);
        self.outbox.send_after(barrier, message);
    }

    /// Sends once our term is durable: no quorum may be counted on a term that a crash forgets.
    pub(crate) fn send_in_durable_term(&mut self, to: NodeId, body: Body) {
        if self.disk.is_hard_state_durable() {
            self.send(to, body);
        } else {
            self.send_when_durable(to, body);
        }
    }

    pub(crate) fn offend(&mut self, from: NodeId, offence: Offence) {
        self.outbox.notice(Notice::Offended { from, offence });
    }

    /// Cuts the log and whatever depends on it. Never below the commit index.
    pub(crate) fn truncate(&mut self, from: LogIndex) {
        assert!(from > self.commit(), "cut at {from}, committed up to {}", self.commit());
        self.counters.truncations += 1;
        self.outbox.notice(Notice::Truncated { from, last: self.log.last() });
        self.log.truncate(from);
        self.disk.truncate(from);
        self.memberships.truncate(from);
    }

    /// Raises the commit index to `index`; whether that was news.
    pub(crate) fn commit_to(&mut self, index: LogIndex) -> bool {
        assert!(index <= self.log.last().index, "commit {index} behind the end {}", self.log.last());
        if index <= self.commit() {
            return false;
        }
        self.hard.commit = index;
        true
    }

    /// Whether nothing was appended since the last tick: then spare memory is worth more to others,
    /// for many groups share a process, and most of them are quiet.
    pub(crate) fn is_quiet(&self) -> bool {
        self.log.last().index == self.last_at_tick
    }

    /// Gives back memory that nothing needs now.
    pub(crate) fn shrink(&mut self) {
        self.log.shrink();
        self.disk.shrink();
        self.applying.shrink();
        self.outbox.shrink();
        self.forwards.shrink();
    }

    /// Whether this node may stand for election: it votes, has the payloads of its log, its disk
    /// answers (F25), and it has its state.
    pub(crate) fn is_electable(&self) -> bool {
        self.may_campaign()
            && !self.is_witness()
            && !self.is_disk_stalled()
            && self.has_next_term()
            && self.applying.awaited.is_none()
    }

    /// Whether its membership lets this node stand for election.
    pub(crate) fn may_campaign(&self) -> bool {
        self.memberships.may_campaign(self.id(), self.commit())
    }

    /// What the log was is gone: it begins anew behind a snapshot.
    pub(crate) fn reset_log(&mut self, mark: SnapshotMark) {
        assert!(mark.last.index > self.commit(), "snapshot up to {} replaces {}", mark.last, self.commit());
        self.log = Log::new(mark.last);
        self.memberships = Memberships::new((mark.last.index, mark.membership.clone()), Vec::new());
        self.disk.reset(mark);
    }

    /// The log begins behind `index`, which a snapshot covers, from now on.
    pub(crate) fn compact_log(&mut self, index: LogIndex) {
        let term = self.log.term_at(index).expect("what is compacted is in the log");
        let last = Position::new(term, index);
        self.disk.compact(SnapshotMark { last, membership: self.memberships.at(index).clone() });
        self.log.compact(last);
        self.memberships.compact(index);
        self.counters.compactions += 1;
        self.outbox.notice(Notice::Compacted { mark: last });
    }

    /// Whether a leader's lease may rest on this node's word: then it neither votes for another
    /// one nor campaigns. The role and the term do not matter: whoever adopts a later term, or
    /// gives up its leader, has still been counted by it (diss. §6.4.1).
    ///
    /// The only voter of a committed membership gave its word to nobody: to lead, others would
    /// need a membership that is not committed without it, and its own log would have that one.
    pub(crate) fn is_lease_given(&self) -> bool {
        self.config.has_leases()
            && self.clock.leader_silence < self.config.election_timeout_ticks_min
            && !self.memberships.is_only_voter(self.id(), self.commit())
    }

    /// Whether this node is a witness: by its place in the membership or, while that has none for
    /// it, by the payloads that its log or its snapshot lacks.
    ///
    /// What a log lacks it lacks for ever, so no membership makes a full member of such a node: a
    /// leader that never heard of its past may add it as one, but finds it refusing every payload
    /// and every candidacy. Its id is spent.
    pub(crate) fn is_witness(&self) -> bool {
        self.memberships.current().is_witness(self.id())
            || self.log.has_hollow()
            || self.snapshots.newest.as_ref().is_some_and(|newest| newest.is_hollow)
    }

    /// Which rule entries of this kind would break if this node appended them now.
    ///
    /// A node without a place in the membership in force takes either kind. It may be new, and learn
    /// only from the entries behind these what it is; its leader knows. Refusing what does not fit
    /// the place it has cannot keep it waiting for ever: a member never turns from one kind into the
    /// other, so only a place that is not committed can be wrong, and that is cut off before the
    /// first entry of a leader that does not know of it is looked at. An id that was removed and
    /// comes back as the other kind does wait for ever: it is spent as well.
    pub(crate) fn misfit(&self, kind: EntryKind) -> Option<Offence> {
        let is_member = self.memberships.current().member(self.id()).is_some();
        match kind {
            EntryKind::Command if self.is_witness() => Some(Offence::PayloadForWitness),
            EntryKind::Hollow if is_member && !self.memberships.current().is_witness(self.id()) => {
                Some(Offence::HollowForFullMember)
            }
            EntryKind::Command | EntryKind::Hollow | EntryKind::Empty | EntryKind::Membership => None,
        }
    }

    /// Whether there is a term after this one; `u64::MAX` itself is none.
    pub(crate) fn has_next_term(&self) -> bool {
        self.term().get() < u64::MAX - 1
    }

    /// Whether the disk has not answered for an election timeout (F25).
    pub(crate) fn is_disk_stalled(&self) -> bool {
        self.disk.stalled_ticks() >= u64::from(self.config.election_timeout_ticks_min)
    }

    /// Names a load.
    pub(crate) fn next_load(&mut self) -> LoadId {
        self.load = self.load.next();
        self.load
    }
}
