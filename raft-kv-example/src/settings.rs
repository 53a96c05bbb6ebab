//! The settings of one node, checked: what may be given and what must not be combined.

use std::path::PathBuf;
use std::time::Duration;
use std::{error, fmt};

use clap::Args;
use raft_core::{Config, Member, Membership, NodeId};
use raft_storage::WalOptions;

use crate::address::{Addresses, is_address};
use crate::command::JoinRole;
use crate::server::Limits;
use crate::session_limits::SessionLimitArgs;

/// What `raft-kv serve` takes.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// This node's number. It belongs to one disk for ever: when that is lost, or the node was removed,
    /// nobody may use it again
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
    /// Where others tell clients to connect [default: --listen]
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// Where others are told that this node's peers connect, with --join [default: --peer-listen]
    #[arg(long, value_name = "HOST:PORT")]
    pub peer_advertise: Option<String>,
    /// Found a cluster with the others in --peers. For the first start of each of them only: a node
    /// that has lost its disk must not be founded again
    #[arg(long, requires = "peers")]
    pub init: bool,
    /// All founders of the cluster, this one included: 1=host:port,2=host:port,3=host:port
    #[arg(long, value_name = "ID=HOST:PORT,…", value_delimiter = ',', conflicts_with = "join")]
    pub peers: Vec<String>,
    /// To join a cluster, the address for clients of any of its members; not needed again afterwards
    #[arg(long, value_name = "HOST:PORT")]
    pub join: Option<String>,
    /// With --join: what this node is to be in the cluster
    #[arg(long = "as", value_name = "ROLE", value_enum, default_value_t, requires = "join")]
    pub role: JoinRole,
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
    /// Breaks exact ties between logs in elections; higher wins. May be negative
    #[arg(long, value_name = "NUMBER", default_value_t = DEFAULTS.priority, allow_negative_numbers = true)]
    pub priority: i64,
    /// A write is committed only when nodes in so many failure domains have it, beside the majority.
    /// RAFT.DOMAIN says who is in which. The same at all nodes
    #[arg(long, value_name = "NUMBER", default_value_t = DEFAULTS.commit_domains_min)]
    pub commit_domains_min: u32,
    /// How finely the node counts time, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10)]
    pub tick_ms: u32,
    /// Answer reads without a round of messages while a quorum is known to follow this leader. For all
    /// nodes or none; they need the same --election-timeout-ms and --tick-ms, and clocks none of which
    /// runs faster than another by a quarter
    #[arg(long)]
    pub lease_reads: bool,
    /// A snapshot is taken, and the log before it let go, after so many bytes of commands; 0 for
    /// never by bytes
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULTS.snapshot_log_bytes)]
    pub snapshot_log_bytes: u64,
    /// … or after so many entries; 0 for never by entries
    #[arg(long, value_name = "NUMBER", default_value_t = DEFAULTS.snapshot_log_entries)]
    pub snapshot_log_entries: u64,
    /// How many entries stay in the log behind a snapshot, for nodes that are a little behind and
    /// need not be sent all of it
    #[arg(long, value_name = "NUMBER", default_value_t = DEFAULTS.retained_entries)]
    pub retained_entries: u64,
    /// … but no more than this many bytes of them, roughly
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULTS.retained_bytes)]
    pub retained_bytes: u64,
    /// How many bytes of snapshots a leader sends in a second, to all nodes together; 0 for as many
    /// as it can
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub snapshot_bytes_per_second: u32,
    /// How large a file of the log grows
    #[arg(long, value_name = "BYTES", default_value_t = WalOptions::SEGMENT_BYTES_DEFAULT)]
    pub segment_bytes: u32,
    /// How many clients may be connected at once
    #[arg(long, value_name = "NUMBER", default_value_t = Limits::default().clients_max)]
    pub clients_max: usize,
    /// The longest key in bytes
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().key_bytes_max)]
    pub key_bytes_max: usize,
    /// The longest value in bytes
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().value_bytes_max)]
    pub value_bytes_max: usize,
    /// How long a write waits for a leader before it is refused, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 2000)]
    pub hold_ms: u32,
    /// How long a write waits for its outcome before it is answered as unknown, and a read for somebody
    /// who confirms it, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    pub answer_ms: u32,
    /// What sessions of clients may take
    #[command(flatten)]
    pub session_limits: SessionLimitArgs,
    /// Stop when standard input ends: for whoever starts nodes and must not leave them behind
    #[arg(long)]
    pub until_stdin_ends: bool,
}

/// The settings of one node.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The protocol's settings.
    pub config: Config,
    /// Where the node's life begins, if it has not yet.
    pub origin: Origin,
    /// The number of the cluster.
    pub cluster: u64,
    /// The directory of the log.
    pub data: PathBuf,
    /// How large a file of the log grows.
    pub segment_bytes: u32,
    /// Where clients connect.
    pub listen: String,
    /// Where other nodes connect.
    pub peer_listen: String,
    /// Where other nodes are told to connect.
    pub peer_address: String,
    /// Where others say that clients connect.
    pub client_address: String,
    /// How long a tick lasts.
    pub tick: Duration,
    /// What clients may use.
    pub limits: Limits,
    /// The limits of sessions that this node brings into force when it leads.
    pub session_limits: SessionLimitArgs,
    /// Whether the end of standard input ends the node.
    pub is_until_stdin_ends: bool,
}

/// Where a node's life begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It founds a cluster with these members, whose contexts are their [`Addresses`].
    Founder(Membership),
    /// It asks a cluster to take it in.
    Newcomer {
        /// Where a member takes commands.
        member: String,
        /// Where the newcomer will be found by other members.
        peer_address: String,
        /// What it is to be.
        role: JoinRole,
    },
    /// It must have begun before; these are its cluster's founders, if they were given.
    Past(Option<Membership>),
}

/// Which setting cannot be, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingsError {
    /// An element of `--peers` is not `ID=HOST:PORT`.
    Peer(String),
    /// Two elements of `--peers` have the same id.
    PeerIds,
    /// A number is no node's.
    Id {
        /// The option.
        option: &'static str,
        /// The number.
        given: u64,
    },
    /// Two nodes cannot be found at one address.
    SharedAddress {
        /// The address.
        address: String,
        /// Whose it is.
        ids: [NodeId; 2],
    },
    /// `--id` is not in `--peers`.
    OwnId(u64),
    /// An address is not `HOST:PORT`.
    Address {
        /// The option.
        option: &'static str,
        /// What was given.
        given: String,
    },
    /// Without `--peers`, `--peer-listen` must be given.
    PeerListen,
    /// Others cannot connect to an address that means "all of this machine".
    Unspecified {
        /// The option whose address it is.
        option: &'static str,
        /// The option that can say better.
        remedy: &'static str,
    },
    /// A number that must not be zero is.
    Zero(&'static str),
    /// `--heartbeat-ms` is below `--tick-ms`.
    Heartbeat,
    /// `--election-timeout-ms` is less than twice `--heartbeat-ms`.
    ElectionTimeout,
    /// With `--lease-reads`, too few ticks make an election timeout.
    Lease,
    /// A file of the log cannot be of this size.
    SegmentBytes,
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
            Self::PeerIds => f.write_str("--peers: give every member an id of its own"),
            Self::Id { option, given } => {
                write!(f, "{option}: {given} is no node's id; give a number from 1 to {}", u64::MAX - 1)
            }
            Self::SharedAddress { address, ids: [one, other] } => write!(
                f,
                "--peers: nodes {one} and {other} cannot both be at {address}; give every member an \
                 address of its own"
            ),
            Self::OwnId(id) => {
                write!(f, "--id {id} is not among --peers; list this node there too, or correct the id")
            }
            Self::Address { option, given } => {
                write!(f, "{option}: '{given}' is no address; write HOST:PORT, as in 127.0.0.1:6379")
            }
            Self::PeerListen => f.write_str(
                "--peer-listen is missing; give it, as in 127.0.0.1:7001 (or --peers, to found a cluster)",
            ),
            Self::Unspecified { option, remedy } => write!(
                f,
                "{option} listens everywhere, so others cannot tell where this node is; add {remedy} HOST:PORT"
            ),
            Self::Zero(option) => write!(f, "{option} must be at least 1"),
            Self::Heartbeat => {
                f.write_str("--heartbeat-ms is below --tick-ms; raise it, or let ticks be shorter")
            }
            Self::ElectionTimeout => f.write_str(
                "--election-timeout-ms is less than twice --heartbeat-ms, so that one late heartbeat \
                 would unseat a leader; raise it, or let heartbeats come more often",
            ),
            Self::Lease => f.write_str(
                "--lease-reads: a lease would end before the next heartbeat; raise --election-timeout-ms, or \
                 let --tick-ms be shorter",
            ),
            Self::SegmentBytes => write!(
                f,
                "--segment-bytes must be from {} to {}",
                WalOptions::SEGMENT_BYTES_MIN,
                WalOptions::SEGMENT_BYTES_MAX
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
        checked_id("--id", self.id)?;
        let listen = checked_address("--listen", self.listen.clone())?;
        let (origin, peer_listen) = self.origin()?;
        let client_address = self.client_address(&listen, &peer_listen)?;
        let (mut config, limits) = (self.config()?, self.limits()?);
        config.entry_bytes_max = u32::try_from(limits.entry_bytes_max()).unwrap_or(u32::MAX);
        Ok(Settings {
            config,
            origin,
            cluster: self.cluster,
            peer_address: self.peer_advertise.unwrap_or_else(|| peer_listen.clone()),
            peer_listen,
            listen,
            client_address,
            tick: Duration::from_millis(self.tick_ms.into()),
            data: self.data,
            segment_bytes: self.segment_bytes,
            limits,
            session_limits: self.session_limits,
            is_until_stdin_ends: self.until_stdin_ends,
        })
    }

    /// Where the node's life begins, and where it listens for other nodes.
    fn origin(&self) -> Result<(Origin, String), SettingsError> {
        let given = self.peer_listen.clone();
        let given = given.map(|address| checked_address("--peer-listen", address)).transpose()?;
        if self.peers.is_empty() {
            let listen = given.ok_or(SettingsError::PeerListen)?;
            let Some(member) = self.join.clone() else { return Ok((Origin::Past(None), listen)) };
            let member = checked_address("--join", member)?;
            let peer_address = match &self.peer_advertise {
                Some(address) => checked_address("--peer-advertise", address.clone())?,
                None if is_unspecified(&listen) => {
                    let (option, remedy) = ("--peer-listen", "--peer-advertise");
                    return Err(SettingsError::Unspecified { option, remedy });
                }
                None => listen.clone(),
            };
            if peer_address.ends_with(":0") {
                return Err(SettingsError::Address { option: "--peer-listen", given: peer_address });
            }
            return Ok((Origin::Newcomer { member, peer_address, role: self.role }, listen));
        }
        let members = self.peers.iter().map(|given| parse_peer(given)).collect::<Result<Vec<_>, _>>()?;
        let own = members.iter().find(|(id, _)| id.get() == self.id);
        let own = own.map(|(_, address)| address.clone());
        let shared = shared_address(&members, NodeId::new(self.id), given.as_deref());
        let founders = members.into_iter().map(|(id, peer)| {
            Member::voter(id).with_context(Addresses { peer, client: None }.encode().into())
        });
        let founders = Membership::new(founders.collect()).map_err(|_| SettingsError::PeerIds)?;
        let own = own.ok_or(SettingsError::OwnId(self.id))?;
        if let Some(error) = shared {
            return Err(error);
        }
        let origin = if self.init { Origin::Founder(founders) } else { Origin::Past(Some(founders)) };
        Ok((origin, given.unwrap_or(own)))
    }

    /// Where clients are told to connect: if the node listens everywhere, the host that other nodes
    /// know it by.
    fn client_address(&self, listen: &str, peer_listen: &str) -> Result<String, SettingsError> {
        if let Some(address) = &self.advertise {
            return checked_address("--advertise", address.clone());
        }
        if !is_unspecified(listen) {
            return Ok(listen.to_owned());
        }
        let own = format!("{}=", self.id);
        let founded = self.peers.iter().find_map(|peer| peer.trim().strip_prefix(own.as_str()));
        let known = self.peer_advertise.as_deref().or(founded).unwrap_or(peer_listen);
        match (known.rsplit_once(':'), listen.rsplit_once(':')) {
            (Some((host, _)), Some((_, port))) if !is_unspecified(known) => Ok(format!("{host}:{port}")),
            _ => Err(SettingsError::Unspecified { option: "--listen", remedy: "--advertise" }),
        }
    }

    fn config(&self) -> Result<Config, SettingsError> {
        if self.tick_ms == 0 {
            return Err(SettingsError::Zero("--tick-ms"));
        }
        if self.commit_domains_min == 0 {
            return Err(SettingsError::Zero("--commit-domains-min"));
        }
        if self.heartbeat_ms < self.tick_ms {
            return Err(SettingsError::Heartbeat);
        }
        if self.election_timeout_ms / 2 < self.heartbeat_ms {
            return Err(SettingsError::ElectionTimeout);
        }
        if !(WalOptions::SEGMENT_BYTES_MIN..=WalOptions::SEGMENT_BYTES_MAX).contains(&self.segment_bytes) {
            return Err(SettingsError::SegmentBytes);
        }
        let ticks = |ms: u32| ms.div_ceil(self.tick_ms);
        let mut config = Config::new(NodeId::new(self.id));
        config.heartbeat_ticks = ticks(self.heartbeat_ms);
        config.election_timeout_ticks_min = ticks(self.election_timeout_ms).max(config.heartbeat_ticks + 1);
        config.election_timeout_ticks_max = config.election_timeout_ticks_min * 2;
        if self.lease_reads {
            config.read_lease_ticks = read_lease_ticks(&config).ok_or(SettingsError::Lease)?;
        }
        config.priority = self.priority;
        config.commit_domains_min = self.commit_domains_min;
        config.snapshot_log_bytes = self.snapshot_log_bytes;
        config.snapshot_log_entries = self.snapshot_log_entries;
        config.retained_entries = self.retained_entries;
        config.retained_bytes = self.retained_bytes;
        config.snapshot_bytes_per_tick = self.snapshot_bytes_per_tick();
        config.proposal_timeout_ticks = ticks(self.answer_ms);
        // Nodes that were started alike must not stand for election together, again and again.
        config.seed = u64::from(std::process::id());
        Ok(config)
    }

    /// However low the rate, it is not zero, which would stand for no limit.
    fn snapshot_bytes_per_tick(&self) -> u32 {
        let bytes = u64::from(self.snapshot_bytes_per_second) * u64::from(self.tick_ms);
        u32::try_from(bytes.div_ceil(1000)).unwrap_or(u32::MAX)
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
        // A request has room for a key and a value, unless both are as long as they can be.
        let max = limits.request_bytes_max / 2;
        for (option, value) in
            [("--key-bytes-max", limits.key_bytes_max), ("--value-bytes-max", limits.value_bytes_max)]
        {
            if value > max {
                return Err(SettingsError::TooLarge { option, max });
            }
        }
        Ok(limits)
    }
}

/// The longest lease that holds while no clock runs faster than another by more than a quarter, as
/// [`Config::read_lease_ticks`] reckons: at most (timeout - 1) / (lease + 1). None if it is of no use.
fn read_lease_ticks(config: &Config) -> Option<u32> {
    let ticks = ((config.election_timeout_ticks_min - 1) * 4 / 5).checked_sub(1)?;
    (ticks > config.heartbeat_ticks).then_some(ticks)
}

fn parse_peer(given: &str) -> Result<(NodeId, String), SettingsError> {
    let refuse = || SettingsError::Peer(given.to_owned());
    let (id, address) = given.trim().split_once('=').ok_or_else(refuse)?;
    let id = id.trim().parse().map_err(|_| refuse())?;
    let address = checked_address("--peers", address.trim().to_owned()).map_err(|_| refuse())?;
    Ok((checked_id("--peers", id)?, address))
}

/// Zero and the largest number stand for nobody.
fn checked_id(option: &'static str, given: u64) -> Result<NodeId, SettingsError> {
    let is_id = given != 0 && given != u64::MAX;
    if is_id { Ok(NodeId::new(given)) } else { Err(SettingsError::Id { option, given }) }
}

/// Two members at one address, or this node where another member is said to be.
fn shared_address(members: &[(NodeId, String)], own: NodeId, listen: Option<&str>) -> Option<SettingsError> {
    let mut owners: Vec<(NodeId, &str)> = listen.map(|listen| (own, listen)).into_iter().collect();
    for (id, address) in members {
        let other = owners.iter().find(|(other, known)| other != id && known.eq_ignore_ascii_case(address));
        if let Some((other, _)) = other {
            return Some(SettingsError::SharedAddress { address: address.clone(), ids: [*other, *id] });
        }
        owners.push((*id, address));
    }
    None
}

fn checked_address(option: &'static str, given: String) -> Result<String, SettingsError> {
    if is_address(&given) { Ok(given) } else { Err(SettingsError::Address { option, given }) }
}

/// Whether it stands for all addresses of the machine.
fn is_unspecified(address: &str) -> bool {
    address.parse::<std::net::SocketAddr>().is_ok_and(|address| address.ip().is_unspecified())
}

/// What the core does if nothing else is asked for.
const DEFAULTS: Config = Config::new(NodeId::new(1));

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
        let id = if line.contains("--id") { &[][..] } else { &["--id", "1"] };
        let words = ["test", "--data", "d"].iter().chain(id).copied().chain(line.split_whitespace());
        Line::try_parse_from(words).unwrap().args.check()
    }

    #[test]
    fn good_settings_give_ticks_and_members() {
        let settings = check("--init --peers 1=a:1,2=b:2,3=[::1]:3 --peer-listen 0.0.0.0:1").unwrap();
        assert_eq!(settings.config.heartbeat_ticks, 5);
        assert_eq!(settings.config.election_timeout_ticks_min, 25);
        assert_eq!(settings.config.election_timeout_ticks_max, 50);
        assert_eq!(settings.config.validate(), Ok(()));
        let Origin::Founder(founders) = settings.origin else { panic!("a founder") };
        let contexts: Vec<_> = founders.members().iter().map(|member| member.context.clone()).collect();
        assert_eq!(contexts, ["a:1", "b:2", "[::1]:3"]);
        assert_eq!(settings.peer_listen, "0.0.0.0:1");
        assert_eq!(check("--peers 1=a:1").unwrap().peer_listen, "a:1");
    }

    #[test]
    fn life_begins_at_the_founding_or_by_joining_or_long_ago() {
        assert_eq!(check("--peer-listen a:1").unwrap().origin, Origin::Past(None));
        let founders = Member::voter(NodeId::new(1)).with_context("a:1".into());
        let founders = Membership::new(vec![founders]).unwrap();
        assert_eq!(check("--init --peers 1=a:1").unwrap().origin, Origin::Founder(founders.clone()));
        assert_eq!(check("--peers 1=a:1").unwrap().origin, Origin::Past(Some(founders)));
        let joining = check("--join b:2 --peer-listen a:1").unwrap();
        let newcomer = |peer_address: &str| Origin::Newcomer {
            member: "b:2".to_owned(),
            peer_address: peer_address.to_owned(),
            role: JoinRole::Voter,
        };
        assert_eq!(joining.origin, newcomer("a:1"));
        assert_eq!(joining.client_address, "127.0.0.1:6379");
        let everywhere = "--join b:2 --peer-listen 0.0.0.0:1 --listen [::]:2";
        let everywhere = check(&format!("{everywhere} --peer-advertise a:9")).unwrap();
        assert_eq!(everywhere.origin, newcomer("a:9"));
        assert_eq!(everywhere.client_address, "a:2");
        assert_eq!(check("--peers 1=h:1 --listen 0.0.0.0:2").unwrap().client_address, "h:2");
        assert_eq!(check("--peers 1=h:1 --advertise c:3").unwrap().client_address, "c:3");
    }

    #[test]
    fn addresses_that_nobody_could_use_are_refused() {
        let unspecified = |option, remedy| Some(SettingsError::Unspecified { option, remedy });
        for (line, error) in [
            ("--join a:1", Some(SettingsError::PeerListen)),
            ("", Some(SettingsError::PeerListen)),
            ("--join b:2 --peer-listen 0.0.0.0:1", unspecified("--peer-listen", "--peer-advertise")),
            ("--peer-listen 0.0.0.0:1 --listen 0.0.0.0:2", unspecified("--listen", "--advertise")),
        ] {
            assert_eq!(check(line).err(), error, "{line}");
        }
    }

    #[test]
    fn two_nodes_at_one_address_are_refused() {
        let shared = |address: &str, one, other| {
            let ids = [NodeId::new(one), NodeId::new(other)];
            Some(SettingsError::SharedAddress { address: address.to_owned(), ids })
        };
        for (line, error) in [
            ("--peers 1=a:1,2=b:2,3=B:2", shared("B:2", 2, 3)),
            ("--peers 1=a:1,2=a:1", shared("a:1", 1, 2)),
            ("--peers 1=a:1,2=b:2 --peer-listen b:2", shared("b:2", 1, 2)),
            ("--peers 1=a:1,2=a:2 --peer-listen a:1", None),
        ] {
            assert_eq!(check(line).err(), error, "{line}");
        }
        let text = shared("a:1", 1, 2).unwrap().to_string();
        assert!(text.contains("nodes 1 and 2 cannot both be at a:1; give every member"), "{text}");
    }

    #[test]
    fn snapshot_settings_reach_the_core_and_a_low_rate_is_not_rounded_down_to_none() {
        for (line, per_tick) in [
            ("", 0),
            ("--snapshot-bytes-per-second 1", 1),
            ("--snapshot-bytes-per-second 1000000", 10_000),
            ("--snapshot-bytes-per-second 1000000 --tick-ms 25", 25_000),
            (
                "--snapshot-bytes-per-second 4294967295 --tick-ms 2000 --heartbeat-ms 2000 \
              --election-timeout-ms 4000",
                u32::MAX,
            ),
        ] {
            let config = check(&format!("--peers 1=a:1 {line}")).unwrap().config;
            assert_eq!(config.snapshot_bytes_per_tick, per_tick, "{line}");
        }
        let given = "--peers 1=a:1 --snapshot-log-bytes 1 --snapshot-log-entries 2 --retained-entries 3 \
                     --retained-bytes 4";
        let config = check(given).unwrap().config;
        assert_eq!((config.snapshot_log_bytes, config.snapshot_log_entries), (1, 2));
        assert_eq!((config.retained_entries, config.retained_bytes), (3, 4));
    }

    /// N18: whatever the timeout, no lease outlasts the others' patience on a clock that is a quarter faster.
    #[test]
    fn settings_of_elections_and_commits_reach_the_core() {
        let given = "--peers 1=a:1 --priority -3 --commit-domains-min 2";
        let config = check(given).unwrap().config;
        assert_eq!((config.priority, config.commit_domains_min), (-3, 2));
        let refused = check("--peers 1=a:1 --commit-domains-min 0");
        assert_eq!(refused.unwrap_err(), SettingsError::Zero("--commit-domains-min"));
    }

    #[test]
    fn lease_leaves_room_for_clocks_that_drift_apart_by_a_quarter() {
        assert_eq!(check("--peers 1=a:1").unwrap().config.read_lease_ticks, 0);
        assert_eq!(check("--peers 1=a:1 --lease-reads").unwrap().config.read_lease_ticks, 18);
        for timeout in 20..1000 {
            let line =
                format!("--peers 1=a:1 --lease-reads --heartbeat-ms 10 --election-timeout-ms {timeout}");
            let Ok(Settings { config, .. }) = check(&line) else { continue };
            assert_eq!(config.validate(), Ok(()), "{line}");
            let (patience, lease) = (config.election_timeout_ticks_min - 1, config.read_lease_ticks + 1);
            assert!(patience * 4 >= lease * 5, "{line}");
            assert!(patience * 4 < (lease + 1) * 5, "{line}: it could be longer");
        }
        let useless =
            "--peers 1=a:1 --lease-reads --heartbeat-ms 100 --election-timeout-ms 200 --tick-ms 100";
        assert_eq!(check(useless).err(), Some(SettingsError::Lease));
    }

    #[test]
    fn bad_settings_are_refused_with_the_way_out() {
        let own = "--peers 1=a:1";
        for (line, error) in [
            ("--peers 2=b:2".to_owned(), SettingsError::OwnId(1)),
            ("--peers 1=a:1,1=b:2".to_owned(), SettingsError::PeerIds),
            ("--peers 1=a:1,0=b:2".to_owned(), SettingsError::Id { option: "--peers", given: 0 }),
            (format!("{own} --id 0"), SettingsError::Id { option: "--id", given: 0 }),
            (format!("{own} --id {}", u64::MAX), SettingsError::Id { option: "--id", given: u64::MAX }),
            ("--peers 1:a:1".to_owned(), SettingsError::Peer("1:a:1".into())),
            ("--peers 1=a".to_owned(), SettingsError::Peer("1=a".into())),
            (format!("{own} --tick-ms 0"), SettingsError::Zero("--tick-ms")),
            (format!("{own} --heartbeat-ms 5"), SettingsError::Heartbeat),
            (format!("{own} --election-timeout-ms 99"), SettingsError::ElectionTimeout),
            (format!("{own} --clients-max 0"), SettingsError::Zero("--clients-max")),
            (format!("{own} --segment-bytes 1000"), SettingsError::SegmentBytes),
        ] {
            assert_eq!(check(&line).err(), Some(error), "{line}");
        }
        let address = SettingsError::Address { option: "--listen", given: "6379".into() };
        assert_eq!(check(&format!("{own} --listen 6379")).err(), Some(address));
        let largest = 1 << 20;
        assert!(check(&format!("{own} --value-bytes-max {largest}")).is_ok());
        let large = check(&format!("{own} --value-bytes-max {}", largest + 1)).err();
        assert_eq!(large, Some(SettingsError::TooLarge { option: "--value-bytes-max", max: largest }));
    }
}
