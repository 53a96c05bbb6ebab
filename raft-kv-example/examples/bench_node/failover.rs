//! How long a client that writes at another node has to wait when the leader is killed.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use raft_kv::link::{Frame, Link, local};

use crate::servers::{Cluster, NODES};
use crate::{Outcome, median};

/// Kills leaders and prints what it took to write again.
pub(crate) fn measure(binary: &Path, dir: &Path, failovers: usize) -> Outcome<()> {
    let settings = ["--election-timeout-ms", "100", "--heartbeat-ms", "20", "--tick-ms", "5"];
    let mut cluster = Cluster::start(binary, dir, &settings)?;
    let mut millis = Vec::new();
    for _ in 0..failovers {
        let leader = cluster.await_leader()?;
        let mut link = Link::open(&local(cluster.port((leader + 1) % NODES)), Duration::from_secs(30))?;
        // It has a leader, and heartbeats have gone by.
        write(&mut link)?;
        thread::sleep(Duration::from_millis(200));
        write(&mut link)?;
        let killed = Instant::now();
        cluster.kill(leader)?;
        write(&mut link)?;
        millis.push(killed.elapsed().as_secs_f64() * 1e3);
        cluster.restart(leader)?;
    }
    millis.sort_by(f64::total_cmp);
    let worst = millis.last().copied().unwrap_or_default();
    println!(
        "\nLeader killed {failovers} times, election timeout 100 to 200 ms: until a write at another node is"
    );
    println!("acknowledged, median {:.0} ms, at most {worst:.0} ms", median(millis));
    Ok(())
}

/// Writes until it is known to be done: what was on its way to the leader that died is not.
fn write(link: &mut Link) -> Outcome<()> {
    let words = || ["SET", "failover", "value"].map(str::to_owned).to_vec();
    loop {
        match link.ask(&[words()])?.pop() {
            Some(Frame::SimpleString(_)) => return Ok(()),
            Some(Frame::Error(text)) if text.starts_with("UNKNOWN") => {}
            other => return Err(format!("a write was answered {other:?}").into()),
        }
    }
}
