//! What nodes share: time, the network, everybody's disk, and the checker that sees it all.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::RefCell;

use super::checker::Checker;
use super::disk::Disk;
use super::network::Network;
use super::plan::Plan;
use super::report::Report;
use crate::means::rng::Rng;
use crate::words::ids::NodeId;

/// The world outside of the nodes.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: u64,
    pub(super) rng: Rng,
    pub(super) plan: Plan,
    /// Faults strike.
    pub(super) is_hostile: bool,
    pub(super) network: Network,
    pub(super) disks: BTreeMap<NodeId, Disk>,
    pub(super) checker: Checker,
    pub(super) report: Report,
    /// How many entries were committed when the faults ended.
    pub(super) committed_before_calm: u64,
}

/// How nodes' stores and transports reach the world.
pub(super) type Shared = Rc<RefCell<World>>;
