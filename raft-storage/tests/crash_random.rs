//! Random workloads cut off from power at random calls, and again at random calls of the recovery:
//! as many images as there is time for. `cargo xtask crash` runs more of them (S59, S60, S61).

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::SystemTime;

use common::checks::{check_goes_on, check_image};
use common::images::images;
use common::random::{self, Random};
use common::{History, initialise, open, run};
use raft_storage::fs::SimFs;
use raft_storage::fs::sim::Call;

/// How many images are shown if `RAFT_CRASH_IMAGES` does not say.
const IMAGES: u64 = 60_000;
const STEPS: usize = 60;

/// Situations that the images must have reached.
#[derive(Debug, Default)]
struct Seen {
    images: AtomicU64,
    torn: AtomicU64,
    carried: AtomicU64,
    second_crashes: AtomicU64,
    refilled: AtomicU64,
}

impl Seen {
    fn count(what: &AtomicU64) {
        what.fetch_add(1, Ordering::Relaxed);
    }

    fn check(&self, image: &SimFs, history: &History, place: &str, random: &mut Random) {
        Self::count(&self.images);
        let place = || format!("{place}, image {}", self.images.load(Ordering::Relaxed));
        let looked_at = image.after_process_death();
        if let Ok(wal) = open(&looked_at) {
            let report = wal.recovery();
            self.torn.fetch_add(u64::from(report.torn_tail.is_some()), Ordering::Relaxed);
            self.carried.fetch_add(u64::from(report.carried_records > 0), Ordering::Relaxed);
        }
        let found = check_image(image, history, &place());
        if random.below(8) == 0 {
            check_goes_on(image, &found, &place());
        }
    }
}

/// Everything that one seed shows.
fn explore(seed: u64, seen: &Seen) {
    let mut random = Random(seed);
    let steps = random::steps(&mut random, STEPS);
    let whole = SimFs::new();
    let history = run(&whole, &steps);
    assert_eq!(history.acknowledged, history.states.len() - 1, "seed {seed}: it runs to its end");
    let segments = (1..40).filter(|seq| whole.content(common::segment(*seq)).is_some()).max();
    if whole.calls(Call::Create) < 2 + u64::from(segments.unwrap_or(0)) {
        Seen::count(&seen.refilled);
    }
    for _ in 0..4 {
        let stop = random.below(whole.changes() + 1);
        let fs = SimFs::new();
        fs.stop_after(stop);
        let history = run(&fs, &steps);
        for (at, image) in images(&fs).iter().enumerate() {
            if random.below(24) == 0 {
                explore_recovery(image, &history, &format!("seed {seed}, {stop}, {at}"), seen, &mut random);
            }
            seen.check(image, &history, &format!("seed {seed}, stopped after {stop}, cut {at}"), &mut random);
        }
    }
}

/// The second crash, during recovery.
fn explore_recovery(image: &SimFs, history: &History, place: &str, seen: &Seen, random: &mut Random) {
    let whole = image.after_process_death();
    let wal = initialise(&whole).unwrap_or_else(|error| panic!("{place}: {error}"));
    let stop = random.below(whole.changes());
    drop(wal);
    let again = image.after_process_death();
    again.stop_after(stop);
    let was_open = initialise(&again).is_ok() || history.was_open;
    let history = History { was_open, ..history.clone() };
    for image in images(&again).iter().step_by(1 + random.below(6) as usize) {
        Seen::count(&seen.second_crashes);
        seen.check(image, &history, &format!("{place}, recovery stopped after {stop}"), random);
    }
}

#[test]
fn whatever_a_power_cut_leaves_of_a_random_workload_has_all_that_was_acknowledged() {
    let variable = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let images = variable("RAFT_CRASH_IMAGES").unwrap_or(IMAGES);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let first = variable("RAFT_CRASH_SEED").unwrap_or(now % 1_000_000_000);
    println!("seeds from {first} on; RAFT_CRASH_SEED={first} runs them again");
    let (seen, next) = (Seen::default(), AtomicU64::new(first));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while seen.images.load(Ordering::Relaxed) < images {
                    explore(next.fetch_add(1, Ordering::Relaxed), &seen);
                }
            });
        }
    });
    println!("{seen:?} of {} seeds", next.load(Ordering::Relaxed) - first);
    let Seen { torn, carried, second_crashes, refilled, .. } = seen;
    for (name, count) in [
        ("torn tails", torn),
        ("carried records", carried),
        ("second crashes", second_crashes),
        ("refilled segments", refilled),
    ] {
        assert!(count.into_inner() > 0, "no {name} were reached");
    }
}
