//! One segment file, open.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;
use slog::Logger;

use super::dir::{DataDir, UNFINISHED_SUFFIX};
use crate::error::{Failure, Operation};
use crate::format::record::RecordHeader;
use crate::format::segment::{SegmentHeader, SegmentSeq, segment_name};
use crate::fs::{DirectFile, FsFile, PAGE_BYTES, read_up_to, write_all_at, write_pages_at};

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

    /// Makes a segment file that begins with these records.
    ///
    /// It appears under its name only when all of it is durable, and then in place of a file that
    /// had the name before. Either zeros are really written for the rest, or it is a `spare` of the
    /// right length that the log has left behind; overwriting either changes no metadata, so a sync
    /// of the log is then a sync of data alone.
    ///
    /// A spare keeps its old records behind the page that follows the head. They were made under
    /// another seed, so none of them is a record any more (F3). It loses its old name for good
    /// before its head changes: no crash leaves a head under a name that it does not bear (F18).
    ///
    /// If there is no room for it, nothing of it stays (F12).
    pub(crate) fn make(
        dir: &DataDir,
        header: &SegmentHeader,
        records: &[u8],
        spare: Option<Arc<Self>>,
    ) -> Result<Self, Failure> {
        let name = segment_name(header.seq);
        let unfinished = format!("{name}{UNFINISHED_SUFFIX}");
        let made = Self::make_under(&name, &unfinished, dir, header, records, spare);
        if made.as_ref().is_err_and(Failure::is_storage_full) {
            // If it has its name already, or cannot be removed, the next one made takes its place.
            let _ = dir.remove(&unfinished);
        }
        made
    }

    fn make_under(
        name: &str,
        unfinished: &str,
        dir: &DataDir,
        header: &SegmentHeader,
        records: &[u8],
        spare: Option<Arc<Self>>,
    ) -> Result<Self, Failure> {
        let (head, seed) = header.encode();
        let path = dir.path_of(unfinished);
        let mut start = vec![0; SegmentHeader::BYTES as usize];
        start[..head.len()].copy_from_slice(&head);
        start.extend_from_slice(records);
        let (file, zeros_end) = match spare {
            Some(spare) => {
                dir.rename(&segment_name(spare.seq), unfinished)?;
                dir.sync()?;
                (Arc::clone(&spare.file), zeros_behind(start.len() as u64, header.capacity))
            }
            None => (dir.create(unfinished)?, u64::from(header.capacity)),
        };
        write_all_at(&*file, &start, 0).map_err(Failure::of(Operation::Write, &path))?;
        let mut at = start.len() as u64;
        let chunk_bytes = |at: u64| {
            usize::try_from(zeros_end.saturating_sub(at))
                .map_or(ZERO_CHUNK_BYTES, |left| left.min(ZERO_CHUNK_BYTES))
        };
        let zeros = vec![0; chunk_bytes(at)];
        while at < zeros_end {
            let chunk = &zeros[..chunk_bytes(at)];
            write_all_at(&*file, chunk, at).map_err(Failure::of(Operation::Write, &path))?;
            at += chunk.len() as u64;
        }
        file.sync_data().map_err(Failure::of(Operation::Sync, &path))?;
        dir.rename(unfinished, name)?;
        dir.sync()?;
        Ok(Self::new(header, seed, dir.path_of(name), file))
    }

    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Opens the way past the page cache for the time in which the segment is appended to, if there is
    /// one. It costs a descriptor, and is no reason to stop if there is none left (F26).
    pub(crate) fn open_direct(&self, logger: &Logger) -> Option<Box<dyn DirectFile>> {
        let opened = match self.capacity.is_multiple_of(PAGE) {
            true => self.file.open_direct(),
            // The last write ends with the file, and not with a page.
            false => Err(io::ErrorKind::Unsupported.into()),
        };
        let say = |error: &io::Error| {
            slog::debug!(logger, "this segment is written through the page cache";
                "segment" => self.seq, "reason" => %error);
        };
        opened.inspect_err(say).ok()
    }

    /// Writes whole pages and makes them durable, past the page cache if that way is open.
    pub(crate) fn write_durably(
        &self,
        direct: Option<&dyn DirectFile>,
        pages: &[u8],
        offset: u32,
    ) -> Result<(), Failure> {
        let offset = u64::from(offset);
        if let Some(direct) = direct {
            return write_pages_at(direct, pages, offset).map_err(Failure::of(Operation::Write, &self.path));
        }
        write_all_at(&*self.file, pages, offset).map_err(Failure::of(Operation::Write, &self.path))?;
        self.file.sync_data().map_err(Failure::of(Operation::Sync, &self.path))
    }

    /// Reads what there is from `offset` on, up to the length of the buffer.
    pub(crate) fn read(&self, buffer: &mut [u8], offset: u32) -> Result<usize, Failure> {
        read_up_to(&*self.file, buffer, u64::from(offset)).map_err(Failure::of(Operation::Read, &self.path))
    }

    pub(crate) fn byte_count(&self) -> Result<u64, Failure> {
        self.file.byte_count().map_err(Failure::of(Operation::Read, &self.path))
    }

    /// Whether the file is as long as its head says; recovery may have cut it.
    pub(crate) fn has_its_length(&self) -> bool {
        self.byte_count().is_ok_and(|bytes| bytes == u64::from(self.capacity))
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

/// Up to where there must be zeros behind records that end at `end`, in a file of so many bytes: to
/// the end of a page, so that every page is written whole when it is first reached, and never has to
/// be read for it; and far enough that what stands behind the records is plainly none.
pub(crate) fn zeros_behind(end: u64, capacity: u32) -> u64 {
    let end = end + u64::from(RecordHeader::BYTES);
    end.next_multiple_of(u64::from(PAGE)).min(u64::from(capacity))
}

/// Where the page begins in which there is this place.
pub(crate) fn page_start(offset: u32) -> u32 {
    offset - offset % PAGE
}

/// A head takes one page.
const PAGE: u32 = SegmentHeader::BYTES;
const _: () = assert!(PAGE as usize == PAGE_BYTES);

/// How many zeros are written at once.
const ZERO_CHUNK_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written ends with a page or with the file, and leaves no more room than that.
    #[test]
    fn zeros_reach_to_the_first_end_of_a_page_that_leaves_room_for_a_head() {
        for capacity in [10 * PAGE, 10 * PAGE + 8] {
            for end in (PAGE..=capacity).step_by(8) {
                let is_far_enough = |page: &u32| *page >= end + RecordHeader::BYTES;
                let pages = (1..=11).map(|count| count * PAGE).find(is_far_enough).unwrap_or(u32::MAX);
                assert_eq!(zeros_behind(end.into(), capacity), u64::from(pages.min(capacity)), "{end}");
                let page = page_start(end);
                assert!(page <= end && end - page < PAGE && page.is_multiple_of(PAGE), "{end}");
            }
        }
    }
}
