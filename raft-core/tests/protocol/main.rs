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
mod membership;
mod membership_faults;
mod membership_model;
mod membership_quorums;
mod membership_random;
mod offences;
mod reads;
mod replication;
mod scripts;
mod support;
mod transfer;
mod transfer_faults;
mod wire;
mod wire_values;
