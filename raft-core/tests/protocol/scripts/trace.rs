//! How messages, notices and nodes read in a trace.

use raft_core::{
    Action, Batches, Body, Entry, EntryKind, ForwardResult, MemberRole, Membership, Message, Notice,
    PeerMode, PeerStatus, Persist, Position, VoteReply, VoteRequest,
};

use super::clients;
use crate::support::{Applied, Peer, kind};

/// One message on its way: delivered, lost, or still under way.
pub(super) fn message(message: &Message, arrow: &str) -> String {
    let what = body(&message.body);
    let what = if what.is_empty() { what } else { format!(" {what}") };
    let name = kind(message);
    format!("{} {arrow} {} {name} term={}{what}", message.from, message.to, message.term)
}

fn body(body: &Body) -> String {
    match body {
        Body::PreVote(request) | Body::Vote(request) => request_for_vote(request),
        Body::PreVoteReply(VoteReply { granted, .. }) | Body::VoteReply(VoteReply { granted, .. }) => {
            if *granted {
                "granted".to_owned()
            } else {
                "refused".to_owned()
            }
        }
        Body::Append(append) => {
            let (prev, commit) = (append.prev, append.commit);
            format!("prev={prev} entries=[{}] commit={commit}", entries(&append.batches))
        }
        Body::AppendReply(reply) => match reply.conflict {
            Some(conflict) => format!("no entry like {}, try {}", conflict.rejected, conflict.hint),
            None => format!("received={} durable={}", reply.received, reply.durable),
        },
        Body::Heartbeat(beat) => {
            let heir = beat.transferee.map(|heir| format!(" heir={heir}")).unwrap_or_default();
            format!("round={} commit={}{heir}", beat.round, beat.commit)
        }
        Body::HeartbeatReply(reply) => {
            format!("round={} received={} durable={}", reply.round, reply.received, reply.durable)
        }
        Body::Read { request, .. } => format!("up to {request}"),
        Body::ReadReply { request, result: Ok(index), .. } => format!("up to {request}: at {index}"),
        Body::ReadReply { request, result: Err(why), .. } => format!("up to {request}: {why:?}"),
        Body::Propose { request, .. } => format!("from {request}"),
        Body::ProposeReply { request, count, result: Ok(at), .. } => {
            format!("from {request}, {count}: at {at}")
        }
        Body::ProposeReply { request, count, result: Err(why), .. } => {
            format!("from {request}, {count}: {why:?}")
        }
        Body::InstallSnapshot(install) => {
            let (last, size, end) = (install.meta.last, install.meta.size, install.chunk.len() as u64);
            format!("up to {last}, bytes {}..{} of {size}", install.offset, install.offset + end)
        }
        Body::InstallSnapshotReply(reply) => format!("up to {}, has {}", reply.last, reply.received),
        Body::SnapshotRequest { at_least } => format!("at least up to {at_least}"),
        Body::TimeoutNow => String::new(),
    }
}

fn request_for_vote(request: &VoteRequest) -> String {
    let wanted = if request.transfer { " wanted by the leader" } else { "" };
    format!("last={}{wanted}", request.last)
}

fn entries(batches: &Batches) -> String {
    let entries: Vec<String> = batches.entries().map(|found| entry(&found)).collect();
    entries.join(", ")
}

fn entry(entry: &Entry<'_>) -> String {
    let what = match entry.kind {
        EntryKind::Empty => "opens the term".to_owned(),
        EntryKind::Hollow => "hollow".to_owned(),
        EntryKind::Command => clients::told(entry.payload),
        EntryKind::Membership => {
            let decoded = Membership::decode(entry.payload).expect("was checked");
            format!("members {}", membership(&decoded))
        }
    };
    named(Position::new(entry.term, entry.index), &what)
}

/// The last command of all that a node applied, with what a client with a session is answered.
pub(super) fn applied(applied: &[Applied]) -> String {
    let Some(last) = applied.last() else { return String::new() };
    let command = named(last.position, &clients::told(&last.payload));
    match clients::answer(applied) {
        Some(answer) => format!("{command}: {answer}"),
        None => command,
    }
}

/// The entries of a past are called after their position.
fn named(position: Position, what: &str) -> String {
    let name = position.to_string();
    if name == what { name } else { format!("{name} {what}") }
}

/// The voters, those of the outgoing configuration first if there is one, and who has other parts.
pub(super) fn membership(membership: &Membership) -> String {
    let join = |ids: Vec<String>| ids.join(" ");
    let incoming = join(membership.voters().map(|id| id.to_string()).collect());
    let outgoing = join(membership.outgoing_voters().map(|id| id.to_string()).collect());
    let halves = if outgoing.is_empty() { incoming } else { format!("{outgoing} | {incoming}") };
    let of = |name: &str, has: fn(MemberRole) -> bool| {
        let members = membership.members().iter().filter(|member| has(member.role));
        let members = join(members.map(|member| member.id.to_string()).collect());
        if members.is_empty() { members } else { format!(", {name} {members}") }
    };
    let learners = of("learners", |role| role == MemberRole::Learner);
    let joining = of("joining", |role| role == MemberRole::Joining);
    let witnesses = of("witnesses", |role| role.is_witness() && role != MemberRole::JoiningWitness);
    let joining_witnesses = of("joining as witnesses", |role| role == MemberRole::JoiningWitness);
    format!("{halves}{learners}{joining}{witnesses}{joining_witnesses}")
}

pub(super) fn persist(request: &Persist) -> String {
    let mut parts = Vec::new();
    if let Some(new) = &request.mark {
        let what = if new.keeps_entries { "forgets the log up to" } else { "begins the log anew behind" };
        parts.push(format!("{what} {}", new.mark.last));
    }
    if let Some(from) = request.truncate_from {
        parts.push(format!("cuts from {from}"));
    }
    if !request.entries.is_empty() {
        parts.push(format!("entries=[{}]", entries(&request.entries)));
    }
    if let Some(hard) = request.hard_state {
        let vote = hard.vote.map_or("nobody".to_owned(), |vote| vote.to_string());
        parts.push(format!("term={} vote={vote} commit={}", hard.term, hard.commit));
    }
    parts.join(" ")
}

/// An action that is neither a message nor a request to the disk; `None` if it is seen elsewhere.
pub(super) fn action(action: &Action) -> Option<String> {
    Some(match action {
        Action::ReadReady { up_to, index } => format!("reads up to {up_to} may be served at {index}"),
        Action::ReadRefused { up_to } => format!("reads up to {up_to} are refused"),
        Action::Forwarded { first, result: ForwardResult::Appended(at), .. } => {
            format!("what it sent on as {first} is at {at}")
        }
        Action::Forwarded { first, result, .. } => format!("what it sent on as {first}: {result:?}"),
        Action::Notice(Notice::Role { role, term }) => format!("{role} in term {term}"),
        Action::Notice(Notice::Leader { leader, term }) => format!("follows {leader} in term {term}"),
        Action::Notice(Notice::SteppedDown { cause, .. }) => format!("steps down: {cause:?}"),
        Action::Notice(Notice::Truncated { from, last }) => format!("cuts its log from {from} to {last}"),
        Action::Notice(Notice::TransferBegan { to }) => format!("hands over to {to}"),
        Action::Notice(Notice::TransferEnded { to }) => format!("gives up handing over to {to}"),
        Action::Notice(Notice::MembershipAppended { .. }) => return None,
        Action::Notice(Notice::Compacted { mark }) => format!("forgets its log up to {mark}"),
        Action::Notice(Notice::SnapshotTaken { last }) => format!("has a snapshot up to {last}"),
        Action::Notice(Notice::SnapshotSending { to, last }) => format!("sends {to} a snapshot up to {last}"),
        Action::Notice(Notice::SnapshotInstalled { last }) => format!("begins anew behind {last}"),
        Action::Notice(notice) => format!("{notice:?}"),
        Action::Send(_)
        | Action::Persist(_)
        | Action::Apply(_)
        | Action::Load(_)
        | Action::TakeSnapshot(_)
        | Action::LoadChunk(_)
        | Action::StoreChunk(_)
        | Action::RestoreSnapshot(_) => return None,
    })
}

pub(super) fn status(peer: &Peer) -> String {
    let status = peer.status();
    let log: Vec<String> = peer.log_terms().iter().map(u64::to_string).collect();
    let members = membership(&status.membership);
    let (id, role, term, commit) = (status.id, status.role, status.term, status.commit);
    format!("{id}: {role} in term {term}, log [{}], commit {commit}, members {members}", log.join(" "))
}

/// How a leader sees the others.
pub(super) fn progress(peer: &Peer) -> Vec<String> {
    let own = peer.raft.id();
    let others = peer.status().peers.into_iter().filter(|other| other.id != own);
    let line = |other: PeerStatus| {
        let mode = match other.mode {
            PeerMode::Probe => "probing",
            PeerMode::Replicate => "replicating",
            PeerMode::Snapshot => "sending a snapshot",
            PeerMode::Stopped => "stopped",
        };
        let (id, matched, next, inflight) = (other.id, other.matched, other.next, other.inflight_messages);
        format!("  {own} of {id}: {mode}, matched {matched}, next {next}, {inflight} under way")
    };
    others.map(line).collect()
}
