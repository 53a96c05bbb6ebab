//! Many groups in one process: three nodes, each with one transport, one log and one thread for all
//! groups. Prints what quiet groups cost.
//!
//! `cargo run --release -p raft-kv-example --example many_groups -- 1000`

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use raft_core::{
    Arrival, Config, Entry, GroupId, Membership, Message, Node, NodeId, StateMachine, Transport,
};
use raft_storage::{GroupLog, Identity, Start, Wal, WalOptions};
use raft_transport_tcp::{GroupTransport, Options, TcpTransport};

const CLUSTER: u64 = 1;
const TICK: Duration = Duration::from_millis(50);
const HEARTBEAT_TICKS: u32 = 10;
/// How long the quiet groups are watched.
const WATCHED_TICKS: u64 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let groups: u64 = std::env::args().nth(1).map_or(Ok(1000), |count| count.parse())?;
    let directory = tempfile::tempdir()?;
    let mut hosts = Vec::new();
    for id in 1..=3 {
        hosts.push(Host::new(NodeId::new(id), directory.path().join(id.to_string()))?);
    }
    introduce(&hosts)?;
    let empty = LIVE_BYTES.load(Ordering::Relaxed);
    for host in &mut hosts {
        (0..groups).try_for_each(|group| host.open(GroupId::new(group)))?;
    }
    let started = Instant::now();
    let mut clock = Clock { started, ticks: 0 };
    while !hosts.iter().all(Host::is_led) {
        clock.pass(&mut hosts)?;
    }
    println!("{groups} groups of 3 have their leaders after {:.1} s", started.elapsed().as_secs_f64());
    let before: Vec<Totals> = hosts.iter().map(Host::totals).collect();
    let from = clock.ticks;
    while clock.ticks < from + WATCHED_TICKS {
        clock.pass(&mut hosts)?;
    }
    let after: Vec<Totals> = hosts.iter().map(Host::totals).collect();
    let sum = |pick: fn(&Totals) -> u64| -> u64 {
        after.iter().zip(&before).map(|(after, before)| pick(after) - pick(before)).sum()
    };
    let (messages, bytes, writes) = (sum(|t| t.messages), sum(|t| t.bytes), sum(|t| t.writes));
    println!("in {} ticks of {} ms, quiet:", clock.ticks - from, TICK.as_millis());
    println!("  {} wake-ups because something was due", sum(|t| t.wake_ups));
    println!("  {messages} messages of {} bytes", bytes / messages.max(1));
    println!("  {writes} writes, {} messages in each", messages / writes.max(1));
    let live = LIVE_BYTES.load(Ordering::Relaxed).saturating_sub(empty) as u64;
    println!("  {} bytes of memory for each of {} replicas", live / (3 * groups), 3 * groups);
    Ok(())
}

/// One process would have one of these.
struct Host {
    id: NodeId,
    transport: TcpTransport,
    wal: Wal,
    replicas: Vec<Replica>,
    wake_ups: u64,
}

/// One member of one group, on what it shares with all others.
struct Replica {
    node: Node<GroupLog, Together, Nothing>,
    /// Up to here it was told of time.
    told: u64,
    due: u64,
}

impl Host {
    fn new(id: NodeId, directory: std::path::PathBuf) -> Result<Self, Box<dyn Error>> {
        let options = Options::new(CLUSTER, id, id.get(), "127.0.0.1:0".parse()?);
        let transport = TcpTransport::bind(options, || ())?;
        let identity = Identity { cluster: CLUSTER, node: id };
        let wal = Wal::open(&WalOptions::new(directory, identity).start(Start::Initialise), || ())?;
        Ok(Self { id, transport, wal, replicas: Vec::new(), wake_ups: 0 })
    }

    fn open(&mut self, group: GroupId) -> Result<(), Box<dyn Error>> {
        let mut config = Config::new(self.id);
        config.seed = group.get() * 4 + self.id.get();
        config.heartbeat_ticks = HEARTBEAT_TICKS;
        config.election_timeout_ticks_min = 5 * HEARTBEAT_TICKS;
        config.election_timeout_ticks_max = 10 * HEARTBEAT_TICKS;
        let founders = Membership::of_voters([1, 2, 3].map(NodeId::new))?;
        let transport = Together(self.transport.group(group));
        let node = Node::open(config, Some(founders), self.wal.group(group)?, transport, Nothing)?;
        self.replicas.push(Replica { node, told: 0, due: 0 });
        Ok(())
    }

    /// Lets all groups work, then writes what all of them send.
    fn work(&mut self, now: u64) -> Result<(), Box<dyn Error>> {
        for replica in &mut self.replicas {
            if replica.due <= now {
                self.wake_ups += 1;
                replica.node.tick_many(u32::try_from(now - replica.told)?);
                replica.told = now;
            }
            replica.node.pump()?;
            while replica.node.poll_event().is_some() {}
            replica.due = replica.told + u64::from(replica.node.raft().ticks_until_due());
        }
        for replica in &mut self.replicas {
            replica.node.transport_mut().0.flush();
        }
        Ok(())
    }

    fn is_led(&self) -> bool {
        self.replicas.iter().all(|replica| replica.node.raft().leader().is_some())
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals { wake_ups: self.wake_ups, ..Totals::default() };
        for peer in self.transport.peers() {
            let counters = self.transport.peer_counters(peer).unwrap_or_default();
            totals.messages += counters.sent_messages;
            totals.bytes += counters.sent_bytes;
            totals.writes += counters.writes;
        }
        totals
    }
}

#[derive(Default)]
struct Totals {
    wake_ups: u64,
    messages: u64,
    bytes: u64,
    writes: u64,
}

fn introduce(hosts: &[Host]) -> Result<(), Box<dyn Error>> {
    for host in hosts {
        for other in hosts.iter().filter(|other| other.id != host.id) {
            host.transport.set_peer(other.id, other.transport.local_address().to_string())?;
        }
    }
    Ok(())
}

/// Real time in ticks. Ticks that went by while the thread was busy are not lost.
struct Clock {
    started: Instant,
    ticks: u64,
}

impl Clock {
    /// A few rounds of work, a little time apart.
    fn pass(&mut self, hosts: &mut [Host]) -> Result<(), Box<dyn Error>> {
        self.ticks = u64::try_from(self.started.elapsed().as_millis() / TICK.as_millis())?;
        hosts.iter_mut().try_for_each(|host| host.work(self.ticks))?;
        std::thread::sleep(TICK / 10);
        Ok(())
    }
}

/// Puts writing off until all groups have sent what they have.
struct Together(GroupTransport);

impl Transport for Together {
    fn send(&mut self, message: Message) {
        self.0.send(message);
    }

    fn poll(&mut self) -> Option<Arrival> {
        self.0.poll()
    }

    fn message_bytes_max(&self) -> u64 {
        self.0.message_bytes_max()
    }
}

/// A state machine without a state.
struct Nothing;

impl StateMachine for Nothing {
    type Output = ();

    fn apply(&mut self, _entry: &Entry<'_>) {}
}

/// Counts what is allocated and not freed.
struct Counting;

static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE_BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}
