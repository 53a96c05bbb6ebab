//! What may trouble a run, kind by kind, so that a run can do without.

use core::str::FromStr;
use core::{error, fmt};

/// One kind of trouble that a seed may bring. A run can be had without it:
/// [`Options::without`](super::Options::without).
///
/// ```
/// use raft_core::sim::Fault;
///
/// assert_eq!("loss".parse(), Ok(Fault::Loss));
/// assert!(Fault::ALL.iter().all(|fault| fault.name().parse() == Ok(*fault)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// When faults end, some nodes stay down or cut off, until the others have served without them.
    Absence,
    /// Disks are lost for ever.
    LoseDisk,
    /// Disks are spoilt while their node is down.
    Damage,
    /// Nodes lose their state and ask for a snapshot.
    LoseState,
    /// Disks are slow, full or fail; what exactly, the medium decides.
    Disk,
    /// Some members are witnesses.
    Witness,
    /// Reads are served by lease.
    Lease,
    /// Settings change while nodes run.
    Settings,
    /// The membership changes.
    Change,
    /// Leadership is handed over.
    Transfer,
    /// Nodes take snapshots although none is due.
    Snapshot,
    /// Leaders are cut off just as they answer reads.
    Ambush,
    /// Nodes campaign for no reason.
    Campaign,
    /// Old messages arrive once more.
    Replay,
    /// Messages arrive several times.
    Duplicate,
    /// Nodes are told that a peer is out of reach.
    Unreachable,
    /// Nodes stop for a while.
    Pause,
    /// Clocks gain or lose.
    Skew,
    /// Nodes work now and then only, so that inputs pile up.
    Lag,
    /// Links are cut.
    Partition,
    /// Messages are late, and overtake each other.
    Delay,
    /// Messages are lost.
    Loss,
    /// Nodes crash.
    Crash,
}

impl Fault {
    /// All kinds, in the order of their declaration: what explains least comes first.
    pub const ALL: [Self; 23] = [
        Self::Absence,
        Self::LoseDisk,
        Self::Damage,
        Self::LoseState,
        Self::Disk,
        Self::Witness,
        Self::Lease,
        Self::Settings,
        Self::Change,
        Self::Transfer,
        Self::Snapshot,
        Self::Ambush,
        Self::Campaign,
        Self::Replay,
        Self::Duplicate,
        Self::Unreachable,
        Self::Pause,
        Self::Skew,
        Self::Lag,
        Self::Partition,
        Self::Delay,
        Self::Loss,
        Self::Crash,
    ];

    /// Its name, as [`FromStr`] takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Absence => "absence",
            Self::LoseDisk => "lose-disk",
            Self::Damage => "damage",
            Self::LoseState => "lose-state",
            Self::Disk => "disk",
            Self::Witness => "witness",
            Self::Lease => "lease",
            Self::Settings => "settings",
            Self::Change => "change",
            Self::Transfer => "transfer",
            Self::Snapshot => "snapshot",
            Self::Ambush => "ambush",
            Self::Campaign => "campaign",
            Self::Replay => "replay",
            Self::Duplicate => "duplicate",
            Self::Unreachable => "unreachable",
            Self::Pause => "pause",
            Self::Skew => "skew",
            Self::Lag => "lag",
            Self::Partition => "partition",
            Self::Delay => "delay",
            Self::Loss => "loss",
            Self::Crash => "crash",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        Self::ALL.into_iter().find(|fault| fault.name() == name).ok_or(UnknownFault)
    }
}

/// No fault has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownFault;

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such fault; there are")?;
        Fault::ALL.iter().try_for_each(|fault| write!(f, " {fault}"))
    }
}

impl error::Error for UnknownFault {}
