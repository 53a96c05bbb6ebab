//! What a node's owner wants of it, and time.

use super::Node;
use crate::doors::outcome::{Event, Outcome};
use crate::doors::state_machine::StateMachine;
use crate::doors::store::SnapshotStore;
use crate::doors::transport::Transport;
use crate::doors::waiting::ProposalId;
use crate::means::config::{Config, ConfigError};
use crate::words::change::MembershipChange;
use crate::words::error::{
    CampaignError, ChangeError, ProposeError, ReadError, SnapshotError, TransferError,
};
use crate::words::ids::{NodeId, Position, ReadId};

impl<L: SnapshotStore, T: Transport, S: StateMachine> Node<L, T, S> {
    /// Goes on with other settings; see [`Raft::update_config`].
    ///
    /// # Errors
    ///
    /// If they are not acceptable. Then nothing changes.
    pub fn update_config(&mut self, change: impl FnOnce(&mut Config)) -> Result<(), ConfigError> {
        self.raft.update_config(change)
    }

    /// Time passes: one tick.
    pub fn tick(&mut self) {
        self.tick_many(1);
    }

    /// Time passes: this many ticks, as if one after the other with nothing coming in between.
    ///
    /// **With [`read_lease_ticks`](Config::read_lease_ticks), ticks must keep up with a monotonic
    /// clock**: an owner that was paused gives all the ticks it missed before it pumps (N18).
    pub fn tick_many(&mut self, ticks: u32) {
        self.raft.tick_many(ticks);
        let timeout = u64::from(self.raft.config().proposal_timeout_ticks);
        for id in self.waiting.tick(u64::from(ticks), timeout) {
            self.events.push_back(Event::Proposed { id, outcome: Outcome::Unknown });
        }
    }

    /// Proposes a command, on any member: a leader appends it, others send it on, unless
    /// [`forward_proposals`](Config::forward_proposals) is off. [`Event::Proposed`] tells what
    /// became of it.
    ///
    /// # Errors
    ///
    /// If it was not taken, and why. Then it will never be applied.
    pub fn propose(&mut self, payload: &[u8]) -> Result<ProposalId, ProposeError> {
        match self.raft.propose(payload) {
            Ok(position) => Ok(self.waiting.add_appended(position)),
            Err(ProposeError::NotLeader { .. }) if self.raft.config().forward_proposals => {
                let forward = self.raft.forward(payload)?;
                Ok(self.waiting.add_forwarded(forward))
            }
            Err(error) => Err(error),
        }
    }

    /// Asks for a linearizable read, on any member. [`Event::ReadReady`] tells when it may be
    /// served from [`machine`](Self::machine).
    ///
    /// # Errors
    ///
    /// If no leader is known.
    pub fn read(&mut self) -> Result<ReadId, ReadError> {
        self.raft.read()
    }

    /// Campaigns at once instead of waiting for the election timeout.
    ///
    /// # Errors
    ///
    /// If this node leads, does not vote, its disk does not answer, or a leader's lease rests on it.
    pub fn campaign(&mut self) -> Result<(), CampaignError> {
        self.raft.campaign()
    }

    /// Changes the membership, if this node leads; see [`Raft::change_membership`].
    ///
    /// # Errors
    ///
    /// If nothing was appended, and why.
    pub fn change_membership(&mut self, change: &MembershipChange) -> Result<Position, ChangeError> {
        self.raft.change_membership(change)
    }

    /// Leaves a joint configuration that was entered to stay; see [`Raft::leave_joint`].
    ///
    /// # Errors
    ///
    /// If nothing was appended, and why.
    pub fn leave_joint(&mut self) -> Result<Position, ChangeError> {
        self.raft.leave_joint()
    }

    /// Hands leadership over, if this node leads; see [`Raft::transfer_leadership`].
    ///
    /// # Errors
    ///
    /// If no transfer begins, and why.
    pub fn transfer_leadership(&mut self, to: NodeId) -> Result<(), TransferError> {
        self.raft.transfer_leadership(to)
    }

    /// Takes a snapshot as soon as may be, whatever the policy says; see [`Raft::take_snapshot`].
    ///
    /// # Errors
    ///
    /// If one is under way already, or there is nothing new to take one of.
    pub fn take_snapshot(&mut self) -> Result<(), SnapshotError> {
        self.raft.take_snapshot()
    }

    /// Asks the leader for a snapshot because the state is lost; see [`Raft::request_snapshot`].
    ///
    /// # Errors
    ///
    /// If this node leads, or a snapshot is being restored already.
    pub fn request_snapshot(&mut self) -> Result<(), SnapshotError> {
        self.raft.request_snapshot()
    }
}
