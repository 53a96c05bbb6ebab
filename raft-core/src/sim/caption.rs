//! Messages and memberships in a few words each, for people.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::words::ids::LogIndex;
use crate::words::membership::{MemberRole, Membership};
use crate::words::message::{Append, AppendReply, Body, InstallSnapshot, VoteReply, VoteRequest};
use crate::words::notice::{Notice, StepDown};

/// What a message says.
pub(super) fn caption(body: &Body) -> String {
    match body {
        Body::PreVote(request) | Body::Vote(request) => vote(request),
        Body::PreVoteReply(reply) | Body::VoteReply(reply) => vote_reply(reply),
        Body::Append(append) => entries(append),
        Body::AppendReply(reply) => append_reply(reply),
        Body::Heartbeat(beat) => {
            let handing = beat.transferee.map_or(String::new(), |to| format!(", hands over to {to}"));
            format!("commit {}, round {}{handing}", beat.commit, beat.round)
        }
        Body::HeartbeatReply(reply) => {
            format!("durable {}, received {}, round {}", reply.durable, reply.received, reply.round)
        }
        Body::InstallSnapshot(chunk) => snapshot(chunk),
        Body::InstallSnapshotReply(reply) => {
            format!("{} bytes of the snapshot up to {}, round {}", reply.received, reply.last, reply.round)
        }
        Body::SnapshotRequest { at_least } => format!("at least up to {at_least}"),
        Body::TimeoutNow => "campaign at once".to_string(),
        Body::Read { epoch, request } => format!("read {request} of epoch {epoch:x}"),
        Body::ReadReply { epoch, request, result } => {
            let result = match result {
                Ok(index) => format!("wait for {index}"),
                Err(refusal) => format!("refused, {refusal}"),
            };
            format!("read {request} of epoch {epoch:x}: {result}")
        }
        Body::Propose { epoch, request, payloads } => {
            format!("proposals from {request} on, {} bytes, epoch {epoch:x}", payloads.len())
        }
        Body::ProposeReply { epoch, request, count, result } => {
            let result = match result {
                Ok(position) => format!("at {position}"),
                Err(refusal) => format!("refused, {refusal}"),
            };
            format!("{count} proposals from {request} on, epoch {epoch:x}: {result}")
        }
    }
}

fn vote(request: &VoteRequest) -> String {
    let VoteRequest { campaign, last, priority, transfer } = request;
    let priority = if *priority == 0 { String::new() } else { format!(", priority {priority}") };
    let transfer = if *transfer { ", asked to by the leader" } else { "" };
    format!("log ends at {last}, campaign {campaign}{priority}{transfer}")
}

fn vote_reply(reply: &VoteReply) -> String {
    format!("{}, campaign {}", if reply.granted { "granted" } else { "refused" }, reply.campaign)
}

fn entries(append: &Append) -> String {
    let what = match (append.batches.first(), append.batches.last()) {
        (Some(first), Some(last)) => format!("{} after", range(first, last)),
        _ => "probe at".to_string(),
    };
    format!("{what} {}, commit {}, round {}", append.prev, append.commit, append.round)
}

fn range(first: LogIndex, last: LogIndex) -> String {
    if first == last { format!("entry {first}") } else { format!("entries {first} to {last}") }
}

fn append_reply(reply: &AppendReply) -> String {
    let AppendReply { round, durable, received, conflict } = reply;
    let conflict = conflict.map_or(String::new(), |conflict| {
        format!(", refused at {}, try {}", conflict.rejected, conflict.hint)
    });
    format!("durable {durable}, received {received}, round {round}{conflict}")
}

fn snapshot(chunk: &InstallSnapshot) -> String {
    let (last, size, offset, round) = (chunk.meta.last, chunk.meta.size, chunk.offset, chunk.round);
    let end = offset + chunk.chunk.len() as u64;
    format!("up to {last}, bytes {offset} to {end} of {size}, round {round}")
}

/// What a node tells of itself, as it goes on after the node's name.
pub(super) struct Told(pub(super) Notice);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Notice::Role { role, term } => write!(f, "is {role} in term {term}"),
            Notice::Leader { leader, term } => write!(f, "follows node {leader} in term {term}"),
            Notice::SteppedDown { cause, term } => write!(f, "steps down in term {term}: {}", why(cause)),
            Notice::Truncated { from, last } => {
                write!(f, "cuts off its log from {from} on, which ended at {last}")
            }
            Notice::MembershipAppended { at } => write!(f, "has another membership, at {at}"),
            Notice::TransferBegan { to } => write!(f, "hands over to node {to}"),
            Notice::TransferEnded { to } => write!(f, "gives up handing over to node {to}"),
            Notice::Offended { from, offence } => write!(f, "drops a message of node {from}: {offence}"),
            Notice::PeerRegressed { peer, acknowledged, reported } => {
                write!(f, "sees node {peer} back at {reported}, which had acknowledged {acknowledged}")
            }
            Notice::DiskStalled => f.write_str("waits for its disk"),
            Notice::SnapshotTaken { last } => write!(f, "has a snapshot up to {last}"),
            Notice::SnapshotFailed { last } => write!(f, "fails to store a snapshot up to {last}"),
            Notice::SnapshotSending { to, last } => write!(f, "sends node {to} a snapshot up to {last}"),
            Notice::SnapshotInstalled { last } => write!(f, "installs a snapshot up to {last}"),
            Notice::Compacted { mark } => write!(f, "drops its log up to {mark}"),
        }
    }
}

fn why(cause: StepDown) -> &'static str {
    match cause {
        StepDown::HigherTerm => "a higher term",
        StepDown::QuorumLost => "no quorum is heard",
        StepDown::DiskStalled => "its disk does not answer",
        StepDown::Removed => "it is no voter any more",
    }
}

/// Who belongs to a group, and as what.
pub(super) fn members(membership: &Membership) -> String {
    let name = |role| match role {
        MemberRole::Voter => "",
        MemberRole::Learner => " learner",
        MemberRole::Witness => " witness",
        MemberRole::Joining => " joining",
        MemberRole::JoiningWitness => " joining witness",
        MemberRole::Leaving => " leaving",
        MemberRole::LeavingWitness => " leaving witness",
    };
    let all: Vec<String> = membership
        .members()
        .iter()
        .map(|member| {
            let outgoing = if member.outgoing_voter { " (outgoing voter)" } else { "" };
            format!("{}{}{outgoing}", member.id, name(member.role))
        })
        .collect();
    format!("{}{}", if membership.is_joint() { "joint: " } else { "" }, all.join(", "))
}

/// A payload as text if it is some, and as bytes otherwise; the beginning of it.
pub(super) fn payload(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(PAYLOAD_BYTES_SHOWN)];
    let rest = if shown.len() < bytes.len() { " …" } else { "" };
    match core::str::from_utf8(shown) {
        Ok(text) if !text.chars().any(char::is_control) => format!("{text}{rest}"),
        Ok(_) | Err(_) => {
            let hex: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("0x{hex}{rest}")
        }
    }
}

const PAYLOAD_BYTES_SHOWN: usize = 24;
