//! How the cluster looks: a frame that is drawn over and over, or one line per second.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use super::cluster::{Cluster, ProcessState};
use super::load::LoadReport;
use super::watch::Statuses;
use crate::link::NodeStatus;

/// Everything that is shown at one moment.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) nodes: Statuses,
    pub(super) processes: Vec<ProcessState>,
    pub(super) load: Option<LoadReport>,
    pub(super) rate: u64,
    pub(super) elapsed: Duration,
}

impl Picture {
    /// Term and id of the node that leads in the highest term.
    pub(super) fn leader(&self) -> Option<(u64, u64)> {
        let leaders = self.nodes.iter().zip(1..).filter_map(|(status, id)| {
            let status = status.as_ref().filter(|status| status.role == "leader")?;
            Some((status.term, id))
        });
        leaders.max()
    }

    /// A frame for a terminal with so many columns, drawn over the one before.
    pub(super) fn frame(&self, columns: usize) -> String {
        let mut text = String::from(HOME);
        let line = |text: &mut String, line: &str| {
            // The last column stays free: what follows a character there is up to the terminal.
            text.push_str(&cut(line, columns.saturating_sub(1)));
            text.push_str(CLEAR_TO_LINE_END);
        };
        let headline = match self.leader() {
            Some((term, id)) => format!("{BOLD}node {id} leads in term {term}{PLAIN}"),
            None => format!("{YELLOW}no leader{PLAIN}"),
        };
        let seconds = self.elapsed.as_secs();
        line(&mut text, &format!("  {headline}   {} writes/s   {seconds} s", grouped(self.rate)));
        line(&mut text, "");
        let titles = format!(
            "  {DIM}{:<6}{:<8}{:<12}{:>6}{:>14}{:>14}{:>10}  {:<18}{PLAIN}",
            "node", "pid", "role", "term", "commit", "applied", "keys", "  connect"
        );
        line(&mut text, &titles);
        for ((status, process), id) in self.nodes.iter().zip(&self.processes).zip(1..) {
            line(&mut text, &row(id, status.as_ref(), *process));
        }
        line(&mut text, "");
        if let Some(load) = self.load {
            line(&mut text, &format!("  load: {}", load_words(load)));
        }
        line(&mut text, &format!("  {DIM}{}{PLAIN}", self.hint()));
        text.push_str(CLEAR_BELOW);
        text
    }

    /// One line for a log.
    pub(super) fn line(&self) -> String {
        let mut text = format!("{:>4} s", self.elapsed.as_secs());
        match self.leader() {
            Some((term, id)) => write!(text, "  leader {id}  term {term}"),
            None => write!(text, "  no leader"),
        }
        .expect("text grows");
        write!(text, "  {} writes/s ", self.rate).expect("text grows");
        for ((status, process), id) in self.nodes.iter().zip(&self.processes).zip(1..) {
            match status {
                Some(status) => {
                    let NodeStatus { role, commit, applied, .. } = status;
                    write!(text, " | {id} {role} commit {commit} applied {applied}")
                }
                None => write!(text, " | {id} {}", absence(*process)),
            }
            .expect("text grows");
        }
        if let Some(load) = self.load {
            write!(text, " | {}", load_words(load)).expect("text grows");
        }
        text.push('\n');
        text
    }

    /// What to try next.
    fn hint(&self) -> String {
        let leader = self.leader().and_then(|(_, id)| self.processes.get(usize::try_from(id).ok()? - 1));
        match leader {
            Some(process) => format!("try: kill -9 {}    Ctrl-C ends all", process.pid),
            None => "Ctrl-C ends all".to_owned(),
        }
    }
}

fn row(id: usize, status: Option<&NodeStatus>, process: ProcessState) -> String {
    let ProcessState { pid, port, .. } = process;
    let Some(status) = status else {
        let absence = absence(process);
        return format!("  {RED}{id:<6}{pid:<8}{absence:<12}{PLAIN}{:>44}    127.0.0.1:{port}", "");
    };
    let color = if status.role == "leader" { GREEN } else { PLAIN };
    format!(
        "  {color}{id:<6}{pid:<8}{:<12}{:>6}{:>14}{:>14}{:>10}{PLAIN}    127.0.0.1:{port}",
        status.role,
        status.term,
        grouped(status.commit),
        grouped(status.applied),
        grouped(status.keys)
    )
}

fn absence(process: ProcessState) -> &'static str {
    if process.is_alive { "silent" } else { "down" }
}

fn load_words(load: LoadReport) -> String {
    let LoadReport { acknowledged, refused, unknown, .. } = load;
    format!("{} acknowledged, {refused} refused, {unknown} of unknown outcome", grouped(acknowledged))
}

/// What is printed before the first picture.
pub(super) fn greeting(cluster: &Cluster, dir: &Path, is_live: bool, has_load: bool) -> String {
    let mut text = if is_live { CLEAR_ALL.to_owned() } else { String::new() };
    writeln!(text, "A cluster of three nodes; data and logs are in {}", dir.display()).expect("text grows");
    for process in cluster.processes() {
        writeln!(text, "  redis-cli -p {}    kill -9 {}", process.port, process.pid).expect("text grows");
    }
    if !has_load {
        let port = cluster.ports()[0];
        writeln!(
            text,
            "For load: start with --load, which goes on when a leader dies and counts what fails. This stops at \
             the first\nerror, and a write on its way to a dying leader is answered -UNKNOWN:\n  \
             redis-benchmark -p {port} -t set,get -n 1000000 -r 100000 -P 16"
        )
        .expect("text grows");
    }
    text.push('\n');
    if is_live {
        // The frames begin below.
        text.push_str(SAVE);
    }
    text
}

/// What is printed in the end.
pub(super) fn summary(
    elapsed: Duration,
    operations: u64,
    leader_changes: u32,
    load: Option<&LoadReport>,
) -> String {
    let mut text = format!(
        "\nAfter {:.1} s: {} operations applied, {leader_changes} changes of leader.\n",
        elapsed.as_secs_f64(),
        grouped(operations)
    );
    if let Some(load) = load {
        let verdict = match load.missing {
            0 => "every acknowledged write is there".to_owned(),
            missing => format!("{missing} ACKNOWLEDGED WRITES ARE MISSING"),
        };
        writeln!(text, "Load: {}; {verdict}.", load_words(*load)).expect("text grows");
    }
    text
}

/// The line's first characters, as many as fit; colors take no room and all stay.
fn cut(line: &str, columns: usize) -> String {
    let (mut shown, mut is_color) = (0, false);
    let fits = |c: &char| {
        if is_color || *c == '\x1b' {
            is_color = *c != 'm';
            return true;
        }
        shown += 1;
        shown <= columns
    };
    line.chars().filter(fits).collect()
}

/// A number with spaces between groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group));
    groups.collect::<Vec<_>>().join(" ")
}

const CLEAR_ALL: &str = "\x1b[2J\x1b[H";
const SAVE: &str = "\x1b7";
const HOME: &str = "\x1b8";
const CLEAR_TO_LINE_END: &str = "\x1b[K\n";
const CLEAR_BELOW: &str = "\x1b[J";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        let status = |role: &str, term| {
            Some(NodeStatus { role: role.to_owned(), term, commit: 1_234_567, ..NodeStatus::default() })
        };
        let process = |at: u16| ProcessState { pid: 100 + u32::from(at), port: 7000 + at, is_alive: at != 2 };
        Picture {
            nodes: [status("leader", 2), status("leader", 3), None],
            processes: (0..3).map(process).collect(),
            load: Some(LoadReport { acknowledged: 1000, ..LoadReport::default() }),
            rate: 20_000,
            elapsed: Duration::from_secs(7),
        }
    }

    #[test]
    fn leader_of_the_highest_term_counts() {
        assert_eq!(picture().leader(), Some((3, 2)));
    }

    #[test]
    fn frame_shows_each_node_and_what_to_try() {
        let frame = picture().frame(200);
        for part in
            ["node 2 leads in term 3", "20 000 writes/s", "1 234 567", "down", "kill -9 101", "1 000 ack"]
        {
            assert!(frame.contains(part), "{part} in {frame}");
        }
    }

    #[test]
    fn frame_fits_a_narrow_terminal() {
        let frame = picture().frame(50);
        for line in frame.lines() {
            let visible = line.split('\x1b').enumerate().map(|(at, part)| match part.split_once('m') {
                Some((_, rest)) if at > 0 && part.starts_with('[') && !part.starts_with("[K") => rest,
                _ if at > 0 => "",
                _ => part,
            });
            let columns: usize = visible.map(|part| part.chars().count()).sum();
            assert!(columns < 50, "{columns} in {line:?}");
        }
        assert!(frame.contains("kill -9 101"), "{frame}");
        assert_eq!(cut("\x1b[1mabc\x1b[0m", 2), "\x1b[1mab\x1b[0m");
    }

    #[test]
    fn line_is_one_line_without_colors() {
        let line = picture().line();
        assert!(line.ends_with('\n') && line.matches('\n').count() == 1 && !line.contains('\x1b'), "{line}");
        assert!(line.contains("| 3 down |"), "{line}");
    }
}
