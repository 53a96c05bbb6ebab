//! The numbers and orders that tidy measures against. A change of plan is a change of this file.

/// The longest a file may be, in lines, without its `#[cfg(test)]` tail.
pub(super) const FILE_LINES_MAX: usize = 500;

/// The longest a function may be, in lines from `fn` to its closing brace.
pub(super) const FUNCTION_LINES_MAX: usize = 70;

/// Directories of this name hold generated code, which no rule applies to.
pub(super) const GENERATED_DIR: &str = "generated";

/// What may stand at the top level, next to hidden files and the build directory.
pub(super) const TOP_LEVEL: [&str; 13] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "docs",
    "raft-core",
    "raft-kv-example",
    "raft-proto",
    "raft-storage",
    "raft-transport-tcp",
    "xtask",
];

/// Places outside of the repository, which its readers do not have.
pub(super) const FOREIGN_PLACES: [&str; 2] = [concat!("..", "/shared"), concat!("/work", "/")];

/// What a crate of the workspace may depend on.
pub(super) struct CrateRule {
    /// The crate.
    pub(super) name: &'static str,
    /// The other members it may depend on.
    pub(super) members: &'static [&'static str],
    /// Whether it may have dependencies from outside the workspace, other than for tests.
    pub(super) outside: bool,
}

/// All members, each below those that it may depend on.
pub(super) const CRATES: [CrateRule; 6] = [
    CrateRule { name: "raft-proto", members: &[], outside: true },
    CrateRule { name: "raft-core", members: &["raft-proto"], outside: false },
    CrateRule { name: "raft-storage", members: &["raft-proto", "raft-core"], outside: true },
    CrateRule { name: "raft-transport-tcp", members: &["raft-proto", "raft-core"], outside: true },
    CrateRule {
        name: "raft-kv-example",
        members: &["raft-proto", "raft-core", "raft-storage", "raft-transport-tcp"],
        outside: true,
    },
    CrateRule {
        name: "xtask",
        members: &["raft-proto", "raft-core", "raft-storage", "raft-transport-tcp", "raft-kv-example"],
        outside: true,
    },
];

/// A top-level module of raft-core, which is one step of its import order.
pub(super) struct Layer {
    /// The module, as named in `src/lib.rs`.
    pub(super) name: &'static str,
    /// Whether its parts may use one another (without a cycle).
    pub(super) neighbours: bool,
}

/// The import order of raft-core: each layer sees only those before it.
pub(super) const CORE_LAYERS: [Layer; 11] = [
    Layer { name: "words", neighbours: true },
    Layer { name: "wire", neighbours: true },
    Layer { name: "means", neighbours: true },
    Layer { name: "books", neighbours: true },
    Layer { name: "rooms", neighbours: false },
    Layer { name: "corridor", neighbours: true },
    Layer { name: "doors", neighbours: true },
    Layer { name: "sessions", neighbours: true },
    Layer { name: "mem", neighbours: true },
    Layer { name: "conformance", neighbours: true },
    Layer { name: "sim", neighbours: true },
];

/// The crate that `CORE_LAYERS` and `CORE_FORBIDDEN` are about.
pub(super) const CORE: &str = "raft-core";

/// What the core does without, as paths (any one that contains these segments in a row), and why.
pub(super) const CORE_FORBIDDEN: [(&str, &str); 17] = [
    ("std::time", "time is counted in ticks"),
    ("core::time", "time is counted in ticks"),
    ("Instant", "time is counted in ticks"),
    ("SystemTime", "time is counted in ticks"),
    ("std::thread", "the core has one thread, the caller's"),
    ("std::sync", "the core has one thread, the caller's"),
    ("std::fs", "the core does no I/O"),
    ("std::net", "the core does no I/O"),
    ("HashMap", "its order differs from run to run"),
    ("HashSet", "its order differs from run to run"),
    ("f32", "floats round differently on different machines"),
    ("f64", "floats round differently on different machines"),
    ("unsafe", "the core is safe Rust"),
    ("println", "what happens comes out as notices"),
    ("eprintln", "what happens comes out as notices"),
    ("rand", "the only randomness is the injected seed"),
    ("getrandom", "the only randomness is the injected seed"),
];
