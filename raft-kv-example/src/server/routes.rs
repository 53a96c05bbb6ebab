//! The ways of chunks: from a connection to the replica, and answers back.

use std::net::SocketAddr;

use bytes::BytesMut;
use slog::{Logger, debug, warn};

use super::answer::{Answer, AnswerSink, Failure};
use super::chunk::ChunkKind;
use super::client::{Client, Received, Wait};
use super::clients::ClientKey;
use super::desk::Desk;
use super::floor::Floor;
use super::intake::Taken;
use super::local::Local;
use super::overview::{Facts, write_number};
use super::replica::{Outcome, Refused, Replica, ReplicaEvent, Ticket};
use crate::admin::{AdminError, Done};
use crate::kv::{Reply, ReplySink};
use crate::resp::ProtocolError;

impl<R: Replica> Floor<R> {
    /// Takes one chunk of each ready connection and sends it on its way.
    pub(super) fn take_chunks(&mut self) {
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
        let Some(client) = self.clients.find(key) else { return };
        if client.is_parting() {
            return self.see_off(key);
        }
        if !client.is_ready() {
            return;
        }
        let was_amid_request = client.is_amid_request();
        let taken = {
            let (replica, base, started, now) = (&self.replica, &self.base, self.started, self.now);
            let commands_total = self.intake.commands_total();
            let facts = || Facts {
                port: base.listener.local_addr().as_ref().map_or(0, SocketAddr::port),
                uptime: now - started,
                clients,
                clients_max: base.limits.clients_max,
                accepted_total,
                commands_total,
                keys: replica.machine().store().len(),
                operations: replica.machine().applied_operations(),
            };
            self.intake.take(client, &Local { overview: &|| replica.overview(), facts: &facts })
        };
        match taken {
            Taken::End => self.clients.remove(key, self.base.poll.registry()),
            Taken::Nothing => {
                if !was_amid_request {
                    client.since = self.now;
                }
                if client.is_ready() {
                    self.ready.push(key);
                }
            }
            Taken::Chunk => {
                client.since = self.now;
                if let Some(error) = client.offence.take() {
                    report_offence(&self.base.log, client, error);
                }
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
            ChunkKind::Order => {
                let Some(order) = chunk.order() else { return };
                let ticket = self.replica.order(order.clone());
                client.wait = Wait::Order(ticket);
                self.desk.add_order(ticket, key);
            }
            ChunkKind::Writes | ChunkKind::Session => match self.replica.propose(chunk.as_payload()) {
                Ok(ticket) => {
                    client.wait = Wait::Write(ticket);
                    self.desk.add_write(ticket, key);
                }
                Err(Refused::NoLeader) => {
                    client.wait = Wait::Leader;
                    self.desk.hold(key);
                }
                Err(Refused::Busy) => self.answer(key, Answer::Failure(Failure::Busy)),
                Err(Refused::Witness) => self.answer(key, Answer::Failure(Failure::Witness)),
                Err(Refused::Outsider) => self.answer(key, Answer::Failure(Failure::Outsider)),
                Err(Refused::TooLarge) => self.answer(key, Answer::Failure(Failure::TooLarge)),
            },
        }
    }

    /// Asks for one read point for all reads that came up in this turn.
    pub(super) fn ask_for_read(&mut self) {
        if !self.desk.wants_read() {
            return;
        }
        match self.replica.read() {
            Ok(ticket) => self.desk.on_read_asked(ticket),
            Err(Refused::Witness) => self.fail_reads(Failure::Witness),
            Err(Refused::Outsider) => self.fail_reads(Failure::Outsider),
            Err(Refused::NoLeader | Refused::Busy | Refused::TooLarge) => {
                self.hold_all(Desk::take_next_reads);
            }
        }
    }

    fn fail_reads(&mut self, failure: Failure) {
        for key in self.desk.take_next_reads() {
            self.answer(key, Answer::Failure(failure));
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

    pub(super) fn retry_held(&mut self) {
        for key in self.desk.take_held() {
            if self.clients.find(key).is_some_and(|client| client.wait == Wait::Leader) {
                self.submit(key);
            }
        }
    }

    pub(super) fn on_replica_event(&mut self, event: ReplicaEvent) {
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
                    Outcome::SessionRefused(error) => {
                        self.answer(key, Answer::Failure(Failure::Session(error)));
                    }
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
            ReplicaEvent::Ordered { ticket, result } => self.on_ordered(ticket, result),
            ReplicaEvent::LeaderChanged => self.retry_held(),
        }
    }

    fn on_ordered(&mut self, ticket: Ticket, result: Result<Done, AdminError>) {
        let Some(key) = self.desk.take_order(ticket) else { return };
        let Some(client) = self.clients.find(key) else { return };
        let Some(chunk) = &mut client.chunk else { return };
        chunk.reply(client.session.protocol, |out| match result {
            Ok(Done::Change) => out.push(Reply::Ok),
            Ok(Done::Snapshot(last)) => {
                out.map(2);
                write_number(out, "index", last.index.get());
                write_number(out, "term", last.term.get());
            }
            Err(error) => out.error(&error.to_string()),
        });
        self.answer(key, Answer::Ready);
    }

    /// Answers the chunk under way and looks at the connection again.
    pub(super) fn answer(&mut self, key: ClientKey, answer: Answer) {
        let Some(client) = self.clients.find(key) else { return };
        let Some(chunk) = client.chunk.take() else { return };
        client.wait = Wait::Nothing;
        client.since = self.now;
        let (protocol, bytes_max) = (client.session.protocol, self.base.limits.output_bytes_max);
        self.out.clear();
        let mut sink = AnswerSink::new(&chunk, &mut self.out, protocol, bytes_max);
        match answer {
            Answer::Ready => {}
            Answer::Replies(replies) => replies.iter().for_each(|reply| sink.push(reply)),
            Answer::Read => self.replica.machine().read_batch(chunk.operation_bytes(), &mut sink),
            Answer::Failure(Failure::Unknown) if chunk.kind() == ChunkKind::Session => {
                sink.fail_rest(Failure::UnknownCall);
            }
            Answer::Failure(failure) => sink.fail_rest(failure),
        }
        let is_written = sink.finish().is_ok();
        self.intake.spare(chunk);
        let is_sent = is_written && client.send(&self.out).is_ok();
        if self.out.capacity() > OUT_BYTES_KEPT {
            self.out = BytesMut::new();
        }
        let is_over = client.unsent_byte_count() > bytes_max;
        if !is_sent || is_over {
            self.clients.remove(key, self.base.poll.registry());
        } else if client.session.is_closing && client.is_settled() {
            self.see_off(key);
        } else if client.is_ready() {
            self.ready.push(key);
        }
    }

    /// Ends a connection on which everything is said, once the other side has ended it too or sends too
    /// much.
    pub(super) fn see_off(&mut self, key: ClientKey) {
        let Some(client) = self.clients.find(key) else { return };
        let bytes_max = self.base.limits.skipped_bytes_max;
        let is_broken = !client.is_parting() && client.part(self.now, bytes_max).is_err();
        if is_broken || self.intake.drain(client) == Received::End {
            self.clients.remove(key, self.base.poll.registry());
        } else if client.can_read() {
            self.ready.push(key);
        }
    }
}

fn report_offence(log: &Logger, client: &Client, error: ProtocolError) {
    let address = client.address().map_or_else(|_| "gone".to_owned(), |address| address.to_string());
    if error == ProtocolError::Http {
        warn!(log, "closing the connection of a client that speaks HTTP, perhaps sent by a web page";
            "address" => address);
    } else {
        debug!(log, "closing the connection of a client that sent no request"; "address" => address,
            "reason" => %error);
    }
}

const OUT_BYTES_KEPT: usize = 1 << 20;
