//! What is done to a cluster under load, one kind of fault per scenario.

mod decay;
mod errors;
mod full;
mod kills;
mod pauses;
mod power;
mod rollback;

use std::path::Path;

use anyhow::Result;

use crate::stage::{Stage, Tally};

/// One kind of faults.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) claim: &'static str,
    /// Lets one cluster live and suffer, in this directory.
    pub(crate) run: fn(binary: &Path, root: &Path, seed: u64) -> Result<Tally>,
}

/// All of them.
pub(crate) const ALL: [Scenario; 8] = [
    Scenario {
        name: "errors",
        claim: "a call that fails stops the node or costs a snapshot, and no sync is tried again",
        run: |binary, root, seed| on_plain_disk(binary, root, seed, errors::play),
    },
    Scenario {
        name: "interrupts",
        claim: "an interrupted call is made again",
        run: |binary, root, seed| on_plain_disk(binary, root, seed, errors::play_interrupts),
    },
    Scenario { name: "full-disk", claim: "a full disk stops the node until there is room", run: full::run },
    Scenario {
        name: "kills",
        claim: "a process may be killed at any call, also of recovery",
        run: |binary, root, seed| on_plain_disk(binary, root, seed, kills::play),
    },
    Scenario {
        name: "decay",
        claim: "broken, missing and foreign files are refused or harmless",
        run: |binary, root, seed| on_plain_disk(binary, root, seed, decay::play),
    },
    Scenario {
        name: "rollback",
        claim: "the leader notices a node that was put back",
        run: |binary, root, seed| on_plain_disk(binary, root, seed, rollback::play),
    },
    Scenario { name: "power", claim: "all nodes may lose power at once", run: power::run },
    Scenario { name: "pauses", claim: "a leader that was paused serves nothing stale", run: pauses::run },
];

fn on_plain_disk(
    binary: &Path,
    root: &Path,
    seed: u64,
    play: fn(&mut Stage) -> Result<()>,
) -> Result<Tally> {
    let mut stage = Stage::set(binary, root, root, seed, &[])?;
    play(&mut stage)?;
    stage.judge()
}
