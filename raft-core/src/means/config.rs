//! Settings of one node, their units, defaults and bounds.
//!
//! Knows what may change while the node runs, not what a change sets in motion.

use core::{error, fmt};

use crate::words::ids::NodeId;
use crate::words::membership::Membership;

/// Settings of one node. Start from [`Config::new`] and change what you need.
///
/// Times are in ticks; how long a tick lasts is up to whoever calls `tick` (10 to 100 ms is
/// usual). Sizes are in bytes. The safe choice is the default everywhere. A limit is at least 1, unless
/// it says what zero means. All but `id` and `seed` can change while the node runs, within what
/// [`Raft::update_config`](crate::Raft::update_config) says of leases; members may differ in all but
/// those that say otherwise.
///
/// ```
/// use raft_core::{Config, NodeId};
///
/// let mut config = Config::new(NodeId::new(1));
/// config.seed = 42;
/// config.election_timeout_ticks_min = 20;
/// config.election_timeout_ticks_max = 40;
/// assert_eq!(config.validate(), Ok(()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// This node. Not zero, not `u64::MAX`.
    pub id: NodeId,
    /// Seeds the choice of election timeouts and of a number that tells this start of the node
    /// from earlier ones; the id is mixed in. Draw a new one for each start, or a forwarded
    /// proposal may be taken for a duplicate of one from before. Default 0.
    pub seed: u64,
    /// A leader sends heartbeats this often. Default 1, at least 1.
    pub heartbeat_ticks: u32,
    /// A node campaigns when it hears no leader for a time between this … Default 10, more than
    /// `heartbeat_ticks`. It is also the time of `check_quorum`, of a transfer, and of pre-votes: a
    /// voter that heard its leader within it grants none.
    pub election_timeout_ticks_min: u32,
    /// … and this, both included, drawn anew each time (Raft §5.2). Default 20, not below the
    /// minimum.
    pub election_timeout_ticks_max: u32,
    /// Whether a candidate first asks if it could win (diss. §9.6). Default true.
    pub pre_vote: bool,
    /// Whether a leader that does not hear a quorum within `election_timeout_ticks_min` steps down
    /// (diss. §6.2), and a voter that heard its leader within that time refuses its vote to others
    /// (diss. §4.2.3). Without the first, the second would keep a leader in office that can be
    /// heard but hears nobody. Default true.
    pub check_quorum: bool,
    /// For so many of its own ticks after a round of heartbeats was sent that a quorum answered, a
    /// leader answers its own reads without another round (diss. §6.4.1); those of other members wait
    /// for one all the same. Default 0: every read waits for a round, whatever clocks do. Needs
    /// `check_quorum`, and is at most `election_timeout_ticks_min` - 2; at or below `heartbeat_ticks`
    /// it saves little.
    ///
    /// **All members must use the same setting**, and the same election timeout: a leader counts on
    /// what the others refuse. Whoever heard a leader refuses to vote for anybody else, and to
    /// campaign, until `election_timeout_ticks_min` ticks have passed, even if the leader or the
    /// term changes meanwhile. A node that restarts has forgotten whom it heard, and waits as long
    /// from its start, unless it is the only voter. Only a candidate that the leader itself wants
    /// is exempt; a leader that hands over has no lease.
    ///
    /// How far clocks may drift apart: while the leader counts d ticks since it sent, less than
    /// d + 1 of its tick periods have passed; and min ticks of a follower, counted from when it
    /// heard, take at least min - 1 of its periods. So reads are linearizable as long as no clock
    /// runs faster than another by more than the factor (`election_timeout_ticks_min` - 1) /
    /// (`read_lease_ticks` + 1). With 20 and 14 that is 19 / 15: one clock may gain 26 % on
    /// another.
    ///
    /// The clock that drives the ticks must be monotonic, and must go on while the machine sleeps.
    /// **After a pause, the ticks that were missed come first**, by
    /// [`tick_many`](crate::Raft::tick_many), before reads are taken or actions drained (N18). Else
    /// a leader that slept takes an old lease for a new one.
    pub read_lease_ticks: u32,
    /// Whether proposals made elsewhere than at the leader are sent on to it. If not,
    /// [`Node::propose`](crate::Node::propose) says who leads, for the client to go there itself,
    /// and [`Raft::forward`](crate::Raft::forward) refuses. What other members send on is taken
    /// all the same: they decide about their own clients. Default true.
    pub forward_proposals: bool,
    /// Breaks exact ties between logs in elections; higher wins. Any number; default 0.
    pub priority: i64,
    /// An entry is committed only when voters in so many failure domains have it, beside the
    /// majority (or in all domains, if there are fewer). Domains are set per member, by
    /// [`MembershipChange::domain`](crate::MembershipChange::domain). Costs availability: if all but
    /// one domain fail, nothing is committed. Default 1, which asks for nothing more.
    pub commit_domains_min: u32,
    /// The largest payload of one entry. Default 1 MiB. All members should use the same: what one takes,
    /// the transports of all must carry.
    pub entry_bytes_max: u32,
    /// Entries of at most this size together, or a single larger one, make one append; and one message
    /// of forwarded proposals. Default 1 MiB.
    pub append_bytes_max: u32,
    /// Appends on their way to one follower. Default 256, at least 1.
    pub inflight_messages_max: u32,
    /// Bytes on their way to one follower; one append may go over it. Default 16 MiB.
    pub inflight_bytes_max: u32,
    /// Payload bytes that a leader holds and has not yet handed out for applying; more is
    /// refused as busy, unless nothing else waits. Default 64 MiB.
    pub proposals_bytes_max: u32,
    /// Payload bytes of forwarded proposals that wait to be sent or answered; more is refused as
    /// busy, unless nothing else waits. Default 16 MiB.
    pub forward_bytes_max: u32,
    /// Read rounds that wait for a quorum at once; further reads wait for the next. Default 64.
    pub read_rounds_max: u32,
    /// Payload bytes handed out for applying and not yet applied; one batch may go over it.
    /// Default 4 MiB.
    pub apply_bytes_max: u32,
    /// A forwarded proposal that was not answered for this time is given up as of unknown outcome;
    /// so is, in a [`Node`](crate::Node), any proposal, give or take an eighth. Default 100.
    pub proposal_timeout_ticks: u32,
    /// A snapshot is taken when this many payload bytes were applied since the last one, and at
    /// least as many as that one had; zero for never by bytes. Default 64 MiB.
    pub snapshot_log_bytes: u64,
    /// … or this many entries, whatever their size; zero for never by entries. Default 0.
    pub snapshot_log_entries: u64,
    /// Entries that stay in the log behind a snapshot, so that a member that is a little behind need
    /// not be sent a whole snapshot. Default 10,000; with zero, none stays.
    pub retained_entries: u64,
    /// … but only those among the last payload bytes of this number, to an eighth and to what is handed
    /// out for applying at once; counted from the start of the node on. Default 256 MiB.
    pub retained_bytes: u64,
    /// A snapshot is sent in chunks of at most this size. Default 256 KiB.
    pub snapshot_chunk_bytes: u32,
    /// Chunks on their way to one member. Default 4.
    pub snapshot_chunks_max: u32,
    /// How many bytes of snapshots a leader sends in a tick, to all members together; zero for as
    /// many as it can. Default 0.
    pub snapshot_bytes_per_tick: u32,
    /// The largest snapshot that is accepted from a leader; with zero, none with a state is. Default
    /// 1 TiB.
    pub snapshot_bytes_max: u64,
    /// Payload bytes kept in memory behind what is durable and applied, for slow followers.
    /// Default 16 MiB.
    pub tail_bytes_max: u32,
}

/// What a message takes at most beside payloads and a membership.
const MESSAGE_HEAD_BYTES: u64 = 256;

/// Which setting is out of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// `id` is zero or `u64::MAX`.
    Id,
    /// `heartbeat_ticks` is zero.
    HeartbeatTicks,
    /// `election_timeout_ticks_min` is not above `heartbeat_ticks`.
    ElectionTimeoutMin,
    /// `election_timeout_ticks_max` is below the minimum, or both are over 2^30.
    ElectionTimeoutMax,
    /// A limit is zero.
    ZeroLimit(&'static str),
    /// `read_lease_ticks` without `check_quorum`: nobody would refuse another leader.
    LeaseWithoutCheckQuorum,
    /// `read_lease_ticks` is above `election_timeout_ticks_min` - 2: the lease could outlast what
    /// the others refuse.
    LeaseTooLong,
    /// This setting cannot change while the node runs.
    Fixed(&'static str),
    /// Changing this setting like this, while the node runs, could break a lease that is given.
    LeaseGiven(&'static str),
    /// Messages can be longer than the transport takes: it would drop them, time and again.
    Messages {
        /// How long they can be; see [`Config::message_bytes_max`].
        bytes: u64,
        /// What the transport takes.
        bytes_max: u64,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id => f.write_str("id must not be 0 or u64::MAX"),
            Self::HeartbeatTicks => f.write_str("heartbeat_ticks must be at least 1"),
            Self::ElectionTimeoutMin => {
                f.write_str("election_timeout_ticks_min must be above heartbeat_ticks")
            }
            Self::ElectionTimeoutMax => f.write_str(
                "election_timeout_ticks_max must not be below election_timeout_ticks_min, nor above 2^30",
            ),
            Self::ZeroLimit(name) => write!(f, "{name} must be at least 1"),
            Self::LeaseWithoutCheckQuorum => f.write_str("read_lease_ticks needs check_quorum"),
            Self::LeaseTooLong => {
                f.write_str("read_lease_ticks must not be above election_timeout_ticks_min - 2")
            }
            Self::Fixed(name) => write!(f, "{name} cannot change while the node runs"),
            Self::Messages { bytes, bytes_max } => write!(
                f,
                "messages can have {bytes} bytes (entry_bytes_max, append_bytes_max, snapshot_chunk_bytes \
                 and their heads), but the transport takes {bytes_max}"
            ),
            Self::LeaseGiven(name) => {
                write!(f, "{name} cannot change like this while members rely on read leases")
            }
        }
    }
}

impl error::Error for ConfigError {}

impl Config {
    /// The defaults for this node.
    ///
    /// ```
    /// use raft_core::{Config, NodeId};
    ///
    /// let config = Config::new(NodeId::new(1));
    /// assert_eq!((config.election_timeout_ticks_min, config.election_timeout_ticks_max), (10, 20));
    /// ```
    #[must_use]
    pub const fn new(id: NodeId) -> Self {
        Self {
            id,
            seed: 0,
            heartbeat_ticks: 1,
            election_timeout_ticks_min: 10,
            election_timeout_ticks_max: 20,
            pre_vote: true,
            check_quorum: true,
            read_lease_ticks: 0,
            forward_proposals: true,
            priority: 0,
            commit_domains_min: 1,
            entry_bytes_max: 1 << 20,
            append_bytes_max: 1 << 20,
            inflight_messages_max: 256,
            inflight_bytes_max: 16 << 20,
            proposals_bytes_max: 64 << 20,
            forward_bytes_max: 16 << 20,
            read_rounds_max: 64,
            apply_bytes_max: 4 << 20,
            proposal_timeout_ticks: 100,
            snapshot_log_bytes: 64 << 20,
            snapshot_log_entries: 0,
            retained_entries: 10_000,
            retained_bytes: 256 << 20,
            snapshot_chunk_bytes: 256 << 10,
            snapshot_chunks_max: 4,
            snapshot_bytes_per_tick: 0,
            snapshot_bytes_max: 1 << 40,
            tail_bytes_max: 16 << 20,
        }
    }

    /// Checks every bound. Opening a node does so as well.
    ///
    /// ```
    /// use raft_core::{Config, ConfigError, NodeId};
    ///
    /// let mut config = Config::new(NodeId::new(1));
    /// config.heartbeat_ticks = 10;
    /// assert_eq!(config.validate(), Err(ConfigError::ElectionTimeoutMin));
    /// ```
    ///
    /// # Errors
    ///
    /// Names the first setting that is out of its bounds.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.id == NodeId::ZERO || self.id.get() == u64::MAX {
            return Err(ConfigError::Id);
        }
        if self.heartbeat_ticks == 0 {
            return Err(ConfigError::HeartbeatTicks);
        }
        if self.election_timeout_ticks_min <= self.heartbeat_ticks {
            return Err(ConfigError::ElectionTimeoutMin);
        }
        if self.election_timeout_ticks_max < self.election_timeout_ticks_min
            || self.election_timeout_ticks_max > 1 << 30
        {
            return Err(ConfigError::ElectionTimeoutMax);
        }
        if self.has_leases() && !self.check_quorum {
            return Err(ConfigError::LeaseWithoutCheckQuorum);
        }
        if self.has_leases() && self.read_lease_ticks > self.election_timeout_ticks_min.saturating_sub(2) {
            return Err(ConfigError::LeaseTooLong);
        }
        let limits = [
            ("commit_domains_min", self.commit_domains_min),
            ("entry_bytes_max", self.entry_bytes_max),
            ("append_bytes_max", self.append_bytes_max),
            ("inflight_messages_max", self.inflight_messages_max),
            ("inflight_bytes_max", self.inflight_bytes_max),
            ("proposals_bytes_max", self.proposals_bytes_max),
            ("forward_bytes_max", self.forward_bytes_max),
            ("read_rounds_max", self.read_rounds_max),
            ("apply_bytes_max", self.apply_bytes_max),
            ("proposal_timeout_ticks", self.proposal_timeout_ticks),
            ("snapshot_chunk_bytes", self.snapshot_chunk_bytes),
            ("snapshot_chunks_max", self.snapshot_chunks_max),
            ("tail_bytes_max", self.tail_bytes_max),
        ];
        match limits.iter().find(|(_, limit)| *limit == 0) {
            Some((name, _)) => Err(ConfigError::ZeroLimit(name)),
            None => Ok(()),
        }
    }

    /// The longest message, in bytes on the wire, that a node with these settings sends: its largest
    /// setting for payloads, and room for heads and a membership.
    ///
    /// ```
    /// use raft_core::{Config, NodeId};
    ///
    /// let mut config = Config::new(NodeId::new(1));
    /// assert!(config.message_bytes_max() < 2 << 20);
    /// config.entry_bytes_max = 8 << 20;
    /// assert!(config.message_bytes_max() > 8 << 20);
    /// ```
    #[must_use]
    pub fn message_bytes_max(&self) -> u64 {
        let payloads = self.entry_bytes_max.max(self.append_bytes_max).max(self.snapshot_chunk_bytes);
        u64::from(payloads) + Membership::BYTES_MAX as u64 + MESSAGE_HEAD_BYTES
    }

    /// Checks that a transport carries all that a node with these settings sends.
    pub(crate) fn check_messages(&self, bytes_max: u64) -> Result<(), ConfigError> {
        let bytes = self.message_bytes_max();
        if bytes > bytes_max { Err(ConfigError::Messages { bytes, bytes_max }) } else { Ok(()) }
    }

    /// Whether members may answer reads on a lease, so that all must keep what leases rest on.
    #[inline]
    pub(crate) const fn has_leases(&self) -> bool {
        self.read_lease_ticks > 0
    }

    /// Checks that a running node can go on with other settings.
    ///
    /// A lease rests on what other members refuse, and for how long. So while there are leases,
    /// this node must not refuse for a shorter time, nor assume that others do so for longer.
    pub(crate) fn check_change(&self, next: &Self) -> Result<(), ConfigError> {
        next.validate()?;
        if next.id != self.id {
            return Err(ConfigError::Fixed("id"));
        }
        if next.seed != self.seed {
            return Err(ConfigError::Fixed("seed"));
        }
        if self.has_leases() != next.has_leases() || self.read_lease_ticks < next.read_lease_ticks {
            return Err(ConfigError::LeaseGiven("read_lease_ticks"));
        }
        if self.has_leases() && next.election_timeout_ticks_min < self.election_timeout_ticks_min {
            return Err(ConfigError::LeaseGiven("election_timeout_ticks_min"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_out_of_its_bounds_is_named() {
        let good = Config::new(NodeId::new(1));
        assert_eq!(good.validate(), Ok(()));
        let broken = |change: fn(&mut Config)| {
            let mut config = good.clone();
            change(&mut config);
            config.validate()
        };
        assert_eq!(broken(|c| c.id = NodeId::ZERO), Err(ConfigError::Id));
        assert_eq!(broken(|c| c.id = NodeId::new(u64::MAX)), Err(ConfigError::Id));
        assert_eq!(broken(|c| c.heartbeat_ticks = 0), Err(ConfigError::HeartbeatTicks));
        assert_eq!(broken(|c| c.heartbeat_ticks = 10), Err(ConfigError::ElectionTimeoutMin));
        assert_eq!(broken(|c| c.election_timeout_ticks_max = 9), Err(ConfigError::ElectionTimeoutMax));
        assert_eq!(broken(|c| c.apply_bytes_max = 0), Err(ConfigError::ZeroLimit("apply_bytes_max")));
    }
}
