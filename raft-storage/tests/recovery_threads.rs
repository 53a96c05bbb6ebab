//! However many threads read a log while it is opened, the outcome is the same: what is recovered, what
//! is reported, what is written, and of several damages the one that is named.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

mod common;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use common::faulty::{GROUP, closed_with_segments};
use common::images::cut_at_every_call;
use common::random::Random;
use common::{Models, hard_state, options, read_all, request, segment, workload};
use raft_core::{LogStore, Persist};
use raft_storage::fs::SimFs;
use raft_storage::{OpenError, Recovery, Start, Wal};

/// What opening an image gives, and every file as it is afterwards.
#[derive(Debug, PartialEq)]
struct Outcome {
    opened: Result<(Recovery, Models), Refused>,
    files: Vec<(PathBuf, Vec<u8>)>,
}

/// Which file was refused, and why.
#[derive(Debug, PartialEq)]
struct Refused {
    path: Option<PathBuf>,
    text: String,
}

fn open_with(image: &SimFs, threads: usize) -> Outcome {
    let disk = image.after_process_death();
    let options = options(&disk, Start::InitialiseIfMissing).seed(7);
    let opened = Wal::open(&options.recovery_threads(NonZeroUsize::new(threads).unwrap()), || ());
    // Before the log is closed, which writes too.
    let content = |path: PathBuf| (path.clone(), disk.content(path).unwrap());
    let files = disk.paths().into_iter().map(content).collect();
    let opened = opened.map(|wal| (wal.recovery().clone(), read_all(&wal).unwrap())).map_err(|error| {
        let path = match &error {
            OpenError::Damaged { path, .. } => Some(path.clone()),
            _ => None,
        };
        Refused { path, text: format!("{error:?}") }
    });
    Outcome { opened, files }
}

/// Opens an image with one thread and with three, which must give the same. Returns that.
fn same_outcome(image: &SimFs, place: &str) -> Outcome {
    let alone = open_with(image, 1);
    let together = open_with(image, 3);
    assert_eq!(alone.opened, together.opened, "{place}");
    assert!(alone.files == together.files, "{place}: the files differ");
    alone
}

#[test]
fn what_a_power_cut_leaves_is_recovered_alike_by_any_number_of_threads() {
    let (mut several, mut torn, mut carried) = (0, 0, 0);
    cut_at_every_call(&workload(), |image, _, place| {
        let (report, _) = same_outcome(image, place).opened.unwrap();
        let is_several = report.segments >= 3;
        several += u64::from(is_several);
        torn += u64::from(is_several && report.torn_tail.is_some());
        carried += u64::from(is_several && report.carried_records > 0);
    });
    println!("{several} images of several segments, {torn} torn, {carried} carried");
    assert!(several > 100 && torn > 10 && carried > 10, "{several}, {torn}, {carried}");
}

/// Two to four segments are damaged at once. Damage near the beginning of a later segment is found
/// long before that near the end of an earlier one.
#[test]
fn of_damage_in_several_segments_the_same_one_is_named_whatever_the_timing() {
    let seed = std::env::var("RAFT_THREADS_SEED").map_or(1, |text| text.parse().unwrap());
    println!("RAFT_THREADS_SEED={seed}");
    let (whole, _) = closed_with_segments();
    let used = |seq| whole.content(segment(seq)).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    let segments: Vec<u32> = (1..9).filter(|seq| whole.content(segment(*seq)).is_some()).collect();
    let mut random = Random(seed);
    let mut named = BTreeSet::new();
    for case in 0..400 {
        let image = whole.after_process_death();
        let mut damaged = Vec::new();
        for _ in 0..2 + random.below(3) {
            let seq = segments[random.below(segments.len() as u64) as usize];
            let length = used(seq);
            let near = random.below(200.min(length as u64)) as usize;
            let at = if random.below(2) == 0 { length - near } else { 4096 + near };
            let offset = at.min(length);
            let kind = random.below(4);
            image.edit(segment(seq), |bytes| match kind {
                0 | 1 => bytes.iter_mut().skip(offset).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
                2 => bytes.iter_mut().skip(offset).take(600).for_each(|byte| *byte = 0),
                _ => bytes.truncate(offset),
            });
            damaged.push((seq, offset, kind));
        }
        for _ in 0..3 {
            let outcome = same_outcome(&image, &format!("seed {seed}, case {case}: {damaged:?}"));
            named.extend(outcome.opened.err().and_then(|refused| refused.path));
        }
    }
    assert!(named.len() >= 3, "{named:?}");
}

/// Each segment holds more than may wait until those before it are shown: the one that is shown next has to
/// be among those that are read.
#[test]
fn segments_of_many_small_requests_are_recovered_by_fewer_threads_than_there_are_segments() {
    let fs = SimFs::new();
    let wal = Wal::open(&options(&fs, Start::Initialise).segment_bytes(1 << 20), || ()).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    // 56 bytes each.
    for id in 1..=80_000 {
        log.persist(Persist { hard_state: hard_state(id, 1, 0), ..request(id) }).unwrap();
    }
    log.flush_now().unwrap();
    drop(log);
    wal.close().unwrap();
    let (report, models) = same_outcome(&fs, "many small requests").opened.unwrap();
    assert_eq!((report.segments, report.records), (5, 80_000));
    assert_eq!(models[&GROUP].hard_state.term.get(), 80_000);
}
