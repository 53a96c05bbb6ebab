//! A snapshot's file while it is being written. It gets its name when all of it is durable.

use std::path::PathBuf;
use std::sync::Arc;

use raft_core::SnapshotMeta;

use super::file::SnapshotFile;
use crate::error::{Failure, LogError, Operation, RequestRule};
use crate::files::dir::{DataDir, UNFINISHED_SUFFIX};
use crate::format::identity::IdentityFile;
use crate::format::snapshot::{
    CHUNK_BYTES, CHUNK_CRC_BYTES, SnapshotHead, SnapshotName, chunk_crc, encode_foot, snapshot_file_name,
};
use crate::fs::{FsFile, write_all_at};

/// An unfinished snapshot.
#[derive(Debug)]
pub(crate) struct Draft {
    name: SnapshotName,
    file: Arc<dyn FsFile>,
    path: PathBuf,
    seed: u32,
    /// The state's bytes that do not fill a chunk yet.
    chunk: Vec<u8>,
    chunk_count: u64,
    /// Length and checksum of the state so far.
    size: u64,
    crc32c: u32,
    /// Where the file ends.
    end: u64,
    /// Up to where it has been synced.
    synced: u64,
}

impl Draft {
    /// Begins the file under a name that counts for nothing.
    pub(crate) fn create(dir: &DataDir, owner: IdentityFile, name: SnapshotName) -> Result<Self, Failure> {
        let unfinished = unfinished_name(name);
        let (file, path) = (dir.create(&unfinished)?, dir.path_of(&unfinished));
        let (head, seed) = SnapshotHead { owner, name }.encode();
        let mut draft = Self {
            name,
            file,
            path,
            seed,
            chunk: Vec::with_capacity(CHUNK_BYTES + CHUNK_CRC_BYTES),
            chunk_count: 0,
            size: 0,
            crc32c: 0,
            end: 0,
            synced: 0,
        };
        draft.append(&head)?;
        Ok(draft)
    }

    /// Adds bytes of the state.
    pub(crate) fn add(&mut self, mut piece: &[u8]) -> Result<(), Failure> {
        self.size += piece.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, piece);
        while !piece.is_empty() {
            let (taken, rest) = piece.split_at(piece.len().min(CHUNK_BYTES - self.chunk.len()));
            self.chunk.extend_from_slice(taken);
            piece = rest;
            if self.chunk.len() == CHUNK_BYTES {
                self.write_chunk()?;
            }
        }
        if self.end - self.synced >= SYNC_STRIDE_BYTES {
            self.sync()?;
        }
        Ok(())
    }

    /// Writes the foot, makes all of it durable and gives it its name, durably as well.
    pub(crate) fn finish(&mut self, dir: &DataDir, meta: SnapshotMeta) -> Result<SnapshotFile, LogError> {
        let SnapshotName { group, last } = self.name;
        if (meta.last, meta.size, meta.crc32c) != (last, self.size, self.crc32c) {
            return Err(LogError::BadRequest { group, rule: RequestRule::SnapshotAsWritten });
        }
        if !self.chunk.is_empty() {
            self.write_chunk()?;
        }
        self.append(&encode_foot(&meta, self.seed))?;
        self.sync()?;
        let name = snapshot_file_name(self.name);
        dir.rename(&unfinished_name(self.name), &name)?;
        dir.sync()?;
        Ok(SnapshotFile { meta, path: dir.path_of(&name), seed: self.seed })
    }

    pub(crate) fn name(&self) -> SnapshotName {
        self.name
    }

    fn write_chunk(&mut self) -> Result<(), Failure> {
        let crc = chunk_crc(self.seed, self.chunk_count, &self.chunk);
        self.chunk.extend_from_slice(&crc.to_le_bytes());
        let chunk = std::mem::take(&mut self.chunk);
        self.append(&chunk)?;
        self.chunk_count += 1;
        self.chunk = chunk;
        self.chunk.clear();
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        write_all_at(&*self.file, bytes, self.end).map_err(Failure::of(Operation::Write, &self.path))?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Failure> {
        self.file.sync_data().map_err(Failure::of(Operation::Sync, &self.path))?;
        self.synced = self.end;
        Ok(())
    }
}

/// What a snapshot's file is called until it is finished.
pub(crate) fn unfinished_name(name: SnapshotName) -> String {
    format!("{}{UNFINISHED_SUFFIX}", snapshot_file_name(name))
}

/// The file is synced whenever it has grown by so many bytes, so that the last sync is short and the
/// log's own syncs do not queue behind gigabytes.
const SYNC_STRIDE_BYTES: u64 = 8 << 20;
