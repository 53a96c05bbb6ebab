//! A directory of format version 1, checked in: every later build opens it, and writes it anew byte for
//! byte from the same requests, so no change of the format goes unnoticed.
//!
//! `UPDATE_GOLDEN=1 cargo test -p raft-storage --test golden` rewrites it. Version 1 is frozen: reasons
//! are a test that has come to write more of version 1, and a build that says the same in other rows.
//! Then the directory as it was stays as well, as one of the earlier ones.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;

use common::faulty::refused;
use common::snapshots::Snapshot;
use common::{DIR, compact, entries, hard_state, mark, open, options, request, reset};
use raft_core::{
    Batches, Entries, EntryKind, GroupId, LogIndex, LogStore, Persist, Position, SnapshotMeta, SnapshotStore,
    Term,
};
use raft_storage::fs::{Fs as _, SimFs};
use raft_storage::{FORMAT_VERSION, GroupLog, OpenError, Start, Wal};

const GOLDEN: &str = "tests/golden/version-1";
/// Written by earlier builds from the same requests.
const EARLIER: [&str; 2] = ["tests/golden/version-1-earlier", "tests/golden/version-1-fewer-marks"];
/// What each of them holds, in words; beside it, because it is no part of them.
const HELD: &str = "tests/golden/version-1.txt";
/// A full member's group and a witness's.
const FULL: GroupId = GroupId::new(1);
const WITNESS: GroupId = GroupId::new(2);

/// Opens the log with salts that are the same in every run.
fn open_with_seed(fs: &SimFs, seed: u64) -> Wal {
    Wal::open(&options(fs, Start::InitialiseIfMissing).seed(seed), || ()).unwrap()
}

fn one(term: u64, index: u64, kind: EntryKind, payload: &[u8]) -> Entries {
    let position = Position::new(Term::new(term), LogIndex::new(index));
    Entries::single(position, kind, payload).unwrap()
}

fn batches(all: impl IntoIterator<Item = Entries>) -> Batches {
    let mut batches = Batches::new();
    all.into_iter().for_each(|batch| batches.push(batch));
    batches
}

fn persist(log: &mut GroupLog, request: Persist) {
    log.persist(request).unwrap();
    log.flush_now().unwrap();
}

/// The requests: segments are filled and left behind; then every part of a request and every kind of
/// entry; then a process dies, and the next one writes what is not proven again, and fills a segment
/// that was left behind.
fn written() -> SimFs {
    let disk = SimFs::new();
    let wal = open_with_seed(&disk, 1);
    let mut log = wal.group(FULL).unwrap();
    persist(&mut log, Persist { mark: Some(reset(0, 0)), hard_state: hard_state(1, 1, 0), ..request(1) });
    for number in 0..9 {
        // Three of these fill a segment.
        let entries = entries(1, number * 12 + 1, 12, 900);
        persist(&mut log, Persist { entries, ..request(number + 2) });
        if number == 4 {
            Snapshot::new(1, 59, 70_000).write(&mut log);
            persist(&mut log, Persist { mark: Some(compact(1, 59)), ..request(20) });
        }
    }
    persist(
        &mut log,
        Persist { truncate_from: Some(LogIndex::new(105)), hard_state: hard_state(2, 3, 90), ..request(30) },
    );
    let kinds = batches([
        one(2, 105, EntryKind::Empty, b""),
        one(2, 106, EntryKind::Membership, &mark(0, 0).membership.encode()),
        one(2, 107, EntryKind::Command, b"a command"),
        one(2, 108, EntryKind::Command, b""),
    ]);
    persist(&mut log, Persist { entries: kinds, hard_state: hard_state(2, 3, 106), ..request(31) });
    let mut witness = wal.group(WITNESS).unwrap();
    let hollow = SnapshotMeta { is_hollow: true, ..Snapshot::new(3, 50, 0).meta };
    let hollow = Snapshot { meta: hollow, state: Vec::new().into() };
    hollow.write(&mut witness);
    persist(
        &mut witness,
        Persist {
            mark: Some(reset(3, 50)),
            entries: batches(entries(3, 51, 3, 10).into_iter().map(Entries::into_hollow)),
            hard_state: hard_state(3, 2, 53),
            ..request(1)
        },
    );
    wal.write_sync_mark().unwrap();
    persist(&mut log, Persist { entries: entries(2, 109, 2, 30), ..request(32) });
    let dead = disk.after_process_death();
    let wal = open_with_seed(&dead, 2);
    let mut log = wal.group(FULL).unwrap();
    log.recover().unwrap();
    persist(&mut log, Persist { hard_state: hard_state(4, 1, 110), ..request(33) });
    for number in 0..3 {
        let entries = entries(4, number * 12 + 111, 12, 900);
        persist(&mut log, Persist { entries, ..request(number + 34) });
    }
    drop(log);
    wal.close().unwrap();
    dead
}

/// The files of the directory but the lock, which holds a process id.
fn files(disk: &SimFs) -> Vec<(String, Vec<u8>)> {
    let names = disk.paths().into_iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    let kept = names.filter(|name| name != "lock");
    kept.map(|name| (name.clone(), disk.content(in_log(&name)).unwrap())).collect()
}

fn in_log(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

/// The directory that is checked in.
fn golden() -> SimFs {
    disk_with(golden_files())
}

fn disk_with(files: Vec<(String, Vec<u8>)>) -> SimFs {
    let disk = SimFs::new();
    disk.create_dir_all(Path::new(DIR)).unwrap();
    for (name, bytes) in files {
        disk.put(in_log(&name), &bytes);
    }
    disk
}

fn golden_files() -> Vec<(String, Vec<u8>)> {
    static UPDATED: Once = Once::new();
    UPDATED.call_once(|| {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            update();
        }
    });
    files_in(GOLDEN)
}

fn files_in(directory: &str) -> Vec<(String, Vec<u8>)> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut files: Vec<_> = paths.map(|path| (name(&path), fs::read(path).unwrap())).collect();
    files.sort();
    files
}

fn update() {
    let disk = written();
    // Files that are no longer written must go too.
    let _ = fs::remove_dir_all(GOLDEN);
    fs::create_dir_all(GOLDEN).unwrap();
    for (name, bytes) in files(&disk) {
        fs::write(Path::new(GOLDEN).join(name), bytes).unwrap();
    }
    fs::write(HELD, held(&disk)).unwrap();
}

/// What opening and reading a directory shows, one line for each thing.
fn held(disk: &SimFs) -> String {
    let wal = open(disk).unwrap();
    let report = wal.recovery();
    let mut text = String::from("# What the directory beside this file holds; see golden.rs.\n");
    writeln!(
        text,
        "{} segments, {} requests, {} carried, torn tail: {:?}, mark loss: {:?}, ignored: {:?}",
        report.segments,
        report.records,
        report.carried_records,
        report.torn_tail,
        report.mark_loss,
        report.ignored_files
    )
    .unwrap();
    for id in wal.group_ids() {
        describe(&mut wal.group(id).unwrap(), &mut text);
    }
    text
}

fn describe(log: &mut GroupLog, text: &mut String) {
    writeln!(text, "\ngroup {}", log.id()).unwrap();
    if let Some(meta) = log.recover_snapshot().unwrap() {
        let mut state = Vec::new();
        while (state.len() as u64) < meta.size {
            let piece = log.read_snapshot(meta.last, state.len() as u64, usize::MAX).unwrap().unwrap();
            state.extend_from_slice(&piece);
        }
        let kind = if meta.is_hollow { "hollow snapshot" } else { "snapshot" };
        let (crc, members) = (crc32c::crc32c(&state), meta.membership.encode());
        writeln!(
            text,
            "{kind} up to {}: {} bytes, {crc:08x}, members {members:02x?}",
            meta.last,
            state.len()
        )
        .unwrap();
    }
    let recovered = log.recover().unwrap();
    let hard_state = recovered.hard_state;
    writeln!(text, "term {}, vote {:?}, commit {}", hard_state.term, hard_state.vote, hard_state.commit)
        .unwrap();
    if let Some(mark) = &recovered.mark {
        writeln!(text, "begins behind {}, members {:02x?}", mark.last, mark.membership.encode()).unwrap();
    }
    let (first, last) = (recovered.runs.first().unwrap().first, recovered.runs.last().unwrap().last);
    for batch in log.load(first, last.next(), usize::MAX).unwrap() {
        for entry in batch.iter() {
            let (bytes, crc) = (entry.payload.len(), crc32c::crc32c(entry.payload));
            writeln!(text, "{} {} {:?} {bytes} bytes, {crc:08x}", entry.index, entry.term, entry.kind)
                .unwrap();
        }
    }
}

/// The kind and the parts of each record in a segment, by nothing but FORMAT.md.
fn records(bytes: &[u8]) -> Vec<(u8, u8)> {
    let (mut at, mut found) = (4096, Vec::new());
    while let Some(header) = bytes.get(at..at + 32).filter(|header| header[20] != 0) {
        found.push((header[20], header[21]));
        let body = u32::from_le_bytes(header[8..12].try_into().unwrap()) as usize;
        at += 32 + body.next_multiple_of(8);
    }
    found
}

#[test]
fn the_same_requests_give_the_same_bytes() {
    let written = files(&written());
    let golden = golden_files();
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&written), names(&golden), "the files of a directory changed");
    for ((name, found), (_, expected)) in written.iter().zip(&golden) {
        let first = found.iter().zip(expected).position(|(found, expected)| found != expected);
        assert_eq!(first, None, "the format of {name} changed at this byte");
        assert_eq!(found.len(), expected.len(), "the length of {name} changed");
    }
}

#[test]
fn directories_of_version_1_are_read_as_they_were_written() {
    let written = golden_files();
    let earlier = EARLIER.map(files_in);
    assert!(!earlier.contains(&written), "an earlier directory is the same as today's");
    for files in [written].into_iter().chain(earlier) {
        let found = held(&disk_with(files));
        let expected = fs::read_to_string(HELD).unwrap();
        for (expected, found) in expected.lines().zip(found.lines()) {
            assert_eq!(found, expected);
        }
        assert_eq!(found, expected);
    }
}

/// Else the two tests above would show less than they seem to.
#[test]
fn the_directory_has_every_kind_of_record_and_part_and_a_segment_filled_again() {
    let (mut found, mut refilled) = (BTreeSet::<(u8, u8)>::new(), 0);
    for (name, bytes) in golden_files() {
        if Path::new(&name).extension().is_some_and(|extension| extension == "wal") {
            let records = records(&bytes);
            found.extend(&records);
            // Old records stay behind the page of zeros that ends the log, or behind the seal.
            let number = u32::from_str_radix(&name[..8], 16).unwrap();
            let is_sealed = records.last() == Some(&(3, 0));
            let has_old_bytes = bytes.iter().skip(20_000).any(|byte| *byte != 0);
            refilled += usize::from(number > 3 && !is_sealed && has_old_bytes);
        }
    }
    for kind in 1..=3 {
        assert!(found.iter().any(|record| record.0 == kind), "no record of kind {kind}: {found:?}");
    }
    let parts = found.iter().filter(|record| record.0 == 2).map(|record| record.1);
    let has = |wanted: fn(u8) -> bool| parts.clone().any(wanted);
    assert!(has(|parts| parts & 3 == 1), "a new beginning: {found:?}");
    assert!(has(|parts| parts & 3 == 3), "a compaction: {found:?}");
    assert!(has(|parts| parts & 4 != 0), "a truncation: {found:?}");
    assert!(has(|parts| parts & 8 != 0), "a hard state: {found:?}");
    assert!(has(|parts| parts & 16 != 0), "entries: {found:?}");
    assert!(refilled > 0);
}

/// Whatever else a newer version changes, heads keep their lengths, and version and checksum their
/// places: a newer version is told apart from a flipped bit.
#[test]
fn a_newer_version_of_any_file_is_refused_by_name() {
    let newer = FORMAT_VERSION + 1;
    let mut refused_count = 0;
    for (name, _) in golden_files() {
        let crc_at = match Path::new(&name).extension().and_then(|extension| extension.to_str()) {
            Some("wal") => 56,
            Some("snap") => 60,
            _ if name == "identity" => 36,
            // It has no version of its own.
            _ => continue,
        };
        let disk = golden();
        disk.edit(in_log(&name), |bytes| {
            bytes[8..12].copy_from_slice(&newer.to_le_bytes());
            let crc = crc32c::crc32c(&bytes[..crc_at]);
            bytes[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
        });
        let before = files(&disk);
        match refused(&disk) {
            OpenError::Version { path, found, supported } => {
                assert_eq!((path, found, supported), (in_log(&name), newer, FORMAT_VERSION));
            }
            other => panic!("{name}: {other}"),
        }
        assert!(files(&disk) == before, "{name}: a refused directory was changed");
        refused_count += 1;
    }
    assert_eq!(refused_count + 1, golden_files().len());
}
