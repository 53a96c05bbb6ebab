//! Loads as `redis-benchmark` makes them, one after the other, the servers taking turns.

use std::process::Command;

use crate::servers::{Cluster, Redis};
use crate::{Outcome, median};

/// What clients do.
struct Load {
    command: &'static str,
    clients: u32,
    /// How many requests a client sends before it waits for the answers.
    pipeline: u32,
    requests: u32,
}

/// What came of a load, once.
#[derive(Clone, Copy)]
struct Figures {
    per_second: f64,
    /// Half of the answers came within so many milliseconds.
    median_millis: f64,
    /// Of all servers, per operation.
    processor_micros: f64,
}

const LOADS: [Load; 7] = [
    Load { command: "set", clients: 1, pipeline: 1, requests: 5_000 },
    Load { command: "set", clients: 50, pipeline: 1, requests: 100_000 },
    Load { command: "set", clients: 50, pipeline: 16, requests: 600_000 },
    Load { command: "set", clients: 256, pipeline: 1, requests: 100_000 },
    Load { command: "set", clients: 256, pipeline: 16, requests: 600_000 },
    Load { command: "get", clients: 50, pipeline: 1, requests: 150_000 },
    Load { command: "get", clients: 50, pipeline: 16, requests: 1_000_000 },
];

/// Runs all loads and prints a table.
pub(crate) fn measure(
    cluster: &mut Cluster,
    redis: Option<&Redis>,
    rounds: usize,
    divide: u32,
) -> Outcome<()> {
    println!("Values of 256 bytes, 100 000 keys; ops/s, median latency, processor time of all servers\n");
    print!("| load | three nodes of raft-kv |");
    println!("{}", if redis.is_some() { " one Redis that syncs each write | ratio |" } else { "" });
    println!("|---|---|{}", if redis.is_some() { "---|---|" } else { "" });
    for load in LOADS {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let port = cluster.await_leader().map(|leader| cluster.port(leader))?;
            ours.push(run(&load, divide, port, || cluster.processor_seconds())?);
            if let Some(redis) = redis {
                theirs.push(run(&load, divide, redis.port(), || redis.processor_seconds())?);
            }
        }
        let name = load.command.to_uppercase();
        print!("| {name}, {} clients, pipeline {} | {} |", load.clients, load.pipeline, cell(&ours));
        if !theirs.is_empty() {
            let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| ours.per_second / theirs.per_second);
            print!(" {} | {:.2} |", cell(&theirs), median(ratios.collect()));
        }
        println!();
    }
    Ok(())
}

fn cell(figures: &[Figures]) -> String {
    let middle = |of: fn(&Figures) -> f64| median(figures.iter().map(of).collect());
    let (per_second, millis) = (middle(|one| one.per_second), middle(|one| one.median_millis));
    format!("{per_second:.0}/s, {millis:.2} ms, {:.1} µs", middle(|one| one.processor_micros))
}

fn run(load: &Load, divide: u32, port: u16, processor: impl Fn() -> Outcome<f64>) -> Outcome<Figures> {
    let before = processor()?;
    let requests = (load.requests / divide).max(1);
    let options =
        [("-p", u32::from(port)), ("-c", load.clients), ("-P", load.pipeline), ("-n", requests), ("-d", 256)];
    let mut command = Command::new("redis-benchmark");
    command.args(["--csv", "-t", load.command, "-r", "100000"]);
    options.iter().for_each(|(name, value)| _ = command.args([name, value.to_string().as_str()]));
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() || said.contains("Error") {
        return Err(format!("redis-benchmark failed: {said}{complaint}").into());
    }
    // Name, operations per second, then latencies: average, least, median.
    let row = said.lines().last().ok_or("redis-benchmark said nothing")?;
    let figures: Vec<f64> =
        row.split(',').skip(1).filter_map(|word| word.trim_matches('"').parse().ok()).collect();
    let [per_second, _, _, median_millis, ..] = figures[..] else {
        return Err(format!("redis-benchmark said {row:?}").into());
    };
    let processor_micros = (processor()? - before) * 1e6 / f64::from(requests);
    Ok(Figures { per_second, median_millis, processor_micros })
}
