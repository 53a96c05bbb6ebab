//! `cargo xtask bench`: the benchmarks that stand beside what they measure, run and tabulated.
//!
//! Times move with the machine, so each figure is the median of several runs; instruction counts
//! repeat to the digit and tell a change from noise.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;

use crate::workspace;

/// What is measured.
#[derive(Subcommand)]
pub(crate) enum Target {
    /// Nanoseconds and instructions per committed entry: raft-core alone, all nodes in one thread
    Core(CoreOptions),
    /// Durable appends, opening and reads of raft-storage beside bare writes and fdatasync
    Log(LogOptions),
    /// Three nodes of raft-kv on this machine under load, and how long a killed leader is missed
    Node(NodeOptions),
}

/// How `cargo xtask bench core` was called.
#[derive(clap::Args)]
pub(crate) struct CoreOptions {
    /// Voters in the group
    #[arg(long, default_value_t = 3)]
    voters: u32,
    /// Payload bytes of each entry, at least 16
    #[arg(long, default_value_t = 16)]
    bytes: u32,
    /// Runs of which the median is shown
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Entries per timed run
    #[arg(long, default_value_t = 200_000)]
    entries: u32,
}

/// How `cargo xtask bench log` was called.
#[derive(clap::Args)]
pub(crate) struct LogOptions {
    /// Let other logs take part; building them takes minutes
    #[arg(long)]
    peers: bool,
    /// Let RocksDB take part too; needs a C++ compiler and libclang, and building it takes much longer
    #[arg(long, requires = "peers")]
    rocksdb: bool,
    /// Passed on to the benchmark: --dir DIR, --rounds N, --millis N, --entries N
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// How `cargo xtask bench node` was called.
#[derive(clap::Args)]
pub(crate) struct NodeOptions {
    /// Let one Redis server that syncs every write take turns with the cluster
    #[arg(long)]
    peers: bool,
    /// Passed on to the benchmark; `--help` lists what it knows
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Proposals before outputs are drained.
const BATCHES: [u32; 3] = [1, 16, 256];

/// Instructions do not vary, so a short run tells them.
const COUNTED_ENTRIES: u32 = 5120;

/// Runs one benchmark.
pub(crate) fn run(target: &Target) -> Result<()> {
    match target {
        Target::Core(options) => core(options),
        Target::Log(options) => log(options),
        Target::Node(options) => node(options),
    }
}

fn core(options: &CoreOptions) -> Result<()> {
    let program = build("raft-core", "commit")?;
    let has_valgrind = Command::new("valgrind").arg("--version").output().is_ok();
    println!("{} voters, {} byte entries, all nodes in one thread", options.voters, options.bytes);
    println!("{:>6} {:>14} {:>24}", "batch", "ns per entry", "instructions per entry");
    for batch in BATCHES {
        let mut times = Vec::new();
        for _ in 0..options.runs.max(1) {
            times.push(time(&program, options, batch)?);
        }
        times.sort_by(f64::total_cmp);
        let instructions = match has_valgrind {
            true => format!("{:.0}", count(&program, options, batch)?),
            false => "valgrind is not installed".into(),
        };
        println!("{batch:>6} {:>14.1} {instructions:>24}", times[times.len() / 2]);
    }
    Ok(())
}

fn log(options: &LogOptions) -> Result<()> {
    let cargo = |what: &str| {
        let mut command = workspace::cargo();
        command.args([what, "--quiet", "--release"]);
        match options.peers {
            // A workspace of its own, so that nobody builds the peers by accident.
            true => {
                command.args(["--locked", "--manifest-path", "raft-storage/peers/Cargo.toml"]);
                command.arg("--target-dir").arg(workspace::target_dir().join("peers"));
            }
            false => {
                command.args(["--package", "raft-storage", "--example", "bench_log"]);
            }
        }
        if options.rocksdb {
            command.args(["--features", "rocksdb"]);
        }
        command
    };
    if options.rocksdb {
        succeed(&mut cargo("build")).context(
            "the peers could not be built; RocksDB needs a C++ compiler and libclang (g++ and libclang-dev \
             of Debian, or LIBCLANG_PATH), and without --rocksdb the others run alone",
        )?;
    }
    succeed(cargo("run").arg("--").args(&options.arguments))
}

fn node(options: &NodeOptions) -> Result<()> {
    let package = ["--release", "--package", "raft-kv-example"];
    succeed(workspace::cargo().arg("build").args(package))?;
    let mut command = workspace::cargo();
    command.args(["run", "--quiet"]).args(package).args(["--example", "bench_node", "--", "--binary"]);
    command.arg(workspace::target_dir().join("release/raft-kv"));
    command.args(options.peers.then_some("--peers"));
    succeed(command.args(&options.arguments))
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().context("cannot start cargo")?;
    ensure!(status.success(), "{status}");
    Ok(())
}

fn arguments(options: &CoreOptions, batch: u32, entries: u32) -> [String; 8] {
    let number = |number: u32| number.to_string();
    [
        "--voters".into(),
        number(options.voters),
        "--bytes".into(),
        number(options.bytes),
        "--batch".into(),
        number(batch),
        "--entries".into(),
        number(entries),
    ]
}

fn time(program: &PathBuf, options: &CoreOptions, batch: u32) -> Result<f64> {
    let output = Command::new(program).args(arguments(options, batch, options.entries)).output()?;
    ensure!(output.status.success(), "the benchmark failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    text.trim().parse().with_context(|| format!("the benchmark printed {text:?}"))
}

/// Instructions per entry, counted by callgrind in the measured part alone.
fn count(program: &PathBuf, options: &CoreOptions, batch: u32) -> Result<f64> {
    let profile = env::temp_dir().join(format!("raft-core-commit-{}.callgrind", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*measured*"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(program)
        .args(arguments(options, batch, COUNTED_ENTRIES))
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    std::fs::remove_file(&profile).with_context(|| format!("callgrind wrote no profile: {text}"))?;
    let line = text.lines().find(|line| line.contains("refs:")).context("callgrind counted nothing")?;
    let digits: String =
        line.rsplit("refs:").next().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    let total: f64 = digits.parse().with_context(|| format!("callgrind printed {line:?}"))?;
    Ok(total / f64::from(COUNTED_ENTRIES.next_multiple_of(batch)))
}

/// Builds a benchmark as it would be timed, and says where it is.
fn build(package: &str, bench: &str) -> Result<PathBuf> {
    let mut command = workspace::cargo();
    command.args(["bench", "--package", package, "--bench", bench, "--no-run", "--message-format", "json"]);
    let output = command.output().context("cannot start cargo")?;
    ensure!(output.status.success(), "cargo failed: {}", String::from_utf8_lossy(&output.stderr));
    for line in output.stdout.split(|byte| *byte == b'\n') {
        let Ok(message) = serde_json::from_slice::<serde_json::Value>(line) else { continue };
        if message["target"]["name"] == bench
            && let Some(path) = message["executable"].as_str()
        {
            return Ok(path.into());
        }
    }
    bail!("cargo built no executable for the benchmark {bench}")
}
