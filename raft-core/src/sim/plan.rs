//! What a seed decides beforehand: the cluster, its settings, and how likely each fault is.
//!
//! Probabilities are themselves drawn, so that some seeds meet one fault in abundance and others
//! many in small doses.

use crate::means::config::Config;
use crate::means::rng::Rng;
use crate::words::ids::NodeId;
use crate::words::membership::{Member, Membership};

/// How long runs are. The seed decides the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Steps with faults. Default 4000.
    pub fault_steps: u64,
    /// Steps without faults, within which the cluster must recover and agree; most need a few
    /// hundred. Default 20000.
    pub calm_steps: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { fault_steps: 4000, calm_steps: 20000 }
    }
}

/// Steps between two ticks of a node whose clock is right.
pub(super) const STEPS_PER_TICK: u32 = 8;

/// A probability in units of 1/65536.
pub(super) type Chance = u32;

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
    pub(super) disk_stall: Chance,
    pub(super) disk_steps_max: u32,
    pub(super) propose: Chance,
    pub(super) read: Chance,
    pub(super) pump: Chance,
    pub(super) unreachable: Chance,
    pub(super) campaign: Chance,
    /// A node takes a snapshot, although none is due.
    pub(super) snapshot: Chance,
    /// A node loses its state, and asks for a snapshot.
    pub(super) lose_state: Chance,
    /// The medium has no room for a snapshot …
    pub(super) snapshot_fail: Chance,
    /// … or is slow to take it.
    pub(super) snapshot_busy: Chance,
    pub(super) ambush: Chance,
    pub(super) settings: Chance,
    /// Of all nodes alike; zero in half of the runs.
    pub(super) read_lease_ticks: u32,
}

impl Plan {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let nodes: u32 = [1, 2, 3, 3, 3, 3, 5, 5][rng.between(0, 7) as usize];
        let spares = rng.between(0, 2);
        // Never a majority: with every other node a witness, one failure would be the end.
        let founding = if rng.between(0, 2) == 0 { rng.between(0, nodes / 2) } else { 0 };
        let witnesses = (u64::from(founding), u64::from(rng.between(0, spares)));
        Self {
            nodes: u64::from(nodes),
            spares: u64::from(spares),
            witnesses,
            change: swarm(rng, 600),
            transfer: swarm(rng, 300),
            loss: swarm(rng, 6000),
            duplicate: swarm(rng, 6000),
            replay: swarm(rng, 2000),
            delay: swarm(rng, 30000),
            delay_steps_max: rng.between(1, 120),
            partition: swarm(rng, 400),
            heal: 50 + swarm(rng, 600),
            crash: swarm(rng, 200),
            restart: 100 + swarm(rng, 2000),
            pause: swarm(rng, 150),
            disk_stall: swarm(rng, 100),
            disk_steps_max: rng.between(0, 12),
            propose: 500 + swarm(rng, 20000),
            read: swarm(rng, 8000),
            pump: 20000 + swarm(rng, 45535),
            unreachable: swarm(rng, 500),
            campaign: swarm(rng, 100),
            snapshot: swarm(rng, 300),
            lose_state: swarm(rng, 40),
            snapshot_fail: swarm(rng, 10000),
            snapshot_busy: swarm(rng, 30000),
            settings: swarm(rng, 500),
            ambush: swarm(rng, 300),
            read_lease_ticks: [0, 0, 0, 0, 1, 6, 20, 20][rng.between(0, 7) as usize],
        }
    }

    /// Whether this node, if it is a member, is a witness.
    pub(super) fn is_witness(&self, id: NodeId) -> bool {
        let (founding, spare) = self.witnesses;
        let is_last = |last: u64, count: u64| id.get() <= last && id.get() > last - count;
        is_last(self.nodes, founding) || is_last(self.nodes + self.spares, spare)
    }

    /// The membership that the group begins with.
    pub(super) fn founders(&self) -> Membership {
        let found = |id| if self.is_witness(id) { Member::witness(id) } else { Member::voter(id) };
        Membership::new((1..=self.nodes).map(NodeId::new).map(found).collect()).expect("ids are valid")
    }

    /// The settings of a node: small limits, so that runs meet them.
    pub(super) fn config(&self, id: NodeId, rng: &mut Rng) -> Config {
        let mut config = Config::new(id);
        config.seed = rng.next();
        config.entry_bytes_max = 64;
        config.read_lease_ticks = self.read_lease_ticks;
        if self.read_lease_ticks > 0 {
            // As short as the skew bears: a leader's clock may be one step in so many too slow, and a
            // voter's one too fast.
            let (slow, fast) = (STEPS_PER_TICK + 1, STEPS_PER_TICK - 1);
            config.election_timeout_ticks_min = ((self.read_lease_ticks + 1) * slow).div_ceil(fast) + 1;
            config.election_timeout_ticks_max = 2 * config.election_timeout_ticks_min;
        }
        self.vary(&mut config, rng);
        config
    }

    /// Draws anew what may differ from node to node, and change while a node runs.
    pub(super) fn vary(&self, config: &mut Config, rng: &mut Rng) {
        config.append_bytes_max = rng.between(1, 200);
        config.inflight_messages_max = rng.between(1, 8);
        config.inflight_bytes_max = rng.between(1, 1000);
        config.proposals_bytes_max = rng.between(100, 2000);
        config.forward_bytes_max = rng.between(20, 200);
        config.forward_proposals = rng.between(0, 9) > 0;
        config.apply_bytes_max = rng.between(1, 500);
        config.tail_bytes_max = rng.between(1, 4000);
        config.snapshot_log_entries = u64::from(rng.between(0, 3) * rng.between(3, 60));
        config.snapshot_log_bytes = u64::from(rng.between(0, 1) * rng.between(50, 3000));
        config.retained_entries = u64::from(rng.between(0, 2) * rng.between(0, 30));
        config.snapshot_chunk_bytes = rng.between(8, 300);
        config.snapshot_chunks_max = rng.between(1, 4);
        config.snapshot_bytes_per_tick = rng.between(0, 1) * rng.between(10, 200);
        config.read_rounds_max = rng.between(1, 4);
        config.pre_vote = rng.between(0, 9) > 0;
        // Without it, leaders that were overtaken stay long enough to be asked for stale reads.
        config.check_quorum = rng.between(0, 9) > 2 || self.read_lease_ticks > 0;
    }
}

/// Nothing, a little, or up to the maximum.
fn swarm(rng: &mut Rng, max: Chance) -> Chance {
    match rng.between(0, 3) {
        0 => 0,
        1 => rng.between(0, max / 8),
        _ => rng.between(0, max),
    }
}

/// Whether a chance comes true.
pub(super) fn happens(rng: &mut Rng, chance: Chance) -> bool {
    rng.between(0, 65535) < chance
}
