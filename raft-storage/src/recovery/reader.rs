//! Reads and checks segments, several at once if there are threads for it, and hands over what is in
//! them in the order of the log.
//!
//! Checking is most of the work of opening, and no segment needs another one for it. Only applying
//! has an order.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use parking_lot::Mutex;
use raft_core::{GroupId, LogIndex};

use super::evidence::{self, Behind};
use super::scan::{self, Record, Scanned};
use super::window::Window;
use crate::error::{Damage, OpenError};
use crate::files::segment::Segment;
use crate::format::batch::{BatchPlace, Decoded};
use crate::format::extent::{self, BodyPlace, Extent};
use crate::format::record::{RecordHeader, RecordKind};

/// A segment to be read.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) segment: Arc<Segment>,
    /// Up to where the log is in it; if none, it is the last one, and its end is to be found.
    pub(crate) limit: Option<u32>,
}

/// One request of a group, as it stands in a segment.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) group: GroupId,
    pub(crate) offset: u32,
    pub(crate) decoded: Decoded,
    /// The last of its entries, if it has any.
    pub(crate) last: LogIndex,
    extent_count: usize,
}

/// Some requests in the order of the log, and where all their entries are.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    requests: Vec<Request>,
    extents: Vec<Extent>,
    /// The batches of one request; kept for its memory.
    batches: Vec<BatchPlace>,
}

/// What a segment holds beside requests.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) scanned: Scanned,
    /// All records, and what is behind them, of the last segment.
    pub(crate) records: Vec<Record>,
    pub(crate) behind: Behind,
}

enum Found {
    Piece(Piece),
    End(Result<Read, OpenError>),
}

/// Reads all segments, and shows what is in them in their order. `check` sees the outcome of each
/// but the last one, whose outcome is given back.
pub(crate) fn read_all(
    readings: &[Reading],
    threads: usize,
    mut apply: impl FnMut(&Segment, Piece) -> Result<(), OpenError>,
    mut check: impl FnMut(&Segment, &Read) -> Result<(), OpenError>,
) -> Result<Option<Read>, OpenError> {
    let mut last = None;
    let show = |at: usize, found| {
        let segment = &readings[at].segment;
        match found {
            Found::Piece(piece) => apply(segment, piece)?,
            Found::End(read) if at + 1 < readings.len() => check(segment, &read?)?,
            Found::End(read) => last = Some(read?),
        }
        Ok(())
    };
    match threads.min(readings.len()) {
        0 | 1 => read_in_turn(readings, show)?,
        threads => read_at_once(readings, threads, show)?,
    }
    Ok(last)
}

fn read_in_turn(
    readings: &[Reading],
    mut show: impl FnMut(usize, Found) -> Result<(), OpenError>,
) -> Result<(), OpenError> {
    let mut window = Window::default();
    for (at, reading) in readings.iter().enumerate() {
        let mut outcome = Ok(());
        reading.read(&mut window, |found| {
            if outcome.is_ok() {
                outcome = show(at, found);
            }
        });
        outcome?;
    }
    Ok(())
}

fn read_at_once(
    readings: &[Reading],
    threads: usize,
    mut show: impl FnMut(usize, Found) -> Result<(), OpenError>,
) -> Result<(), OpenError> {
    let channels = readings.iter().map(|_| sync_channel(PIECES_AHEAD_MAX));
    let (senders, receivers): (Vec<SyncSender<Found>>, Vec<Receiver<Found>>) = channels.unzip();
    // Taken in the order of the log, so the one that is shown next is always being read.
    let jobs = Mutex::new(readings.iter().zip(senders));
    let work = || {
        let mut window = Window::default();
        while let Some((reading, sender)) = next_of(&jobs) {
            // Nobody listens any more once an earlier segment has turned out to be damaged.
            reading.read(&mut window, |found| drop(sender.send(found)));
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
        let outcome = receivers
            .into_iter()
            .enumerate()
            .try_for_each(|(at, found)| found.into_iter().try_for_each(|found| show(at, found)));
        if outcome.is_err() {
            while next_of(&jobs).is_some() {}
        }
        outcome
    })
}

fn next_of<T>(jobs: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    jobs.lock().next()
}

impl Reading {
    /// Reads the segment and hands over what is in it, the end as well.
    fn read(&self, window: &mut Window, mut hand_over: impl FnMut(Found)) {
        let (mut piece, mut records) = (Piece::default(), Vec::new());
        let scanned = scan::scan(&self.segment, self.limit, window, |record, body| {
            if self.limit.is_none() {
                records.push(*record);
            }
            piece.push(&self.segment, record, body)?;
            if piece.requests.len() >= PIECE_REQUESTS {
                hand_over(Found::Piece(std::mem::take(&mut piece)));
            }
            Ok(())
        });
        hand_over(Found::Piece(piece));
        let read = scanned.and_then(|scanned| {
            let behind = match self.limit {
                Some(_) => Behind::default(),
                None => evidence::behind(&self.segment, scanned.end, window)?,
            };
            Ok(Read { scanned, records, behind })
        });
        hand_over(Found::End(read));
    }
}

impl Piece {
    /// Adds what a record asks for, if it is of a group.
    pub(crate) fn push(&mut self, segment: &Segment, record: &Record, body: &[u8]) -> Result<(), OpenError> {
        match record.header.kind {
            RecordKind::Link | RecordKind::Seal => return Ok(()),
            RecordKind::Batch => {}
        }
        let damaged = || OpenError::damaged(segment.path(), record.offset.into(), Damage::Content);
        let Record { offset, header, .. } = *record;
        self.batches.clear();
        let decoded = Decoded::decode(&header, body, &mut self.batches).ok_or_else(damaged)?;
        let (before, batches) = (self.extents.len(), self.batches.iter().copied());
        let at = BodyPlace { segment: segment.seq, offset: offset + RecordHeader::BYTES };
        extent::cut(body, at, Some(header.body_crc), batches, &mut self.extents).ok_or_else(damaged)?;
        self.requests.push(Request {
            group: GroupId::new(header.group),
            offset,
            decoded,
            last: self.batches.last().map_or(LogIndex::ZERO, |batch| batch.last),
            extent_count: self.extents.len() - before,
        });
        Ok(())
    }

    /// Shows each request with where its entries are.
    pub(crate) fn show(
        self,
        mut show: impl FnMut(Request, &[Extent]) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let mut extents = &self.extents[..];
        for request in self.requests {
            let (own, rest) = extents.split_at(request.extent_count);
            extents = rest;
            show(request, own)?;
        }
        Ok(())
    }
}

/// How many requests are handed over at once: few enough for the processor's cache.
const PIECE_REQUESTS: usize = 512;
/// How many pieces of a segment may wait until those before it are shown, which bounds the memory.
const PIECES_AHEAD_MAX: usize = 32;
