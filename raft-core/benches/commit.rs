//! What one committed entry costs the core: all nodes of a group in one thread, no disk, no network.
//!
//! Commands are proposed in batches; after each batch everything is carried out until nothing is
//! left to do. Every node checks every entry it applies, so a fast run is also a correct one.
//!
//! `cargo xtask bench core` runs this for the usual sizes and adds instruction counts.

use std::collections::VecDeque;
use std::env;
use std::time::Instant;

use raft_core::{Action, Config, EntryKind, Membership, Message, NodeId, Raft};

/// One node with its inbox and its state machine, which only counts and checks.
struct Member {
    raft: Raft,
    inbox: VecDeque<Message>,
    applied: u64,
}

/// What is run.
struct Job {
    voters: u64,
    payload_bytes: usize,
    batch: u64,
    entries: u64,
}

impl Member {
    fn carry_out(&mut self, action: Action, sent: &mut Vec<Message>) {
        match action {
            Action::Send(message) => sent.push(message),
            Action::Persist(request) => self.raft.persisted(request.id),
            Action::Apply(batches) => {
                for batch in batches.iter().filter(|batch| batch.kind() == EntryKind::Command) {
                    for entry in batch {
                        check(entry.payload, self.applied);
                        self.applied += 1;
                    }
                }
                self.raft.applied(batches.last().expect("never empty"));
            }
            Action::Notice(_) => {}
            other => panic!("unexpected {other:?}"),
        }
    }
}

/// A payload carries its number at both ends.
fn fill(payload: &mut [u8], number: u64) {
    let end = payload.len() - 8;
    payload[..8].copy_from_slice(&number.to_le_bytes());
    payload[end..].copy_from_slice(&(!number).to_le_bytes());
}

#[inline]
fn check(payload: &[u8], number: u64) {
    let end = payload.len() - 8;
    assert!(payload[..8] == number.to_le_bytes() && payload[end..] == (!number).to_le_bytes());
}

fn group(voters: u64) -> Vec<Member> {
    let ids = (1..=voters).map(NodeId::new);
    let membership = Membership::of_voters(ids.clone()).expect("distinct ids");
    let member = |id| {
        let raft = Raft::found(Config::new(id), membership.clone()).expect("defaults are valid");
        Member { raft, inbox: VecDeque::new(), applied: 0 }
    };
    let mut members: Vec<Member> = ids.map(member).collect();
    members[0].raft.campaign().expect("a voter may campaign");
    settle(&mut members);
    assert!(members[0].raft.is_leader());
    members
}

/// Delivers and carries out until nothing is left to do.
fn settle(members: &mut [Member]) {
    let mut sent = Vec::new();
    loop {
        let mut has_news = false;
        for at in 0..members.len() {
            let member = &mut members[at];
            while let Some(message) = member.inbox.pop_front() {
                member.raft.receive(message);
                has_news = true;
            }
            while let Some(action) = member.raft.poll_action() {
                member.carry_out(action, &mut sent);
                has_news = true;
            }
            for message in sent.drain(..) {
                members[index_of(&message)].inbox.push_back(message);
            }
        }
        if !has_news {
            return;
        }
    }
}

fn index_of(message: &Message) -> usize {
    usize::try_from(message.to.get() - 1).expect("a few members")
}

fn commit(members: &mut [Member], job: &Job, first: u64, count: u64) {
    let mut payload = vec![0x5a; job.payload_bytes];
    let mut number = first;
    while number < first + count {
        for _ in 0..job.batch {
            fill(&mut payload, number);
            members[0].raft.propose(&payload).expect("the leader has room");
            number += 1;
        }
        settle(members);
        assert_eq!(members[0].applied, number, "the leader applied the batch");
    }
}

/// Runs a job; nanoseconds per committed entry.
fn run(job: &Job) -> f64 {
    let mut members = group(job.voters);
    let warm_up = job.batch * 8;
    commit(&mut members, job, 0, warm_up);
    let entries = job.entries.next_multiple_of(job.batch);
    let started = Instant::now();
    measured(&mut members, job, warm_up, entries);
    let elapsed = started.elapsed();
    // Followers learn of the last commit with the next heartbeat.
    members[0].raft.tick();
    settle(&mut members);
    assert!(members.iter().all(|member| member.applied == warm_up + entries), "every node applied all");
    elapsed.as_nanos() as f64 / entries as f64
}

/// The measured part, kept out of line so that instructions can be counted in it alone
/// (`--toggle-collect=*measured*`).
#[inline(never)]
fn measured(members: &mut [Member], job: &Job, first: u64, entries: u64) {
    commit(members, job, first, entries);
}

/// `--voters N --bytes N --batch N --entries N` prints one number: nanoseconds per entry.
fn main() {
    let arguments: Vec<String> = env::args().collect();
    let value = |name: &str, default: u64| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).map_or(default, |value| value.parse().expect("a number"))
    };
    let job = Job {
        voters: value("--voters", 3),
        payload_bytes: usize::try_from(value("--bytes", 16).max(16)).expect("a size"),
        batch: value("--batch", 16).max(1),
        entries: value(
            "--entries",
            if arguments.iter().any(|argument| argument == "--test") { 1000 } else { 200_000 },
        ),
    };
    println!("{:.1}", run(&job));
}
