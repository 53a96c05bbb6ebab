//! Asks every node how it is, again and again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::cluster::NODES;
use crate::link::{self, Link, NodeStatus};

/// What the nodes said last; nothing of one that does not answer.
pub(super) type Statuses = [Option<NodeStatus>; NODES];

/// Threads that ask the nodes; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    ports: [u16; NODES],
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    statuses: Mutex<Statuses>,
    is_over: AtomicBool,
}

impl Watch {
    pub(super) fn start(ports: [u16; NODES]) -> Self {
        let shared = Arc::new(Shared::default());
        let watch = |(at, port)| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.ask(at, port))
        };
        let threads = ports.into_iter().enumerate().map(watch).collect();
        Self { ports, shared, threads }
    }

    pub(super) fn look(&self) -> Statuses {
        self.shared.statuses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks all nodes once and waits for their answers.
    pub(super) fn ask_now(&self) -> Statuses {
        self.ports
            .map(|port| Link::open(&link::local(port), PATIENCE).and_then(|mut link| link.status()).ok())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn ask(&self, at: usize, port: u16) {
        let mut link = None;
        while !self.is_over.load(Ordering::Acquire) {
            let status = match &mut link {
                None => Link::open(&crate::link::local(port), PATIENCE)
                    .and_then(|opened| link.insert(opened).status()),
                Some(link) => link.status(),
            };
            if status.is_err() {
                link = None;
            }
            self.statuses.lock().unwrap_or_else(PoisonError::into_inner)[at] = status.ok();
            std::thread::sleep(PERIOD);
        }
    }
}

const PERIOD: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_millis(500);
