//! A path through the states, to be read by a person.

use stateright::Path;

use crate::cluster::{Cluster, Happening};
use crate::node::Node;

/// Prints each step and what became of the node that took it.
pub(crate) fn print(path: Path<Cluster, Happening>) {
    let steps = path.into_vec();
    for (number, pair) in steps.windows(2).enumerate() {
        let [(before, happening), (after, _)] = pair else { continue };
        if let Some(happening) = happening {
            println!("{:>4}  {}", number + 1, describe(happening));
        }
        for (old, new) in before.nodes().zip(after.nodes()) {
            if old.digest != new.digest {
                println!("        {}", picture(new));
            }
        }
    }
}

fn describe(happening: &Happening) -> String {
    match happening {
        Happening::Campaign(id) => format!("node {id} campaigns"),
        Happening::Propose(id) => format!("node {id} is given a command"),
        Happening::Heartbeat(id) => format!("node {id} sends heartbeats"),
        Happening::Deliver(letter) => {
            let message = &letter.message;
            format!(
                "node {} hears from {}, term {}: {:?}",
                message.to, message.from, message.term, message.body
            )
        }
        Happening::Write(id) => format!("node {id}: the oldest write is durable"),
        Happening::Crash(id, kept) => {
            format!("node {id} crashes, {kept} of its writes were done, and restarts")
        }
        Happening::Change(id) => format!("node {id} is told to change the membership"),
        Happening::Snapshot(id) => format!("node {id} takes a snapshot"),
    }
}

fn picture(node: &Node) -> String {
    let status = node.raft.status();
    let log: Vec<String> = node.log.iter().map(|record| record.position.to_string()).collect();
    let vote = status.vote.map_or_else(|| "nobody".to_owned(), |vote| vote.to_string());
    format!(
        "node {}: {:?} in term {} (durable {}), voted for {vote}, log {}+[{}], committed {}, {} writes under way",
        node.id(),
        status.role,
        status.term,
        node.durable_term(),
        status.mark,
        log.join(" "),
        status.commit,
        node.queue.len()
    )
}
