//! What happens to a node: time, messages, its disk and its state machine, and what its owner wants.

use super::Raft;
use crate::means::config::{Config, ConfigError};
use crate::words::change::MembershipChange;
use crate::words::entries::Entries;
use crate::words::error::{CampaignError, ChangeError, LoadError, ProposeError, ReadError, TransferError};
use crate::words::ids::{ForwardId, LoadId, LogIndex, NodeId, PersistId, Position, ReadId};
use crate::words::message::Message;

impl Raft {
    /// Goes on with other settings, all of them or, if they are not acceptable, none.
    ///
    /// They apply from now on. A limit that was lowered takes nothing back: whatever is over it
    /// waits until there is room. The time until the next campaign is drawn anew if its range
    /// changed. Times count from when the waiting began, so what is due by a shorter one happens at
    /// once. Proposals that wait to be sent on still are if forwarding is switched off.
    ///
    /// ```
    /// use raft_core::{Config, ConfigError, NodeId, Raft};
    ///
    /// let mut raft = Raft::join(Config::new(NodeId::new(1)))?;
    /// raft.update_config(|config| config.inflight_messages_max = 8)?;
    /// let refused = raft.update_config(|config| {
    ///     config.inflight_messages_max = 4;
    ///     config.seed += 1;
    /// });
    /// assert_eq!(refused, Err(ConfigError::Fixed("seed")));
    /// assert_eq!(raft.config().inflight_messages_max, 8);
    /// # Ok::<(), ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If a setting would be out of its bounds; if `id` or `seed` would change; and, because the
    /// members' leases rest on each other's settings, if [`read_lease_ticks`](Config::read_lease_ticks) would
    /// become longer, or zero, or more than zero, or if there are leases and `election_timeout_ticks_min`
    /// would become shorter. To do that, stop all members and start them with the new settings.
    pub fn update_config(&mut self, change: impl FnOnce(&mut Config)) -> Result<(), ConfigError> {
        self.input().update_config(change)
    }

    /// Time passes: one tick.
    ///
    /// With [`read_lease_ticks`](Config::read_lease_ticks), ticks must keep up with a monotonic
    /// clock: after a pause, the missed ones come before anything else.
    pub fn tick(&mut self) {
        self.input().tick(1);
    }

    /// Time passes: this many ticks, as if one after the other with nothing coming in between.
    ///
    /// Costs what happens in them, not how many there are. With
    /// [`ticks_until_due`](Self::ticks_until_due) a quiet group can be left alone until something is
    /// due, and ten thousand of them cost nothing per tick.
    pub fn tick_many(&mut self, ticks: u32) {
        self.input().tick(ticks);
    }

    /// Takes a message from another member.
    ///
    /// Nothing a message says can make this panic, lower the term, the commit index or the log, or
    /// make it allocate more than the message's size and the limits of [`Config`].
    pub fn receive(&mut self, message: Message) {
        self.input().receive(message);
    }

    /// Messages to this member may have been lost.
    pub fn unreachable(&mut self, peer: NodeId) {
        self.input().unreachable(peer);
    }

    /// Everything up to this request is durable.
    pub fn persisted(&mut self, id: PersistId) {
        self.input().persisted(id);
    }

    /// Entries up to this index are applied.
    pub fn applied(&mut self, index: LogIndex) {
        self.input().applied(index);
    }

    /// The entries that [`Action::Load`] asked for.
    ///
    /// # Errors
    ///
    /// If they are not what the log has there. The store is not to be trusted then; stop.
    pub fn loaded(&mut self, id: LoadId, batches: &[Entries]) -> Result<(), LoadError> {
        self.input().loaded(id, batches)
    }

    /// Appends a command, if this node leads; says where it stands.
    ///
    /// Whether it stays there is for [`commit_status`](Self::commit_status) and the applied
    /// entries to tell.
    ///
    /// # Errors
    ///
    /// If it was not appended, and why. Then it will never be applied.
    pub fn propose(&mut self, payload: &[u8]) -> Result<Position, ProposeError> {
        self.input().propose(payload)
    }

    /// Sends a command on to the leader, if another node leads; [`Action::Forwarded`] tells the
    /// rest.
    ///
    /// # Errors
    ///
    /// If it was not taken, and why. Then it will never be applied.
    pub fn forward(&mut self, payload: &[u8]) -> Result<ForwardId, ProposeError> {
        self.input().forward(payload)
    }

    /// Asks for a linearizable read on any member (diss. §6.4); [`Action::ReadReady`] or
    /// [`Action::ReadRefused`] answers it, and all reads before it.
    ///
    /// # Errors
    ///
    /// If no leader is known.
    pub fn read(&mut self) -> Result<ReadId, ReadError> {
        self.input().read()
    }

    /// Campaigns at once instead of waiting for the election timeout.
    ///
    /// # Errors
    ///
    /// If this node leads, does not vote, its disk does not answer, or a leader's lease rests on it.
    pub fn campaign(&mut self) -> Result<(), CampaignError> {
        self.input().try_campaign()
    }

    /// Changes the membership, if this node leads; says where the first entry of the change stands.
    ///
    /// If the voters change, that entry makes the configuration joint, and the leader leaves it by
    /// itself once it is committed (Raft §6), unless the change says to stay.
    ///
    /// # Errors
    ///
    /// If nothing was appended, and why.
    pub fn change_membership(&mut self, change: &MembershipChange) -> Result<Position, ChangeError> {
        self.input().change_membership(change)
    }

    /// Leaves a joint configuration that was entered with
    /// [`MembershipChange::stay_joint`].
    ///
    /// # Errors
    ///
    /// If nothing was appended, and why.
    pub fn leave_joint(&mut self) -> Result<Position, ChangeError> {
        self.input().leave_joint()
    }

    /// Hands leadership over to another voter (diss. §3.10), if this node leads.
    ///
    /// Until it is done, or given up after the shortest election timeout, proposals are refused.
    ///
    /// # Errors
    ///
    /// If no transfer begins, and why.
    pub fn transfer_leadership(&mut self, to: NodeId) -> Result<(), TransferError> {
        self.input().transfer_leadership(to)
    }
}
