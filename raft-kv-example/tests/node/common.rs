//! Real node processes on loopback, for tests.
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use redis::{Commands, Connection, RedisResult, Value};
use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A cluster of node processes. Whatever still runs is killed when this is dropped.
pub(crate) struct TestCluster {
    dir: tempfile::TempDir,
    options: Vec<String>,
    pub(crate) ports: Vec<u16>,
    pub(crate) peers: String,
    children: Vec<Option<Child>>,
    /// Where the nodes listen for each other.
    pub(crate) peer_addresses: Vec<String>,
}

impl TestCluster {
    /// Starts nodes and waits for a leader.
    pub(crate) fn start(size: usize, options: &[&str]) -> Self {
        let cluster = Self::start_without_leader(size, options);
        cluster.leader();
        cluster
    }

    pub(crate) fn start_without_leader(size: usize, options: &[&str]) -> Self {
        let ports = raft_kv::free_ports::find(size * 2).unwrap();
        let peer_addresses: Vec<_> = ports[size..].iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let peers = peer_addresses.iter().enumerate().map(|(at, address)| format!("{}={address}", at + 1));
        let mut cluster = Self {
            dir: tempfile::tempdir().unwrap(),
            options: options.iter().map(ToString::to_string).collect(),
            peers: peers.collect::<Vec<_>>().join(","),
            ports,
            children: (0..size).map(|_| None).collect(),
            peer_addresses,
        };
        let peers = cluster.peers.clone();
        (0..size).for_each(|at| cluster.start_with(at, &["--init", "--peers", &peers]));
        cluster
    }

    pub(crate) fn size(&self) -> usize {
        self.children.len()
    }

    /// Starts a founder again, which may be told who the founders were.
    pub(crate) fn start_node(&mut self, at: usize) {
        let peers = self.peers.clone();
        self.start_with(at, &["--peers", &peers]);
    }

    /// Starts a node that has a past and needs to be told nothing.
    pub(crate) fn start_member(&mut self, at: usize) {
        self.start_with(at, &[]);
    }

    /// Starts a new node that knows nothing but where one member takes commands; its place.
    pub(crate) fn join(&mut self, member: usize) -> usize {
        self.join_with(member, &[])
    }

    /// The same with more settings.
    pub(crate) fn join_with(&mut self, member: usize, more: &[&str]) -> usize {
        let ports = raft_kv::free_ports::find(2).unwrap();
        let at = self.size();
        self.ports.truncate(at);
        self.ports.push(ports[0]);
        self.peer_addresses.push(format!("127.0.0.1:{}", ports[1]));
        self.children.push(None);
        let member = format!("127.0.0.1:{}", self.ports[member]);
        self.start_with(at, &[&["--join", &member], more].concat());
        at
    }

    /// Starts a node with these settings beside its own.
    pub(crate) fn start_with(&mut self, at: usize, more: &[&str]) {
        let log = File::options().create(true).append(true).open(self.log_path(at)).unwrap();
        let child = serve()
            .args(["--id", &(at + 1).to_string(), "--peer-listen", &self.peer_addresses[at]])
            .args(more)
            .args(["--listen", &format!("127.0.0.1:{}", self.ports[at])])
            .arg("--data")
            .arg(self.data_dir(at))
            .args(&self.options)
            .stderr(log)
            .spawn();
        self.children[at] = Some(child.unwrap());
    }

    pub(crate) fn data_dir(&self, at: usize) -> PathBuf {
        self.dir.path().join(format!("node-{}", at + 1))
    }

    pub(crate) fn log_path(&self, at: usize) -> PathBuf {
        self.dir.path().join(format!("node-{}.log", at + 1))
    }

    pub(crate) fn signal(&self, at: usize, signal: Signal) {
        let child = self.children[at].as_ref().unwrap();
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// kill -9
    pub(crate) fn kill(&mut self, at: usize) {
        let mut child = self.children[at].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn wait_for_exit(&mut self, at: usize) -> ExitStatus {
        wait_for_exit(&mut self.children[at].take().unwrap())
    }

    pub(crate) fn is_running(&self, at: usize) -> bool {
        self.children[at].is_some()
    }

    pub(crate) fn connect(&self, at: usize) -> Connection {
        until("a connection", || self.try_connect(at))
    }

    pub(crate) fn try_connect(&self, at: usize) -> Option<Connection> {
        try_connect(self.ports[at])
    }

    /// What a node says of itself; nothing if it does not answer soon.
    pub(crate) fn status(&self, at: usize) -> Option<HashMap<String, Value>> {
        let mut connection = self.try_connect(at)?;
        connection.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        redis::cmd("RAFT.STATUS").query(&mut connection).ok()
    }

    /// One number of its status.
    pub(crate) fn number(&self, at: usize, name: &str) -> Option<i64> {
        match self.status(at)?.get(name) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        }
    }

    /// What a node says of the members.
    pub(crate) fn members(&self, at: usize) -> Option<Vec<HashMap<String, Value>>> {
        redis::from_redis_value(self.status(at)?.remove("members")?).ok()
    }

    /// The node that all that answer agree on as their leader.
    pub(crate) fn leader(&self) -> usize {
        self.leader_other_than(usize::MAX)
    }

    pub(crate) fn leader_other_than(&self, other: usize) -> usize {
        until("a leader", || {
            let running = (0..self.size()).filter(|at| self.is_running(*at) && *at != other);
            let leaders: Vec<i64> = running.filter_map(|at| self.number(at, "leader")).collect();
            let first = usize::try_from(*leaders.first()?).ok()?.checked_sub(1)?;
            let is_agreed = leaders.len() > self.size() / 2 && leaders.windows(2).all(|two| two[0] == two[1]);
            (is_agreed && first != other).then_some(first)
        })
    }

    /// Waits until a node has applied all that the leader has committed.
    pub(crate) fn wait_for_catch_up(&self, at: usize) {
        let leader = self.leader();
        let commit = until("the leader's commit index", || self.number(leader, "commit"));
        until("a node to catch up", || self.number(at, "applied").filter(|applied| *applied >= commit));
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        for at in 0..self.size() {
            if self.is_running(at) {
                self.kill(at);
            }
            if std::thread::panicking() {
                let log = std::fs::read_to_string(self.log_path(at)).unwrap_or_default();
                let tail: Vec<_> = log.lines().rev().take(20).collect();
                eprintln!("node {}:", at + 1);
                tail.iter().rev().for_each(|line| eprintln!("  {line}"));
            }
        }
    }
}

pub(crate) fn try_connect(port: u16) -> Option<Connection> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/")).unwrap();
    let connection = client.get_connection_with_timeout(Duration::from_secs(1)).ok()?;
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    Some(connection)
}

/// A number of INFO.
pub(crate) fn info(cluster: &TestCluster, at: usize, name: &str) -> u64 {
    let text: String = redis::cmd("INFO").arg("raft").query(&mut cluster.connect(at)).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
}

/// The node's command line up to its settings.
pub(crate) fn serve() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-kv"));
    command.args(["serve", "--until-stdin-ends"]).stdin(Stdio::piped()).stdout(Stdio::null());
    command
}

/// Runs a node that should refuse to start; gives what it says.
pub(crate) fn refusal(data: &Path, listen: &str, peers: &str, more: &[&str]) -> String {
    let all = [&["--id", "1", "--listen", listen, "--init", "--peers", peers], more].concat();
    refusal_of(data, &all)
}

/// The same with all other settings.
pub(crate) fn refusal_of(data: &Path, settings: &[&str]) -> String {
    let mut child = serve().arg("--data").arg(data).args(settings).stderr(Stdio::piped()).spawn().unwrap();
    let status = wait_for_exit(&mut child);
    assert!(!status.success(), "the node should have refused to start");
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn wait_for_exit(child: &mut Child) -> ExitStatus {
    let status = until_or_none(|| child.try_wait().unwrap());
    status.unwrap_or_else(|| {
        let _ = child.kill();
        let _ = child.wait();
        panic!("the process did not end");
    })
}

/// Looks again and again until there is something, but not for ever.
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_or_none(look).unwrap_or_else(|| panic!("waited in vain for {what}"))
}

fn until_or_none<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

/// Sets a key, again and again while the cluster refuses.
pub(crate) fn set(connection: &mut Connection, key: &str, value: &str) {
    until("a write", || {
        let result: RedisResult<()> = connection.set(key, value);
        result.ok()
    });
}
