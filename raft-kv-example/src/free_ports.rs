//! Finds ports for nodes that are started on this machine: for the demo and for tests.

use std::io;
use std::net::TcpListener;
use std::time::{SystemTime, UNIX_EPOCH};

/// Ports of 127.0.0.1 that nobody uses now.
///
/// They are below the range from which the system takes ports for outgoing connections, so they
/// also stay free while a node is down.
///
/// # Errors
///
/// If there are not that many.
pub fn find(count: usize) -> io::Result<Vec<u16>> {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    let start = std::process::id().wrapping_mul(7919).wrapping_add(nanos / 1000);
    // All are held until all are found, so they differ.
    let mut held = Vec::new();
    let candidates = (0..PORTS).map(|step| FIRST + (start.wrapping_add(step * STRIDE) % PORTS));
    for port in candidates.filter_map(|port| u16::try_from(port).ok()) {
        if held.len() == count {
            break;
        }
        held.extend(TcpListener::bind(("127.0.0.1", port)));
    }
    if held.len() < count {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    }
    held.iter().map(|listener| listener.local_addr().map(|address| address.port())).collect()
}

const FIRST: u32 = 10_000;
const PORTS: u32 = 20_000;
/// Shares no factor with the number of ports, so the steps reach all of them.
const STRIDE: u32 = 101;
