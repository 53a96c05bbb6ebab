//! Real node processes whose cluster changes: nodes join, are promoted, lead, and leave.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::{PATIENCE, TestCluster, refusal_of, until};
use redis::{Commands, RedisResult, Value};

/// Gives an order to the leader, wherever that is; again while it says so.
pub(crate) fn order(cluster: &TestCluster, words: &[&str]) {
    let refusal = until("an order to be carried out", || match try_order(cluster, cluster.leader(), words) {
        Ok(()) => Some(None),
        Err(line) => {
            let is_passing = ["TryAgain", "ClusterDown", "NOTLEADER"];
            (!is_passing.iter().any(|code| line.contains(code))).then_some(Some(line))
        }
    });
    assert_eq!(refusal, None, "{words:?}");
}

fn try_order(cluster: &TestCluster, at: usize, words: &[&str]) -> Result<(), String> {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query(&mut cluster.connect(at)).map_err(|error| error.to_string())
}

/// Every member's role, by id.
fn roles(cluster: &TestCluster, at: usize) -> Option<BTreeMap<i64, String>> {
    let role = |mut fields: HashMap<String, Value>| {
        let id: i64 = redis::from_redis_value(fields.remove("id")?).ok()?;
        Some((id, redis::from_redis_value(fields.remove("role")?).ok()?))
    };
    cluster.members(at)?.into_iter().map(role).collect()
}

/// Waits until a node says that the members have these roles.
pub(crate) fn wait_for_roles(cluster: &TestCluster, at: usize, expected: &BTreeMap<i64, String>) {
    until("the roles", || roles(cluster, at).filter(|roles| roles == expected));
}

fn voters(ids: &[i64]) -> BTreeMap<i64, String> {
    ids.iter().map(|id| (*id, "voter".to_owned())).collect()
}

/// What a writer wrote and what it was told.
#[derive(Default)]
struct Ledger {
    acknowledged: BTreeMap<String, usize>,
    unknown: usize,
    refused: usize,
}

/// Writes keys of its own, each until it is acknowledged, at a bounded rate.
fn write_steadily(ports: &[u16], name: usize, stop: &AtomicBool, total: &AtomicUsize) -> Ledger {
    let mut ledger = Ledger::default();
    let (mut at, mut number, mut connection) = (name, 0_usize, None);
    while !stop.load(Ordering::Acquire) {
        if connection.is_none() {
            at = (at + 1) % ports.len();
            let client = redis::Client::open(format!("redis://127.0.0.1:{}/", ports[at])).unwrap();
            connection = client.get_connection_with_timeout(Duration::from_secs(1)).ok();
        }
        let Some(open) = connection.as_mut() else { continue };
        open.set_read_timeout(Some(PATIENCE)).unwrap();
        let key = format!("m:{name}:{number}");
        let result: RedisResult<()> = open.set(&key, number);
        match result {
            Ok(()) => {
                ledger.acknowledged.insert(key, number);
                number += 1;
                total.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                match error.code() {
                    Some("TRYAGAIN" | "CLUSTERDOWN" | "BUSY") => ledger.refused += 1,
                    _ => ledger.unknown += 1,
                }
                connection = None;
            }
        }
        // The rate of a polite client.
        std::thread::sleep(Duration::from_millis(2));
    }
    ledger
}

fn check_nothing_is_lost(cluster: &TestCluster, at: usize, ledgers: &[Ledger]) {
    let mut connection = cluster.connect(at);
    for ledger in ledgers {
        for (key, number) in &ledger.acknowledged {
            let found: Option<usize> = until("a read", || connection.get(key).ok());
            assert_eq!(found, Some(*number), "{key}");
        }
    }
}

/// Newcomer, voter, leader; then the old leader goes, and snapshots are taken. Writers hardly notice.
#[test]
fn new_node_takes_the_old_leaders_place_under_load() {
    let mut cluster = TestCluster::start(3, &[]);
    let old = cluster.leader();
    let (stop, total) = (AtomicBool::new(false), AtomicUsize::new(0));
    // They connect to the nodes that stay.
    let stay: Vec<usize> = (0..3).filter(|at| *at != old).collect();
    let ports: Vec<u16> = stay.iter().map(|at| cluster.ports[*at]).collect();
    let ledgers: Vec<Ledger> = std::thread::scope(|scope| {
        let (ports, stop, total) = (&ports, &stop, &total);
        let writers: Vec<_> =
            (0..3).map(|name| scope.spawn(move || write_steadily(ports, name, stop, total))).collect();
        let wait_for_more = || {
            let from = total.load(Ordering::Relaxed);
            until("more writes", || (total.load(Ordering::Relaxed) >= from + 100).then_some(()));
        };
        let story = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for_more();
            let new = cluster.join(stay[0]);
            wait_for_roles(&cluster, new, &voters(&[1, 2, 3, 4]));
            wait_for_more();
            order(&cluster, &["RAFT.TRANSFER", "4"]);
            until("the newcomer to lead", || (cluster.number(new, "leader") == Some(4)).then_some(()));
            wait_for_more();
            order(&cluster, &["RAFT.REMOVE", &(old + 1).to_string()]);
            wait_for_more();
            for at in [stay[0], stay[1], new] {
                let _: Value = redis::cmd("RAFT.SNAPSHOT").query(&mut cluster.connect(at)).unwrap();
            }
            wait_for_more();
            // The removed node goes on for a while and does no harm.
            let term = cluster.number(new, "term");
            wait_for_more();
            assert_eq!((cluster.number(new, "term"), cluster.number(new, "leader")), (term, Some(4)));
        }));
        stop.store(true, Ordering::Release);
        let ledgers = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        story.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ledgers
    });
    for ledger in &ledgers {
        assert_eq!(ledger.refused, 0, "a definite refusal is held back and tried again by the node");
        assert!(ledger.unknown <= 1, "{} writes were in flight at one hand-over", ledger.unknown);
    }
    check_nothing_is_lost(&cluster, 3, &ledgers);
    cluster.kill(old);
    let members = voters(&[1, 2, 3, 4].into_iter().filter(|id| *id != old as i64 + 1).collect::<Vec<_>>());
    for at in [stay[0], stay[1], 3] {
        cluster.kill(at);
    }
    // Nobody needs --join or --peers any more.
    for at in [stay[0], stay[1], 3] {
        cluster.start_member(at);
    }
    let leader = cluster.leader();
    assert_eq!(roles(&cluster, leader), Some(members));
    check_nothing_is_lost(&cluster, leader, &ledgers);
}

#[test]
fn orders_are_refused_with_a_line_that_says_what_to_do() {
    let cluster = TestCluster::start(3, &[]);
    let leader = cluster.leader();
    let at_leader = |words: &[&str]| try_order(&cluster, leader, words).unwrap_err();
    let follower = (leader + 1) % 3;
    let moved = until("the leader's address to be known", || {
        let line = try_order(&cluster, follower, &["RAFT.REMOVE", "9"]).unwrap_err();
        line.contains("send the command to").then_some(line)
    });
    assert!(moved.contains("NOTLEADER"), "{moved}");
    assert!(moved.contains(&format!("127.0.0.1:{}", cluster.ports[leader])), "{moved}");
    let founder = cluster.peers.split(',').next().unwrap().strip_prefix("1=").unwrap().to_owned();
    for (words, part) in [
        (&["RAFT.REMOVE", "9"][..], "node 9 is no member"),
        (&["RAFT.REMOVE", "x"], "a node's id is a number from 1 up"),
        (&["RAFT.PROMOTE", "1"], "has this role already"),
        (&["RAFT.TRANSFER", "9"], "node 9 is no member"),
        (&["RAFT.ADD", "4", "nowhere"], "an address is HOST:PORT"),
        (&["RAFT.ADD", "1", "127.0.0.1:1"], "belongs to the member at"),
        (&["RAFT.ADD", "1", &founder, "LEARNER"], "is a member in another role"),
    ] {
        let line = at_leader(words);
        assert!(line.contains(part), "{words:?}: {line}");
    }
    // Somebody who is not there, does not hold anything up, and can be let go again.
    order(&cluster, &["RAFT.ADD", "7", "127.0.0.1:9"]);
    assert_eq!(roles(&cluster, leader).unwrap()[&7], "joining");
    let line = at_leader(&["RAFT.TRANSFER", "7"]);
    assert!(line.contains("is catching up and does not vote yet; try again"), "{line}");
    order(&cluster, &["RAFT.DEMOTE", "7"]);
    assert!(at_leader(&["RAFT.TRANSFER", "7"]).contains("promote it first"));
    order(&cluster, &["RAFT.REMOVE", "7"]);
}

#[test]
fn voter_becomes_a_learner_and_the_leader_may_remove_itself() {
    let cluster = TestCluster::start(3, &[]);
    let leader = cluster.leader();
    let follower = (leader + 1) % 3;
    let id = (follower + 1).to_string();
    order(&cluster, &["RAFT.DEMOTE", &id]);
    let role = roles(&cluster, cluster.leader()).unwrap().remove(&(follower as i64 + 1));
    assert_eq!(role.as_deref(), Some("learner"));
    order(&cluster, &["RAFT.PROMOTE", &id]);
    wait_for_roles(&cluster, leader, &voters(&[1, 2, 3]));
    order(&cluster, &["RAFT.REMOVE", &(leader + 1).to_string()]);
    let next = until("another leader", || {
        let others = (0..3).filter(|at| *at != leader);
        let leads = |at: &usize| cluster.number(*at, "leader") == Some(*at as i64 + 1);
        others.into_iter().find(leads)
    });
    let left: Vec<i64> = (1..=3).filter(|id| *id != leader as i64 + 1).collect();
    assert_eq!(roles(&cluster, next), Some(voters(&left)));
    let _: () = cluster.connect(next).set("key", 1).unwrap();
}

#[test]
fn other_peers_for_a_node_with_a_past_are_ignored_aloud() {
    let mut cluster = TestCluster::start(1, &[]);
    let warning = |cluster: &TestCluster| {
        let log = std::fs::read_to_string(cluster.log_path(0)).unwrap();
        log.lines().find(|line| line.contains("--peers differs")).map(str::to_owned)
    };
    cluster.kill(0);
    cluster.start_node(0);
    cluster.leader();
    assert_eq!(warning(&cluster), None, "the same peers are no reason to warn");
    cluster.kill(0);
    let founded = cluster.peers.clone();
    cluster.peers = format!("{founded},2=127.0.0.1:8,3=127.0.0.1:9");
    cluster.start_node(0);
    cluster.leader();
    let line = until("a warning", || warning(&cluster));
    for part in [&format!("members: {founded}"), &format!("peers: {}", cluster.peers), "RAFT.ADD", "--data"] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert_eq!(roles(&cluster, 0), Some(voters(&[1])));
}

#[test]
fn node_that_listens_elsewhere_than_the_others_look_for_it_says_so() {
    let mut cluster = TestCluster::start(1, &[]);
    let known = cluster.peer_addresses[0].clone();
    let port = known.rsplit_once(':').unwrap().1.to_owned();
    let other = format!("127.0.0.1:{}", raft_kv::free_ports::find(1).unwrap()[0]);
    for (listen, warnings) in [(format!("0.0.0.0:{port}"), 0), (other, 1)] {
        cluster.kill(0);
        cluster.peer_addresses[0] = listen;
        cluster.start_member(0);
        cluster.leader();
        let lines = until("the log", || {
            let log = std::fs::read_to_string(cluster.log_path(0)).unwrap();
            let lines = log.lines().filter(|line| line.contains("look for this one elsewhere"));
            let lines: Vec<_> = lines.map(str::to_owned).collect();
            (lines.len() == warnings).then_some(lines)
        });
        assert!(lines.iter().all(|line| line.contains(&known) && line.contains("--peer-advertise")));
    }
}

#[test]
fn node_that_cannot_join_says_what_to_do() {
    let cluster = TestCluster::start(1, &[]);
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let ports = raft_kv::free_ports::find(3).unwrap();
    let [listen, peer, nobody] = [0, 1, 2].map(|at| format!("127.0.0.1:{}", ports[at]));
    let member = format!("127.0.0.1:{}", cluster.ports[0]);
    let founder = cluster.peers.strip_prefix("1=").unwrap().to_owned();
    let own = ["--listen", &listen, "--peer-listen", &peer];
    for (settings, part) in [
        (&["--id", "2", "--join", &nobody][..], "nobody answers at"),
        (&["--id", "2", "--join", &founder], "is no member of a cluster"),
        (&["--id", "2", "--join", &member, "--cluster", "7"], "correct --join or --cluster"),
        (&["--id", "1", "--join", &member], "id 1 belongs to the member at"),
        (&["--id", "2"], "holds no node; give the right directory with --data"),
    ] {
        let said = refusal_of(&data, &[&own[..], settings].concat());
        assert!(said.contains(part), "{settings:?}: {said}");
        assert!(!data.exists(), "{settings:?} left a directory behind");
    }
    // Under the id and address of a voter, but without its data.
    let said =
        refusal_of(&data, &["--listen", &listen, "--peer-listen", &founder, "--id", "1", "--join", &member]);
    assert!(said.contains("--data holds nothing of it") || said.contains("cannot listen"), "{said}");
}

/// F24: the cluster knows the id, so the node is not taken in without its data, even where the directory is
/// not quite empty.
#[test]
fn member_that_lost_its_directory_is_not_taken_in_again_under_its_id() {
    let mut cluster = TestCluster::start(2, &[]);
    let witness = cluster.join_with(0, &["--as", "witness"]);
    wait_for_roles(&cluster, witness, &voters_and_witness());
    cluster.kill(witness);
    std::fs::remove_dir_all(cluster.data_dir(witness)).unwrap();
    std::fs::create_dir_all(cluster.data_dir(witness).join("lost+found")).unwrap();
    let member = format!("127.0.0.1:{}", cluster.ports[0]);
    cluster.start_with(witness, &["--join", &member, "--as", "witness"]);
    assert!(!cluster.wait_for_exit(witness).success());
    let log = std::fs::read_to_string(cluster.log_path(witness)).unwrap();
    assert!(log.contains("node 3 is a member already, but --data holds nothing of it"), "{log}");
}

fn voters_and_witness() -> BTreeMap<i64, String> {
    [voters(&[1, 2]), [(3, "witness".to_owned())].into()].into_iter().flatten().collect()
}

#[test]
fn cluster_without_a_leader_takes_nobody_in() {
    let mut cluster = TestCluster::start(2, &[]);
    cluster.kill(1);
    until("the leader to give up", || cluster.number(0, "leader").filter(|leader| *leader == 0));
    let dir = tempfile::tempdir().unwrap();
    let ports = raft_kv::free_ports::find(2).unwrap();
    let [listen, peer] = [0, 1].map(|at| format!("127.0.0.1:{}", ports[at]));
    let member = format!("127.0.0.1:{}", cluster.ports[0]);
    let settings = ["--id", "3", "--listen", &listen, "--peer-listen", &peer, "--join", &member];
    let said = refusal_of(&dir.path().join("data"), &settings);
    assert!(said.contains("has no leader that can be asked"), "{said}");
}

/// Diss. §4.2.1: whoever leads by then makes the newcomer a voter; nobody has to order it again.
#[test]
fn newcomer_becomes_a_voter_though_the_leader_dies_meanwhile() {
    let mut cluster = TestCluster::start(3, &[]);
    let old = cluster.leader();
    let ports = raft_kv::free_ports::find(2).unwrap();
    let address = format!("127.0.0.1:{}", ports[0]);
    // It is added, but does not run yet, so its promotion is left to the next leader.
    order(&cluster, &["RAFT.ADD", "4", &address]);
    cluster.kill(old);
    let leader = cluster.leader_other_than(old);
    assert_eq!(roles(&cluster, leader).unwrap()[&4], "joining");
    let dir = tempfile::tempdir().unwrap();
    let mut newcomer = crate::common::serve()
        .args(["--id", "4", "--peer-listen", &address, "--listen", &format!("127.0.0.1:{}", ports[1])])
        .args(["--join", &format!("127.0.0.1:{}", cluster.ports[leader]), "--data"])
        .arg(dir.path().join("data"))
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_for_roles(&cluster, leader, &voters(&[1, 2, 3, 4]));
    newcomer.kill().unwrap();
    newcomer.wait().unwrap();
}

#[test]
fn learner_stays_one_until_it_is_promoted() {
    let mut cluster = TestCluster::start(1, &[]);
    let new = cluster.join_with(0, &["--as", "learner"]);
    cluster.wait_for_catch_up(new);
    assert_eq!(roles(&cluster, new).unwrap()[&2], "learner");
    order(&cluster, &["RAFT.PROMOTE", "2"]);
    wait_for_roles(&cluster, new, &voters(&[1, 2]));
}

/// Its leader stops sending to it with the entry that removes it, so its own log never says so; that a node
/// was cut off when it was removed it cannot know at all.
#[test]
fn removed_node_says_so_whether_it_ran_or_not() {
    let mut cluster = TestCluster::start(4, &[]);
    let leader = cluster.leader();
    let [one, other] = [(leader + 1) % 4, (leader + 2) % 4];
    cluster.kill(other);
    for at in [one, other] {
        order(&cluster, &["RAFT.REMOVE", &(at + 1).to_string()]);
    }
    cluster.start_member(other);
    for at in [one, other] {
        until("the node to know", || cluster.number(at, "removed").filter(|removed| *removed == 1));
        let mut connection = cluster.connect(at);
        for words in [&["SET", "k", "v"][..], &["GET", "k"], &["RAFT.REMOVE", "1"]] {
            let result: RedisResult<()> = redis::cmd(words[0]).arg(&words[1..]).query(&mut connection);
            assert_eq!(result.unwrap_err().code(), Some("NOTMEMBER"), "{words:?}");
        }
        let log = std::fs::read_to_string(cluster.log_path(at)).unwrap();
        assert_eq!(log.matches("the cluster goes on without this node").count(), 1, "{log}");
        assert!(log.matches("pre-candidate").count() <= 2, "{log}");
    }
    assert_eq!(cluster.number(leader, "removed"), Some(0));
}

/// With nodes in one domain alone nothing is acknowledged, although they are a majority.
#[test]
fn writes_wait_for_a_second_failure_domain() {
    let mut cluster = TestCluster::start(3, &["--commit-domains-min", "2", "--answer-ms", "1000"]);
    let leader = cluster.leader();
    let far = (leader + 1) % 3;
    for at in 0..3 {
        let domain = if at == far { "2" } else { "1" };
        order(&cluster, &["RAFT.DOMAIN", &(at + 1).to_string(), domain]);
    }
    let write = |cluster: &TestCluster| cluster.connect(cluster.leader()).set::<_, _, ()>("key", 1);
    until("a write in two domains", || write(&cluster).ok());
    cluster.kill(far);
    let refusal = write(&cluster).unwrap_err();
    assert_eq!(refusal.code(), Some("UNKNOWN"), "{refusal}");
    cluster.start_member(far);
    until("a write in two domains again", || write(&cluster).ok());
}
