//! Which committed entries were handed out for applying, and which came back applied.

use alloc::collections::VecDeque;

use crate::words::ids::{LoadId, LogIndex};

/// The way of entries to the state machine.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Applying {
    pub(crate) handed: LogIndex,
    pub(crate) applied: LogIndex,
    /// The last entry and the bytes of each batch that is out.
    out: VecDeque<(LogIndex, usize)>,
    bytes_out: usize,
    /// Entries are being loaded because they are no longer in memory.
    pub(crate) loading: Option<LoadId>,
    /// The state is being replaced by the snapshot of everything up to here.
    pub(crate) restoring: Option<LogIndex>,
    /// The state is lost; nothing is handed out until a snapshot from here or later is in force.
    pub(crate) awaited: Option<LogIndex>,
}

impl Applying {
    pub(crate) fn new(applied: LogIndex) -> Self {
        Self {
            handed: applied,
            applied,
            out: VecDeque::new(),
            bytes_out: 0,
            loading: None,
            restoring: None,
            awaited: None,
        }
    }

    /// Whether more may be handed out.
    pub(crate) fn has_room(&self, bytes_max: u32) -> bool {
        self.bytes_out < bytes_max as usize && self.loading.is_none() && self.has_state()
    }

    /// Bytes that were handed out and are not applied.
    pub(crate) fn bytes_out(&self) -> usize {
        self.bytes_out
    }

    /// Whether the state is there, and not being replaced.
    pub(crate) fn has_state(&self) -> bool {
        self.restoring.is_none() && self.awaited.is_none()
    }

    /// The state is replaced by the snapshot of everything up to `index`.
    pub(crate) fn restore(&mut self, index: LogIndex) {
        assert!(index >= self.handed, "snapshot up to {index}, handed out {}", self.handed);
        self.handed = index;
        self.loading = None;
        self.awaited = None;
        self.restoring = Some(index);
    }

    /// Entries up to `last` were handed out.
    pub(crate) fn hand_out(&mut self, last: LogIndex, bytes: usize) {
        assert!(last > self.handed, "handed out {last} after {}", self.handed);
        self.handed = last;
        self.bytes_out += bytes;
        self.out.push_back((last, bytes));
    }

    /// Gives back memory that nothing needs now.
    pub(crate) fn shrink(&mut self) {
        self.out.shrink_to_fit();
    }

    /// Entries up to `index` are applied; more than was handed out counts as all of it.
    pub(crate) fn complete(&mut self, index: LogIndex) {
        self.applied = self.applied.max(index.min(self.handed));
        self.restoring.take_if(|restored| *restored <= index);
        while let Some((_, bytes)) = self.out.pop_front_if(|(last, _)| *last <= index) {
            self.bytes_out -= bytes;
        }
    }
}
