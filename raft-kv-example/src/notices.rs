//! What happens to a node, as lines of its log.

use raft_core::{Notice, RoleName, Term};
use slog::{Logger, debug, error, info, warn};

/// Writes notices down, each as severe as it is.
#[derive(Debug)]
pub(crate) struct NoticeLog {
    log: Logger,
    /// The term in which a campaign has been written down that led to nothing yet.
    campaigned_in: Option<Term>,
}

impl NoticeLog {
    pub(crate) fn new(log: Logger) -> Self {
        Self { log, campaigned_in: None }
    }

    /// Writes down what happened.
    pub(crate) fn write(&mut self, notice: Notice) {
        let log = &self.log;
        match notice {
            Notice::Role { role, term } => self.write_role(role, term),
            Notice::Leader { leader, term } => {
                self.campaigned_in = None;
                info!(log, "leader"; "leader" => leader.get(), "term" => term.get());
            }
            Notice::SteppedDown { cause, term } => {
                warn!(log, "stepped down"; "cause" => ?cause, "term" => term.get());
            }
            Notice::Truncated { from, last } => {
                info!(log, "entries gave way to another leader's"; "from" => from.get(), "last" => %last);
            }
            Notice::Offended { from, offence } => {
                warn!(log, "dropped a message"; "from" => from.get(), "offence" => %offence);
            }
            Notice::PeerRegressed { peer, acknowledged, reported } => error!(
                log, "a peer has lost what it acknowledged; let it return under a new id";
                "peer" => peer.get(), "acknowledged" => acknowledged.get(), "reported" => reported.get()
            ),
            Notice::DiskStalled => warn!(log, "the disk does not answer"),
            Notice::SnapshotTaken { last } => info!(log, "snapshot taken"; "last" => %last),
            Notice::SnapshotFailed { last } => {
                warn!(log, "a snapshot could not be stored; it is tried again"; "last" => %last);
            }
            Notice::SnapshotSending { to, last } => {
                info!(log, "sending a snapshot"; "to" => to.get(), "last" => %last);
            }
            Notice::SnapshotInstalled { last } => {
                info!(log, "the leader's snapshot is in force"; "last" => %last);
            }
            Notice::Compacted { mark } => info!(log, "log compacted"; "mark" => %mark),
            other => info!(log, "notice"; "what" => ?other),
        }
    }

    /// A node that nobody elects or leads asks again with each election timeout, perhaps for days; the
    /// first time says it all.
    fn write_role(&mut self, role: RoleName, term: Term) {
        let is_repeated = match role {
            RoleName::PreCandidate => self.campaigned_in.replace(term) == Some(term),
            RoleName::Follower => self.campaigned_in == Some(term),
            RoleName::Candidate | RoleName::Leader => {
                self.campaigned_in = None;
                false
            }
        };
        if is_repeated {
            debug!(self.log, "role"; "role" => %role, "term" => term.get());
        } else {
            info!(self.log, "role"; "role" => %role, "term" => term.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use raft_core::NodeId;
    use slog::{Drain, Level};

    use super::*;

    /// A log whose lines for operators are counted.
    fn counted() -> (NoticeLog, Arc<AtomicU32>) {
        let count = Arc::new(AtomicU32::new(0));
        let drain = CountDrain(Arc::clone(&count)).filter_level(Level::Info).ignore_res();
        (NoticeLog::new(Logger::root(drain, slog::o!())), count)
    }

    struct CountDrain(Arc<AtomicU32>);

    impl Drain for CountDrain {
        type Ok = ();
        type Err = slog::Never;

        fn log(&self, _: &slog::Record<'_>, _: &slog::OwnedKVList) -> Result<(), slog::Never> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }

    #[test]
    fn vain_campaigns_are_written_down_once_until_something_comes_of_one() {
        let (mut notices, count) = counted();
        let role = |role, term| Notice::Role { role, term: Term::new(term) };
        let mut lines = |notice| {
            notices.write(notice);
            count.swap(0, Ordering::Relaxed)
        };
        assert_eq!(lines(role(RoleName::Follower, 3)), 1);
        assert_eq!(lines(role(RoleName::PreCandidate, 3)), 1);
        for _ in 0..10 {
            assert_eq!(lines(role(RoleName::Follower, 3)), 0);
            assert_eq!(lines(role(RoleName::PreCandidate, 3)), 0);
        }
        assert_eq!(lines(role(RoleName::Follower, 4)), 1, "another term is news");
        assert_eq!(lines(Notice::Leader { leader: NodeId::new(2), term: Term::new(4) }), 1);
        assert_eq!(lines(role(RoleName::PreCandidate, 4)), 1);
        assert_eq!(lines(role(RoleName::Candidate, 5)), 1);
        assert_eq!(lines(role(RoleName::PreCandidate, 5)), 1, "that one was lost");
    }
}
