//! Every way of refusing to start or to run, each with a text of its own.

use std::error::Error as _;

use raft_core::mem::{MemLog, MemLogError, MemNetwork};
use raft_core::{
    Action, CampaignError, Config, ConfigError, Entries, Entry, EntryKind, Event, HardState, LoadError,
    LogStore, Membership, MembershipError, Node, NodeError, Outcome, Persist, PersistId, Position,
    ProposeError, Raft, ReadError, Recovered, RestoreError, Run, SnapshotMark, StartError, StateMachine,
};

use crate::support::{Peer, Shelf, append, at, batch, config, index, new_log, node, term, vote, voters};

/// Breaks one setting.
type Change = fn(&mut Config);

/// Every limit must be at least one, and the error names it.
#[test]
fn every_setting_has_bounds() {
    let broken = |change: Change| {
        let mut config = config(1);
        change(&mut config);
        Raft::found(config, voters(1)).map(drop).expect_err("out of bounds")
    };
    let limits: [(Change, &str); 13] = [
        (|c| c.commit_domains_min = 0, "commit_domains_min"),
        (|c| c.entry_bytes_max = 0, "entry_bytes_max"),
        (|c| c.append_bytes_max = 0, "append_bytes_max"),
        (|c| c.inflight_messages_max = 0, "inflight_messages_max"),
        (|c| c.inflight_bytes_max = 0, "inflight_bytes_max"),
        (|c| c.proposals_bytes_max = 0, "proposals_bytes_max"),
        (|c| c.forward_bytes_max = 0, "forward_bytes_max"),
        (|c| c.read_rounds_max = 0, "read_rounds_max"),
        (|c| c.apply_bytes_max = 0, "apply_bytes_max"),
        (|c| c.proposal_timeout_ticks = 0, "proposal_timeout_ticks"),
        (|c| c.snapshot_chunk_bytes = 0, "snapshot_chunk_bytes"),
        (|c| c.snapshot_chunks_max = 0, "snapshot_chunks_max"),
        (|c| c.tail_bytes_max = 0, "tail_bytes_max"),
    ];
    for (change, name) in limits {
        let error = broken(change);
        assert_eq!(error, ConfigError::ZeroLimit(name));
        assert!(error.to_string().contains(name));
    }
    let others: [(Change, ConfigError); 9] = [
        (|c| c.id = node(0), ConfigError::Id),
        (|c| c.id = node(u64::MAX), ConfigError::Id),
        (|c| c.heartbeat_ticks = 0, ConfigError::HeartbeatTicks),
        (|c| c.election_timeout_ticks_min = 1, ConfigError::ElectionTimeoutMin),
        (|c| c.election_timeout_ticks_max = 5, ConfigError::ElectionTimeoutMax),
        (|c| c.election_timeout_ticks_max = u32::MAX, ConfigError::ElectionTimeoutMax),
        (|c| (c.read_lease_ticks, c.check_quorum) = (5, false), ConfigError::LeaseWithoutCheckQuorum),
        (|c| c.read_lease_ticks = 9, ConfigError::LeaseTooLong),
        (|c| c.read_lease_ticks = u32::MAX, ConfigError::LeaseTooLong),
    ];
    for (change, error) in others {
        assert_eq!(broken(change), error);
        assert!(!error.to_string().is_empty());
    }
}

fn recovered(hard: (u64, u64), runs: &[(u64, u64, u64)]) -> Recovered {
    let run = |(first, last, term): &(u64, u64, u64)| Run {
        first: index(*first),
        last: index(*last),
        term: raft_core::Term::new(*term),
        kind: EntryKind::Command,
    };
    Recovered {
        hard_state: HardState { term: term(hard.0), vote: None, commit: index(hard.1) },
        mark: Some(SnapshotMark { last: Position::ZERO, membership: voters(3) }),
        runs: runs.iter().map(run).collect(),
    }
}

/// F17, S106: what cannot be a node's past is refused, and why.
#[test]
fn a_node_does_not_start_from_what_cannot_be_its_past() {
    let order = |at| RestoreError::LogOrder { at: index(at) };
    let beyond = RestoreError::CommitOutsideLog { commit: index(4), last: index(3) };
    let cases = [
        (Recovered::default(), RestoreError::NotInitialised),
        (recovered((3, 0), &[(2, 3, 1)]), order(2)),
        (recovered((3, 0), &[(1, 3, 1), (3, 4, 2)]), order(3)),
        (recovered((3, 0), &[(1, 3, 2), (4, 4, 1)]), order(4)),
        (recovered((3, 0), &[(1, 0, 1)]), order(1)),
        (recovered((1, 0), &[(1, 3, 2)]), RestoreError::TermBehindLog),
        (recovered((2, 4), &[(1, 3, 2)]), beyond),
    ];
    for (past, error) in cases {
        let refused = Raft::restore(config(1), past, None, Vec::new()).map(drop).expect_err("no past");
        assert_eq!(refused, StartError::Restore(error));
        assert!(!refused.to_string().is_empty() && !error.to_string().is_empty());
        assert!(refused.source().is_some());
    }
    let mut bad = config(1);
    bad.heartbeat_ticks = 0;
    let refused = Raft::restore(bad, recovered((0, 0), &[]), None, Vec::new()).map(drop).expect_err("bad");
    assert_eq!(refused, StartError::Config(ConfigError::HeartbeatTicks));
    assert!(!refused.to_string().is_empty() && refused.source().is_some());
}

/// A membership that the log holds is in force after a restart.
#[test]
fn a_restart_finds_the_membership_of_the_log() {
    let past = recovered((1, 0), &[(1, 2, 1)]);
    let raft = Raft::restore(config(1), past, None, vec![(index(2), voters(5))]).expect("a past");
    assert_eq!(raft.membership(), &voters(5));
}

/// S92, S10: campaigns by hand are refused with the reason.
#[test]
fn campaigns_are_refused_with_the_reason() {
    let mut leader = Peer::voter(1, 1);
    leader.win(&[]);
    assert_eq!(leader.raft.campaign(), Err(CampaignError::Leading));
    let mut stranger = Peer::found(config(9), voters(3));
    assert_eq!(stranger.raft.campaign(), Err(CampaignError::NotVoter));
    let mut stalled = Peer::voter(1, 3);
    stalled.is_disk_slow = true;
    stalled.hear(2, 1, append(at(0, 0), 0, &[1]));
    stalled.tick(10);
    assert_eq!(stalled.raft.campaign(), Err(CampaignError::DiskStalled));
    stalled.tick(100);
    assert!(!stalled.take_kinds().iter().any(|(kind, _)| kind.contains("vote")), "nor by itself");
    for error in [CampaignError::Leading, CampaignError::NotVoter, CampaignError::DiskStalled] {
        assert!(!error.to_string().is_empty());
    }
    let texts = [
        ProposeError::NoLeader.to_string(),
        ProposeError::NotLeader { leader: node(1) }.to_string(),
        ProposeError::ForwardingOff.to_string(),
        ProposeError::Busy { bytes_max: 1 }.to_string(),
        ProposeError::TooLarge { bytes_max: 1 }.to_string(),
        ReadError::NoLeader.to_string(),
        LoadError::WrongEntries { first: index(1) }.to_string(),
        LoadError::WrongTerm { at: index(1) }.to_string(),
    ];
    assert!(texts.iter().all(|text| !text.is_empty()));
}

/// Nothing changes when an input is refused: the node goes on as if it had not been asked.
#[test]
fn a_refused_input_changes_nothing() {
    let mut node = Peer::voter(1, 3);
    let before = format!("{:?}", node.raft);
    assert!(
        node.raft.propose(b"x").is_err() && node.raft.forward(b"x").is_err() && node.raft.read().is_err()
    );
    assert_eq!(node.raft.poll_action(), None);
    assert_eq!(format!("{:?}", node.raft), before);
    node.hear(2, 1, raft_core::Body::Vote(vote(1, at(0, 0))));
    assert_ne!(format!("{:?}", node.raft), before);
}

/// F9: the in-memory log refuses what does not follow, and what is not there.
#[test]
fn the_log_in_memory_refuses_gaps() {
    let mut log = MemLog::new();
    let request = |first| Persist {
        id: PersistId::new(1),
        mark: None,
        truncate_from: None,
        entries: batch(1, first, 2).into(),
        hard_state: None,
    };
    assert_eq!(log.persist(request(2)), Err(MemLogError::Gap { first: index(2) }));
    log.persist(request(1)).expect("follows");
    assert_eq!(log.load(index(3), index(4), 100), Err(MemLogError::Missing { first: index(3) }));
    assert_eq!(log.load(index(1), index(3), 100), Ok(vec![batch(1, 1, 2)]));
    for error in [MemLogError::Gap { first: index(2) }, MemLogError::Missing { first: index(3) }] {
        assert!(!error.to_string().is_empty());
    }
}

struct Echo;

impl StateMachine for Echo {
    type Output = Vec<u8>;

    fn apply(&mut self, entry: &Entry<'_>) -> Vec<u8> {
        entry.payload.to_vec()
    }
}

type Founded = Result<Node<Shelf, raft_core::mem::MemTransport, Echo>, NodeError<MemLogError>>;

fn open(store: Shelf, founders: Option<Membership>) -> Founded {
    Node::open(config(1), founders, store, MemNetwork::new().join(node(1)), Echo)
}

/// A store with one committed entry of a kind, behind the mark.
fn written(kind: EntryKind, payload: &[u8]) -> Shelf {
    let mut broken = Shelf::default();
    let request = Persist {
        id: PersistId::new(1),
        mark: Some(new_log(Position::ZERO, voters(1))),
        truncate_from: None,
        entries: Entries::single(at(1, 1), kind, payload).expect("an entry").into(),
        hard_state: Some(HardState { term: term(1), vote: None, commit: index(1) }),
    };
    broken.log.persist(request).expect("an empty log");
    broken
}

/// S106: a node that cannot start says why.
#[test]
fn a_node_that_cannot_start_says_why() {
    let refused = open(Shelf::default(), None).map(drop).expect_err("nothing was founded");
    assert!(matches!(&refused, NodeError::Start(StartError::Restore(RestoreError::NotInitialised))));
    assert!(!refused.to_string().is_empty() && refused.source().is_some());

    let store = written(EntryKind::Membership, b"\xff");
    let refused = open(store, None).map(drop).expect_err("no membership");
    let source = MembershipError::Malformed;
    let error = RestoreError::Membership { at: index(1), source };
    assert!(matches!(&refused, NodeError::Start(StartError::Restore(is)) if *is == error));
    assert!(error.source().is_some() && !error.to_string().is_empty());
}

/// F9, F13: after an error of its store a node takes nothing more.
#[test]
fn a_node_whose_store_fails_stops_for_good() {
    let store = Shelf { fails: true, ..Shelf::default() };
    let mut node = open(store, Some(voters(1))).expect("recovered");
    let refused = node.pump().expect_err("the founding cannot be written");
    assert!(matches!(refused, NodeError::Store(MemLogError::Gap { .. })), "{refused}");
    let refused = node.pump().expect_err("stopped");
    assert!(matches!(refused, NodeError::Stopped) && !refused.to_string().is_empty());

    let store = Shelf { lies: true, ..written(EntryKind::Command, b"x") };
    let mut node = open(store, None).expect("recovered");
    let refused = node.pump().expect_err("S109: made-up entries are not applied");
    assert!(matches!(refused, NodeError::Load(LoadError::WrongTerm { .. })), "{refused}");
    assert!(matches!(node.pump(), Err(NodeError::Stopped)));
}

/// The result goes to whoever proposed; actions that nobody has to carry out come as events.
#[test]
fn a_node_answers_proposals_and_reads() {
    let mut node = open(Shelf::default(), Some(voters(1))).expect("founded");
    node.campaign().expect("the only voter");
    node.pump().expect("works");
    let id = node.propose(b"x").expect("leads");
    let read = node.read().expect("leads");
    node.pump().expect("works");
    let events: Vec<_> = std::iter::from_fn(|| node.poll_event()).collect();
    assert!(events.contains(&Event::Proposed { id, outcome: Outcome::Applied(b"x".to_vec()) }));
    assert!(events.contains(&Event::ReadReady { up_to: read }));
    let action = Action::ReadRefused { up_to: read };
    assert_eq!(action.clone(), action);
}
