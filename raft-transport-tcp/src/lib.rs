//! A TCP transport between raft-core peers.
