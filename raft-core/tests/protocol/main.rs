//! The protocol as it is seen through the public door: inputs in, actions out.

mod support;

mod commit;
mod elections;
mod figures;
mod forwarding;
mod limits;
mod loading;
mod reads;
mod replication;
