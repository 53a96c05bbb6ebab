//! The replicated state: operations, their encoding in the log, and the machine that applies them.
//! Knows neither Redis's protocol nor sockets nor time.

mod ahead;
mod apply;
mod batch;
mod bytes;
mod glob;
mod machine;
mod operation;
mod reply;
mod shard;
mod snapshot;
mod store;

pub use batch::Batch;
pub use machine::{Fault, Machine};
pub use operation::{Keys, MalformedBatch, Operation, Operations, Pairs, SetCondition, SetReply};
pub use reply::{KvError, Replies, Reply, ReplySink};
pub use store::Store;
