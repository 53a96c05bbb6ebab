//! What is simulated: a state machine, the medium under its log, and what clients ask for.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use super::dice::Dice;
use super::digest::Digest;
use super::report::Situations;
use super::violation::Violation;
use crate::doors::state_machine::{SnapshotSource, StateMachine};
use crate::doors::store::{LogStore, SnapshotStore};
use crate::words::ids::NodeId;

/// Brings a state machine, its store and its clients into a [simulation](super::run).
///
/// One value serves one run: it makes a machine for each start of a node and a medium for each node,
/// and plays all clients. Time is counted in steps, of which [`STEPS_PER_TICK`](super::STEPS_PER_TICK)
/// make a tick.
pub trait Subject {
    /// The application.
    type Machine: StateMachine;
    /// Where a node's log and snapshots are.
    type Medium: Medium;

    /// A machine in its first state. Called for each start of a node: all nodes run the same.
    fn machine(&mut self) -> Self::Machine;

    /// An empty medium for a node. With nothing else to test, take a
    /// [`ModelMedium`](super::ModelMedium).
    fn medium(&mut self, node: NodeId, dice: Dice, situations: &Situations) -> Self::Medium;

    /// A client may propose a command now; `None` if none wants to.
    fn propose(&mut self, request: RequestId, now: u64, dice: &mut Dice) -> Option<Vec<u8>>;

    /// A client may ask for a read now; whether one does.
    fn read(&mut self, request: RequestId, now: u64, dice: &mut Dice) -> bool;

    /// A client gets its answer; each request that was made gets exactly one.
    ///
    /// # Errors
    ///
    /// If it is wrong.
    fn on_answer(
        &mut self,
        request: RequestId,
        now: u64,
        answer: Answer<'_, Self::Machine>,
    ) -> Result<(), Violation>;

    /// The run is over: what can only be judged in the end. `committed_count` tells how often a
    /// command with a payload was committed.
    ///
    /// # Errors
    ///
    /// If something is wrong.
    fn finish(&mut self, committed_count: &dyn Fn(&[u8]) -> usize) -> Result<(), Violation> {
        let _ = committed_count;
        Ok(())
    }

    /// A digest of a machine's state: nodes that have applied the same must agree in it. By default
    /// that of its snapshot, so a snapshot's bytes must depend on the state alone, and a field that it
    /// leaves out is not seen: better give one of the whole state. `None` if it has no snapshots, and
    /// nothing is compared.
    fn digest(machine: &mut Self::Machine) -> Option<u64> {
        machine.snapshot().map(digest_of_snapshot)
    }
}

/// Names a request of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a client is told.
#[derive(Debug)]
pub enum Answer<'a, M: StateMachine> {
    /// The command was applied, with this output.
    Applied(M::Output),
    /// The command was not taken, or lost: it is never applied.
    Never,
    /// Whether the command is applied is not known: its node crashed, or has lost track of it.
    Unknown,
    /// The read may be served from this state.
    Read(&'a M),
    /// The read is not answered.
    Unread,
}

impl<M: StateMachine> Answer<'_, M> {
    /// What became of the request, in a word.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Applied(_) => "applied",
            Self::Never => "never applied",
            Self::Unknown => "unknown",
            Self::Read(_) => "served",
            Self::Unread => "not served",
        }
    }
}

/// What keeps a node's data while the node does not run.
///
/// The simulator opens a store on it for each start of the node, and drops that store when the node
/// crashes. The store is watched: what it has reported as durable must be there at the next opening,
/// and of what it was asked for after that, any number of whole requests in their order.
pub trait Medium {
    /// The store that works on it.
    type Store: SnapshotStore;

    /// Opens a store on what the medium holds.
    ///
    /// # Errors
    ///
    /// If that is not possible, and what is to be done. [`Fate::Lost`] is for what
    /// [`damage`](Self::damage) has spoilt: at other times the group may need this node.
    fn open(&mut self) -> Result<Self::Store, Fate>;

    /// A step begins. Here writes become durable, late or never.
    fn step(&mut self, now: u64);

    /// The process dies, or the power goes. The store has not been dropped yet: whatever it does from
    /// now on must have no effect.
    fn crash(&mut self);

    /// The store has failed. By default, it had no reason to.
    fn judge(&mut self, error: &<Self::Store as LogStore>::Error) -> Fate {
        Fate::Violation(Violation::new("a node stops only if its disk fails", error))
    }

    /// Spoils something that is durable, while the node is down; whether it did. Called only as long as
    /// the other nodes can do without this one.
    fn damage(&mut self) -> bool {
        false
    }

    /// Faults are over for this medium.
    fn calm(&mut self);
}

/// What becomes of a node whose store fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It crashes, and is started again.
    Restart,
    /// What it had acknowledged is damaged or gone. It returns under a new id.
    Lost,
    /// It should not have failed.
    Violation(Violation),
}

/// FNV-1a of everything that a snapshot says.
pub(super) fn digest_of_snapshot(mut source: Box<dyn SnapshotSource>) -> u64 {
    let mut digest = Digest::new();
    while let Some(piece) = source.next_piece(64 << 10) {
        digest.bytes(&piece);
    }
    digest.value()
}
