//! The application as the node needs it.

use crate::words::entries::Entry;

/// A deterministic state machine: the same entries in the same order give the same state.
pub trait StateMachine {
    /// What applying a command gives to whoever proposed it.
    type Output;

    /// Applies one committed command. Called once per command in the order of the log; after a
    /// restart again from the first one.
    fn apply(&mut self, entry: &Entry<'_>) -> Self::Output;
}
