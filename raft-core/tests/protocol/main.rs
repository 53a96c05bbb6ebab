//! The protocol as it is seen through the public door: inputs in, actions out.

mod clock;
mod commit;
mod determinism;
mod elections;
mod entries;
mod errors;
mod figures;
mod forwarding;
mod hostile;
mod limits;
mod loading;
mod offences;
mod reads;
mod replication;
mod support;
mod wire;
mod wire_values;
