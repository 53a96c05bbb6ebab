//! Real node processes whose logs are compacted: who is behind gets a snapshot, whatever is killed
//! meanwhile, and disks do not fill up.

use std::ops::Range;
use std::path::Path;

use crate::common::{TestCluster, info, until};
use crate::ledger::{check_nothing_is_lost, while_clients_write};
use crate::membership::order;
use redis::{Commands, Connection};

/// Snapshots all the time, and next to nothing left in the log behind them.
const SMALL: &[&str] =
    &["--snapshot-log-bytes", "200000", "--retained-entries", "2", "--segment-bytes", "1048576"];

/// What is written of a value; with it a value takes a kilobyte.
const PADDING: usize = 1000;

fn value(number: usize) -> String {
    format!("{number:0>PADDING$}")
}

/// Sets many keys to what [`check_filled`] expects.
fn fill(connection: &mut Connection, numbers: Range<usize>) {
    for from in numbers.clone().step_by(50) {
        let mut pipe = redis::pipe();
        (from..numbers.end.min(from + 50)).for_each(|number| {
            pipe.set(format!("big:{number}"), value(number)).ignore();
        });
        until("a write", || pipe.query::<()>(connection).ok());
    }
}

/// Reads all of them at one node.
fn check_filled(cluster: &TestCluster, at: usize, numbers: Range<usize>) {
    let mut connection = cluster.connect(at);
    for from in numbers.clone().step_by(100) {
        let some = from..numbers.end.min(from + 100);
        let keys: Vec<String> = some.clone().map(|number| format!("big:{number}")).collect();
        let found: Vec<Option<String>> = until("a read", || connection.mget(&keys).ok());
        assert!(found.into_iter().eq(some.map(|number| Some(value(number)))), "from {from}");
    }
}

/// Waits until a node's log begins behind this index.
fn wait_for_compaction(cluster: &TestCluster, at: usize, index: i64) {
    until("a compaction", || cluster.number(at, "first").filter(|first| *first > index));
}

/// Whatever else runs, so that this node misses what the others have let go.
fn fall_behind(cluster: &mut TestCluster, follower: usize, numbers: Range<usize>) {
    let last = until("a status", || cluster.number(follower, "last"));
    cluster.kill(follower);
    let others: Vec<usize> = (0..cluster.size()).filter(|at| *at != follower).collect();
    fill(&mut cluster.connect(others[0]), numbers);
    others.iter().for_each(|at| wait_for_compaction(cluster, *at, last));
}

fn restart_all(cluster: &mut TestCluster) {
    for at in 0..cluster.size() {
        if cluster.is_running(at) {
            cluster.kill(at);
        }
    }
    (0..cluster.size()).for_each(|at| cluster.start_member(at));
    cluster.leader();
}

/// How many bytes of a snapshot have arrived at a node and how many there are, as the leader sees it.
fn transfer(cluster: &TestCluster, leader: usize, to: usize) -> Option<(i64, i64)> {
    let mut members = cluster.members(leader)?;
    let mut number = |name: &str| redis::from_redis_value(members[to].remove(name)?).ok();
    Some((number("snapshot-arrived")?, number("snapshot-size")?))
}

/// Whether the directory holds a snapshot that is not finished.
fn has_unfinished(data: &Path) -> bool {
    let names = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().file_name());
    names.into_iter().any(|name| name.to_string_lossy().ends_with(".new"))
}

#[test]
fn follower_that_is_behind_the_log_gets_a_snapshot_and_goes_on() {
    let mut cluster = TestCluster::start(3, SMALL);
    let follower = (cluster.leader() + 1) % 3;
    fall_behind(&mut cluster, follower, 0..2000);
    cluster.start_member(follower);
    cluster.wait_for_catch_up(follower);
    assert!(info(&cluster, follower, "raft_snapshots_installed") > 0);
    check_filled(&cluster, follower, 0..2000);
    // What follows comes through the log again.
    fill(&mut cluster.connect(follower), 2000..2100);
    restart_all(&mut cluster);
    (0..3).for_each(|at| check_filled(&cluster, at, 0..2100));
}

#[test]
fn new_node_joins_a_cluster_that_has_compacted_and_is_as_good_as_any() {
    let mut cluster = TestCluster::start(3, SMALL);
    fill(&mut cluster.connect(0), 0..2000);
    (0..3).for_each(|at| wait_for_compaction(&cluster, at, 10));
    let new = cluster.join(0);
    cluster.wait_for_catch_up(new);
    assert!(info(&cluster, new, "raft_snapshots_installed") > 0);
    check_filled(&cluster, new, 0..2000);
    order(&cluster, &["RAFT.TRANSFER", "4"]);
    restart_all(&mut cluster);
    (0..4).for_each(|at| check_filled(&cluster, at, 0..2000));
}

#[test]
fn snapshot_is_taken_when_an_operator_asks_for_it_at_any_node() {
    let mut cluster = TestCluster::start(3, &["--snapshot-log-bytes", "0", "--snapshot-log-entries", "0"]);
    fill(&mut cluster.connect(0), 0..500);
    for at in 0..3 {
        cluster.wait_for_catch_up(at);
        assert_eq!(cluster.number(at, "snapshot"), Some(0), "none was asked for");
        let applied = cluster.number(at, "applied").unwrap();
        let take = || -> (i64, i64) {
            let mut answer: std::collections::HashMap<String, i64> =
                redis::cmd("RAFT.SNAPSHOT").query(&mut cluster.connect(at)).unwrap();
            (answer.remove("index").unwrap(), answer.remove("term").unwrap())
        };
        let (index, term) = take();
        assert!(index >= applied, "{index} covers {applied}");
        let shown = (cluster.number(at, "snapshot"), cluster.number(at, "snapshot-term"));
        assert_eq!(shown, (Some(index), Some(term)));
        assert_eq!(take(), (index, term), "there is nothing newer to take one of");
        assert_eq!(info(&cluster, at, "raft_snapshots_taken"), 1);
    }
    restart_all(&mut cluster);
    (0..3).for_each(|at| check_filled(&cluster, at, 0..500));
}

/// Killed while the file is being written, for certain: it is still there afterwards.
#[test]
fn node_killed_while_it_takes_a_snapshot_has_lost_nothing() {
    const TRIES: usize = 50;
    let mut cluster = TestCluster::start(1, &["--snapshot-log-bytes", "0", "--retained-entries", "0"]);
    fill(&mut cluster.connect(0), 0..8000);
    let was_caught = (0..TRIES).any(|number| {
        fill(&mut cluster.connect(0), 8000 + number..8001 + number);
        let before = cluster.number(0, "snapshot");
        let mut connection = cluster.connect(0);
        connection.send_packed_command(&redis::cmd("RAFT.SNAPSHOT").get_packed_command()).unwrap();
        until("a snapshot to begin", || {
            (has_unfinished(&cluster.data_dir(0)) || cluster.number(0, "snapshot") != before).then_some(())
        });
        cluster.kill(0);
        let was_caught = has_unfinished(&cluster.data_dir(0));
        cluster.start_member(0);
        cluster.leader();
        check_filled(&cluster, 0, 0..8001 + number);
        assert!(!has_unfinished(&cluster.data_dir(0)), "what is unfinished goes at the next start");
        was_caught
    });
    assert!(was_caught, "in {TRIES} tries the node was never killed in the middle");
}

/// Scenario S43: the receiver restarts, and newer snapshots replace the one that it was being sent.
#[test]
fn follower_killed_while_it_receives_a_snapshot_starts_over() {
    let slow = [SMALL, &["--snapshot-bytes-per-second", "2000000"]].concat();
    let mut cluster = TestCluster::start(3, &slow);
    let follower = (cluster.leader() + 1) % 3;
    fall_behind(&mut cluster, follower, 0..4000);
    let ports: Vec<u16> = (0..3).filter(|at| *at != follower).map(|at| cluster.ports[at]).collect();
    let ledgers = while_clients_write(&ports, |writes| {
        for _ in 0..3 {
            cluster.start_member(follower);
            let leader = cluster.leader_other_than(follower);
            until("half a snapshot to arrive", || {
                transfer(&cluster, leader, follower).filter(|(arrived, size)| arrived * 2 > *size)
            });
            cluster.kill(follower);
            writes.wait_for_more(100);
        }
        cluster.start_member(follower);
        until("a snapshot in force", || (cluster.number(follower, "snapshot")? > 0).then_some(()));
        writes.wait_for_more(100);
    });
    cluster.wait_for_catch_up(follower);
    check_filled(&cluster, follower, 0..4000);
    restart_all(&mut cluster);
    for at in 0..3 {
        check_filled(&cluster, at, 0..4000);
        check_nothing_is_lost(&cluster, at, &ledgers);
    }
}

/// Scenario S106: killed while the state is being read back, when the snapshot came and at every start
/// afterwards.
#[test]
fn follower_killed_while_it_restores_a_snapshot_restores_it_again() {
    const TRIES: usize = 20;
    let mut cluster = TestCluster::start(3, SMALL);
    let follower = (cluster.leader() + 1) % 3;
    let is_restoring = |cluster: &TestCluster| {
        let status = cluster.status(follower)?;
        let number = |name: &str| redis::from_redis_value::<i64>(status.get(name)?.clone()).ok();
        let (snapshot, applied) = (number("snapshot")?, number("applied")?);
        (snapshot > 0).then_some(applied < snapshot)
    };
    let was_caught = (1..=TRIES).any(|number| {
        fall_behind(&mut cluster, follower, 0..10_000 + number);
        cluster.start_member(follower);
        let was_caught = until("a snapshot", || is_restoring(&cluster));
        cluster.kill(follower);
        if !was_caught {
            cluster.start_member(follower);
            cluster.wait_for_catch_up(follower);
        }
        was_caught
    });
    assert!(was_caught, "in {TRIES} tries the follower was never killed in the middle");
    for _ in 0..3 {
        let log = cluster.log_path(follower);
        let opened = || std::fs::read_to_string(&log).unwrap().matches("log opened").count();
        let before = opened();
        cluster.start_member(follower);
        // What comes next is to restore.
        until("the log to be opened", || (opened() > before).then_some(()));
        cluster.kill(follower);
    }
    cluster.start_member(follower);
    cluster.wait_for_catch_up(follower);
    check_filled(&cluster, follower, 0..10_000);
}

/// Scenario S102: six times as much is written as may lie around at any time.
#[test]
fn disk_use_stays_bounded_however_long_the_same_keys_are_overwritten() {
    const KEYS: usize = 200;
    const ROUNDS: usize = 500;
    const BYTES_MAX: u64 = 16 << 20;
    let options =
        ["--snapshot-log-bytes", "1000000", "--retained-entries", "10", "--segment-bytes", "1048576"];
    let cluster = TestCluster::start(3, &options);
    let mut connection = cluster.connect(0);
    let mut largest = 0;
    for _ in 0..ROUNDS {
        fill(&mut connection, 0..KEYS);
        let used = (0..3).map(|at| disk_use(&cluster.data_dir(at))).max().unwrap();
        largest = largest.max(used);
    }
    let written = (KEYS * ROUNDS * PADDING) as u64;
    assert!(largest < BYTES_MAX, "{largest} bytes on one disk at a time, {written} written");
    (0..3).for_each(|at| check_filled(&cluster, at, 0..KEYS));
}

fn disk_use(data: &Path) -> u64 {
    let entries = std::fs::read_dir(data).unwrap();
    // A file may go meanwhile.
    entries.filter_map(|entry| entry.unwrap().metadata().ok()).map(|file| file.len()).sum()
}
