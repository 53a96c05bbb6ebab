//! Limits have names: over the limit is `Busy` or `TooLarge`, never growth (N13).

use raft_core::{ProposeError, RoleName};

use crate::support::{Peer, append_reply, at, config, heartbeat, index, message, node, term, vote, voters};

fn leader_with(change: impl Fn(&mut raft_core::Config)) -> Peer {
    let mut config = config(1);
    change(&mut config);
    let mut leader = Peer::found(config, voters(3));
    leader.win(&[2]);
    leader.hear(2, 1, append_reply(0, 1, 1));
    leader
}

/// N13: what a leader holds and has not handed out for applying is limited, and room comes back.
#[test]
fn proposals_are_limited_until_they_are_applied() {
    let mut leader = leader_with(|config| config.proposals_bytes_max = 100);
    for _ in 0..3 {
        leader.propose(&[0; 29]);
    }
    let busy = Err(ProposeError::Busy { bytes_max: 100 });
    assert_eq!(leader.raft.propose(&[0; 29]), busy);
    let last = leader.raft.last();
    assert_eq!(leader.raft.propose(&[0; 11]), busy);
    assert_eq!(leader.raft.last(), last, "nothing was appended");
    leader.raft.propose(&[0; 9]).expect("fits");
    leader.hear(2, 1, append_reply(0, 5, 5));
    assert_eq!(leader.raft.commit(), index(5));
    for _ in 0..3 {
        leader.propose(&[0; 29]);
    }
}

/// One proposal may be larger than all that may wait, as long as nothing else waits.
#[test]
fn a_single_large_proposal_is_taken_when_nothing_waits() {
    let mut leader = leader_with(|config| config.proposals_bytes_max = 10);
    leader.propose(&[0; 500]);
    assert_eq!(leader.raft.propose(b"x"), Err(ProposeError::Busy { bytes_max: 10 }));
}

/// S103: an entry over the limit is refused at once, with the limit in the error.
#[test]
fn entries_over_the_limit_are_refused() {
    let mut leader = leader_with(|config| config.entry_bytes_max = 8);
    assert_eq!(leader.raft.propose(&[0; 9]), Err(ProposeError::TooLarge { bytes_max: 8 }));
    assert_eq!(leader.raft.propose(&[0; 8]), Ok(at(1, 2)));
}

/// Who does not lead says who does.
#[test]
fn proposals_are_refused_with_the_leaders_name() {
    let mut peer = Peer::voter(1, 3);
    assert_eq!(peer.raft.propose(b"x"), Err(ProposeError::NoLeader));
    peer.hear(2, 1, heartbeat(0, 1));
    assert_eq!(peer.raft.propose(b"x"), Err(ProposeError::NotLeader { leader: node(2) }));
    peer.tick(20);
    assert_eq!((peer.role(), peer.raft.propose(b"x")), (RoleName::PreCandidate, Err(ProposeError::NoLeader)));
}

/// N13: while a disk does not answer, held answers do not pile up, however often somebody asks.
#[test]
fn answers_that_wait_for_the_disk_do_not_pile_up() {
    let mut follower = Peer::voter(1, 3);
    follower.is_disk_slow = true;
    for round in 1..10_000 {
        follower.raft.receive(message(2, 1, 5, heartbeat(0, round)));
        follower.raft.receive(message(2, 1, 5, crate::support::append(at(1, 1), 0, &[])));
    }
    follower.drain();
    follower.sync();
    let kinds = follower.take_kinds();
    assert!(kinds.len() < 10, "{} messages leave at once", kinds.len());

    let mut voter = Peer::voter(1, 3);
    voter.is_disk_slow = true;
    for campaign in 1..10_000 {
        voter.raft.receive(message(2, 1, 5, raft_core::Body::Vote(vote(campaign, at(0, 0)))));
    }
    voter.drain();
    voter.sync();
    assert_eq!((voter.take_kinds().len(), voter.raft.term()), (1, term(5)));
}
