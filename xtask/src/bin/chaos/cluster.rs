//! Three node processes on loopback, their directories, and what they said.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use raft_kv::free_ports;
use raft_kv::link::{Link, NodeStatus};
use rustix::process::{Pid, Signal, kill_process};

use crate::trace::{Injection, Trace};

/// How many nodes there are.
pub(crate) const SIZE: usize = 3;

/// How long a node may take for what it surely does: on a busy machine, traced, after an election.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Three nodes. They end when this is dropped, and, because they watch their standard input, also when
/// this process dies.
pub(crate) struct Cluster {
    binary: PathBuf,
    /// Where logs and traces are, and, unless a scenario has moved them, the data directories.
    root: PathBuf,
    data: Vec<PathBuf>,
    ports: Vec<u16>,
    peer_addresses: Vec<String>,
    settings: Vec<String>,
    lives: Vec<Option<Life>>,
    starts: u32,
}

/// A process from its start on.
struct Life {
    child: Child,
    /// How long the node's log was before.
    log_start: u64,
    trace: Option<PathBuf>,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) status: ExitStatus,
    /// Its last line, which is for whoever started it.
    pub(crate) last_words: String,
    /// What it and the faults did, if it was traced.
    pub(crate) trace: Trace,
}

/// What came of a start.
pub(crate) enum Start {
    Ready,
    Ended(Ending),
}

impl Cluster {
    /// Prepares a cluster whose data directories are in `data`.
    pub(crate) fn new(binary: &Path, root: &Path, data: &Path, settings: &[&str]) -> Result<Self> {
        let ports = free_ports::find(SIZE * 2)?;
        let addresses = ports[SIZE..].iter().map(|port| format!("127.0.0.1:{port}"));
        Ok(Self {
            binary: binary.to_owned(),
            root: root.to_owned(),
            data: (1..=SIZE).map(|id| data.join(format!("node-{id}"))).collect(),
            peer_addresses: addresses.collect(),
            ports: ports[..SIZE].to_vec(),
            settings: settings.iter().map(ToString::to_string).collect(),
            lives: (0..SIZE).map(|_| None).collect(),
            starts: 0,
        })
    }

    /// Founds it.
    pub(crate) fn found(&mut self) -> Result<()> {
        let peers = self.peer_addresses.iter().zip(1..).map(|(address, id)| format!("{id}={address}"));
        let peers = peers.collect::<Vec<_>>().join(",");
        for at in 0..SIZE {
            self.launch(at, None, &["--init", "--peers", &peers])?;
        }
        (0..SIZE).try_for_each(|at| self.await_ready(at))
    }

    /// Starts a node, with a fault waiting for it or without.
    pub(crate) fn start(&mut self, at: usize, injection: Option<&Injection>) -> Result<()> {
        self.launch(at, injection, &[])
    }

    /// Starts a node that has nothing to fear and waits until it serves.
    pub(crate) fn start_well(&mut self, at: usize) -> Result<()> {
        self.start(at, None)?;
        self.await_ready(at)
    }

    fn launch(&mut self, at: usize, injection: Option<&Injection>, more: &[&str]) -> Result<()> {
        assert!(self.lives[at].is_none(), "node {} runs already", at + 1);
        self.starts += 1;
        let log = File::options().create(true).append(true).open(self.log_path(at))?;
        let log_start = log.metadata()?.len();
        let trace = injection.map(|_| self.root.join(format!("trace-{}.txt", self.starts)));
        let mut command = match (injection, &trace) {
            (Some(injection), Some(trace)) => injection.strace(trace, &self.binary),
            _ => Command::new(&self.binary),
        };
        command.args(["serve", "--until-stdin-ends", "--id", &(at + 1).to_string()]);
        command.args(["--listen", &self.address(at), "--peer-listen", &self.peer_addresses[at]]);
        command.arg("--data").arg(&self.data[at]).args(&self.settings).args(more);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot start {}", self.binary.display()))?;
        self.lives[at] = Some(Life { child, log_start, trace });
        Ok(())
    }

    /// Waits until a node that was started serves or has ended.
    pub(crate) fn await_start(&mut self, at: usize) -> Result<Start> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(ending) = self.ending_within(at, Duration::ZERO)? {
                return Ok(Start::Ended(ending));
            }
            if self.status(at).is_some() {
                return Ok(Start::Ready);
            }
            thread::sleep(GLANCE);
        }
        bail!("node {} neither serves nor ends", at + 1)
    }

    /// Waits until a node that was started serves.
    pub(crate) fn await_ready(&mut self, at: usize) -> Result<()> {
        match self.await_start(at)? {
            Start::Ready => Ok(()),
            Start::Ended(ending) => {
                bail!("node {} should have started, but ended: {}", at + 1, ending.last_words)
            }
        }
    }

    /// How a node ended, if it does within this time.
    pub(crate) fn ending_within(&mut self, at: usize, patience: Duration) -> Result<Option<Ending>> {
        let deadline = Instant::now() + patience;
        loop {
            let life = self.lives[at].as_mut().context("the node does not run")?;
            if let Some(status) = life.child.try_wait()? {
                return self.bury(at, status).map(Some);
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(GLANCE);
        }
    }

    fn bury(&mut self, at: usize, status: ExitStatus) -> Result<Ending> {
        let life = self.lives[at].take().context("the node does not run")?;
        let last_words = self.text_since(at, life.log_start)?;
        let last_words = last_words.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        let trace = life.trace.map_or(Ok(Trace::default()), |path| Trace::read(&path, life.child.id()))?;
        Ok(Ending { status, last_words: last_words.to_owned(), trace })
    }

    /// kill -9
    pub(crate) fn kill(&mut self, at: usize) -> Result<Ending> {
        self.end(at, Signal::KILL)
    }

    /// An orderly end, as an operator asks for it.
    pub(crate) fn stop(&mut self, at: usize) -> Result<Ending> {
        self.end(at, Signal::TERM)
    }

    fn end(&mut self, at: usize, signal: Signal) -> Result<Ending> {
        // If it has just ended by itself, there is nobody to tell.
        let _ = self.signal(at, signal);
        let ending = self.ending_within(at, PATIENCE)?;
        ending.with_context(|| format!("node {} does not end", at + 1))
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, at: usize, signal: Signal) -> io::Result<()> {
        let life = self.lives[at].as_ref().ok_or(io::ErrorKind::NotFound)?;
        Ok(kill_process(Pid::from_child(&life.child), signal)?)
    }

    pub(crate) fn is_running(&self, at: usize) -> bool {
        self.lives[at].is_some()
    }

    /// Runs a second process that has to refuse; gives its last words.
    pub(crate) fn refusal(&self, id: usize, data: &Path) -> Result<String> {
        let ports = free_ports::find(2)?;
        let mut command = Command::new(&self.binary);
        command.args(["serve", "--until-stdin-ends", "--id", &id.to_string()]);
        command.args(["--listen", &local(ports[0]), "--peer-listen", &local(ports[1])]);
        command.arg("--data").arg(data).args(&self.settings).stdin(Stdio::null());
        let output = command.output()?;
        ensure!(!output.status.success(), "a process with {} did not refuse", data.display());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(text.lines().last().unwrap_or_default().to_owned())
    }

    /// Waits until a node has applied what is committed now.
    pub(crate) fn await_catch_up(&self, at: usize) -> Result<()> {
        let commit = (0..SIZE).filter_map(|other| self.status(other)).map(|status| status.commit).max();
        let commit = commit.context("nobody answers")?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.status(at).is_some_and(|status| status.applied >= commit) {
                return Ok(());
            }
            thread::sleep(GLANCE);
        }
        bail!("node {} does not catch up with entry {commit}: {:?}", at + 1, self.status(at))
    }

    /// Waits for a node that says it leads, with its term: the newest, if there are several.
    pub(crate) fn await_leader(&self) -> Result<(usize, u64)> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let leads = |at: &usize| {
                let status = self.status(*at).filter(|status| status.role == "leader")?;
                Some((status.term, *at))
            };
            if let Some((term, at)) = (0..SIZE).filter_map(|at| leads(&at)).max() {
                return Ok((at, term));
            }
            thread::sleep(GLANCE);
        }
        bail!("there is no leader")
    }

    /// What a node says of itself; nothing if it does not answer soon.
    pub(crate) fn status(&self, at: usize) -> Option<NodeStatus> {
        Link::open(&self.address(at), STATUS_PATIENCE).ok()?.status().ok()
    }

    /// Where a node takes commands.
    pub(crate) fn address(&self, at: usize) -> String {
        local(self.ports[at])
    }

    pub(crate) fn data_dir(&self, at: usize) -> &Path {
        &self.data[at]
    }

    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    /// Where the scenario may put things aside.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What a node has said in all its lives.
    pub(crate) fn log(&self, at: usize) -> Result<String> {
        self.text_since(at, 0)
    }

    fn text_since(&self, at: usize, start: u64) -> Result<String> {
        let mut file = File::open(self.log_path(at))?;
        file.seek(SeekFrom::Start(start))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn log_path(&self, at: usize) -> PathBuf {
        self.root.join(format!("node-{}.log", at + 1))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for life in self.lives.iter_mut().flatten() {
            // A stopped process is killed as well as a running one; if it is gone, all is well.
            let _ = life.child.kill();
            let _ = life.child.wait();
        }
    }
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// Copies a directory that holds only files.
pub(crate) fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// How often something is looked at that is waited for.
const GLANCE: Duration = Duration::from_millis(20);
const STATUS_PATIENCE: Duration = Duration::from_millis(1000);
