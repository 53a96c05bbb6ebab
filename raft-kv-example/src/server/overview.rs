//! What people want to know of a node: for INFO and RAFT.STATUS.

use std::fmt::Write;
use std::time::Duration;

use crate::kv::{Reply, ReplySink};
use crate::resp::ReplyWriter;

/// A picture of a member of the group at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// The member's id.
    pub id: u64,
    /// Its role in a word.
    pub role: &'static str,
    /// Its term.
    pub term: u64,
    /// Who leads, as far as it knows.
    pub leader: Option<u64>,
    /// The commit index.
    pub commit: u64,
    /// Up to here its state machine has applied.
    pub applied: u64,
    /// The first entry that its log still has.
    pub first: u64,
    /// The end of its log.
    pub last: u64,
    /// Up to here its log is durable.
    pub durable: u64,
    /// Rounds of messages that reads have cost since the start.
    pub read_rounds: u64,
    /// Answers to reads that cost none, thanks to a lease.
    pub lease_reads: u64,
    /// How many sessions of clients are open.
    pub sessions: usize,
    /// How many bytes the replies have that are kept for them.
    pub session_reply_bytes: u64,
    /// What its snapshots are like.
    pub snapshots: SnapshotsOverview,
    /// The cluster's number.
    pub cluster: u64,
    /// Whether two configurations are active.
    pub is_joint: bool,
    /// Whether the cluster goes on without the member, as far as it knows.
    pub is_outsider: bool,
    /// The members of the group.
    pub members: Vec<MemberOverview>,
    /// How the others progress, if it leads.
    pub peers: Vec<PeerOverview>,
}

/// The snapshots of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotsOverview {
    /// The newest that is durable replaces everything up to here; zero if there is none.
    pub index: u64,
    /// The term of that entry.
    pub term: u64,
    /// How many of its own the node has taken since it started.
    pub taken_total: u64,
    /// How many came from a leader and are in force.
    pub installed_total: u64,
    /// How many could not be written.
    pub failed_total: u64,
}

/// A member as the others know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberOverview {
    /// Its id.
    pub id: u64,
    /// What it does in the group, in a word.
    pub role: &'static str,
    /// Whether it votes in the outgoing configuration of a joint one.
    pub is_outgoing: bool,
    /// Its failure domain; zero is none.
    pub domain: u64,
    /// Where other members reach it.
    pub address: String,
    /// Where clients reach it; empty if that is not known.
    pub client: String,
}

/// How a member progresses, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerOverview {
    /// Its id.
    pub id: u64,
    /// How the leader sends to it, in a word.
    pub mode: &'static str,
    /// Up to here its log equals the leader's.
    pub matched: u64,
    /// The next entry to send to it.
    pub next: u64,
    /// Appends on their way to it.
    pub inflight: u64,
    /// Whether it was heard lately.
    pub is_active: bool,
    /// The snapshot on its way to it.
    pub snapshot: Option<SnapshotTransfer>,
}

/// How far a snapshot has come on its way to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotTransfer {
    /// It replaces everything up to here.
    pub index: u64,
    /// How many bytes have arrived.
    pub arrived_bytes: u64,
    /// How many there are.
    pub size_bytes: u64,
}

/// What the server itself knows.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) port: u16,
    pub(super) uptime: Duration,
    pub(super) clients: usize,
    pub(super) clients_max: usize,
    pub(super) accepted_total: u64,
    pub(super) commands_total: u64,
    pub(super) keys: usize,
    pub(super) operations: u64,
}

type Section = fn(&Overview, &Facts) -> String;

/// The text of INFO: one section, or all of them.
pub(super) fn info(node: &Overview, facts: &Facts, section: &str) -> String {
    let sections: [(&str, Section); 6] = [
        ("Server", info_server),
        ("Clients", info_clients),
        ("Stats", info_stats),
        ("Replication", info_replication),
        ("Raft", info_raft),
        ("Keyspace", info_keyspace),
    ];
    let is_all = ["", "all", "default", "everything"].contains(&section);
    let wanted = |name: &str| is_all || section == name.to_ascii_lowercase();
    let texts = sections.iter().filter(|(name, _)| wanted(name));
    let texts: Vec<_> = texts.map(|(name, text)| format!("# {name}\n{}", text(node, facts))).collect();
    texts.join("\n").replace('\n', "\r\n")
}

fn info_server(_: &Overview, facts: &Facts) -> String {
    format!(
        "redis_version:{REDIS_VERSION}\nraft_kv_version:{}\nredis_mode:standalone\nprocess_id:{}\n\
         tcp_port:{}\nuptime_in_seconds:{}\n",
        env!("CARGO_PKG_VERSION"),
        std::process::id(),
        facts.port,
        facts.uptime.as_secs()
    )
}

fn info_clients(_: &Overview, facts: &Facts) -> String {
    format!("connected_clients:{}\nmaxclients:{}\n", facts.clients, facts.clients_max)
}

fn info_stats(_: &Overview, facts: &Facts) -> String {
    format!(
        "total_connections_received:{}\ntotal_commands_processed:{}\nlog_operations_applied:{}\n",
        facts.accepted_total, facts.commands_total, facts.operations
    )
}

fn info_replication(node: &Overview, _: &Facts) -> String {
    let is_leader = node.leader == Some(node.id);
    let followers = if is_leader { node.peers.len() } else { 0 };
    format!("role:{}\nconnected_slaves:{followers}\n", if is_leader { "master" } else { "slave" })
}

fn info_raft(node: &Overview, _: &Facts) -> String {
    let mut text = format!(
        "raft_id:{}\nraft_role:{}\nraft_term:{}\nraft_leader:{}\nraft_commit:{}\nraft_applied:{}\n\
         raft_first:{}\nraft_last:{}\nraft_durable:{}\n",
        node.id,
        node.role,
        node.term,
        node.leader.unwrap_or(0),
        node.commit,
        node.applied,
        node.first,
        node.last,
        node.durable
    );
    let (rounds, leases) = (node.read_rounds, node.lease_reads);
    write!(text, "raft_read_rounds:{rounds}\nraft_lease_reads:{leases}\n").expect("text grows");
    let (sessions, reply_bytes) = (node.sessions, node.session_reply_bytes);
    write!(text, "raft_sessions:{sessions}\nraft_session_reply_bytes:{reply_bytes}\n").expect("text grows");
    let SnapshotsOverview { index, term, taken_total, installed_total, failed_total } = node.snapshots;
    write!(
        text,
        "raft_snapshot_index:{index}\nraft_snapshot_term:{term}\nraft_snapshots_taken:{taken_total}\n\
         raft_snapshots_installed:{installed_total}\nraft_snapshots_failed:{failed_total}\n"
    )
    .expect("text grows");
    for member in &node.members {
        let MemberOverview { id, role, address, client, .. } = member;
        write!(text, "raft_member_{id}:role={role},address={address},client={client}").expect("text grows");
        if let Some(peer) = node.peers.iter().find(|peer| peer.id == member.id) {
            let active = u8::from(peer.is_active);
            write!(text, ",mode={},matched={},active={active}", peer.mode, peer.matched).expect("text grows");
            if let Some(SnapshotTransfer { index, arrived_bytes, size_bytes }) = peer.snapshot {
                write!(text, ",snapshot={index},arrived={arrived_bytes},size={size_bytes}")
                    .expect("text grows");
            }
        }
        text.push('\n');
    }
    text
}

fn info_keyspace(_: &Overview, facts: &Facts) -> String {
    match facts.keys {
        0 => String::new(),
        keys => format!("db0:keys={keys},expires=0,avg_ttl=0\n"),
    }
}

/// Answers RAFT.STATUS: a map whose last values are arrays of maps.
pub(super) fn write_status(node: &Overview, facts: &Facts, out: &mut ReplyWriter<'_>) {
    let numbers = [
        ("id", node.id),
        ("cluster", node.cluster),
        ("term", node.term),
        ("leader", node.leader.unwrap_or(0)),
        ("commit", node.commit),
        ("applied", node.applied),
        ("first", node.first),
        ("last", node.last),
        ("snapshot", node.snapshots.index),
        ("snapshot-term", node.snapshots.term),
        ("durable", node.durable),
        ("operations", facts.operations),
        ("keys", u64::try_from(facts.keys).unwrap_or(u64::MAX)),
        ("pid", u64::from(std::process::id())),
        ("joint", node.is_joint.into()),
        ("removed", node.is_outsider.into()),
    ];
    out.map(numbers.len() + 2);
    write_text(out, "role", node.role);
    for (name, value) in numbers {
        write_number(out, name, value);
    }
    out.text("members");
    out.push(Reply::Array(node.members.len()));
    for member in &node.members {
        let peer = node.peers.iter().find(|peer| peer.id == member.id);
        let transfer = peer.and_then(|peer| peer.snapshot);
        out.map(if peer.is_some() { 12 } else { 6 } + if transfer.is_some() { 3 } else { 0 });
        write_number(out, "id", member.id);
        write_text(out, "role", member.role);
        write_number(out, "outgoing", member.is_outgoing.into());
        write_number(out, "domain", member.domain);
        write_text(out, "address", &member.address);
        write_text(out, "client", &member.client);
        if let Some(peer) = peer {
            write_text(out, "mode", peer.mode);
            write_number(out, "matched", peer.matched);
            write_number(out, "next", peer.next);
            write_number(out, "inflight", peer.inflight);
            write_number(out, "lag", node.last.saturating_sub(peer.matched));
            write_number(out, "active", peer.is_active.into());
        }
        if let Some(transfer) = transfer {
            write_number(out, "snapshot", transfer.index);
            write_number(out, "snapshot-arrived", transfer.arrived_bytes);
            write_number(out, "snapshot-size", transfer.size_bytes);
        }
    }
}

fn write_text(out: &mut ReplyWriter<'_>, name: &str, value: &str) {
    out.text(name);
    out.text(value);
}

/// A field of a map whose value is a number.
pub(super) fn write_number(out: &mut ReplyWriter<'_>, name: &str, value: u64) {
    out.text(name);
    out.push(Reply::Integer(i64::try_from(value).unwrap_or(i64::MAX)));
}

/// The version of Redis whose commands and answers the offered ones follow; clients look at it.
pub(super) const REDIS_VERSION: &str = "7.2.0";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Protocol;
    use bytes::BytesMut;

    fn facts() -> Facts {
        Facts {
            port: 6379,
            uptime: Duration::from_secs(5),
            clients: 1,
            clients_max: 10,
            accepted_total: 2,
            commands_total: 3,
            keys: 4,
            operations: 5,
        }
    }

    fn leader() -> Overview {
        let members = (1..=2).map(|id| MemberOverview {
            id,
            role: "voter",
            is_outgoing: false,
            domain: 3,
            address: format!("host:{id}"),
            client: String::new(),
        });
        Overview {
            id: 1,
            role: "leader",
            term: 7,
            leader: Some(1),
            members: members.collect(),
            peers: vec![PeerOverview {
                id: 2,
                mode: "replicate",
                matched: 9,
                next: 10,
                inflight: 0,
                is_active: true,
                snapshot: Some(SnapshotTransfer { index: 5, arrived_bytes: 10, size_bytes: 20 }),
            }],
            ..Overview::default()
        }
    }

    #[test]
    fn info_answers_all_sections_or_the_one_asked_for() {
        let all = info(&leader(), &facts(), "");
        assert!(all.contains("# Server\r\nredis_version:"));
        assert!(all.contains(
            "raft_member_2:role=voter,address=host:2,client=,mode=replicate,matched=9,active=1,snapshot=5,arrived=10,size=20\r\n"
        ));
        let one = info(&leader(), &facts(), "replication");
        assert_eq!(one, "# Replication\r\nrole:master\r\nconnected_slaves:1\r\n");
        assert_eq!(info(&leader(), &facts(), "none"), "");
    }

    #[test]
    fn status_is_a_whole_frame_in_both_versions() {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let mut out = BytesMut::new();
            write_status(&leader(), &facts(), &mut ReplyWriter::new(&mut out, protocol));
            let read = match protocol {
                Protocol::Resp2 => {
                    redis_protocol::resp2::decode::decode_range(&out).unwrap().map(|(_, length)| length)
                }
                Protocol::Resp3 => {
                    use redis_protocol::resp3::decode::complete::decode_range;
                    decode_range(&out).unwrap().map(|(_, length)| length)
                }
            };
            assert_eq!(read, Some(out.len()));
        }
    }
}
