//! The commands that clients can give: their names and rules, and how those that touch the store
//! become operations. Knows no connections.

mod compile;
mod error;
mod order;
mod session;
mod spec;

pub use compile::{KeyLimits, compile};
pub use error::CommandError;
pub use order::{JoinRole, Order};
pub use session::session_payload;
pub use spec::{Class, KeyWords, SPECS, Spec, Verb, find, spec_of};
