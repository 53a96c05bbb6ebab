//! Clients that write all the time and keep a ledger of what they were told.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::common::{TestCluster, try_connect, until};
use redis::{Commands, RedisResult};

/// What one client was told about its writes.
#[derive(Default)]
pub(crate) struct Ledger {
    acknowledged: HashMap<String, usize>,
    attempts: HashMap<String, usize>,
}

/// The writes of all clients together.
#[derive(Default)]
pub(crate) struct Writes {
    is_over: AtomicBool,
    acknowledged: AtomicUsize,
}

impl Writes {
    /// Waits until so many more are acknowledged.
    pub(crate) fn wait_for_more(&self, more: usize) {
        let from = self.acknowledged.load(Ordering::Relaxed);
        until("more writes", || (self.acknowledged.load(Ordering::Relaxed) >= from + more).then_some(()));
    }
}

/// Lets a story happen while three clients write through the nodes at these ports.
pub(crate) fn while_clients_write(ports: &[u16], story: impl FnOnce(&Writes)) -> Vec<Ledger> {
    let writes = Writes::default();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|name| {
                let writes = &writes;
                scope.spawn(move || write_steadily(ports, name, writes))
            })
            .collect();
        let told = catch_unwind(AssertUnwindSafe(|| story(&writes)));
        writes.is_over.store(true, Ordering::Release);
        let ledgers = clients.into_iter().map(|client| client.join().unwrap()).collect();
        told.unwrap_or_else(|panic| resume_unwind(panic));
        ledgers
    })
}

/// Writes rising numbers, through one node as long as that answers.
fn write_steadily(ports: &[u16], name: usize, writes: &Writes) -> Ledger {
    let mut ledger = Ledger::default();
    let mut at = name;
    let mut connection = None;
    let mut number = 0;
    while !writes.is_over.load(Ordering::Acquire) {
        let Some(open) = connection.as_mut() else {
            connection = try_connect(ports[at % ports.len()]);
            at += 1;
            continue;
        };
        let batch: Vec<(String, usize)> =
            (number..number + 16).map(|n| (format!("k:{name}:{}", n % 200), n)).collect();
        number += 16;
        let mut pipe = redis::pipe();
        batch.iter().for_each(|(key, n)| {
            pipe.set(key, *n).ignore();
        });
        ledger.attempts.extend(batch.iter().cloned());
        let result: RedisResult<()> = pipe.query(open);
        match result {
            Ok(()) => {
                writes.acknowledged.fetch_add(batch.len(), Ordering::Relaxed);
                ledger.acknowledged.extend(batch);
            }
            Err(_) => connection = None,
        }
    }
    ledger
}

/// Reads every acknowledged write back, at one node.
pub(crate) fn check_nothing_is_lost(cluster: &TestCluster, at: usize, ledgers: &[Ledger]) {
    let mut connection = cluster.connect(at);
    for ledger in ledgers {
        for (key, number) in &ledger.acknowledged {
            let found: Option<usize> = until("a read", || connection.get(key).ok());
            let found = found.unwrap_or_else(|| panic!("{key} is gone, it was {number}"));
            let attempted = ledger.attempts[key];
            assert!((*number..=attempted).contains(&found), "{key} is {found}, was set to {number}");
        }
    }
}
