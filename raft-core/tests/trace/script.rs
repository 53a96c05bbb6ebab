//! Three nodes without faults: one is elected, takes a command and hands over to another, which takes
//! one as well, and a new voter.

use std::collections::VecDeque;

use raft_core::{Action, Config, Membership, MembershipChange, Message, NodeId, Raft};

/// Nodes whose messages arrive in the order in which they were sent.
struct Group {
    nodes: Vec<Raft>,
    network: VecDeque<Message>,
    lines: Vec<String>,
}

/// The lines of the whole story.
pub(crate) fn story() -> Vec<String> {
    let ids = [1, 2, 3].map(NodeId::new);
    let found = |id| {
        let mut raft = Raft::found(Config::new(id), Membership::of_voters(ids).unwrap()).unwrap();
        raft.start_trace();
        raft
    };
    let nodes = ids.map(found).into();
    let mut group = Group { nodes, network: VecDeque::new(), lines: Vec::new() };
    for at in 0..3 {
        group.drain(at);
    }
    group.let_run(0, |raft| raft.campaign().unwrap());
    group.let_run(0, |raft| assert!(raft.propose(b"first").is_ok()));
    group.let_run(0, Raft::tick);
    group.let_run(0, |raft| raft.transfer_leadership(ids[1]).unwrap());
    group.let_run(1, |raft| assert!(raft.propose(b"second").is_ok()));
    let change = MembershipChange::new().voter(NodeId::new(4));
    group.let_run(1, |raft| assert!(raft.change_membership(&change).is_ok()));
    group.lines
}

impl Group {
    /// Lets a node do something, and everybody what follows.
    fn let_run(&mut self, at: usize, input: impl FnOnce(&mut Raft)) {
        input(&mut self.nodes[at]);
        self.drain(at);
        while let Some(message) = self.network.pop_front() {
            // Node 4 never answers.
            if let Some(to) = self.nodes.iter().position(|raft| raft.id() == message.to) {
                self.nodes[to].receive(message);
                self.drain(to);
            }
        }
    }

    /// Carries out what a node wants; its disk is at once.
    fn drain(&mut self, at: usize) {
        let raft = &mut self.nodes[at];
        while let Some(action) = raft.poll_action() {
            match action {
                Action::Send(message) => self.network.push_back(message),
                Action::Persist(request) => raft.persisted(request.id),
                Action::Apply(batches) => raft.applied(batches.last().unwrap()),
                _ => {}
            }
        }
        self.lines.extend(raft.take_trace().iter().map(ToString::to_string));
    }
}
