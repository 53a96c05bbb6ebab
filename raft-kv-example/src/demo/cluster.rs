//! The node processes of the demo.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::free_ports;

/// Three node processes on loopback. They end when this is dropped, and, because they watch their
/// standard input, also when this process is killed.
#[derive(Debug)]
pub(super) struct Cluster {
    dir: PathBuf,
    ports: [u16; NODES],
    peers: String,
    nodes: Vec<Process>,
}

/// One of them.
#[derive(Debug)]
struct Process {
    child: Child,
    died: Option<Instant>,
}

/// What is known of a node's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProcessState {
    pub(super) pid: u32,
    pub(super) port: u16,
    pub(super) is_alive: bool,
}

impl Cluster {
    /// Starts the nodes with their data under the directory.
    pub(super) fn start(dir: &Path) -> io::Result<Self> {
        let all = find_ports(dir)?;
        let (mut ports, mut peers) = ([0; NODES], Vec::new());
        for (at, port) in ports.iter_mut().enumerate() {
            *port = all[at];
            peers.push(format!("{}=127.0.0.1:{}", at + 1, all[NODES + at]));
        }
        let mut cluster = Self { dir: dir.to_owned(), ports, peers: peers.join(","), nodes: Vec::new() };
        for at in 0..NODES {
            let child = cluster.spawn(at)?;
            cluster.nodes.push(Process { child, died: None });
        }
        Ok(cluster)
    }

    /// Where clients connect.
    pub(super) fn ports(&self) -> [u16; NODES] {
        self.ports
    }

    pub(super) fn processes(&self) -> Vec<ProcessState> {
        let state = |(node, port): (&Process, u16)| ProcessState {
            pid: node.child.id(),
            port,
            is_alive: node.died.is_none(),
        };
        self.nodes.iter().zip(self.ports).map(state).collect()
    }

    /// Notices who died; starts them again after a while, if asked to.
    pub(super) fn tend(&mut self, restart_after: Option<Duration>) -> io::Result<()> {
        for at in 0..self.nodes.len() {
            let node = &mut self.nodes[at];
            if node.died.is_none() && node.child.try_wait()?.is_some() {
                node.died = Some(Instant::now());
            }
            let is_due = node.died.zip(restart_after).is_some_and(|(died, after)| died.elapsed() >= after);
            if is_due {
                let child = self.spawn(at)?;
                self.nodes[at] = Process { child, died: None };
            }
        }
        Ok(())
    }

    fn spawn(&self, at: usize) -> io::Result<Child> {
        let id = at + 1;
        let data = self.dir.join(format!("node-{id}"));
        // Only the first start founds the cluster.
        let init = (!data.exists()).then_some("--init");
        let log = File::options().create(true).append(true).open(self.dir.join(format!("node-{id}.log")))?;
        Command::new(std::env::current_exe()?)
            .args(["serve", "--until-stdin-ends", "--id", &id.to_string()])
            .args(["--listen", &format!("127.0.0.1:{}", self.ports[at]), "--peers", &self.peers])
            .args(init)
            .arg("--data")
            .arg(data)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
    }
}

/// The ports for clients, then those between nodes. The nodes remember where the others are, so those of the
/// first start are used again.
fn find_ports(dir: &Path) -> io::Result<Vec<u16>> {
    let path = dir.join(PORTS_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let known: Vec<u16> = text.split_whitespace().map_while(|word| word.parse().ok()).collect();
            let is_whole = known.len() == NODES * 2;
            let malformed =
                || io::Error::other(format!("{} does not name {} ports", path.display(), NODES * 2));
            is_whole.then_some(known).ok_or_else(malformed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let free = free_ports::find(NODES * 2)?;
            let words: Vec<String> = free.iter().map(u16::to_string).collect();
            fs::write(&path, words.join(" ") + "\n")?;
            Ok(free)
        }
        Err(error) => Err(error),
    }
}

const PORTS_FILE: &str = "ports";

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            drop(node.child.stdin.take());
        }
        let until = Instant::now() + STOP_WITHIN;
        for node in &mut self.nodes {
            while matches!(node.child.try_wait(), Ok(None)) && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
            // Fails only for those that have ended.
            let _ = node.child.kill();
            let _ = node.child.wait();
        }
    }
}

/// How many nodes there are.
pub(super) const NODES: usize = 3;
const STOP_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes know each other's addresses from their log, so a demo that goes on must listen where it did.
    #[test]
    fn ports_of_a_directory_stay() {
        let dir = tempfile::tempdir().unwrap();
        let first = find_ports(dir.path()).unwrap();
        assert_eq!(first.len(), 2 * NODES);
        assert_eq!(find_ports(dir.path()).unwrap(), first);
        fs::write(dir.path().join(PORTS_FILE), "1 2 x").unwrap();
        assert!(find_ports(dir.path()).unwrap_err().to_string().contains("does not name 6 ports"));
    }
}
