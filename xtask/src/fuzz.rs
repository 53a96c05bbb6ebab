//! `cargo xtask fuzz`: gives arbitrary bytes to what decodes them, under libFuzzer, on stable Rust.
//!
//! What is known to be worth trying is checked in below `xtask/fuzz/corpus`, and the gate tries it
//! again each time. What libFuzzer collects on the way stays in the build directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace;

/// How `cargo xtask fuzz` was called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to run; see --list
    #[arg(required_unless_present = "list")]
    target: Option<String>,
    /// Name the targets
    #[arg(long)]
    list: bool,
    /// How long to look for more
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Processes that run side by side
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    jobs: u32,
    /// Choose the checked-in corpus anew from all that was found
    #[arg(long)]
    keep: bool,
}

/// One target and its places.
struct Fuzzer {
    program: PathBuf,
    target: String,
    /// What is checked in.
    corpus: PathBuf,
    /// What was found, here, over all runs.
    found: PathBuf,
    /// Where libFuzzer puts what makes the target panic.
    crashes: PathBuf,
}

/// Runs one target, or lists all.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let Some(target) = options.target.as_ref().filter(|_| !options.list) else {
        let status = package("run").args(["--quiet", "--bin", "list"]).status()?;
        ensure!(status.success(), "cargo ended with {status}");
        return Ok(ExitCode::SUCCESS);
    };
    let fuzzer = Fuzzer::build(target)?;
    let found_before = fuzzer.crashes()?;
    fuzzer.search(options.seconds, options.jobs)?;
    let crashes: Vec<_> = fuzzer.crashes()?.into_iter().filter(|path| !found_before.contains(path)).collect();
    for crash in &crashes {
        fuzzer.minimise(crash)?;
    }
    if options.keep {
        fuzzer.keep()?;
    }
    Ok(if crashes.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A cargo command for the package of the targets.
pub(crate) fn package(command: &str) -> Command {
    let mut cargo = workspace::cargo();
    cargo.arg(command).arg("--manifest-path").arg(directory().join("Cargo.toml"));
    cargo.arg("--target-dir").arg(workspace::target_dir());
    cargo
}

fn directory() -> PathBuf {
    workspace::root().join("xtask/fuzz")
}

impl Fuzzer {
    fn build(target: &str) -> Result<Self> {
        ensure!(
            has_cpp_compiler(),
            "libFuzzer is C++, and there is no C++ compiler; install one, for instance: apt-get install g++"
        );
        let scratch = workspace::target_dir().join("fuzz");
        let host = host()?;
        let mut cargo = workspace::cargo();
        cargo.args(["build", "--release", "--features", "libfuzzer", "--bin", "fuzz"]);
        cargo.arg("--manifest-path").arg(directory().join("Cargo.toml"));
        // With a target named, build scripts and macros go without the instruments, which they could
        // not be linked with.
        cargo.args(["--target", &host]).arg("--target-dir").arg(&scratch);
        cargo.env("RUSTFLAGS", INSTRUMENTS.join(" "));
        let status = cargo.status().context("cannot start cargo")?;
        ensure!(status.success(), "cargo ended with {status}");
        let fuzzer = Self {
            program: scratch.join(host).join("release/fuzz"),
            target: target.to_owned(),
            corpus: directory().join("corpus").join(target),
            found: scratch.join("corpus").join(target),
            crashes: scratch.join("crashes").join(target),
        };
        for directory in [&fuzzer.corpus, &fuzzer.found, &fuzzer.crashes] {
            fs::create_dir_all(directory)
                .with_context(|| format!("cannot create {}", directory.display()))?;
        }
        Ok(fuzzer)
    }

    /// Looks for inputs that reach new code, until time is up or one makes the target panic.
    fn search(&self, seconds: u32, jobs: u32) -> Result<()> {
        let mut program = self.command();
        program.arg(format!("-max_total_time={seconds}"));
        program.arg(format!("-artifact_prefix={}/", self.crashes.display()));
        if jobs > 1 {
            program.arg(format!("-fork={jobs}"));
        }
        // A panic ends the program as well; what it left behind tells.
        program.arg(&self.found).arg(&self.corpus).status().context("cannot start the target")?;
        Ok(())
    }

    /// Makes a crash as short as it gets, and puts it among what the gate tries.
    fn minimise(&self, crash: &Path) -> Result<()> {
        let name = crash.file_name().context("a crash has a name")?;
        let kept = self.corpus.join(name);
        fs::copy(crash, &kept).with_context(|| format!("cannot write {}", kept.display()))?;
        let mut program = self.command();
        program.arg("-minimize_crash=1").arg(format!("-max_total_time={MINIMISE_SECONDS}"));
        program.arg(format!("-exact_artifact_path={}", kept.display())).arg(crash);
        program.output().context("cannot start the target")?;
        // A shorter one is good for nothing if it breaks only what ran before it.
        if self.command().arg(&kept).output().context("cannot start the target")?.status.success() {
            fs::copy(crash, &kept)?;
        }
        println!("\n{} breaks {}; the gate tries it from now on", kept.display(), self.target);
        Ok(())
    }

    /// Chooses the corpus anew: every crash that once was, and of the rest those that together reach
    /// what all of them do, as many as there is room for.
    fn keep(&self) -> Result<()> {
        let chosen = self.found.with_extension("chosen");
        if chosen.exists() {
            fs::remove_dir_all(&chosen)?;
        }
        fs::create_dir_all(&chosen)?;
        let merge = self.command().arg("-merge=1").args([&chosen, &self.found, &self.corpus]).output()?;
        ensure!(merge.status.success(), "{}", String::from_utf8_lossy(&merge.stderr));
        let mut room = CORPUS_BYTES;
        for path in files(&self.corpus)? {
            if is_crash(&path) {
                room = room.saturating_sub(fs::metadata(&path)?.len());
            } else {
                fs::remove_file(&path)?;
            }
        }
        let mut kept = 0;
        let chosen = files(&chosen)?;
        // Short and long ones alike, for the long ones go far.
        for path in chosen.iter().step_by(chosen.len().div_ceil(CORPUS_FILES).max(1)) {
            let bytes = fs::metadata(path)?.len();
            if bytes <= room {
                room -= bytes;
                kept += 1;
                fs::copy(path, self.corpus.join(path.file_name().context("a file has a name")?))?;
            }
        }
        println!("{kept} files in {}", self.corpus.display());
        Ok(())
    }

    fn crashes(&self) -> Result<Vec<PathBuf>> {
        files(&self.crashes)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env("RAFT_FUZZ_TARGET", &self.target).arg(format!("-max_len={INPUT_BYTES_MAX}"));
        // An input that takes longer than this is a finding as well.
        command.arg("-timeout=10");
        command
    }
}

/// What fuzzing calls a crash begins with one of these words.
fn is_crash(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    ["crash-", "timeout-", "oom-"].iter().any(|prefix| name.starts_with(prefix))
}

/// The files of a directory, shortest first.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))? {
        let entry = entry?;
        files.push((entry.metadata()?.len(), entry.path()));
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

fn has_cpp_compiler() -> bool {
    let named = std::env::var("CXX").ok();
    let names = named.iter().map(String::as_str).chain(["c++", "g++", "clang++"]);
    names.into_iter().any(|name| Command::new(name).arg("--version").output().is_ok())
}

/// The platform that rustc runs on.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8(output.stdout)?;
    let Some(host) = text.lines().find_map(|line| line.strip_prefix("host: ")) else {
        bail!("rustc does not say what it runs on: {text}");
    };
    Ok(host.to_owned())
}

/// What lets libFuzzer see which code an input reaches, and what it is compared with. These are
/// LLVM's own switches, which stable rustc passes on.
const INSTRUMENTS: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

/// Long enough for many steps, short enough to be quick.
const INPUT_BYTES_MAX: u32 = 2048;

/// How large a checked-in corpus becomes, in files and in bytes.
const CORPUS_FILES: usize = 64;
const CORPUS_BYTES: u64 = 12 << 10;

const MINIMISE_SECONDS: u32 = 30;
