//! Makes a failure small: fewer steps, fewer nodes and fewer kinds of faults, until a person can see
//! through it.

use super::dice::Dice;
use super::fault::Fault;
use super::options::Options;
use super::plan::Plan;
use super::report::Report;
use super::violation::Failure;

/// A failure that was made small; see [`shrink`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shrunk {
    /// With what to run [`Failure::seed`].
    pub options: Options,
    /// How it fails. The property is that of the failure it was made from, the seed may be another.
    pub failure: Failure,
    /// How many runs it took.
    pub runs: u32,
}

/// How many steps may be simulated for it, in all runs together: some seconds.
const STEPS_MAX: u64 = 5_000_000;

/// So many other seeds are tried with each smaller plan: they have other dice, and one of them may fail
/// with it, or fail much sooner.
const NEIGHBOURS: u64 = 100;

/// Makes a failure small. `run` runs a seed with the options that it is given, as [`run`](super::run)
/// does, and `options` are those with which the failure was seen.
///
/// ```no_run
/// use raft_core::sim::{Digests, Options, record, run, shrink};
///
/// let options = Options::default();
/// if let Err(failure) = run(42, &options, Digests::default()) {
///     let shrunk = shrink(failure, &options, |seed, options| run(seed, options, Digests::default()));
///     let recording = record(shrunk.failure.seed, &shrunk.options, Digests::default());
///     println!("{}, after {} runs:\n{:?}", shrunk.failure, shrunk.runs, recording.story(10));
/// }
/// ```
///
/// It tries to do with fewer nodes and without each kind of [`Fault`], with the same seed and with others.
/// A failure of the same property is smaller if its nodes took fewer steps together; to do without a kind
/// of fault, it may take some more. The same failure always shrinks to the same one.
pub fn shrink(
    failure: Failure,
    options: &Options,
    run: impl FnMut(u64, &Options) -> Result<Report, Failure>,
) -> Shrunk {
    let best = Shrunk { options: options.clone(), failure, runs: 0 };
    let mut search = Search { run, best, steps: 0 };
    search.end_early();
    loop {
        let before = search.best.failure.clone();
        search.drop_steps();
        search.drop_nodes();
        search.drop_faults();
        let options = search.best.options.clone();
        search.try_all(&options, search.size());
        if search.best.failure == before || search.is_over() {
            break;
        }
    }
    let mut best = search.best;
    best.options.ends_with_faults = options.ends_with_faults;
    best
}

struct Search<R> {
    run: R,
    best: Shrunk,
    /// How many were simulated.
    steps: u64,
}

impl<R: FnMut(u64, &Options) -> Result<Report, Failure>> Search<R> {
    /// Nothing that comes after the violation is needed: to its end it is the same run.
    fn end_early(&mut self) {
        let (step, options) = (self.best.failure.step, &mut self.best.options);
        if step <= options.fault_steps {
            options.fault_steps = step;
            options.ends_with_faults = true;
        }
    }

    /// If it failed only after the faults, perhaps fewer of them are enough.
    fn drop_steps(&mut self) {
        let options = self.best.options.clone();
        if options.ends_with_faults {
            return;
        }
        for part in [16, 8, 4, 2] {
            let fault_steps = options.fault_steps / part;
            if self.try_all(&Options { fault_steps, ..options.clone() }, self.size()) {
                break;
            }
        }
    }

    fn drop_nodes(&mut self) {
        let Plan { nodes, spares, .. } = self.plan();
        let _has_fewer_spares = (0..spares).any(|fewer| self.try_nodes(nodes, fewer));
        let Plan { nodes, spares, .. } = self.plan();
        let _has_fewer_founders = (1..nodes).any(|fewer| self.try_nodes(fewer, spares));
    }

    /// Fewer nodes may take more steps each.
    fn try_nodes(&mut self, nodes_max: u64, spares_max: u64) -> bool {
        let mut options = Options { nodes_max, spares_max, ..self.best.options.clone() };
        if options.ends_with_faults {
            options.fault_steps = self.size() / (nodes_max + spares_max);
        }
        self.try_all(&options, self.size())
    }

    fn drop_faults(&mut self) {
        for fault in Fault::ALL {
            let mut options = self.best.options.clone();
            if options.without.insert(fault) {
                if options.ends_with_faults {
                    options.fault_steps += options.fault_steps / 4;
                }
                self.try_all(&options, self.size() + self.size() / 4 + 1);
            }
        }
    }

    /// Tries the seed and its neighbours, up to the first that fails within a size; whether one does.
    fn try_all(&mut self, options: &Options, size_end: u64) -> bool {
        let seed = self.best.failure.seed;
        (0..=NEIGHBOURS).any(|away| self.try_one(seed.wrapping_add(away), options, size_end))
    }

    /// Whether a seed fails in the same way within a size; then it is the best from now on.
    fn try_one(&mut self, seed: u64, options: &Options, size_end: u64) -> bool {
        if self.is_over() {
            return false;
        }
        self.best.runs += 1;
        let failure = match (self.run)(seed, options) {
            Err(failure) => failure,
            Ok(report) => {
                self.steps += report.steps;
                return false;
            }
        };
        self.steps += failure.step;
        let is_other = failure.violation.property != self.best.failure.violation.property;
        if is_other || size(options, &failure) >= size_end {
            return false;
        }
        self.best.options = options.clone();
        if options.ends_with_faults {
            self.best.options.fault_steps = failure.step;
        }
        self.best.failure = failure;
        true
    }

    fn is_over(&self) -> bool {
        self.steps >= STEPS_MAX
    }

    fn size(&self) -> u64 {
        size(&self.best.options, &self.best.failure)
    }

    fn plan(&self) -> Plan {
        Plan::new(&mut Dice::new(self.best.failure.seed), &self.best.options)
    }
}

/// How many steps all nodes took together.
fn size(options: &Options, failure: &Failure) -> u64 {
    let plan = Plan::new(&mut Dice::new(failure.seed), options);
    failure.step * (plan.nodes + plan.spares)
}
