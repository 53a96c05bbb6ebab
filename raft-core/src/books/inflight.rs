//! Appends on their way to one follower.

use alloc::collections::VecDeque;

use crate::words::ids::LogIndex;

/// The window of one follower.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Inflight {
    /// The last entry and the bytes of each append.
    appends: VecDeque<(LogIndex, u32)>,
    bytes: u32,
}

impl Inflight {
    /// Notes an append that was sent.
    pub(crate) fn push(&mut self, last: LogIndex, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.appends.push_back((last, bytes));
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// The follower holds everything up to `index`.
    pub(crate) fn acknowledge(&mut self, index: LogIndex) {
        while let Some((_, bytes)) = self.appends.front().copied().filter(|(last, _)| *last <= index) {
            self.appends.pop_front();
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// Nothing is on its way.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Gives back memory that nothing needs now.
    pub(crate) fn shrink(&mut self) {
        self.appends.shrink_to_fit();
    }

    pub(crate) fn message_count(&self) -> u32 {
        u32::try_from(self.appends.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn byte_count(&self) -> u32 {
        self.bytes
    }

    /// Whether another append may be sent.
    #[inline]
    pub(crate) fn has_room(&self, messages_max: u32, bytes_max: u32) -> bool {
        self.message_count() < messages_max && self.bytes < bytes_max
    }
}
