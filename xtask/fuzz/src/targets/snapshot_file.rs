//! Snapshots whose files decayed, beside a log that reaches back to the beginning, to the older one
//! or to the newer one.

use std::sync::OnceLock;

use raft_core::{LogStore, Persist, SnapshotStore};
use raft_storage::fs::SimFs;

use crate::bytes::Choices;
use crate::common::faulty::{append, new_log};
use crate::common::snapshots::{Snapshot, recovered};
use crate::common::{compact, request};
use crate::decay::decay;

/// Recovery refuses, or gives a snapshot that was written; and no other state is ever read.
pub(super) fn run(bytes: &[u8]) {
    static IMAGES: OnceLock<([SimFs; 3], [Snapshot; 2])> = OnceLock::new();
    let (images, snapshots) = IMAGES.get_or_init(images);
    let mut choices = Choices::new(bytes);
    let marked = choices.below(images.len());
    let fs = images[marked].after_process_death();
    decay(&fs, &mut choices);
    let is_log_whole = log_files(&images[marked]).eq(log_files(&fs));
    let Ok((_wal, mut log, meta)) = recovered(&fs) else { return };
    let known = snapshots.iter().position(|snapshot| Some(&snapshot.meta) == meta.as_ref());
    assert!(meta.is_none() || known.is_some(), "nobody wrote {meta:?}");
    // If the log decayed as well, its new beginning may be what was cut off.
    let reaches = known.map_or(0, |at| at + 1);
    assert!(!is_log_whole || reaches >= marked, "the log begins behind nothing: {meta:?}");
    for snapshot in snapshots {
        let mut state = Vec::new();
        while let Ok(Some(piece)) = log.read_snapshot(snapshot.meta.last, state.len() as u64, 16) {
            if piece.is_empty() {
                break;
            }
            state.extend_from_slice(&piece);
        }
        assert!(snapshot.state.starts_with(&state), "another state of {:?}", snapshot.meta);
        assert!(Some(&snapshot.meta) != meta.as_ref() || state == snapshot.state, "{meta:?} is cut");
    }
}

/// What all files but snapshots hold.
fn log_files(fs: &SimFs) -> impl Iterator<Item = Option<Vec<u8>>> {
    let paths = fs.paths().into_iter().filter(|path| path.extension().is_none_or(|kind| kind != "snap"));
    paths.map(|path| fs.content(path))
}

/// Three first parts of one log's life, and its snapshots up to the fourth and the eighth entry.
fn images() -> ([SimFs; 3], [Snapshot; 2]) {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 10, 20);
    let snapshots = [Snapshot::new(1, 4, 40), Snapshot::new(1, 8, 50)];
    for snapshot in &snapshots {
        snapshot.write(&mut log);
    }
    let mut cut = |mark: Option<u64>| {
        if let Some(index) = mark {
            log.persist(Persist { mark: Some(compact(1, index)), ..request(index) }).unwrap();
            log.flush_now().unwrap();
        }
        fs.after_process_death()
    };
    let images = [None, Some(4), Some(8)].map(&mut cut);
    drop((log, wal));
    (images, snapshots)
}
