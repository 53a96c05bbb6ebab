//! How a new node becomes a member: it asks a running one, through the door for clients.

use std::collections::HashMap;
use std::time::{Duration, Instant};
use std::{error, fmt, io};

use raft_core::NodeId;
use redis_protocol::resp2::types::OwnedFrame;

use crate::address::Addresses;
use crate::command::JoinRole;
use crate::link::{self, Link};

/// A node that wants to become a member.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// Where a member of its cluster takes commands.
    pub member: String,
    /// Its id, never used before.
    pub id: NodeId,
    /// The cluster that it was started for.
    pub cluster: u64,
    /// What it is to be there.
    pub role: JoinRole,
    /// Where it will be found.
    pub addresses: Addresses,
}

/// Why a node cannot join, and what to do about it.
#[derive(Debug)]
#[non_exhaustive]
pub enum JoinError {
    /// Nobody answers.
    Unreachable {
        /// Where.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// What answers does not know RAFT.STATUS.
    NoNode {
        /// Where.
        address: String,
    },
    /// The node belongs to another cluster.
    OtherCluster {
        /// Where.
        address: String,
        /// The cluster that is there.
        found: u64,
        /// The cluster that this node was started for.
        own: u64,
    },
    /// The id belongs to a member with another address.
    IdInUse {
        /// The id.
        id: NodeId,
        /// That member's address.
        address: String,
    },
    /// The id and address belong to a member that has data, which this node does not have.
    IdHasPast(NodeId),
    /// The cluster has no leader.
    NoLeader {
        /// Who was asked.
        address: String,
    },
    /// The leader refused.
    Refused {
        /// What it said.
        answer: String,
    },
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { address, .. } => write!(
                f,
                "nobody answers at {address}; give --join the address for clients of a running member"
            ),
            Self::NoNode { address } => write!(
                f,
                "what answers at {address} is no member of a cluster; give --join the address that \
                 clients use, not the one for other nodes"
            ),
            Self::OtherCluster { address, found, own } => write!(
                f,
                "the node at {address} belongs to cluster {found}, this one is to belong to cluster {own}; \
                 correct --join or --cluster"
            ),
            Self::IdInUse { id, address } => {
                write!(
                    f,
                    "id {id} belongs to the member at {address}; give --id a number that was never used"
                )
            }
            Self::IdHasPast(id) => write!(
                f,
                "node {id} is a member already, but --data holds nothing of it; give its old directory, or \
                 let it go with RAFT.REMOVE {id} and join with an --id that was never used"
            ),
            Self::NoLeader { address } => write!(
                f,
                "the cluster of the node at {address} has no leader that can be asked; start more of its \
                 nodes, then try again"
            ),
            Self::Refused { answer } => write!(f, "the leader refused: {answer}"),
        }
    }
}

impl error::Error for JoinError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Unreachable { source, .. } => Some(source),
            Self::NoNode { .. }
            | Self::OtherCluster { .. }
            | Self::IdInUse { .. }
            | Self::IdHasPast(_)
            | Self::NoLeader { .. }
            | Self::Refused { .. } => None,
        }
    }
}

/// Whether the cluster can take in a node that has no directory yet.
///
/// # Errors
///
/// If it cannot, or nobody who knows is found within some seconds.
pub fn survey(newcomer: &Newcomer) -> Result<(), JoinError> {
    let (_, report) = find_leader(newcomer, Instant::now() + PATIENCE)?;
    check_past(&report, newcomer.id)
}

/// Where the members of the cluster are.
///
/// # Errors
///
/// If nobody who knows is found within some seconds, or the node cannot become one of them.
pub fn find_peers(newcomer: &Newcomer) -> Result<Vec<(NodeId, String)>, JoinError> {
    let (_, report) = find_leader(newcomer, Instant::now() + PATIENCE)?;
    Ok(report.peers(newcomer.id))
}

/// Whether a leader, found from this member, has no place for the node; nothing if none is found at once.
#[must_use]
pub fn goes_on_without(member: &str, cluster: u64, id: NodeId) -> Option<bool> {
    let (_, report) = follow_directions(member, cluster, Instant::now()).ok()?;
    Some(report.members.iter().all(|member| member.id != id.get()))
}

/// Asks the cluster to take the node in. The node runs meanwhile: a witness votes at
/// once, and the change may not be committed without it.
///
/// Whoever asks has a directory, made after a [`survey`], so it has never acknowledged anything that
/// it could have lost since.
///
/// # Errors
///
/// If it did not, or nobody knows whether it did. It is safe to ask again.
pub fn enter(newcomer: &Newcomer) -> Result<(), JoinError> {
    let deadline = Instant::now() + PATIENCE;
    let mut order = vec!["RAFT.ADD".to_owned(), newcomer.id.to_string(), newcomer.addresses.peer.clone()];
    order.extend(newcomer.addresses.client.clone());
    order.push(newcomer.role.word().to_owned());
    loop {
        let (leader, _) = find_leader(newcomer, deadline)?;
        let answer = Link::open(&leader, ANSWER_PATIENCE)
            .and_then(|mut link| link.ask(std::slice::from_ref(&order)))
            .map_err(|source| JoinError::Unreachable { address: leader.clone(), source });
        let is_late = Instant::now() >= deadline;
        match answer.map(|mut answers| answers.pop()) {
            Ok(Some(OwnedFrame::SimpleString(_))) => return Ok(()),
            // Asking twice does what asking once does, so an unknown outcome is no trouble.
            Ok(Some(OwnedFrame::Error(answer))) if is_late || answer.starts_with("ERR") => {
                return Err(JoinError::Refused { answer });
            }
            Err(error) if is_late => return Err(error),
            _ if is_late => return Err(JoinError::NoNode { address: leader }),
            _ => std::thread::sleep(RETRY_AFTER),
        }
    }
}

/// What a node says of its cluster.
#[derive(Debug, Default)]
struct Report {
    id: u64,
    cluster: u64,
    leader: u64,
    members: Vec<MemberReport>,
}

#[derive(Debug, Default)]
struct MemberReport {
    id: u64,
    role: String,
    address: String,
    client: String,
    matched: u64,
}

impl Report {
    /// The other members and where they are.
    fn peers(&self, own: NodeId) -> Vec<(NodeId, String)> {
        let others =
            self.members.iter().filter(|member| member.id != own.get() && !member.address.is_empty());
        others.map(|member| (NodeId::new(member.id), member.address.clone())).collect()
    }
}

/// Follows the directions from a member to the leader: where it is, and what it says, if that does not
/// speak against the newcomer's id.
fn find_leader(newcomer: &Newcomer, deadline: Instant) -> Result<(String, Report), JoinError> {
    let (leader, report) = follow_directions(&newcomer.member, newcomer.cluster, deadline)?;
    check_id(&report, newcomer)?;
    Ok((leader, report))
}

fn follow_directions(address: &str, cluster: u64, deadline: Instant) -> Result<(String, Report), JoinError> {
    loop {
        let report = ask(address)?;
        if report.cluster != cluster {
            let (address, found) = (address.to_owned(), report.cluster);
            return Err(JoinError::OtherCluster { address, found, own: cluster });
        }
        if report.leader != 0 && report.leader == report.id {
            return Ok((address.to_owned(), report));
        }
        let leader = report.members.iter().find(|member| member.id == report.leader);
        if let Some(leader) = leader.filter(|leader| !leader.client.is_empty())
            && let Ok(of_leader) = ask(&leader.client)
            && (of_leader.leader, of_leader.cluster) == (of_leader.id, cluster)
        {
            return Ok((leader.client.clone(), of_leader));
        }
        if Instant::now() >= deadline {
            return Err(JoinError::NoLeader { address: address.to_owned() });
        }
        std::thread::sleep(RETRY_AFTER);
    }
}

/// The id must be new, or that of the member at the newcomer's address.
fn check_id(report: &Report, newcomer: &Newcomer) -> Result<(), JoinError> {
    let id = newcomer.id;
    match report.members.iter().find(|member| member.id == id.get()) {
        Some(member) if member.address != newcomer.addresses.peer => {
            Err(JoinError::IdInUse { id, address: member.address.clone() })
        }
        Some(_) | None => Ok(()),
    }
}

/// A node that lost its disk must not come back under its old id: its forgotten acknowledgements
/// and votes would count again (F24). One that does not vote yet and has never acknowledged anything
/// may: it was added before it was started.
fn check_past(report: &Report, id: NodeId) -> Result<(), JoinError> {
    match report.members.iter().find(|member| member.id == id.get()) {
        Some(member)
            if !["learner", "joining", "joining-witness"].contains(&&*member.role) || member.matched > 0 =>
        {
            Err(JoinError::IdHasPast(id))
        }
        Some(_) | None => Ok(()),
    }
}

fn ask(address: &str) -> Result<Report, JoinError> {
    let unreachable = |source| JoinError::Unreachable { address: address.to_owned(), source };
    let mut link = Link::open(address, STATUS_PATIENCE).map_err(unreachable)?;
    // Whatever breaks off, keeps silent or answers in other ways is no node.
    let no_node = || JoinError::NoNode { address: address.to_owned() };
    let answer = link.ask(&[vec!["RAFT.STATUS".to_owned()]]).ok().and_then(|mut answers| answers.pop());
    answer.as_ref().and_then(read_report).ok_or_else(no_node)
}

fn read_report(answer: &OwnedFrame) -> Option<Report> {
    let fields = link::fields(answer)?;
    let Some(OwnedFrame::Array(members)) = fields.get("members") else { return None };
    let members = members.iter().map(|member| {
        let fields = link::fields(member)?;
        Some(MemberReport {
            id: number(&fields, "id")?,
            role: text(&fields, "role")?,
            address: text(&fields, "address")?,
            client: text(&fields, "client")?,
            matched: number(&fields, "matched").unwrap_or(0),
        })
    });
    Some(Report {
        id: number(&fields, "id")?,
        cluster: number(&fields, "cluster")?,
        leader: number(&fields, "leader")?,
        members: members.collect::<Option<_>>()?,
    })
}

fn number(fields: &HashMap<String, &OwnedFrame>, name: &str) -> Option<u64> {
    match fields.get(name)? {
        OwnedFrame::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn text(fields: &HashMap<String, &OwnedFrame>, name: &str) -> Option<String> {
    fields.get(name).and_then(|frame| link::text(frame))
}

/// How long a cluster may take to have a leader and to take a node in.
const PATIENCE: Duration = Duration::from_secs(10);
const STATUS_PATIENCE: Duration = Duration::from_secs(3);
/// Longer than a node takes by default to say that an outcome is unknown.
const ANSWER_PATIENCE: Duration = Duration::from_secs(15);
const RETRY_AFTER: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn report(role: &str, matched: u64) -> Report {
        let member = MemberReport {
            id: 4,
            role: role.to_owned(),
            address: "h:4".to_owned(),
            client: String::new(),
            matched,
        };
        Report { id: 1, cluster: 1, leader: 1, members: vec![member] }
    }

    #[test]
    fn id_is_new_or_was_never_used() {
        let newcomer = |id, peer: &str| Newcomer {
            member: "h:9".to_owned(),
            id: NodeId::new(id),
            cluster: 1,
            role: JoinRole::Voter,
            addresses: Addresses { peer: peer.to_owned(), client: None },
        };
        assert!(check_id(&report("voter", 9), &newcomer(5, "h:5")).is_ok());
        assert!(check_id(&report("joining", 0), &newcomer(4, "h:4")).is_ok());
        let used = check_id(&report("learner", 0), &newcomer(4, "h:5"));
        assert!(matches!(used, Err(JoinError::IdInUse { .. })));
    }

    /// F24: who may have voted does not begin anew.
    #[test]
    fn member_that_may_have_vouched_for_something_does_not_begin_anew() {
        let id = NodeId::new(4);
        for unused in [report("learner", 0), report("joining", 0), report("joining-witness", 0)] {
            assert!(check_past(&unused, id).is_ok(), "{unused:?}");
        }
        for past in [report("voter", 0), report("witness", 0), report("learner", 1), report("joining", 1)] {
            assert!(matches!(check_past(&past, id), Err(JoinError::IdHasPast(_))), "{past:?}");
        }
        assert!(check_past(&report("voter", 9), NodeId::new(5)).is_ok());
    }
}
