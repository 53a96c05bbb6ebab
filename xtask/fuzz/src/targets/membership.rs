//! Memberships, as entries of the log and snapshots carry them.

use raft_core::{Member, Membership};

pub(super) fn run(bytes: &[u8]) {
    let Ok(membership) = Membership::decode(bytes) else { return };
    assert_eq!(Membership::decode(&membership.encode()).as_ref(), Ok(&membership));
    let members = membership.members();
    assert!(members.windows(2).all(|pair| pair[0].id < pair[1].id), "{membership:?}");
    // That of a node without a group has nobody.
    let can_lead = |member: &Member| membership.can_lead(member.id);
    assert!(members.is_empty() || members.iter().any(can_lead), "nobody can lead {membership:?}");
}
