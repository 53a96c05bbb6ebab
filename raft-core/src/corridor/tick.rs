//! Time: clocks advance, and what is due happens.

use crate::books::role::{Follower, Role};
use crate::corridor::Machine;
use crate::rooms::{proposing, replication, sending, transfer};
use crate::words::ids::ReadId;
use crate::words::notice::{Notice, StepDown};

impl Machine {
    /// This many ticks have passed. Quiet ones are skipped over, not gone through.
    pub(crate) fn tick(&mut self, mut ticks: u32) {
        self.books.log.seal();
        self.books.last_at_tick = self.books.log.last().index;
        while ticks > 0 {
            let step = ticks.min(self.ticks_until_due());
            self.advance(step);
            self.act();
            ticks -= step;
        }
    }

    /// After how many ticks the next thing happens, if nothing comes in before; at least one.
    pub(crate) fn ticks_until_due(&self) -> u32 {
        let (clock, config) = (&self.books.clock, &self.books.config);
        let patience = config.election_timeout_ticks_min;
        let until = |limit: u32, elapsed: u32| limit.saturating_sub(elapsed).max(1);
        let role = match &self.role {
            Role::Leader(leader) => {
                let transfer = leader.transfer.map_or(u32::MAX, |transfer| until(patience, transfer.ticks));
                let check = until(patience, clock.election_elapsed);
                let chunk = sending::ticks_until_due(&self.books, leader);
                until(config.heartbeat_ticks, clock.beat_elapsed).min(check).min(transfer).min(chunk)
            }
            Role::Follower(_)
                if self.books.local_reads.is_waiting() || self.books.applying.awaited.is_some() =>
            {
                let ask = until(patience, clock.beat_elapsed);
                until(clock.election_timeout, clock.election_elapsed).min(ask)
            }
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                until(clock.election_timeout, clock.election_elapsed)
            }
        };
        let disk = self.books.disk.ticks_until_stalled(patience);
        let forwards = self.books.forwards.ticks_until_expired(config.proposal_timeout_ticks);
        role.min(disk).min(forwards)
    }

    /// Advances every clock.
    fn advance(&mut self, ticks: u32) {
        let was_stalled = self.books.is_disk_stalled();
        self.books.disk.advance(ticks);
        self.books.forwards.advance(ticks);
        let clock = &mut self.books.clock;
        clock.election_elapsed = clock.election_elapsed.saturating_add(ticks);
        clock.beat_elapsed = clock.beat_elapsed.saturating_add(ticks);
        clock.leader_silence = clock.leader_silence.saturating_add(ticks);
        if let Role::Leader(leader) = &mut self.role {
            leader.lease.advance(ticks);
            sending::advance(&self.books, leader, ticks);
            if let Some(transfer) = &mut leader.transfer {
                transfer.ticks = transfer.ticks.saturating_add(ticks);
            }
        }
        if self.books.is_disk_stalled() && !was_stalled {
            self.books.outbox.notice(Notice::DiskStalled);
        }
    }

    /// Does what is due now.
    pub(super) fn act(&mut self) {
        proposing::expire(&mut self.books);
        match &mut self.role {
            Role::Leader(_) => self.act_leader(),
            Role::Follower(follower) => {
                if self.books.clock.beat_elapsed >= self.books.config.election_timeout_ticks_min {
                    self.books.clock.beat_elapsed = 0;
                    ask_again(follower, self.books.local_reads.done);
                }
                self.act_campaign();
            }
            Role::PreCandidate(_) | Role::Candidate(_) => self.act_campaign(),
        }
    }

    fn act_campaign(&mut self) {
        if self.books.clock.election_elapsed >= self.books.clock.election_timeout
            && self.try_campaign().is_err()
        {
            // Without a leader there is nobody to wait for any longer.
            self.become_follower(self.books.term(), None);
            self.books.reset_clock();
        }
    }

    /// Heartbeats; and a leader that hears no quorum, or whose disk does not answer, makes room for
    /// another (diss. §6.2; F25).
    fn act_leader(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        if self.books.is_disk_stalled() && !leader.progress.has_single_voter() {
            return self.step_down(StepDown::DiskStalled, self.books.term());
        }
        if self.books.clock.election_elapsed >= self.books.config.election_timeout_ticks_min {
            self.books.clock.election_elapsed = 0;
            if let Some(own) = leader.progress.find(self.books.config.id) {
                own.is_active = true;
            }
            sending::drop_silent(&mut self.books, leader);
            leader.progress.judge_sync(self.books.disk.durable());
            replication::wake(leader);
            if !leader.progress.take_is_quorum_active() && self.books.config.check_quorum {
                return self.step_down(StepDown::QuorumLost, self.books.term());
            }
        }
        transfer::expire(&mut self.books, leader);
        if self.books.clock.beat_elapsed >= self.books.config.heartbeat_ticks {
            replication::broadcast_heartbeat(&mut self.books, leader);
            replication::wake(leader);
        }
    }
}

/// An answer may have been lost: what this node waits for is asked for again.
fn ask_again(follower: &mut Follower, done: ReadId) {
    follower.reads_sent = done;
    follower.has_asked_for_snapshot = false;
}
