//! The simulator itself: the same seed always tells the same story.

#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use raft_core::sim::{Digests, Options, Report, run};

#[test]
fn the_same_seed_gives_the_same_trace() {
    let mut total = Report::default();
    for seed in 0..20 {
        let options = Options::default();
        let first = run(seed, &options, Digests::default()).unwrap();
        let second = run(seed, &options, Digests::default()).unwrap();
        assert_eq!(first, second, "seed {seed}");
        total.merge(&first);
    }
    assert!(total.count("committed") > 1000, "{total:?}");
}
