//! Time: quiet ticks may be skipped, and nothing is missed by skipping them.

use raft_core::Action;

use crate::support::{Peer, append_reply, heartbeat};

/// Nodes to which something will happen by itself, sooner or later.
fn sleepers() -> Vec<Peer> {
    let waiting = Peer::voter(1, 3);
    let mut asking = Peer::voter(2, 3);
    asking.hear(1, 1, heartbeat(0, 1));
    asking.raft.read().expect("a leader is known");
    asking.raft.forward(b"x").expect("a leader is known");
    asking.drain();
    let mut leading = Peer::voter(1, 3);
    leading.win(&[2]);
    leading.hear(2, 1, append_reply(0, 1, 1));
    let mut transferring = leading.clone();
    transferring.raft.transfer_leadership(crate::support::node(3)).expect("a voter");
    transferring.drain();
    let mut stalled = leading.clone();
    stalled.is_disk_slow = true;
    stalled.raft.propose(b"x").expect("it leads");
    stalled.drain();
    let mut leased = crate::reads_lease::leader();
    crate::reads_lease::lend(&mut leased);
    let mut bound = crate::reads_lease::follower();
    bound.restart();
    vec![waiting, asking, leading, transferring, stalled, leased, bound]
}

/// All that a node wants done now.
fn actions(peer: &mut Peer) -> Vec<Action> {
    std::iter::from_fn(|| peer.raft.poll_action()).collect()
}

/// D1: many ticks at once are the same as one after the other.
#[test]
fn ticks_may_be_taken_together() {
    for sleeper in sleepers() {
        for ticks in [1, 2, 9, 10, 11, 35, 120, 1000] {
            let (mut together, mut singly) = (sleeper.clone(), sleeper.clone());
            together.raft.tick_many(ticks);
            (0..ticks).for_each(|_| singly.raft.tick());
            assert_eq!(actions(&mut together), actions(&mut singly), "{ticks} ticks of {sleeper:?}");
        }
    }
}

/// D1: nothing happens before it is due, and before long something is.
#[test]
fn nothing_happens_before_it_is_due() {
    for mut sleeper in sleepers() {
        let mut happened = 0;
        for _ in 0..20 {
            let due = sleeper.raft.ticks_until_due();
            for _ in 1..due {
                sleeper.raft.tick();
                assert_eq!(actions(&mut sleeper), [], "due in {due}: {sleeper:?}");
            }
            sleeper.raft.tick();
            happened += actions(&mut sleeper).len();
        }
        assert!(happened > 0, "{sleeper:?}");
    }
}
