//! How a run is cut short, as a value and as words of a command line.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::str::FromStr;
use core::{error, fmt};

use super::fault::Fault;

/// How long runs are, and what of the seed's plan they leave out. The seed decides the rest.
///
/// They are written and read as on the command line of `cargo xtask sim`; `--only none` leaves out all
/// faults, `--only FAULTS` all others. What is as usual is not written.
///
/// ```
/// use raft_core::sim::{Fault, Options};
///
/// let mut options = Options::default();
/// options.nodes_max = 3;
/// options.without.extend([Fault::Loss, Fault::Lease]);
/// assert_eq!(options.to_string(), "--nodes-max 3 --without lease,loss");
/// assert_eq!("--nodes-max 3 --without lease,loss".parse(), Ok(options));
/// assert_eq!("".parse(), Ok(Options::default()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Steps with faults. Default 4000.
    pub fault_steps: u64,
    /// Steps without faults, within which the cluster must recover and agree; most need a few
    /// hundred. But a leader may send as little as 10 bytes of snapshots in a tick of 8 steps, to all
    /// members together, so a state of some KB needs more: about a step for each byte of its snapshot, times
    /// the number of members. Default 20000.
    pub calm_steps: u64,
    /// At most so many founding members. Default `u64::MAX`, which leaves it to the seed.
    pub nodes_max: u64,
    /// At most so many nodes that may be taken in later. Default `u64::MAX`.
    pub spares_max: u64,
    /// What never strikes, although the seed may plan it. Default none.
    pub without: BTreeSet<Fault>,
    /// The run is over when faults end.
    pub(super) ends_with_faults: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fault_steps: 4000,
            calm_steps: 20000,
            nodes_max: u64::MAX,
            spares_max: u64::MAX,
            without: BTreeSet::new(),
            ends_with_faults: false,
        }
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = Self::default();
        let mut words = Vec::new();
        for (flag, value, usual) in [
            ("--steps", self.fault_steps, usual.fault_steps),
            ("--calm-steps", self.calm_steps, usual.calm_steps),
            ("--nodes-max", self.nodes_max, usual.nodes_max),
            ("--spares-max", self.spares_max, usual.spares_max),
        ] {
            if value != usual {
                words.push(format!("{flag} {value}"));
            }
        }
        let (without, only): (Vec<Fault>, Vec<Fault>) =
            Fault::ALL.iter().partition(|fault| self.without.contains(fault));
        let list = |faults: &[Fault]| faults.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(",");
        // Whichever is shorter.
        match (without.len(), only.len()) {
            (0, _) => {}
            (_, 0) => words.push("--only none".into()),
            (without_count, only_count) if without_count < only_count => {
                words.push(format!("--without {}", list(&without)));
            }
            _ => words.push(format!("--only {}", list(&only))),
        }
        f.write_str(&words.join(" "))
    }
}

impl FromStr for Options {
    type Err = InvalidOptions;

    fn from_str(line: &str) -> Result<Self, InvalidOptions> {
        let mut options = Self::default();
        let mut words = line.split_whitespace();
        while let Some(flag) = words.next() {
            let value = words.next().unwrap_or_default();
            let invalid = || InvalidOptions { flag: flag.into(), value: value.into() };
            let number = || value.parse::<u64>().map_err(|_| invalid());
            let faults = || value.split(',').map(str::parse).collect::<Result<BTreeSet<Fault>, _>>();
            match flag {
                "--steps" => options.fault_steps = number()?,
                "--calm-steps" => options.calm_steps = number()?,
                "--nodes-max" => options.nodes_max = number()?,
                "--spares-max" => options.spares_max = number()?,
                "--without" => options.without = faults().map_err(|_| invalid())?,
                "--only" => {
                    let only =
                        if value == "none" { BTreeSet::new() } else { faults().map_err(|_| invalid())? };
                    options.without = Fault::ALL.into_iter().filter(|fault| !only.contains(fault)).collect();
                }
                _ => return Err(invalid()),
            }
        }
        Ok(options)
    }
}

/// No such option, or not with this value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOptions {
    flag: String,
    value: String,
}

impl fmt::Display for InvalidOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (flag, value) = (&self.flag, &self.value);
        write!(f, "`{flag} {value}` is no option; there are")?;
        f.write_str(
            " --steps, --calm-steps, --nodes-max, --spares-max, each with a number, and --without, --only",
        )?;
        f.write_str(", each with some of")?;
        Fault::ALL.iter().try_for_each(|fault| write!(f, " {fault}"))
    }
}

impl error::Error for InvalidOptions {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn options_are_read_as_they_are_written() {
        for count in 0..=Fault::ALL.len() {
            let mut options = Options::default();
            options.without.extend(&Fault::ALL[..count]);
            options.nodes_max = count as u64 + 1;
            options.calm_steps += count as u64;
            assert_eq!(options.to_string().parse(), Ok(options));
        }
    }

    #[test]
    fn what_is_no_option_is_refused() {
        for line in ["--steps", "--steps many", "--without losses", "--only", "--seed 1", "steps 3"] {
            let error = line.parse::<Options>().unwrap_err().to_string();
            assert!(error.contains(line) && error.contains("lose-disk"), "{error}");
        }
    }
}
