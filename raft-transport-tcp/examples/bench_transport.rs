//! Measures the transport on loopback: round trips within one process and between two, and
//! messages per second one way.
//!
//! `cargo run --release -p raft-transport-tcp --example bench_transport [rounds]`
//!
//! The floor is the same ping-pong over bare sockets, whose readers answer by themselves; the
//! transport adds a second thread on each side, as a node has one.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use crossbeam_channel::Receiver;
use raft_core::bytes::Bytes;
use raft_core::{
    Append, Arrival, Batches, Body, EntriesBuilder, EntryKind, ForwardId, GroupId, LogIndex, Message, NodeId,
    Position, Term, Transport,
};
use raft_transport_tcp::{GroupTransport, Options, TcpTransport};

type Outcome<T> = Result<T, Box<dyn Error>>;

const GROUP: GroupId = GroupId::new(1);
const PING: NodeId = NodeId::new(1);
const ECHO: NodeId = NodeId::new(2);
/// What may be on its way, in bytes; well below the limit of the queue.
const WINDOW_BYTES: u64 = 4 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Outcome<()> {
    let mut arguments = env::args().skip(1);
    match arguments.next().as_deref() {
        Some("echo") => echo_process(arguments.next().ok_or("echo needs an address")?),
        rounds => measure(rounds.map_or(Ok(20_000), str::parse)?),
    }
}

fn measure(rounds: usize) -> Outcome<()> {
    for bytes in [64, 4096] {
        report(&format!("floor: bare sockets, {bytes} B"), floor(rounds, bytes)?);
        report(
            &format!("one process, {bytes} B, a connection per direction"),
            one_process(rounds, bytes, true)?,
        );
        report(&format!("one process, {bytes} B, one connection"), one_process(rounds, bytes, false)?);
        report(&format!("two processes, {bytes} B"), two_processes(rounds, bytes)?);
    }
    for (entries, per_flush) in [(1, 1), (1, 16), (1, 64), (16, 1), (16, 16), (256, 1), (256, 4)] {
        one_way(entries, per_flush)?;
    }
    Ok(())
}

/// One end: a transport, a group, and the bell that its thread waits on.
struct Node {
    transport: TcpTransport,
    group: GroupTransport,
    bell: Receiver<()>,
    id: NodeId,
}

impl Node {
    fn new(id: NodeId) -> Outcome<Self> {
        let options = Options::new(1, id, id.get(), SocketAddr::from(([127, 0, 0, 1], 0)));
        let (ring, bell) = crossbeam_channel::bounded(1);
        let transport = TcpTransport::bind(options, move || {
            // A bell that is rung already will be heard.
            let _ = ring.try_send(());
        })?;
        let group = transport.group(GROUP);
        Ok(Self { transport, group, bell, id })
    }

    fn send(&mut self, to: NodeId, body: Body) {
        self.group.send(Message { from: self.id, to, term: Term::new(1), body });
    }

    fn message(&mut self) -> Outcome<Message> {
        loop {
            match self.group.poll() {
                Some(Arrival::Message(message)) => return Ok(message),
                Some(Arrival::Unreachable(_)) => {}
                None => self.bell.recv_timeout(PATIENCE)?,
            }
        }
    }

    /// Answers until it is told to stop by a message of another kind.
    fn echo(&mut self) -> Outcome<()> {
        loop {
            let message = self.message()?;
            let Body::Propose { .. } = message.body else { return Ok(()) };
            self.send(PING, message.body);
            self.group.flush();
        }
    }

    fn ping(&mut self, rounds: usize, bytes: usize) -> Outcome<Vec<Duration>> {
        let payloads = Bytes::from(vec![7; bytes]);
        let mut times = Vec::with_capacity(rounds);
        for round in 0..rounds + rounds / 10 {
            let begin = Instant::now();
            self.send(
                ECHO,
                Body::Propose { epoch: 1, request: ForwardId::new(1), payloads: payloads.clone() },
            );
            self.group.flush();
            self.message()?;
            if round >= rounds / 10 {
                times.push(begin.elapsed());
            }
        }
        self.send(ECHO, Body::TimeoutNow);
        self.group.flush();
        Ok(times)
    }
}

fn one_process(rounds: usize, bytes: usize, both_dial: bool) -> Outcome<Vec<Duration>> {
    let (mut ping, mut echo) = (Node::new(PING)?, Node::new(ECHO)?);
    ping.transport.set_peer(ECHO, echo.transport.local_address().to_string())?;
    if both_dial {
        echo.transport.set_peer(PING, ping.transport.local_address().to_string())?;
    }
    let thread = thread::spawn(move || echo.echo().map_err(|error| error.to_string()));
    let times = ping.ping(rounds, bytes)?;
    thread.join().map_err(|_| "the echo panicked")??;
    Ok(times)
}

fn two_processes(rounds: usize, bytes: usize) -> Outcome<Vec<Duration>> {
    let mut ping = Node::new(PING)?;
    let address = ping.transport.local_address().to_string();
    let mut child =
        Command::new(env::current_exe()?).args(["echo", &address]).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    ping.transport.set_peer(ECHO, line.trim())?;
    let times = ping.ping(rounds, bytes)?;
    child.wait()?;
    Ok(times)
}

fn echo_process(ping: String) -> Outcome<()> {
    let mut echo = Node::new(ECHO)?;
    println!("{}", echo.transport.local_address());
    echo.transport.set_peer(PING, ping)?;
    echo.echo()
}

fn floor(rounds: usize, bytes: usize) -> Outcome<Vec<Duration>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let echo = thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut buffer = vec![0; bytes];
        while stream.read_exact(&mut buffer).is_ok() {
            stream.write_all(&buffer)?;
        }
        Ok::<_, std::io::Error>(())
    });
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![7; bytes];
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begin = Instant::now();
        stream.write_all(&buffer)?;
        stream.read_exact(&mut buffer)?;
        times.push(begin.elapsed());
    }
    drop(stream);
    echo.join().map_err(|_| "the echo panicked")??;
    Ok(times)
}

fn one_way(entries: u32, per_flush: u32) -> Outcome<()> {
    const DURATION: Duration = Duration::from_secs(1);
    let window = 4096.min(WINDOW_BYTES / (256 * u64::from(entries)));
    let (mut sender, mut receiver) = (Node::new(PING)?, Node::new(ECHO)?);
    sender.transport.set_peer(ECHO, receiver.transport.local_address().to_string())?;
    let body = append(entries)?;
    let (report, heard) = crossbeam_channel::unbounded();
    let thread = thread::spawn(move || {
        let mut count = 0u64;
        while let Ok(message) = receiver.message() {
            let Body::Append(_) = message.body else { break };
            count += 1;
            if count.is_multiple_of(16) {
                let _ = report.send(count);
            }
        }
    });
    let begin = Instant::now();
    let (mut sent, mut arrived) = (0, 0);
    while begin.elapsed() < DURATION {
        for _ in 0..per_flush {
            sender.send(ECHO, Body::Append(body.clone()));
        }
        sender.group.flush();
        sent += u64::from(per_flush);
        // As a leader's window does, so that nothing is dropped.
        while sent - arrived > window {
            arrived = heard.recv_timeout(PATIENCE)?;
        }
    }
    sender.send(ECHO, Body::TimeoutNow);
    sender.group.flush();
    thread.join().map_err(|_| "the receiver panicked")?;
    let seconds = begin.elapsed().as_secs_f64();
    let counters = sender.transport.peer_counters(ECHO).ok_or("no counters")?;
    println!(
        "one way, appends of {entries:>3} x 256 B, flushed each {per_flush:>2}: {:>9.0} messages/s {:>9.0} entries/s {:>6.0} MB/s, {} dropped, {} of {} writes blocked",
        sent as f64 / seconds,
        sent as f64 * f64::from(entries) / seconds,
        counters.sent_bytes as f64 / seconds / 1e6,
        counters.dropped_messages,
        counters.blocked_writes,
        counters.writes,
    );
    Ok(())
}

fn append(entries: u32) -> Outcome<Append> {
    let mut builder = EntriesBuilder::default();
    for _ in 0..entries {
        builder.push(&[7; 256]).ok_or("entry too long")?;
    }
    let position = Position::new(Term::new(1), LogIndex::new(1));
    let batch = builder.take(position, EntryKind::Command).ok_or("no entries")?;
    Ok(Append { prev: Position::ZERO, commit: LogIndex::ZERO, round: 0, batches: Batches::from(batch) })
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1e6;
    println!("round trip, {what}: p50 {:.1} µs, p99 {:.1} µs", at(50), at(99));
}
