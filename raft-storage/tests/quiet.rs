//! Groups that are quiet while others fill the log: what they hold in old segments is moved, so they do
//! not hold the segments of all others, and nothing of it is lost.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;

use common::checks::check_every_cut;
use common::{
    Model, Models, Step, Steps, compact, entries, hard_state, initialise, open, read_all, request, reset,
    run, segment,
};
use raft_core::{GroupId, LogIndex, LogStore, Persist};
use raft_storage::fs::SimFs;
use raft_storage::{GroupLog, LogError, Wal};

/// The group that fills the log.
const BUSY: u64 = 9;
/// Two requests fill a segment.
const BUSY_ENTRIES: u64 = 12;
const BUSY_BYTES: usize = 900;
/// The newest segments are left alone, and of the older ones the last link must have let go.
const SEGMENTS_MAX: usize = 7;

/// What groups were asked to hold that are quiet from then on: with and without a mark, of several terms,
/// with a part compacted and a part replaced, and a vote alone.
fn quiet_requests() -> Vec<(u64, Persist)> {
    let reset = Some(reset(3, 70));
    let replaced = Persist {
        truncate_from: Some(LogIndex::new(3)),
        entries: entries(2, 3, 3, 100),
        hard_state: hard_state(2, 1, 2),
        ..request(2)
    };
    vec![
        (1, Persist { entries: entries(1, 1, 4, 200), hard_state: hard_state(1, 2, 0), ..request(1) }),
        (1, replaced),
        (2, Persist { mark: reset, hard_state: hard_state(4, 3, 70), ..request(1) }),
        (2, Persist { entries: entries(4, 71, 5, 30), ..request(2) }),
        (2, Persist { mark: Some(compact(4, 73)), ..request(3) }),
        (3, Persist { hard_state: hard_state(7, 2, 0), ..request(1) }),
        (4, Persist { entries: entries(1, 1, 1, 0), hard_state: hard_state(1, 1, 1), ..request(1) }),
    ]
}

fn models(requests: &[(u64, Persist)]) -> Models {
    let mut models = Models::new();
    for (group, request) in requests {
        models.entry(GroupId::new(*group)).or_default().apply(request);
    }
    models
}

/// A busy group's log: it appends, and compacts what it has behind the last request.
struct Busy {
    log: GroupLog,
    model: Model,
    id: u64,
}

impl Busy {
    fn new(wal: &Wal) -> Self {
        let mut log = wal.group(GroupId::new(BUSY)).unwrap();
        let model = Model::read(&mut log).unwrap();
        Self { log, model, id: 0 }
    }

    fn write(&mut self, requests: u64) {
        for _ in 0..requests {
            let last = self.model.last();
            self.id += 1;
            let new = busy_request(self.id, last.get());
            self.model.apply(&new);
            self.log.persist(new).unwrap();
            self.log.flush_now().unwrap();
            self.log.poll_persisted().unwrap().unwrap();
        }
    }
}

fn busy_request(id: u64, last: u64) -> Persist {
    let mark = (last > 0).then(|| compact(1, last));
    let entries = entries(1, last + 1, BUSY_ENTRIES, BUSY_BYTES);
    Persist { mark, entries, hard_state: hard_state(1, 1, last), ..request(id) }
}

fn segment_count(fs: &SimFs) -> usize {
    fs.paths().iter().filter(|path| path.extension().is_some_and(|extension| extension == "wal")).count()
}

/// Another group is never quiet, and the log would grow for ever.
#[test]
fn quiet_groups_do_not_hold_the_segments_of_a_busy_one() {
    let fs = SimFs::new();
    let wal = initialise(&fs).unwrap();
    let mut groups: BTreeMap<_, _> =
        (1..5).map(GroupId::new).map(|id| (id, wal.group(id).unwrap())).collect();
    for (group, request) in quiet_requests() {
        groups.get_mut(&GroupId::new(group)).unwrap().persist(request).unwrap();
    }
    let mut busy = Busy::new(&wal);
    busy.write(90);
    assert!(fs.content(segment(1)).is_none(), "{:?}", fs.paths());
    assert!(segment_count(&fs) <= SEGMENTS_MAX, "{:?}", fs.paths());

    let mut expected = models(&quiet_requests());
    for (id, log) in &mut groups {
        assert_eq!(Model::read(log).unwrap(), expected[id]);
    }
    // Their owners, who know nothing of it, go on.
    let group = GroupId::new(1);
    let later = Persist {
        truncate_from: Some(LogIndex::new(4)),
        entries: entries(3, 4, 2, 10),
        hard_state: hard_state(3, 3, 3),
        ..request(3)
    };
    expected.get_mut(&group).unwrap().apply(&later);
    let owner = groups.get_mut(&group).unwrap();
    owner.persist(later).unwrap();
    busy.write(30);
    assert_eq!(Model::read(owner).unwrap(), expected[&group]);
    expected.insert(GroupId::new(BUSY), busy.model.clone());
    drop((groups, busy));
    wal.close().unwrap();
    assert_eq!(read_all(&open(&fs).unwrap()).unwrap(), expected);
}

/// Nobody has them open: they may be of no use any more, but nobody said so.
#[test]
fn groups_that_nobody_opens_do_not_hold_the_log_either() {
    let fs = SimFs::new();
    run(&fs, &quiet_steps(1));
    let fs = fs.after_process_death();
    let wal = open(&fs).unwrap();
    let mut busy = Busy::new(&wal);
    busy.write(60);
    assert!(segment_count(&fs) <= SEGMENTS_MAX, "{:?}", fs.paths());
    let mut expected = models(&quiet_requests());
    expected.insert(GroupId::new(BUSY), busy.model.clone());
    drop(busy);
    wal.close().unwrap();
    assert_eq!(read_all(&open(&fs).unwrap()).unwrap(), expected);
}

/// Thousands of them are moved some at a time.
#[test]
fn many_quiet_groups_do_not_hold_the_log() {
    let fs = SimFs::new();
    let wal = initialise(&fs).unwrap();
    let mut expected = Models::new();
    for id in 1000..1500 {
        let new =
            Persist { entries: entries(1, 1, 2, 30), hard_state: hard_state(1, id % 3 + 1, 0), ..request(1) };
        expected.entry(GroupId::new(id)).or_default().apply(&new);
        wal.group(GroupId::new(id)).unwrap().persist(new).unwrap();
    }
    let mut busy = Busy::new(&wal);
    busy.write(200);
    // They take three segments, and are moved when that frees ten times as much.
    assert!(segment_count(&fs) <= 40, "{:?}", fs.paths());
    // Two of the busy group's requests fill a segment.
    let filled = (1..300).rfind(|seq| fs.content(segment(*seq)).is_some()).unwrap();
    assert!(filled <= 150, "{filled} segments were filled");
    expected.insert(GroupId::new(BUSY), busy.model.clone());
    drop(busy);
    wal.close().unwrap();
    assert_eq!(read_all(&open(&fs).unwrap()).unwrap(), expected);
}

/// What would take long to move stays, and goes when its owner compacts it.
#[test]
fn a_quiet_group_that_holds_much_is_left_to_its_owner() {
    let fs = SimFs::new();
    let wal = initialise(&fs).unwrap();
    let mut large = wal.group(GroupId::new(1)).unwrap();
    let new = Persist { entries: entries(1, 1, 10, 1000), hard_state: hard_state(1, 1, 0), ..request(1) };
    large.persist(new).unwrap();
    let mut busy = Busy::new(&wal);
    busy.write(60);
    assert!(fs.content(segment(1)).is_some(), "{:?}", fs.paths());
    assert_eq!(Model::read(&mut large).unwrap().entries.len(), 10);
    large.persist(Persist { mark: Some(compact(1, 8)), ..request(2) }).unwrap();
    busy.write(20);
    assert!(segment_count(&fs) <= SEGMENTS_MAX, "{:?}", fs.paths());
    assert_eq!(Model::read(&mut large).unwrap().entries.len(), 2);
}

/// A group whose owner asked for something that is not durable yet is not at rest.
#[test]
fn what_waits_is_not_overtaken() {
    let fs = SimFs::new();
    let wal = initialise(&fs).unwrap();
    let mut slow = wal.group(GroupId::new(1)).unwrap();
    let mut model = Model::default();
    let mut busy = Busy::new(&wal);
    for id in 1..100 {
        let last = model.last().get();
        let mark = (id % 10 == 0).then(|| compact(1, last - 1));
        let new = Persist {
            mark,
            entries: entries(1, last + 1, 1, 10),
            hard_state: hard_state(1, 1, 0),
            ..request(id)
        };
        model.apply(&new);
        slow.persist(new).unwrap();
        busy.write(id % 3);
        let (first, end) = (model.entries[0].0, model.last().next());
        let held = slow.load(first, end, usize::MAX).unwrap();
        assert_eq!(held.iter().flat_map(|batch| batch.iter()).count(), model.entries.len(), "{id}");
    }
    slow.flush_now().unwrap();
    assert_eq!(Model::read(&mut slow).unwrap(), model);
    assert!(segment_count(&fs) <= SEGMENTS_MAX, "{:?}", fs.paths());
}

/// What cannot be verified is not written anew as if it were whole.
#[test]
fn what_decayed_while_its_group_was_quiet_is_not_moved_f13() {
    let fs = SimFs::new();
    let wal = initialise(&fs).unwrap();
    let mut quiet = wal.group(GroupId::new(1)).unwrap();
    // More than a page: the one in which the log ends is written again, as it was.
    let new = Persist { entries: entries(1, 1, 4, 1500), hard_state: hard_state(1, 1, 0), ..request(1) };
    quiet.persist(new).unwrap();
    wal.flush_now().unwrap();
    fs.edit(segment(1), |bytes| bytes[5000] ^= 1);
    let mut busy = Busy::new(&wal);
    busy.write(60);
    assert!(fs.content(segment(1)).is_some(), "{:?}", fs.paths());
    let error = quiet.load(LogIndex::new(1), LogIndex::new(5), usize::MAX).unwrap_err();
    assert!(matches!(error, LogError::Corrupt { .. }), "{error}");
}

/// Quiet groups, then so many requests of a busy one, which compacts, and something from a quiet one.
fn quiet_steps(busy_requests: u64) -> Vec<Step> {
    let mut steps: Vec<_> =
        quiet_requests().into_iter().map(|(group, request)| Step::Persist(group, request)).collect();
    steps.push(Step::Flush);
    for id in 1..=busy_requests {
        steps.persist(BUSY, busy_request(id, (id - 1) * BUSY_ENTRIES));
        steps.push(Step::Flush);
    }
    steps
}

#[test]
fn a_power_cut_at_any_call_finds_what_is_moved_at_its_old_place_or_the_new_one() {
    let mut steps = quiet_steps(24);
    let id = 10;
    steps.persist(1, Persist { entries: entries(2, 6, 1, 20), ..request(id) });
    steps.persist(4, Persist { mark: Some(compact(1, 1)), ..request(id) });
    steps.push(Step::Flush);
    let whole = SimFs::new();
    run(&whole, &steps);
    assert!(whole.content(segment(1)).is_none(), "the first segment has been let go of: {:?}", whole.paths());
    let count = check_every_cut(&steps);
    assert!(count > 2_000, "only {count} images");
}
