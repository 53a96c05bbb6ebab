//! `raft-kv demo`: a cluster of three node processes on this machine, and a live view of it.

mod cluster;
mod load;
mod view;
mod watch;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{error, fmt};

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};

use cluster::Cluster;
use load::{Load, LoadReport};
use view::Picture;
use watch::{Statuses, Watch};

/// What `raft-kv demo` takes.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Keep the nodes' data here, and go on from it next time [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Write by itself, this many writes per second [default: 2000]
    #[arg(long, value_name = "PER_SECOND", num_args = 0..=1, default_missing_value = "2000")]
    load: Option<u32>,
    /// End by itself after this time, as in 20s or 2m, with a summary
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    end_after: Option<Duration>,
    /// Start a node again three seconds after it died
    #[arg(long)]
    restart: bool,
}

/// Why the demo could not go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum DemoError {
    /// The directory cannot be made.
    Dir(io::Error),
    /// A node process cannot be started.
    Start(io::Error),
    /// Signals cannot be watched.
    Signals(io::Error),
    /// The picture cannot be written.
    Output(io::Error),
    /// No leader came up.
    NoLeader,
    /// Writes that had been acknowledged were not there in the end.
    LostWrites(u64),
}

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dir(_) => f.write_str("cannot make the directory for the nodes' data"),
            Self::Start(_) => f.write_str("cannot start a node process"),
            Self::Signals(_) => f.write_str("cannot watch for signals"),
            Self::Output(_) => f.write_str("cannot write to the terminal"),
            Self::NoLeader => f.write_str("the nodes did not agree on a leader; look at their logs"),
            Self::LostWrites(count) => write!(f, "{count} acknowledged writes are missing"),
        }
    }
}

impl error::Error for DemoError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Dir(source) | Self::Start(source) | Self::Signals(source) | Self::Output(source) => {
                Some(source)
            }
            Self::NoLeader | Self::LostWrites(_) => None,
        }
    }
}

/// Runs the cluster until Ctrl-C, or for the time asked for.
///
/// # Errors
///
/// If the nodes cannot be started, or what they acknowledged is lost.
pub fn run(args: &DemoArgs) -> Result<(), DemoError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(DemoError::Signals)?;
    }
    let (dir, _temporary) = make_dir(args.dir.as_ref())?;
    let mut cluster = Cluster::start(&dir).map_err(DemoError::Start)?;
    let mut demo = Demo {
        watch: Watch::start(cluster.ports()),
        load: args.load.map(|rate| Load::start(cluster.ports(), rate)),
        started: Instant::now(),
        leader_changes: 0,
        leader: None,
        last_look: (Instant::now(), 0),
        rate: 0,
        is_live: io::stdout().is_terminal(),
    };
    print(&view::greeting(&cluster, &dir, demo.is_live, args.load.is_some()))?;
    let is_over = |started: Instant| {
        stop.load(Ordering::Acquire) || args.end_after.is_some_and(|time| started.elapsed() >= time)
    };
    while !is_over(demo.started) {
        demo.wait(is_over);
        cluster.tend(args.restart.then_some(RESTART_AFTER)).map_err(DemoError::Start)?;
        demo.show(&cluster)?;
    }
    demo.finish()
}

struct Demo {
    watch: Watch,
    load: Option<Load>,
    started: Instant,
    leader_changes: u32,
    leader: Option<(u64, u64)>,
    /// When the operations were counted last, and how many there were.
    last_look: (Instant, u64),
    rate: u64,
    is_live: bool,
}

impl Demo {
    /// Until the next picture is due.
    fn wait(&self, is_over: impl Fn(Instant) -> bool) {
        let period = if self.is_live { PERIOD_LIVE } else { PERIOD_PLAIN };
        let until = Instant::now() + period;
        while Instant::now() < until && !is_over(self.started) {
            std::thread::sleep(GLANCE);
        }
    }

    fn show(&mut self, cluster: &Cluster) -> Result<(), DemoError> {
        let nodes = self.watch.look();
        let rate = self.measure_rate(&nodes);
        let picture = Picture {
            nodes,
            processes: cluster.processes(),
            load: self.load.as_ref().map(Load::report),
            rate,
            elapsed: self.started.elapsed(),
        };
        if let Some(leader) = picture.leader()
            && self.leader != Some(leader)
        {
            self.leader_changes += u32::from(self.leader.is_some());
            self.leader = Some(leader);
        }
        let text = if self.is_live { picture.frame(columns()) } else { picture.line() };
        print(&text)
    }

    /// Operations per second since the last look. A node that starts again counts its log anew, so
    /// the one that is furthest counts for all.
    fn measure_rate(&mut self, nodes: &Statuses) -> u64 {
        let (then, before) = self.last_look;
        let elapsed = then.elapsed();
        if elapsed >= RATE_OVER {
            let operations = count_operations(nodes);
            let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            self.rate = operations.saturating_sub(before) * 1000 / millis;
            self.last_look = (Instant::now(), operations.max(before));
        }
        self.rate
    }

    /// Ends the load, compares what it knows with what the cluster has, and says so.
    fn finish(self) -> Result<(), DemoError> {
        let report = self.load.map(Load::finish);
        let operations = count_operations(&self.watch.ask_now());
        let summary = view::summary(self.started.elapsed(), operations, self.leader_changes, report.as_ref());
        print(&summary)?;
        match report {
            Some(LoadReport { missing, .. }) if missing > 0 => Err(DemoError::LostWrites(missing)),
            _ if self.leader.is_none() && self.started.elapsed() > LEADER_WITHIN => Err(DemoError::NoLeader),
            _ => Ok(()),
        }
    }
}

fn count_operations(nodes: &Statuses) -> u64 {
    nodes.iter().flatten().map(|status| status.operations).max().unwrap_or(0)
}

/// The directory, and a guard that removes it if nobody asked for it.
fn make_dir(asked: Option<&PathBuf>) -> Result<(PathBuf, Option<tempfile::TempDir>), DemoError> {
    match asked {
        Some(dir) => {
            std::fs::create_dir_all(dir).map_err(DemoError::Dir)?;
            Ok((dir.clone(), None))
        }
        None => {
            let dir = tempfile::Builder::new().prefix("raft-kv-demo-").tempdir().map_err(DemoError::Dir)?;
            Ok((dir.path().to_owned(), Some(dir)))
        }
    }
}

/// How wide the terminal is now; without limit if it does not say.
fn columns() -> usize {
    let columns = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| size.ws_col);
    if columns == 0 { usize::MAX } else { columns.into() }
}

fn print(text: &str) -> Result<(), DemoError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(DemoError::Output)
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| "write a time as in 20s, 500ms or 2m".to_owned())?;
    match &text[digits.len()..] {
        "" | "s" => Ok(Duration::from_secs(number)),
        "ms" => Ok(Duration::from_millis(number)),
        "m" => Ok(Duration::from_secs(number * 60)),
        unit => Err(format!("'{unit}' is no unit of time; write ms, s or m")),
    }
}

const PERIOD_LIVE: Duration = Duration::from_millis(250);
const PERIOD_PLAIN: Duration = Duration::from_secs(1);
/// A shorter time would show the rhythm of the pictures rather than that of the writes.
const RATE_OVER: Duration = Duration::from_millis(900);
const GLANCE: Duration = Duration::from_millis(20);
const RESTART_AFTER: Duration = Duration::from_secs(3);
const LEADER_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        assert_eq!(parse_duration("20"), Ok(Duration::from_secs(20)));
        assert_eq!(parse_duration("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert!(parse_duration("s").is_err() && parse_duration("2h").is_err() && parse_duration("").is_err());
    }
}
