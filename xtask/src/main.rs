//! What a maintainer types: codegen, checks, simulation, benchmarks.

fn main() {}
