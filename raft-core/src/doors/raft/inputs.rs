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
    /// How long a tick lasts is the caller's choice; 10 to 100 ms is usual. With
    /// [`read_lease_ticks`](Config::read_lease_ticks), ticks must keep up with a monotonic clock: after a
    /// pause, the missed ones come before anything else.
    ///
    /// ```
    /// use raft_core::{Config, Membership, NodeId, Raft, RoleName};
    ///
    /// let mut config = Config::new(NodeId::new(1));
    /// (config.election_timeout_ticks_min, config.election_timeout_ticks_max) = (10, 10); // not random
    /// let mut raft = Raft::found(config, Membership::of_voters([1, 2, 3].map(NodeId::new))?)?;
    /// for _ in 0..9 {
    ///     raft.tick();
    /// }
    /// assert_eq!(raft.role(), RoleName::Follower);
    /// raft.tick(); // It has heard no leader for an election timeout (Raft §5.2).
    /// assert_eq!(raft.role(), RoleName::PreCandidate);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tick(&mut self) {
        self.input().tick(1);
    }

    /// Time passes: this many ticks, as if one after the other with nothing coming in between.
    ///
    /// Costs what happens in them, not how many there are. With
    /// [`ticks_until_due`](Self::ticks_until_due) a quiet group can be left alone until something is
    /// due, and ten thousand of them cost nothing per tick.
    ///
    /// ```
    /// use raft_core::{Config, Membership, NodeId, Raft, RoleName};
    ///
    /// let ids = [1, 2, 3].map(NodeId::new);
    /// let mut raft = Raft::found(Config::new(ids[0]), Membership::of_voters(ids)?)?;
    /// raft.tick_many(raft.ticks_until_due() - 1);
    /// assert_eq!((raft.role(), raft.ticks_until_due()), (RoleName::Follower, 1));
    /// raft.tick_many(1);
    /// assert_eq!(raft.role(), RoleName::PreCandidate);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tick_many(&mut self, ticks: u32) {
        self.input().tick(ticks);
    }

    /// Takes a message from another member.
    ///
    /// Nothing a message says can make this panic, lower the term, the commit index or the log, or
    /// make it allocate more than the message's size and the limits of [`Config`]. What breaks a rule is
    /// dropped and counted, see [`offence_count`](Self::offence_count).
    ///
    /// ```
    /// use raft_core::{Action, Body, Config, Membership, Message, NodeId, Position, Raft, Term, VoteRequest};
    ///
    /// let ids = [1, 2, 3].map(NodeId::new);
    /// let mut raft = Raft::found(Config::new(ids[0]), Membership::of_voters(ids)?)?;
    /// let vote = VoteRequest { campaign: 1, last: Position::ZERO, priority: 0, transfer: false };
    /// raft.receive(Message { from: ids[1], to: ids[0], term: Term::new(1), body: Body::Vote(vote) });
    /// assert_eq!(raft.status().vote, Some(ids[1]));
    /// let is_answer = |action: &Action| matches!(action, Action::Send(it) if matches!(it.body, Body::VoteReply(_)));
    /// let mut actions: Vec<_> = std::iter::from_fn(|| raft.poll_action()).collect();
    /// assert!(!actions.iter().any(is_answer), "a vote leaves only once it is durable");
    /// while let Some(action) = actions.pop() {
    ///     if let Action::Persist(request) = action {
    ///         raft.persisted(request.id);
    ///     }
    /// }
    /// assert!(std::iter::from_fn(|| raft.poll_action()).any(|action| is_answer(&action)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive(&mut self, message: Message) {
        let machine = self.input();
        machine.trace.arrive(&message);
        machine.receive(message);
    }

    /// Messages to this member may have been lost.
    ///
    /// Optional: losses are found without it, a heartbeat later. A leader goes back to sending the member
    /// one append at a time; a follower that hears this of its leader expects no answer to what it sent on.
    ///
    /// ```
    /// use raft_core::{Config, Membership, NodeId, Raft};
    ///
    /// let ids = [1, 2, 3].map(NodeId::new);
    /// let mut raft = Raft::found(Config::new(ids[0]), Membership::of_voters(ids)?)?;
    /// raft.unreachable(ids[1]); // nothing was sent there, so nothing follows
    /// assert_eq!(raft.leader(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unreachable(&mut self, peer: NodeId) {
        self.input().unreachable(peer);
    }

    /// Everything up to this request is durable: it survives a crash and a power cut.
    ///
    /// One call covers all requests before it. Ids that are older than the newest reported one change
    /// nothing.
    ///
    /// ```
    /// use raft_core::{Action, Config, LogIndex, Membership, NodeId, Raft};
    ///
    /// let id = NodeId::new(1);
    /// let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// raft.campaign()?;
    /// while let Some(action) = raft.poll_action() {
    ///     if let Action::Persist(request) = action {
    ///         // … write and sync it …
    ///         raft.persisted(request.id);
    ///     }
    /// }
    /// assert_eq!(raft.status().durable, LogIndex::new(1)); // the entry that opens the term
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn persisted(&mut self, id: PersistId) {
        self.input().persisted(id);
    }

    /// Entries up to this index are applied.
    ///
    /// The core hands out at most [`apply_bytes_max`](Config::apply_bytes_max) bytes ahead of this, so a
    /// slow state machine slows nothing else down.
    ///
    /// ```
    /// use raft_core::{Action, Config, LogIndex, Membership, NodeId, Raft};
    ///
    /// let id = NodeId::new(1);
    /// let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// raft.campaign()?;
    /// while let Some(action) = raft.poll_action() {
    ///     match action {
    ///         Action::Persist(request) => raft.persisted(request.id),
    ///         Action::Apply(batches) => raft.applied(batches.last().expect("never empty")),
    ///         _ => {}
    ///     }
    /// }
    /// assert_eq!(raft.status().applied, LogIndex::new(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn applied(&mut self, index: LogIndex) {
        self.input().applied(index);
    }

    /// The entries that [`Action::Load`](crate::Action::Load) asked for: all of the range or its beginning,
    /// at least one.
    ///
    /// An answer to a question that is of no interest any more is ignored.
    ///
    /// ```
    /// use raft_core::{LoadId, LogIndex};
    /// # use raft_core::{Config, LoadError, NodeId, Raft};
    /// # let mut raft = Raft::join(Config::new(NodeId::new(1)))?;
    ///
    /// // The arm for `Action::Load(load)`, with a store that implements `LogStore`:
    /// //     let batches = store.load(load.first, load.end, load.bytes_max)?;
    /// //     raft.loaded(load.id, &batches)?;
    /// assert_eq!(raft.loaded(LoadId::new(7), &[]), Ok(()), "nobody asked");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If they are not what the log has there (F13). The store is not to be trusted then; stop.
    pub fn loaded(&mut self, id: LoadId, batches: &[Entries]) -> Result<(), LoadError> {
        self.input().loaded(id, batches)
    }

    /// Appends a command, if this node leads; says where it stands (Raft §5.3).
    ///
    /// The payload is copied once, into the batch that is being filled. It has at most
    /// [`entry_bytes_max`](Config::entry_bytes_max) bytes, 1 MiB by default. Whether it stays where it is,
    /// is for [`commit_status`](Self::commit_status) and the applied entries to tell.
    ///
    /// ```
    /// # use raft_core::{Action, Config, Membership, NodeId, Raft};
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// use raft_core::{CommitStatus, Position};
    ///
    /// let position = raft.propose(b"set colour blue")?;
    /// assert_eq!(position, Position::new(1.into(), 2.into()));
    /// assert_eq!(raft.commit_status(position), CommitStatus::Pending);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If it was not appended, and why: another node leads or none is known, leadership is being handed
    /// over, [`proposals_bytes_max`](Config::proposals_bytes_max) is reached, or the payload is too large.
    /// Then it will never be applied.
    pub fn propose(&mut self, payload: &[u8]) -> Result<Position, ProposeError> {
        self.input().propose(payload)
    }

    /// Sends a command on to the leader, if another node leads; [`Action::Forwarded`](crate::Action) tells
    /// the rest, at the latest after [`proposal_timeout_ticks`](Config::proposal_timeout_ticks).
    ///
    /// All that is forwarded before the next [`poll_action`](Self::poll_action) travels in one message.
    ///
    /// ```
    /// use raft_core::{Action, Body, Config, Heartbeat, Membership, Message, NodeId, Raft, Term};
    ///
    /// let ids = [1, 2, 3].map(NodeId::new);
    /// let mut raft = Raft::found(Config::new(ids[0]), Membership::of_voters(ids)?)?;
    /// let beat = Body::Heartbeat(Heartbeat { commit: 0.into(), round: 1, transferee: None });
    /// raft.receive(Message { from: ids[1], to: ids[0], term: Term::new(1), body: beat });
    /// raft.forward(b"set colour blue")?;
    /// let actions: Vec<_> = std::iter::from_fn(|| raft.poll_action()).collect();
    /// let is_sent_on = |action: &Action| {
    ///     matches!(action, Action::Send(it) if it.to == ids[1] && matches!(it.body, Body::Propose { .. }))
    /// };
    /// assert!(actions.iter().any(is_sent_on));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If it was not taken, and why: no other node is known to lead, forwarding is
    /// [off](Config::forward_proposals), [`forward_bytes_max`](Config::forward_bytes_max) is reached, or the
    /// payload is too large. Then it will never be applied.
    pub fn forward(&mut self, payload: &[u8]) -> Result<ForwardId, ProposeError> {
        self.input().forward(payload)
    }

    /// Asks for a linearizable read on any member (diss. §6.4); [`Action::ReadReady`](crate::Action) or
    /// [`Action::ReadRefused`](crate::Action) answers it, and all reads before it.
    ///
    /// Reads of one drain share a round. With [`read_lease_ticks`](Config::read_lease_ticks) a leader may
    /// answer without one.
    ///
    /// ```
    /// # use raft_core::{Action, Config, Membership, NodeId, Raft};
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// let read = raft.read()?;
    /// let Some(Action::ReadReady { up_to, index }) = raft.poll_action() else { panic!("it is alone") };
    /// assert_eq!(up_to, read);
    /// assert!(index <= raft.commit()); // serve the read once everything up to `index` is applied
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If no leader is known, or this node is a witness, which has no state.
    pub fn read(&mut self) -> Result<ReadId, ReadError> {
        self.input().read()
    }

    /// Campaigns at once instead of waiting for the election timeout (Raft §5.2).
    ///
    /// With [`pre_vote`](Config::pre_vote) it first asks whether it could win (diss. §9.6). Answers that came
    /// in so far are in [`Status::votes`](crate::Status::votes).
    ///
    /// ```
    /// use raft_core::{Config, Membership, NodeId, Raft, RoleName, Term};
    ///
    /// let mut config = Config::new(NodeId::new(1));
    /// config.pre_vote = false;
    /// let mut raft = Raft::found(config, Membership::of_voters([1, 2, 3].map(NodeId::new))?)?;
    /// raft.campaign()?;
    /// assert_eq!((raft.role(), raft.term()), (RoleName::Candidate, Term::new(1)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If this node leads, does not vote, is a witness, waits for a snapshot, its disk does not answer, no
    /// term is left, or a leader's lease rests on it.
    pub fn campaign(&mut self) -> Result<(), CampaignError> {
        self.input().try_campaign()
    }

    /// Changes the membership, if this node leads; says where the first entry of the change stands.
    ///
    /// If the voters change, that entry makes the configuration joint, and the leader leaves it by
    /// itself once it is committed (Raft §6), unless the change says to stay. A membership is in force as
    /// soon as it is appended; the change is over when [`membership`](Self::membership) is not joint and its
    /// entry is committed.
    ///
    /// ```
    /// # use raft_core::{Action, Config, Membership, NodeId, Raft};
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// use raft_core::MembershipChange;
    ///
    /// let new = NodeId::new(2);
    /// raft.change_membership(&MembershipChange::new().learner(new).context(new, "10.0.0.2:7000"))?;
    /// assert_eq!(raft.membership().member(new).expect("just added").context, "10.0.0.2:7000");
    /// assert!(!raft.membership().is_joint(), "the voters are the same");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If nothing was appended, and why: see [`ChangeError`].
    pub fn change_membership(&mut self, change: &MembershipChange) -> Result<Position, ChangeError> {
        self.input().change_membership(change)
    }

    /// Leaves a joint configuration that was entered with
    /// [`MembershipChange::stay_joint`] (Raft §6).
    ///
    /// ```
    /// # use raft_core::{Action, Config, Membership, NodeId, Raft};
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// use raft_core::ChangeError;
    ///
    /// assert_eq!(raft.leave_joint(), Err(ChangeError::NotJoint));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If nothing was appended, and why: see [`ChangeError`].
    pub fn leave_joint(&mut self) -> Result<Position, ChangeError> {
        self.input().leave_joint()
    }

    /// Hands leadership over to another voter (diss. §3.10), if this node leads.
    ///
    /// Until it is done, given up after the shortest election timeout, or
    /// [called off](Self::abort_transfer), proposals are refused. The target is first brought up to
    /// date. [`Notice::TransferEnded`](crate::Notice) says that it came to nothing.
    ///
    /// ```
    /// # use raft_core::{Action, Config, Membership, NodeId, Raft};
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// use raft_core::TransferError;
    ///
    /// let stranger = NodeId::new(9);
    /// assert_eq!(raft.transfer_leadership(stranger), Err(TransferError::NotVoter(stranger)));
    /// assert_eq!(raft.transfer_leadership(id), Err(TransferError::AlreadyLeader));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If no transfer begins, and why: see [`TransferError`].
    pub fn transfer_leadership(&mut self, to: NodeId) -> Result<(), TransferError> {
        self.input().transfer_leadership(to)
    }

    /// Leads on, if this node is handing leadership over; whether it was. Proposals are taken again.
    ///
    /// A target that was told to campaign may have done so already: then it may win all the same.
    ///
    /// ```
    /// # use raft_core::{Config, Membership, NodeId, Raft};
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// assert!(!raft.abort_transfer()); // there is none
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn abort_transfer(&mut self) -> bool {
        self.input().abort_transfer()
    }
}
