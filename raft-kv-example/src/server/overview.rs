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
    /// The end of its log.
    pub last: u64,
    /// Up to here its log is durable.
    pub durable: u64,
    /// The cluster's number.
    pub cluster: u64,
    /// Whether two configurations are active.
    pub is_joint: bool,
    /// The members of the group.
    pub members: Vec<MemberOverview>,
    /// How the others progress, if it leads.
    pub peers: Vec<PeerOverview>,
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
         raft_last:{}\nraft_durable:{}\n",
        node.id,
        node.role,
        node.term,
        node.leader.unwrap_or(0),
        node.commit,
        node.applied,
        node.last,
        node.durable
    );
    for member in &node.members {
        let MemberOverview { id, role, address, client, .. } = member;
        write!(text, "raft_member_{id}:role={role},address={address},client={client}").expect("text grows");
        if let Some(peer) = node.peers.iter().find(|peer| peer.id == member.id) {
            let active = u8::from(peer.is_active);
            write!(text, ",mode={},matched={},active={active}", peer.mode, peer.matched).expect("text grows");
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
        ("last", node.last),
        ("durable", node.durable),
        ("operations", facts.operations),
        ("keys", u64::try_from(facts.keys).unwrap_or(u64::MAX)),
        ("pid", u64::from(std::process::id())),
        ("joint", node.is_joint.into()),
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
        out.map(if peer.is_some() { 11 } else { 5 });
        write_number(out, "id", member.id);
        write_text(out, "role", member.role);
        write_number(out, "outgoing", member.is_outgoing.into());
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
    }
}

fn write_text(out: &mut ReplyWriter<'_>, name: &str, value: &str) {
    out.text(name);
    out.text(value);
}

fn write_number(out: &mut ReplyWriter<'_>, name: &str, value: u64) {
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
            }],
            ..Overview::default()
        }
    }

    #[test]
    fn info_answers_all_sections_or_the_one_asked_for() {
        let all = info(&leader(), &facts(), "");
        assert!(all.contains("# Server\r\nredis_version:"));
        assert!(all.contains(
            "raft_member_2:role=voter,address=host:2,client=,mode=replicate,matched=9,active=1\r\n"
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
