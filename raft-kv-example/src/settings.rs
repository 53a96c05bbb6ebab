//! The settings of one node, checked: what may be given and what must not be combined.

use std::path::PathBuf;
use std::time::Duration;
use std::{error, fmt};

use clap::Args;
use raft_core::{Config, Member, Membership, NodeId};

use crate::server::Limits;

/// What `raft-kv serve` takes.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// This node's number, one of those in --peers; never used again for another disk
    #[arg(long)]
    pub id: u64,
    /// The directory that keeps this node's log; made if it does not exist
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Where Redis clients connect
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6379")]
    pub listen: String,
    /// Where the other nodes connect [default: this node's address in --peers]
    #[arg(long, value_name = "HOST:PORT")]
    pub peer_listen: Option<String>,
    /// All members of the cluster, this one included: 1=host:port,2=host:port,3=host:port
    #[arg(long, value_name = "ID=HOST:PORT,…", value_delimiter = ',', required = true)]
    pub peers: Vec<String>,
    /// The number of the cluster; nodes of another one are turned away
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub cluster: u64,
    /// How often a leader shows that it lives, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 50)]
    pub heartbeat_ms: u32,
    /// How long a follower waits for its leader at least before it stands for election, in
    /// milliseconds; it waits up to twice as long
    #[arg(long, value_name = "MS", default_value_t = 250)]
    pub election_timeout_ms: u32,
    /// How finely the node counts time, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10)]
    pub tick_ms: u32,
    /// How many clients may be connected at once
    #[arg(long, value_name = "NUMBER", default_value_t = Limits::default().clients_max)]
    pub clients_max: usize,
    /// The longest key in bytes
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().key_bytes_max)]
    pub key_bytes_max: usize,
    /// The longest value in bytes
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().value_bytes_max)]
    pub value_bytes_max: usize,
    /// How long a command waits for a leader before it is refused, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 2000)]
    pub hold_ms: u32,
    /// How long a write waits for its outcome before it is answered as unknown, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    pub answer_ms: u32,
    /// Stop when standard input ends: for whoever starts nodes and must not leave them behind
    #[arg(long)]
    pub until_stdin_ends: bool,
}

/// The settings of one node.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The protocol's settings.
    pub config: Config,
    /// All members at the founding of the cluster, with their addresses as context.
    pub founders: Membership,
    /// The other members and their addresses.
    pub peers: Vec<(NodeId, String)>,
    /// The number of the cluster.
    pub cluster: u64,
    /// The directory of the log.
    pub data: PathBuf,
    /// Where clients connect.
    pub listen: String,
    /// Where other nodes connect.
    pub peer_listen: String,
    /// How long a tick lasts.
    pub tick: Duration,
    /// What clients may use.
    pub limits: Limits,
    /// Whether the end of standard input ends the node.
    pub is_until_stdin_ends: bool,
}

/// Which setting cannot be, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingsError {
    /// An element of `--peers` is not `ID=HOST:PORT`.
    Peer(String),
    /// Two elements of `--peers` have the same id, or one is zero or the largest.
    PeerIds,
    /// `--id` is not in `--peers`.
    OwnId(u64),
    /// An address is not `HOST:PORT`.
    Address {
        /// The option.
        option: &'static str,
        /// What was given.
        given: String,
    },
    /// A number that must not be zero is.
    Zero(&'static str),
    /// `--heartbeat-ms` is below `--tick-ms`.
    Heartbeat,
    /// `--election-timeout-ms` is less than twice `--heartbeat-ms`.
    ElectionTimeout,
    /// A key or value would not fit into a log entry.
    TooLarge {
        /// The option.
        option: &'static str,
        /// The most that can be given.
        max: usize,
    },
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(given) => {
                write!(f, "--peers: '{given}' is no member; write ID=HOST:PORT, as in 1=127.0.0.1:7001")
            }
            Self::PeerIds => f.write_str("--peers: give every member an id of its own, from 1 up"),
            Self::OwnId(id) => {
                write!(f, "--id {id} is not among --peers; list this node there too, or correct the id")
            }
            Self::Address { option, given } => {
                write!(f, "{option}: '{given}' is no address; write HOST:PORT, as in 127.0.0.1:6379")
            }
            Self::Zero(option) => write!(f, "{option} must be at least 1"),
            Self::Heartbeat => {
                f.write_str("--heartbeat-ms is below --tick-ms; raise it, or let ticks be shorter")
            }
            Self::ElectionTimeout => f.write_str(
                "--election-timeout-ms is less than twice --heartbeat-ms, so that one late heartbeat \
                 would unseat a leader; raise it, or let heartbeats come more often",
            ),
            Self::TooLarge { option, max } => write!(f, "{option} can be {max} at most"),
        }
    }
}

impl error::Error for SettingsError {}

impl ServeArgs {
    /// Checks everything.
    ///
    /// # Errors
    ///
    /// Names the first setting that cannot be.
    pub fn check(self) -> Result<Settings, SettingsError> {
        let members = self.peers.iter().map(|given| parse_peer(given)).collect::<Result<Vec<_>, _>>()?;
        let founders = members
            .iter()
            .map(|(id, address)| Member::voter(*id).with_context(address.clone().into_bytes().into()));
        let founders = Membership::new(founders.collect()).map_err(|_| SettingsError::PeerIds)?;
        let own = members.iter().find(|(id, _)| id.get() == self.id);
        let own = own.map(|(_, address)| address.clone()).ok_or(SettingsError::OwnId(self.id))?;
        let peers = members.into_iter().filter(|(id, _)| id.get() != self.id).collect();
        let (mut config, limits) = (self.config()?, self.limits()?);
        config.entry_bytes_max = u32::try_from(limits.entry_bytes_max()).unwrap_or(u32::MAX);
        Ok(Settings {
            config,
            founders,
            peers,
            cluster: self.cluster,
            peer_listen: checked_address("--peer-listen", self.peer_listen.unwrap_or(own))?,
            listen: checked_address("--listen", self.listen)?,
            tick: Duration::from_millis(self.tick_ms.into()),
            data: self.data,
            limits,
            is_until_stdin_ends: self.until_stdin_ends,
        })
    }

    fn config(&self) -> Result<Config, SettingsError> {
        if self.tick_ms == 0 {
            return Err(SettingsError::Zero("--tick-ms"));
        }
        if self.heartbeat_ms < self.tick_ms {
            return Err(SettingsError::Heartbeat);
        }
        if self.election_timeout_ms / 2 < self.heartbeat_ms {
            return Err(SettingsError::ElectionTimeout);
        }
        let ticks = |ms: u32| ms.div_ceil(self.tick_ms);
        let mut config = Config::new(NodeId::new(self.id));
        config.heartbeat_ticks = ticks(self.heartbeat_ms);
        config.election_timeout_ticks_min = ticks(self.election_timeout_ms).max(config.heartbeat_ticks + 1);
        config.election_timeout_ticks_max = config.election_timeout_ticks_min * 2;
        config.forward_bytes_max = FORWARD_BYTES_MAX;
        config.proposal_timeout_ticks = ticks(self.answer_ms);
        // Nodes that were started alike must not stand for election together, again and again.
        config.seed = u64::from(std::process::id());
        Ok(config)
    }

    fn limits(&self) -> Result<Limits, SettingsError> {
        let limits = Limits {
            clients_max: self.clients_max,
            key_bytes_max: self.key_bytes_max,
            value_bytes_max: self.value_bytes_max,
            hold_time_max: Duration::from_millis(self.hold_ms.into()),
            answer_time_max: Duration::from_millis(self.answer_ms.into()),
            ..Limits::default()
        };
        let zero = [
            ("--clients-max", limits.clients_max),
            ("--key-bytes-max", limits.key_bytes_max),
            ("--value-bytes-max", limits.value_bytes_max),
            ("--answer-ms", usize::try_from(self.answer_ms).unwrap_or(usize::MAX)),
        ];
        if let Some((option, _)) = zero.into_iter().find(|(_, value)| *value == 0) {
            return Err(SettingsError::Zero(option));
        }
        // A request with one key and one value must fit, with room for its words.
        let max = limits.request_bytes_max / 2 - (1 << 10);
        for (option, value) in
            [("--key-bytes-max", limits.key_bytes_max), ("--value-bytes-max", limits.value_bytes_max)]
        {
            if value > limits.request_bytes_max / 2 {
                return Err(SettingsError::TooLarge { option, max });
            }
        }
        Ok(limits)
    }
}

fn parse_peer(given: &str) -> Result<(NodeId, String), SettingsError> {
    let refuse = || SettingsError::Peer(given.to_owned());
    let (id, address) = given.trim().split_once('=').ok_or_else(refuse)?;
    let id = id.trim().parse().map_err(|_| refuse())?;
    let address = checked_address("--peers", address.trim().to_owned()).map_err(|_| refuse())?;
    Ok((NodeId::new(id), address))
}

fn checked_address(option: &'static str, given: String) -> Result<String, SettingsError> {
    let is_address =
        given.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if is_address { Ok(given) } else { Err(SettingsError::Address { option, given }) }
}

/// Forwarded proposals of one message; it must fit into a frame of the transport.
const FORWARD_BYTES_MAX: u32 = 3 << 20;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn check(line: &str) -> Result<Settings, SettingsError> {
        let words = ["test", "--id", "1", "--data", "d"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words).unwrap().args.check()
    }

    #[test]
    fn good_settings_give_ticks_and_members() {
        let settings = check("--peers 1=a:1,2=b:2,3=[::1]:3 --peer-listen 0.0.0.0:1").unwrap();
        assert_eq!(settings.config.heartbeat_ticks, 5);
        assert_eq!(settings.config.election_timeout_ticks_min, 25);
        assert_eq!(settings.config.election_timeout_ticks_max, 50);
        assert_eq!(settings.config.validate(), Ok(()));
        assert_eq!(
            settings.peers,
            [(NodeId::new(2), "b:2".to_owned()), (NodeId::new(3), "[::1]:3".to_owned())]
        );
        assert_eq!(settings.peer_listen, "0.0.0.0:1");
        assert_eq!(check("--peers 1=a:1").unwrap().peer_listen, "a:1");
    }

    #[test]
    fn bad_settings_are_refused_with_the_way_out() {
        let own = "--peers 1=a:1";
        for (line, error) in [
            ("--peers 2=b:2".to_owned(), SettingsError::OwnId(1)),
            ("--peers 1=a:1,1=b:2".to_owned(), SettingsError::PeerIds),
            ("--peers 1=a:1,0=b:2".to_owned(), SettingsError::PeerIds),
            ("--peers 1:a:1".to_owned(), SettingsError::Peer("1:a:1".into())),
            ("--peers 1=a".to_owned(), SettingsError::Peer("1=a".into())),
            (format!("{own} --tick-ms 0"), SettingsError::Zero("--tick-ms")),
            (format!("{own} --heartbeat-ms 5"), SettingsError::Heartbeat),
            (format!("{own} --election-timeout-ms 99"), SettingsError::ElectionTimeout),
            (format!("{own} --clients-max 0"), SettingsError::Zero("--clients-max")),
        ] {
            assert_eq!(check(&line).err(), Some(error), "{line}");
        }
        let address = SettingsError::Address { option: "--listen", given: "6379".into() };
        assert_eq!(check(&format!("{own} --listen 6379")).err(), Some(address));
        let large = check(&format!("{own} --value-bytes-max 100000000")).err();
        assert!(matches!(large, Some(SettingsError::TooLarge { option: "--value-bytes-max", .. })));
    }
}
