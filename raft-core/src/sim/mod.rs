//! A deterministic cluster in one thread, driven by one seed (feature `sim`).
//!
//! Whole [`Node`](crate::Node)s run over a simulated network, disks that fail and skewed ticks. The
//! seed decides everything: how many nodes there are, which faults strike and how often, when and
//! whom. After every step a [checker](Violation) compares what happened with the five properties of
//! Raft figure 3 and with every promise that left a node.
//!
//! What runs in the nodes is a [`Subject`]: a state machine, a store on its medium, and what clients
//! ask for. Bring your own, or take [`Digests`], which is the protocol and little else.
//!
//! A failure can be made small ([`shrink`]), and looked at: [`record`] writes down all that happens in a
//! run, and [`Recording::page`] draws it.
//!
//! ```
//! use raft_core::sim::{Digests, Options, run};
//!
//! let report = run(42, &Options::default(), Digests::default()).expect("no property is violated");
//! assert!(report.count("committed") > 0);
//! ```

mod admin;
mod ambush;
mod bounds;
mod by_node;
mod calm;
mod caption;
mod checker;
mod cluster;
mod core_alone;
mod dice;
mod digest;
mod digests;
mod ends;
mod fault;
mod faults;
mod handover;
mod json;
mod ledger;
mod linearizable;
mod load;
mod loss;
mod machine;
mod marks;
mod model;
mod network;
mod options;
mod page;
mod panics;
mod plan;
mod recorder;
mod recording;
mod reigns;
mod report;
mod requests;
mod shrink;
mod subject;
#[cfg(feature = "trace")]
mod trace;
mod violation;
mod world;

pub use cluster::{record, run};
pub use dice::{Chance, Dice};
pub use digests::{DigestMachine, Digests};
pub use fault::{Fault, UnknownFault};
pub use linearizable::{Operation, is_linearizable};
pub use model::{ModelMedium, ModelStore};
pub use options::{InvalidOptions, Options};
pub use plan::STEPS_PER_TICK;
pub use recording::Recording;
pub use report::{Report, Situations};
pub use shrink::{Shrunk, shrink};
pub use subject::{Answer, Fate, Medium, RequestId, Subject};
#[cfg(feature = "trace")]
pub use trace::trace;
pub use violation::{Failure, Violation};
