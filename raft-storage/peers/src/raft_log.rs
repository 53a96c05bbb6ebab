//! raft-log, of the makers of Databend: a log of one group with a cache of payloads. Without its
//! wait of a millisecond before each sync, which one caller gains nothing by.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use raft_log::api::raft_log_writer::RaftLogWriter;
use raft_log::{Config, RaftLog, Types};

use super::contest::{Entrant, Log, Outcome};

pub(crate) const ENTRANT: Entrant = Entrant { name: "raft-log 0.4", open };

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Kinds;

impl Types for Kinds {
    /// Term and index.
    type LogId = (u64, u64);
    type LogPayload = Vec<u8>;
    type Vote = (u64, u64);
    type UserData = String;
    type Callback = SyncSender<std::io::Result<()>>;

    fn log_index(id: &(u64, u64)) -> u64 {
        id.1
    }

    fn payload_size(payload: &Vec<u8>) -> u64 {
        payload.len() as u64
    }
}

struct Peer(RaftLog<Kinds>);

fn open(dir: &Path, _bytes: u64) -> Outcome<Box<dyn Log>> {
    let mut config = Config::new(dir.to_str().ok_or("a path that is no text")?);
    config.wal.flush_batch_wait = Some(Duration::ZERO);
    Ok(Box::new(Peer(RaftLog::open(Arc::new(config))?)))
}

impl Log for Peer {
    fn append(&mut self, first: u64, payloads: &[&[u8]]) -> Outcome<()> {
        self.0.append((first..).zip(payloads).map(|(index, payload)| ((1, index), payload.to_vec())))?;
        let (done, flushed) = sync_channel(1);
        self.0.flush(true, Some(done))?;
        Ok(flushed.recv()??)
    }

    fn last(&mut self) -> Outcome<u64> {
        Ok(self.0.log_state().last().map_or(0, |id| id.1))
    }

    fn read(&mut self, first: u64, count: u64) -> Outcome<usize> {
        let mut total = 0;
        for entry in self.0.read(first, first + count) {
            total += entry?.1.len();
        }
        Ok(total)
    }
}
