//! Ten thousand groups on one thread: nothing in Raft assumes one per process, and quiet ones cost
//! what their heartbeats cost (D1).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use raft_core::{Action, Config, Message, NodeId, Raft, RoleName};

use crate::support::{config, voters};

const GROUPS: usize = 10_000;
const MEMBERS: u64 = 3;

/// A member of a group, asleep until something is due or a message comes.
struct Sleeper {
    raft: Raft,
    /// Up to here it was told of time.
    told: u64,
    /// When it has to be told at the latest.
    due: u64,
    /// How often it was told of time because something was due, not because of a message.
    wake_ups: u64,
    inputs: u64,
}

impl Sleeper {
    /// Tells it of the time that has passed meanwhile.
    fn catch_up(&mut self, now: u64) {
        let missed = u32::try_from(now - self.told).expect("not asleep for ever");
        if missed > 0 {
            self.raft.tick_many(missed);
            self.told = now;
        }
    }
}

/// All members of all groups, and when each of them has to wake up.
///
/// The calendar is the whole scheduler: a member's date in it may be too early, for messages put things
/// off, and then it is entered anew; it is never too late. So a tick costs what is due in it.
struct Owner {
    sleepers: Vec<Sleeper>,
    calendar: BinaryHeap<Reverse<(u64, usize)>>,
    now: u64,
    bag: Vec<(usize, Message)>,
}

impl Owner {
    fn new() -> Self {
        let member = |group: usize, id: u64| {
            let mut settings = settings(id);
            settings.seed = group as u64 * MEMBERS + id;
            let raft = Raft::found(settings, voters(MEMBERS)).expect("valid");
            Sleeper { raft, told: 0, due: u64::MAX, wake_ups: 0, inputs: 0 }
        };
        let sleepers: Vec<_> =
            (0..GROUPS).flat_map(|group| (1..=MEMBERS).map(move |id| member(group, id))).collect();
        let mut owner = Self { sleepers, calendar: BinaryHeap::new(), now: 0, bag: Vec::new() };
        for at in 0..owner.sleepers.len() {
            owner.work(at);
            let due = owner.sleepers[at].due;
            owner.calendar.push(Reverse((due, at)));
        }
        owner
    }

    /// Goes on to the next date in the calendar, and lives through it.
    fn next_date(&mut self) {
        let Some(Reverse((date, _))) = self.calendar.peek() else { return };
        self.now = *date;
        while let Some(Reverse((date, at))) =
            self.calendar.peek().copied().filter(|next| next.0.0 == self.now)
        {
            self.calendar.pop();
            if self.sleepers[at].due <= date {
                self.sleepers[at].catch_up(self.now);
                self.sleepers[at].wake_ups += 1;
                self.sleepers[at].inputs += 1;
                self.work(at);
            }
            self.calendar.push(Reverse((self.sleepers[at].due, at)));
        }
        self.deliver();
    }

    /// Messages arrive at once, and what they lead to.
    fn deliver(&mut self) {
        while !self.bag.is_empty() {
            for (group, message) in std::mem::take(&mut self.bag) {
                let at = group * place(MEMBERS) + place(message.to.get()) - 1;
                let due_before = self.sleepers[at].due;
                self.sleepers[at].catch_up(self.now);
                self.sleepers[at].inputs += 1;
                self.sleepers[at].raft.receive(message);
                self.work(at);
                if self.sleepers[at].due < due_before {
                    self.calendar.push(Reverse((self.sleepers[at].due, at)));
                }
            }
        }
    }

    /// Carries out what a member wants; its disk answers at once.
    fn work(&mut self, at: usize) {
        let sleeper = &mut self.sleepers[at];
        while let Some(action) = sleeper.raft.poll_action() {
            match action {
                Action::Send(message) => self.bag.push((at / place(MEMBERS), message)),
                Action::Persist(request) => sleeper.raft.persisted(request.id),
                Action::Apply(batches) => sleeper.raft.applied(batches.last().expect("never empty")),
                _ => {}
            }
        }
        sleeper.due = self.now + u64::from(sleeper.raft.ticks_until_due());
    }

    fn count(&self, count: impl Fn(&Sleeper) -> u64) -> u64 {
        self.sleepers.iter().map(count).sum()
    }
}

/// Long ticks would do as well; short ones show that they cost nothing.
fn settings(id: u64) -> Config {
    let mut settings = config(id);
    settings.heartbeat_ticks = 20;
    settings.election_timeout_ticks_min = 100;
    settings.election_timeout_ticks_max = 200;
    settings
}

fn place(number: u64) -> usize {
    usize::try_from(number).expect("small")
}

/// Elections take their time; afterwards each leader wakes up for its heartbeats and quorum checks, each
/// follower when it is sent one, and nobody else ever.
#[test]
fn quiet_groups_cost_their_heartbeats_and_nothing_else() {
    let mut owner = Owner::new();
    while owner.now < 600 {
        owner.next_date();
    }
    let leaders = owner.count(|sleeper| u64::from(sleeper.raft.role() == RoleName::Leader));
    assert_eq!(leaders, GROUPS as u64, "every group has its leader");
    let leaders_of = |owner: &Owner| -> Vec<Option<NodeId>> {
        owner.sleepers.iter().map(|sleeper| sleeper.raft.leader()).collect()
    };
    let before = leaders_of(&owner);
    for sleeper in &mut owner.sleepers {
        (sleeper.wake_ups, sleeper.inputs) = (0, 0);
    }
    let (from, ticks) = (owner.now, 200);
    while owner.now < from + ticks {
        owner.next_date();
    }
    assert_eq!(leaders_of(&owner), before, "nobody campaigned");
    let settings = settings(1);
    let beats = ticks / u64::from(settings.heartbeat_ticks) + 1;
    let checks = ticks / u64::from(settings.election_timeout_ticks_min) + 1;
    for sleeper in &owner.sleepers {
        let (wake_ups_max, answers) = match sleeper.raft.role() {
            // A quorum check may fall on a heartbeat, or between two.
            RoleName::Leader => (beats + checks, beats * (MEMBERS - 1)),
            RoleName::Follower | RoleName::PreCandidate | RoleName::Candidate => (0, beats),
        };
        assert!(sleeper.wake_ups <= wake_ups_max, "{} wake-ups: {:?}", sleeper.wake_ups, sleeper.raft.role());
        assert!(sleeper.inputs <= wake_ups_max + answers, "{} inputs", sleeper.inputs);
    }
    let per_tick = owner.count(|sleeper| sleeper.inputs) / ticks;
    let members = GROUPS as u64 * MEMBERS;
    println!("{per_tick} inputs per tick for {members} members, {} wake-ups", owner.count(|s| s.wake_ups));
}
