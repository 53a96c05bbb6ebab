//! The full mode: whole nodes with the log and the snapshots that ship, on a disk that loses, tears and
//! decays, and the key-value machine with sessions under clients whose every answer is checked.

mod clients;
mod disk;
mod machine;
mod neighbour;

use raft_core::NodeId;
use raft_core::sessions::{SessionLimits, Sessions};
use raft_core::sim::{Answer, Dice, RequestId, Situations, Subject, Violation};

use clients::Clients;
use disk::WalMedium;
use machine::KvMachine;

/// Situations that a few hundred seeds must reach together in this mode, beside those of every mode.
pub(crate) const EXPECTED: [&str; 23] = [
    "crash in a flush",
    "crash in recovery",
    "damage found",
    "disk damaged",
    "disk full",
    "disk stall",
    "failed call in recovery",
    "failed sync",
    "failed write",
    "increment",
    "linearizable key",
    "neighbour appends",
    "power cut",
    "power cut with unsynced changes",
    "process killed",
    "requests wait for room",
    "retry",
    "retry answered",
    "session expired",
    "session opened",
    "store failed",
    "swap refused",
    "swap taken",
];

/// One run of the full mode.
#[derive(Debug, Default)]
pub(crate) struct Full {
    clients: Clients,
    situations: Situations,
}

/// Few enough that sessions expire.
const LIMITS: SessionLimits = SessionLimits {
    sessions_max: 5,
    idle_entries_max: 400,
    calls_max: 4,
    session_bytes_max: 4 << 10,
    table_bytes_max: 64 << 10,
};

impl Subject for Full {
    type Machine = Sessions<KvMachine>;
    type Medium = WalMedium;

    fn machine(&mut self) -> Sessions<KvMachine> {
        Sessions::new(KvMachine::default(), LIMITS)
    }

    fn medium(&mut self, node: NodeId, dice: Dice, situations: &Situations) -> WalMedium {
        self.situations = situations.clone();
        WalMedium::new(node, dice, situations)
    }

    fn propose(&mut self, request: RequestId, now: u64, dice: &mut Dice) -> Option<Vec<u8>> {
        self.clients.propose(request, now, dice, &self.situations)
    }

    fn read(&mut self, request: RequestId, now: u64, dice: &mut Dice) -> bool {
        self.clients.read(request, now, dice)
    }

    fn on_answer(
        &mut self,
        request: RequestId,
        now: u64,
        answer: Answer<'_, Sessions<KvMachine>>,
    ) -> Result<(), Violation> {
        match answer {
            Answer::Applied(output) => self.clients.on_output(request, now, output, &self.situations),
            Answer::Never => self.clients.on_no_answer(request, true),
            Answer::Unknown => self.clients.on_no_answer(request, false),
            Answer::Read(machine) => self.clients.on_read(request, now, machine.machine()),
            Answer::Unread => self.clients.on_no_answer(request, true),
        }
        Ok(())
    }

    fn finish(&mut self, _committed_count: &dyn Fn(&[u8]) -> usize) -> Result<(), Violation> {
        self.clients.check(&self.situations)
    }
}
