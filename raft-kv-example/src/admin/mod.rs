//! What operators do by hand: who belongs to the group, who votes, who leads; and snapshots.
//!
//! [`Orders`] carries out what RAFT.ADD and its kin ask for and knows when to say that it is done;
//! [`Roads`] keeps the transport's addresses as the membership in force says. Knows no connections of
//! clients.

mod error;
mod orders;
mod roads;

pub use error::AdminError;
pub use orders::{Done, Orders};
pub use roads::Roads;
