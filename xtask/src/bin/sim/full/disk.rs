//! The log and the snapshots that ship, on a simulated disk.
//!
//! The log is flushed by hand, so one thread does everything. A crash in the middle of a flush or of
//! recovery is a disk that stops after some of its calls; what a power cut leaves of the calls that
//! were not synced, the dice decide.

use std::sync::Arc;

use super::neighbour::Neighbour;
use raft_core::sim::{Chance, Dice, Fate, Medium, Situations, Violation};
use raft_core::{GroupId, LogIndex, NodeId};
use raft_storage::fs::SimFs;
use raft_storage::fs::sim::{Call, Fault, Kept};
use raft_storage::{Flushing, GroupLog, Identity, LogError, OpenError, Start, Wal, WalOptions};

/// One node's disk.
#[derive(Debug)]
pub(crate) struct WalMedium {
    fs: SimFs,
    node: NodeId,
    wal: Option<Wal>,
    neighbour: Option<Neighbour>,
    /// Up to where the neighbour's entries are durable.
    neighbour_durable: LogIndex,
    dice: Dice,
    situations: Situations,
    faults: Faults,
    /// The directory has been a node's before.
    is_initialised: bool,
    is_calm: bool,
    /// A fault struck since the log was opened, so it may fail.
    is_faulty: bool,
    /// Something durable was spoilt.
    is_damaged: bool,
    /// The log has noted how far it is durable, and nothing came after that.
    is_marked: bool,
    next_flush: u64,
    full_until: u64,
}

/// How likely each fault is on this disk.
#[derive(Debug)]
struct Faults {
    flush_steps_max: u32,
    stall: Chance,
    crash_in_flush: Chance,
    failed_call: Chance,
    full: Chance,
    in_recovery: Chance,
    power_cut: Chance,
    neighbour: Chance,
}

impl WalMedium {
    pub(super) fn new(node: NodeId, mut dice: Dice, situations: &Situations) -> Self {
        let faults = Faults {
            flush_steps_max: dice.between(0, 12),
            stall: dice.swarm(60),
            crash_in_flush: dice.swarm(300),
            failed_call: dice.swarm(60),
            full: dice.swarm(60),
            in_recovery: dice.swarm(20000),
            power_cut: dice.between(0, 65536),
            neighbour: dice.swarm(10000),
        };
        Self {
            fs: SimFs::new(),
            node,
            wal: None,
            neighbour: None,
            neighbour_durable: LogIndex::ZERO,
            dice,
            situations: situations.clone(),
            faults,
            is_initialised: false,
            is_calm: false,
            is_faulty: false,
            is_damaged: false,
            is_marked: false,
            next_flush: 0,
            full_until: 0,
        }
    }

    fn try_open(&mut self) -> Result<(GroupLog, GroupLog), OpenError> {
        let start = if self.is_initialised { Start::Existing } else { Start::InitialiseIfMissing };
        let options = WalOptions::new("/log", Identity { cluster: 1, node: self.node })
            .start(start)
            .flushing(Flushing::Manual)
            .segment_bytes(WalOptions::SEGMENT_BYTES_MIN)
            .seed(self.dice.next())
            .fs(Arc::new(self.fs.clone()));
        let wal = Wal::open(&options, || ())?;
        let [log, other] =
            [1, 2].map(|id| wal.group(GroupId::new(id)).expect("a log that was just opened works"));
        self.wal = Some(wal);
        Ok((log, other))
    }

    /// A fault for the calls to come.
    fn strike(&mut self) {
        let (call, situation) = match self.dice.between(0, 1) {
            0 => (Call::Write, "failed write"),
            _ => (Call::Sync, "failed sync"),
        };
        self.situations.note(situation);
        self.fail(call, 0);
    }

    fn fail(&mut self, call: Call, skip: u64) {
        self.is_faulty = true;
        self.fs.inject(Fault { call, skip, count: 1, error: std::io::ErrorKind::Other });
    }

    fn flush(&mut self) {
        let Some(wal) = &self.wal else { return };
        let before = self.fs.changes();
        // How else it went, the store tells the node.
        if let Err(LogError::NoRoom(_)) = wal.flush_now() {
            self.situations.note("requests wait for room");
        }
        self.is_marked &= self.fs.changes() == before;
        if let Some(neighbour) = &mut self.neighbour {
            self.neighbour_durable = neighbour.durable();
        }
    }
}

impl Medium for WalMedium {
    type Store = GroupLog;

    fn open(&mut self) -> Result<GroupLog, Fate> {
        self.is_faulty = self.full_until > 0;
        self.is_marked = false;
        let is_struck = !self.is_calm && self.dice.happens(self.faults.in_recovery);
        if is_struck && self.dice.between(0, 1) == 0 {
            self.situations.note("crash in recovery");
            self.is_faulty = true;
            self.fs.stop_after(u64::from(self.dice.between(0, 30)));
        } else if is_struck {
            self.situations.note("failed call in recovery");
            let calls =
                [Call::Open, Call::Read, Call::Write, Call::Sync, Call::Rename, Call::SyncDir, Call::List];
            let (call, skip) = (*self.dice.pick(&calls), self.dice.between(0, 8));
            self.fail(call, u64::from(skip));
        }
        let opened = self.try_open();
        match opened {
            Ok((log, other)) => {
                self.is_initialised = true;
                let neighbour = Neighbour::open(other, self.neighbour_durable).map_err(Fate::Violation)?;
                self.neighbour = Some(neighbour);
                Ok(log)
            }
            Err(OpenError::Io(_)) if self.is_faulty => Err(Fate::Restart),
            Err(_) if self.is_damaged => Err(Fate::Lost),
            Err(error) => Err(Fate::Violation(Violation::new("what a crash leaves can be opened", error))),
        }
    }

    fn step(&mut self, now: u64) {
        if self.wal.is_none() || now < self.next_flush {
            return;
        }
        if !self.is_calm {
            if self.full_until > 0 && now >= self.full_until {
                self.full_until = 0;
                self.fs.set_free_bytes(None);
            }
            if self.dice.happens(self.faults.stall) {
                self.situations.note("disk stall");
                self.next_flush = now + u64::from(self.dice.between(10, 600));
                return;
            }
            if let Some(neighbour) = &mut self.neighbour
                && self.dice.happens(self.faults.neighbour)
            {
                self.situations.note("neighbour appends");
                neighbour.append(&mut self.dice);
            }
            if self.dice.happens(self.faults.failed_call) {
                self.strike();
            }
            if self.dice.happens(self.faults.full) {
                self.situations.note("disk full");
                self.is_faulty = true;
                self.full_until = now + u64::from(self.dice.between(10, 1000));
                self.fs.set_free_bytes(Some(self.dice.between(0, 4000).into()));
            }
            if self.dice.happens(self.faults.crash_in_flush) {
                self.situations.note("crash in a flush");
                self.is_faulty = true;
                self.fs.stop_after(u64::from(self.dice.between(0, 6)));
            }
        }
        self.flush();
        self.next_flush = now + 1 + u64::from(self.dice.between(0, self.faults.flush_steps_max));
        if self.dice.between(0, 7) == 0
            && let Some(wal) = &self.wal
        {
            self.is_marked = wal.write_sync_mark().is_ok();
        }
    }

    fn crash(&mut self) {
        let left = if self.dice.happens(self.faults.power_cut) {
            self.situations.note("power cut");
            if !self.fs.unsynced().is_empty() {
                self.situations.note("power cut with unsynced changes");
            }
            power_cut(&self.fs, &mut self.dice)
        } else {
            self.situations.note("process killed");
            self.fs.after_process_death()
        };
        // Whatever the log does while it is dropped has no effect.
        self.fs.stop_after(0);
        (self.neighbour, self.wal) = (None, None);
        self.fs = left;
        if self.dice.between(0, 1) == 0 {
            self.full_until = 0;
            self.fs.set_free_bytes(None);
        }
    }

    fn judge(&mut self, error: &LogError) -> Fate {
        match error {
            LogError::Failed(_) if self.is_faulty => Fate::Restart,
            _ if self.is_damaged => Fate::Lost,
            error => Fate::Violation(Violation::new("a log fails only if its disk does", error)),
        }
    }

    /// One bit, one sector, or one sector's content in another place. Only once the log has noted how
    /// far it is durable: before that, damage to its last flush may pass for a torn write.
    fn damage(&mut self) -> bool {
        let paths = self.fs.paths();
        if !self.is_marked || paths.is_empty() {
            return false;
        }
        let (path, other) = (self.dice.pick(&paths).clone(), self.dice.pick(&paths).clone());
        let foreign = self.fs.content(&other).unwrap_or_default();
        let dice = &mut self.dice;
        self.fs.edit(&path, |bytes| {
            // Most of a segment holds nothing yet, and most of its first page.
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let (begin, range) = match dice.between(0, 3) {
                0 => (0, bytes.len()),
                1 => (0, used),
                _ => (used.min(PAGE_BYTES), used),
            };
            let Some(last) = u32::try_from(range).ok().and_then(|range| range.checked_sub(1)) else { return };
            let at = dice.between(u32::try_from(begin).unwrap_or(last).min(last), last) as usize;
            let sector =
                at / SECTOR_BYTES * SECTOR_BYTES..bytes.len().min((at / SECTOR_BYTES + 1) * SECTOR_BYTES);
            match dice.between(0, 2) {
                0 => bytes[at] ^= 1 << dice.between(0, 7),
                1 => bytes[sector].fill(0),
                _ => {
                    let count = sector.len().min(foreign.len());
                    bytes[sector][..count].copy_from_slice(&foreign[..count]);
                }
            }
        });
        self.is_damaged = true;
        true
    }

    fn calm(&mut self) {
        self.is_calm = true;
        self.full_until = 0;
        self.fs.heal();
        self.fs.stop_after(u64::MAX >> 1);
        self.fs.set_free_bytes(None);
        self.next_flush = 0;
    }
}

const SECTOR_BYTES: usize = 512;

/// Where the records of a segment begin.
const PAGE_BYTES: usize = 4096;

/// Keeps of what was not synced nothing, everything, or here and there a part.
fn power_cut(fs: &SimFs, dice: &mut Dice) -> SimFs {
    let kind = dice.between(0, 5);
    let last = u32::try_from(fs.unsynced().len()).unwrap_or(u32::MAX);
    let first_lost = dice.between(0, last) as usize;
    fs.after_power_cut(|at, _| match kind {
        0 => Kept::Nothing,
        1 => Kept::Everything,
        2 if at == first_lost => Kept::FirstBytes(dice.between(0, 2000) as usize),
        2 if at > first_lost => Kept::Nothing,
        2 => Kept::Everything,
        _ => match dice.between(0, 3) {
            0 => Kept::Nothing,
            1 => Kept::Everything,
            2 => Kept::FirstBytes(dice.between(0, 600) as usize),
            _ => Kept::Sectors(dice.next()),
        },
    })
}
