//! The wire format of Raft messages: protobuf types and framing, no_std.
