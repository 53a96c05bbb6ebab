//! A replicated key-value node that speaks the Redis protocol.

fn main() {}
