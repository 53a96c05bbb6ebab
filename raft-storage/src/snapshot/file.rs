//! A finished snapshot's file: what it says about itself, and its state in verified pieces.

use std::path::{Path, PathBuf};

use raft_core::bytes::Bytes;
use raft_core::{GroupId, LogIndex, SnapshotMeta, Term};

use crate::error::{Damage, Failure, LogError, OpenError, Operation};
use crate::files::dir::DataDir;
use crate::format::bytes::HeadError;
use crate::format::identity::IdentityFile;
use crate::format::snapshot::{
    CHUNK_BYTES, CHUNK_CRC_BYTES, END_BYTES, FootError, HEAD_BYTES, SnapshotEnd, SnapshotHead, SnapshotName,
    chunk_crc, chunk_offset, decode_foot, snapshot_file_name,
};
use crate::fs::{FsFile, read_up_to};
use crate::report::SnapshotLoss;

/// A snapshot whose head and foot are whole. It holds no file open by itself: a node may have
/// thousands of groups.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotFile {
    pub(crate) meta: SnapshotMeta,
    pub(crate) path: PathBuf,
    pub(super) seed: u32,
}

impl SnapshotFile {
    /// Reads head and foot. What is damaged there may be made up for by an older snapshot; what is
    /// from elsewhere is refused.
    pub(crate) fn open(
        dir: &DataDir,
        owner: &IdentityFile,
        name: SnapshotName,
    ) -> Result<Result<Self, SnapshotLoss>, OpenError> {
        let file_name = snapshot_file_name(name);
        let (file, path) = (dir.open(&file_name)?, dir.path_of(&file_name));
        let lost = |damage| Ok(Err(SnapshotLoss { path: path.clone(), offset: 0, damage }));
        let mut head = [0; HEAD_BYTES];
        let read = Failure::of(Operation::Read, &path);
        let count = read_up_to(&*file, &mut head, 0).map_err(read)?;
        if count < HEAD_BYTES {
            return lost(Damage::TooShort { needed_bytes: (HEAD_BYTES + END_BYTES) as u64 });
        }
        let (head, seed) = match SnapshotHead::decode(&head) {
            Ok(decoded) => decoded,
            Err(HeadError::Magic) => return lost(Damage::Magic),
            Err(HeadError::Checksum { expected, found }) => {
                return lost(Damage::Checksum { expected, found });
            }
            Err(error @ HeadError::Version(_)) => return Err(OpenError::of_head(&path, error)),
        };
        OpenError::check_owner(&path, owner, &head.owner)?;
        if head.name != name {
            let SnapshotName { group, last } = head.name;
            return lost(Damage::OtherSnapshot { group, last });
        }
        Ok(read_foot(&*file, name, seed, &path)?.map(|meta| Self { meta, path, seed }))
    }

    /// Which snapshot it is, within its group.
    pub(crate) fn order(&self) -> (LogIndex, Term) {
        let last = self.meta.last;
        (last.index, last.term)
    }

    /// Reads up to `bytes_max` bytes of the state from `offset` on, whole chunks at a time, and gives
    /// back nothing that a checksum does not vouch for.
    pub(crate) fn read(&self, file: &dyn FsFile, offset: u64, bytes_max: usize) -> Result<Bytes, LogError> {
        let left = self.meta.size.saturating_sub(offset);
        let wanted = bytes_max.min(READ_BYTES_MAX).min(usize::try_from(left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(Bytes::new());
        }
        let end = offset + wanted as u64;
        let first = offset / CHUNK_BYTES as u64;
        let start = chunk_offset(first);
        let count = end.div_ceil(CHUNK_BYTES as u64) - first;
        let needed = usize::try_from(self.chunks_end(first + count) - start);
        let needed = needed.expect("a piece is bounded");
        let mut bytes = vec![0; needed];
        let read = Failure::of(Operation::Read, &self.path);
        let found = read_up_to(file, &mut bytes, start).map_err(read)?;
        if found < needed {
            let damage = Damage::TooShort { needed_bytes: start + needed as u64 };
            return Err(self.corrupt(start + found as u64, damage));
        }
        let mut state = Vec::with_capacity(needed);
        for (number, chunk) in (first..).zip(bytes.chunks(CHUNK_BYTES + CHUNK_CRC_BYTES)) {
            state.extend_from_slice(self.check_chunk(number, chunk)?);
        }
        let skip = usize::try_from(offset - first * CHUNK_BYTES as u64).unwrap_or(usize::MAX);
        Ok(Bytes::from(state).slice(skip..skip + wanted))
    }

    /// Reads the whole state through and checks every chunk and the checksum of all of it.
    fn verify(&self, file: &dyn FsFile) -> Result<(), LogError> {
        let (mut offset, mut found) = (0, 0);
        while offset < self.meta.size {
            let piece = self.read(file, offset, READ_BYTES_MAX)?;
            found = crc32c::crc32c_append(found, &piece);
            offset += piece.len() as u64;
        }
        if found == self.meta.crc32c {
            return Ok(());
        }
        let damage = Damage::Checksum { expected: found, found: self.meta.crc32c };
        Err(self.corrupt(HEAD_BYTES as u64, damage))
    }

    /// Opens and reads it through; tells what is damaged.
    pub(crate) fn find_loss(&self, dir: &DataDir, group: GroupId) -> Result<Option<SnapshotLoss>, LogError> {
        let name = SnapshotName { group, last: self.meta.last };
        match self.verify(&*dir.open(&snapshot_file_name(name))?) {
            Ok(()) => Ok(None),
            Err(LogError::Corrupt { path, offset, damage }) => {
                Ok(Some(SnapshotLoss { path, offset, damage }))
            }
            Err(error) => Err(error),
        }
    }

    fn check_chunk<'a>(&self, number: u64, chunk: &'a [u8]) -> Result<&'a [u8], LogError> {
        let (bytes, crc) = chunk.split_at(chunk.len().saturating_sub(CHUNK_CRC_BYTES));
        let found = crc.try_into().map_or(0, u32::from_le_bytes);
        let expected = chunk_crc(self.seed, number, bytes);
        if expected == found {
            return Ok(bytes);
        }
        Err(self.corrupt(chunk_offset(number), Damage::Checksum { expected, found }))
    }

    /// Where the chunks before this one end in the file.
    fn chunks_end(&self, number: u64) -> u64 {
        let whole = self.meta.size / CHUNK_BYTES as u64;
        let rest = self.meta.size % CHUNK_BYTES as u64;
        match number <= whole {
            true => chunk_offset(number),
            false => chunk_offset(whole) + rest + CHUNK_CRC_BYTES as u64,
        }
    }

    fn corrupt(&self, offset: u64, damage: Damage) -> LogError {
        LogError::Corrupt { path: self.path.clone(), offset, damage }
    }
}

/// Reads the end of the file, whose length has to be what the foot says.
fn read_foot(
    file: &dyn FsFile,
    name: SnapshotName,
    seed: u32,
    path: &Path,
) -> Result<Result<SnapshotMeta, SnapshotLoss>, Failure> {
    let read = || Failure::of(Operation::Read, path);
    let lost = |offset, damage| Ok(Err(SnapshotLoss { path: path.to_owned(), offset, damage }));
    let file_bytes = file.byte_count().map_err(read())?;
    let offset = file_bytes.saturating_sub(END_BYTES as u64);
    let mut end = [0; END_BYTES];
    let count = read_up_to(file, &mut end, offset).map_err(read())?;
    let end = SnapshotEnd::read(&end);
    if count < END_BYTES || end.file_bytes() != Some(file_bytes) {
        return lost(offset, Damage::NotWhole);
    }
    let offset = offset - u64::from(end.membership_bytes);
    let mut foot = vec![0; end.membership_bytes as usize + END_BYTES];
    let count = read_up_to(file, &mut foot, offset).map_err(read())?;
    let membership = match decode_foot(&foot[..count], &end, seed) {
        Ok(membership) => membership,
        Err(FootError::Checksum { expected, found }) => {
            return lost(offset, Damage::Checksum { expected, found });
        }
        Err(FootError::Membership) => return lost(offset, Damage::Content),
    };
    Ok(Ok(SnapshotMeta {
        last: name.last,
        membership,
        size: end.size,
        crc32c: end.crc32c,
        is_hollow: end.is_hollow,
    }))
}

/// At most so much of the state is read at once, in bytes.
const READ_BYTES_MAX: usize = 1 << 20;
