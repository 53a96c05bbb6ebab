//! One segment file, open.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;

use super::dir::{DataDir, UNFINISHED_SUFFIX};
use crate::error::{Failure, Operation};
use crate::format::segment::{SegmentHeader, SegmentSeq, segment_name};
use crate::fs::{FsFile, read_up_to, write_all_at};

/// A segment file. Readers share it with the one writer.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) seq: SegmentSeq,
    /// Seeds the checksums of its records.
    pub(crate) seed: u32,
    pub(crate) capacity: u32,
    pub(crate) salt: u64,
    path: PathBuf,
    file: Arc<dyn FsFile>,
}

impl Segment {
    /// Takes an open file whose head has been read.
    pub(crate) fn new(header: &SegmentHeader, seed: u32, path: PathBuf, file: Arc<dyn FsFile>) -> Self {
        Self { seq: header.seq, seed, capacity: header.capacity, salt: header.salt, path, file }
    }

    /// Makes a segment file that begins with these records and holds zeros for the rest.
    ///
    /// It appears under its name only when all of it is durable, and then in place of a file that
    /// had the name before. The zeros are really written: overwriting them later changes no
    /// metadata, so a sync of the log is then a sync of data alone.
    pub(crate) fn make(dir: &DataDir, header: &SegmentHeader, records: &[u8]) -> Result<Self, Failure> {
        let (head, seed) = header.encode();
        let name = segment_name(header.seq);
        let unfinished = format!("{name}{UNFINISHED_SUFFIX}");
        let file = dir.create(&unfinished)?;
        let path = dir.path_of(&unfinished);
        let mut start = vec![0; SegmentHeader::BYTES as usize];
        start[..head.len()].copy_from_slice(&head);
        start.extend_from_slice(records);
        write_all_at(&*file, &start, 0).map_err(Failure::of(Operation::Write, &path))?;
        let zeros = vec![0; ZERO_CHUNK_BYTES];
        let (mut at, end) = (start.len() as u64, u64::from(header.capacity));
        while at < end {
            let count = (end - at).min(ZERO_CHUNK_BYTES as u64);
            let chunk = &zeros[..usize::try_from(count).unwrap_or(ZERO_CHUNK_BYTES)];
            write_all_at(&*file, chunk, at).map_err(Failure::of(Operation::Write, &path))?;
            at += count;
        }
        file.sync_data().map_err(Failure::of(Operation::Sync, &path))?;
        dir.rename(&unfinished, &name)?;
        dir.sync()?;
        Ok(Self::new(header, seed, dir.path_of(&name), file))
    }

    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }

    pub(crate) fn write(&self, bytes: &[u8], offset: u32) -> Result<(), Failure> {
        write_all_at(&*self.file, bytes, u64::from(offset)).map_err(Failure::of(Operation::Write, &self.path))
    }

    pub(crate) fn sync(&self) -> Result<(), Failure> {
        self.file.sync_data().map_err(Failure::of(Operation::Sync, &self.path))
    }

    /// Reads what there is from `offset` on, up to the length of the buffer.
    pub(crate) fn read(&self, buffer: &mut [u8], offset: u32) -> Result<usize, Failure> {
        read_up_to(&*self.file, buffer, u64::from(offset)).map_err(Failure::of(Operation::Read, &self.path))
    }

    pub(crate) fn byte_count(&self) -> Result<u64, Failure> {
        self.file.byte_count().map_err(Failure::of(Operation::Read, &self.path))
    }

    /// Gives back the room behind the end of the log in this segment.
    pub(crate) fn cut(&self, end: u32) -> Result<(), Failure> {
        self.file.set_byte_count(u64::from(end)).map_err(Failure::of(Operation::Resize, &self.path))
    }
}

/// The segments that hold live data, for those who read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Segments {
    by_seq: Arc<RwLock<BTreeMap<SegmentSeq, Arc<Segment>>>>,
}

impl Segments {
    pub(crate) fn insert(&self, segment: Arc<Segment>) {
        self.by_seq.write().insert(segment.seq, segment);
    }

    pub(crate) fn find(&self, seq: SegmentSeq) -> Option<Arc<Segment>> {
        self.by_seq.read().get(&seq).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Segment>> {
        self.by_seq.read().values().cloned().collect()
    }

    /// Forgets the segments before `seq` and tells which those were.
    pub(crate) fn take_before(&self, seq: SegmentSeq) -> Vec<Arc<Segment>> {
        let mut by_seq = self.by_seq.write();
        let kept = by_seq.split_off(&seq);
        std::mem::replace(&mut *by_seq, kept).into_values().collect()
    }
}

/// How many zeros are written at once.
const ZERO_CHUNK_BYTES: usize = 1 << 20;
