//! Outputs, made when they are asked for.
//!
//! Inputs only move state. What goes out is built here from that state, so whatever came in between
//! two drains leaves together: one append per follower, one request to the disk, one answer.

use crate::books::role::Role;
use crate::corridor::{LoadFor, Machine};
use crate::rooms::{applying, compaction, following, installing, proposing, reading, replication, sending};
use crate::words::action::Action;
use crate::words::entries::Entries;

impl Machine {
    /// The next thing to do; `None` if there is nothing until the next input.
    ///
    /// Messages come before the disk: a leader's own write goes on while its followers write
    /// (diss. §10.2.1), and what must not leave before a write is not here before it.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.books.log.seal();
        loop {
            if let Some(action) = self.books.outbox.poll() {
                match action {
                    Action::Send(message) if message.to == self.books.id() => self.receive_own(&message),
                    action => return Some(action),
                }
                continue;
            }
            if let Some(action) = self.poll_role() {
                return Some(action);
            }
            if self.books.outbox.is_empty() {
                break;
            }
        }
        if let Some(persist) = self.books.disk.take(&self.books.log, self.books.hard) {
            return Some(Action::Persist(persist));
        }
        let action = self.poll_apply().or_else(|| compaction::poll_take(&mut self.books));
        if action.is_none() && self.books.is_quiet() {
            self.shrink();
        }
        action
    }

    /// Gives back the memory that a burst of work has left behind.
    fn shrink(&mut self) {
        self.books.shrink();
        match &mut self.role {
            Role::Leader(leader) => leader.shrink(),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {}
        }
    }

    /// What the role has to say. Some of it goes through the outbox.
    fn poll_role(&mut self) -> Option<Action> {
        if self.answer_by_lease()
            && let Some(action) = self.books.outbox.poll()
        {
            return Some(action);
        }
        match &mut self.role {
            Role::Leader(leader) => {
                if reading::begin_round(&mut self.books, leader) {
                    replication::broadcast_heartbeat(&mut self.books, leader);
                    if leader.progress.has_single_voter() {
                        self.answer_reads();
                    }
                    return self.books.outbox.poll();
                }
                let action = replication::poll_append(&mut self.books, leader);
                if action.is_none() {
                    return sending::poll_chunk(&mut self.books, leader);
                }
                if let Some(Action::Load(load)) = action
                    && let Some(peer) = leader.progress.at(leader.cursor).map(|progress| progress.id)
                {
                    self.note_load(load, LoadFor::Peer(peer));
                }
                action
            }
            Role::Follower(follower) => {
                following::poll_answer(&mut self.books, follower);
                reading::poll_request(&mut self.books, follower);
                proposing::poll_forward(&mut self.books, follower);
                installing::poll_request(&mut self.books, follower);
                self.books.outbox.poll()
            }
            Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    fn poll_apply(&mut self) -> Option<Action> {
        let action = applying::poll_apply(&mut self.books);
        if let (Some(Action::Apply(batches)), Role::Leader(leader)) = (&action, &mut self.role) {
            let own = batches.iter().filter(|batch| batch.term() == self.books.hard.term);
            leader.uncommitted_bytes -= own.map(Entries::byte_count).sum::<usize>();
        }
        if let Some(Action::Load(load)) = action {
            self.note_load(load, LoadFor::Apply);
        }
        action
    }
}
