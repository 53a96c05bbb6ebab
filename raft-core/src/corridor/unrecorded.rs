//! What stands for the trace of a node without feature `trace`: nothing.

use crate::books::Books;
use crate::books::role::Role;
use crate::words::action::Action;
use crate::words::message::Message;

/// Records nothing, and has no size.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Trace;

impl Trace {
    pub(crate) fn new() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn observe(&mut self, _: &Books, _: &Role) {}

    #[inline(always)]
    pub(crate) fn arrive(&mut self, _: &Message) {}

    #[inline(always)]
    pub(crate) fn hand_out(&mut self, _: &Books, _: &Role, _: Option<&Action>) {}

    #[inline(always)]
    pub(crate) fn own_vote(&mut self, _: &Books, _: &Role, _: &Message) {}
}
