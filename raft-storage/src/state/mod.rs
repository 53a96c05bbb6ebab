//! What is known about the groups: where their entries are, what recovery found, what is durable.

pub(crate) mod group;
pub(crate) mod index;
mod load;
pub(crate) mod registry;
pub(crate) mod view;
