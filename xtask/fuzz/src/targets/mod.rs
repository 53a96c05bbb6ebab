//! The targets, one file each.

mod entries;
mod frames;
mod hostile;
mod kv_batch;
mod membership;
mod message;
mod resp;
mod session_command;
mod snapshot_file;
mod wal_open;

/// Something that must live through any bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// What holds whatever the bytes are.
    pub claim: &'static str,
    /// Panics if it does not.
    pub run: fn(&[u8]),
}

impl Target {
    /// The target of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }
}

/// All targets, in the order of their names.
pub const TARGETS: [Target; 10] = [
    Target {
        name: "entries",
        claim: "a batch of entries is its entries, however it is cut",
        run: entries::run,
    },
    Target { name: "frames", claim: "frames come out as they went in, or not at all", run: frames::run },
    Target { name: "hostile", claim: "no peer, disk or caller breaks a node", run: hostile::run },
    Target { name: "kv_batch", claim: "a store survives any batch and any snapshot", run: kv_batch::run },
    Target {
        name: "membership",
        claim: "a membership that can be read can be written",
        run: membership::run,
    },
    Target { name: "message", claim: "a message that is let in is one that can be sent", run: message::run },
    Target { name: "resp", claim: "requests do not depend on how they arrive", run: resp::run },
    Target {
        name: "session_command",
        claim: "sessions survive any payload, and a restored table goes on as the one it was taken of",
        run: session_command::run,
    },
    Target {
        name: "snapshot_file",
        claim: "a decayed snapshot is refused or passed over",
        run: snapshot_file::run,
    },
    Target { name: "wal_open", claim: "a decayed log is refused or shows what it held", run: wal_open::run },
];
