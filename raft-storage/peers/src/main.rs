//! Other durable logs in the contest of `raft-storage/examples/bench_log`, each as its documentation
//! says a log is kept in it, with a sync per append: `cargo xtask bench log --peers`.

#![allow(clippy::cast_possible_truncation, reason = "sizes chosen there")]

#[path = "../../examples/bench_log/contest.rs"]
mod contest;
mod fjall;
mod okaywal;
#[path = "../../examples/bench_log/ours.rs"]
mod ours;
mod raft_engine;
mod raft_log;
#[path = "../../examples/bench_log/raw.rs"]
mod raw;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;

fn main() -> contest::Outcome<()> {
    contest::run(&[
        raw::ENTRANT,
        ours::INLINE,
        ours::THREAD,
        raft_engine::ENTRANT,
        okaywal::ENTRANT,
        fjall::ENTRANT,
        redb::ENTRANT,
        #[cfg(feature = "rocksdb")]
        rocksdb::ENTRANT,
        raft_log::ENTRANT,
    ])
}
