//! Three bare [`Raft`]s in one loop, without `Node`: an election by hand, replication, a snapshot, and
//! restarts.
//!
//! Take it as a start for a loop of your own: [`Server::carry_out`] has one arm per [`Action`], and
//! says what a real server does there. `cargo run -p raft-core --example bare_raft` runs it; it
//! checks every claim it prints.

use std::collections::VecDeque;
use std::error::Error;

use raft_core::bytes::Bytes;
use raft_core::mem::MemLog;
use raft_core::{
    Action, Config, EntryKind, InstallSnapshot, Load, LogStore, Membership, Message, NodeId, Raft,
    SnapshotMeta, SnapshotStore, Status, crc32c, crc32c_append,
};

/// One member of the group. Its state machine is a sum.
struct Server {
    raft: Raft,
    /// All that survives a crash. This one is durable as soon as it is told.
    disk: MemLog,
    sum: u64,
    /// Length and checksum of the leader's snapshot, as far as it came in.
    incoming: (u64, u32),
}

impl Server {
    fn found(config: Config, members: Membership) -> Result<Self, Box<dyn Error>> {
        Ok(Self { raft: Raft::found(config, members)?, disk: MemLog::new(), sum: 0, incoming: (0, 0) })
    }

    /// The process ends, and another one begins with what is on the disk.
    fn restart(&mut self) -> Result<(), Box<dyn Error>> {
        let mut disk = self.disk.clone();
        let snapshot = disk.recover_snapshot()?;
        let recovered = disk.recover()?;
        let mut memberships = Vec::new();
        for run in recovered.runs.iter().filter(|run| run.kind == EntryKind::Membership) {
            for batch in disk.load(run.first, run.last.next(), usize::MAX)? {
                for entry in &batch {
                    memberships.push((entry.index, Membership::decode(entry.payload)?));
                }
            }
        }
        // The state comes from the snapshot; entries behind it are handed out once more.
        let sum = snapshot.as_ref().map_or(Ok(0), |meta| read_sum(&mut disk, meta))?;
        let raft = Raft::restore(self.raft.config().clone(), recovered, snapshot, memberships)?;
        *self = Self { raft, disk, sum, incoming: (0, 0) };
        Ok(())
    }

    /// Does one thing that the core wants done; gives the message to send, if that is it.
    fn carry_out(&mut self, action: Action) -> Result<Option<Message>, Box<dyn Error>> {
        match action {
            // It may leave at once: what it rests on is durable.
            Action::Send(message) => return Ok(Some(message)),
            // A real server hands it to its disk and goes on; `persisted` comes when the disk says so.
            Action::Persist(request) => {
                let id = request.id;
                self.disk.persist(request)?;
                self.raft.persisted(id);
            }
            Action::Apply(batches) => {
                for entry in batches.entries().filter(|entry| entry.kind == EntryKind::Command) {
                    self.sum += u64::from(entry.payload[0]);
                }
                self.raft.applied(batches.last().expect("never empty"));
            }
            Action::Load(Load { id, first, end, bytes_max }) => {
                let batches = self.disk.load(first, end, bytes_max)?;
                self.raft.loaded(id, &batches)?;
            }
            Action::TakeSnapshot(mark) => {
                let state = Bytes::copy_from_slice(&self.sum.to_le_bytes());
                let (size, crc32c) = (state.len() as u64, crc32c(&state));
                self.disk.begin_snapshot(mark.last);
                self.disk.write_snapshot(state);
                let (last, membership) = (mark.last, mark.membership);
                self.finish_snapshot(SnapshotMeta { last, membership, size, crc32c, is_hollow: false });
            }
            Action::LoadChunk(load) => {
                match self.disk.read_snapshot(load.last, load.offset, load.bytes_max)? {
                    Some(chunk) => self.raft.chunk_loaded(load.id, chunk),
                    None => self.raft.chunk_unavailable(load.id),
                }
            }
            Action::StoreChunk(install) => self.store_chunk(*install),
            Action::RestoreSnapshot(meta) => {
                self.sum = read_sum(&mut self.disk, &meta)?;
                self.raft.applied(meta.last.index);
            }
            // This group asks for no reads and forwards nothing; notices are for a log.
            Action::ReadReady { .. } | Action::ReadRefused { .. } | Action::Forwarded { .. } => {}
            Action::Notice(_) => {}
        }
        Ok(None)
    }

    fn store_chunk(&mut self, install: InstallSnapshot) {
        let InstallSnapshot { meta, offset, chunk, .. } = install;
        if offset == 0 {
            self.disk.begin_snapshot(meta.last);
            self.incoming = (0, 0);
        }
        let (length, crc32c) = self.incoming;
        self.incoming = (length + chunk.len() as u64, crc32c_append(crc32c, &chunk));
        self.disk.write_snapshot(chunk);
        self.raft.snapshot_written(meta.last, self.incoming.0);
        if self.incoming == (meta.size, meta.crc32c) {
            self.finish_snapshot(meta);
        } else if self.incoming.0 == meta.size {
            self.disk.abort_snapshot();
            self.raft.snapshot_failed(meta.last);
        }
    }

    /// Makes the snapshot that was written durable, and says so.
    fn finish_snapshot(&mut self, meta: SnapshotMeta) {
        self.disk.finish_snapshot(meta);
        while let Some(Ok(meta)) = self.disk.poll_snapshot() {
            self.raft.snapshot_stored(&meta);
        }
    }
}

/// The state in a snapshot that is on the disk.
fn read_sum(disk: &mut MemLog, meta: &SnapshotMeta) -> Result<u64, Box<dyn Error>> {
    let state = disk.read_snapshot(meta.last, 0, usize::MAX)?.ok_or("the snapshot is gone")?;
    Ok(u64::from_le_bytes(state.as_ref().try_into()?))
}

/// The group, and the messages on their way.
struct Group {
    servers: Vec<Server>,
    /// Nothing reaches it, and nothing leaves it.
    cut_off: Option<NodeId>,
    network: VecDeque<Message>,
}

impl Group {
    fn server(&mut self, id: NodeId) -> &mut Server {
        self.servers.iter_mut().find(|server| server.raft.id() == id).expect("a member")
    }

    /// Carries out everything, one action and one message at a time, until nothing is left to do.
    fn settle(&mut self) -> Result<(), Box<dyn Error>> {
        loop {
            for server in &mut self.servers {
                while let Some(action) = server.raft.poll_action() {
                    self.network.extend(server.carry_out(action)?);
                }
            }
            let Some(message) = self.network.pop_front() else { return Ok(()) };
            if ![Some(message.from), Some(message.to)].contains(&self.cut_off) {
                self.server(message.to).raft.receive(message);
            }
        }
    }

    fn tick(&mut self, ticks: u32) -> Result<(), Box<dyn Error>> {
        for _ in 0..ticks {
            self.servers.iter_mut().for_each(|server| server.raft.tick());
            self.settle()?;
        }
        Ok(())
    }

    fn propose(&mut self, leader: NodeId, numbers: impl Iterator<Item = u8>) -> Result<(), Box<dyn Error>> {
        for number in numbers {
            self.server(leader).raft.propose(&[number])?;
        }
        self.settle()
    }

    fn show(&self, what: &str) {
        println!("{what}");
        for server in &self.servers {
            let Status { id, role, term, last, commit, mark, .. } = server.raft.status();
            let sum = server.sum;
            println!("  {id}: {role} of term {term}, log ({mark}..{last}], committed {commit}, sum {sum}");
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let [one, two, three] = [1, 2, 3].map(NodeId::new);
    let members = Membership::of_voters([one, two, three])?;
    let config = |id| {
        let mut config = Config::new(id);
        config.retained_entries = 0; // a snapshot replaces all of the log
        config
    };
    let found = |id| Server::found(config(id), members.clone());
    let servers = vec![found(one)?, found(two)?, found(three)?];
    let mut group = Group { servers, cut_off: None, network: VecDeque::new() };

    group.settle()?;
    group.server(one).raft.campaign()?;
    group.settle()?;
    assert!(group.server(one).raft.is_leader());
    group.propose(one, 1..=100)?;
    group.show("Node 1 stood for election and proposed the numbers from 1 to 100.");

    group.cut_off = Some(three);
    group.propose(one, 101..=110)?;
    group.server(one).raft.take_snapshot()?;
    group.settle()?;
    group.show("Node 3 is cut off from ten more; node 1 took a snapshot, and its log begins anew.");
    assert_eq!(group.server(one).raft.term_at(1.into()), None, "the entry is in the snapshot");

    group.cut_off = None;
    group.server(three).restart()?;
    group.tick(5)?;
    group.show("Node 3 started anew, and was sent the snapshot.");
    assert_eq!(group.server(three).raft.counters().snapshots_installed, 1);

    group.server(one).restart()?;
    group.tick(100)?;
    let leader = group.server(two).raft.leader().ok_or("100 ticks are enough for an election")?;
    group.propose(leader, 111..=120)?;
    group.tick(1)?; // a heartbeat tells the others what is committed
    group.show("Node 1 started anew; whoever leads now proposed ten more.");
    assert!(group.servers.iter().all(|server| server.sum == (1..=120).sum()));
    Ok(())
}
