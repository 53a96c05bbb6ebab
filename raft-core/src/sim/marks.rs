//! What marks and snapshots say of the membership: it is the one in force where they end (S44).
//!
//! The harm that a later one does takes a rare chain of events to show: it has to be cut off, while
//! whoever begins at that mark still counts on it. So what is said is compared itself.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::words::ids::LogIndex;
use crate::words::membership::Membership;

/// Committed memberships, and what is said of them.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// From which index on each committed membership is in force, and its digest.
    committed: BTreeMap<LogIndex, u64>,
    /// Where marks and snapshots end, and whom they name, since they were last compared.
    said: Vec<(LogIndex, Membership)>,
}

impl Marks {
    /// A group begins, with a membership of this digest.
    pub(super) fn new(founders: u64) -> Self {
        Self { committed: BTreeMap::from([(LogIndex::ZERO, founders)]), said: Vec::new() }
    }

    /// A membership with this digest is committed.
    pub(super) fn on_commit(&mut self, index: LogIndex, digest: u64) {
        self.committed.insert(index, digest);
    }

    /// A mark or a snapshot that ends at `last` names this membership.
    pub(super) fn say(&mut self, last: LogIndex, membership: &Membership) {
        self.said.push((last, membership.clone()));
    }

    /// Compares what was said with what is committed, once whoever said it has told its commits too.
    pub(super) fn check(&mut self, digest_of: impl Fn(&Membership) -> u64) -> Result<(), String> {
        for (last, membership) in core::mem::take(&mut self.said) {
            // A newcomer does not know who founded the group before it comes to an entry that tells.
            if membership.members().is_empty() {
                continue;
            }
            let in_force = self.committed.range(..=last).next_back().map(|(_, digest)| *digest);
            if in_force != Some(digest_of(&membership)) {
                return Err(format!("up to {last} it names {membership:?}"));
            }
        }
        Ok(())
    }
}
