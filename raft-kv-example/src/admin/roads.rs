//! Keeps the transport's addresses as the membership in force says.

use std::collections::BTreeMap;
use std::sync::Arc;

use raft_core::{LogIndex, Membership, NodeId, Raft};
use raft_transport_tcp::TcpTransport;
use slog::{Logger, error, info, warn};

use crate::address::Addresses;

/// The ways to the other members.
#[derive(Debug)]
pub struct Roads {
    transport: Arc<TcpTransport>,
    log: Logger,
    /// What the transport was told.
    told: BTreeMap<NodeId, String>,
    /// The membership that was looked at last.
    seen: Membership,
    /// The entry of that membership stands here or before.
    seen_at: LogIndex,
    /// Members that are gone may still be on their way out.
    has_leftovers: bool,
}

impl Roads {
    /// Takes over a transport that was told these addresses.
    #[must_use]
    pub fn new(transport: Arc<TcpTransport>, told: &[(NodeId, String)], log: Logger) -> Self {
        Self {
            transport,
            log,
            told: told.iter().cloned().collect(),
            seen: Membership::default(),
            seen_at: LogIndex::ZERO,
            has_leftovers: false,
        }
    }

    /// Tells the transport what has changed; cheap if nothing has.
    ///
    /// New members are reached at once. One that left keeps its road until the membership without it
    /// is committed: before that, what it says may still count, and the change may be undone.
    pub fn follow(&mut self, raft: &Raft) {
        if *raft.membership() != self.seen {
            self.seen = raft.membership().clone();
            self.seen_at = raft.last().index;
            self.add_all(raft.id());
            self.has_leftovers = true;
        }
        if self.has_leftovers && self.is_settled(raft) {
            self.has_leftovers = false;
            self.remove_leftovers();
        }
    }

    /// Whether the membership that was looked at last is committed, as far as this node knows.
    #[must_use]
    pub fn is_settled(&self, raft: &Raft) -> bool {
        raft.commit() >= self.seen_at
    }

    fn add_all(&mut self, own: NodeId) {
        for member in self.seen.members().iter().filter(|member| member.id != own) {
            let id = member.id;
            let address = match Addresses::decode(&member.context) {
                Ok(addresses) => addresses.peer,
                Err(reason) => {
                    warn!(self.log, "a member cannot be reached"; "member" => id.get(), "reason" => %reason);
                    continue;
                }
            };
            if self.told.get(&id) == Some(&address) {
                continue;
            }
            match self.transport.set_peer(id, address.clone()) {
                Ok(()) => {
                    info!(self.log, "member"; "member" => id.get(), "address" => &address);
                    self.told.insert(id, address);
                }
                Err(reason) => {
                    error!(self.log, "a member cannot be reached"; "member" => id.get(), "reason" => %reason);
                }
            }
        }
    }

    /// A node that knows no membership yet keeps the roads that it was given.
    fn remove_leftovers(&mut self) {
        let seen = &self.seen;
        if seen.members().is_empty() {
            return;
        }
        let gone: Vec<_> = self.told.keys().copied().filter(|id| seen.member(*id).is_none()).collect();
        for id in gone {
            info!(self.log, "no member any more"; "member" => id.get());
            self.transport.remove_peer(id);
            self.told.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use raft_core::{Config, Member, MembershipChange};
    use raft_transport_tcp::Options;

    use super::*;

    fn leader_of(members: Vec<Member>) -> Raft {
        let membership = Membership::new(members).unwrap();
        let mut raft = Raft::found(Config::new(NodeId::new(1)), membership).unwrap();
        raft.campaign().unwrap();
        settle(&mut raft);
        raft
    }

    fn settle(raft: &mut Raft) {
        while let Some(action) = raft.poll_action() {
            match action {
                raft_core::Action::Persist(request) => raft.persisted(request.id),
                raft_core::Action::Apply(batches) => raft.applied(batches.last().unwrap()),
                _ => {}
            }
        }
    }

    #[test]
    fn roads_follow_the_membership_and_a_removal_waits_for_its_commit() {
        let log = || Logger::root(slog::Discard, slog::o!());
        let any = ([127, 0, 0, 1], 0).into();
        let options = Options::new(1, NodeId::new(1), 1, any);
        let transport = Arc::new(TcpTransport::bind(options, || ()).unwrap());
        let mut raft = leader_of(vec![Member::voter(NodeId::new(1)).with_context("h:1".into())]);
        let stale = [(NodeId::new(9), "h:9".to_owned())];
        let mut roads = Roads::new(Arc::clone(&transport), &stale, log());
        transport.set_peer(NodeId::new(9), "127.0.0.1:9").unwrap();
        roads.follow(&raft);
        assert_eq!(transport.peers(), []);
        let new = NodeId::new(2);
        let add = MembershipChange::new().learner(new).context(new, "127.0.0.1:2,127.0.0.1:3");
        raft.change_membership(&add).unwrap();
        roads.follow(&raft);
        assert_eq!(transport.peers(), [new]);
        settle(&mut raft);
        raft.change_membership(&MembershipChange::new().remove(new)).unwrap();
        roads.follow(&raft);
        assert_eq!(transport.peers(), [new], "not committed yet");
        settle(&mut raft);
        roads.follow(&raft);
        assert_eq!(transport.peers(), []);
    }
}
