//! Ids and positions: newtypes, so that a term can never be taken for an index.

use core::fmt;

/// Defines one `u64` newtype with the few things all of them share.
macro_rules! newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// Zero: "none" for ids and terms, "before the first" for positions.
            pub const ZERO: Self = Self(0);

            /// Wraps the plain number.
            #[must_use]
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The plain number, for arithmetic, storage and display.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The next one.
            ///
            /// # Panics
            ///
            /// If this is `u64::MAX`, which inputs are checked never to reach.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.checked_add(1).expect("counter below u64::MAX"))
            }

            /// The one before, or zero.
            #[must_use]
            pub const fn prev(self) -> Self {
                Self(self.0.saturating_sub(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl From<u64> for $name {
            fn from(value: u64) -> Self {
                Self(value)
            }
        }
    };
}

newtype! {
    /// Names a node, for ever: a node that lost its disk returns under a new id. Never zero.
    NodeId
}
newtype! {
    /// Names a Raft group among those that share a process, a log and connections.
    GroupId
}
newtype! {
    /// The election a leader came from (Raft §5.1). Zero before the first election.
    Term
}
newtype! {
    /// The place of an entry in the log. The first entry is at 1; zero is before it.
    LogIndex
}
newtype! {
    /// Numbers what the core asked to make durable. Completing one completes all before it.
    PersistId
}
newtype! {
    /// Numbers the reads asked for at this node.
    ReadId
}
newtype! {
    /// Numbers the proposals this node sent on to the leader.
    ForwardId
}
newtype! {
    /// Numbers the ranges of the log the core asked to load.
    LoadId
}

newtype! {
    /// Names a client's session: the index of the entry that opened it.
    SessionId
}
newtype! {
    /// Numbers the calls of one session, from 1 on.
    Sequence
}

/// An entry's identity: no two entries of one group ever share term and index (Raft §5.3).
///
/// Ordered as logs are compared in elections: by term, then by index (Raft §5.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The term in which the entry was made.
    pub term: Term,
    /// Where it stands.
    pub index: LogIndex,
}

impl Position {
    /// The position before the first entry.
    pub const ZERO: Self = Self { term: Term::ZERO, index: LogIndex::ZERO };

    /// Names the entry at `index` made in `term`.
    #[must_use]
    pub const fn new(term: Term, index: LogIndex) -> Self {
        Self { term, index }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}
