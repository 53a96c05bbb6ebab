//! A deterministic, sans-I/O Raft consensus state machine, no_std.
