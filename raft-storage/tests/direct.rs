//! What is written past the page cache: whole pages, the last one again and again. Whichever way a log
//! is written, it holds the same.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use common::faulty::{GROUP, append};
use common::paged::{Fate, PagedFs};
use common::random::{self, Random};
use common::{DIR, IDENTITY, Model, Models, Step, entries, hard_state, open, read_all, request, segment};
use raft_core::{Batches, GroupId, LogIndex, LogStore, Persist, PersistId};
use raft_storage::fs::sim::Kept;
use raft_storage::fs::{Fs, RealFs, SimFs};
use raft_storage::{Flushing, GroupLog, LogError, Operation, Start, Wal, WalOptions};
use slog::{Drain, Level, Logger, Never, OwnedKVList, Record, o};

const SEGMENT_BYTES: u32 = WalOptions::SEGMENT_BYTES_MIN;
/// A segment of that many bytes ends in the middle of a page.
const UNEVEN_BYTES: u32 = SEGMENT_BYTES + 1000;

fn settings(fs: Arc<dyn Fs>, dir: impl Into<PathBuf>) -> WalOptions {
    WalOptions::new(dir, IDENTITY)
        .start(Start::InitialiseIfMissing)
        .flushing(Flushing::Manual)
        .segment_bytes(SEGMENT_BYTES)
        .fs(fs)
}

/// Runs steps, and reads every group after every flush and every opening.
fn play(settings: &WalOptions, steps: &[Step], place: &str) {
    let opening = |seed: u64| Wal::open(&settings.clone().seed(seed), || ()).unwrap();
    let mut wal = opening(1);
    let (mut models, mut groups) = (Models::new(), BTreeMap::new());
    for (step, seed) in steps.iter().zip(2..) {
        match step {
            Step::Persist(id, new) => {
                let id = GroupId::new(*id);
                models.entry(id).or_default().apply(new);
                let log = groups.entry(id).or_insert_with(|| wal.group(id).unwrap());
                log.persist(new.clone()).unwrap();
            }
            Step::Snapshot(..) => panic!("random steps have none"),
            Step::Flush => {
                wal.flush_now().unwrap();
                for (id, log) in &mut groups {
                    assert_eq!(Model::read(log).unwrap(), models[id], "{place}, before opening {seed}");
                }
            }
            Step::SyncMark => wal.write_sync_mark().unwrap(),
            Step::Reopen => {
                groups.clear();
                wal.close().unwrap();
                wal = opening(seed);
                assert_eq!(wal.recovery().torn_tail, None, "{place}, opening {seed}");
                assert_eq!(read_all(&wal).unwrap(), held(&models), "{place}, opening {seed}");
                // Groups are opened once.
                wal.close().unwrap();
                wal = opening(seed + u64::from(u32::MAX));
            }
        }
    }
    wal.close().unwrap();
}

/// Less the groups that hold nothing.
fn held(models: &Models) -> Models {
    models.clone().into_iter().filter(|(_, model)| *model != Model::default()).collect()
}

#[test]
fn whichever_way_a_log_is_written_its_files_are_the_same() {
    for (seed, segment_bytes) in (1..=24).zip([SEGMENT_BYTES, UNEVEN_BYTES].into_iter().cycle()) {
        let steps = random::steps(&mut Random(seed), 120);
        let [plain, paged] = [SimFs::new(), SimFs::new()];
        let direct = PagedFs::new(Arc::new(paged.clone()));
        for fs in [Arc::new(plain.clone()) as Arc<dyn Fs>, direct.fs()] {
            play(&settings(fs, DIR).segment_bytes(segment_bytes), &steps, &format!("seed {seed}"));
        }
        assert_eq!(plain.paths(), paged.paths(), "seed {seed}");
        for path in plain.paths() {
            assert!(plain.content(&path) == paged.content(&path), "seed {seed}: {}", path.display());
        }
        assert_eq!(direct.write_count() > 0, segment_bytes == SEGMENT_BYTES, "seed {seed}");
        assert_eq!(direct.open_count(), 0, "seed {seed}");
    }
}

/// A directory of the file system that is built on, and one in memory, which has no other way than its
/// pages.
fn places() -> Vec<tempfile::TempDir> {
    let roots = [Path::new(env!("CARGO_TARGET_TMPDIR")), Path::new("/dev/shm")];
    roots.iter().filter(|root| root.is_dir()).map(|root| tempfile::tempdir_in(root).unwrap()).collect()
}

/// Says whether a real directory has a way past the page cache: that is up to the system.
fn say_whether_direct(dir: &Path) {
    let path = dir.join("probe");
    std::fs::write(&path, b"").unwrap();
    let opened = RealFs.open(&path).unwrap().open_direct();
    std::fs::remove_file(&path).unwrap();
    println!("{}: {:?}", dir.display(), opened.map(|_| "written directly"));
}

#[test]
fn a_log_in_a_real_directory_holds_what_was_written() {
    for place in places() {
        say_whether_direct(place.path());
        for (seed, segment_bytes) in (101..=108).zip([SEGMENT_BYTES, UNEVEN_BYTES].into_iter().cycle()) {
            let steps = random::steps(&mut Random(seed), 120);
            let dir = place.path().join(seed.to_string());
            let settings = settings(Arc::new(RealFs), &dir).segment_bytes(segment_bytes);
            play(&settings, &steps, &format!("seed {seed}, {}", dir.display()));
        }
    }
}

/// Entry `index` of such a log.
fn entry(index: u64) -> Batches {
    entries(1, index, 1, usize::try_from(index * 37 % 2500).unwrap())
}

/// One entry after the other, each read back at once with those before it.
fn write_and_read(mut log: GroupLog, count: u64) {
    for index in 1..=count {
        let hard_state = hard_state(1, 1, index - 1);
        log.persist(Persist { entries: entry(index), hard_state, ..request(index) }).unwrap();
        log.flush_now().unwrap();
        assert_eq!(log.poll_persisted().unwrap(), Some(PersistId::new(index)));
        let first = index.saturating_sub(5).max(1);
        let found = log.load(LogIndex::new(first), LogIndex::new(index + 1), usize::MAX).unwrap();
        let mut found = found.iter().flatten();
        for batches in (first..=index).map(entry) {
            assert!(batches.entries().all(|entry| found.next() == Some(entry)), "{first} to {index}");
        }
        assert!(found.next().is_none(), "{first} to {index}");
    }
}

/// Readers look into the very page that is being written again for somebody else.
#[test]
fn what_was_just_written_is_read_while_others_write() {
    for place in places() {
        say_whether_direct(place.path());
        let wal = Wal::open(&settings(Arc::new(RealFs), place.path().join("log")), || ()).unwrap();
        std::thread::scope(|scope| {
            for id in 1..=3 {
                let log = wal.group(GroupId::new(id)).unwrap();
                scope.spawn(move || write_and_read(log, 150));
            }
        });
        wal.close().unwrap();
    }
}

fn new_log(fs: &PagedFs) -> (Wal, GroupLog) {
    let wal = Wal::open(&settings(fs.fs(), DIR), || ()).unwrap();
    let log = wal.group(GROUP).unwrap();
    (wal, log)
}

#[test]
fn short_direct_writes_are_continued_and_a_failed_one_stops_the_log_f9_f11() {
    for last in [Fate::Error(ErrorKind::Other), Fate::Error(ErrorKind::Unsupported), Fate::Short(4095)] {
        let disk = SimFs::new();
        let fs = PagedFs::new(Arc::new(disk.clone()));
        let (wal, mut log) = new_log(&fs);
        append(&mut log, 1, 1, 3, 10);
        let before = fs.write_count();
        fs.inject(&[Fate::Short(4096), Fate::Error(ErrorKind::Interrupted), Fate::Short(4096 + 512)]);
        append(&mut log, 2, 4, 10, 1500);
        assert_eq!(fs.write_count() - before, 4);
        fs.inject(&[Fate::Short(4096), last]);
        log.persist(Persist { entries: entries(1, 14, 10, 600), ..request(3) }).unwrap();
        let LogError::Failed(failure) = log.flush_now().unwrap_err() else { panic!("another error") };
        assert_eq!((failure.operation, &failure.path), (Operation::Write, &segment(1)));
        let changes = disk.changes();
        assert!(matches!(log.poll_persisted(), Err(LogError::Failed(_))));
        drop((log, wal));
        assert_eq!(disk.changes(), changes, "no other way is tried after a failure");
        let after = disk.after_power_cut(|_, _| Kept::Nothing);
        assert_eq!(read_all(&open(&after).unwrap()).unwrap()[&GROUP].last(), LogIndex::new(13));
    }
}

/// Keeps what is logged at debug.
struct Keep(Arc<Mutex<Vec<String>>>);

impl Drain for Keep {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
        if record.level() == Level::Debug {
            self.0.lock().unwrap().push(record.msg().to_string());
        }
        Ok(())
    }
}

/// The one more descriptor is the first that is missed when there are none left.
#[test]
fn a_segment_that_cannot_be_opened_directly_is_written_and_synced_and_said_to_be_f26() {
    let fs = PagedFs::new(Arc::new(SimFs::new()));
    let said: Arc<Mutex<Vec<String>>> = Arc::default();
    let logger = Logger::root(Keep(Arc::clone(&said)), o!());
    let settings = settings(fs.fs(), DIR).logger(logger);
    let count = |sign: &str| said.lock().unwrap().iter().filter(|text| text.contains(sign)).count();
    let wal = Wal::open(&settings, || ()).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    append(&mut log, 1, 1, 12, 1000);
    assert_eq!((fs.write_count(), fs.open_count(), count("through the page cache")), (1, 1, 0));
    fs.refuse(ErrorKind::Other);
    let mut last = 12;
    while count("rolled") < 3 {
        append(&mut log, last, last + 1, 12, 1000);
        assert!(fs.open_count() == 1 || count("rolled") > 0, "the file of a segment that is left is closed");
        last += 12;
    }
    assert_eq!((fs.open_count(), count("through the page cache")), (0, 3));
    drop((log, wal));
    let wal = Wal::open(&settings, || ()).unwrap();
    assert_eq!(read_all(&wal).unwrap()[&GROUP].last(), LogIndex::new(last));
}
