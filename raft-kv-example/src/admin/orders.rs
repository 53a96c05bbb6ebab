//! Carries out orders of operators, and knows when to say that they are done.

use std::collections::VecDeque;

use raft_core::{
    CommitStatus, Config, Member, MemberRole, MembershipChange, Node, NodeId, Position, Raft, SnapshotError,
    SnapshotStore, StateMachine, Term, Transport,
};

use super::error::AdminError;
use crate::address::Addresses;
use crate::command::{JoinRole, Order};

/// The orders that were given to this node and are not answered yet.
///
/// **Contract with the owner.** (1) [`take`](Self::take) an order. (2) [`tick`](Self::tick) as time
/// passes. (3) After each pump, call [`conduct`](Self::conduct). (4) Drain
/// [`poll_done`](Self::poll_done): each order comes out once.
#[derive(Debug)]
pub struct Orders {
    waiting: Vec<Waiting>,
    done: VecDeque<(u64, Result<Done, AdminError>)>,
    next: u64,
    now: u64,
    begin_ticks_max: u64,
    answer_ticks_max: u64,
}

/// What an order gives that was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// The group is as it was ordered to be.
    Change,
    /// A snapshot of everything up to here is durable at this node.
    Snapshot(Position),
}

#[derive(Debug)]
struct Waiting {
    id: u64,
    order: Order,
    since: u64,
    stage: Stage,
}

/// How far an order has come.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Nothing was changed yet.
    Begin,
    /// The first entry of the change stands here.
    Appended(Position),
    /// Leadership is on its way since this term.
    Transferring(Term),
    /// A snapshot is being taken; or there is one already that nothing was applied behind.
    Snapshot(Option<Position>),
}

impl Orders {
    /// None yet. Orders are given up as the settings say of proposals.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let answer_ticks_max = u64::from(config.proposal_timeout_ticks);
        let begin_ticks_max = BEGIN_TIMEOUTS_MAX * u64::from(config.election_timeout_ticks_min);
        Self {
            waiting: Vec::new(),
            done: VecDeque::new(),
            next: 0,
            now: 0,
            // What was never begun is never unknown.
            begin_ticks_max: begin_ticks_max.min(answer_ticks_max),
            answer_ticks_max,
        }
    }

    /// Takes an order; its number.
    pub fn take(&mut self, order: Order) -> u64 {
        let id = self.next;
        self.next += 1;
        if self.waiting.len() < ORDERS_MAX {
            self.waiting.push(Waiting { id, order, since: self.now, stage: Stage::Begin });
        } else {
            self.done.push_back((id, Err(AdminError::Busy)));
        }
        id
    }

    /// So many ticks have passed.
    pub fn tick(&mut self, ticks: u32) {
        self.now += u64::from(ticks);
    }

    /// An order whose outcome is known.
    pub fn poll_done(&mut self) -> Option<(u64, Result<Done, AdminError>)> {
        self.done.pop_front()
    }

    /// A hand-over to this node came to nothing.
    pub fn on_transfer_ended(&mut self, to: NodeId) {
        let is_it = |order: &Waiting| {
            matches!(order.stage, Stage::Transferring(_)) && order.order == Order::Transfer(to.get())
        };
        self.end(is_it, &Err(AdminError::NotTakenOver(to)));
    }

    /// A snapshot is durable at this node up to here, or could not be written.
    pub fn on_snapshot(&mut self, outcome: Result<Position, AdminError>) {
        let is_it = |order: &Waiting| matches!(order.stage, Stage::Snapshot(None));
        self.end(is_it, &outcome.map(Done::Snapshot));
    }

    /// Takes every order as far as it goes now. `is_settled` says whether the membership in force is
    /// committed. Gives whether something was begun, so that there is something to pump.
    pub fn conduct<L, T, S>(&mut self, node: &mut Node<L, T, S>, is_settled: bool) -> bool
    where
        L: SnapshotStore,
        T: Transport,
        S: StateMachine,
    {
        let mut has_begun = false;
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain_mut(|order| {
            let age = self.now - order.since;
            let result = match order.stage {
                Stage::Begin => match begin(&order.order, node) {
                    Ok(stage) => {
                        has_begun = true;
                        order.stage = stage;
                        None
                    }
                    Err(error) if error.is_passing() && age < self.begin_ticks_max => None,
                    Err(error) => Some(Err(error)),
                },
                Stage::Appended(at) => is_change_done(node.raft(), at, is_settled),
                Stage::Transferring(term) => is_transfer_done(node.raft(), &order.order, term),
                Stage::Snapshot(taken) => taken.map(|last| Ok(Done::Snapshot(last))),
            };
            let result =
                result.or_else(|| (age >= self.answer_ticks_max).then_some(Err(AdminError::Unknown)));
            let is_over = result.is_some();
            self.done.extend(result.map(|result| (order.id, result)));
            !is_over
        });
        self.waiting = waiting;
        has_begun
    }

    fn end(&mut self, is_it: impl Fn(&Waiting) -> bool, result: &Result<Done, AdminError>) {
        while let Some(at) = self.waiting.iter().position(&is_it) {
            let order = self.waiting.swap_remove(at);
            self.done.push_back((order.id, result.clone()));
        }
    }
}

/// Where the leader takes commands, if a leader is known and has said so.
fn leader_client(raft: &Raft) -> Option<String> {
    let leader = raft.membership().member(raft.leader()?)?;
    Addresses::decode(&leader.context).ok()?.client
}

fn begin<L, T, S>(order: &Order, node: &mut Node<L, T, S>) -> Result<Stage, AdminError>
where
    L: SnapshotStore,
    T: Transport,
    S: StateMachine,
{
    let client = leader_client(node.raft());
    // A snapshot is each node's own business, all else the leader's.
    if *order != Order::Snapshot && !node.raft().is_leader() {
        let leader = node.raft().leader().ok_or(AdminError::NoLeader)?;
        return Err(AdminError::NotLeader { leader, client });
    }
    let (id, change) = match order {
        Order::Add { id, role, addresses } => match add(node.raft(), NodeId::new(*id), *role, addresses)? {
            Some(change) => (NodeId::new(*id), change),
            // A second request for the same is as good as the first, once that is committed.
            None => return Ok(Stage::Appended(node.raft().last())),
        },
        Order::Promote(id) => {
            let id = NodeId::new(*id);
            if member(node.raft(), id)?.role == MemberRole::Joining {
                return Err(AdminError::BecomesVoter(id));
            }
            (id, MembershipChange::new().joining_voter(id))
        }
        Order::Demote(id) => {
            let id = NodeId::new(*id);
            member(node.raft(), id)?;
            (id, MembershipChange::new().learner(id))
        }
        Order::Domain { id, domain } => {
            let id = NodeId::new(*id);
            (id, MembershipChange::new().domain(id, *domain))
        }
        Order::Remove(id) => (NodeId::new(*id), MembershipChange::new().remove(NodeId::new(*id))),
        Order::Transfer(to) => {
            let to = NodeId::new(*to);
            if member(node.raft(), to)?.role == MemberRole::Joining {
                return Err(AdminError::CatchingUp(to));
            }
            node.transfer_leadership(to).map_err(|error| AdminError::of_transfer(error, to, client))?;
            return Ok(Stage::Transferring(node.raft().term()));
        }
        Order::Snapshot => return take_snapshot(node),
    };
    let position = node.change_membership(&change);
    position.map(Stage::Appended).map_err(|error| AdminError::of_change(error, id, client))
}

/// Takes a snapshot, unless the newest one covers all that was applied.
fn take_snapshot<L, T, S>(node: &mut Node<L, T, S>) -> Result<Stage, AdminError>
where
    L: SnapshotStore,
    T: Transport,
    S: StateMachine,
{
    match node.take_snapshot() {
        Ok(()) => Ok(Stage::Snapshot(None)),
        Err(SnapshotError::NothingNew) if let Some(last) = node.status().snapshot => {
            Ok(Stage::Snapshot(Some(last)))
        }
        Err(error) => Err(AdminError::of_snapshot(error)),
    }
}

fn member(raft: &Raft, id: NodeId) -> Result<&Member, AdminError> {
    raft.membership().member(id).ok_or(AdminError::NotMember(id))
}

/// The change that takes a node in; none if it is a member with this role and these addresses already.
fn add(
    raft: &Raft,
    id: NodeId,
    role: JoinRole,
    new: &Addresses,
) -> Result<Option<MembershipChange>, AdminError> {
    for other in raft.membership().members() {
        let Ok(known) = Addresses::decode(&other.context) else { continue };
        if other.id != id && known.peer == new.peer {
            return Err(AdminError::AddressInUse { id: other.id, address: known.peer });
        }
    }
    let change = MembershipChange::new();
    let Some(known) = raft.membership().member(id) else {
        let change = match role {
            JoinRole::Voter => change.joining_voter(id),
            JoinRole::Learner => change.learner(id),
            JoinRole::Witness => change.joining_witness(id),
        };
        return Ok(Some(change.context(id, new.encode())));
    };
    let has_role = match role {
        JoinRole::Voter => matches!(known.role, MemberRole::Voter | MemberRole::Joining),
        JoinRole::Learner => known.role == MemberRole::Learner,
        JoinRole::Witness => matches!(known.role, MemberRole::Witness | MemberRole::JoiningWitness),
    };
    let turns = known.role.is_witness() != (role == JoinRole::Witness);
    match Addresses::decode(&known.context) {
        Ok(known) if known.peer != new.peer => Err(AdminError::IdInUse { id, address: known.peer }),
        Ok(_) | Err(_) if turns => Err(AdminError::NotConvertible(id)),
        Ok(_) | Err(_) if !has_role => Err(AdminError::OtherRole(id)),
        Ok(known) if new.client.is_none() || known.client == new.client => Ok(None),
        Ok(_) | Err(_) => Ok(Some(change.context(id, new.encode()))),
    }
}

/// Done when the first entry is committed, and with it the one that leaves the joint configuration.
fn is_change_done(raft: &Raft, at: Position, is_settled: bool) -> Option<Result<Done, AdminError>> {
    match raft.commit_status(at) {
        CommitStatus::Lost => Some(Err(AdminError::Lost)),
        CommitStatus::Committed if is_settled && !raft.membership().is_joint() => Some(Ok(Done::Change)),
        CommitStatus::Committed | CommitStatus::Pending | CommitStatus::Unknown => None,
    }
}

/// Done when another node leads. That the hand-over was given up comes as a notice.
fn is_transfer_done(raft: &Raft, order: &Order, since: Term) -> Option<Result<Done, AdminError>> {
    let Order::Transfer(to) = order else { return None };
    let wanted = NodeId::new(*to);
    match raft.leader() {
        Some(leader) if leader == wanted => Some(Ok(Done::Change)),
        Some(leader) if leader != raft.id() => Some(Err(AdminError::TakenOverByOther { wanted, leader })),
        // It was lost meanwhile, and won back.
        Some(_) if raft.term() > since => Some(Err(AdminError::NotTakenOver(wanted))),
        Some(_) | None => None,
    }
}

/// Orders that may wait at one node.
const ORDERS_MAX: usize = 64;
/// How long an order may wait to begin, in least election timeouts.
const BEGIN_TIMEOUTS_MAX: u64 = 4;

#[cfg(test)]
mod tests {
    use raft_core::mem::{MemLog, MemNetwork};
    use raft_core::{Entry, Membership};

    use super::*;

    struct Nothing;
    impl StateMachine for Nothing {
        type Output = ();
        fn apply(&mut self, _: &Entry<'_>) {}
    }

    fn addresses(peer: &str) -> Addresses {
        Addresses { peer: peer.to_owned(), client: None }
    }

    /// Asks one leading voter at `a:1`; what comes of each order.
    fn outcomes(orders: Vec<Order>) -> Vec<Result<Done, AdminError>> {
        let id = NodeId::new(1);
        let members = Membership::new(vec![Member::voter(id).with_context("a:1".into())]).unwrap();
        let config = Config::new(id);
        let mut books = Orders::new(&config);
        let network = MemNetwork::new().join(id);
        let mut node = Node::open(config, Some(members), MemLog::new(), network, Nothing).unwrap();
        node.campaign().unwrap();
        node.pump().unwrap();
        orders
            .into_iter()
            .map(|order| {
                books.take(order);
                for _ in 0..10_000 {
                    books.tick(1);
                    books.conduct(&mut node, true);
                    node.pump().unwrap();
                    if let Some((_, result)) = books.poll_done() {
                        return result;
                    }
                }
                panic!("no answer");
            })
            .collect()
    }

    #[test]
    fn orders_that_cannot_be_are_refused_with_the_reason() {
        let two = NodeId::new(2);
        let add = |id, peer| Order::Add { id, role: JoinRole::Voter, addresses: addresses(peer) };
        let learner = |id, peer| Order::Add { id, role: JoinRole::Learner, addresses: addresses(peer) };
        let witness = |id, peer| Order::Add { id, role: JoinRole::Witness, addresses: addresses(peer) };
        let expected = [
            (add(2, "b:2"), Ok(Done::Change)),
            (add(2, "b:2"), Ok(Done::Change)),
            (add(2, "b:3"), Err(AdminError::IdInUse { id: two, address: "b:2".into() })),
            (add(3, "b:2"), Err(AdminError::AddressInUse { id: two, address: "b:2".into() })),
            (learner(2, "b:2"), Err(AdminError::OtherRole(two))),
            (witness(2, "b:2"), Err(AdminError::NotConvertible(two))),
            (Order::Promote(2), Err(AdminError::BecomesVoter(two))),
            (Order::Transfer(2), Err(AdminError::CatchingUp(two))),
            (Order::Demote(2), Ok(Done::Change)),
            (learner(2, "b:2"), Ok(Done::Change)),
            (add(2, "b:2"), Err(AdminError::OtherRole(two))),
            (Order::Promote(1), Err(AdminError::NothingChanges(NodeId::new(1)))),
            (Order::Promote(7), Err(AdminError::NotMember(NodeId::new(7)))),
            (Order::Demote(2), Err(AdminError::NothingChanges(two))),
            (Order::Demote(7), Err(AdminError::NotMember(NodeId::new(7)))),
            (Order::Demote(1), Err(AdminError::NoVoters)),
            (Order::Domain { id: 2, domain: 5 }, Ok(Done::Change)),
            (Order::Domain { id: 2, domain: 5 }, Err(AdminError::NothingChanges(two))),
            (Order::Domain { id: 7, domain: 5 }, Err(AdminError::NotMember(NodeId::new(7)))),
            (Order::Remove(1), Err(AdminError::NoVoters)),
            (Order::Transfer(2), Err(AdminError::NotVoter(two))),
            (Order::Transfer(1), Err(AdminError::LeadsAlready(NodeId::new(1)))),
            (Order::Transfer(7), Err(AdminError::NotMember(NodeId::new(7)))),
            (Order::Remove(2), Ok(Done::Change)),
            (Order::Remove(2), Err(AdminError::NotMember(two))),
        ];
        let (orders, expected): (Vec<_>, Vec<_>) = expected.into_iter().unzip();
        assert_eq!(outcomes(orders), expected);
    }

    /// One order is enough: the newcomer votes once it has caught up, and can then lead (S36).
    #[test]
    fn new_voter_votes_once_it_has_caught_up() {
        let [one, two] = [1, 2].map(NodeId::new);
        let members = Membership::new(vec![Member::voter(one).with_context("a:1".into())]).unwrap();
        let (config, network) = (Config::new(one), MemNetwork::new());
        let mut orders = Orders::new(&config);
        let mut leader =
            Node::open(config, Some(members), MemLog::new(), network.join(one), Nothing).unwrap();
        leader.campaign().unwrap();
        leader.pump().unwrap();
        orders.take(Order::Add { id: 2, role: JoinRole::Voter, addresses: addresses("b:2") });
        let mut together = |orders: &mut Orders, newcomer: Option<&mut Node<_, _, _>>| {
            let mut nodes: Vec<&mut Node<_, _, _>> = newcomer.into_iter().collect();
            for _ in 0..100 {
                orders.tick(1);
                leader.tick();
                orders.conduct(&mut leader, true);
                leader.pump().unwrap();
                nodes.iter_mut().for_each(|node| {
                    node.tick();
                    node.pump().unwrap();
                });
            }
            leader.raft().membership().clone()
        };
        let membership = together(&mut orders, None);
        assert_eq!(orders.poll_done(), Some((0, Ok(Done::Change))));
        assert_eq!(membership.member(two).map(|member| member.role), Some(MemberRole::Joining));
        let mut newcomer = Node::join(Config::new(two), MemLog::new(), network.join(two), Nothing).unwrap();
        let membership = together(&mut orders, Some(&mut newcomer));
        assert!(membership.is_voter(two), "{membership:?}");
    }

    #[test]
    fn snapshot_is_done_when_it_is_durable_and_needs_no_leader() {
        let id = NodeId::new(1);
        let members = Membership::of_voters([id, NodeId::new(2)]).unwrap();
        let config = Config::new(id);
        let mut orders = Orders::new(&config);
        let network = MemNetwork::new();
        let mut node = Node::open(config, Some(members), MemLog::new(), network.join(id), Nothing).unwrap();
        let mut ask = |orders: &mut Orders| {
            orders.take(Order::Snapshot);
            for _ in 0..1000 {
                orders.tick(1);
                orders.conduct(&mut node, true);
                if let Some((_, result)) = orders.poll_done() {
                    return result;
                }
            }
            panic!("no answer");
        };
        // It has no leader, and nothing to take a snapshot of.
        assert_eq!(ask(&mut orders), Err(AdminError::NothingApplied));
        let last = Position::new(Term::new(1), raft_core::LogIndex::new(5));
        for outcome in [Ok(last), Err(AdminError::SnapshotFailed)] {
            orders.waiting.push(Waiting {
                id: 9,
                order: Order::Snapshot,
                since: orders.now,
                stage: Stage::Snapshot(None),
            });
            orders.on_snapshot(outcome.clone());
            assert_eq!(orders.poll_done(), Some((9, outcome.map(Done::Snapshot))));
        }
    }

    #[test]
    fn too_many_orders_are_refused() {
        let mut orders = Orders::new(&Config::new(NodeId::new(1)));
        for _ in 0..=ORDERS_MAX {
            orders.take(Order::Remove(2));
        }
        assert_eq!(orders.poll_done(), Some((ORDERS_MAX as u64, Err(AdminError::Busy))));
    }
}
