//! The processes under test. All of them end when this process does.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use raft_kv::free_ports;
use raft_kv::link::{Link, local};
use rustix::param::clock_ticks_per_second;

use crate::Outcome;

/// Three nodes on loopback.
pub(crate) struct Cluster {
    binary: PathBuf,
    dir: PathBuf,
    ports: Vec<u16>,
    peers: String,
    settings: Vec<String>,
    nodes: Vec<Child>,
}

/// One Redis server that answers a write when it is synced.
pub(crate) struct Redis {
    port: u16,
    server: Child,
}

impl Cluster {
    /// Founds a cluster and waits for its leader.
    pub(crate) fn start(binary: &Path, dir: &Path, settings: &[&str]) -> Outcome<Self> {
        fs::create_dir_all(dir)?;
        let ports = free_ports::find(2 * NODES)?;
        let peers = ports[NODES..].iter().zip(1..).map(|(port, id)| format!("{id}=127.0.0.1:{port}"));
        let mut cluster = Self {
            binary: binary.to_owned(),
            dir: dir.to_owned(),
            peers: peers.collect::<Vec<_>>().join(","),
            ports: ports[..NODES].to_vec(),
            settings: settings.iter().map(ToString::to_string).collect(),
            nodes: Vec::new(),
        };
        for at in 0..NODES {
            let node = cluster.spawn(at, &["--init"])?;
            cluster.nodes.push(node);
        }
        cluster.await_leader()?;
        Ok(cluster)
    }

    /// Where clients connect.
    pub(crate) fn port(&self, at: usize) -> u16 {
        self.ports[at]
    }

    /// Waits until all nodes follow one leader; gives its place.
    pub(crate) fn await_leader(&mut self) -> Outcome<usize> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let leaders: Option<Vec<u64>> = self.ports.iter().map(|port| leader_at(*port)).collect();
            if let Some(leaders) = leaders
                && leaders[0] != 0
                && leaders.iter().all(|leader| *leader == leaders[0])
            {
                return Ok(usize::try_from(leaders[0] - 1)?);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(format!("no leader; see the logs in {}", self.dir.display()).into())
    }

    /// kill -9
    pub(crate) fn kill(&mut self, at: usize) -> Outcome<()> {
        self.nodes[at].kill()?;
        self.nodes[at].wait()?;
        Ok(())
    }

    /// Starts a node that was killed.
    pub(crate) fn restart(&mut self, at: usize) -> Outcome<()> {
        self.nodes[at] = self.spawn(at, &[])?;
        Ok(())
    }

    /// Processor time of all nodes so far.
    pub(crate) fn processor_seconds(&self) -> Outcome<f64> {
        self.nodes.iter().map(processor_seconds).sum()
    }

    fn spawn(&self, at: usize, more: &[&str]) -> Outcome<Child> {
        let id = (at + 1).to_string();
        let log = File::options().create(true).append(true).open(self.dir.join(format!("{id}.log")))?;
        let mut command = Command::new(&self.binary);
        command.args(["serve", "--until-stdin-ends", "--id", &id, "--listen", &local(self.ports[at])]);
        command.args(["--peers", &self.peers]).arg("--data").arg(self.dir.join(&id));
        command.args(&self.settings).args(more);
        Ok(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).spawn()?)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nodes.iter_mut().for_each(end);
    }
}

impl Redis {
    /// Starts it and waits until it answers.
    pub(crate) fn start(dir: &Path) -> Outcome<Self> {
        fs::create_dir_all(dir)?;
        let port = free_ports::find(1)?[0];
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always"]).arg("--dir").arg(dir);
        let server = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let redis = Self { port, server };
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if Link::open(&local(port), PATIENCE).is_ok() {
                return Ok(redis);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err("redis-server does not answer".into())
    }

    /// Where clients connect.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its processor time so far.
    pub(crate) fn processor_seconds(&self) -> Outcome<f64> {
        processor_seconds(&self.server)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        end(&mut self.server);
    }
}

fn end(process: &mut Child) {
    // Fails only if it has ended by itself.
    let _ = process.kill();
    let _ = process.wait();
}

/// Whom a node follows; zero if nobody, `None` if it does not answer.
fn leader_at(port: u16) -> Option<u64> {
    Link::open(&local(port), Duration::from_secs(1)).ok()?.status().ok().map(|status| status.leader)
}

/// Processor time of all threads of a process, its own and the kernel's for it (proc(5)).
fn processor_seconds(process: &Child) -> Outcome<f64> {
    let text = fs::read_to_string(format!("/proc/{}/stat", process.id()))?;
    // The name, in parentheses, may hold anything; utime and stime are the fields 14 and 15.
    let (_, fields) = text.rsplit_once(") ").ok_or("no stat")?;
    let ticks: u64 = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / clock_ticks_per_second() as f64)
}

pub(crate) const NODES: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);
