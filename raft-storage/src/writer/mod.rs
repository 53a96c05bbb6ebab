//! The log's single writer: encodes requests, writes, syncs, rolls. Plain data without threads; the
//! flusher thread and `flush_now` are two shells around it.

pub(crate) mod held;
mod pages;
pub(crate) mod queue;
mod quiet;
pub(crate) mod shared;

use std::sync::Arc;

use slog::Logger;

use crate::error::Failure;
use crate::files::maker::Maker;
use crate::files::mark_file::MarkFile;
use crate::files::segment::{Segment, Segments, page_start, zeros_behind};
use crate::format::batch::Request;
use crate::format::extent::{self, BodyPlace, Extent};
use crate::format::record::{Link, RecordHeader, RecordKind, record_bytes};
use crate::format::segment::{SegmentHeader, SegmentSeq};
use crate::fs::{DirectFile, LockGuard};
use crate::state::registry::{CompletedRequest, GroupLink, Registry};
use held::Held;
use pages::PageBuffer;
use queue::Queued;

/// Where a log goes on.
#[derive(Debug)]
pub(crate) struct Position {
    pub(crate) segment: Arc<Segment>,
    /// Where the next record goes. Everything before it is durable.
    pub(crate) offset: u32,
    /// The checksum of the last record header, or the segment's seed.
    pub(crate) chain: u32,
    /// The oldest segment that recovery needs.
    pub(crate) first_live: SegmentSeq,
}

/// Writes the log.
#[derive(Debug)]
pub(crate) struct Writer {
    segment: Arc<Segment>,
    /// The segment's way past the page cache, if it has one.
    direct: Option<Box<dyn DirectFile>>,
    /// Where the next record goes.
    offset: u32,
    chain: u32,
    /// Everything in this segment before this offset is durable.
    durable: u32,
    /// What is in the segment from the page on in which `durable` is, up to the next record.
    buffer: PageBuffer,
    /// Requests in the buffer, to be reported once it is durable.
    unreported: Vec<(Arc<GroupLink>, CompletedRequest)>,
    /// Where the entries of those requests will be.
    extents: Vec<Extent>,
    held: Held,
    first_live: SegmentSeq,
    segments: Segments,
    registry: Arc<Registry>,
    maker: Maker,
    mark: MarkFile,
    /// Syncs since the mark was written.
    unmarked_syncs: u32,
    /// Whether a segment was begun since groups at rest were looked at.
    has_rolled: bool,
    logger: Logger,
    /// Held as long as anybody may write.
    _lock: Box<dyn LockGuard>,
}

impl Writer {
    pub(crate) fn new(
        at: Position,
        segments: Segments,
        registry: Arc<Registry>,
        maker: Maker,
        mark: MarkFile,
        lock: Box<dyn LockGuard>,
        logger: Logger,
    ) -> Result<Self, Failure> {
        Ok(Self {
            buffer: PageBuffer::read(&at.segment, at.offset)?,
            direct: at.segment.open_direct(&logger),
            segment: at.segment,
            offset: at.offset,
            chain: at.chain,
            durable: at.offset,
            unreported: Vec::new(),
            extents: Vec::new(),
            held: Held::default(),
            first_live: at.first_live,
            segments,
            registry,
            maker,
            mark,
            unmarked_syncs: 0,
            has_rolled: false,
            logger,
            _lock: lock,
        })
    }

    /// Has segments made in the background from now on.
    pub(crate) fn start_maker(&mut self) -> Result<(), Failure> {
        self.maker.start_thread()?;
        self.maker.prepare_behind(self.segment.seq);
        Ok(())
    }

    /// Writes all requests, makes them durable, reports them to their groups; less those for which
    /// there is no room, which wait for the next time.
    ///
    /// After an error nothing may be written any more.
    pub(crate) fn flush(&mut self, requests: &mut Vec<Queued>) -> Result<(), Failure> {
        let waited = self.held.refusal().is_some();
        self.held.put_before(requests);
        for queued in requests.drain(..) {
            match self.find_room(&queued) {
                Ok(()) => {}
                Err(failure) if failure.is_storage_full() => {
                    self.held.push(queued, failure);
                    continue;
                }
                Err(failure) => return Err(failure),
            }
            if !self.has_room(queued.record_bytes) {
                self.roll()?;
            }
            let extents_before = self.extents.len();
            self.append(RecordKind::Batch, queued.group.id.get(), &queued.request);
            let extent_count = self.extents.len() - extents_before;
            let completed = CompletedRequest { segment: self.segment.seq, extent_count };
            self.unreported.push((queued.group, completed));
            if self.buffer.len() >= BUFFER_BYTES_MAX {
                self.commit()?;
            }
        }
        self.commit()?;
        match (waited, self.held.refusal()) {
            (false, Some(failure)) => {
                slog::error!(self.logger, "no room for the next segment; requests wait until there is";
                    "error" => %failure);
            }
            (true, None) => slog::info!(self.logger, "there is room again; no request waits any more"),
            (false, None) | (true, Some(_)) => {}
        }
        if std::mem::take(&mut self.has_rolled) { self.move_resting() } else { Ok(()) }
    }

    /// What waits for room.
    pub(crate) fn held(&self) -> &Held {
        &self.held
    }

    /// Notes in the mark's file that all of it is durable, so later damage is recognised as such.
    pub(crate) fn write_sync_mark(&mut self) -> Result<(), Failure> {
        self.unmarked_syncs = 0;
        self.mark.write(self.segment.seq, self.segment.seed, self.durable)
    }

    /// Notes it also under load: once the log is in another segment, before anybody knows of anything there,
    /// and every so many syncs. So the end of the log cannot be lost unseen for longer than that (F14).
    fn keep_sync_mark(&mut self) -> Result<(), Failure> {
        self.unmarked_syncs += 1;
        if self.mark.newest().seq == self.segment.seq && self.unmarked_syncs < SYNCS_PER_MARK {
            return Ok(());
        }
        self.write_sync_mark()
    }

    /// Writes what is in the buffer and not durable yet, then reports it.
    ///
    /// Whole pages are written: the first one begins with what is durable in it already, the last one
    /// ends with zeros, where the segment's former life may have left something else.
    fn commit(&mut self) -> Result<(), Failure> {
        if self.offset == self.durable {
            return Ok(());
        }
        let page = page_start(self.durable);
        let end = zeros_behind(u64::from(self.offset), self.segment.capacity);
        let pages = self.buffer.fill_up(end - u64::from(page));
        self.segment.write_durably(self.direct.as_deref(), pages, page)?;
        self.durable = self.offset;
        self.keep_sync_mark()?;
        self.buffer.keep(page_start(self.offset) - page..self.offset - page);
        let mut extents = self.extents.drain(..);
        for (group, request) in self.unreported.drain(..) {
            group.complete(request, extents.by_ref().take(request.extent_count));
        }
        Ok(())
    }

    /// Sees to it that there is room for a request, in this segment or in the next one.
    ///
    /// Only once the next segment is there may entries take the end of this one. Without it, the end is
    /// kept for votes and terms: a disk that fills up takes none of those away (F12).
    fn find_room(&mut self, queued: &Queued) -> Result<(), Failure> {
        if let Some(failure) = self.held.refusal_of(queued.group.id) {
            return Err(failure.clone());
        }
        let fits = self.has_room(queued.record_bytes);
        let kept_bytes = u64::from(self.segment.capacity / KEPT_SHARE);
        if self.has_room(queued.record_bytes + kept_bytes) || (fits && queued.request.entries.is_empty()) {
            return Ok(());
        }
        let needed = if fits { 0 } else { u64::from(Link::END) + queued.record_bytes + SEAL_BYTES };
        self.maker.secure(self.segment.seq + 1, needed)
    }

    /// Seals the segment and goes on in the next one, which is there.
    ///
    /// The next segment is there before the seal, and the seal is durable before anything is written
    /// to the next segment. So a sealed segment has a successor, a segment with a readable link has
    /// complete predecessors, and one whose predecessor is not sealed is unused.
    fn roll(&mut self) -> Result<(), Failure> {
        let next = self.segment.seq + 1;
        let segment = self.maker.take_secured();
        self.append(RecordKind::Seal, 0, &Request::default());
        self.commit()?;
        let link = Link {
            previous_seq: self.segment.seq,
            previous_end: self.offset,
            previous_chain: self.chain,
            first_live: self.registry.live_from(self.segment.seq),
            born_end: 0,
        };
        self.segments.insert(Arc::clone(&segment));
        self.direct = segment.open_direct(&self.logger);
        self.segment = segment;
        self.offset = SegmentHeader::BYTES;
        self.durable = self.offset;
        self.buffer.clear();
        self.chain = self.segment.seed;
        self.append_link(&link);
        if link.first_live > self.first_live {
            // What the link says must be durable before the files go or are overwritten: recovery
            // would miss them.
            self.commit()?;
            self.first_live = link.first_live;
            self.maker.retire(self.segments.take_before(link.first_live));
        }
        self.has_rolled = true;
        // Now that there may be spares to make it of.
        self.maker.prepare_behind(next);
        slog::debug!(self.logger, "rolled to the next segment"; "segment" => next, "oldest" => self.first_live);
        Ok(())
    }

    /// Whether the record fits and leaves room for the seal.
    fn has_room(&self, record_bytes: u64) -> bool {
        u64::from(self.offset) + record_bytes + SEAL_BYTES <= u64::from(self.segment.capacity)
    }

    fn append(&mut self, kind: RecordKind, group: u64, request: &Request) {
        let start = self.begin_record();
        let (parts, batch_count) = request.encode_body(self.buffer.out());
        let body = &self.buffer.out()[start + RecordHeader::BYTES as usize..];
        let at = BodyPlace { segment: self.segment.seq, offset: self.offset + RecordHeader::BYTES };
        let batches = request.batch_places(body.len());
        let crc = extent::cut(body, at, None, batches, &mut self.extents);
        let body_crc = crc.expect("a batch has the entries that it counts");
        self.finish_record(start, Kind { kind, group, parts, batch_count, body_crc });
    }

    fn append_link(&mut self, link: &Link) {
        let start = self.begin_record();
        let link = link.encode();
        self.buffer.out().extend_from_slice(&link);
        let body_crc = crc32c::crc32c(&link);
        self.finish_record(start, Kind::of_link(body_crc));
    }

    /// Leaves room for a header, and tells where.
    fn begin_record(&mut self) -> usize {
        let out = self.buffer.out();
        let start = out.len();
        out.resize(start + RecordHeader::BYTES as usize, 0);
        start
    }

    /// Fills in the header of the record whose body has just been appended to the buffer.
    fn finish_record(&mut self, start: usize, kind: Kind) {
        let mut chain = Chain { seed: self.segment.seed, previous: self.chain, durable: self.durable };
        self.offset += chain.finish(self.buffer.out(), start, self.offset, kind);
        self.chain = chain.previous;
    }
}

/// What a record header says beside its body's length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) kind: RecordKind,
    pub(crate) group: u64,
    pub(crate) parts: u8,
    pub(crate) batch_count: u16,
    pub(crate) body_crc: u32,
}

impl Kind {
    pub(crate) fn of_link(body_crc: u32) -> Self {
        Self { kind: RecordKind::Link, group: 0, parts: 0, batch_count: 0, body_crc }
    }
}

/// What ties a record to its segment and to the record before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    pub(crate) seed: u32,
    pub(crate) previous: u32,
    pub(crate) durable: u32,
}

impl Chain {
    /// Fills in the header of the record that begins at `start` of the buffer, with room for the
    /// header, and reaches to the buffer's end; pads it. Returns its size in bytes.
    pub(crate) fn finish(&mut self, buffer: &mut Vec<u8>, start: usize, offset: u32, kind: Kind) -> u32 {
        let body = start + RecordHeader::BYTES as usize;
        let body_bytes = buffer.len() - body;
        let total = record_bytes(body_bytes as u64);
        let header = RecordHeader {
            kind: kind.kind,
            parts: kind.parts,
            batch_count: kind.batch_count,
            group: kind.group,
            body_bytes: u32::try_from(body_bytes).expect("requests are bounded when queued"),
            body_crc: kind.body_crc,
            previous: self.previous,
            durable: self.durable,
        };
        let (bytes, crc) = header.encode(self.seed, offset);
        buffer[start..body].copy_from_slice(&bytes);
        let total = u32::try_from(total).expect("requests are bounded when queued");
        buffer.resize(start + total as usize, 0);
        self.previous = crc;
        total
    }
}

/// After so many syncs the mark is written anew: a thousandth of the syncs more.
const SYNCS_PER_MARK: u32 = 1000;
/// The end of a segment that is kept for requests without entries, as a share of the whole.
const KEPT_SHARE: u32 = 16;
/// The room a seal takes.
const SEAL_BYTES: u64 = RecordHeader::BYTES as u64;
/// So much is written and synced at once, plus one request.
const BUFFER_BYTES_MAX: usize = 4 << 20;
