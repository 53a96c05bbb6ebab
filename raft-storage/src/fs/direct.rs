//! Linux's way to write past the page cache: one call that returns when the bytes are durable.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use rustix::io::ReadWriteFlags;

use super::{DirectFile, PAGE_BYTES};

#[derive(Debug)]
struct LinuxDirectFile(OwnedFd);

/// Opens the same file once more, if its file system says that it writes such pages directly.
///
/// Only a kernel that can say so is trusted with it, and that one knows the flags of the write as well:
/// so what works is known before anything is written. A failed write is never a reason to try another
/// way (F9).
pub(super) fn open(file: &File) -> io::Result<Box<dyn DirectFile>> {
    let stat = rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN)?;
    // Zero if it never writes directly, or does not know.
    let fits = |align: u32| align > 0 && PAGE_BYTES.is_multiple_of(align as usize);
    if !fits(stat.stx_dio_mem_align) || !fits(stat.stx_dio_offset_align) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // By its descriptor: under its path there may be another file by now.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
    Ok(Box::new(LinuxDirectFile(rustix::fs::open(path, flags, Mode::empty())?)))
}

impl DirectFile for LinuxDirectFile {
    fn write_durably_at(&self, pages: &[u8], offset: u64) -> io::Result<usize> {
        let count = rustix::io::pwritev2(&self.0, &[IoSlice::new(pages)], offset, ReadWriteFlags::DSYNC)?;
        Ok(count)
    }
}
