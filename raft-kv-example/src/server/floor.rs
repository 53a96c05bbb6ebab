//! The loop: waits for sockets, lets time pass, drives the replica.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use mio::Events;
use mio::event::Event;
use slog::{info, warn};

use super::answer::{Answer, Failure};
use super::base::{Base, FIRST_CLIENT, LISTENER, ServeError, WAKE};
use super::client::Wait;
use super::clients::{ClientKey, Clients};
use super::desk::Desk;
use super::intake::Intake;
use super::replica::Replica;
use super::ticks::Ticks;

/// The server at work.
pub(super) struct Floor<R> {
    pub(super) base: Base,
    pub(super) replica: R,
    pub(super) intake: Intake,
    pub(super) clients: Clients,
    pub(super) desk: Desk,
    /// Connections to look at in this turn.
    pub(super) ready: Vec<ClientKey>,
    /// Replies of one chunk on their way into a socket.
    pub(super) out: BytesMut,
    pub(super) started: Instant,
    pub(super) now: Instant,
    ticks: Ticks,
    pub(super) next_check: Instant,
    pub(super) stopping_since: Option<Instant>,
    /// Whether connections may wait to be accepted.
    pub(super) has_backlog: bool,
}

impl<R: Replica> Floor<R> {
    pub(super) fn new(base: Base, replica: R) -> Self {
        let now = Instant::now();
        Self {
            intake: Intake::new(&base.limits),
            clients: Clients::new(FIRST_CLIENT),
            desk: Desk::default(),
            ready: Vec::new(),
            out: BytesMut::new(),
            started: now,
            now,
            ticks: Ticks::new(base.tick),
            next_check: now,
            stopping_since: None,
            has_backlog: false,
            replica,
            base,
        }
    }

    pub(super) fn run(mut self) -> Result<(), ServeError<R::Error>> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !self.is_done() {
            // A piece of work on a snapshot is done in each turn, beside what clients and time ask for.
            let is_idle = self.ready.is_empty() && !self.replica.has_work();
            let wait = if is_idle { self.ticks.until_next() } else { Duration::ZERO };
            match self.base.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(ServeError::Poll(error));
                }
                _ => self.now = Instant::now(),
            }
            self.base.wake.rearm();
            events.iter().for_each(|event| self.on_event(event));
            // Nothing is done with the replica before it knows how late it is.
            self.pass_time();
            self.accept();
            self.take_chunks();
            // And again, after the requests of this turn have come and before their reads are asked for:
            // whatever a leader trusts when it answers a read held when the read was there already (S49).
            self.pass_time();
            self.ask_for_read();
            self.replica.pump().map_err(ServeError::Replica)?;
            loop {
                let event = self.replica.poll_event();
                // Nothing is answered from a state that lacks an entry.
                if let Some(fault) = self.replica.fault() {
                    return Err(ServeError::Machine(fault));
                }
                let Some(event) = event else { break };
                self.on_replica_event(event);
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
                if is_broken {
                    self.clients.remove(key, self.base.poll.registry());
                } else if client.session.is_closing && client.is_settled() {
                    self.see_off(key);
                } else if client.is_ready() {
                    self.ready.push(key);
                }
            }
        }
    }

    fn pass_time(&mut self) {
        let ticks = self.ticks.take();
        if ticks > 0 {
            self.replica.tick(ticks);
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
        if self.stopping_since.is_none() && self.base.stop.is_asked() {
            info!(self.base.log, "stopping"; "clients" => self.clients.count());
            self.stopping_since = Some(self.now);
            // A failure leaves the listener watched for the little time that is left.
            let _ = self.base.poll.registry().deregister(&mut self.base.listener);
        }
        let (now, limits) = (self.now, &self.base.limits);
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
                Wait::Nothing if client.is_parting() && waited >= limits.parting_time_max => slow.push(key),
                Wait::Nothing if client.is_amid_request() && waited >= limits.request_time_max => {
                    slow.push(key);
                }
                // Who carries an order out also gives it up in time.
                Wait::Nothing | Wait::Leader | Wait::Write(_) | Wait::Read | Wait::Order(_) => {}
            }
        }
        for (key, failure) in late {
            self.answer(key, Answer::Failure(failure));
        }
        for key in slow {
            self.clients.remove(key, self.base.poll.registry());
        }
    }

    fn accept(&mut self) {
        while self.has_backlog && self.stopping_since.is_none() {
            let mut stream = match self.base.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.has_backlog = false;
                    return;
                }
                Err(error) => {
                    // Without descriptors left, the backlog waits until a connection has ended.
                    warn!(self.base.log, "cannot accept a client"; "error" => %error);
                    return;
                }
            };
            if self.clients.count() >= self.base.limits.clients_max {
                // Courtesy; the connection ends in any case.
                let _ = stream.write(b"-ERR max number of clients reached\r\n");
                continue;
            }
            if let Err(error) = self.clients.add(stream, self.base.poll.registry(), self.now) {
                warn!(self.base.log, "cannot watch a client"; "error" => %error);
            }
        }
    }

    /// Whether the server was asked to stop and nothing that matters is under way.
    fn is_done(&mut self) -> bool {
        let Some(since) = self.stopping_since else { return false };
        let is_late = self.now.saturating_duration_since(since) >= self.base.limits.stop_time_max;
        is_late || self.clients.iter_mut().all(|(_, client)| client.is_settled())
    }
}

const EVENTS_MAX: usize = 1024;
const CHECK_PERIOD: Duration = Duration::from_millis(50);
