//! Which forwarded proposals a leader has judged, so that none is appended twice.
//!
//! Networks duplicate and replay (S22). A leader remembers, for its term, the last proposal of each
//! member; a message of an earlier term is not judged at all.

use alloc::vec::Vec;

use crate::words::ids::{ForwardId, NodeId};

/// What was judged in this term.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Origins(Vec<Origin>);

#[derive(Clone, Debug, Hash)]
struct Origin {
    node: NodeId,
    epoch: u64,
    /// The first number that was not judged.
    next: u64,
    /// Epochs from before the member restarted.
    retired: Vec<u64>,
}

/// How many restarts of one member are remembered in a term.
const RETIRED_MAX: usize = 32;

/// While fewer nodes than this have proposed in a term, those outside of the configuration are
/// remembered as well (N13).
const STRANGERS_MAX: usize = 64;

impl Origins {
    /// Whether these proposals are to be judged; from now on they count as judged.
    ///
    /// Late ones are not, even if they were never seen, nor are those of strangers once too many have
    /// proposed: their sender learns nothing and says that it does not know, which is true.
    pub(crate) fn admit(
        &mut self,
        node: NodeId,
        is_member: bool,
        (epoch, first): (u64, ForwardId),
        count: u32,
    ) -> bool {
        let end = first.get().saturating_add(u64::from(count));
        let has_room = is_member || self.0.len() < STRANGERS_MAX;
        let Some(origin) = self.0.iter_mut().find(|origin| origin.node == node) else {
            if !has_room {
                return false;
            }
            self.0.push(Origin { node, epoch, next: end, retired: Vec::new() });
            return true;
        };
        if origin.epoch != epoch {
            if origin.retired.contains(&epoch) {
                return false;
            }
            if origin.retired.len() == RETIRED_MAX {
                origin.retired.remove(0);
            }
            origin.retired.push(origin.epoch);
            (origin.epoch, origin.next) = (epoch, 0);
        }
        let is_new = first.get() >= origin.next;
        origin.next = origin.next.max(end);
        is_new
    }
}
