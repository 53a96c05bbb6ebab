//! Why an order was not carried out, each as a line that says what to do.

use std::{error, fmt};

use raft_core::{ChangeError, MembershipError, NodeId, SnapshotError, TransferError};

/// Why an order was not carried out, or why nobody knows.
///
/// The first word is for programs: after `UNKNOWN` it may have been; after all others
/// it has not, and after `TRYAGAIN`, `CLUSTERDOWN` and `BUSY` the same may work later.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdminError {
    /// Another node leads.
    NotLeader {
        /// Who does.
        leader: NodeId,
        /// Where it takes commands, if that is known.
        client: Option<String>,
    },
    /// No leader is known.
    NoLeader,
    /// The cluster goes on without this node.
    Outsider,
    /// The leader has not committed an entry of its own term yet.
    TermNotCommitted,
    /// An earlier change is not finished.
    InProgress,
    /// Leadership is being handed over.
    Transferring,
    /// The member has this role already.
    NothingChanges(NodeId),
    /// There is no such member.
    NotMember(NodeId),
    /// Nobody would be left to vote.
    NoVoters,
    /// What would come out is no membership.
    Membership(MembershipError),
    /// The id belongs to a member with another address.
    IdInUse {
        /// The id.
        id: NodeId,
        /// That member's address.
        address: String,
    },
    /// The address belongs to another member.
    AddressInUse {
        /// That member.
        id: NodeId,
        /// The address.
        address: String,
    },
    /// The id and address belong to a member that does something else.
    OtherRole(NodeId),
    /// The member would turn from a witness into a full member, or back.
    NotConvertible(NodeId),
    /// The member becomes a voter by itself.
    BecomesVoter(NodeId),
    /// The member becomes a voter once it has caught up, and cannot lead before.
    CatchingUp(NodeId),
    /// The node does not vote, so it cannot lead.
    NotVoter(NodeId),
    /// The node leads already.
    LeadsAlready(NodeId),
    /// The node did not take over in time; the old leader goes on.
    NotTakenOver(NodeId),
    /// Another node than the one that should have leads now.
    TakenOverByOther {
        /// Who should have.
        wanted: NodeId,
        /// Who does.
        leader: NodeId,
    },
    /// A snapshot is being taken, received or restored already.
    SnapshotInProgress,
    /// Nothing was applied yet, so there is nothing to take a snapshot of.
    NothingApplied,
    /// The snapshot could not be written.
    SnapshotFailed,
    /// Another leader's entry was committed in the place of the change.
    Lost,
    /// Too many changes wait.
    Busy,
    /// The outcome did not come in time.
    Unknown,
    /// A refusal that this version does not know.
    Other(String),
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader, client: Some(client) } => {
                write!(f, "NOTLEADER node {leader} leads; send the command to {client}")
            }
            Self::NotLeader { leader, client: None } => write!(
                f,
                "NOTLEADER node {leader} leads, its address for clients is not known yet; try again"
            ),
            Self::NoLeader => f.write_str("CLUSTERDOWN no leader is known; nothing was changed, try again"),
            Self::Outsider => f.write_str(OUTSIDER),
            Self::TermNotCommitted => f.write_str(TERM_NOT_COMMITTED),
            Self::InProgress => f.write_str(IN_PROGRESS),
            Self::Transferring => {
                f.write_str("TRYAGAIN leadership is being handed over; nothing was changed, try again")
            }
            Self::NothingChanges(id) => {
                write!(f, "ERR node {id} has this role already; RAFT.STATUS lists the members")
            }
            Self::NotMember(id) => write!(f, "ERR node {id} is no member; RAFT.STATUS lists the members"),
            Self::NoVoters => f.write_str("ERR nobody would be left to vote; promote another member first"),
            Self::Membership(error) => write!(f, "ERR {error}"),
            Self::IdInUse { id, address } => write!(
                f,
                "ERR id {id} belongs to the member at {address}; give a new node an id that was never used"
            ),
            Self::AddressInUse { id, address } => {
                write!(f, "ERR {address} is the address of node {id}; give the new node one of its own")
            }
            Self::OtherRole(id) => write!(
                f,
                "ERR node {id} is a member in another role; RAFT.STATUS shows it, RAFT.PROMOTE and \
                 RAFT.DEMOTE change it"
            ),
            Self::NotConvertible(id) => write!(
                f,
                "ERR node {id} cannot turn from a witness, which keeps no data, into a full member, or back; \
                 add a new node under an id that was never used, then RAFT.REMOVE this one"
            ),
            Self::BecomesVoter(id) => {
                write!(f, "ERR node {id} becomes a voter by itself as soon as it has caught up")
            }
            Self::CatchingUp(id) => {
                write!(f, "TRYAGAIN node {id} is catching up and does not vote yet; try again")
            }
            Self::NotVoter(id) => {
                write!(f, "ERR node {id} does not vote, so it cannot lead; promote it first")
            }
            Self::LeadsAlready(id) => write!(f, "ERR node {id} leads already"),
            Self::NotTakenOver(id) => {
                write!(f, "TRYAGAIN node {id} did not take over in time; the old leader goes on")
            }
            Self::TakenOverByOther { wanted, leader } => {
                write!(f, "TRYAGAIN node {leader} has become leader instead of node {wanted}")
            }
            Self::SnapshotInProgress => f.write_str(SNAPSHOT_IN_PROGRESS),
            Self::NothingApplied => {
                f.write_str("TRYAGAIN nothing was applied yet, so there is nothing to take a snapshot of")
            }
            Self::SnapshotFailed => f.write_str(SNAPSHOT_FAILED),
            Self::Lost => {
                f.write_str("TRYAGAIN another leader took over first; nothing was changed, try again")
            }
            Self::Busy => f.write_str("BUSY too many changes wait; nothing was changed, try again later"),
            Self::Unknown => f.write_str(UNKNOWN),
            Self::Other(text) => write!(f, "ERR {text}"),
        }
    }
}

impl error::Error for AdminError {}

impl AdminError {
    /// What the core's refusal of a change of this member means.
    pub(super) fn of_change(error: ChangeError, id: NodeId, client: Option<String>) -> Self {
        match error {
            ChangeError::NotLeader { leader } => Self::NotLeader { leader, client },
            ChangeError::NoLeader => Self::NoLeader,
            ChangeError::TermNotCommitted => Self::TermNotCommitted,
            ChangeError::InProgress => Self::InProgress,
            ChangeError::Transferring => Self::Transferring,
            ChangeError::NothingChanges => Self::NothingChanges(id),
            ChangeError::NotMember(id) => Self::NotMember(id),
            ChangeError::NotConvertible(id) => Self::NotConvertible(id),
            ChangeError::Membership(MembershipError::NoVoters { .. }) => Self::NoVoters,
            ChangeError::Membership(error) => Self::Membership(error),
            other => Self::Other(other.to_string()),
        }
    }

    /// What the core's refusal of a hand-over to this member means.
    pub(super) fn of_transfer(error: TransferError, to: NodeId, client: Option<String>) -> Self {
        match error {
            TransferError::NotLeader { leader } => Self::NotLeader { leader, client },
            TransferError::NoLeader => Self::NoLeader,
            TransferError::AlreadyLeader => Self::LeadsAlready(to),
            TransferError::NotVoter(id) => Self::NotVoter(id),
            TransferError::InProgress { .. } => Self::Transferring,
            other => Self::Other(other.to_string()),
        }
    }

    /// What the core's refusal of a snapshot means.
    pub(super) fn of_snapshot(error: SnapshotError) -> Self {
        match error {
            SnapshotError::InProgress => Self::SnapshotInProgress,
            SnapshotError::NothingNew => Self::NothingApplied,
            other => Self::Other(other.to_string()),
        }
    }

    /// Whether it may pass by itself within moments.
    pub(super) fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::NoLeader
                | Self::TermNotCommitted
                | Self::InProgress
                | Self::Transferring
                | Self::CatchingUp(_)
                | Self::SnapshotInProgress
                | Self::NothingApplied
        )
    }
}

const OUTSIDER: &str = "NOTMEMBER this node was removed from the cluster, or is not taken in yet; nothing \
     was changed, ask another node";
const IN_PROGRESS: &str =
    "TRYAGAIN an earlier change of the membership is in progress; nothing was changed, try again";
const SNAPSHOT_IN_PROGRESS: &str =
    "TRYAGAIN a snapshot is being taken, received or restored; RAFT.STATUS shows it when it is done";
const SNAPSHOT_FAILED: &str =
    "ERR the snapshot could not be written; the node goes on without it, its log says why";
const UNKNOWN: &str =
    "UNKNOWN the change may or may not have happened, or may happen later; look at RAFT.STATUS";
const TERM_NOT_COMMITTED: &str = "TRYAGAIN the leader was elected just now; nothing was changed, try again";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_the_core_becomes_a_line_of_its_own() {
        let id = NodeId::new(4);
        let client = || Some("h:6379".to_owned());
        let changes = [
            ChangeError::NotLeader { leader: id },
            ChangeError::NoLeader,
            ChangeError::TermNotCommitted,
            ChangeError::InProgress,
            ChangeError::Transferring,
            ChangeError::NotJoint,
            ChangeError::NothingChanges,
            ChangeError::NotMember(id),
            ChangeError::NotConvertible(id),
            ChangeError::Membership(MembershipError::NoVoters { outgoing: false }),
            ChangeError::Membership(MembershipError::InvalidId(id)),
        ];
        let snapshots = [SnapshotError::InProgress, SnapshotError::NothingNew, SnapshotError::Leading];
        let transfers = [TransferError::AlreadyLeader, TransferError::NotVoter(id)];
        let changes = changes.into_iter().map(|error| AdminError::of_change(error, id, client()));
        let transfers = transfers.into_iter().map(|error| AdminError::of_transfer(error, id, client()));
        let snapshots = snapshots.into_iter().map(AdminError::of_snapshot);
        let mut lines: Vec<_> =
            changes.chain(transfers).chain(snapshots).map(|error| error.to_string()).collect();
        assert!(lines.iter().all(|line| line.starts_with(|c: char| c.is_ascii_uppercase())), "{lines:?}");
        assert!(lines[0].ends_with("send the command to h:6379"), "{}", lines[0]);
        let count = lines.len();
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), count, "{lines:?}");
    }
}
