//! Measures three nodes on this machine from outside, with `redis-benchmark`: operations per second,
//! latency, processor time, and how long a killed leader is missed.
//!
//! `cargo xtask bench node [--peers] [-- --rounds N --failovers N]` prints tables. With `--peers` one
//! Redis server that syncs every write takes turns with the cluster; times move with the machine, so
//! what counts are the ratios within one run.

#![allow(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

mod failover;
mod servers;
mod speed;

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;

use clap::Parser;

use servers::{Cluster, Redis};

/// What a step gives, or why the benchmark cannot go on.
type Outcome<T> = Result<T, Box<dyn Error>>;

/// Measure three nodes on this machine from outside.
#[derive(Parser)]
struct Options {
    /// The raft-kv program
    #[arg(long)]
    binary: PathBuf,
    /// How often each load runs; shown are medians
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How often the leader is killed
    #[arg(long, default_value_t = 20)]
    failovers: usize,
    /// Let one Redis server that syncs every write take turns with the cluster
    #[arg(long)]
    peers: bool,
    /// Divide the number of requests by this, for a quick look
    #[arg(long, default_value_t = 1)]
    divide: u32,
}

fn main() -> Outcome<()> {
    let options = Options::parse();
    require("redis-benchmark", "redis-tools")?;
    let dir = tempfile::tempdir()?;
    let mut cluster = Cluster::start(&options.binary, &dir.path().join("cluster"), &[])?;
    let redis = match options.peers {
        true => {
            require("redis-server", "redis-server")?;
            Some(Redis::start(&dir.path().join("redis"))?)
        }
        false => None,
    };
    if options.rounds > 0 {
        speed::measure(&mut cluster, redis.as_ref(), options.rounds, options.divide.max(1))?;
    }
    drop((cluster, redis));
    if options.failovers > 0 {
        failover::measure(&options.binary, &dir.path().join("failovers"), options.failovers)?;
    }
    Ok(())
}

/// Says how to get a program that is missing.
fn require(program: &str, package: &str) -> Outcome<()> {
    match Command::new(program).arg("--version").output() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{program} is missing; install it: apt-get install {package}").into()),
    }
}

/// The middle of some figures.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
