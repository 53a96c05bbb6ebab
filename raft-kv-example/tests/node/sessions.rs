//! Clients' sessions on real node processes: whatever is lost on the way, a call is carried out once,
//! and answered alike each time.

use std::io::Write;
use std::net::TcpStream;

use crate::common::{TestCluster, until};
use redis::{Commands, Connection, RedisResult};
use rustix::process::Signal;

fn open_session(cluster: &TestCluster, at: usize) -> i64 {
    until("a session", || redis::cmd("RAFT.SESSION").query(&mut cluster.connect(at)).ok())
}

/// One copy of a call; `words` follow its number.
fn once(connection: &mut Connection, session: i64, call: i64, words: &[&str]) -> RedisResult<i64> {
    redis::cmd("RAFT.ONCE").arg(session).arg(call).arg(words).query(connection)
}

fn code(result: RedisResult<i64>) -> String {
    result.unwrap_err().code().unwrap_or("?").to_owned()
}

/// Repeats a call at one node after the other until it is answered. Gives the answer, and how often it
/// was not known whether the call had been carried out.
fn repeat(cluster: &TestCluster, from: usize, session: i64, call: i64, words: &[&str]) -> (i64, usize) {
    let (mut at, mut doubts) = (from, 0);
    let answer = until("an answer", || {
        at += 1;
        let mut connection = cluster.try_connect(at % cluster.size())?;
        match once(&mut connection, session, call, words) {
            Ok(answer) => Some(answer),
            Err(error) => {
                let code = error.code().unwrap_or("UNKNOWN");
                assert!(["UNKNOWN", "TRYAGAIN", "CLUSTERDOWN"].contains(&code), "{error}");
                doubts += usize::from(code == "UNKNOWN");
                None
            }
        }
    });
    (answer, doubts)
}

/// S76: the request leaves, and the client is gone before it can hear the answer.
#[test]
fn call_whose_reply_is_lost_is_carried_out_once() {
    let cluster = TestCluster::start(3, &[]);
    let session = open_session(&cluster, 0);
    for call in 1..=60 {
        let at = usize::try_from(call).unwrap() % 3;
        let mut lost = TcpStream::connect(("127.0.0.1", cluster.ports[at])).unwrap();
        lost.write_all(format!("RAFT.ONCE {session} {call} INCR n\r\n").as_bytes()).unwrap();
        drop(lost);
        let mut other = cluster.connect((at + 1) % 3);
        assert_eq!(once(&mut other, session, call, &["INCR", "n"]).unwrap(), call);
        assert_eq!(once(&mut other, session, call, &["INCR", "n"]).unwrap(), call, "the same once more");
    }
    assert_eq!(cluster.connect(0).get::<_, i64>("n").unwrap(), 60);
}

/// S76, S77: three clients count while leaders are killed; each repeats what was not answered.
#[test]
fn calls_amid_the_leaders_death_are_carried_out_once() {
    const EACH: i64 = 300;
    let mut cluster = TestCluster::start(3, &["--answer-ms", "2000"]);
    let sessions: Vec<i64> = (0..3).map(|at| open_session(&cluster, at)).collect();
    for round in 1..=2 {
        let leader = cluster.leader();
        let doubts: usize = std::thread::scope(|scope| {
            let (cluster, sessions) = (&cluster, &sessions);
            let clients = (0..3).map(|at| {
                scope.spawn(move || {
                    let (key, mut doubts) = (format!("n:{at}"), 0);
                    for call in (round - 1) * EACH + 1..=round * EACH {
                        // Sent where the leader may be dying, and answered by whoever is there.
                        let (answer, more) = repeat(cluster, leader + 2, sessions[at], call, &["INCR", &key]);
                        assert_eq!(answer, call, "{key}");
                        doubts += more;
                    }
                    doubts
                })
            });
            let clients: Vec<_> = clients.collect();
            let mut watch = cluster.connect((leader + 1) % 3);
            until("some calls", || {
                let count: Option<i64> = watch.get("n:0").ok()?;
                (count? >= (round - 1) * EACH + 50).then_some(())
            });
            cluster.signal(leader, Signal::KILL);
            clients.into_iter().map(|client| client.join().unwrap()).sum()
        });
        assert!(doubts > 0, "a call was on its way when the leader died");
        cluster.wait_for_exit(leader);
        cluster.start_node(leader);
    }
    let counts: Vec<i64> = cluster.connect(cluster.leader()).mget(&["n:0", "n:1", "n:2"]).unwrap();
    assert_eq!(counts, [EACH * 2; 3]);
}

/// S76: what was answered is in the log, and in the snapshot that replaces it.
#[test]
fn retry_is_answered_alike_after_a_snapshot_and_a_restart_of_all_nodes() {
    let mut cluster = TestCluster::start(3, &["--retained-entries", "0"]);
    let session = open_session(&cluster, 1);
    let calls = [&["FIRST", "1", "INCRBY", "n", "5"][..], &["FIRST", "1", "GETSET", "n", "100"]];
    let answers = |cluster: &TestCluster, at: usize| -> Vec<i64> {
        let mut connection = cluster.connect(at);
        (1..).zip(calls).map(|(call, words)| once(&mut connection, session, call, words).unwrap()).collect()
    };
    assert_eq!(answers(&cluster, 2), [5, 5], "the sum, and the value before");
    for at in 0..3 {
        cluster.wait_for_catch_up(at);
        let _: redis::Value = redis::cmd("RAFT.SNAPSHOT").query(&mut cluster.connect(at)).unwrap();
    }
    (0..3).for_each(|at| cluster.kill(at));
    (0..3).for_each(|at| cluster.start_member(at));
    cluster.leader();
    for at in 0..3 {
        assert!(cluster.number(at, "first").unwrap() > session, "the log before the snapshot is gone");
        assert_eq!(answers(&cluster, at), [5, 5]);
        assert_eq!(cluster.connect(at).get::<_, i64>("n").unwrap(), 100);
    }
}

/// S76, S81: a client that does not wait for its answers loses them all, and asks for all again.
#[test]
fn pipelined_calls_keep_their_order_and_can_all_be_repeated() {
    const CALLS: i64 = 100;
    let cluster = TestCluster::start(3, &[]);
    let session = open_session(&cluster, 0);
    let words: Vec<_> = (1..=CALLS)
        .map(|call| format!("RAFT.ONCE {session} {call} FIRST 1 APPEND text {}\r\n", call % 10))
        .collect();
    let mut lost = TcpStream::connect(("127.0.0.1", cluster.ports[0])).unwrap();
    lost.write_all(words.concat().as_bytes()).unwrap();
    until("some of it to be done", || {
        (cluster.connect(1).get::<_, Option<String>>("text").ok()??.len() > 10).then_some(())
    });
    drop(lost);
    let mut pipe = redis::pipe();
    for call in 1..=CALLS {
        pipe.cmd("RAFT.ONCE").arg(session).arg(call).arg(&["FIRST", "1", "APPEND", "text"]).arg(call % 10);
    }
    let lengths: Vec<i64> = pipe.query(&mut cluster.connect(2)).unwrap();
    assert!(lengths.into_iter().eq(1..=CALLS), "each length is that of the first time");
    let text: String = cluster.connect(1).get("text").unwrap();
    assert_eq!(text, (1..=CALLS).map(|call| (call % 10).to_string()).collect::<String>());
}

/// S78: what expires a session is in the log, so all nodes agree, whoever is asked.
#[test]
fn sessions_expire_alike_on_all_nodes_and_are_told_so() {
    let limits = ["--session-idle-entries-max", "20", "--sessions-max", "3", "--session-calls-max", "4"];
    let mut cluster = TestCluster::start(3, &limits);
    let idle = open_session(&cluster, 0);
    let mut connection = cluster.connect(1);
    assert_eq!(once(&mut connection, idle, 1, &["INCR", "n"]).unwrap(), 1);
    for _ in 0..30 {
        let _: i64 = connection.incr("plain", 1).unwrap();
    }
    assert_eq!(code(once(&mut connection, idle, 1, &["INCR", "n"])), "EXPIRED");
    let sessions: Vec<i64> = (0..4).map(|at| open_session(&cluster, at % 3)).collect();
    assert_eq!(code(once(&mut connection, sessions[0], 1, &["INCR", "n"])), "EXPIRED", "one too many");
    let words = |first: &'static str| [first, "1", "INCR", "n"];
    assert_eq!(once(&mut connection, sessions[1], 4, &words("FIRST")).unwrap(), 2);
    assert_eq!(code(once(&mut connection, sessions[1], 5, &words("FIRST"))), "TRYAGAIN");
    assert_eq!(once(&mut connection, sessions[1], 5, &["INCR", "n"]).unwrap(), 3);
    assert_eq!(code(once(&mut connection, sessions[1], 4, &["INCR", "n"])), "ANSWERED");
    let close = |connection: &mut Connection| -> RedisResult<String> {
        redis::cmd("RAFT.SESSION.CLOSE").arg(sessions[2]).query(connection)
    };
    assert_eq!(close(&mut connection).unwrap(), "OK");
    assert_eq!(close(&mut connection).unwrap_err().code(), Some("EXPIRED"));
    let tables = |cluster: &TestCluster| -> Vec<(String, String)> {
        let line =
            |text: &str, name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        let table = |at| {
            cluster.wait_for_catch_up(at);
            let text: String = redis::cmd("INFO").arg("raft").query(&mut cluster.connect(at)).unwrap();
            (line(&text, "raft_sessions:"), line(&text, "raft_session_reply_bytes:"))
        };
        (0..3).map(table).collect()
    };
    let before = tables(&cluster);
    assert!(before.iter().all(|table| *table == before[0] && table.0 == "raft_sessions:2"), "{before:?}");
    (0..3).for_each(|at| cluster.kill(at));
    (0..3).for_each(|at| cluster.start_member(at));
    cluster.leader();
    assert_eq!(tables(&cluster), before, "the log says so, and nothing else");
}
