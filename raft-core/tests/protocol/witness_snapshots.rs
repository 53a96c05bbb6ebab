//! Snapshots of witnesses, which have no state: positions and the membership are all there is to them.

use raft_core::mem::{MemLog, MemNetwork};
use raft_core::{
    Entry, Member, Membership, MembershipChange, Node, Offence, Position, ReadError, SnapshotMeta,
    SnapshotStore, StateMachine,
};

use crate::support::{
    Cluster, Peer, append, at, chunk, config, heartbeat, node, small, snapshot_meta, with_witness,
};

/// Full voters 1 and 2 and witness 3 with small limits; node 1 leads.
fn group() -> Cluster {
    let mut cluster = Cluster::from_peers((1..=3).map(|id| Peer::found(small(id), with_witness(2, 3))));
    cluster.elect(1);
    cluster
}

/// Node 1 leads on without a node that cannot hear it, and forgets what that one lacks.
fn leave_behind(cluster: &mut Cluster, id: u64) {
    cluster.partition(&[id]);
    // So long that the leader no longer waits for it.
    cluster.tick(40);
    cluster.fill(20);
    cluster.settle();
    assert!(cluster.peer(1).status().mark.index > cluster.peer(id).raft.last().index);
    cluster.heal();
    cluster.tick(40);
}

fn snapshot_of(peer: &Peer) -> SnapshotMeta {
    peer.durable.snapshot().expect("a snapshot").clone()
}

#[test]
fn a_witness_that_is_far_behind_is_sent_positions_and_no_state() {
    let mut cluster = group();
    leave_behind(&mut cluster, 3);
    let (leaders, own) = (snapshot_of(cluster.peer(1)), snapshot_of(cluster.peer(3)));
    assert!(own.is_hollow && own.size == 0 && !leaders.is_hollow && leaders.size > 0);
    assert_eq!((own.last, own.membership), (leaders.last, leaders.membership));
    assert_eq!(cluster.peer(3).raft.last(), cluster.peer(1).raft.last());
    assert_eq!(cluster.peer(3).raft.commit(), cluster.peer(1).raft.commit());
}

#[test]
fn a_full_member_that_is_far_behind_is_sent_the_state_beside_a_witness() {
    let mut cluster = group();
    leave_behind(&mut cluster, 2);
    assert!(!snapshot_of(cluster.peer(2)).is_hollow);
    let leader = cluster.leader().expect("one leads");
    cluster.assert_caught_up(leader);
}

/// Even one that asks for it. Once it was sent the whole state, which it refused for ever.
#[test]
fn a_witness_that_asks_for_a_snapshot_is_sent_no_state() {
    let mut cluster = group();
    cluster.fill(20);
    cluster.settle();
    cluster.with(3, Peer::request_snapshot);
    cluster.tick(40);
    assert!(snapshot_of(cluster.peer(3)).is_hollow);
    assert!(!cluster.peer(3).status().awaits_snapshot);
    cluster.with(1, |peer| peer.propose(b"more"));
    cluster.tick(2);
    assert_eq!(cluster.peer(3).raft.last(), cluster.peer(1).raft.last());
}

/// Its log is as bounded as anybody's, and what it has forgotten does not make it a full member: not
/// even if no membership that it knows of has a place for it.
#[test]
fn a_witness_forgets_its_log_and_stays_a_witness() {
    let mut cluster = group();
    cluster.fill(20);
    cluster.with(3, Peer::take_snapshot);
    cluster.settle();
    assert_eq!(cluster.peer(3).status().mark, cluster.peer(3).raft.last());
    cluster.restart(3);
    cluster.tick(2);
    cluster.with(1, |peer| peer.propose(b"more"));
    cluster.tick(2);
    assert_eq!(cluster.peer(3).raft.last(), cluster.peer(1).raft.last());
    assert_eq!(cluster.peer(3).raft.read(), Err(ReadError::Witness));
    cluster.change(1, &MembershipChange::new().remove(node(3)));
    cluster.tick(10);
    cluster.with(3, Peer::take_snapshot);
    cluster.restart(3);
    assert!(cluster.peer(3).raft.is_witness());
}

/// A node that is taken in as a witness by a group that has forgotten its first entries does not know
/// yet what it is; what it gets tells it.
#[test]
fn a_newcomer_learns_from_a_hollow_snapshot_that_it_is_a_witness() {
    let mut cluster = Cluster::led_small(2, |_| {});
    cluster.fill(20);
    cluster.settle();
    cluster.join(3);
    cluster.change(1, &MembershipChange::new().witness(node(3)));
    cluster.tick(40);
    assert!(snapshot_of(cluster.peer(3)).is_hollow);
    assert_eq!(cluster.peer(3).raft.last(), cluster.peer(1).raft.last());
    assert!(cluster.commands(3).is_empty());
}

#[test]
fn a_snapshot_of_the_other_kind_is_an_offence() {
    let whole = snapshot_meta(at(1, 5), b"1234");
    let hollow = SnapshotMeta { size: 0, crc32c: 0, is_hollow: true, ..whole.clone() };
    let contradiction = SnapshotMeta { is_hollow: true, ..whole.clone() };
    let cases = [
        (1, chunk(&hollow, 0, b""), Offence::HollowForFullMember),
        (3, chunk(&whole, 0, b"1234"), Offence::PayloadForWitness),
        (3, chunk(&contradiction, 0, b"1234"), Offence::MalformedChunk),
    ];
    for (id, body, offence) in cases {
        let mut peer = Peer::found(small(id), with_witness(2, 3));
        peer.hear(2, 1, heartbeat(0, 1));
        peer.hear(2, 1, body);
        assert_eq!(peer.raft.offence_count(offence), 1, "{offence:?}");
        assert_eq!(peer.raft.last(), Position::ZERO);
        peer.hear(2, 1, append(at(0, 0), 0, &[]));
    }
}

/// A state machine that has no snapshots, and would refuse to be restored.
struct NoState;

impl StateMachine for NoState {
    type Output = ();

    fn apply(&mut self, _entry: &Entry<'_>) {}
}

/// A witness does not ask its state machine for anything, neither to be written nor to be restored.
#[test]
fn a_witness_never_touches_its_state_machine() {
    let network = MemNetwork::new();
    let members = Membership::new(vec![Member::voter(node(1)), Member::witness(node(2))]).expect("valid");
    let open = |id: u64, log: MemLog| {
        Node::open(config(id), Some(members.clone()), log, network.join(node(id)), NoState).expect("opens")
    };
    let (mut leader, mut witness) = (open(1, MemLog::new()), open(2, MemLog::new()));
    leader.campaign().expect("a voter");
    let pump = |leader: &mut Node<_, _, _>, witness: &mut Node<_, _, _>| {
        for _ in 0..20 {
            leader.pump().expect("works");
            witness.pump().expect("works");
            leader.tick();
        }
    };
    pump(&mut leader, &mut witness);
    leader.propose(b"x").expect("leads");
    pump(&mut leader, &mut witness);
    witness.take_snapshot().expect("something new");
    pump(&mut leader, &mut witness);
    let mut log = witness.store_mut().clone();
    assert!(log.recover_snapshot().expect("memory").is_some_and(|meta| meta.is_hollow));
    drop(witness);
    let mut witness = open(2, log);
    leader.propose(b"y").expect("leads");
    pump(&mut leader, &mut witness);
    assert_eq!(witness.status().applied, leader.status().applied);
}
