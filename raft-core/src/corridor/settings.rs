//! Other settings for a node that runs.

use crate::books::role::Role;
use crate::corridor::Machine;
use crate::means::config::{Config, ConfigError};
use crate::rooms::replication;
use crate::words::notice::Notice;

impl Machine {
    /// Goes on with other settings, if they are acceptable as a whole. What is read when it is
    /// needed changes by itself; here is what is not.
    pub(crate) fn update_config(&mut self, change: impl FnOnce(&mut Config)) -> Result<(), ConfigError> {
        let mut next = self.books.config.clone();
        change(&mut next);
        self.books.config.check_change(&next)?;
        let was_stalled = self.books.is_disk_stalled();
        let before = core::mem::replace(&mut self.books.config, next);
        let config = &self.books.config;
        let range = (config.election_timeout_ticks_min, config.election_timeout_ticks_max);
        if range != (before.election_timeout_ticks_min, before.election_timeout_ticks_max) {
            self.books.draw_election_timeout();
        }
        if self.books.is_disk_stalled() && !was_stalled {
            self.books.outbox.notice(Notice::DiskStalled);
        }
        // What is due by the new settings does not wait for a tick.
        self.act();
        if let Role::Leader(leader) = &mut self.role {
            // A window may have become wider, and entries be in failure domains enough.
            replication::wake(leader);
            self.after_reply(true);
        }
        Ok(())
    }
}
