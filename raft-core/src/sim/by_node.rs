//! A map by node. Nodes are numbered from one on, so a number is a place: whatever is looked up several
//! times in each step of each node is found without a search.

use alloc::vec::Vec;
use core::ops::Index;

use crate::words::ids::NodeId;

/// What belongs to some of the nodes.
#[derive(Debug)]
pub(super) struct ByNode<T>(Vec<Option<T>>);

impl<T> Default for ByNode<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> ByNode<T> {
    /// Puts something there, in place of what was there.
    pub(super) fn insert(&mut self, id: NodeId, value: T) {
        *self.slot(id) = Some(value);
    }

    /// Takes away what is there.
    pub(super) fn remove(&mut self, id: &NodeId) -> Option<T> {
        self.0.get_mut(place(*id))?.take()
    }

    /// What is there, after a default was put there if there was nothing.
    pub(super) fn or_default(&mut self, id: NodeId) -> &mut T
    where
        T: Default,
    {
        self.slot(id).get_or_insert_default()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: &NodeId) -> Option<&mut T> {
        self.0.get_mut(place(*id))?.as_mut()
    }

    #[inline]
    pub(super) fn get(&self, id: &NodeId) -> Option<&T> {
        self.0.get(place(*id))?.as_ref()
    }

    pub(super) fn contains_key(&self, id: &NodeId) -> bool {
        self.get(id).is_some()
    }

    /// What there is and of which node, in the order of the nodes' numbers.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (NodeId, &T)> {
        let slots = self.0.iter().enumerate();
        slots.filter_map(|(place, slot)| Some((NodeId::new(place as u64), slot.as_ref()?)))
    }

    /// What there is, in the order of the nodes' numbers.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }

    /// All of it, in the order of the nodes' numbers.
    pub(super) fn into_values(self) -> impl Iterator<Item = T> {
        self.0.into_iter().flatten()
    }

    fn slot(&mut self, id: NodeId) -> &mut Option<T> {
        let place = place(id);
        if place >= self.0.len() {
            self.0.resize_with(place + 1, || None);
        }
        &mut self.0[place]
    }
}

impl<T> Index<&NodeId> for ByNode<T> {
    type Output = T;

    #[inline]
    fn index(&self, id: &NodeId) -> &T {
        self.get(id).expect("this node has one")
    }
}

#[inline]
fn place(id: NodeId) -> usize {
    usize::try_from(id.get()).unwrap_or(usize::MAX)
}
