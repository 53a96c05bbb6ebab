//! Other settings while a node runs, and forwarding switched off.

use raft_core::mem::{MemLog, MemNetwork};
use raft_core::{
    Action, Body, Config, ConfigError, Entry, Event, Member, Membership, Node, ProposeError, RoleName,
    StateMachine, StepDown,
};

use crate::support::{
    Cluster, Peer, append, append_reply, at, carries_entries, config, ends_at, heartbeat, heartbeat_reply,
    index, node, voters,
};

type Change = fn(&mut Config);

/// A leader of three in term 1 whose opening entry is committed.
fn leader() -> Peer {
    let mut leader = Peer::voter(1, 3);
    leader.win(&[2]);
    leader.acknowledge(&[2, 3]);
    leader.sent.clear();
    leader
}

fn update(peer: &mut Peer, change: impl FnOnce(&mut Config)) {
    peer.raft.update_config(change).expect("acceptable");
    peer.drain();
}

/// What may not change, and what would be out of its bounds, is refused with everything else that
/// was asked for at the same time.
#[test]
fn settings_change_together_or_not_at_all() {
    let refused: [(Change, ConfigError); 5] = [
        (|c| c.id = node(2), ConfigError::Fixed("id")),
        (|c| c.id = node(0), ConfigError::Id),
        (|c| c.seed += 1, ConfigError::Fixed("seed")),
        (|c| c.apply_bytes_max = 0, ConfigError::ZeroLimit("apply_bytes_max")),
        (|c| c.election_timeout_ticks_max = 9, ConfigError::ElectionTimeoutMax),
    ];
    for (change, error) in refused {
        let mut peer = leader();
        let before = peer.raft.config().clone();
        let result = peer.raft.update_config(|config| {
            config.priority = 3;
            config.append_bytes_max = 5;
            change(config);
        });
        assert_eq!((result, peer.raft.config()), (Err(error), &before));
        assert_eq!(peer.raft.poll_action(), None);
        assert!(!error.to_string().is_empty());
    }
}

/// Whether this change is refused, and by which setting, while leases are given.
#[test]
fn changes_that_could_break_a_lease_are_refused() {
    let changes: [(Change, Option<&str>); 8] = [
        (|c| c.read_lease_ticks = 4, None),
        (|c| c.election_timeout_ticks_max = 10, None),
        (|c| (c.election_timeout_ticks_min, c.election_timeout_ticks_max) = (30, 40), None),
        (|c| c.read_lease_ticks = 6, Some("read_lease_ticks")),
        (|c| c.read_lease_ticks = 0, Some("read_lease_ticks")),
        (|c| (c.read_lease_ticks, c.check_quorum) = (0, false), Some("read_lease_ticks")),
        (|c| c.election_timeout_ticks_min = 9, Some("election_timeout_ticks_min")),
        (|c| (c.election_timeout_ticks_min, c.read_lease_ticks) = (8, 1), Some("election_timeout_ticks_min")),
    ];
    for (change, refusal) in changes {
        let mut config = config(1);
        config.read_lease_ticks = 5;
        let mut peer = Peer::found(config, voters(3));
        let error = refusal.map(ConfigError::LeaseGiven);
        assert_eq!(peer.raft.update_config(change).err(), error);
        assert!(error.is_none_or(|error| !error.to_string().is_empty()));
    }
    let mut without = leader();
    let switched_on = without.raft.update_config(|config| config.read_lease_ticks = 5);
    assert_eq!(
        switched_on,
        Err(ConfigError::LeaseGiven("read_lease_ticks")),
        "the others know nothing of it"
    );
    without.raft.update_config(|config| config.election_timeout_ticks_min = 5).expect("no lease to break");
}

/// A window that becomes narrower takes nothing back and sends nothing until there is room; one that
/// becomes wider is used at once.
#[test]
fn a_window_changes_under_way() {
    let mut leader = leader();
    for _ in 0..4 {
        leader.propose(b"x");
    }
    assert_eq!(leader.progress(2).inflight_messages, 4);
    update(&mut leader, |config| config.inflight_messages_max = 2);
    leader.sent.clear();
    leader.propose(b"x");
    leader.propose(b"x");
    leader.hear(2, 1, append_reply(0, 3, 3));
    assert_eq!(leader.take_kinds(), [], "two are still under way");
    leader.hear(2, 1, append_reply(0, 4, 4));
    let sent = leader.take(carries_entries);
    assert_eq!(sent.len(), 1);
    assert!(matches!(&sent[0].body, Body::Append(append) if ends_at(&append.batches) == 7));
    update(&mut leader, |config| config.inflight_messages_max = 100);
    assert_eq!(leader.take(carries_entries).len(), 1, "node 3 has acknowledged nothing and gets the rest");
}

/// Sizes: what is already there stays, what is new is measured anew.
#[test]
fn limits_of_proposals_change() {
    let mut leader = leader();
    leader.propose(&[0; 50]);
    update(&mut leader, |config| (config.entry_bytes_max, config.proposals_bytes_max) = (8, 20));
    assert_eq!(leader.raft.propose(&[0; 9]), Err(ProposeError::TooLarge { bytes_max: 8 }));
    assert_eq!(leader.raft.propose(&[0; 8]), Err(ProposeError::Busy { bytes_max: 20 }));
    leader.acknowledge(&[2]);
    leader.propose(&[0; 8]);
}

/// Fewer failure domains may be enough for what waits already.
#[test]
fn entries_that_waited_for_another_domain_commit() {
    let members = [(1, 7), (2, 7), (3, 8)].map(|(id, domain)| Member { domain, ..Member::voter(node(id)) });
    let mut config = config(1);
    config.commit_domains_min = 2;
    let mut leader = Peer::found(config, Membership::new(members.to_vec()).expect("a membership"));
    leader.win(&[2]);
    leader.acknowledge(&[2]);
    assert_eq!(leader.raft.commit(), index(0));
    update(&mut leader, |config| config.commit_domains_min = 1);
    assert_eq!(leader.raft.commit(), index(1));
    update(&mut leader, |config| config.commit_domains_min = 2);
    assert_eq!(leader.raft.commit(), index(1), "what is committed stays so");
}

/// Times count from when the waiting began.
#[test]
fn timeouts_change_while_they_run() {
    let heard = || {
        let mut follower = Peer::voter(2, 3);
        follower.hear(1, 1, heartbeat(0, 1));
        follower.tick(9);
        follower
    };
    let mut shorter = heard();
    update(&mut shorter, |config| {
        (config.election_timeout_ticks_min, config.election_timeout_ticks_max) = (3, 6);
    });
    assert_eq!(shorter.role(), RoleName::PreCandidate, "it is late already");
    let mut longer = heard();
    update(&mut longer, |config| {
        (config.election_timeout_ticks_min, config.election_timeout_ticks_max) = (30, 31);
    });
    longer.tick(20);
    assert_eq!((longer.role(), longer.raft.leader()), (RoleName::Follower, Some(node(1))));
    longer.tick(2);
    assert_eq!(longer.role(), RoleName::PreCandidate);

    let mut leader = leader();
    update(&mut leader, |config| config.heartbeat_ticks = 5);
    leader.tick(4);
    assert_eq!(leader.take_kinds(), []);
    update(&mut leader, |config| config.heartbeat_ticks = 3);
    assert_eq!(leader.take_kinds(), [("heartbeat", 2), ("heartbeat", 3)]);
}

/// F25: with less patience, a disk may be stalled now.
#[test]
fn a_disk_may_be_stalled_by_a_shorter_timeout() {
    let mut leader = leader();
    leader.is_disk_slow = true;
    leader.propose(b"x");
    for _ in 0..8 {
        leader.tick(1);
        leader.hear(2, 1, heartbeat_reply(0, 2, 2));
    }
    assert!(leader.raft.is_leader());
    update(&mut leader, |config| config.election_timeout_ticks_min = 5);
    assert!(!leader.raft.is_leader());
    let stalled = |notice: &raft_core::Notice| {
        matches!(notice, raft_core::Notice::SteppedDown { cause: StepDown::DiskStalled, .. })
    };
    assert!(leader.has_noticed(stalled));
    assert!(leader.has_noticed(|notice| *notice == raft_core::Notice::DiskStalled));
}

/// D1: with other settings, many ticks at once are still the same as one after the other.
#[test]
fn ticks_may_be_taken_together_after_a_change() {
    let changes: [Change; 4] = [
        |c| c.heartbeat_ticks = 7,
        |c| c.election_timeout_ticks_min = 3,
        |c| (c.election_timeout_ticks_min, c.election_timeout_ticks_max) = (50, 90),
        |c| c.proposal_timeout_ticks = 2,
    ];
    let mut asking = Peer::voter(2, 3);
    asking.hear(1, 1, heartbeat(0, 1));
    asking.raft.forward(b"x").expect("a leader is known");
    asking.drain();
    for mut peer in [leader(), asking, Peer::voter(3, 3)] {
        peer.tick(4);
        for change in changes {
            let (mut together, mut singly) = (peer.clone(), peer.clone());
            for peer in [&mut together, &mut singly] {
                update(peer, change);
            }
            let due = singly.raft.ticks_until_due();
            for ticks in [1, due, 40] {
                together.raft.tick_many(ticks);
                (0..ticks).for_each(|_| singly.raft.tick());
                let actions = |peer: &mut Peer| -> Vec<Action> {
                    std::iter::from_fn(|| peer.raft.poll_action()).collect()
                };
                assert_eq!(actions(&mut together), actions(&mut singly), "{ticks} ticks of {peer:?}");
            }
        }
    }
}

/// Whether it asks first, and what it claims, is decided when it campaigns.
#[test]
fn the_next_campaign_goes_by_the_new_settings() {
    let mut peer = Peer::voter(1, 3);
    update(&mut peer, |config| (config.pre_vote, config.priority) = (false, 7));
    peer.campaign();
    let asked = peer.take_bodies(2);
    assert!(matches!(&asked[..], [Body::Vote(vote)] if vote.priority == 7), "{asked:?}");
}

/// Whether a leader that hears nobody leads on.
#[test]
fn the_quorum_check_can_be_switched() {
    let mut leader = leader();
    update(&mut leader, |config| config.check_quorum = false);
    leader.tick(50);
    assert!(leader.raft.is_leader());
    update(&mut leader, |config| config.check_quorum = true);
    leader.tick(10);
    assert!(!leader.raft.is_leader());
}

/// A node that sends nothing on says so; what it had taken before goes on its way.
#[test]
fn forwarding_can_be_switched_off() {
    let mut follower = Peer::voter(2, 3);
    follower.hear(1, 1, append(at(0, 0), 0, &[1]));
    follower.raft.forward(b"before").expect("a leader is known");
    follower.raft.update_config(|config| config.forward_proposals = false).expect("acceptable");
    assert_eq!(follower.raft.forward(b"after"), Err(ProposeError::ForwardingOff));
    follower.drain();
    let sent = follower.take(|message| matches!(&message.body, Body::Propose { .. }));
    assert_eq!(sent.len(), 1);
    update(&mut follower, |config| config.forward_proposals = true);
    follower.raft.forward(b"again").expect("a leader is known");
}

/// Whether to send on is for each member to decide; a leader takes what others sent on.
#[test]
fn a_leader_that_does_not_forward_takes_what_others_do() {
    let mut cluster = Cluster::led(3);
    cluster.tick(1);
    update(cluster.peer(1), |config| config.forward_proposals = false);
    cluster.peer(2).raft.forward(b"x").expect("a leader is known");
    cluster.with(2, Peer::drain);
    cluster.settle();
    assert_eq!(cluster.commands(1), [b"x"]);
}

struct Nothing;

impl StateMachine for Nothing {
    type Output = ();

    fn apply(&mut self, _: &Entry<'_>) {}
}

/// A node tells its clients who leads, if it does not forward; and changes settings, and takes ticks
/// together, as the state machine below it does.
#[test]
fn a_node_without_forwarding_names_the_leader() {
    let network = MemNetwork::new();
    let mut nodes: Vec<_> = (1..=2)
        .map(|id| Node::open(config(id), Some(voters(2)), MemLog::new(), network.join(node(id)), Nothing))
        .map(|node| node.expect("founded"))
        .collect();
    nodes[0].campaign().expect("a voter");
    let settle = |nodes: &mut [Node<_, _, _>]| {
        for _ in 0..10 {
            nodes.iter_mut().for_each(|node| node.pump().expect("works"));
        }
    };
    settle(&mut nodes);
    let id = nodes[1].propose(b"forwarded").expect("a leader is known");
    nodes[1].update_config(|config| config.forward_proposals = false).expect("acceptable");
    assert_eq!(nodes[1].propose(b"x").err(), Some(ProposeError::NotLeader { leader: node(1) }));
    assert_eq!(nodes[1].update_config(|config| config.seed = 1), Err(ConfigError::Fixed("seed")));

    // Nobody answers, so in the end the outcome of the first one is unknown.
    nodes[1].update_config(|config| config.proposal_timeout_ticks = 8).expect("acceptable");
    nodes[1].tick_many(9);
    let unknown = Event::Proposed { id, outcome: raft_core::Outcome::Unknown };
    assert!(std::iter::from_fn(|| nodes[1].poll_event()).any(|event| event == unknown));
}
