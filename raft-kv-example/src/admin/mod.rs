//! Changes of the group by hand: who belongs to it, who votes, who leads.
//!
//! [`Orders`] carries out what RAFT.ADD and its kin ask for and knows when to say that it is done;
//! [`Roads`] keeps the transport's addresses as the membership in force says. Knows no connections of
//! clients.

mod error;
mod orders;
mod roads;

pub use error::AdminError;
pub use orders::Orders;
pub use roads::Roads;
