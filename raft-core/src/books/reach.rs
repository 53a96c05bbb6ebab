//! How far back a number of bytes reaches in the log, roughly: entries are not weighed one by one.

use alloc::collections::VecDeque;

use crate::words::ids::LogIndex;

/// Where the last bytes that were handed out for applying begin.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Reach {
    /// Behind each of them a [part](PARTS) of the bytes follows, up to the next one.
    marks: VecDeque<LogIndex>,
    /// Bytes behind the last one.
    bytes: u64,
}

/// In so many parts the bytes are counted.
const PARTS: u64 = 8;

impl Reach {
    /// Entries up to `last` were handed out, with so many bytes, of which the last `bytes_max` matter.
    pub(crate) fn note(&mut self, last: LogIndex, bytes: u64, bytes_max: u64) {
        let part = (bytes_max / PARTS).max(1);
        self.bytes += bytes;
        for _ in 0..(self.bytes / part).min(PARTS) {
            if self.marks.len() as u64 == PARTS {
                self.marks.pop_front();
            }
            self.marks.push_back(last);
        }
        self.bytes %= part;
    }

    /// Behind this one there are about as many bytes as matter; `None` if there were not so many since
    /// this node started.
    pub(crate) fn begin(&self) -> Option<LogIndex> {
        self.marks.front().copied().filter(|_| self.marks.len() as u64 == PARTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reaches_back_as_many_bytes_as_it_should() {
        for (bytes, bytes_max) in [(9, 0), (1, 1), (1, 8), (1, 1000), (9, 1000), (125, 1000), (1500, 1000)] {
            let mut reach = Reach::default();
            for index in 1..=3000 {
                reach.note(LogIndex::new(index), bytes, bytes_max);
                let Some(begin) = reach.begin() else {
                    assert!(index * bytes <= bytes_max.max(PARTS), "{bytes}, {bytes_max}: {index}");
                    continue;
                };
                let behind = (index - begin.get()) * bytes;
                assert!(behind <= bytes_max.max(PARTS), "{bytes}, {bytes_max}: {behind} at {index}");
                let least = (bytes_max - bytes_max / PARTS).saturating_sub(bytes);
                assert!(behind >= least, "{bytes}, {bytes_max}: {behind} at {index}");
            }
        }
    }
}
