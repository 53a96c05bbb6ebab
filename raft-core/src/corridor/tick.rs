//! Time: one tick at a time.

use crate::books::role::{Follower, Role};
use crate::corridor::Machine;
use crate::rooms::{proposing, replication, transfer};
use crate::words::notice::{Notice, StepDown};

impl Machine {
    /// One tick has passed.
    pub(crate) fn tick(&mut self) {
        self.books.log.seal();
        let was_stalled = self.books.is_disk_stalled();
        self.books.disk.tick();
        self.books.clock.election_elapsed = self.books.clock.election_elapsed.saturating_add(1);
        self.books.clock.beat_elapsed = self.books.clock.beat_elapsed.saturating_add(1);
        if self.books.is_disk_stalled() && !was_stalled {
            self.books.outbox.notice(Notice::DiskStalled);
        }
        proposing::tick(&mut self.books);
        match &mut self.role {
            Role::Leader(_) => self.tick_leader(),
            Role::Follower(follower) => {
                // An answer may have been lost: ask for reads again.
                let config = &self.books.config;
                if self.books.clock.beat_elapsed >= config.election_timeout_ticks_min {
                    self.books.clock.beat_elapsed = 0;
                    ask_again(follower, self.books.local_reads.done);
                }
                self.tick_campaign();
            }
            Role::PreCandidate(_) | Role::Candidate(_) => self.tick_campaign(),
        }
    }

    fn tick_campaign(&mut self) {
        if self.books.clock.election_elapsed >= self.books.clock.election_timeout {
            if self.books.is_electable() {
                self.try_campaign().expect("an electable node that does not lead");
            } else {
                // Without a leader there is nobody to wait for any longer.
                self.become_follower(self.books.term(), None);
                self.books.reset_clock();
            }
        }
    }

    /// Heartbeats; and a leader that hears no quorum, or whose disk does not answer, makes room for
    /// another (diss. §6.2; F25).
    fn tick_leader(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        if self.books.is_disk_stalled() && !leader.progress.has_single_voter() {
            return self.step_down(StepDown::DiskStalled, self.books.term());
        }
        if self.books.clock.election_elapsed >= self.books.config.election_timeout_ticks_min {
            self.books.clock.election_elapsed = 0;
            if let Some(own) = leader.progress.find(self.books.config.id) {
                own.is_active = true;
            }
            if !leader.progress.take_is_quorum_active() && self.books.config.check_quorum {
                return self.step_down(StepDown::QuorumLost, self.books.term());
            }
        }
        transfer::tick(&mut self.books, leader);
        if self.books.clock.beat_elapsed >= self.books.config.heartbeat_ticks {
            replication::broadcast_heartbeat(&mut self.books, leader);
            replication::wake(leader);
        }
    }
}

fn ask_again(follower: &mut Follower, done: crate::words::ids::ReadId) {
    follower.reads_sent = done;
}
