//! The server's rules at its two doors: real sockets on one side, a replica that does what the
//! test says on the other.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use raft_core::sessions::SessionCommand;

use super::*;
use crate::admin::{AdminError, Done};
use crate::command::Order;
use crate::kv::{Fault, Machine};

/// What the replica has been asked and is to do.
#[derive(Default)]
struct Script {
    refusal: Option<Refused>,
    proposed: Vec<Vec<u8>>,
    reads: u64,
    orders: Vec<Order>,
    events: VecDeque<Happening>,
    /// Pieces of work that are left.
    pieces: u32,
}

/// Tickets are the places in `proposed`, and the number of reads.
#[derive(Clone, Copy)]
enum Happening {
    Apply(usize),
    NotApplied(usize),
    Unknown(usize),
    ReadReady(u64),
    ReadRefused(u64),
    LeaderChanged,
    /// An entry that the machine does not know.
    Fault,
    Ordered(usize, bool),
}

struct ScriptedReplica {
    script: Arc<Mutex<Script>>,
    machine: Machine,
}

impl Replica for ScriptedReplica {
    type Error = Infallible;

    fn tick(&mut self, _: u32) {}

    fn pump(&mut self) -> Result<(), Infallible> {
        let mut script = self.script.lock().unwrap();
        script.pieces = script.pieces.saturating_sub(1);
        Ok(())
    }

    fn has_work(&self) -> bool {
        self.script.lock().unwrap().pieces > 0
    }

    fn propose(&mut self, payload: &[u8]) -> Result<Ticket, Refused> {
        let mut script = self.script.lock().unwrap();
        if let Some(refusal) = script.refusal {
            return Err(refusal);
        }
        script.proposed.push(payload.to_vec());
        Ok(Ticket(script.proposed.len() as u64 - 1))
    }

    fn read(&mut self) -> Result<Ticket, Refused> {
        let mut script = self.script.lock().unwrap();
        if let Some(refusal) = script.refusal {
            return Err(refusal);
        }
        script.reads += 1;
        Ok(Ticket(script.reads))
    }

    fn poll_event(&mut self) -> Option<ReplicaEvent> {
        let mut script = self.script.lock().unwrap();
        let answered = |at: usize, outcome| ReplicaEvent::Answered { ticket: Ticket(at as u64), outcome };
        Some(match script.events.pop_front()? {
            Happening::Apply(at) => {
                let payload = SessionCommand::decode(&script.proposed[at]);
                let Ok(SessionCommand::Plain(batch)) = payload else { panic!("{payload:?}") };
                answered(at, Outcome::Applied(self.machine.apply_batch(batch)))
            }
            Happening::NotApplied(at) => answered(at, Outcome::NotApplied),
            Happening::Unknown(at) => answered(at, Outcome::Unknown),
            Happening::ReadReady(up_to) => ReplicaEvent::ReadReady { up_to: Ticket(up_to) },
            Happening::ReadRefused(up_to) => ReplicaEvent::ReadRefused { up_to: Ticket(up_to) },
            Happening::Ordered(at, is_done) => ReplicaEvent::Ordered {
                ticket: Ticket(at as u64),
                result: if is_done { Ok(Done::Change) } else { Err(AdminError::Unknown) },
            },
            Happening::LeaderChanged => ReplicaEvent::LeaderChanged,
            Happening::Fault => {
                let _ = self.machine.apply_batch(b"nonsense");
                ReplicaEvent::LeaderChanged
            }
        })
    }

    fn order(&mut self, order: Order) -> Ticket {
        let mut script = self.script.lock().unwrap();
        script.orders.push(order);
        Ticket(script.orders.len() as u64 - 1)
    }

    fn machine(&self) -> &Machine {
        &self.machine
    }

    fn fault(&self) -> Option<Fault> {
        self.machine.fault()
    }

    fn overview(&self) -> Overview {
        Overview::default()
    }
}

/// A server on a thread of its own.
struct Stage {
    script: Arc<Mutex<Script>>,
    address: SocketAddr,
    stop: Stop,
    thread: Option<JoinHandle<Result<(), ServeError<Infallible>>>>,
}

impl Stage {
    fn new(limits: Limits) -> Self {
        Self::with_tick(Duration::from_millis(2), limits)
    }

    fn with_tick(tick: Duration, limits: Limits) -> Self {
        let stop = Stop::default();
        let log = slog::Logger::root(slog::Discard, slog::o!());
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(any, tick, limits, stop.clone(), log).unwrap();
        let address = server.local_address().unwrap();
        let script = Arc::new(Mutex::new(Script::default()));
        let replica = ScriptedReplica { script: Arc::clone(&script), machine: Machine::new(0) };
        let thread = Some(std::thread::spawn(move || server.run(replica)));
        Self { script, address, stop, thread }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    fn refuse(&self, refusal: Option<Refused>) {
        self.script.lock().unwrap().refusal = refusal;
    }

    fn happen(&self, happening: Happening) {
        self.script.lock().unwrap().events.push_back(happening);
    }

    /// Waits until the script says so.
    fn until(&self, what: &str, is_so: impl Fn(&Script) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_so(&self.script.lock().unwrap()) {
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn until_proposed(&self, count: usize) {
        self.until("a proposal", |script| script.proposed.len() == count);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.stop();
        let Some(thread) = self.thread.take() else { return };
        let ended = thread.join();
        assert!(std::thread::panicking() || matches!(ended, Ok(Ok(()))));
    }
}

fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
}

fn expect(stream: &mut TcpStream, expected: &str) {
    let mut found = vec![0; expected.len()];
    stream.read_exact(&mut found).unwrap();
    assert_eq!(String::from_utf8_lossy(&found), expected);
}

fn expect_failure(stream: &mut TcpStream, failure: Failure) {
    expect(stream, &format!("-{failure}\r\n"));
}

fn quick() -> Limits {
    let short = Duration::from_millis(150);
    Limits { hold_time_max: short, answer_time_max: short, ..Limits::default() }
}

#[test]
fn command_without_a_leader_is_held_and_carried_out_once_there_is_one() {
    let stage = Stage::new(Limits::default());
    stage.refuse(Some(Refused::NoLeader));
    let (mut writer, mut reader) = (stage.connect(), stage.connect());
    say(&mut writer, "SET k 1\r\nPING\r\n");
    say(&mut reader, "GET k\r\n");
    stage.happen(Happening::LeaderChanged);
    stage.until("the event", |script| script.events.is_empty());
    stage.refuse(None);
    stage.until_proposed(1);
    stage.happen(Happening::Apply(0));
    expect(&mut writer, "+OK\r\n+PONG\r\n");
    stage.until("a read", |script| script.reads == 1);
    stage.happen(Happening::ReadReady(1));
    expect(&mut reader, "$1\r\n1\r\n");
}

#[test]
fn command_that_waited_too_long_for_a_leader_is_definitely_refused() {
    let stage = Stage::new(quick());
    stage.refuse(Some(Refused::NoLeader));
    let mut client = stage.connect();
    say(&mut client, "SET k 1\r\n");
    expect_failure(&mut client, Failure::NoLeader);
    say(&mut client, "GET k\r\n");
    expect_failure(&mut client, Failure::NoLeader);
    assert!(stage.script.lock().unwrap().proposed.is_empty());
}

/// A write whose outcome does not come is unknown, never "failed" (S79, S82).
#[test]
fn write_that_waited_too_long_for_its_outcome_is_unknown_and_answered_once() {
    let stage = Stage::new(quick());
    let mut client = stage.connect();
    say(&mut client, "SET k 1\r\nINCR k\r\n");
    stage.until_proposed(1);
    expect_failure(&mut client, Failure::Unknown);
    expect_failure(&mut client, Failure::Unknown);
    stage.happen(Happening::Apply(0));
    say(&mut client, "PING\r\n");
    expect(&mut client, "+PONG\r\n");
    say(&mut client, "INCR k\r\n");
    stage.until_proposed(2);
    stage.happen(Happening::Unknown(1));
    expect_failure(&mut client, Failure::Unknown);
}

#[test]
fn write_that_the_leader_gave_up_is_proposed_again() {
    let stage = Stage::new(Limits::default());
    let mut client = stage.connect();
    say(&mut client, "INCR k\r\n");
    stage.until_proposed(1);
    stage.happen(Happening::NotApplied(0));
    stage.until_proposed(2);
    stage.happen(Happening::Apply(1));
    expect(&mut client, ":1\r\n");
}

#[test]
fn busy_and_too_large_are_told_at_once() {
    let stage = Stage::new(Limits::default());
    let mut client = stage.connect();
    for (refusal, failure) in [(Refused::Busy, Failure::Busy), (Refused::TooLarge, Failure::TooLarge)] {
        stage.refuse(Some(refusal));
        say(&mut client, "SET k 1\r\n");
        expect_failure(&mut client, failure);
    }
}

/// A client that is cut off while it sends finds a broken connection, never the answer that says why,
/// and tries the same again for ever.
#[test]
fn request_over_a_limit_is_refused_and_the_connection_goes_on() {
    let stage = Stage::new(Limits { value_bytes_max: 1000, key_bytes_max: 10, ..Limits::default() });
    let mut client = stage.connect();
    let refusal = "-ERR invalid bulk length, the limit is 1000 bytes; nothing was done\r\n";
    for size in [1001, 1 << 20, 20 << 20] {
        let value = "x".repeat(size);
        say(&mut client, &format!("PING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${size}\r\n{value}\r\nPING\r\n"));
        expect(&mut client, &format!("+PONG\r\n{refusal}+PONG\r\n"));
    }
    say(&mut client, &format!("MULTI\r\n*2\r\n$3\r\nGET\r\n$1001\r\n{}\r\nEXEC\r\n", "x".repeat(1001)));
    expect(&mut client, &format!("+OK\r\n{refusal}-EXECABORT "));
    assert!(stage.script.lock().unwrap().proposed.is_empty());
}

#[test]
fn client_that_is_cut_off_while_it_sends_hears_why() {
    let stage = Stage::new(Limits { skipped_bytes_max: 8 << 20, ..Limits::default() });
    let mut client = stage.connect();
    say(&mut client, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4000000000\r\n");
    // Far more than the sockets hold between them.
    say(&mut client, &"x".repeat(7 << 20));
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "-ERR Protocol error: invalid bulk length, the limit is 1048576 bytes\r\n");
}

#[test]
fn connection_that_ends_waits_neither_for_too_much_nor_for_too_long() {
    let time = Duration::from_millis(100);
    let stage =
        Stage::new(Limits { skipped_bytes_max: 1 << 20, parting_time_max: time, ..Limits::default() });
    let mut silent = stage.connect();
    say(&mut silent, "QUIT\r\n");
    expect(&mut silent, "+OK\r\n");
    let mut talker = stage.connect();
    say(&mut talker, "QUIT\r\n");
    let piece = [b'x'; 1 << 16];
    while talker.write_all(&piece).is_ok() {}
    while silent.write_all(&piece[..1]).is_ok() {}
}

#[test]
fn client_that_speaks_http_is_closed_before_anything_is_carried_out() {
    let stage = Stage::new(Limits::default());
    let mut client = stage.connect();
    say(&mut client, "POST / HTTP/1.1\r\nHost: 127.0.0.1:6379\r\n\r\nSET evil 1\r\n");
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert!(answer.is_empty(), "{answer:?}");
    assert!(stage.script.lock().unwrap().proposed.is_empty());
}

#[test]
fn refused_read_is_asked_again() {
    let stage = Stage::new(Limits::default());
    let mut client = stage.connect();
    say(&mut client, "GET k\r\n");
    stage.until("a read", |script| script.reads == 1);
    stage.happen(Happening::ReadRefused(1));
    stage.until("another read", |script| script.reads == 2);
    stage.happen(Happening::ReadReady(2));
    expect(&mut client, "$-1\r\n");
}

#[test]
fn order_waits_for_its_end_and_what_follows_it_waits_too() {
    let stage = Stage::new(Limits::default());
    let mut client = stage.connect();
    say(&mut client, "PING\r\nRAFT.REMOVE 3\r\nPING\r\nRAFT.PROMOTE 4\r\n");
    expect(&mut client, "+PONG\r\n");
    stage.until("an order", |script| script.orders.len() == 1);
    stage.happen(Happening::Ordered(0, true));
    expect(&mut client, "+OK\r\n+PONG\r\n");
    stage.until("another order", |script| script.orders.len() == 2);
    stage.happen(Happening::Ordered(1, false));
    expect(&mut client, &format!("-{}\r\n", AdminError::Unknown));
    assert_eq!(stage.script.lock().unwrap().orders, [Order::Remove(3), Order::Promote(4)]);
    say(&mut client, "MULTI\r\nRAFT.REMOVE 3\r\nDISCARD\r\n");
    expect(&mut client, "+OK\r\n-ERR 'raft.remove' cannot stand between MULTI and EXEC\r\n+OK\r\n");
}

#[test]
fn connection_has_one_chunk_under_way_at_a_time() {
    let stage = Stage::new(Limits::default());
    let mut client = stage.connect();
    say(&mut client, "SET k 1\r\n");
    stage.until_proposed(1);
    say(&mut client, "GET k\r\n");
    say(&mut client, "SET k 2\r\n");
    // Another connection is served meanwhile, so the server has had its chance.
    let mut other = stage.connect();
    say(&mut other, "PING\r\n");
    expect(&mut other, "+PONG\r\n");
    {
        let script = stage.script.lock().unwrap();
        assert_eq!((script.proposed.len(), script.reads), (1, 0));
    }
    stage.happen(Happening::Apply(0));
    // What arrived meanwhile is one chunk with a write: all of it goes into the log.
    stage.until_proposed(2);
    stage.happen(Happening::Apply(1));
    expect(&mut client, "+OK\r\n$1\r\n1\r\n+OK\r\n");
}

#[test]
fn stopping_server_answers_what_is_under_way() {
    let mut stage = Stage::new(Limits::default());
    let mut client = stage.connect();
    say(&mut client, "SET k 1\r\n");
    stage.until_proposed(1);
    stage.stop.stop();
    stage.happen(Happening::Apply(0));
    expect(&mut client, "+OK\r\n");
    let ended = stage.thread.take().unwrap().join();
    assert!(matches!(ended, Ok(Ok(()))));
}

#[test]
fn client_over_its_output_limit_is_closed() {
    let stage = Stage::new(Limits { output_bytes_max: 1 << 20, ..Limits::default() });
    let mut client = stage.connect();
    let value = "x".repeat(1 << 19);
    say(&mut client, &format!("SET k {}\r\n", &value[..1000]));
    stage.until_proposed(1);
    stage.happen(Happening::Apply(0));
    expect(&mut client, "+OK\r\n");
    say(&mut client, &format!("MGET{}\r\n", " k".repeat(5000)));
    stage.until("a read", |script| script.reads == 1);
    stage.happen(Happening::ReadReady(1));
    let mut rest = Vec::new();
    let ended = client.read_to_end(&mut rest);
    assert!(ended.is_err() || rest.is_empty(), "{} bytes", rest.len());
}

#[test]
fn work_on_a_snapshot_goes_on_without_anything_else_and_clients_are_served_meanwhile() {
    let stage = Stage::with_tick(Duration::from_secs(3600), Limits::default());
    let mut client = stage.connect();
    stage.script.lock().unwrap().pieces = u32::MAX;
    // Wakes the server; nothing else ever does.
    say(&mut client, "PING\r\n");
    expect(&mut client, "+PONG\r\n");
    let done = || u32::MAX - stage.script.lock().unwrap().pieces;
    let before = done();
    stage.until("more work to be done", |script| u32::MAX - script.pieces >= before + 1000);
    say(&mut client, "PING\r\n");
    expect(&mut client, "+PONG\r\n");
}

/// N15: what was left out may be what the read asks for.
#[test]
fn read_is_not_answered_from_a_state_that_lacks_an_entry() {
    let mut stage = Stage::new(quick());
    let mut client = stage.connect();
    say(&mut client, "GET k\r\n");
    stage.until("a read", |script| script.reads == 1);
    stage.script.lock().unwrap().events.extend([Happening::Fault, Happening::ReadReady(1)]);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert!(answer.is_empty(), "{answer:?}");
    let ended = stage.thread.take().unwrap().join().unwrap();
    assert!(matches!(ended, Err(ServeError::Machine(_))), "{ended:?}");
}
