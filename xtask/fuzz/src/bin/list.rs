//! Names the targets, one per line, each with its claim.

fn main() {
    for target in raft_fuzz::TARGETS {
        println!("{:<16} {}", target.name, target.claim);
    }
}
