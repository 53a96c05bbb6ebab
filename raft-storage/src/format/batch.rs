//! The body of a batch record: one request to persist, its entries in the very layout they have in
//! memory, so writing them is one copy and one checksum per batch.

use raft_core::bytes::Bytes;
use raft_core::{
    Batches, EntryKind, HardState, LogIndex, Membership, NewMark, NodeId, Position, SnapshotMark, Term,
};

use super::bytes::Reader;
use super::record::{RecordHeader, RecordKind, record_bytes};

/// One request of one group as the log writes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) mark: Option<NewMark>,
    pub(crate) truncate_from: Option<LogIndex>,
    pub(crate) entries: Batches,
    pub(crate) hard_state: Option<HardState>,
}

/// A decoded body, less its batches of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) mark: Option<NewMark>,
    pub(crate) truncate_from: Option<LogIndex>,
    pub(crate) hard_state: Option<HardState>,
}

/// One batch of entries inside a record's body. Payloads stay where they are; only their place in
/// the body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchPlace {
    pub(crate) first: LogIndex,
    pub(crate) last: LogIndex,
    pub(crate) term: Term,
    pub(crate) kind: EntryKind,
    /// Where its payloads begin in the body.
    pub(crate) start: usize,
    pub(crate) byte_count: usize,
}

const PART_MARK: u8 = 1;
const PART_MARK_KEEPS_ENTRIES: u8 = 1 << 1;
const PART_TRUNCATE: u8 = 1 << 2;
const PART_HARD_STATE: u8 = 1 << 3;
const PART_ENTRIES: u8 = 1 << 4;
const PARTS_KNOWN: u8 = (1 << 5) - 1;
/// Term, count, bytes, kind.
const TABLE_ROW_BYTES: usize = 8 + 4 + 4 + 1;

impl Request {
    /// How many bytes the record will take at most; exact but for the membership of a mark.
    pub(crate) fn record_bytes(&self) -> u64 {
        let mut bytes = self.entries.byte_count() + 8 + 24 + 8;
        bytes += TABLE_ROW_BYTES * self.entries.iter().count();
        if let Some(new) = &self.mark {
            bytes += 20 + new.mark.membership.encode().len();
        }
        record_bytes(bytes as u64)
    }

    /// Whether its batches are no more than a record can count.
    pub(crate) fn has_countable_rows(&self) -> bool {
        self.rows().count() <= usize::from(u16::MAX)
    }

    /// Appends the body to `out`; tells the parts and the number of batches for the header.
    pub(crate) fn encode_body(&self, out: &mut Vec<u8>) -> (u8, u16) {
        let mut parts = 0;
        if let Some(new) = &self.mark {
            parts |= PART_MARK | if new.keeps_entries { PART_MARK_KEEPS_ENTRIES } else { 0 };
            let membership = new.mark.membership.encode();
            out.extend_from_slice(&new.mark.last.term.get().to_le_bytes());
            out.extend_from_slice(&new.mark.last.index.get().to_le_bytes());
            let length = u32::try_from(membership.len()).expect("a membership is checked when queued");
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(&membership);
        }
        if let Some(from) = self.truncate_from {
            parts |= PART_TRUNCATE;
            out.extend_from_slice(&from.get().to_le_bytes());
        }
        if let Some(state) = self.hard_state {
            parts |= PART_HARD_STATE;
            out.extend_from_slice(&state.term.get().to_le_bytes());
            out.extend_from_slice(&state.vote.unwrap_or(NodeId::ZERO).get().to_le_bytes());
            out.extend_from_slice(&state.commit.get().to_le_bytes());
        }
        let mut batch_count = 0u16;
        if let Some(first) = self.entries.first() {
            parts |= PART_ENTRIES;
            out.extend_from_slice(&first.get().to_le_bytes());
            for row in self.rows() {
                out.extend_from_slice(&row.term.get().to_le_bytes());
                let count = row.last.get() - row.first.get() + 1;
                let count = u32::try_from(count).expect("a request's size is checked when queued");
                out.extend_from_slice(&count.to_le_bytes());
                let length = u32::try_from(row.byte_count).expect("a request's size is checked when queued");
                out.extend_from_slice(&length.to_le_bytes());
                out.push(encode_kind(row.kind));
                batch_count += 1;
            }
            for batch in self.entries.iter() {
                out.extend_from_slice(batch.payloads());
            }
        }
        (parts, batch_count)
    }

    /// Where the batches are in a body of so many bytes: at its end.
    pub(crate) fn batch_places(&self, body_bytes: usize) -> impl Iterator<Item = BatchPlace> {
        let start = body_bytes - self.entries.byte_count();
        self.rows().map(move |row| BatchPlace { start: row.start + start, ..row })
    }

    /// The batches as they are written, with places that count from the first payload: neighbours of
    /// one term and kind become one.
    pub(crate) fn rows(&self) -> impl Iterator<Item = BatchPlace> {
        let mut batches = self.entries.iter().peekable();
        let mut start = 0;
        std::iter::from_fn(move || {
            let batch = batches.next()?;
            let (first, term, kind) = (batch.first(), batch.term(), batch.kind());
            let (mut last, mut byte_count) = (batch.last(), batch.byte_count());
            while let Some(next) = batches.next_if(|next| (next.term(), next.kind()) == (term, kind)) {
                (last, byte_count) = (next.last(), byte_count + next.byte_count());
            }
            let row = BatchPlace { first, last, term, kind, start, byte_count };
            start += byte_count;
            Some(row)
        })
    }
}

impl Decoded {
    /// Reads a body whose checksum fits, and appends its batches to `batches`; `None` if it is of no
    /// version we know, or was not made by us.
    pub(crate) fn decode(header: &RecordHeader, body: &[u8], batches: &mut Vec<BatchPlace>) -> Option<Self> {
        if header.kind != RecordKind::Batch || header.parts & !PARTS_KNOWN != 0 {
            return None;
        }
        let has = |part: u8| header.parts & part != 0;
        let mut reader = Reader::new(body);
        let mut decoded = Self::default();
        if has(PART_MARK) {
            let (term, index) = (Term::new(reader.u64()?), LogIndex::new(reader.u64()?));
            let length = usize::try_from(reader.u32()?).ok()?;
            let membership = Membership::decode(reader.slice(length)?).ok()?;
            let mark = SnapshotMark { last: Position::new(term, index), membership };
            decoded.mark = Some(NewMark { mark, keeps_entries: has(PART_MARK_KEEPS_ENTRIES) });
        } else if has(PART_MARK_KEEPS_ENTRIES) {
            return None;
        }
        if has(PART_TRUNCATE) {
            decoded.truncate_from = Some(LogIndex::new(reader.u64()?));
        }
        if has(PART_HARD_STATE) {
            let term = Term::new(reader.u64()?);
            let vote = Some(NodeId::new(reader.u64()?)).filter(|vote| *vote != NodeId::ZERO);
            decoded.hard_state = Some(HardState { term, vote, commit: LogIndex::new(reader.u64()?) });
        }
        if has(PART_ENTRIES) != (header.batch_count > 0) {
            return None;
        }
        if has(PART_ENTRIES) {
            decode_table(&mut reader, header.batch_count, body.len(), batches)?;
        }
        reader.rest().is_empty().then_some(decoded)
    }
}

fn decode_table(
    reader: &mut Reader<'_>,
    count: u16,
    body_bytes: usize,
    batches: &mut Vec<BatchPlace>,
) -> Option<()> {
    let mut next = reader.u64()?;
    let mut term_before = Term::ZERO;
    let rows = reader.slice(TABLE_ROW_BYTES * usize::from(count))?;
    let mut start = body_bytes - reader.rest().len();
    let mut rows = Reader::new(rows);
    for _ in 0..count {
        let term = Term::new(rows.u64()?);
        let entry_count = u64::from(rows.u32()?);
        let byte_count = usize::try_from(rows.u32()?).ok()?;
        let kind = decode_kind(rows.u8()?)?;
        let end = next.checked_add(entry_count).filter(|end| *end > next)?;
        if term < term_before || next == 0 {
            return None;
        }
        reader.slice(byte_count)?;
        let (first, last) = (LogIndex::new(next), LogIndex::new(end - 1));
        batches.push(BatchPlace { first, last, term, kind, start, byte_count });
        (next, start, term_before) = (end, start + byte_count, term);
    }
    Some(())
}

impl BatchPlace {
    /// Takes the batch's payloads out of the body they are in.
    pub(crate) fn payloads(&self, body: &Bytes) -> Bytes {
        body.slice(self.start..self.start + self.byte_count)
    }
}

fn encode_kind(kind: EntryKind) -> u8 {
    match kind {
        EntryKind::Command => 1,
        EntryKind::Empty => 2,
        EntryKind::Membership => 3,
        EntryKind::Hollow => 4,
    }
}

fn decode_kind(byte: u8) -> Option<EntryKind> {
    match byte {
        1 => Some(EntryKind::Command),
        2 => Some(EntryKind::Empty),
        3 => Some(EntryKind::Membership),
        4 => Some(EntryKind::Hollow),
        _ => None,
    }
}
