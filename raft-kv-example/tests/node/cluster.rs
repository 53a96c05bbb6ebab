//! Three real node processes and what happens to them: crashes, pauses, restarts.

use std::time::{Duration, Instant};

use crate::common::{TestCluster, info, set, until};
use crate::ledger::{check_nothing_is_lost, while_clients_write};
use redis::Commands;
use rustix::process::Signal;

#[test]
fn write_at_one_node_is_read_at_any_other_at_once() {
    let cluster = TestCluster::start(3, &[]);
    let mut connections: Vec<_> = (0..3).map(|at| cluster.connect(at)).collect();
    for round in 0..30 {
        let (from, to) = (round % 3, (round / 3) % 3);
        let _: () = connections[from].set("key", round).unwrap();
        let read: usize = connections[to].get("key").unwrap();
        assert_eq!(read, round, "written at {from}, read at {to}");
    }
}

#[test]
fn acknowledged_writes_survive_the_leader_and_then_everybody() {
    let mut cluster = TestCluster::start(3, &[]);
    let leader = cluster.leader();
    let ports = cluster.ports.clone();
    let ledgers = while_clients_write(&ports, |writes| {
        writes.wait_for_more(3000);
        cluster.signal(leader, Signal::KILL);
        writes.wait_for_more(3000);
        // All at once, in the middle of it.
        (0..3).filter(|at| *at != leader).for_each(|at| cluster.signal(at, Signal::KILL));
    });
    for at in 0..3 {
        cluster.wait_for_exit(at);
    }
    (0..3).for_each(|at| cluster.start_node(at));
    cluster.leader();
    (0..3).for_each(|at| check_nothing_is_lost(&cluster, at, &ledgers));
}

#[test]
fn new_leader_takes_over_soon_and_hardly_anyone_notices() {
    let mut cluster = TestCluster::start(3, &[]);
    let leader = cluster.leader();
    let mut connection = cluster.connect((leader + 1) % 3);
    let _: () = connection.set("key", 1).unwrap();
    cluster.kill(leader);
    let begun = Instant::now();
    // Held until there is a leader again; refused or unknown only if it was on its way to the old one.
    set(&mut connection, "key", "2");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_ne!(cluster.leader_other_than(leader), leader);
}

#[test]
fn stopped_follower_catches_up() {
    let cluster = TestCluster::start(3, &[]);
    let leader = cluster.leader();
    let follower = (leader + 1) % 3;
    let mut connection = cluster.connect(leader);
    cluster.signal(follower, Signal::STOP);
    write_many(&mut connection, 5000);
    cluster.signal(follower, Signal::CONT);
    cluster.wait_for_catch_up(follower);
    let last: usize = cluster.connect(follower).get("k:4999").unwrap();
    assert_eq!(last, 4999);
}

#[test]
fn killed_follower_catches_up_after_its_restart() {
    let mut cluster = TestCluster::start(3, &[]);
    let leader = cluster.leader();
    let follower = (leader + 1) % 3;
    let mut connection = cluster.connect(leader);
    write_many(&mut connection, 1000);
    cluster.kill(follower);
    write_many(&mut connection, 5000);
    cluster.start_node(follower);
    cluster.wait_for_catch_up(follower);
    let last: usize = cluster.connect(follower).get("k:4999").unwrap();
    assert_eq!(last, 4999);
}

fn write_many(connection: &mut redis::Connection, count: usize) {
    for from in (0..count).step_by(100) {
        let mut pipe = redis::pipe();
        (from..from + 100).for_each(|n| {
            pipe.set(format!("k:{n}"), n).ignore();
        });
        let _: () = pipe.query(connection).unwrap();
    }
}

/// A leader that was paused while others went on must not answer from its past (S49, N18).
fn check_that_a_paused_leader_gives_no_stale_answers(options: &[&str]) {
    let cluster = TestCluster::start(3, options);
    for round in 0..2 {
        let (old, key) = (cluster.leader(), format!("key:{round}"));
        let mut at_old: Vec<_> = (0..20).map(|_| cluster.connect(old)).collect();
        set(&mut at_old[0], &key, "before");
        let read = redis::cmd("GET").arg(&key).get_packed_command();
        // Some may be answered before the pause, and some are amid their way when it begins.
        at_old[..10].iter_mut().for_each(|reader| reader.send_packed_command(&read).unwrap());
        cluster.signal(old, Signal::STOP);
        let new = cluster.leader_other_than(old);
        set(&mut cluster.connect(new), &key, "after");
        // The pause itself: ten election timeouts.
        std::thread::sleep(Duration::from_millis(2500));
        // Waits in the socket until the old leader goes on.
        at_old[10..].iter_mut().for_each(|reader| reader.send_packed_command(&read).unwrap());
        cluster.signal(old, Signal::CONT);
        for reader in &mut at_old[10..] {
            if let Ok(answer) = reader.recv_response() {
                assert_eq!(redis::from_redis_value::<String>(answer).unwrap(), "after");
            }
        }
        let mut again = cluster.connect(old);
        until("the old leader to follow", || {
            let found = again.get::<_, String>(&key).ok()?;
            assert_eq!(found, "after");
            Some(())
        });
    }
}

#[test]
fn paused_leader_gives_no_stale_answers() {
    check_that_a_paused_leader_gives_no_stale_answers(&[]);
}

#[test]
fn paused_leader_gives_no_stale_answers_from_a_lease() {
    check_that_a_paused_leader_gives_no_stale_answers(&["--lease-reads"]);
}

#[test]
fn lease_spares_reads_at_the_leader_their_rounds() {
    const READS: u64 = 500;
    for (options, is_spared) in [(&["--lease-reads"][..], true), (&[], false)] {
        let cluster = TestCluster::start(3, options);
        let leader = cluster.leader();
        let mut connection = cluster.connect(leader);
        set(&mut connection, "key", "value");
        for _ in 0..READS {
            assert_eq!(connection.get::<_, String>("key").unwrap(), "value");
        }
        let lease_reads = info(&cluster, leader, "raft_lease_reads");
        assert_eq!(lease_reads > READS / 2, is_spared, "{lease_reads} reads on a lease");
    }
}

#[test]
fn without_a_majority_writes_are_refused_or_unknown_and_never_acknowledged() {
    let mut cluster = TestCluster::start(3, &["--hold-ms", "300", "--answer-ms", "1000"]);
    let leader = cluster.leader();
    (0..3).filter(|at| *at != leader).for_each(|at| cluster.kill(at));
    let mut connection = cluster.connect(leader);
    let mut codes = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        let error = connection.set::<_, _, ()>("key", 1).unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(3));
        codes.push(error.code().unwrap_or("?").to_owned());
    }
    assert!(codes.iter().all(|code| code == "UNKNOWN" || code == "CLUSTERDOWN"), "{codes:?}");
    assert_eq!(codes.last().unwrap(), "CLUSTERDOWN", "the leader should have stepped down");
    let error = connection.get::<_, Option<String>>("key").unwrap_err();
    assert_eq!(error.code(), Some("CLUSTERDOWN"));
    assert!(cluster.status(leader).is_some());
}

#[test]
fn increments_and_compare_and_set_through_all_nodes_happen_once_each() {
    const EACH: i64 = 100;
    let cluster = TestCluster::start(3, &[]);
    let _: () = cluster.connect(0).set("owner", "nobody").unwrap();
    let winners: Vec<i64> = std::thread::scope(|scope| {
        let clients = (0..3).map(|at| {
            let cluster = &cluster;
            scope.spawn(move || {
                let mut connection = cluster.connect(at);
                for _ in 0..EACH {
                    let _: i64 = connection.incr("counter", 1).unwrap();
                }
                let mut command = redis::cmd("CAS");
                command.arg("owner").arg("nobody").arg(at).query::<i64>(&mut connection).unwrap()
            })
        });
        let clients: Vec<_> = clients.collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert_eq!(winners.iter().sum::<i64>(), 1, "{winners:?}");
    assert_eq!(cluster.connect(1).get::<_, i64>("counter").unwrap(), EACH * 3);
}
