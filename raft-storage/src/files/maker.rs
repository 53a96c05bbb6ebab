//! Makes segments ahead of need, in the background where there is one: of dead segments if there are
//! any, since those need no zeros written. Removes the dead ones that are too many.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slog::Logger;

use super::dir::DataDir;
use super::salts::Salts;
use super::segment::Segment;
use crate::error::{Failure, Operation};
use crate::format::identity::IdentityFile;
use crate::format::segment::{SegmentHeader, SegmentSeq, segment_name};
use crate::options::WalOptions;
use crate::sync::mpsc::{Receiver, Sender, channel};
use crate::sync::thread::{Builder, JoinHandle};

/// Has the next segments ready when the log needs them.
#[derive(Debug)]
pub(crate) struct Maker {
    dir: DataDir,
    owner: IdentityFile,
    salts: Salts,
    segment_bytes: u32,
    ready: VecDeque<Arc<Segment>>,
    /// Dead segments, still under their names, to be filled again.
    spares: Vec<Arc<Segment>>,
    spares_max: usize,
    /// The segment from which on they grow, from the smallest size.
    smallest: SegmentSeq,
    background: Option<Background>,
    logger: Logger,
}

#[derive(Debug)]
struct Background {
    jobs: Sender<Job>,
    /// When there was no room the last time, and what the system said.
    refusal: Option<(Instant, Failure)>,
    made: Receiver<Result<Arc<Segment>, Failure>>,
    waiting: bool,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Job {
    Make(SegmentHeader, Option<Arc<Segment>>),
    Remove(Vec<String>),
}

impl Maker {
    pub(crate) fn new(
        dir: DataDir,
        owner: IdentityFile,
        salts: Salts,
        ready: VecDeque<Arc<Segment>>,
        options: &WalOptions,
    ) -> Self {
        Self {
            dir,
            owner,
            salts,
            segment_bytes: options.segment_bytes,
            ready,
            spares: Vec::new(),
            spares_max: options.spare_segments_max,
            smallest: 1,
            background: None,
            logger: options.logger.clone(),
        }
    }

    /// Does the work on a thread from now on.
    pub(crate) fn start_thread(&mut self) -> Result<(), Failure> {
        let (jobs, todo) = channel();
        let (done, made) = channel();
        let (dir, logger) = (self.dir.clone(), self.logger.clone());
        let thread = Builder::new()
            .name("wal-maker".to_owned())
            .spawn(move || run(&dir, &todo, &done, &logger))
            .map_err(Failure::of(Operation::StartThread, self.dir.path()))?;
        self.background =
            Some(Background { jobs, refusal: None, made, waiting: false, thread: Some(thread) });
        Ok(())
    }

    /// Asks for the segment after `seq` if there is a thread to make it and none is ready.
    pub(crate) fn prepare_behind(&mut self, seq: SegmentSeq) {
        if !self.ready.is_empty() {
            return;
        }
        let header = self.header(seq + 1, 0);
        if let Some(background) = self.background.as_mut().filter(|background| !background.waiting) {
            let spare = take_spare(&mut self.spares, header.capacity);
            background.waiting = background.jobs.send(Job::Make(header, spare)).is_ok();
        }
    }

    /// Makes segments behind `seq` until as many bytes are ready.
    pub(crate) fn reserve(&mut self, seq: SegmentSeq, bytes: u64) -> Result<(), Failure> {
        let last = self.ready.back().map_or(seq, |segment| segment.seq);
        let mut have: u64 = self.ready.iter().map(|segment| u64::from(segment.capacity)).sum();
        for seq in last + 1.. {
            if have >= bytes {
                break;
            }
            let header = self.header(seq, self.segment_bytes);
            have += u64::from(header.capacity);
            let segment = self.make(&header, &[])?;
            self.ready.push_back(segment);
        }
        Ok(())
    }

    /// Sees to it that the next segment to be taken is `seq`, with room for at least `needed` bytes.
    ///
    /// If the medium has no room for it, that may be tried again; after any other failure nothing is
    /// made anew (F9). With a thread the log is in use, and tries again only now and then.
    pub(crate) fn secure(&mut self, seq: SegmentSeq, needed: u64) -> Result<(), Failure> {
        if self.ready.is_empty() {
            match self.wait_for_background() {
                Ok(made) => self.ready.extend(made),
                // That may be long ago. Nobody has seen anything of that segment.
                Err(failure) if failure.is_storage_full() => self.smallest = seq,
                Err(failure) => return Err(failure),
            }
        }
        let fits = |segment: &Arc<Segment>| segment.seq == seq && u64::from(segment.capacity) >= needed;
        if self.ready.front().is_some_and(fits) {
            return Ok(());
        }
        let refusal = self.background.as_ref().and_then(|background| background.refusal.as_ref());
        if let Some((_, failure)) = refusal.filter(|(at, _)| at.elapsed() < ROOM_RETRY) {
            return Err(failure.clone());
        }
        let made = match self.make_now(seq, needed, |_| Vec::new()) {
            Ok(made) => made,
            Err(failure) => {
                self.note_failure(seq, &failure);
                return Err(failure);
            }
        };
        // One of this number may exist already; the new one takes its name. Those behind it, if
        // any, stay: their numbers still follow.
        self.ready.pop_front_if(|segment| segment.seq == seq);
        self.ready.push_front(made);
        Ok(())
    }

    fn note_failure(&mut self, seq: SegmentSeq, failure: &Failure) {
        if failure.operation == Operation::SyncDirectory {
            // The one that is ready may have lost its name to the one that was made.
            self.ready.pop_front_if(|segment| segment.seq == seq);
        }
        if failure.is_storage_full() {
            self.smallest = seq;
            if let Some(background) = &mut self.background {
                background.refusal = Some((Instant::now(), failure.clone()));
            }
        }
    }

    /// Hands out the segment that was last [secured](Self::secure).
    pub(crate) fn take_secured(&mut self) -> Arc<Segment> {
        self.ready.pop_front().expect("it was secured")
    }

    /// Makes segment `seq` here and now, as small as it may be if there is no room for a larger one. It
    /// begins with records that need its seed to be encoded.
    pub(crate) fn make_now(
        &mut self,
        seq: SegmentSeq,
        needed: u64,
        mut records: impl FnMut(u32) -> Vec<u8>,
    ) -> Result<Arc<Segment>, Failure> {
        let needed = u32::try_from(needed.next_multiple_of(u64::from(SegmentHeader::BYTES)));
        let needed = needed.expect("requests are bounded when queued");
        let mut make = |maker: &mut Self| {
            let header = maker.header(seq, needed);
            let (_, seed) = header.encode();
            maker.make(&header, &records(seed))
        };
        match make(self) {
            // If only its name could not be made durable, it may have it already.
            Err(failure)
                if failure.is_storage_full()
                    && failure.operation != Operation::SyncDirectory
                    && self.smallest != seq =>
            {
                self.smallest = seq;
                make(self)
            }
            made => made,
        }
    }

    fn make(&mut self, header: &SegmentHeader, records: &[u8]) -> Result<Arc<Segment>, Failure> {
        let spare = take_spare(&mut self.spares, header.capacity);
        Ok(Arc::new(Segment::make(&self.dir, header, records, spare)?))
    }

    /// Takes segments that no longer matter. That must be durable: they will be overwritten.
    pub(crate) fn retire(&mut self, dead: impl IntoIterator<Item = Arc<Segment>>) {
        let mut surplus = Vec::new();
        for segment in dead {
            let is_full_grown = segment.capacity == self.segment_bytes && segment.has_its_length();
            match is_full_grown && self.spares.len() < self.spares_max {
                true => self.spares.push(segment),
                false => surplus.push(segment_name(segment.seq)),
            }
        }
        self.remove(surplus);
    }

    /// Removes files that no longer matter.
    pub(crate) fn remove(&mut self, names: Vec<String>) {
        if names.is_empty() {
            return;
        }
        match &self.background {
            Some(background) => {
                // The thread only ends before us when it panicked; the files are removed at the
                // next opening then.
                let _ = background.jobs.send(Job::Remove(names));
            }
            None => remove(&self.dir, &names, &self.logger),
        }
    }

    /// What the thread has made, if it makes anything.
    fn wait_for_background(&mut self) -> Result<Option<Arc<Segment>>, Failure> {
        let Some(background) = self.background.as_mut().filter(|background| background.waiting) else {
            return Ok(None);
        };
        background.waiting = false;
        match background.made.recv() {
            Ok(made) => made.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Early segments are small, so that a small log takes little room. So are those behind one for which
    /// there was none, so that what is left is used in small steps; unless they take up no more.
    fn header(&mut self, seq: SegmentSeq, needed: u32) -> SegmentHeader {
        let doublings = seq.saturating_sub(self.smallest).min(SegmentSeq::BITS / 2) * 2;
        let grown = u64::from(FIRST_SEGMENT_BYTES) << doublings;
        let grown = u32::try_from(grown).ok().filter(|_| self.spares.is_empty());
        let capacity = grown.map_or(self.segment_bytes, |grown| grown.min(self.segment_bytes));
        SegmentHeader { owner: self.owner, seq, salt: self.salts.draw(), capacity: capacity.max(needed) }
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        if let Some(Background { jobs, thread, .. }) = self.background.take() {
            drop(jobs);
            if let Some(Err(_)) = thread.map(JoinHandle::join) {
                slog::error!(self.logger, "the thread that makes segments panicked");
            }
        }
    }
}

fn run(dir: &DataDir, jobs: &Receiver<Job>, made: &Sender<Result<Arc<Segment>, Failure>>, logger: &Logger) {
    for job in jobs {
        match job {
            Job::Make(header, spare) => {
                let segment = Segment::make(dir, &header, &[], spare).map(Arc::new);
                if let Err(failure) = &segment {
                    foretell(failure, logger);
                }
                if made.send(segment).is_err() {
                    return;
                }
            }
            Job::Remove(names) => remove(dir, &names, logger),
        }
    }
}

/// Says in time what a failure means for the log.
fn foretell(failure: &Failure, logger: &Logger) {
    if failure.is_storage_full() {
        slog::warn!(logger, "no room for the next segment; entries wait once this one is full, unless there \
            is room by then"; "error" => %failure);
    } else {
        slog::error!(logger, "the next segment could not be made; the log stops when this one is full";
            "error" => %failure);
    }
}

/// Takes a spare of exactly this length, if there is one that nobody reads any more.
fn take_spare(spares: &mut Vec<Arc<Segment>>, capacity: u32) -> Option<Arc<Segment>> {
    let is_free = |spare: &mut Arc<Segment>| spare.capacity == capacity && Arc::get_mut(spare).is_some();
    spares.iter_mut().rposition(is_free).map(|at| spares.remove(at))
}

/// A file that cannot be removed is only reported: it takes room, but the log no longer reads it,
/// and the next opening tries again.
fn remove(dir: &DataDir, names: &[String], logger: &Logger) {
    let removed = names.iter().try_for_each(|name| dir.remove(name));
    if let Err(failure) = removed.and_then(|()| dir.sync()) {
        slog::warn!(logger, "dead segments stay"; "error" => %failure);
    }
}

/// The size of a log's first segment, unless segments are meant to be smaller; each next one is
/// four times as large until they are full-grown.
const FIRST_SEGMENT_BYTES: u32 = 4 << 20;
/// How long a disk that was full is left alone: each try writes as much as there is room for.
pub(crate) const ROOM_RETRY: Duration = Duration::from_secs(1);
