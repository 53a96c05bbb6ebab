//! Short words: ids, logs and messages out of plain numbers.

use raft_core::bytes::Bytes;
use raft_core::mem::MemLog;
use raft_core::{
    Append, AppendReply, Batches, Body, Config, Conflict, Entries, EntryKind, HardState, Heartbeat,
    HeartbeatReply, InstallSnapshot, InstallSnapshotReply, LogIndex, LogStore, Member, MemberRole,
    Membership, Message, NewMark, NodeId, Persist, PersistId, Position, SnapshotMark, SnapshotMeta, Term,
    VoteRequest,
};
use raft_proto::prost::Message as _;
use raft_proto::v1;

use super::snapshots::keep;

pub(crate) fn node(id: u64) -> NodeId {
    NodeId::new(id)
}

pub(crate) fn term(term: u64) -> Term {
    Term::new(term)
}

pub(crate) fn index(index: u64) -> LogIndex {
    LogIndex::new(index)
}

/// The position of the entry at `index` made in `term`, in the order of [`Position::new`].
pub(crate) fn at(term: u64, index: u64) -> Position {
    Position::new(Term::new(term), LogIndex::new(index))
}

pub(crate) fn config(id: u64) -> Config {
    let mut config = Config::new(node(id));
    config.seed = 7;
    config
}

/// Settings under which a snapshot is soon sent, and in many pieces.
pub(crate) fn small(id: u64) -> Config {
    let mut config = config(id);
    (config.snapshot_chunk_bytes, config.snapshot_chunks_max, config.retained_entries) = (4, 2, 0);
    config
}

pub(crate) fn voters(count: u64) -> Membership {
    Membership::of_voters((1..=count).map(node)).expect("ids are valid")
}

/// CRC-32C.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    raft_proto::crc32c(bytes)
}

/// A node's store whose log begins behind `last`, with the snapshot of what was before.
pub(crate) fn store_behind(last: Position, membership: Membership) -> MemLog {
    let mut store = MemLog::new();
    let meta = SnapshotMeta { last, membership: membership.clone(), size: 0, crc32c: 0, is_hollow: false };
    keep(&mut store, &meta, b"");
    let request = Persist {
        id: PersistId::new(1),
        mark: Some(new_log(last, membership)),
        truncate_from: None,
        entries: Batches::new(),
        hard_state: Some(HardState { term: last.term, vote: None, commit: last.index }),
    };
    store.persist(request).expect("an empty log");
    store
}

/// A snapshot of voters 1 to 3 with this state.
pub(crate) fn snapshot_meta(last: Position, state: &[u8]) -> SnapshotMeta {
    SnapshotMeta {
        last,
        membership: voters(3),
        size: state.len() as u64,
        crc32c: crc32c(state),
        is_hollow: false,
    }
}

/// The part of a snapshot's state that begins at `offset`.
pub(crate) fn chunk(meta: &SnapshotMeta, offset: u64, bytes: &[u8]) -> Body {
    let (chunk, chunk_crc32c) = (Bytes::copy_from_slice(bytes), crc32c(bytes));
    Body::InstallSnapshot(Box::new(InstallSnapshot {
        meta: meta.clone(),
        round: 0,
        offset,
        chunk,
        chunk_crc32c,
    }))
}

/// The answer to a chunk: so many bytes have arrived.
pub(crate) fn snapshot_reply(last: Position, received: u64) -> Body {
    Body::InstallSnapshotReply(InstallSnapshotReply { round: 0, last, received })
}

/// A log that begins behind `last`.
pub(crate) fn new_log(last: Position, membership: Membership) -> NewMark {
    NewMark { mark: SnapshotMark { last, membership }, keeps_entries: false }
}

/// Voters 1 to `count`, and one learner.
pub(crate) fn with_learner(count: u64, learner: u64) -> Membership {
    let mut members: Vec<_> = (1..=count).map(|id| Member::voter(node(id))).collect();
    members.push(Member { role: MemberRole::Learner, ..Member::voter(node(learner)) });
    Membership::new(members).expect("ids are valid")
}

/// Voters 1 to `count` that store payloads, and one witness.
pub(crate) fn with_witness(count: u64, witness: u64) -> Membership {
    let voters = (1..=count).map(|id| Member::voter(node(id)));
    Membership::new(voters.chain([Member::witness(node(witness))]).collect()).expect("ids are valid")
}

/// A joint configuration: who votes in the outgoing one, and who in the incoming one.
pub(crate) fn joint(outgoing: &[u64], incoming: &[u64]) -> Membership {
    let mut ids: Vec<u64> = outgoing.iter().chain(incoming).copied().collect();
    ids.sort_unstable();
    ids.dedup();
    let members = ids.iter().map(|id| v1::Member {
        id: *id,
        role: if incoming.contains(id) { v1::MemberRole::Voter } else { v1::MemberRole::Leaving }.into(),
        outgoing_voter: outgoing.contains(id),
        context: Bytes::new(),
        domain: 0,
    });
    let wire = v1::Membership { members: members.collect(), joint: true, auto_leave: false };
    Membership::decode(&wire.encode_to_vec()).expect("a valid joint membership")
}

/// The payload that every test gives the entry at this position, so that contents can be compared.
pub(crate) fn payload(position: Position) -> Vec<u8> {
    position.to_string().into_bytes()
}

/// Commands from `first` on in one term, with the usual payloads.
pub(crate) fn batch(term: u64, first: u64, count: u64) -> Entries {
    let mut bytes = Vec::new();
    for offset in 0..count {
        let payload = payload(at(term, first + offset));
        bytes.push(u8::try_from(payload.len()).expect("short"));
        bytes.extend(payload);
    }
    Entries::parse(index(first), Term::new(term), EntryKind::Command, Bytes::from(bytes)).expect("valid")
}

/// Entries behind `prev`, one of each of these terms.
pub(crate) fn batches(prev: u64, terms: &[u64]) -> Batches {
    let mut batches = Batches::new();
    let mut first = prev + 1;
    for run in terms.chunk_by(|a, b| a == b) {
        batches.push(batch(run[0], first, run.len() as u64));
        first += run.len() as u64;
    }
    batches
}

pub(crate) fn message(from: u64, to: u64, term: u64, body: Body) -> Message {
    Message { from: node(from), to: node(to), term: Term::new(term), body }
}

pub(crate) fn append(prev: Position, commit: u64, terms: &[u64]) -> Body {
    let batches = batches(prev.index.get(), terms);
    Body::Append(Append { prev, commit: index(commit), round: 0, batches })
}

/// What a witness is sent in the place of [`append`].
pub(crate) fn hollow_append(prev: Position, commit: u64, terms: &[u64]) -> Body {
    let mut hollow = Batches::new();
    for batch in batches(prev.index.get(), terms) {
        hollow.push(batch.into_hollow());
    }
    Body::Append(Append { prev, commit: index(commit), round: 0, batches: hollow })
}

pub(crate) fn append_reply(round: u64, durable: u64, received: u64) -> Body {
    let (durable, received) = (index(durable), index(received));
    Body::AppendReply(AppendReply { round, durable, received, conflict: None })
}

/// A refused append: nothing acknowledged, a hint where the logs may meet.
pub(crate) fn refused(round: u64, rejected: u64, hint: Position) -> Body {
    let conflict = Some(Conflict { rejected: index(rejected), hint });
    Body::AppendReply(AppendReply { round, durable: index(0), received: index(0), conflict })
}

pub(crate) fn heartbeat(commit: u64, round: u64) -> Body {
    Body::Heartbeat(Heartbeat { commit: index(commit), round, transferee: None })
}

pub(crate) fn heartbeat_reply(round: u64, durable: u64, received: u64) -> Body {
    Body::HeartbeatReply(HeartbeatReply { round, durable: index(durable), received: index(received) })
}

pub(crate) fn vote(campaign: u64, last: Position) -> VoteRequest {
    VoteRequest { campaign, last, priority: 0, transfer: false }
}

/// The index that a batch list ends at, zero if it is empty.
pub(crate) fn ends_at(batches: &Batches) -> u64 {
    batches.last().map_or(0, LogIndex::get)
}

/// The name of a message's body, for choosing messages out of the bag.
pub(crate) fn kind(message: &Message) -> &'static str {
    message.body.name()
}
