//! The protocol as it is seen through the public door: inputs in, actions out.

mod support;

mod elections;
mod figures;
mod replication;
