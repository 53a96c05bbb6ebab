//! The loop: waits for sockets, takes chunks, drives the replica, answers.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{error, fmt};

use bytes::BytesMut;
use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use slog::{Logger, info, warn};

use super::answer::{AnswerSink, Failure};
use super::chunk::ChunkKind;
use super::client::{Client, Wait};
use super::clients::{ClientKey, Clients};
use super::desk::Desk;
use super::intake::{Intake, Taken};
use super::limits::Limits;
use super::local::Local;
use super::overview::Facts;
use super::replica::{Outcome, Refused, Replica, ReplicaEvent};
use super::wake::Wake;
use crate::kv::{Fault, Replies, ReplySink};

/// Asks the server to end; clones ask the same server.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// The flag itself, to be set by a signal.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// Asks the server to end at its next tick.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Why the server ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError<E> {
    /// The kernel refused to watch sockets.
    Poll(io::Error),
    /// The replica can no longer keep its promises.
    Replica(E),
    /// The log holds what this version does not understand.
    Machine(Fault),
}

impl<E: fmt::Display> fmt::Display for ServeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poll(error) => write!(f, "cannot watch sockets: {error}"),
            Self::Replica(error) => write!(f, "{error}"),
            Self::Machine(fault) => write!(f, "{fault}"),
        }
    }
}

impl<E: error::Error + 'static> error::Error for ServeError<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Poll(error) => Some(error),
            Self::Replica(error) => error.source(),
            Self::Machine(_) => None,
        }
    }
}

/// Serves clients on one thread.
#[derive(Debug)]
pub struct Server {
    poll: Poll,
    wake: Wake,
    listener: TcpListener,
    limits: Limits,
    tick: Duration,
    stop: Stop,
    log: Logger,
}

impl Server {
    /// Listens for clients. A tick of the replica lasts `tick`.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on.
    pub fn bind(
        address: SocketAddr,
        tick: Duration,
        limits: Limits,
        stop: Stop,
        log: Logger,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let wake = Wake::new(poll.registry(), WAKE)?;
        let mut listener = TcpListener::bind(address)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self { poll, wake, listener, limits, tick, stop, log })
    }

    /// Where it listens, with the port that the system chose.
    ///
    /// # Errors
    ///
    /// If the system does not tell.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Wakes the loop when the replica has something to do.
    #[must_use]
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// Serves until asked to stop.
    ///
    /// # Errors
    ///
    /// If the replica or the kernel gives up.
    pub fn run<R: Replica>(self, replica: R) -> Result<(), ServeError<R::Error>> {
        let now = Instant::now();
        let floor = Floor {
            intake: Intake::new(&self.limits),
            clients: Clients::new(FIRST_CLIENT.0),
            desk: Desk::default(),
            ready: Vec::new(),
            out: BytesMut::new(),
            started: now,
            now,
            next_tick: now + self.tick,
            next_check: now,
            stopping_since: None,
            has_backlog: false,
            replica,
            server: self,
        };
        floor.run()
    }
}

/// The server at work.
struct Floor<R> {
    server: Server,
    replica: R,
    intake: Intake,
    clients: Clients,
    desk: Desk,
    /// Connections to look at in this turn.
    ready: Vec<ClientKey>,
    /// Replies of one chunk on their way into a socket.
    out: BytesMut,
    started: Instant,
    now: Instant,
    next_tick: Instant,
    next_check: Instant,
    stopping_since: Option<Instant>,
    /// Whether connections may wait to be accepted.
    has_backlog: bool,
}

impl<R: Replica> Floor<R> {
    fn run(mut self) -> Result<(), ServeError<R::Error>> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !self.is_done() {
            let wait = if self.ready.is_empty() {
                self.next_tick.saturating_duration_since(Instant::now())
            } else {
                Duration::ZERO
            };
            match self.server.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(ServeError::Poll(error));
                }
                _ => self.now = Instant::now(),
            }
            self.server.wake.rearm();
            events.iter().for_each(|event| self.on_event(event));
            self.pass_time();
            self.accept();
            self.take_chunks();
            self.ask_for_read();
            self.replica.pump().map_err(ServeError::Replica)?;
            while let Some(event) = self.replica.poll_event() {
                self.on_replica_event(event);
            }
            if let Some(fault) = self.replica.machine().fault() {
                return Err(ServeError::Machine(fault));
            }
        }
        Ok(())
    }

    fn on_event(&mut self, event: &Event) {
        match event.token() {
            WAKE => {}
            LISTENER => self.has_backlog = true,
            token => {
                let Some(key) = self.clients.key_of(token) else { return };
                let Some(client) = self.clients.find(key) else { return };
                let is_broken = event.is_error() || (event.is_writable() && client.flush().is_err());
                if event.is_readable() || event.is_read_closed() {
                    client.on_readable(event.is_read_closed());
                }
                if is_broken || (client.session.is_closing && client.is_settled()) {
                    self.clients.remove(key, self.server.poll.registry());
                } else if client.is_ready() {
                    self.ready.push(key);
                }
            }
        }
    }

    fn pass_time(&mut self) {
        let mut ticks = 0;
        while self.next_tick <= self.now {
            self.next_tick += self.server.tick;
            ticks += 1;
            if ticks <= TICKS_PER_TURN_MAX {
                self.replica.tick();
            }
        }
        if ticks > 0 {
            // What a leader refused, or did not exist for, is asked again.
            self.retry_held();
        }
        if self.next_check <= self.now {
            self.next_check = self.now + CHECK_PERIOD;
            self.check_deadlines();
        }
    }

    /// Answers what has waited too long; ends connections that dawdle.
    fn check_deadlines(&mut self) {
        if self.stopping_since.is_none() && self.server.stop.is_asked() {
            info!(self.server.log, "stopping"; "clients" => self.clients.count());
            self.stopping_since = Some(self.now);
            // A failure leaves the listener watched for the little time that is left.
            let _ = self.server.poll.registry().deregister(&mut self.server.listener);
        }
        let (now, limits) = (self.now, &self.server.limits);
        let is_stopping = self.stopping_since.is_some();
        let mut late = Vec::new();
        let mut slow = Vec::new();
        for (key, client) in self.clients.iter_mut() {
            let waited = now.saturating_duration_since(client.since);
            match client.wait {
                Wait::Leader if is_stopping => late.push((key, Failure::Stopping)),
                Wait::Leader if waited >= limits.hold_time_max => late.push((key, Failure::NoLeader)),
                Wait::Write(_) if waited >= limits.answer_time_max => late.push((key, Failure::Unknown)),
                Wait::Read if waited >= limits.answer_time_max => late.push((key, Failure::NoLeader)),
                Wait::Nothing if client.is_amid_request() && waited >= limits.request_time_max => slow.push(key),
                Wait::Nothing | Wait::Leader | Wait::Write(_) | Wait::Read => {}
            }
        }
        for (key, failure) in late {
            self.answer(key, Answer::Failure(failure));
        }
        for key in slow {
            self.clients.remove(key, self.server.poll.registry());
        }
    }

    fn accept(&mut self) {
        while self.has_backlog && self.stopping_since.is_none() {
            let mut stream = match self.server.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.has_backlog = false;
                    return;
                }
                Err(error) => {
                    // Without descriptors left, the backlog waits until a connection has ended.
                    warn!(self.server.log, "cannot accept a client"; "error" => %error);
                    return;
                }
            };
            if self.clients.count() >= self.server.limits.clients_max {
                // Courtesy; the connection ends in any case.
                let _ = stream.write(b"-ERR max number of clients reached\r\n");
                continue;
            }
            if let Err(error) = self.clients.add(stream, self.server.poll.registry(), self.now) {
                warn!(self.server.log, "cannot watch a client"; "error" => %error);
            }
        }
    }

    /// Takes one chunk of each ready connection and sends it on its way.
    fn take_chunks(&mut self) {
        let mut ready = std::mem::take(&mut self.ready);
        if self.stopping_since.is_some() {
            ready.clear();
        }
        for key in ready.drain(..) {
            self.take_chunk(key);
        }
        if self.ready.is_empty() {
            // Keeps the memory for the next turn.
            self.ready = ready;
        }
    }

    fn take_chunk(&mut self, key: ClientKey) {
        let (clients, accepted_total) = (self.clients.count(), self.clients.accepted_total());
        let Some(client) = self.clients.find(key).filter(|client| client.is_ready()) else { return };
        let was_amid_request = client.is_amid_request();
        let taken = {
            let (replica, server, started, now) = (&self.replica, &self.server, self.started, self.now);
            let commands_total = self.intake.commands_total();
            let facts = || Facts {
                port: server.local_address().as_ref().map_or(0, SocketAddr::port),
                uptime: now - started,
                clients,
                clients_max: server.limits.clients_max,
                accepted_total,
                commands_total,
                keys: replica.machine().store().len(),
                operations: replica.machine().applied_operations(),
            };
            self.intake.take(client, &Local { overview: &|| replica.overview(), facts: &facts })
        };
        match taken {
            Taken::End => self.clients.remove(key, self.server.poll.registry()),
            Taken::Nothing => {
                if !was_amid_request {
                    client.since = self.now;
                }
            }
            Taken::Chunk => {
                client.since = self.now;
                self.submit(key);
            }
        }
    }

    /// Sends a chunk on its way; one that needs nothing is answered at once.
    fn submit(&mut self, key: ClientKey) {
        let Some(client) = self.clients.find(key) else { return };
        let Some(chunk) = &client.chunk else { return };
        match chunk.kind() {
            ChunkKind::Ready => self.answer(key, Answer::Ready),
            ChunkKind::Reads | ChunkKind::Scans => {
                client.wait = Wait::Read;
                self.desk.add_read(key);
            }
            ChunkKind::Writes => match self.replica.propose(chunk.as_bytes()) {
                Ok(ticket) => {
                    client.wait = Wait::Write(ticket);
                    self.desk.add_write(ticket, key);
                }
                Err(Refused::NoLeader) => {
                    client.wait = Wait::Leader;
                    self.desk.hold(key);
                }
                Err(Refused::Busy) => self.answer(key, Answer::Failure(Failure::Busy)),
                Err(Refused::TooLarge) => self.answer(key, Answer::Failure(Failure::TooLarge)),
            },
        }
    }

    /// Asks for one read point for all reads that came up in this turn.
    fn ask_for_read(&mut self) {
        if !self.desk.wants_read() {
            return;
        }
        match self.replica.read() {
            Ok(ticket) => self.desk.on_read_asked(ticket),
            Err(_) => self.hold_all(|desk| desk.take_next_reads()),
        }
    }

    fn hold_all(&mut self, take: impl FnOnce(&mut Desk) -> Vec<ClientKey>) {
        for key in take(&mut self.desk) {
            if let Some(client) = self.clients.find(key)
                && client.wait == Wait::Read
            {
                client.wait = Wait::Leader;
                self.desk.hold(key);
            }
        }
    }

    fn retry_held(&mut self) {
        for key in self.desk.take_held() {
            if self.clients.find(key).is_some_and(|client| client.wait == Wait::Leader) {
                self.submit(key);
            }
        }
    }

    fn on_replica_event(&mut self, event: ReplicaEvent) {
        match event {
            ReplicaEvent::Answered { ticket, outcome } => {
                let Some(key) = self.desk.take_write(ticket) else { return };
                let Some(client) = self.clients.find(key) else { return };
                // It may have been called unknown long ago.
                if client.wait != Wait::Write(ticket) {
                    return;
                }
                match outcome {
                    Outcome::Applied(replies) => self.answer(key, Answer::Replies(replies)),
                    Outcome::Unknown => self.answer(key, Answer::Failure(Failure::Unknown)),
                    Outcome::Busy => self.answer(key, Answer::Failure(Failure::Busy)),
                    // The connection has nothing else under way, so the order stays.
                    Outcome::NotApplied => {
                        client.wait = Wait::Leader;
                        self.desk.hold(key);
                    }
                }
            }
            ReplicaEvent::ReadReady { up_to } => {
                for key in self.desk.take_reads(up_to) {
                    if self.clients.find(key).is_some_and(|client| client.wait == Wait::Read) {
                        self.answer(key, Answer::Read);
                    }
                }
            }
            ReplicaEvent::ReadRefused { up_to } => self.hold_all(|desk| desk.take_reads(up_to)),
            ReplicaEvent::LeaderChanged => self.retry_held(),
        }
    }

    /// Answers the chunk under way and looks at the connection again.
    fn answer(&mut self, key: ClientKey, answer: Answer) {
        let Some(client) = self.clients.find(key) else { return };
        let Some(chunk) = client.chunk.take() else { return };
        client.wait = Wait::Nothing;
        client.since = self.now;
        let (protocol, bytes_max) = (client.session.protocol, self.server.limits.output_bytes_max);
        self.out.clear();
        let mut sink = AnswerSink::new(&chunk, &mut self.out, protocol, bytes_max);
        match answer {
            Answer::Ready => {}
            Answer::Replies(replies) => replies.iter().for_each(|reply| sink.push(reply)),
            Answer::Read => self.replica.machine().read_batch(chunk.as_bytes(), &mut sink),
            Answer::Failure(failure) => sink.fail_rest(failure),
        }
        let is_written = sink.finish().is_ok();
        self.intake.spare(chunk);
        let is_sent = is_written && client.send(&self.out).is_ok();
        if self.out.capacity() > OUT_BYTES_KEPT {
            self.out = BytesMut::new();
        }
        let is_over = client.unsent_byte_count() > bytes_max;
        if !is_sent || is_over || (client.session.is_closing && client.is_settled()) {
            self.clients.remove(key, self.server.poll.registry());
        } else if client.is_ready() {
            self.ready.push(key);
        }
    }

    /// Whether the server was asked to stop and nothing that matters is under way.
    fn is_done(&mut self) -> bool {
        let Some(since) = self.stopping_since else { return false };
        let is_late = self.now.saturating_duration_since(since) >= self.server.limits.stop_time_max;
        is_late || self.clients.iter_mut().all(|(_, client)| client.is_settled())
    }
}

/// What the operations of a chunk are answered with.
enum Answer {
    /// There are none.
    Ready,
    /// What applying them gave.
    Replies(Replies),
    /// What the state says now.
    Read,
    /// Why they were not carried out.
    Failure(Failure),
}

impl Client {
    /// Whether nothing is under way and all replies are sent.
    fn is_settled(&self) -> bool {
        self.wait == Wait::Nothing && self.unsent_byte_count() == 0
    }
}

const LISTENER: Token = Token(0);
const WAKE: Token = Token(1);
const FIRST_CLIENT: Token = Token(2);
const EVENTS_MAX: usize = 1024;
/// After a pause of the process, time goes on with this many ticks; the rest never happened.
const TICKS_PER_TURN_MAX: u32 = 10;
const CHECK_PERIOD: Duration = Duration::from_millis(50);
const OUT_BYTES_KEPT: usize = 1 << 20;
