//! What is done to a cluster under load, one kind of fault per scenario.

mod decay;
mod errors;
mod full;
mod kills;
mod pauses;
mod power;
mod rollback;
mod stalls;

use anyhow::Result;

use crate::stage::{Place, Stage, Tally};

/// One kind of faults.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) claim: &'static str,
    /// Whether it mounts a file system.
    pub(crate) needs_root: bool,
    /// Lets one cluster live and suffer.
    pub(crate) run: fn(place: Place<'_>, tally: &mut Tally) -> Result<()>,
}

/// All of them.
pub(crate) static ALL: [Scenario; 9] = [
    Scenario {
        name: "errors",
        claim: "a call that fails stops the node or costs a snapshot, and no sync is tried again",
        needs_root: false,
        run: |place, tally| on_plain_disk(place, tally, errors::play),
    },
    Scenario {
        name: "interrupts",
        claim: "an interrupted call is made again",
        needs_root: false,
        run: |place, tally| on_plain_disk(place, tally, errors::play_interrupts),
    },
    Scenario {
        name: "stalls",
        claim: "a leader whose disk does not answer makes room for another one",
        needs_root: false,
        run: |place, tally| on_plain_disk(place, tally, stalls::play),
    },
    Scenario {
        name: "full-disk",
        claim: "on a full disk nodes wait, and go on when there is room",
        needs_root: true,
        run: full::run,
    },
    Scenario {
        name: "kills",
        claim: "a process may be killed at any call, also of recovery",
        needs_root: false,
        run: |place, tally| on_plain_disk(place, tally, kills::play),
    },
    Scenario {
        name: "decay",
        claim: "broken, missing and foreign files are refused or harmless",
        needs_root: false,
        run: |place, tally| on_plain_disk(place, tally, decay::play),
    },
    Scenario {
        name: "rollback",
        claim: "the leader notices a node that was put back, or sends it a snapshot",
        needs_root: false,
        run: |place, tally| on_plain_disk(place, tally, rollback::play),
    },
    Scenario { name: "power", claim: "all nodes may lose power at once", needs_root: true, run: power::run },
    Scenario {
        name: "pauses",
        claim: "a leader that was paused serves nothing stale",
        needs_root: false,
        run: pauses::run,
    },
];

fn on_plain_disk(place: Place<'_>, tally: &mut Tally, play: fn(&mut Stage<'_>) -> Result<()>) -> Result<()> {
    let mut stage = Stage::set(place, place.root, &[], tally)?;
    play(&mut stage)?;
    stage.judge()
}
