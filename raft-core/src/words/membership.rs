//! Who belongs to a group, and what each member does in it.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::{error, fmt};

use raft_proto::bytes::Bytes;

use super::ids::NodeId;

/// What a member does in the configuration that is, or becomes, the only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemberRole {
    /// Receives the log, counts in no quorum (diss. §4.2.1).
    Learner,
    /// Votes, stores and counts.
    Voter,
    /// Votes and counts, stores positions but no payloads, cannot lead.
    Witness,
    /// Not part of it any more; listed only while it still votes in the outgoing configuration.
    Leaving,
    /// A learner that the leader makes a voter as soon as it has caught up.
    Joining,
    /// As leaving, and a witness.
    LeavingWitness,
    /// As joining, to become a witness: it gets no payloads from the beginning.
    JoiningWitness,
}

impl MemberRole {
    /// Whether it stores positions but no payloads.
    #[must_use]
    pub fn is_witness(self) -> bool {
        match self {
            Self::Witness | Self::LeavingWitness | Self::JoiningWitness => true,
            Self::Learner | Self::Voter | Self::Leaving | Self::Joining => false,
        }
    }

    /// Whether it is listed only for its vote in the outgoing configuration.
    #[must_use]
    pub fn is_leaving(self) -> bool {
        match self {
            Self::Leaving | Self::LeavingWitness => true,
            Self::Learner | Self::Voter | Self::Witness | Self::Joining | Self::JoiningWitness => false,
        }
    }

    /// What the leader makes of it once it has caught up; `None` if it is what it will be.
    pub(crate) fn joins_as(self) -> Option<Self> {
        match self {
            Self::Joining => Some(Self::Voter),
            Self::JoiningWitness => Some(Self::Witness),
            Self::Learner | Self::Voter | Self::Witness | Self::Leaving | Self::LeavingWitness => None,
        }
    }
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Who.
    pub id: NodeId,
    /// Its part in the incoming (or only) configuration.
    pub role: MemberRole,
    /// Whether it is a voter of the outgoing configuration of a joint one.
    pub outgoing_voter: bool,
    /// The application's own bytes, for instance the member's address.
    pub context: Bytes,
    /// The failure domain, for commit rules that span domains; zero is none.
    pub domain: u64,
}

impl Member {
    /// A voter without context.
    #[must_use]
    pub fn voter(id: NodeId) -> Self {
        Self { id, role: MemberRole::Voter, outgoing_voter: false, context: Bytes::new(), domain: 0 }
    }

    /// A witness without context.
    #[must_use]
    pub fn witness(id: NodeId) -> Self {
        Self { role: MemberRole::Witness, ..Self::voter(id) }
    }

    /// The same member with context bytes.
    #[must_use]
    pub fn with_context(self, context: Bytes) -> Self {
        Self { context, ..self }
    }
}

/// The members of a group, in the order of their ids. The default is that of a node without a
/// group: nobody. Clones share them, since a membership never changes: another one takes its place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Membership {
    members: Arc<[Member]>,
    joint: bool,
    auto_leave: bool,
}

/// Why a list of members is not a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MembershipError {
    /// Nobody votes (in the outgoing configuration of a joint one, if the flag is set).
    NoVoters {
        /// Whether the outgoing configuration is the empty one.
        outgoing: bool,
    },
    /// Everybody who votes is a witness, so nobody can lead (in the outgoing configuration of a
    /// joint one, if the flag is set).
    OnlyWitnesses {
        /// Whether the outgoing configuration is the one of witnesses.
        outgoing: bool,
    },
    /// The same id twice.
    Duplicate(NodeId),
    /// Zero and `u64::MAX` are not ids.
    InvalidId(NodeId),
    /// Marked as an outgoing voter, or as leaving, outside of a joint configuration.
    NotJoint(NodeId),
    /// The members and their contexts take more than [`Membership::BYTES_MAX`] bytes.
    TooLarge,
    /// The bytes are no encoded membership.
    Malformed,
}

impl fmt::Display for MembershipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVoters { outgoing: false } => f.write_str("a membership without voters"),
            Self::NoVoters { outgoing: true } => f.write_str("a joint membership without outgoing voters"),
            Self::OnlyWitnesses { outgoing: false } => f.write_str("a membership of witnesses alone"),
            Self::OnlyWitnesses { outgoing: true } => {
                f.write_str("a joint membership whose outgoing voters are witnesses alone")
            }
            Self::Duplicate(id) => write!(f, "member {id} is listed twice"),
            Self::InvalidId(id) => write!(f, "{id} is no valid node id"),
            Self::NotJoint(id) => write!(f, "member {id} belongs to an outgoing configuration, but none is"),
            Self::TooLarge => write!(f, "a membership of more than {} bytes", Membership::BYTES_MAX),
            Self::Malformed => f.write_str("the bytes are no encoded membership"),
        }
    }
}

impl error::Error for MembershipError {}

/// What a member takes encoded at most, beside its context.
const MEMBER_BYTES: usize = 48;

impl Membership {
    /// A membership, encoded, has at most so many bytes: a message must have room for it.
    pub const BYTES_MAX: usize = 64 << 10;

    /// A membership of voters alone, without context.
    ///
    /// ```
    /// use raft_core::{Membership, NodeId};
    ///
    /// let members = Membership::of_voters([1, 2, 3].map(NodeId::new))?;
    /// assert!(members.can_lead(NodeId::new(3)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If there is none, one is listed twice, or an id is zero or `u64::MAX`.
    pub fn of_voters(ids: impl IntoIterator<Item = NodeId>) -> Result<Self, MembershipError> {
        Self::new(ids.into_iter().map(Member::voter).collect())
    }

    /// A membership that is not joint.
    ///
    /// ```
    /// use raft_core::{Member, Membership, NodeId};
    ///
    /// let [one, two, three] = [1, 2, 3].map(NodeId::new);
    /// let members = Membership::new(vec![
    ///     Member::voter(one).with_context("10.0.0.1:7000".into()),
    ///     Member::voter(two),
    ///     Member::witness(three),
    /// ])?;
    /// assert_eq!(members.voters().collect::<Vec<_>>(), [one, two, three]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If nobody votes, or witnesses alone do, an id is listed twice, zero or `u64::MAX`, or a member
    /// is leaving.
    pub fn new(members: Vec<Member>) -> Result<Self, MembershipError> {
        Self::checked(members, false, false)
    }

    /// Any membership, checked.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); and if it is joint and nobody, or witnesses alone, vote in the
    /// outgoing configuration.
    pub(crate) fn checked(
        mut members: Vec<Member>,
        joint: bool,
        auto_leave: bool,
    ) -> Result<Self, MembershipError> {
        let bytes = members.iter().map(|member| MEMBER_BYTES + member.context.len());
        if bytes.fold(0, usize::saturating_add) > Self::BYTES_MAX {
            return Err(MembershipError::TooLarge);
        }
        members.sort_by_key(|member| member.id);
        for pair in members.windows(2) {
            if pair[0].id == pair[1].id {
                return Err(MembershipError::Duplicate(pair[0].id));
            }
        }
        for member in &members {
            if member.id == NodeId::ZERO || member.id.get() == u64::MAX {
                return Err(MembershipError::InvalidId(member.id));
            }
            let is_leaving = member.role.is_leaving();
            if (member.outgoing_voter && !joint) || (is_leaving && !member.outgoing_voter) {
                return Err(MembershipError::NotJoint(member.id));
            }
        }
        let membership = Self { members: members.into(), joint, auto_leave };
        membership.check_voters(votes_incoming, false)?;
        if joint {
            membership.check_voters(|member| member.outgoing_voter, true)?;
        }
        Ok(membership)
    }

    /// All members in the order of their ids.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member with this id.
    #[must_use]
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        let at = self.members.binary_search_by_key(&id, |member| member.id).ok()?;
        self.members.get(at)
    }

    /// The voters of the incoming (or only) configuration, witnesses included.
    pub fn voters(&self) -> impl Iterator<Item = NodeId> {
        self.members.iter().filter(|member| votes_incoming(member)).map(|member| member.id)
    }

    /// The voters of the outgoing configuration; none unless joint.
    pub fn outgoing_voters(&self) -> impl Iterator<Item = NodeId> {
        self.members.iter().filter(|member| member.outgoing_voter).map(|member| member.id)
    }

    /// Whether it votes in any active configuration.
    #[must_use]
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.member(id).is_some_and(|member| member.outgoing_voter || votes_incoming(member))
    }

    /// Whether it may become leader: a voter of an active configuration that stores payloads.
    #[must_use]
    pub fn can_lead(&self, id: NodeId) -> bool {
        self.is_voter(id) && !self.is_witness(id)
    }

    /// Whether it is a member that stores positions but no payloads.
    #[must_use]
    pub fn is_witness(&self, id: NodeId) -> bool {
        self.member(id).is_some_and(|member| member.role.is_witness())
    }

    /// Whether two configurations are active, each with a veto (Raft §6).
    #[must_use]
    pub fn is_joint(&self) -> bool {
        self.joint
    }

    /// Whether the leader leaves the joint configuration by itself.
    #[must_use]
    pub fn leaves_by_itself(&self) -> bool {
        self.auto_leave
    }

    fn check_voters(&self, votes: fn(&Member) -> bool, outgoing: bool) -> Result<(), MembershipError> {
        let mut voters = self.members.iter().filter(|member| votes(member)).peekable();
        if voters.peek().is_none() {
            return Err(MembershipError::NoVoters { outgoing });
        }
        if voters.all(|voter| voter.role.is_witness()) {
            return Err(MembershipError::OnlyWitnesses { outgoing });
        }
        Ok(())
    }
}

/// Whether the member votes in the incoming (or only) configuration.
#[must_use]
pub(crate) fn votes_incoming(member: &Member) -> bool {
    match member.role {
        MemberRole::Voter | MemberRole::Witness => true,
        MemberRole::Learner
        | MemberRole::Leaving
        | MemberRole::Joining
        | MemberRole::LeavingWitness
        | MemberRole::JoiningWitness => false,
    }
}
