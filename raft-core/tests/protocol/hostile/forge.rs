//! Messages out of bytes: made up from nothing, or real ones with one thing changed.

use raft_core::bytes::Bytes;
use raft_core::{
    Append, AppendReply, Batches, Body, Conflict, Entries, EntryKind, Heartbeat, HeartbeatReply,
    InstallSnapshot, InstallSnapshotReply, LogIndex, Message, Position, Refusal, SnapshotMeta, VoteReply,
    VoteRequest,
};
use raft_proto::prost::Message as _;
use raft_proto::v1;

use crate::support::{at, crc32c, index, joint, node, voters, with_learner};

/// Bytes as a source of decisions. When they are used up the rest is zeros.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    pub(crate) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    /// A number near this one, a small one, or an extreme one.
    pub(crate) fn number(&mut self, near: u64) -> u64 {
        match self.byte() {
            0..=119 => near,
            120..=149 => near.saturating_add(1),
            150..=179 => near.saturating_sub(1),
            code @ 180..=233 => u64::from(code % 8),
            234..=237 => near.saturating_add(1 << 32),
            238..=240 => near.saturating_add((1 << 32) + 1),
            241..=243 => u64::MAX,
            244..=246 => u64::MAX - 1,
            247..=249 => 0,
            250..=255 => self.bytes(8).iter().fold(0, |number, byte| number << 8 | u64::from(*byte)),
        }
    }

    fn position(&mut self, near: Position) -> Position {
        at(self.number(near.term.get()), self.number(near.index.get()))
    }
}

/// What is near the state of the node that is to be deceived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) to: u64,
    /// The node that most likely leads.
    pub(crate) from: u64,
    pub(crate) term: u64,
    pub(crate) commit: u64,
    pub(crate) last: Position,
}

/// A message that nobody sent.
pub(crate) fn message(reader: &mut Reader<'_>, view: &View) -> Message {
    let from = if reader.once_in(2) { 1 + reader.number(3) % 6 } else { reader.number(view.from) };
    let term = reader.number(view.term);
    let body = if reader.once_in(2) { request(reader, view) } else { reply(reader, view) };
    Message { from: node(from), to: node(view.to), term: term.into(), body }
}

/// A message as it comes out of arbitrary bytes in the wire format, if any does.
pub(crate) fn decoded(reader: &mut Reader<'_>) -> Option<Message> {
    let length = reader.below(64);
    let wire = v1::Message::decode(reader.bytes(length)).ok()?;
    Message::try_from(wire).ok()
}

/// Changes one thing about a message.
pub(crate) fn alter(message: &mut Message, reader: &mut Reader<'_>, view: &View) {
    match reader.below(8) {
        0 => message.term = reader.number(message.term.get()).into(),
        1 => message.from = node(reader.number(message.from.get())),
        2 => message.to = node(reader.number(view.to)),
        3 => message.body = request(reader, view),
        _ => alter_body(&mut message.body, reader, view),
    }
}

fn alter_body(body: &mut Body, reader: &mut Reader<'_>, view: &View) {
    let which = reader.below(3);
    match body {
        Body::PreVote(ask) | Body::Vote(ask) => match which {
            0 => ask.campaign = reader.number(ask.campaign),
            1 => ask.last = reader.position(ask.last),
            _ => ask.transfer = !ask.transfer,
        },
        Body::PreVoteReply(answer) | Body::VoteReply(answer) => match which {
            0 => answer.campaign = reader.number(answer.campaign),
            _ => answer.granted = !answer.granted,
        },
        Body::Append(append) => match which {
            0 => append.prev = reader.position(append.prev),
            1 => (append.commit, append.round) = (number(reader, append.commit), reader.number(append.round)),
            _ => append.batches = batches(reader, view, append.prev.index.get().saturating_add(1)),
        },
        Body::AppendReply(reply) => match which {
            0 => reply.round = reader.number(reply.round),
            1 => reply.durable = number(reader, reply.received),
            _ => reply.conflict = conflict(reader, view),
        },
        Body::Heartbeat(beat) => match which {
            0 => beat.commit = number(reader, view.last.index),
            1 => beat.round = reader.number(beat.round),
            _ => beat.transferee = Some(node(reader.number(view.to))),
        },
        Body::HeartbeatReply(reply) => match which {
            0 => reply.round = reader.number(reply.round),
            1 => reply.durable = number(reader, reply.durable),
            _ => reply.received = number(reader, reply.received),
        },
        Body::Read { epoch, request } | Body::ReadReply { epoch, request, .. } => match which {
            0 => *epoch = reader.number(*epoch),
            _ => *request = reader.number(request.get()).into(),
        },
        Body::Propose { epoch, request, .. } | Body::ProposeReply { epoch, request, .. } => match which {
            0 => *epoch = reader.number(*epoch),
            _ => *request = reader.number(request.get()).into(),
        },
        Body::InstallSnapshot(install) => match which {
            0 => install.offset = reader.number(install.offset),
            1 => install.meta.last = reader.position(install.meta.last),
            _ => install.meta.size = reader.number(install.meta.size),
        },
        Body::InstallSnapshotReply(reply) => match which {
            0 => reply.round = reader.number(reply.round),
            1 => reply.last = reader.position(reply.last),
            _ => reply.received = reader.number(reply.received),
        },
        Body::TimeoutNow | Body::SnapshotRequest { .. } => *body = reply(reader, view),
    }
}

/// What one node asks of another, or tells it as its leader.
fn request(reader: &mut Reader<'_>, view: &View) -> Body {
    let code = reader.below(13);
    match code {
        0 | 1 => {
            let (campaign, last) = (reader.number(1), reader.position(view.last));
            let ask = VoteRequest { campaign, last, priority: 0, transfer: reader.once_in(2) };
            if code == 0 { Body::PreVote(ask) } else { Body::Vote(ask) }
        }
        2..=5 => {
            let prev = reader.position(view.last);
            let batches = batches(reader, view, prev.index.get().saturating_add(1));
            let commit = index(reader.number(view.last.index.get()));
            Body::Append(Append { prev, commit, round: reader.number(1), batches })
        }
        6 => {
            let transferee = reader.once_in(4).then(|| node(reader.number(view.to)));
            let commit = index(reader.number(view.last.index.get()));
            Body::Heartbeat(Heartbeat { commit, round: reader.number(1), transferee })
        }
        7 => Body::Read { epoch: reader.number(1), request: reader.number(1).into() },
        8 => {
            let length = reader.below(40);
            let payloads = Bytes::copy_from_slice(reader.bytes(length));
            Body::Propose { epoch: reader.number(1), request: reader.number(1).into(), payloads }
        }
        9 | 10 => Body::InstallSnapshot(Box::new(chunk(reader, view))),
        11 => Body::SnapshotRequest { at_least: number(reader, view.last.index) },
        _ => Body::TimeoutNow,
    }
}

/// What a made-up snapshot replaces: for the most part a little more than a node has.
pub(crate) fn snapshot_last(reader: &mut Reader<'_>, view: &View) -> Position {
    reader.position(at(view.last.term.get(), view.last.index.get().saturating_add(1)))
}

/// A chunk of a snapshot that nobody took; whole, for the most part.
fn chunk(reader: &mut Reader<'_>, view: &View) -> InstallSnapshot {
    let length = reader.below(12);
    let chunk = Bytes::copy_from_slice(reader.bytes(length));
    let (crc32c, size) = (crc32c(&chunk), chunk.len() as u64);
    let membership = voters(1 + u64::from(reader.byte() % 5));
    let last = snapshot_last(reader, view);
    let meta = SnapshotMeta { last, membership, size: reader.number(size), crc32c, is_hollow: false };
    let (round, offset) = (reader.number(1), if reader.once_in(4) { reader.number(size) } else { 0 });
    let chunk_crc32c = if reader.once_in(8) { 0 } else { crc32c };
    InstallSnapshot { meta, round, offset, chunk, chunk_crc32c }
}

/// An answer to something that was asked, or not.
fn reply(reader: &mut Reader<'_>, view: &View) -> Body {
    let code = reader.below(9);
    let (round, received) = (reader.number(1), number(reader, view.last.index));
    match code {
        0 | 1 => {
            let answer = VoteReply { campaign: round, granted: reader.once_in(2) };
            if code == 0 { Body::PreVoteReply(answer) } else { Body::VoteReply(answer) }
        }
        2 | 3 => {
            let conflict = if reader.once_in(2) { conflict(reader, view) } else { None };
            Body::AppendReply(AppendReply { round, durable: number(reader, received), received, conflict })
        }
        4 | 5 => Body::HeartbeatReply(HeartbeatReply { round, durable: number(reader, received), received }),
        6 => Body::ReadReply { epoch: round, request: reader.number(1).into(), result: Ok(received) },
        7 => {
            let last = reader.position(view.last);
            Body::InstallSnapshotReply(InstallSnapshotReply { round, last, received: reader.number(1) })
        }
        _ => {
            let first = reader.position(view.last);
            let result = if reader.once_in(2) { Ok(first) } else { Err(Refusal::Busy) };
            let count = u32::try_from(reader.number(1)).unwrap_or(u32::MAX);
            Body::ProposeReply { epoch: round, request: reader.number(1).into(), count, result }
        }
    }
}

/// Up to three batches from about this index on, sound or not; memberships among them.
pub(crate) fn batches(reader: &mut Reader<'_>, view: &View, first: u64) -> Batches {
    let mut batches = Batches::new();
    let mut first = if reader.once_in(8) { reader.number(first) } else { first };
    let mut term = if reader.once_in(4) { reader.number(view.term) } else { view.term };
    for _ in 0..reader.below(4) {
        let Ok(batch) = batch(reader, first, term) else { break };
        first = batch.last().get().saturating_add(1);
        term = term.saturating_add(u64::from(reader.once_in(4)));
        if batches.try_push(batch).is_err() {
            break;
        }
    }
    batches
}

fn batch(reader: &mut Reader<'_>, first: u64, term: u64) -> Result<Entries, raft_core::EntriesError> {
    let kind = match reader.below(8) {
        0 => {
            let membership = match reader.below(4) {
                0 => voters(1 + u64::from(reader.byte() % 5)).encode(),
                1 => joint(&[1, 2, 3], &[1, 1 + u64::from(reader.byte() % 5)]).encode(),
                2 => with_learner(3, 4).encode(),
                _ => Bytes::copy_from_slice(reader.bytes(6)),
            };
            return Entries::single(at(term, first), EntryKind::Membership, &membership);
        }
        1 => EntryKind::Empty,
        _ => EntryKind::Command,
    };
    let payloads = if kind == EntryKind::Empty || reader.once_in(8) {
        reader.bytes(4).to_vec()
    } else {
        let length = reader.byte() % 20;
        std::iter::once(length).chain(std::iter::repeat_n(b'x', length.into())).collect()
    };
    Entries::parse(index(first), term.into(), kind, payloads.into())
}

fn conflict(reader: &mut Reader<'_>, view: &View) -> Option<Conflict> {
    let rejected = index(reader.number(view.commit));
    Some(Conflict { rejected, hint: reader.position(view.last) })
}

fn number(reader: &mut Reader<'_>, near: LogIndex) -> LogIndex {
    index(reader.number(near.get()))
}
