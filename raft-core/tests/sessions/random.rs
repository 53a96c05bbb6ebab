//! Clients, retries, old copies and expiries in any order, on three members and a model.
//!
//! One member is replaced now and then by one that is restored from another's snapshot and catches
//! up with the log. All must give the same outputs, and each call is applied once at most.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::sessions::{
    Sequence, SessionClient, SessionCommand, SessionError, SessionId, SessionLimits, SessionOutput, Sessions,
};
use raft_core::{SnapshotSource, StateMachine};

use crate::dice::Dice;
use crate::model::Model;
use crate::seen::Seen;
use crate::support::{Ledger, LedgerOutput, entry, read_all, restore};

const LIMITS: SessionLimits = SessionLimits {
    sessions_max: 4,
    idle_entries_max: 40,
    calls_max: 6,
    session_bytes_max: 300,
    table_bytes_max: 900,
};

/// A payload under way, and whose call it is.
type Proposal = (Option<(SessionId, Sequence)>, Vec<u8>);

struct World {
    dice: Dice,
    members: Vec<Sessions<Ledger>>,
    model: Model,
    /// All entries so far: index, payload, output.
    log: Vec<(u64, Vec<u8>, LedgerOutput)>,
    last: u64,
    clients: Vec<SessionClient>,
    calls: u64,
    /// Whatever was ever proposed; any of it may be committed next, even if it was before.
    copies: Vec<Proposal>,
    /// A picture that was taken at some length of the log and is not read yet.
    picture: Option<(usize, Box<dyn SnapshotSource>)>,
    outputs: BTreeMap<(SessionId, Sequence), Vec<u8>>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed),
            members: vec![Sessions::new(Ledger::default(), LIMITS); 3],
            model: Model::new(LIMITS),
            log: Vec::new(),
            last: 0,
            clients: Vec::new(),
            calls: 0,
            copies: Vec::new(),
            picture: None,
            outputs: BTreeMap::new(),
        }
    }

    fn step(&mut self) {
        match self.dice.below(32) {
            0 => self.propose(SessionCommand::Register),
            1 => self.propose(SessionCommand::Plain(b"\x01plain")),
            2 => {
                // Tags that are known, and too few or too many bytes behind them.
                let nonsense = (2 + self.dice.below(4)).to_le_bytes().to_vec();
                self.copies.push((None, nonsense));
            }
            3 => {
                let sessions_max = 3 + u32::from(self.dice.once_in(2));
                self.propose(SessionCommand::Limits(SessionLimits { sessions_max, ..LIMITS }));
            }
            4 => self.last += self.dice.below(20),
            5 => {
                let at = self.dice.place(self.members.len());
                self.picture = self.members[at].snapshot().map(|picture| (self.log.len(), picture));
            }
            6 => self.replace_a_member(),
            7..=18 => self.let_a_client_move(),
            _ => self.commit(),
        }
    }

    fn propose(&mut self, command: SessionCommand<'_>) {
        self.copies.push((None, command.to_payload()));
    }

    fn let_a_client_move(&mut self) {
        let Some(at) = (!self.clients.is_empty()).then(|| self.dice.place(self.clients.len())) else {
            return self.propose(SessionCommand::Register);
        };
        let client = &mut self.clients[at];
        let session = client.session();
        let unanswered: Vec<_> = client.unanswered().collect();
        match self.dice.below(20) {
            0 => self.propose(SessionCommand::Close(session)),
            1 if !unanswered.is_empty() => client.give_up(unanswered[0]),
            2..=8 if !unanswered.is_empty() => {
                let sequence = unanswered[self.dice.place(unanswered.len())];
                let retry = client.payload(sequence).expect("unanswered");
                self.copies.push((Some((session, sequence)), retry));
            }
            _ => {
                self.calls += 1;
                let output_bytes = u8::try_from(self.dice.below(120)).expect("small");
                let command = [&[output_bytes], &self.calls.to_le_bytes()[..]].concat();
                if let Ok(sequence) = client.call(&command) {
                    let payload = client.payload(sequence).expect("unanswered");
                    self.copies.push((Some((session, sequence)), payload));
                }
            }
        }
    }

    /// Commits a copy, most often a recent one, and keeps it in most cases: it may come again.
    fn commit(&mut self) {
        if self.copies.is_empty() {
            return;
        }
        let recent = if self.dice.once_in(8) { self.copies.len() } else { self.copies.len().min(6) };
        let at = self.copies.len() - 1 - self.dice.place(recent);
        let (whose, payload) = self.copies[at].clone();
        if self.dice.once_in(3) || whose.is_none() {
            self.copies.remove(at);
        }
        self.last += 1;
        let expected = self.model.apply(self.last, &payload);
        for member in &mut self.members {
            assert_eq!(member.apply(&entry(self.last, &payload)), expected, "entry {}", self.last);
        }
        self.log.push((self.last, payload, expected.clone()));
        match (expected, whose) {
            (Ok(SessionOutput::Registered(session)), _) => {
                self.clients.push(SessionClient::new(session, LIMITS.calls_max + 1));
            }
            (output, Some(call)) => self.tell_client(call, output),
            (_, None) => {}
        }
    }

    /// The output of a copy; half of them are lost on the way to the client.
    fn tell_client(&mut self, call: (SessionId, Sequence), output: LedgerOutput) {
        if let Ok(SessionOutput::Applied(output)) = &output {
            let first = self.outputs.entry(call).or_insert_with(|| output.clone());
            assert_eq!(first, output, "{call:?} is answered alike each time");
        }
        let is_lost = self.dice.once_in(2);
        let Some(at) = self.clients.iter().position(|client| client.session() == call.0) else { return };
        if is_lost {
            return;
        }
        if self.clients[at].on_output(call.1, output) == Err(SessionError::Expired) {
            self.clients.remove(at);
        }
    }

    /// A new member takes the place of one: restored from the picture, it catches up.
    fn replace_a_member(&mut self) {
        let Some((length, picture)) = self.picture.take() else { return };
        let snapshot = read_all(picture);
        // The limits are in the snapshot as well.
        let mut member = Sessions::new(Ledger::default(), SessionLimits::default());
        let sizes: Vec<_> = (0..40).map(|_| 1 + self.dice.place(30)).collect();
        restore(&mut member, &snapshot, sizes).expect("a snapshot of a member");
        for (index, payload, output) in &self.log[length..] {
            assert_eq!(&member.apply(&entry(*index, payload)), output, "entry {index}, restored");
        }
        let at = self.dice.place(self.members.len());
        self.members[at] = member;
        self.model.seen.note("restored");
    }

    fn check(&self) {
        for member in &self.members {
            assert_eq!(member.machine().commands(), self.model.commands);
        }
        let mut calls = BTreeSet::new();
        for command in self.model.commands.iter().filter(|command| *command != b"\x01plain") {
            assert!(calls.insert(command), "applied twice: {command:?}");
        }
    }
}

/// S76, S77, S78 and S81 at once.
#[test]
fn members_agree_and_no_call_is_applied_twice() {
    let mut total = Seen::default();
    for seed in 0..400 {
        println!("seed {seed}");
        let mut world = World::new(seed);
        for _ in 0..400 {
            world.step();
        }
        world.check();
        total.add(&world.model.seen);
    }
    let refused = ["expired", "answered", "too far ahead", "replies full"];
    total.assert_each(refused, 100);
    total.assert_each(["answered again", "applied out of order", "idle", "surplus", "restored"], 100);
}
