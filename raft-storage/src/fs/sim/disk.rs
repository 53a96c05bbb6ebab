//! What the simulated disk holds: what processes see, what is durable, and the way between.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Names the content of a file, whatever its path is.
pub(super) type NodeId = u64;

/// A call of the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Call {
    CreateDir,
    List,
    Open,
    Create,
    Rename,
    Remove,
    SyncDir,
    Lock,
    Read,
    Write,
    Resize,
    Sync,
}

impl Call {
    pub(super) const COUNT: usize = Self::Sync as usize + 1;
}

/// Lets some calls fail.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Which calls.
    pub call: Call,
    /// How many of them succeed before.
    pub skip: u64,
    /// How many of them then fail.
    pub count: u64,
    /// With what.
    pub error: io::ErrorKind,
}

/// A change that a power cut could lose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsynced {
    /// Bytes written to a file.
    Write {
        /// Where in the file.
        offset: u64,
        /// How many.
        byte_count: usize,
    },
    /// The file was cut or grown to so many bytes.
    Resize(u64),
    /// A name was given, moved or taken away.
    Name(PathBuf),
}

/// How much of a change a power cut keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// None of it.
    Nothing,
    /// All of it.
    Everything,
    /// So many bytes from the start of a write; of anything else, nothing if zero.
    FirstBytes(usize),
    /// Of a write, the sectors of 512 bytes whose bit in the mask is set (the mask repeats); of
    /// anything else, nothing if the first bit is clear.
    Sectors(u64),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) dirs: BTreeSet<PathBuf>,
    pub(super) locks: BTreeMap<PathBuf, String>,
    pub(super) faults: Vec<Fault>,
    pub(super) changes: u64,
    pub(super) calls: [u64; Call::COUNT],
    pub(super) stop_at: Option<u64>,
    pub(super) free_bytes: Option<u64>,
    pub(super) write_bytes_max: Option<usize>,
    names: BTreeMap<PathBuf, NodeId>,
    nodes: BTreeMap<NodeId, Node>,
    durable_names: BTreeMap<PathBuf, NodeId>,
    /// All unsynced changes in the order of the calls.
    log: Vec<Change>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    seen: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { node: NodeId, offset: u64, bytes: Arc<Vec<u8>> },
    Resize { node: NodeId, bytes: u64 },
    Create { path: PathBuf, node: NodeId },
    Rename { from: PathBuf, to: PathBuf, node: NodeId },
    Remove { path: PathBuf },
}

impl Disk {
    /// Counts a call and lets it fail if that is its fate.
    pub(super) fn call(&mut self, call: Call) -> io::Result<()> {
        self.calls[call as usize] += 1;
        if !matches!(call, Call::List | Call::Open | Call::Lock | Call::Read) {
            self.changes += 1;
        }
        if self.has_stopped() {
            return Err(io::Error::other("the machine has stopped"));
        }
        for fault in self.faults.iter_mut().filter(|fault| fault.call == call) {
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if fault.count > 0 {
                fault.count -= 1;
                return Err(fault.error.into());
            }
        }
        Ok(())
    }

    pub(super) fn has_stopped(&self) -> bool {
        self.stop_at.is_some_and(|stop| self.changes > stop)
    }

    pub(super) fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        if !self.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = self.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<NodeId> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<NodeId> {
        if !path.parent().is_some_and(|dir| self.dirs.contains(dir)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let node = self.nodes.keys().next_back().map_or(1, |last| last + 1);
        self.nodes.insert(node, Node::default());
        let replaced = self.names.insert(path.to_owned(), node);
        self.give_back(replaced);
        self.log.push(Change::Create { path: path.to_owned(), node });
        Ok(node)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find(from)?;
        self.names.remove(from);
        let replaced = self.names.insert(to.to_owned(), node);
        self.give_back(replaced);
        self.log.push(Change::Rename { from: from.to_owned(), to: to.to_owned(), node });
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let removed = self.find(path)?;
        self.names.remove(path);
        self.give_back(Some(removed));
        self.log.push(Change::Remove { path: path.to_owned() });
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, dir: &Path) {
        let (mut kept, durable_names) = (Vec::new(), &mut self.durable_names);
        for change in self.log.drain(..) {
            if change.path().is_some_and(|path| path.parent() == Some(dir)) {
                change.apply_to_names(durable_names);
            } else {
                kept.push(change);
            }
        }
        self.log = kept;
    }

    pub(super) fn seen(&self, node: NodeId) -> &[u8] {
        self.nodes.get(&node).map_or(&[], |node| &node.seen)
    }

    pub(super) fn write(&mut self, node: NodeId, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut count = bytes.len().min(self.write_bytes_max.unwrap_or(usize::MAX));
        if let Some(free) = &mut self.free_bytes {
            let size = self.nodes.get(&node).map_or(0, |node| node.seen.len() as u64);
            let fits = usize::try_from((size + *free).saturating_sub(offset)).unwrap_or(usize::MAX);
            if fits == 0 && count > 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            count = count.min(fits);
            *free -= (offset + count as u64).saturating_sub(size);
        }
        let bytes = Arc::new(bytes[..count].to_vec());
        if let Some(node) = self.nodes.get_mut(&node) {
            write_into(&mut node.seen, offset, &bytes);
        }
        self.log.push(Change::Write { node, offset, bytes });
        Ok(count)
    }

    /// Nobody will write to this any more.
    fn give_back(&mut self, node: Option<NodeId>) {
        let bytes = node.map_or(0, |node| self.seen(node).len() as u64);
        self.free_bytes = self.free_bytes.map(|free| free + bytes);
    }

    pub(super) fn resize(&mut self, node: NodeId, bytes: u64) {
        if let Some(node) = self.nodes.get_mut(&node) {
            resize(&mut node.seen, bytes);
        }
        self.log.push(Change::Resize { node, bytes });
    }

    pub(super) fn sync(&mut self, node: NodeId) {
        let nodes = &mut self.nodes;
        self.log.retain(|change| {
            let is_meant = change.node() == Some(node);
            if is_meant {
                change.apply_to_content(nodes, Kept::Everything);
            }
            !is_meant
        });
    }

    /// A sync failed: the pages count as clean from now on, and never reach the medium (F9).
    pub(super) fn forget_unsynced(&mut self, node: NodeId) {
        self.log.retain(|change| change.node() != Some(node));
    }

    pub(super) fn write_durably(&mut self, node: NodeId, bytes: &[u8]) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.seen = Arc::new(bytes.to_vec());
            node.durable = Arc::clone(&node.seen);
        }
    }

    pub(super) fn unsynced(&self) -> Vec<Unsynced> {
        self.log.iter().map(Change::describe).collect()
    }

    pub(super) fn after_power_cut(&self, mut keep: impl FnMut(usize, &Unsynced) -> Kept) -> Self {
        let mut after = self.reborn();
        for (at, change) in self.log.iter().enumerate() {
            let kept = keep(at, &change.describe());
            change.apply_to_content(&mut after.nodes, kept);
            if !matches!(kept, Kept::Nothing | Kept::FirstBytes(0)) && kept != Kept::Sectors(0) {
                change.apply_to_names(&mut after.durable_names);
            }
        }
        for node in after.nodes.values_mut() {
            node.seen = Arc::clone(&node.durable);
        }
        after.names.clone_from(&after.durable_names);
        after.log.clear();
        after
    }

    pub(super) fn after_process_death(&self) -> Self {
        self.reborn()
    }

    /// Without locks and faults.
    fn reborn(&self) -> Self {
        let (locks, faults) = Default::default();
        Self { locks, faults, stop_at: None, changes: 0, ..self.clone() }
    }

    pub(super) fn edit(&mut self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let node = self.find(path).expect("the file to edit exists");
        let node = self.nodes.get_mut(&node).expect("a name has content");
        let mut bytes = node.durable.to_vec();
        change(&mut bytes);
        node.durable = Arc::new(bytes);
        node.seen = Arc::clone(&node.durable);
    }

    pub(super) fn content(&self, path: &Path) -> Option<Vec<u8>> {
        Some(self.seen(self.find(path).ok()?).to_vec())
    }

    pub(super) fn put(&mut self, path: &Path, bytes: &[u8]) {
        let node = self.nodes.keys().next_back().map_or(1, |last| last + 1);
        let content = Arc::new(bytes.to_vec());
        self.nodes.insert(node, Node { seen: Arc::clone(&content), durable: content });
        self.names.insert(path.to_owned(), node);
        self.durable_names.insert(path.to_owned(), node);
    }

    pub(super) fn delete(&mut self, path: &Path) {
        self.names.remove(path);
        self.durable_names.remove(path);
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.names.keys().cloned().collect()
    }
}

impl Change {
    fn node(&self) -> Option<NodeId> {
        match self {
            Self::Write { node, .. } | Self::Resize { node, .. } => Some(*node),
            Self::Create { .. } | Self::Rename { .. } | Self::Remove { .. } => None,
        }
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Self::Write { .. } | Self::Resize { .. } => None,
            Self::Create { path, .. } | Self::Remove { path } => Some(path),
            Self::Rename { to, .. } => Some(to),
        }
    }

    fn describe(&self) -> Unsynced {
        match self {
            Self::Write { offset, bytes, .. } => Unsynced::Write { offset: *offset, byte_count: bytes.len() },
            Self::Resize { bytes, .. } => Unsynced::Resize(*bytes),
            Self::Create { path, .. } | Self::Remove { path } | Self::Rename { to: path, .. } => {
                Unsynced::Name(path.clone())
            }
        }
    }

    fn apply_to_names(&self, names: &mut BTreeMap<PathBuf, NodeId>) {
        match self {
            Self::Write { .. } | Self::Resize { .. } => {}
            Self::Create { path, node } => {
                names.insert(path.clone(), *node);
            }
            Self::Rename { from, to, node } => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
            Self::Remove { path } => {
                names.remove(path);
            }
        }
    }

    fn apply_to_content(&self, nodes: &mut BTreeMap<NodeId, Node>, kept: Kept) {
        let Some(node) = self.node().and_then(|node| nodes.get_mut(&node)) else { return };
        match (self, kept) {
            (_, Kept::Nothing) => {}
            (Self::Resize { bytes, .. }, _) => resize(&mut node.durable, *bytes),
            (Self::Write { offset, bytes, .. }, Kept::Everything) => {
                write_into(&mut node.durable, *offset, bytes);
            }
            (Self::Write { offset, bytes, .. }, Kept::FirstBytes(count)) => {
                write_into(&mut node.durable, *offset, &bytes[..count.min(bytes.len())]);
            }
            (Self::Write { offset, bytes, .. }, Kept::Sectors(mask)) => {
                write_sectors(&mut node.durable, *offset, bytes, mask);
            }
            (Self::Create { .. } | Self::Rename { .. } | Self::Remove { .. }, _) => {}
        }
    }
}

/// Sectors are those of the file, not of the write: a write may begin in the middle of one.
fn write_sectors(content: &mut Arc<Vec<u8>>, offset: u64, bytes: &[u8], mask: u64) {
    let mut at = 0;
    let mut sector = 0u32;
    while at < bytes.len() {
        let begin = offset + at as u64;
        let room = usize::try_from(SECTOR_BYTES - begin % SECTOR_BYTES).unwrap_or(1);
        let end = bytes.len().min(at + room);
        if mask.rotate_right(sector % u64::BITS) & 1 == 1 {
            write_into(content, begin, &bytes[at..end]);
        }
        (at, sector) = (end, sector + 1);
    }
}

fn write_into(content: &mut Arc<Vec<u8>>, offset: u64, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let start = usize::try_from(offset).expect("a simulated file fits into memory");
    let content = Arc::make_mut(content);
    let end = start + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[start..end].copy_from_slice(bytes);
}

fn resize(content: &mut Arc<Vec<u8>>, bytes: u64) {
    let bytes = usize::try_from(bytes).expect("a simulated file fits into memory");
    Arc::make_mut(content).resize(bytes, 0);
}

const SECTOR_BYTES: u64 = 512;
