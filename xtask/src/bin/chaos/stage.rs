//! One run: a cluster under load, to which a scenario does something, and the verdict in the end.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use raft_core::sim::Dice;
use raft_kv::link::{Frame, Link};
use serde_json::Value;

use crate::cluster::{Cluster, Ending, PATIENCE, SIZE, Start};
use crate::load::{Counts, Load};
use crate::trace::Injection;

/// What a scenario plays with.
pub(crate) struct Stage<'a> {
    pub(crate) cluster: Cluster,
    pub(crate) load: Load,
    pub(crate) dice: Dice,
    tally: &'a mut Tally,
}

/// Where a run takes place.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The node's program.
    pub(crate) binary: &'a Path,
    /// A directory of the run's own.
    pub(crate) root: &'a Path,
    pub(crate) seed: u64,
}

/// What happened in a run, or in many.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Faults that really hit.
    pub(crate) faults: u64,
    pub(crate) counts: Counts,
    pub(crate) lost: u64,
    /// What nodes made of the faults, in a word each.
    pub(crate) reactions: BTreeMap<&'static str, u64>,
    /// What happened on the way, by what nodes said.
    pub(crate) happenings: BTreeMap<&'static str, u64>,
    /// What nodes said when they refused to start.
    pub(crate) words: Vec<String>,
}

/// Calls of one kind that a node makes on its files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calls {
    pub(crate) name: &'static str,
    /// How many the loader makes before.
    pub(crate) before: u32,
    /// About how many a thread makes in the time that a fault has.
    pub(crate) most: u32,
}

/// Which of the nodes, and the fault that waits for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) at: usize,
    pub(crate) injection: Injection,
}

impl Calls {
    pub(crate) const fn new(name: &'static str, before: u32, most: u32) -> Self {
        Self { name, before, most }
    }
}

impl<'a> Stage<'a> {
    /// Founds a cluster with its data in this directory, and lets clients begin.
    pub(crate) fn set(
        place: Place<'_>,
        data: &Path,
        settings: &[&str],
        tally: &'a mut Tally,
    ) -> Result<Self> {
        let mut dice = Dice::new(place.seed);
        let mut cluster = Cluster::new(place.binary, place.root, data, &[&SETTINGS, settings].concat())?;
        cluster.found()?;
        let addresses: Vec<_> = (0..SIZE).map(|at| cluster.address(at)).collect();
        let load = Load::start(&addresses, &mut dice);
        load.await_writes(WARM_UP_WRITES, PATIENCE)?;
        Ok(Self { cluster, load, dice, tally })
    }

    /// One of the nodes.
    pub(crate) fn draw_node(&mut self) -> usize {
        self.dice.between(0, 2) as usize
    }

    /// A call that a fault is to hit: often one of the first of its kind, which are recovery's.
    pub(crate) fn draw_call(&mut self, from: &[Calls]) -> (&'static str, u32) {
        let Calls { name, before, most } = *self.dice.pick(from);
        let most = self.dice.between(1, most);
        (name, before + self.dice.between(1, most))
    }

    /// Ends a node in one of two ways.
    pub(crate) fn end(&mut self, at: usize) -> Result<()> {
        if self.dice.between(0, 1) == 0 {
            self.cluster.kill(at)?;
        } else {
            let Ending { status, last_words, .. } = self.cluster.stop(at)?;
            ensure!(status.success(), "node {} was told to stop and failed: {last_words}", at + 1);
        }
        Ok(())
    }

    /// Lets a node run into a fault while clients are served; how it ended, by itself or because it
    /// had not met the fault for a while.
    pub(crate) fn expose(&mut self, plan: Plan) -> Result<Ending> {
        let Plan { at, injection } = plan;
        self.end(at)?;
        self.cluster.start(at, Some(&injection))?;
        let started = self.cluster.await_start(at)?;
        if let Start::Ended(ending) = started {
            return Ok(ending);
        }
        match self.cluster.ending_within(at, EXPOSURE)? {
            Some(ending) => Ok(ending),
            None => self.cluster.kill(at),
        }
    }

    /// Starts a node again, which has to work, and lets it catch up.
    pub(crate) fn bring_back(&mut self, at: usize) -> Result<()> {
        self.cluster.start_well(at)?;
        self.cluster.await_catch_up(at)?;
        self.load.ledger().check()
    }

    /// Counts a fault and what came of it.
    pub(crate) fn count(&mut self, reaction: &'static str, faults: u64) {
        self.tally.faults += faults;
        *self.tally.reactions.entry(reaction).or_default() += 1;
    }

    /// Keeps what a node said.
    pub(crate) fn note_words(&mut self, words: String) {
        self.tally.words.push(words);
    }

    /// Starts whoever does not run, ends the load and judges.
    pub(crate) fn judge(mut self) -> Result<()> {
        for at in 0..SIZE {
            if !self.cluster.is_running(at) {
                self.cluster.start_well(at)?;
            }
        }
        self.load.await_writes(LAST_WRITES, PATIENCE)?;
        self.load.finish()?;
        (0..SIZE).try_for_each(|at| self.cluster.await_catch_up(at))?;
        self.load.ledger().check()?;
        self.count_happenings()?;
        for at in 0..SIZE {
            let lost = self.load.ledger().count_lost(&self.cluster.address(at))?;
            self.tally.lost += lost;
            ensure!(lost == 0, "{lost} acknowledged writes are lost at node {}", at + 1);
        }
        self.await_equal_snapshots()?;
        for at in 0..SIZE {
            let Ending { status, last_words, .. } = self.cluster.stop(at)?;
            ensure!(status.success(), "node {} was told to stop and failed: {last_words}", at + 1);
        }
        let states = (0..SIZE).map(|at| self.state_on_disk(at)).collect::<Result<Vec<_>>>()?;
        let is_same = states.windows(2).all(|two| two[0] == two[1]);
        ensure!(is_same, "the nodes differ in their states: {states:?}");
        Ok(())
    }

    /// Counts what the faults are to have met.
    fn count_happenings(&mut self) -> Result<()> {
        for at in 0..SIZE {
            let log = self.cluster.log(at)?;
            for (sign, happening) in HAPPENINGS {
                let count = u64::try_from(log.matches(sign).count())?;
                *self.tally.happenings.entry(happening).or_default() += count;
            }
        }
        Ok(())
    }

    /// Lets all nodes write down their states at the same index.
    fn await_equal_snapshots(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let take = |at| {
                let mut link = Link::open(&self.cluster.address(at), PATIENCE).ok()?;
                match link.ask(&[vec!["RAFT.SNAPSHOT".to_owned()]]).ok()?.pop()? {
                    Frame::Array(position) => Some(position),
                    _ => None,
                }
            };
            let positions: Option<Vec<_>> = (0..SIZE).map(take).collect();
            if positions.is_some_and(|positions| positions.windows(2).all(|two| two[0] == two[1])) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        bail!("the nodes do not take snapshots of the same index")
    }

    /// What the newest snapshot of a stopped node is, after all its files were read through.
    fn state_on_disk(&self, at: usize) -> Result<Value> {
        let dir = self.cluster.data_dir(at);
        let output = Command::new(self.cluster.binary())
            .args(["log", "verify", "--json", "--dir"])
            .arg(dir)
            .output()
            .context("cannot run raft-kv log")?;
        let report: Value = serde_json::from_slice(&output.stdout).context("verify prints no JSON")?;
        ensure!(report["outcome"] == "whole", "{} is not whole: {report}", dir.display());
        let snapshot = &report["groups"][0]["snapshot"];
        ensure!(!snapshot.is_null(), "{} has no snapshot: {report}", dir.display());
        Ok(snapshot.clone())
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        self.tally.counts += self.load.ledger().counts();
    }
}

impl Tally {
    /// Adds another run's.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.faults += other.faults;
        self.lost += other.lost;
        self.counts += other.counts;
        for (reaction, count) in &other.reactions {
            *self.reactions.entry(reaction).or_default() += count;
        }
        for (happening, count) in &other.happenings {
            *self.happenings.entry(happening).or_default() += count;
        }
    }
}

/// Small files and frequent snapshots, so that segments are made, left behind and filled again, and
/// snapshots written and sent, all the time.
const SETTINGS: [&str; 10] = [
    "--segment-bytes",
    "65536",
    "--snapshot-log-bytes",
    "100000",
    "--retained-entries",
    "100",
    "--answer-ms",
    "3000",
    "--hold-ms",
    "1000",
];

/// What a node says of itself that a fault may meet, and in our words.
const HAPPENINGS: [(&str, &str); 5] = [
    ("role: leader", "elections"),
    ("snapshot taken", "snapshots taken"),
    ("the leader's snapshot is in force", "snapshots installed"),
    ("entries gave way to another leader's", "truncations"),
    ("interrupted write", "interrupted writes cut off"),
];

const WARM_UP_WRITES: u64 = 300;
const LAST_WRITES: u64 = 50;
/// How long a fault may take to hit.
pub(crate) const EXPOSURE: Duration = Duration::from_millis(2500);
