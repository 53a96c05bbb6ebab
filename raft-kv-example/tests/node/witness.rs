//! Two full nodes and a witness as real processes: either full node may die.

use std::path::Path;

use crate::common::{TestCluster, set, until};
use crate::ledger::{check_nothing_is_lost, while_clients_write};
use crate::membership::{order, wait_for_roles};
use redis::Commands;

/// The third node keeps no data, and yet nothing that was acknowledged is lost with either of the others.
#[test]
fn two_full_nodes_and_a_witness_survive_the_loss_of_either() {
    const MARKER: &str = "a value that only full nodes keep";
    // Snapshots all the time, so that everybody who was away gets one.
    let small = ["--snapshot-log-entries", "50", "--retained-entries", "20"];
    let mut cluster = TestCluster::start(2, &small);
    let witness = cluster.join_with(0, &["--as", "witness"]);
    let roles = [(1, "voter"), (2, "voter"), (3, "witness")].map(|(id, role)| (id, role.to_owned()));
    (0..3).for_each(|at| wait_for_roles(&cluster, at, &roles.clone().into()));
    set(&mut cluster.connect(0), "marker", MARKER);
    for dead in [0, 1] {
        // The one that leads dies first, so the other one must take over with the witness's help.
        let dead = if dead == 0 { cluster.leader() } else { 1 - cluster.leader() };
        let ports = cluster.ports[..2].to_vec();
        let ledgers = while_clients_write(&ports, |writes| {
            writes.wait_for_more(1000);
            cluster.kill(dead);
            writes.wait_for_more(1000);
        });
        check_nothing_is_lost(&cluster, 1 - dead, &ledgers);
        cluster.start_member(dead);
        cluster.wait_for_catch_up(dead);
        check_nothing_is_lost(&cluster, dead, &ledgers);
    }
    until("the witness to hear of all", || {
        let last = cluster.number(cluster.leader(), "last")?;
        (cluster.number(witness, "last")? >= last).then_some(())
    });
    let snapshots = [0, 1, 2].map(|at| cluster.number(at, "snapshot"));
    assert!(snapshots.iter().all(|index| *index > Some(0)), "{snapshots:?} were taken, or sent");
    (0..2).for_each(|at| assert!(holds(&cluster.data_dir(at), MARKER), "node {at}"));
    assert!(!holds(&cluster.data_dir(witness), MARKER));
}

#[test]
fn witness_says_what_it_is_and_serves_nobody() {
    let mut cluster = TestCluster::start(1, &[]);
    let witness = cluster.join_with(0, &["--as", "witness"]);
    until("the witness to know what it is", || {
        let role: String = redis::from_redis_value(cluster.status(witness)?.remove("role")?).ok()?;
        (role == "witness").then_some(())
    });
    let mut connection = cluster.connect(witness);
    let read = connection.get::<_, Option<String>>("key").unwrap_err();
    let write = connection.set::<_, _, ()>("key", 1).unwrap_err();
    let session = redis::cmd("RAFT.SESSION").query::<i64>(&mut connection).unwrap_err();
    for error in [read, write, session] {
        assert_eq!(error.code(), Some("WITNESS"), "{error}");
    }
    let order_error = |words: &[&str]| {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]).query::<()>(&mut cluster.connect(0)).unwrap_err().to_string()
    };
    assert!(order_error(&["RAFT.TRANSFER", "2"]).contains("is a witness"));
    assert!(order_error(&["RAFT.PROMOTE", "2"]).contains("cannot turn from a witness"));
    set(&mut cluster.connect(0), "key", "1");
    order(&cluster, &["RAFT.REMOVE", "2"]);
    set(&mut cluster.connect(0), "key", "2");
    // One that nobody can reach is not waited for, although the founder is alone.
    order(&cluster, &["RAFT.ADD", "9", "127.0.0.1:1", "127.0.0.1:2", "WITNESS"]);
    set(&mut cluster.connect(0), "key", "3");
    order(&cluster, &["RAFT.REMOVE", "9"]);
    set(&mut cluster.connect(0), "key", "4");
}

/// Whether a file of the directory holds the text.
fn holds(dir: &Path, text: &str) -> bool {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).any(|path| {
        // One that is gone meanwhile holds nothing.
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}
