//! What a leader knows of each member's log, its own included.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::books::inflight::Inflight;
use crate::means::quorum;
use crate::words::ids::{LoadId, LogIndex, NodeId};
use crate::words::membership::{Membership, votes_incoming};
use crate::words::message::SnapshotMeta;
use crate::words::status::{PeerMode, PeerStatus, SnapshotProgress};

/// One member's progress.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Progress {
    pub(crate) id: NodeId,
    votes_incoming: bool,
    votes_outgoing: bool,
    /// Its failure domain, zero if it has none.
    domain: u64,
    /// It gets no payloads.
    pub(crate) is_witness: bool,
    /// It keeps up: whatever our log had durable at the last quorum check, it has durable too.
    pub(crate) is_in_sync: bool,
    pub(crate) mode: Mode,
    /// Up to here its log equals ours and is durable. Never goes back.
    pub(crate) matched: LogIndex,
    /// Our round when `matched` last rose.
    pub(crate) matched_round: u64,
    /// The next entry to send.
    pub(crate) next: LogIndex,
    pub(crate) inflight: Inflight,
    /// Entries for it are being loaded.
    pub(crate) loading: Option<LoadId>,
    /// The highest read round it confirmed.
    pub(crate) round: u64,
    /// Heard since the last quorum check.
    pub(crate) is_active: bool,
    /// It waits for the commit index to reach this; then it is told at once.
    pub(crate) commit_wanted: LogIndex,
    /// A heartbeat, to find out what got lost before it.
    pub(crate) beat: Beat,
    /// The snapshot it is sent; none while it waits for one that can be read.
    pub(crate) sending: Option<Box<Sending>>,
}

/// How entries are sent to one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    /// The logs are not known to meet: one append at a time, empty but for the first.
    Probe { is_sent: bool, with_entries: bool },
    /// A window of appends.
    Replicate,
    /// The log does not reach back to what it needs: it gets a snapshot (Raft §7).
    Snapshot,
    /// It lost what it had acknowledged and gets nothing more.
    Stopped,
}

/// A snapshot on its way to a member.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Sending {
    pub(crate) meta: SnapshotMeta,
    /// Bytes that were sent.
    pub(crate) sent: u64,
    /// Bytes that arrived.
    pub(crate) acknowledged: u64,
    /// A chunk is being read.
    pub(crate) loading: Option<LoadId>,
    /// An empty chunk is due, to learn how far it got: all was sent, and nothing is heard.
    pub(crate) is_probe_due: bool,
    /// It went back already for what got lost, and nothing has arrived since.
    pub(crate) has_gone_back: bool,
    /// Ticks since something arrived.
    pub(crate) idle_ticks: u32,
    /// The member asked for it, though the log would do.
    pub(crate) is_requested: bool,
}

impl Sending {
    fn new(meta: SnapshotMeta, is_requested: bool) -> Self {
        Self {
            // An empty state is one empty chunk.
            is_probe_due: meta.size == 0,
            meta,
            sent: 0,
            acknowledged: 0,
            loading: None,
            has_gone_back: false,
            idle_ticks: 0,
            is_requested,
        }
    }

    /// What was sent and did not arrive is sent again.
    pub(crate) fn go_back(&mut self) {
        self.sent = self.acknowledged;
        self.loading = None;
        self.has_gone_back = true;
        self.idle_ticks = 0;
        self.is_probe_due = self.sent == self.meta.size;
    }
}

/// What had been sent to a member when a heartbeat left for it.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(crate) struct Beat {
    pub(crate) round: u64,
    pub(crate) next: LogIndex,
    /// Nothing was heard since.
    pub(crate) is_open: bool,
}

impl Progress {
    /// A member about whose log nothing is known but that ours ends before `next`.
    fn new(id: NodeId, next: LogIndex) -> Self {
        Self {
            id,
            votes_incoming: false,
            votes_outgoing: false,
            domain: 0,
            is_witness: false,
            is_in_sync: false,
            mode: Mode::Probe { is_sent: false, with_entries: true },
            matched: LogIndex::ZERO,
            matched_round: 0,
            next,
            inflight: Inflight::default(),
            loading: None,
            round: 0,
            is_active: true,
            commit_wanted: LogIndex::ZERO,
            beat: Beat::default(),
            sending: None,
        }
    }

    /// Starts over from `next`, carefully.
    pub(crate) fn probe_from(&mut self, next: LogIndex) {
        self.mode = Mode::Probe { is_sent: false, with_entries: false };
        self.next = next.max(self.matched.next());
        self.inflight.clear();
        self.loading = None;
        self.sending = None;
    }

    /// Sends a snapshot, or waits for one that can be read. A witness gets no state.
    pub(crate) fn send_snapshot(&mut self, meta: Option<SnapshotMeta>, is_requested: bool) {
        self.mode = Mode::Snapshot;
        self.inflight.clear();
        self.loading = None;
        let meta = meta.map(|meta| if self.is_witness { meta.into_hollow() } else { meta });
        self.sending = meta.map(|meta| Box::new(Sending::new(meta, is_requested)));
    }

    /// The logs meet before `next`; whatever a probe carried behind it is sent again.
    pub(crate) fn replicate_from(&mut self, next: LogIndex) {
        self.mode = Mode::Replicate;
        self.next = next;
        self.inflight.clear();
        self.sending = None;
    }

    /// Sends nothing more, and keeps nothing for it.
    pub(crate) fn stop(&mut self) {
        self.mode = Mode::Stopped;
        self.sending = None;
    }

    pub(crate) fn status(&self) -> PeerStatus {
        PeerStatus {
            id: self.id,
            mode: match self.mode {
                Mode::Probe { .. } => PeerMode::Probe,
                Mode::Replicate => PeerMode::Replicate,
                Mode::Snapshot => PeerMode::Snapshot,
                Mode::Stopped => PeerMode::Stopped,
            },
            matched: self.matched,
            next: self.next,
            inflight_messages: self.inflight.message_count(),
            inflight_bytes: self.inflight.byte_count(),
            is_active: self.is_active,
            is_in_sync: self.is_in_sync,
            snapshot: self.sending.as_ref().map(|sending| SnapshotProgress {
                last: sending.meta.last,
                sent_bytes: sending.sent,
                acknowledged_bytes: sending.acknowledged,
                size_bytes: sending.meta.size,
            }),
        }
    }
}

/// All members' progress, in the order of their ids.
#[derive(Clone, Debug, Hash)]
pub(crate) struct ProgressMap {
    members: Vec<Progress>,
    /// What was durable here at the last quorum check: whoever keeps up has it by the next one.
    due: LogIndex,
}

impl ProgressMap {
    /// Nothing is known but that our log ends before `next`. Voters get until the first quorum check
    /// to show that they keep up.
    pub(crate) fn new(membership: &Membership, next: LogIndex) -> Self {
        let members = Vec::with_capacity(membership.members().len());
        let mut map = Self { members, due: next.prev() };
        map.follow(membership, next);
        for progress in &mut map.members {
            progress.is_in_sync = progress.votes_incoming || progress.votes_outgoing;
        }
        map
    }

    /// Takes over a membership: who stays keeps its progress.
    pub(crate) fn follow(&mut self, membership: &Membership, next: LogIndex) {
        self.members.retain(|progress| membership.member(progress.id).is_some());
        for member in membership.members() {
            let at = match self.members.binary_search_by_key(&member.id, |progress| progress.id) {
                Ok(at) => at,
                Err(at) => {
                    self.members.insert(at, Progress::new(member.id, next));
                    at
                }
            };
            self.members[at].votes_incoming = votes_incoming(member);
            self.members[at].votes_outgoing = member.outgoing_voter;
            self.members[at].domain = member.domain;
            self.members[at].is_witness = member.role.is_witness();
        }
    }

    #[inline]
    pub(crate) fn find(&mut self, id: NodeId) -> Option<&mut Progress> {
        self.members.iter_mut().find(|progress| progress.id == id)
    }

    pub(crate) fn at(&mut self, at: usize) -> Option<&mut Progress> {
        self.members.get_mut(at)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Progress> {
        self.members.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Progress> {
        self.members.iter_mut()
    }

    /// The highest index that is durable on a quorum of every active configuration and, if more
    /// than one is asked for, in so many failure domains of each.
    pub(crate) fn committed(&self, domains_min: u32) -> LogIndex {
        let index = self.reached(|progress| progress.matched.get());
        if domains_min <= 1 {
            return LogIndex::new(index);
        }
        let across = |votes: fn(&Progress) -> bool| {
            let voters = self.members.iter().filter(|progress| votes(progress));
            quorum::reached_across(voters.map(|voter| (voter.domain, voter.matched.get())), domains_min)
        };
        let domains =
            across(|progress| progress.votes_incoming).min(across(|progress| progress.votes_outgoing));
        LogIndex::new(index.min(domains))
    }

    /// Up to where the member at `at` may be sent entries: a witness only what enough full voters have
    /// durable, everybody else everything.
    ///
    /// Voters 1 and 2 and witness 3: if 3 is sent what only 1 has, and 1 fails, then 2 cannot win,
    /// for 3 has the longer log, and 3 cannot lead. One failure, and the group is dead for ever. So a
    /// witness follows the full voters: it gets what all of them have that keep up, or as many as
    /// make a majority; whichever of these is left can then win against it. With as many failures as
    /// there are such copies none is left, but that is as many as Raft loses entries by.
    ///
    /// Who does not keep up is not waited for, or a dead voter would keep the witness from taking
    /// its place, which is what it is for. Hearing of it is not enough: a voter whose disk hangs
    /// would be heard. A new leader knows nothing of the others yet, so at first it waits for all of
    /// them; else it could die at once and leave the witness with the opening entry of its term.
    ///
    /// What is committed is still for the plain majority of all voters to say. A snapshot holds nothing
    /// else, and whoever wins has that anyway, so it needs no such bound.
    pub(crate) fn sendable(&self, at: usize) -> LogIndex {
        if !self.members.get(at).is_some_and(|progress| progress.is_witness) {
            return LogIndex::new(u64::MAX);
        }
        let copied = |votes: fn(&Progress) -> bool| {
            let voters = self.members.iter().filter(|progress| votes(progress));
            let copies = voters.clone().filter(|voter| !voter.is_witness && voter.is_in_sync);
            quorum::copied(copies.map(|copy| copy.matched.get()), voters.count())
        };
        let incoming = copied(|progress| progress.votes_incoming);
        LogIndex::new(incoming.min(copied(|progress| progress.votes_outgoing)))
    }

    /// A quorum check is due, and `durable` is what is durable here: who was not heard since the last
    /// one, or still lacks what we had then, does not keep up.
    pub(crate) fn judge_sync(&mut self, durable: LogIndex) {
        for progress in &mut self.members {
            progress.is_in_sync &= progress.is_active && progress.matched >= self.due;
        }
        self.due = durable;
    }

    /// A member has durable what `matched` says.
    pub(crate) fn note_sync(&mut self, id: NodeId) {
        let due = self.due;
        if let Some(progress) = self.find(id) {
            progress.is_in_sync |= progress.matched >= due;
        }
    }

    /// The highest read round that a quorum of every active configuration confirmed.
    pub(crate) fn confirmed_round(&self) -> u64 {
        self.reached(|progress| progress.round)
    }

    /// Whether a quorum of every active configuration was heard since the last call.
    pub(crate) fn take_is_quorum_active(&mut self) -> bool {
        let reached = self.reached(|progress| u64::from(progress.is_active));
        for progress in &mut self.members {
            progress.is_active = false;
        }
        reached == 1
    }

    /// Whether a member has caught up, so that quorums may count on it (diss. §4.2.1): it keeps up and
    /// its answers come.
    pub(crate) fn has_caught_up(&self, id: NodeId) -> bool {
        let progress = self.members.iter().find(|progress| progress.id == id);
        progress.is_some_and(|member| member.is_in_sync && member.is_active && member.mode == Mode::Replicate)
    }

    /// Whether one voter alone makes a quorum.
    pub(crate) fn has_single_voter(&self) -> bool {
        self.members.iter().filter(|progress| progress.votes_incoming || progress.votes_outgoing).count() == 1
    }

    fn reached(&self, value: impl Fn(&Progress) -> u64) -> u64 {
        let incoming = self.members.iter().filter(|progress| progress.votes_incoming).map(&value);
        let outgoing = self.members.iter().filter(|progress| progress.votes_outgoing).map(&value);
        quorum::reached(incoming).min(quorum::reached(outgoing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::means::rng::Rng;
    use crate::words::membership::{Member, MemberRole};

    /// Up to seven members with random roles and domains, joint or not.
    fn random_membership(rng: &mut Rng) -> Membership {
        loop {
            let joint = rng.between(0, 1) == 1;
            let members = (1..=u64::from(rng.between(1, 7))).map(|id| {
                let role = match rng.between(0, 4) {
                    0 => MemberRole::Learner,
                    1 if joint => MemberRole::Leaving,
                    _ => MemberRole::Voter,
                };
                let outgoing_voter = joint && (role == MemberRole::Leaving || rng.between(0, 1) == 1);
                let domain = rng.next() % 4;
                Member { role, outgoing_voter, domain, ..Member::voter(NodeId::new(id)) }
            });
            if let Ok(membership) = Membership::checked(members.collect(), joint, false) {
                return membership;
            }
        }
    }

    /// Whether more than half of these voters have an entry and, if more than one domain is asked for,
    /// voters in so many, or in all there are.
    fn has_quorum(voters: &[&Progress], index: u64, domains_min: usize) -> bool {
        let domains = |least: u64| {
            let with_domain = |voter: &&&Progress| voter.domain != 0 && voter.matched.get() >= least;
            let mut domains: Vec<u64> = voters.iter().filter(with_domain).map(|voter| voter.domain).collect();
            domains.sort_unstable();
            domains.dedup();
            domains.len()
        };
        let holders = voters.iter().filter(|voter| voter.matched.get() >= index).count();
        holders * 2 > voters.len() && (domains_min == 1 || domains(index) >= domains(0).min(domains_min))
    }

    /// S24: after each of a million random acknowledgements, in single and joint configurations, with
    /// and without failure domains.
    #[test]
    fn committed_equals_its_definition() {
        const ENTRIES: u64 = 12;
        let mut rng = Rng::new(4);
        let mut raised = 0;
        for _ in 0..40_000 {
            let membership = random_membership(&mut rng);
            let mut map = ProgressMap::new(&membership, LogIndex::new(1));
            let domains_min = rng.between(1, 3);
            let (last, mut before) = (u32::try_from(map.members.len() - 1).expect("a few"), LogIndex::ZERO);
            for _ in 0..25 {
                let at = rng.between(0, last) as usize;
                map.members[at].matched =
                    LogIndex::new(rng.next() % (ENTRIES + 1)).max(map.members[at].matched);
                let voters = |outgoing: bool| {
                    let votes = |of: &&Progress| if outgoing { of.votes_outgoing } else { of.votes_incoming };
                    map.iter().filter(votes).collect::<Vec<_>>()
                };
                let (incoming, outgoing) = (voters(false), voters(true));
                let is_committed = |index: &u64| {
                    has_quorum(&incoming, *index, domains_min as usize)
                        && (!membership.is_joint() || has_quorum(&outgoing, *index, domains_min as usize))
                };
                let expected = (1..=ENTRIES).rev().find(is_committed).unwrap_or(0);
                let committed = map.committed(domains_min);
                assert_eq!(committed.get(), expected, "{domains_min} domains: {map:?}");
                raised += u32::from(committed > before);
                before = committed;
            }
        }
        assert!(raised > 50_000, "raised {raised} times");
    }
}
