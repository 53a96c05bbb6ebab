//! The first things about a directory: who may open it, and whose it is.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::error::{Damage, Failure, OpenError, Operation};
use crate::files::dir::{DataDir, UNFINISHED_SUFFIX};
use crate::files::mark_file::MarkFile;
use crate::files::salts::Salts;
use crate::files::segment::Segment;
use crate::format::bytes::HeadError;
use crate::format::identity::{IDENTITY_BYTES, IdentityFile};
use crate::format::record::{Link, RecordHeader};
use crate::format::segment::{HEADER_BYTES, SegmentHeader, parse_segment_name};
use crate::format::snapshot::parse_snapshot_name;
use crate::fs::{FsFile, LockGuard, LockOutcome, read_up_to, write_all_at};
use crate::options::{Start, WalOptions};
use crate::writer::{Chain, Kind};

pub(crate) const IDENTITY_NAME: &str = "identity";
pub(crate) const LOCK_NAME: &str = "lock";

/// Takes the directory's lock, before anything in it is read (F22).
pub(crate) fn lock(dir: &DataDir, start: Start) -> Result<Box<dyn LockGuard>, OpenError> {
    match start {
        Start::Existing => {}
        Start::Initialise | Start::InitialiseIfMissing => {
            let create = dir.fs().create_dir_all(dir.path());
            create.map_err(Failure::of(Operation::CreateDirectory, dir.path()))?;
            let parent = dir.path().parent().filter(|parent| *parent != Path::new(""));
            let parent = parent.unwrap_or(Path::new("."));
            dir.fs().sync_dir(parent).map_err(Failure::of(Operation::SyncDirectory, parent))?;
        }
    }
    let path = dir.path_of(LOCK_NAME);
    match dir.fs().try_lock(&path, &format!("process {}", std::process::id())) {
        Ok(LockOutcome::Taken(guard)) => Ok(guard),
        Ok(LockOutcome::Held(holder)) => Err(OpenError::Locked { path, holder }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(OpenError::NotInitialised { dir: dir.path().to_owned() })
        }
        Err(error) => Err(Failure::new(Operation::Lock, &path, error).into()),
    }
}

/// Finds out whose directory it is, and makes it ours if that is asked for. The second part tells
/// whether it was made now.
pub(crate) fn identify(
    dir: &DataDir,
    options: &WalOptions,
    salts: &mut Salts,
) -> Result<(IdentityFile, bool), OpenError> {
    let names = dir.list()?;
    if names.iter().any(|name| name == IDENTITY_NAME) {
        if options.start == Start::Initialise {
            return Err(OpenError::AlreadyInitialised { dir: dir.path().to_owned() });
        }
        return check_identity(dir, options).map(|owner| (owner, false));
    }
    refuse_orphans(dir, &names)?;
    match options.start {
        Start::Existing => Err(OpenError::NotInitialised { dir: dir.path().to_owned() }),
        Start::Initialise | Start::InitialiseIfMissing => {
            initialise(dir, options, salts).map(|owner| (owner, true))
        }
    }
}

/// Whose directory it is.
pub(crate) fn find_owner(dir: &DataDir) -> Result<IdentityFile, OpenError> {
    let names = dir.list()?;
    if names.iter().any(|name| name == IDENTITY_NAME) {
        return read_identity(dir);
    }
    refuse_orphans(dir, &names)?;
    Err(OpenError::NotInitialised { dir: dir.path().to_owned() })
}

fn check_identity(dir: &DataDir, options: &WalOptions) -> Result<IdentityFile, OpenError> {
    let owner = read_identity(dir)?;
    let (expected, found) = (options.identity, owner.identity);
    if found == expected {
        return Ok(owner);
    }
    Err(OpenError::OtherIdentity { path: dir.path_of(IDENTITY_NAME), expected, found })
}

fn read_identity(dir: &DataDir) -> Result<IdentityFile, OpenError> {
    let (file, path) = (dir.open(IDENTITY_NAME)?, dir.path_of(IDENTITY_NAME));
    let mut bytes = [0; IDENTITY_BYTES];
    let count = read_up_to(&*file, &mut bytes, 0).map_err(Failure::of(Operation::Read, &path))?;
    let decoded = (count == bytes.len()).then(|| IdentityFile::decode(&bytes));
    match decoded {
        Some(Ok(owner)) => Ok(owner),
        Some(Err(error @ HeadError::Version(_))) => Err(OpenError::of_head(&path, error)),
        Some(Err(HeadError::Magic | HeadError::Checksum { .. })) | None => {
            Err(OpenError::damaged(path, 0, Damage::IdentityBroken))
        }
    }
}

/// Without an identity file, there may only be what an interrupted initialisation leaves: the first
/// segment with nothing in it, and a mark of nothing. Anything else was a node's, or is none of ours;
/// either way it is not ours to overwrite (F21).
fn refuse_orphans(dir: &DataDir, names: &[String]) -> Result<(), OpenError> {
    let missing = || OpenError::damaged(dir.path_of(IDENTITY_NAME), 0, Damage::IdentityMissing);
    for name in names {
        if parse_snapshot_name(name).is_some() {
            return Err(missing());
        }
        let seq = parse_segment_name(name);
        if seq.is_none() && name != MarkFile::NAME {
            continue;
        }
        let (file, path) = (dir.open(name)?, dir.path_of(name));
        let is_half_made = match seq {
            Some(1) => is_half_made(&*file).map_err(Failure::of(Operation::Read, &path))?,
            Some(_) => false,
            None => is_zero_from(&*file, 0).map_err(Failure::of(Operation::Read, &path))?,
        };
        if !is_half_made {
            return Err(missing());
        }
    }
    Ok(())
}

/// Whether a first segment is as [`initialise`] leaves it: nothing but zeros, or an intact head of
/// segment one, perhaps the link of a log's first segment, and zeros to the end.
fn is_half_made(file: &dyn FsFile) -> io::Result<bool> {
    let mut start = vec![0; Link::END as usize];
    let count = read_up_to(file, &mut start, 0)?;
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    if is_zero(&start) {
        return is_zero_from(file, count as u64);
    }
    let Some(Ok((header, seed))) = start.first_chunk().map(SegmentHeader::decode) else { return Ok(false) };
    let (head, records) = start.split_at(Link::OFFSET as usize);
    let is_first = header.seq == 1 && file.byte_count()? <= u64::from(header.capacity);
    let is_begun = is_zero(&head[HEADER_BYTES..]) && (is_zero(records) || records == first_link(seed));
    Ok(is_first && is_begun && is_zero_from(file, count as u64)?)
}

/// Whether a file holds nothing but zeros from there on.
fn is_zero_from(file: &dyn FsFile, mut offset: u64) -> io::Result<bool> {
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let count = read_up_to(file, &mut bytes, offset)?;
        if bytes[..count].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        if count < bytes.len() {
            return Ok(true);
        }
        offset += count as u64;
    }
}

/// The record with which a log's first segment begins.
fn first_link(seed: u32) -> Vec<u8> {
    let mut record = vec![0; RecordHeader::BYTES as usize];
    let link = Link { first_live: 1, born_end: Link::END, ..Link::default() }.encode();
    record.extend_from_slice(&link);
    let link = Kind::of_link(crc32c::crc32c(&link));
    Chain { seed, previous: seed, durable: Link::OFFSET }.finish(&mut record, 0, Link::OFFSET, link);
    record
}

/// Makes an empty log. The identity file comes last: without it, nothing was made.
fn initialise(dir: &DataDir, options: &WalOptions, salts: &mut Salts) -> Result<IdentityFile, OpenError> {
    let owner = IdentityFile { identity: options.identity, incarnation: salts.draw() };
    let capacity = options.segment_bytes.min(FIRST_SEGMENT_BYTES);
    let header = SegmentHeader { owner, seq: 1, salt: salts.draw(), capacity };
    let (_, seed) = header.encode();
    Segment::make(dir, &header, &first_link(seed), None)?;
    MarkFile::create(dir)?;
    let unfinished = format!("{IDENTITY_NAME}{UNFINISHED_SUFFIX}");
    let (file, path) = (dir.create(&unfinished)?, dir.path_of(&unfinished));
    write_all_at(&*file, &owner.encode(), 0).map_err(Failure::of(Operation::Write, &path))?;
    file.sync_data().map_err(Failure::of(Operation::Sync, &path))?;
    // The mark's file must have its name for good before the identity has.
    dir.sync()?;
    dir.rename(&unfinished, IDENTITY_NAME)?;
    dir.sync()?;
    Ok(owner)
}

/// The size of a log's first segment, unless segments are meant to be smaller.
const FIRST_SEGMENT_BYTES: u32 = 4 << 20;
/// How much is looked at at once.
const READ_BYTES: usize = 64 << 10;
