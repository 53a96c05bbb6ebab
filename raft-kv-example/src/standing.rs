//! Whether the cluster goes on without this node.
//!
//! A node that is removed seldom hears of it: its leader stops sending to it with the very entry that
//! lets it go, and if it was cut off it hears nothing at all. What it notices is that nobody leads it,
//! which can have many reasons. So it asks the others, through the door for clients.

use std::sync::mpsc::{self, Receiver, TryRecvError};

use raft_core::{Config, NodeId, Raft};
use slog::{Logger, warn};

use crate::address::Addresses;
use crate::join;

/// Whether the cluster goes on without this node, as far as it knows.
#[derive(Debug)]
pub(crate) struct Standing {
    cluster: u64,
    log: Logger,
    /// For how long nobody has led, or since the others were asked last.
    silent_ticks: u64,
    ask_after_ticks: u64,
    /// What the others say, while they are being asked.
    inquiry: Option<Receiver<bool>>,
    is_outsider: bool,
}

impl Standing {
    pub(crate) fn new(config: &Config, cluster: u64, log: Logger) -> Self {
        let ask_after_ticks = SILENT_TIMEOUTS_MAX * u64::from(config.election_timeout_ticks_min);
        Self { cluster, log, silent_ticks: 0, ask_after_ticks, inquiry: None, is_outsider: false }
    }

    /// So many ticks have passed.
    pub(crate) fn tick(&mut self, ticks: u32) {
        self.silent_ticks = self.silent_ticks.saturating_add(ticks.into());
    }

    /// Sees whether somebody leads the node, and asks the others if nobody does. `is_settled` says whether
    /// the membership in force is committed.
    pub(crate) fn follow(&mut self, raft: &Raft, is_settled: bool) {
        if raft.leader().is_some() {
            self.silent_ticks = 0;
            self.inquiry = None;
            self.is_outsider = false;
            return;
        }
        let is_told = self.take_answer();
        if self.is_outsider {
            return;
        }
        let is_silence_long = self.silent_ticks >= self.ask_after_ticks;
        // A leader that removed itself has seen the end of it. A newcomer may have heard so little of the
        // log that it is not in it yet, but then somebody leads it, or did a moment ago.
        let membership = raft.membership();
        let knows_better = is_settled && !membership.members().is_empty();
        let is_gone = knows_better && membership.member(raft.id()).is_none();
        if is_told || (is_gone && is_silence_long) {
            self.is_outsider = true;
            warn!(
                self.log,
                "the cluster goes on without this node: it was removed, or is not taken in yet. If it was \
                 removed, stop it; to take part again it needs an empty directory, an --id that was never \
                 used, and --join"
            );
        } else if is_silence_long && self.inquiry.is_none() {
            self.silent_ticks = 0;
            self.ask(raft);
        }
    }

    /// Whether the cluster goes on without this node.
    pub(crate) fn is_outsider(&self) -> bool {
        self.is_outsider
    }

    /// Whether the others have just said that they go on without this node.
    fn take_answer(&mut self) -> bool {
        let answer = self.inquiry.as_ref().map_or(Err(TryRecvError::Empty), Receiver::try_recv);
        if answer != Err(TryRecvError::Empty) {
            self.inquiry = None;
        }
        answer == Ok(true)
    }

    fn ask(&mut self, raft: &Raft) {
        let others = raft.membership().members().iter().filter(|member| member.id != raft.id());
        let addresses = others.filter_map(|member| Addresses::decode(&member.context).ok()?.client);
        let (addresses, cluster, id): (Vec<_>, u64, NodeId) = (addresses.collect(), self.cluster, raft.id());
        if addresses.is_empty() {
            return;
        }
        let (sender, receiver) = mpsc::channel();
        self.inquiry = Some(receiver);
        std::thread::spawn(move || {
            let is_outsider =
                addresses.iter().find_map(|address| join::goes_on_without(address, cluster, id));
            // The node may have stopped meanwhile.
            let _ = sender.send(is_outsider.unwrap_or(false));
        });
    }
}

/// An election that is still to succeed takes a few; asking costs the others next to nothing.
const SILENT_TIMEOUTS_MAX: u64 = 10;
