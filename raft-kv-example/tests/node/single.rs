//! One real node process: what clients may rely on, and what refuses to start.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::common::{PATIENCE, TestCluster, refusal, refusal_of};
use redis::{Commands, Value};
use rustix::process::Signal;

fn open_raw(cluster: &TestCluster) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", cluster.ports[0])).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Reads exactly as much as is expected and compares.
fn expect(stream: &mut TcpStream, expected: &str) {
    let mut found = vec![0; expected.len()];
    stream.read_exact(&mut found).unwrap();
    assert_eq!(String::from_utf8_lossy(&found), expected);
}

#[test]
fn replies_come_in_the_order_of_requests_however_they_are_cut() {
    let cluster = TestCluster::start(1, &[]);
    let requests = "SET k 1\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n\
                    KEYS *\r\nDEL k\r\nGET k\r\nnonsense\r\n";
    let replies = "+OK\r\n$1\r\n1\r\n+PONG\r\n:2\r\n*1\r\n$1\r\nk\r\n:1\r\n$-1\r\n\
                   -ERR unknown command 'nonsense', with args beginning with: \r\n";
    let mut stream = open_raw(&cluster);
    for piece in [1, 2, 3, 7, 20, 1000] {
        for bytes in requests.as_bytes().chunks(piece) {
            stream.write_all(bytes).unwrap();
        }
        expect(&mut stream, replies);
    }
}

#[test]
fn deep_pipeline_is_answered_in_full() {
    let cluster = TestCluster::start(1, &[]);
    let mut connection = cluster.connect(0);
    let mut pipe = redis::pipe();
    for n in 0..50_000 {
        pipe.set(n, n).ignore().get(n);
    }
    let read: Vec<usize> = pipe.query(&mut connection).unwrap();
    assert!(read.iter().copied().eq(0..50_000));
}

#[test]
fn both_versions_of_the_protocol_and_transactions_work_with_a_client_library() {
    let cluster = TestCluster::start(1, &[]);
    for version in ["", "?protocol=resp3"] {
        let client =
            redis::Client::open(format!("redis://127.0.0.1:{}/{version}", cluster.ports[0])).unwrap();
        let mut connection = client.get_connection().unwrap();
        let _: () = redis::cmd("FLUSHALL").query(&mut connection).unwrap();
        let (first, second): (i64, i64) =
            redis::pipe().atomic().incr("n", 1).incr("n", 1).query(&mut connection).unwrap();
        assert_eq!((first, second), (1, 2));
        let values: Vec<Option<i64>> = connection.mget(&["n", "none"]).unwrap();
        assert_eq!(values, [Some(2), None]);
        let mut names: Vec<String> = (0..100).map(|n| format!("key:{n}")).collect();
        let pairs: Vec<_> = names.iter().map(|name| (name, 1)).collect();
        let _: () = connection.mset(&pairs).unwrap();
        let mut found: Vec<String> =
            connection.scan_match("key:*").unwrap().collect::<Result<_, _>>().unwrap();
        names.sort();
        found.sort();
        assert_eq!(found, names);
        let status: std::collections::HashMap<String, Value> =
            redis::cmd("RAFT.STATUS").query(&mut connection).unwrap();
        assert_eq!(status["leader"], Value::Int(1));
    }
}

#[test]
fn hostile_bytes_end_one_connection_and_nothing_else() {
    let cluster = TestCluster::start(1, &["--value-bytes-max", "1000", "--key-bytes-max", "100"]);
    let mut good = cluster.connect(0);
    let nested = "*1\r\n".repeat(10_000);
    for bytes in ["*999999999\r\n", "*1\r\n$999999999999\r\n", "*2\r\n:5\r\n", &nested] {
        let mut stream = open_raw(&cluster);
        stream.write_all(bytes.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("-ERR Protocol error"), "{answer}");
    }
    let long = good.set::<_, _, ()>("k".repeat(200), 1).unwrap_err();
    assert!(long.to_string().contains("key is longer than 100 bytes"), "{long}");
    let _: () = good.set("k", "v").unwrap();
    assert_eq!(good.get::<_, String>("k").unwrap(), "v");
}

#[test]
fn many_idle_clients_cost_little_and_one_too_many_is_turned_away() {
    const CLIENTS: usize = 500;
    let limit = CLIENTS.to_string();
    let cluster = TestCluster::start(1, &["--clients-max", &limit]);
    let mut clients: Vec<TcpStream> = Vec::new();
    let mut turned_away = None;
    // Connections that asked for the status may still be on their way out.
    while turned_away.is_none() {
        let mut stream = open_raw(&cluster);
        stream.write_all(b"PING\r\n").unwrap();
        let mut first = [0; 5];
        stream.read_exact(&mut first).unwrap();
        match &first {
            b"+PONG" => clients.push(stream),
            _ => turned_away = Some(String::from_utf8_lossy(&first).into_owned()),
        }
        assert!(clients.len() <= CLIENTS);
    }
    assert_eq!(turned_away.as_deref(), Some("-ERR "));
    assert!(clients.len() > CLIENTS - 10, "{}", clients.len());
    let last = clients.last_mut().unwrap();
    expect(last, "\r\n");
    last.write_all(b"SET k v\r\n").unwrap();
    expect(last, "+OK\r\n");
}

#[test]
fn client_that_does_not_read_is_not_waited_for() {
    let cluster = TestCluster::start(1, &[]);
    let mut good = cluster.connect(0);
    let _: () = good.set("big", "x".repeat(1 << 20)).unwrap();
    let mut lazy = open_raw(&cluster);
    lazy.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let many = "GET big\r\n".repeat(1000);
    // The node stops reading once its answers are not taken, or closes the connection.
    let _ = lazy.write_all(many.as_bytes());
    let _: () = good.set("k", "v").unwrap();
    assert_eq!(good.get::<_, String>("k").unwrap(), "v");
}

#[test]
fn signals_end_the_node_cleanly_and_its_data_stays() {
    let mut cluster = TestCluster::start(1, &[]);
    for (round, signal) in [Signal::TERM, Signal::INT].into_iter().enumerate() {
        let mut connection = cluster.connect(0);
        let _: () = connection.set(format!("key:{round}"), round).unwrap();
        cluster.signal(0, signal);
        assert_eq!(cluster.wait_for_exit(0).code(), Some(0));
        cluster.start_node(0);
        cluster.leader();
        for earlier in 0..=round {
            assert_eq!(cluster.connect(0).get::<_, usize>(format!("key:{earlier}")).unwrap(), earlier);
        }
    }
}

#[test]
fn taken_ports_are_named_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = refusal(&dir.path().join("a"), &address, "1=127.0.0.1:0", &[]);
    assert!(text.contains(&address) && text.contains("--listen"), "{text}");
    let text = refusal(&dir.path().join("b"), "127.0.0.1:0", &format!("1={address}"), &[]);
    assert!(text.contains(&address) && text.contains("--peer-listen"), "{text}");
}

#[test]
fn refused_start_leaves_no_directory_behind() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let taken_peer = format!("1={taken}");
    let (free, free_peer) = ("127.0.0.1:0", "1=127.0.0.1:0");
    let cases = [
        (free, &*taken_peer, &[][..], "--peer-listen"),
        (free, "1=no-such-host.invalid:1", &[], "no-such-host.invalid:1"),
        (free, free_peer, &["--peer-listen", "no-such-host.invalid:1"], "--peer-listen: 'no-such"),
        (free, "1=127.0.0.1:1,2=127.0.0.1:1", &[], "cannot both be at 127.0.0.1:1"),
        (&taken, free_peer, &[], "--listen"),
        ("no-such-host.invalid:1", free_peer, &[], "--listen: 'no-such-host.invalid:1'"),
    ];
    for (listen, peers, more, part) in cases {
        let text = refusal(&data, listen, peers, more);
        assert!(text.contains(part), "{part} in {text}");
        assert!(!data.exists(), "{part}");
    }
}

#[test]
fn directory_in_use_or_unusable_or_of_another_node_is_refused() {
    let mut cluster = TestCluster::start(1, &[]);
    let dir = cluster.data_dir(0);
    let name = dir.display().to_string();
    let text = refusal(&dir, "127.0.0.1:0", "1=127.0.0.1:0", &[]);
    assert!(text.contains(&name), "{text}");
    cluster.kill(0);
    let text = refusal(&dir, "127.0.0.1:0", "1=127.0.0.1:0", &["--cluster", "77"]);
    assert!(text.contains(&name), "{text}");
    // No one, not even root, can make a directory inside a file.
    let file = cluster.log_path(0).join("inside");
    let text = refusal(&file, "127.0.0.1:0", "1=127.0.0.1:0", &[]);
    assert!(text.contains(&file.display().to_string()), "{text}");
}

/// A node that has lost its disk has forgotten its votes. Started as it is every day, it must not vote
/// again; and what founds it must not be what it is started with every day.
#[test]
fn node_begins_anew_only_where_it_is_told_to_and_never_twice_f24() {
    let mut cluster = TestCluster::start(1, &[]);
    let _: () = cluster.connect(0).set("key", 1).unwrap();
    cluster.kill(0);
    let (dir, peers) = (cluster.data_dir(0), cluster.peers.clone());
    let every_day = ["--id", "1", "--listen", "127.0.0.1:0", "--peers", &peers];
    let founding = [&every_day[..], &["--init"]].concat();
    let text = refusal_of(&dir, &founding);
    assert!(text.contains("holds a node already; leave --init out"), "{text}");
    let saved = dir.with_extension("saved");
    std::fs::rename(&dir, &saved).unwrap();
    let text = refusal_of(&dir, &every_day);
    for part in ["holds no node", "--init with --peers to found", "--join HOST:PORT", "never used"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!dir.exists());
    // A fresh disk is not always empty.
    std::fs::create_dir_all(dir.join("lost+found")).unwrap();
    let text = refusal_of(&dir, &every_day);
    assert!(text.contains("holds no node"), "{text}");
    std::fs::remove_dir_all(&dir).unwrap();
    std::fs::rename(&saved, &dir).unwrap();
    cluster.start_node(0);
    cluster.leader();
    assert_eq!(cluster.connect(0).get::<_, i64>("key").unwrap(), 1);
}

#[test]
fn bad_settings_are_refused_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let text = refusal(dir.path(), "127.0.0.1:0", "2=127.0.0.1:0", &[]);
    assert!(text.contains("--id 1 is not among --peers; list this node there too"), "{text}");
    let text = refusal(dir.path(), "6379", "1=127.0.0.1:0", &[]);
    assert!(text.contains("--listen: '6379' is no address; write HOST:PORT"), "{text}");
}
