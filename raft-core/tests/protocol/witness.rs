//! Witnesses: voters that keep positions and no payloads, so that two full copies and a small third
//! machine make a group that survives the loss of any one of them.

use raft_core::mem::{MemLog, MemNetwork, MemTransport};
use raft_core::{
    Append, Body, CampaignError, ChangeError, Config, Entries, Entry, EntryKind, Event, LogStore, Member,
    MemberRole, Membership, MembershipChange, MembershipError, Node, Offence, Outcome, ReadError, Refusal,
    StateMachine, TransferError,
};

use crate::support::{
    Cluster, Peer, append, append_reply, at, batch, config, heartbeat, hollow_append, index, node, payload,
    voters, with_witness,
};

fn change() -> MembershipChange {
    MembershipChange::new()
}

/// Full voters 1 and 2 and witness 3; node 1 leads, everybody knows it, nothing is under way.
fn group() -> Cluster {
    group_of(config)
}

fn group_of(config: impl Fn(u64) -> Config) -> Cluster {
    let peers = (1..=3).map(|id| Peer::found(config(id), with_witness(2, 3)));
    let mut cluster = Cluster::from_peers(peers);
    cluster.elect(1);
    cluster
}

/// A leader of this group in term 1 that knows its opening entry, and nothing else, to be everywhere.
fn leader() -> Peer {
    let mut leader = Peer::found(config(1), with_witness(2, 3));
    leader.win(&[2]);
    leader.acknowledge(&[2]);
    leader.acknowledge(&[3]);
    leader.sent.clear();
    leader
}

/// The entries that a node was sent, as kind and index.
fn sent_to(peer: &mut Peer, to: u64) -> Vec<(EntryKind, u64)> {
    let mut sent = Vec::new();
    for body in peer.take_bodies(to) {
        if let Body::Append(append) = body {
            sent.extend(append.batches.entries().map(|entry| (entry.kind, entry.index.get())));
        }
    }
    sent
}

/// All that a node has written, as kind and payload.
fn written(peer: &mut Peer) -> Vec<(EntryKind, Vec<u8>)> {
    let end = peer.written.last().next();
    let batches = peer.written.load(index(1), end, usize::MAX).expect("within the log");
    batches.iter().flat_map(Entries::iter).map(|entry| (entry.kind, entry.payload.to_vec())).collect()
}

/// A witness has every position and counts, but no payload reaches its disk.
#[test]
fn a_witness_has_positions_and_no_payloads() {
    let mut cluster = group();
    cluster.with(1, |peer| peer.propose(b"x"));
    cluster.settle();
    cluster.change(1, &change().domain(node(3), 4));
    cluster.tick(1);
    let kinds = |cluster: &mut Cluster, id| -> Vec<EntryKind> {
        written(cluster.peer(id)).into_iter().map(|(kind, _)| kind).collect()
    };
    assert_eq!(kinds(&mut cluster, 2), [EntryKind::Empty, EntryKind::Command, EntryKind::Membership]);
    assert_eq!(kinds(&mut cluster, 3), [EntryKind::Empty, EntryKind::Hollow, EntryKind::Membership]);
    assert_eq!(written(cluster.peer(3))[1].1, b"");
    assert_eq!(cluster.peer(3).raft.commit(), index(3));
    assert_eq!(cluster.commands(2), [b"x"]);
    assert!(cluster.commands(3).is_empty(), "a witness applies no commands");
    cluster.restart(3);
    assert_eq!(cluster.peer(3).raft.read(), Err(ReadError::Witness));
}

/// What is read from the leader's store for a witness is hollow as well.
#[test]
fn loaded_entries_are_hollow_too() {
    let mut cluster = group_of(|id| {
        let mut config = config(id);
        config.tail_bytes_max = 1;
        config
    });
    cluster.cut(1, 3);
    for _ in 0..20 {
        cluster.with(1, |peer| peer.propose(&[b'x'; 100]));
        cluster.settle();
    }
    cluster.heal();
    cluster.tick(4);
    assert_eq!(cluster.peer(3).raft.last(), at(1, 21));
    let written = written(cluster.peer(3));
    assert!(written[1..].iter().all(|(kind, payload)| *kind == EntryKind::Hollow && payload.is_empty()));
}

/// A witness is sent an entry when the full voters that keep up have it, and not before: neither
/// the leader's copy nor the other one suffices.
#[test]
fn a_witness_is_sent_what_the_full_voters_have() {
    let mut leader = leader();
    leader.is_disk_slow = true;
    leader.propose(b"x");
    assert_eq!(sent_to(&mut leader, 2), [(EntryKind::Command, 2)]);
    leader.hear(2, 1, append_reply(0, 2, 2));
    assert_eq!(sent_to(&mut leader, 3), [], "not durable at the leader");
    leader.sync();
    assert_eq!(sent_to(&mut leader, 3), [(EntryKind::Hollow, 2)]);
    leader.propose(b"y");
    leader.sync();
    leader.hear(2, 1, append_reply(0, 2, 3));
    assert_eq!(sent_to(&mut leader, 3), [], "not durable at node 2");
    leader.hear(2, 1, append_reply(0, 3, 3));
    assert_eq!(sent_to(&mut leader, 3), [(EntryKind::Hollow, 3)]);
}

/// With three full voters and two witnesses the copies are three, as long as all of them keep up.
#[test]
fn as_many_copies_are_waited_for_as_make_a_majority() {
    let full = (1..=4).map(|id| Member::voter(node(id)));
    let membership = Membership::new(full.chain([Member::witness(node(5))]).collect()).expect("valid");
    let mut leader = Peer::found(config(1), membership);
    leader.win(&[2, 3]);
    leader.acknowledge(&[2, 3, 4, 5]);
    leader.propose(b"x");
    leader.sent.clear();
    leader.hear(2, 1, append_reply(0, 2, 2));
    assert_eq!(sent_to(&mut leader, 5), []);
    leader.hear(3, 1, append_reply(0, 2, 2));
    assert_eq!(sent_to(&mut leader, 5), [(EntryKind::Hollow, 2)], "three of five have it");
}

/// Node 1 dies with entries that node 2 never got. Were they on the witness, node 2 could not win,
/// and nobody else can lead.
#[test]
fn whoever_is_left_of_two_full_voters_goes_on() {
    for lost in [1, 2] {
        let mut cluster = group();
        cluster.cut(1, 2);
        cluster.with(1, |peer| peer.propose(b"x"));
        cluster.settle();
        cluster.tick(3);
        assert_eq!(cluster.peer(3).raft.last(), at(1, 1), "the witness waits for node 2");
        cluster.peers.remove(&lost);
        cluster.heal();
        cluster.tick(60);
        let left = 3 - lost;
        assert_eq!(cluster.leader(), Some(left));
        let position = cluster.with(left, |peer| peer.propose(b"y"));
        cluster.settle();
        assert_eq!(cluster.peer(left).raft.commit(), position.index, "node {left} and the witness");
    }
}

/// A full voter that dies, or whose disk hangs although it is heard, is waited for no longer than two
/// election timeouts, with and without check-quorum; then the witness takes its place.
#[test]
fn a_witness_takes_the_place_of_who_does_not_keep_up() {
    for check_quorum in [true, false] {
        for is_dead in [true, false] {
            let mut cluster = group_of(|id| {
                let mut config = config(id);
                config.check_quorum = check_quorum;
                config
            });
            if is_dead {
                cluster.peers.remove(&2);
            } else {
                cluster.peer(2).is_disk_slow = true;
            }
            let first = cluster.with(1, |peer| peer.propose(b"x"));
            cluster.settle();
            assert!(cluster.peer(1).raft.commit() < first.index);
            cluster.tick(20);
            assert_eq!(cluster.peer(1).raft.commit(), first.index, "{check_quorum} {is_dead}");
            let second = cluster.with(1, |peer| peer.propose(b"y"));
            cluster.settle();
            assert_eq!(cluster.peer(1).raft.commit(), second.index, "at once from now on");
        }
    }
}

/// Who comes back is waited for again as soon as it has caught up.
#[test]
fn who_catches_up_is_waited_for_again() {
    let mut cluster = group();
    cluster.partition(&[2]);
    cluster.with(1, |peer| peer.propose(b"x"));
    cluster.settle();
    cluster.tick(20);
    cluster.heal();
    cluster.tick(5);
    let last = cluster.peer(2).raft.last();
    assert_eq!((cluster.peer(1).raft.last(), cluster.peer(3).raft.last()), (last, last));
    cluster.cut(1, 2);
    cluster.with(1, |peer| peer.propose(b"y"));
    cluster.settle();
    assert_eq!(cluster.peer(3).raft.last(), last);
}

/// A new leader knows nothing of the others, so it waits for all full voters at first. Else it could
/// die with its first entry on the witness alone.
#[test]
fn a_new_leader_that_dies_at_once_leaves_an_electable_group() {
    let mut cluster = group();
    cluster.with(1, |peer| peer.transfer(2)).expect("a full voter");
    cluster.settle_but("append");
    assert_eq!(cluster.leader(), Some(2));
    cluster.cut(2, 1);
    cluster.settle();
    cluster.tick(3);
    assert_eq!(cluster.peer(3).raft.last(), at(1, 1));
    cluster.peers.remove(&2);
    cluster.tick(60);
    assert_eq!(cluster.leader(), Some(1));
    assert_eq!(cluster.peer(1).raft.commit(), cluster.peer(1).raft.last().index);
}

/// A witness stands for nothing: not by hand, not by timeout, not if it is told to.
#[test]
fn a_witness_never_campaigns() {
    let mut witness = Peer::found(config(3), with_witness(2, 3));
    assert_eq!(witness.raft.campaign(), Err(CampaignError::Witness));
    witness.hear(1, 1, heartbeat(0, 1));
    witness.hear(1, 1, Body::TimeoutNow);
    witness.tick(100);
    assert!(!witness.take_kinds().iter().any(|(kind, _)| kind.contains("vote")));
    assert!(!CampaignError::Witness.to_string().is_empty());
}

/// Nor is leadership handed to it, not even by a leader that is removed.
#[test]
fn leadership_is_not_handed_to_a_witness() {
    let mut leader = leader();
    assert_eq!(leader.transfer(3), Err(TransferError::Witness(node(3))));
    assert!(!TransferError::Witness(node(3)).to_string().is_empty());
    let mut cluster = group();
    cluster.join(4);
    cluster.change(1, &change().joining_voter(node(4)));
    cluster.change(1, &change().remove(node(1)).remove(node(2)));
    cluster.tick(30);
    assert_eq!(cluster.leader(), Some(4));
}

/// It has no state to read from, and the leader knows, whatever the witness knows of itself.
#[test]
fn a_witness_serves_no_reads() {
    let mut cluster = group();
    assert_eq!(cluster.peer(3).raft.read(), Err(ReadError::Witness));
    assert!(!ReadError::Witness.to_string().is_empty());
    let mut leader = leader();
    leader.hear(3, 1, Body::Read { epoch: 5, request: 1.into() });
    let refused = Body::ReadReply { epoch: 5, request: 1.into(), result: Err(Refusal::Witness) };
    assert_eq!(leader.take_bodies(3), [refused]);
    assert!(!Refusal::Witness.to_string().is_empty());
}

#[derive(Debug)]
struct Count(u64);

impl StateMachine for Count {
    type Output = u64;

    fn apply(&mut self, _entry: &Entry<'_>) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// A witness sends proposals on like any member, but cannot tell what came out: it applies nothing.
#[test]
fn what_a_witness_sends_on_has_no_result() {
    let network = MemNetwork::new();
    let open = |id| {
        let transport = network.join(node(id));
        Node::open(config(id), Some(with_witness(2, 3)), MemLog::new(), transport, Count(0)).expect("founded")
    };
    let mut nodes = [1, 2, 3].map(open);
    let pump = |nodes: &mut [Node<MemLog, MemTransport, Count>; 3]| {
        for _ in 0..20 {
            nodes.iter_mut().for_each(|node| node.pump().expect("memory does not fail"));
        }
    };
    nodes[0].campaign().expect("a full voter");
    pump(&mut nodes);
    let id = nodes[2].propose(b"x").expect("knows the leader");
    pump(&mut nodes);
    nodes[0].tick();
    pump(&mut nodes);
    let events: Vec<_> = std::iter::from_fn(|| nodes[2].poll_event()).collect();
    assert!(events.contains(&Event::Proposed { id, outcome: Outcome::Unknown }), "{events:?}");
    assert_eq!(nodes.map(|node| node.machine().0), [1, 1, 0]);
}

/// What a member lacks it lacks for ever: it turns from a witness into a full member, or back,
/// neither at once nor by being removed and added in one change.
#[test]
fn no_member_turns_from_one_kind_into_the_other() {
    let mut leader = leader();
    let changes = [
        (3, change().voter(node(3))),
        (3, change().learner(node(3))),
        (3, change().joining_voter(node(3))),
        (3, change().remove(node(3)).voter(node(3))),
        (2, change().witness(node(2))),
        (2, change().remove(node(2)).witness(node(2))),
    ];
    for (id, change) in changes {
        let refused = ChangeError::NotConvertible(node(id));
        assert_eq!(leader.change(&change), Err(refused));
        assert!(!refused.to_string().is_empty());
    }
    assert_eq!(leader.change(&change().witness(node(3))), Err(ChangeError::NothingChanges));
    let only = ChangeError::Membership(MembershipError::OnlyWitnesses { outgoing: false });
    assert_eq!(leader.change(&change().remove(node(1)).remove(node(2))), Err(only));
}

/// A new witness is brought up from the beginning of the log, before it knows what it is; one that
/// leaves stays a witness to the end.
#[test]
fn a_witness_comes_and_goes() {
    let mut cluster = Cluster::led(2);
    cluster.with(1, |peer| peer.propose(b"x"));
    cluster.settle();
    cluster.join(3);
    cluster.change(1, &change().witness(node(3)));
    cluster.tick(1);
    assert_eq!(written(cluster.peer(3))[1], (EntryKind::Hollow, Vec::new()));
    assert_eq!(cluster.peer(1).raft.commit(), cluster.peer(3).raft.commit());
    assert!(cluster.peer(3).raft.membership().is_witness(node(3)));
    cluster.change(1, &change().remove(node(3)).stay_joint());
    cluster.tick(1);
    let membership = cluster.peer(3).raft.membership().clone();
    assert_eq!(membership.member(node(3)).map(|member| member.role), Some(MemberRole::LeavingWitness));
    assert!(membership.is_voter(node(3)) && !membership.can_lead(node(3)));
    cluster.with(1, |peer| peer.propose(b"y"));
    cluster.settle();
    assert_eq!(cluster.peer(3).raft.last(), cluster.peer(1).raft.last());
    assert_eq!(cluster.peer(3).raft.offence_count(Offence::PayloadForWitness), 0);
    cluster.with(1, |peer| peer.raft.leave_joint()).expect("joint and settled");
    cluster.with(1, Peer::drain);
    cluster.settle();
    assert_eq!(cluster.peer(1).voters(), (vec![], vec![1, 2]));
}

fn membership_entry(position: raft_core::Position, membership: &Membership) -> Entries {
    Entries::single(position, EntryKind::Membership, &membership.encode()).expect("an entry")
}

fn append_of(prev: raft_core::Position, batches: Vec<Entries>) -> Body {
    let mut all = raft_core::Batches::new();
    batches.into_iter().for_each(|batch| all.push(batch));
    Body::Append(Append { prev, commit: index(0), round: 0, batches: all })
}

/// A full member takes nothing hollow: what came before it in the same message is there, the rest is
/// dropped, and nothing is acknowledged.
#[test]
fn a_full_member_takes_nothing_hollow() {
    let mut follower = Peer::voter(1, 3);
    follower.hear(2, 1, append_of(at(0, 0), vec![batch(1, 1, 1), batch(1, 2, 2).into_hollow()]));
    assert_eq!(follower.raft.last(), at(1, 1));
    assert_eq!(follower.raft.offence_count(Offence::HollowForFullMember), 1);
    assert!(!follower.take_kinds().iter().any(|(kind, _)| *kind == "append reply"));
    follower.hear(2, 1, append(at(0, 0), 0, &[1, 1, 1]));
    assert_eq!(follower.raft.last(), at(1, 3));
}

/// A newcomer was to be a full member, as a leader had it that did not get that committed. The next
/// leader takes it in as a witness: the old place is cut off before the new entries are judged.
#[test]
fn a_place_that_was_cut_off_is_not_held_against_the_next_leader() {
    let mut newcomer = Peer::join(config(3));
    let full = membership_entry(at(1, 2), &voters(3));
    newcomer.hear(1, 1, append_of(at(0, 0), vec![batch(1, 1, 1), full]));
    assert!(newcomer.raft.membership().can_lead(node(3)));
    let witness = membership_entry(at(2, 3), &with_witness(2, 3));
    newcomer.hear(2, 2, append_of(at(1, 1), vec![batch(2, 2, 1).into_hollow(), witness]));
    assert_eq!(newcomer.raft.last(), at(2, 3));
    assert!(newcomer.raft.membership().is_witness(node(3)));
}

/// A leader that does not know that this log is hollow makes a full member of it. It takes no
/// payload, does not campaign and serves no reads, also after a restart: its id is spent.
#[test]
fn a_hollow_log_makes_no_full_member() {
    let mut spent = Peer::join(config(3));
    spent.hear(1, 1, hollow_append(at(0, 0), 0, &[1]));
    let full = membership_entry(at(1, 2), &voters(3));
    spent.hear(1, 1, append_of(at(1, 1), vec![full]));
    for _ in 0..2 {
        assert_eq!(spent.raft.campaign(), Err(CampaignError::Witness));
        assert_eq!(spent.raft.read(), Err(ReadError::Witness));
        spent.hear(1, 1, append(at(1, 2), 0, &[1]));
        spent.hear(1, 1, hollow_append(at(1, 2), 0, &[1]));
        assert_eq!(spent.raft.last(), at(1, 2));
        assert_eq!(spent.raft.offence_count(Offence::PayloadForWitness), 1);
        assert_eq!(spent.raft.offence_count(Offence::HollowForFullMember), 1);
        spent.restart();
    }
    // If what was hollow is cut off, nothing is missing any more.
    spent.hear(2, 2, append(at(0, 0), 0, &[2, 2]));
    assert_eq!(spent.raft.last(), at(2, 2));
    assert_eq!(written(&mut spent)[0], (EntryKind::Command, payload(at(2, 1))));
}
