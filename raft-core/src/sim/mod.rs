//! A deterministic cluster in one thread, driven by one seed (feature `sim`).
//!
//! Whole [`Node`](crate::Node)s run over a simulated network, simulated disks and skewed ticks. The
//! seed decides everything: how many nodes there are, which faults strike and how often, when and
//! whom. After every step a [checker](Violation) compares what happened with the five properties of
//! Raft figure 3 and with every promise that left a node.
//!
//! ```
//! use raft_core::sim::{Options, run};
//!
//! let report = run(42, &Options::default()).expect("no property is violated");
//! assert!(report.count("committed") > 0);
//! ```

mod admin;
mod ambush;
mod calm;
mod checker;
mod clients;
mod cluster;
mod disk;
mod ends;
mod loss;
mod machine;
mod network;
mod plan;
mod report;
mod world;

pub use checker::Violation;
pub use cluster::{Failure, run};
pub use plan::Options;
pub use report::Report;
