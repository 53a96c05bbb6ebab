//! What a seed decides beforehand: the cluster, its settings, and how likely each fault is.
//!
//! Probabilities are themselves drawn, so that some seeds meet one fault in abundance and others
//! many in small doses.

use super::dice::{ALWAYS, Chance, Dice};
use super::fault::Fault;
use super::options::Options;
use crate::means::config::Config;
use crate::words::ids::NodeId;
use crate::words::membership::{Member, MemberRole, Membership};

/// Steps between two ticks of a node whose clock is right.
pub const STEPS_PER_TICK: u32 = 8;

/// The widest that a node's settings are for what it makes one message of, and for one command.
pub(super) const APPEND_BYTES_MAX: u32 = 200;
pub(super) const ENTRY_BYTES_MAX: u32 = 64;

/// The largest chunks of snapshots that a node's settings allow, and the lowest rate at which it sends them.
pub(super) const SNAPSHOT_CHUNK_BYTES_MAX: u32 = 300;
pub(super) const SNAPSHOT_BYTES_PER_TICK_MIN: u32 = 10;

/// The plan of one run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Founding members.
    pub(super) nodes: u64,
    /// Nodes that may be taken in later.
    pub(super) spares: u64,
    /// The last so many of the founders are witnesses, and so many of the spares.
    witnesses: (u64, u64),
    pub(super) change: Chance,
    pub(super) transfer: Chance,
    pub(super) loss: Chance,
    pub(super) duplicate: Chance,
    pub(super) replay: Chance,
    pub(super) delay: Chance,
    pub(super) delay_steps_max: u32,
    pub(super) partition: Chance,
    pub(super) heal: Chance,
    pub(super) crash: Chance,
    pub(super) restart: Chance,
    pub(super) pause: Chance,
    pub(super) propose: Chance,
    pub(super) read: Chance,
    pub(super) pump: Chance,
    pub(super) unreachable: Chance,
    pub(super) campaign: Chance,
    /// A node takes a snapshot, although none is due.
    pub(super) snapshot: Chance,
    /// A node loses its state, and asks for a snapshot.
    pub(super) lose_state: Chance,
    /// A node loses its disk for ever, and returns under a new id.
    pub(super) lose_disk: Chance,
    /// A disk is spoilt while its node is down.
    pub(super) damage: Chance,
    pub(super) ambush: Chance,
    /// When faults end, some nodes stay away for a while.
    pub(super) absence: Chance,
    pub(super) settings: Chance,
    /// Of all nodes alike; zero in half of the runs.
    pub(super) read_lease_ticks: u32,
    /// Disks do as they are told.
    pub(super) has_calm_disks: bool,
    /// All clocks are right.
    pub(super) has_right_clocks: bool,
}

impl Plan {
    /// What a seed plans, less what the options leave out. They never change what is drawn, so that a
    /// run without a fault differs from the run with it no more than it must.
    pub(super) fn new(dice: &mut Dice, options: &Options) -> Self {
        let mut plan = Self::draw(dice);
        plan.nodes = plan.nodes.min(options.nodes_max.max(1));
        plan.spares = plan.spares.min(options.spares_max);
        let (founding, spare) = plan.witnesses;
        plan.witnesses = (founding.min(plan.nodes / 2), spare.min(plan.spares));
        options.without.iter().for_each(|fault| plan.leave_out(*fault));
        plan
    }

    fn draw(dice: &mut Dice) -> Self {
        let nodes: u32 = [1, 2, 3, 3, 3, 3, 5, 5][dice.between(0, 7) as usize];
        let spares = dice.between(0, 2);
        // Never a majority: with every other node a witness, one failure would be the end.
        let founding = if dice.between(0, 2) == 0 { dice.between(0, nodes / 2) } else { 0 };
        let witnesses = (u64::from(founding), u64::from(dice.between(0, spares)));
        Self {
            nodes: u64::from(nodes),
            spares: u64::from(spares),
            witnesses,
            change: dice.swarm(600),
            transfer: dice.swarm(300),
            loss: dice.swarm(6000),
            duplicate: dice.swarm(6000),
            replay: dice.swarm(2000),
            delay: dice.swarm(30000),
            delay_steps_max: dice.between(1, 120),
            partition: dice.swarm(400),
            heal: 50 + dice.swarm(600),
            crash: dice.swarm(200),
            restart: 100 + dice.swarm(2000),
            pause: dice.swarm(150),
            propose: 500 + dice.swarm(20000),
            read: dice.swarm(8000),
            pump: 20000 + dice.swarm(45535),
            unreachable: dice.swarm(500),
            campaign: dice.swarm(100),
            snapshot: dice.swarm(300),
            lose_state: dice.swarm(40),
            lose_disk: dice.swarm(20),
            damage: dice.swarm(30000),
            settings: dice.swarm(500),
            ambush: dice.swarm(300),
            absence: ALWAYS / 2,
            read_lease_ticks: [0, 0, 0, 0, 1, 6, 20, 20][dice.between(0, 7) as usize],
            has_calm_disks: false,
            has_right_clocks: false,
        }
    }

    fn leave_out(&mut self, fault: Fault) {
        match fault {
            Fault::LoseDisk => self.lose_disk = 0,
            Fault::Damage => self.damage = 0,
            Fault::LoseState => self.lose_state = 0,
            Fault::Disk => self.has_calm_disks = true,
            Fault::Witness => self.witnesses = (0, 0),
            Fault::Lease => self.read_lease_ticks = 0,
            Fault::Settings => self.settings = 0,
            Fault::Change => self.change = 0,
            Fault::Transfer => self.transfer = 0,
            Fault::Snapshot => self.snapshot = 0,
            Fault::Ambush => self.ambush = 0,
            Fault::Campaign => self.campaign = 0,
            Fault::Replay => self.replay = 0,
            Fault::Duplicate => self.duplicate = 0,
            Fault::Unreachable => self.unreachable = 0,
            Fault::Pause => self.pause = 0,
            Fault::Skew => self.has_right_clocks = true,
            Fault::Lag => self.pump = ALWAYS,
            Fault::Partition => self.partition = 0,
            Fault::Delay => self.delay = 0,
            Fault::Loss => self.loss = 0,
            Fault::Crash => self.crash = 0,
            Fault::Absence => self.absence = 0,
        }
    }

    /// Whether this node, if it is a member, is a witness.
    pub(super) fn is_witness(&self, id: NodeId) -> bool {
        let (founding, spare) = self.witnesses;
        let is_last = |last: u64, count: u64| id.get() <= last && id.get() > last - count;
        is_last(self.nodes, founding) || is_last(self.nodes + self.spares, spare)
    }

    /// The longest election timeout, in steps of a clock that is right.
    pub(super) fn election_timeout_steps(&self) -> u64 {
        let (_, max) = self.election_timeout_ticks();
        u64::from(max * STEPS_PER_TICK)
    }

    /// As short as leases bear the skew: a leader's clock may be one step in so many too slow, and a
    /// voter's one too fast.
    fn election_timeout_ticks(&self) -> (u32, u32) {
        if self.read_lease_ticks == 0 {
            return (10, 20);
        }
        let (slow, fast) = (STEPS_PER_TICK + 1, STEPS_PER_TICK - 1);
        let min = ((self.read_lease_ticks + 1) * slow).div_ceil(fast) + 1;
        (min, 2 * min)
    }

    /// Whether there are witnesses, or may be.
    pub(super) fn has_witnesses(&self) -> bool {
        self.witnesses != (0, 0)
    }

    /// The membership that the group begins with.
    pub(super) fn founders(&self) -> Membership {
        let found = |id| if self.is_witness(id) { Member::witness(id) } else { Member::voter(id) };
        Membership::new((1..=self.nodes).map(NodeId::new).map(found).collect()).expect("ids are valid")
    }

    /// The settings of a node: small limits, so that runs meet them.
    pub(super) fn config(&self, id: NodeId, dice: &mut Dice) -> Config {
        let mut config = Config::new(id);
        config.seed = dice.next();
        config.entry_bytes_max = ENTRY_BYTES_MAX;
        config.read_lease_ticks = self.read_lease_ticks;
        (config.election_timeout_ticks_min, config.election_timeout_ticks_max) =
            self.election_timeout_ticks();
        self.vary(&mut config, dice);
        config
    }

    /// Draws anew what may differ from node to node, and change while a node runs.
    pub(super) fn vary(&self, config: &mut Config, dice: &mut Dice) {
        config.append_bytes_max = dice.between(1, APPEND_BYTES_MAX);
        config.inflight_messages_max = dice.between(1, 8);
        config.inflight_bytes_max = dice.between(1, 1000);
        config.proposals_bytes_max = dice.between(100, 2000);
        config.forward_bytes_max = dice.between(20, 200);
        config.forward_proposals = dice.between(0, 9) > 0;
        config.apply_bytes_max = dice.between(1, 500);
        config.tail_bytes_max = dice.between(1, 4000);
        config.snapshot_log_entries = u64::from(dice.between(0, 3) * dice.between(3, 60));
        config.snapshot_log_bytes = u64::from(dice.between(0, 1) * dice.between(50, 3000));
        config.retained_entries = u64::from(dice.between(0, 2) * dice.between(0, 30));
        config.retained_bytes = u64::from(dice.between(0, 1) * dice.between(0, 2000)).wrapping_sub(1);
        config.snapshot_chunk_bytes = dice.between(8, SNAPSHOT_CHUNK_BYTES_MAX);
        config.snapshot_chunks_max = dice.between(1, 4);
        config.snapshot_bytes_per_tick = dice.between(0, 1) * dice.between(SNAPSHOT_BYTES_PER_TICK_MIN, 200);
        config.read_rounds_max = dice.between(1, 4);
        config.pre_vote = dice.between(0, 9) > 0;
        // Without it, leaders that were overtaken stay long enough to be asked for stale reads.
        config.check_quorum = dice.between(0, 9) > 2 || self.read_lease_ticks > 0;
    }
}

/// Whether somebody joins, who will be a voter without being asked again.
pub(super) fn joining_count(membership: &Membership) -> usize {
    membership.members().iter().filter(|member| is_joining(member)).count()
}

/// Whether it will be a voter without being asked again.
pub(super) fn is_joining(member: &Member) -> bool {
    matches!(member.role, MemberRole::Joining | MemberRole::JoiningWitness)
}
