//! The identity file: whose directory this is. It is written last when a directory is initialised,
//! so a directory without one has never been a node's (F21, F24).

use std::fmt;

use raft_core::NodeId;

use super::bytes::{FORMAT_VERSION, HeadError, Writer, read_head};

/// Whose log it is: no two nodes that ever lived share one (D13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The cluster.
    pub cluster: u64,
    /// The node.
    pub node: NodeId,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} of cluster {}", self.node, self.cluster)
    }
}

/// What the identity file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IdentityFile {
    pub(crate) identity: Identity,
    /// Drawn when the directory was made.
    pub(crate) incarnation: u64,
}

pub(crate) const IDENTITY_BYTES: usize = 40;
const MAGIC: [u8; 8] = *b"RAFTNODE";

impl IdentityFile {
    pub(crate) fn encode(&self) -> [u8; IDENTITY_BYTES] {
        Writer::new()
            .put(&MAGIC)
            .u32(FORMAT_VERSION)
            .u64(self.identity.cluster)
            .u64(self.identity.node.get())
            .u64(self.incarnation)
            .finish_with_crc()
    }

    pub(crate) fn decode(bytes: &[u8; IDENTITY_BYTES]) -> Result<Self, HeadError> {
        let mut reader = read_head(bytes, MAGIC)?;
        let mut number = || reader.u64().unwrap_or(0);
        let identity = Identity { cluster: number(), node: NodeId::new(number()) };
        Ok(Self { identity, incarnation: number() })
    }
}
