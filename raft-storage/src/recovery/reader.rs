//! Reads and checks segments, several at once if there are threads for it, and hands over what is in
//! them in the order of the log.
//!
//! Checking is most of the work of opening, and no segment needs another one for it. Only applying
//! has an order.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use parking_lot::Mutex;
use raft_core::GroupId;

use super::evidence::{self, Behind};
use super::scan::{self, Record, Scanned};
use super::window::Window;
use crate::error::{Damage, OpenError};
use crate::files::segment::Segment;
use crate::format::batch::{BatchPlace, Decoded};
use crate::format::record::RecordKind;

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
    pub(crate) byte_count: u32,
    pub(crate) decoded: Decoded,
    batch_count: usize,
}

/// Some requests in the order of the log, and all their batches.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    requests: Vec<Request>,
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
        let Record { offset, byte_count, header, .. } = *record;
        let before = self.batches.len();
        let decoded =
            Decoded::decode(&header, body, &mut self.batches).ok_or_else(|| OpenError::Damaged {
                path: segment.path().clone(),
                offset: u64::from(offset),
                damage: Damage::Content,
            })?;
        let batch_count = self.batches.len() - before;
        self.requests.push(Request {
            group: GroupId::new(header.group),
            offset,
            byte_count,
            decoded,
            batch_count,
        });
        Ok(())
    }

    /// Shows each request with its batches.
    pub(crate) fn show(
        self,
        mut show: impl FnMut(Request, &[BatchPlace]) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let mut batches = &self.batches[..];
        for request in self.requests {
            let (own, rest) = batches.split_at(request.batch_count);
            batches = rest;
            show(request, own)?;
        }
        Ok(())
    }
}

/// How many requests are handed over at once: few enough for the processor's cache.
const PIECE_REQUESTS: usize = 512;
/// How many pieces of a segment may wait until those before it are shown, which bounds the memory.
const PIECES_AHEAD_MAX: usize = 32;
