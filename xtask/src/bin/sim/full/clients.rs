//! Clients with sessions: each has one call at a time, and asks again until it is answered. What they
//! saw is checked key by key in the end.

use std::collections::BTreeMap;

use raft_core::sessions::{Sequence, SessionClient, SessionCommand, SessionError, SessionOutput};
use raft_core::sim::{Dice, Operation, RequestId, Situations, Violation, is_linearizable};
use raft_kv::kv::{Batch, SetCondition, SetReply};

use super::machine::{KvMachine, Output};

/// All clients, and what they saw.
#[derive(Debug)]
pub(super) struct Clients {
    clients: Vec<Client>,
    /// What was asked for, of which key, and what came of it; `None` if it certainly never happened.
    history: Vec<Option<(usize, Operation<Call, Output>)>>,
}

#[derive(Debug, Default)]
struct Client {
    session: Option<SessionClient>,
    /// The request that is under way, and since when.
    request: Option<(RequestId, Errand, u64)>,
    /// The call that is not answered yet, and its place in the history.
    call: Option<(Sequence, usize)>,
}

/// What a request is for.
#[derive(Clone, Copy, Debug)]
enum Errand {
    Register,
    /// A copy of a call of the session.
    Call {
        is_retry: bool,
    },
    /// A command without a session, or a read.
    Once(usize),
}

/// One operation on one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Set(i64),
    Add(i64),
    Swap(i64, i64),
    Take,
    Get,
}

const KEYS: [&str; 3] = ["a", "b", "c"];
const CLIENTS: usize = 4;
/// How long a client waits for an answer.
const PATIENCE_STEPS: u64 = 1000;
/// So many calls are unanswered at most: one.
const CALLS_MAX: u32 = 1;

impl Default for Clients {
    fn default() -> Self {
        Self { clients: (0..CLIENTS).map(|_| Client::default()).collect(), history: Vec::new() }
    }
}

impl Clients {
    /// Whatever an idle client wants to propose.
    pub(super) fn propose(
        &mut self,
        request: RequestId,
        now: u64,
        dice: &mut Dice,
        situations: &Situations,
    ) -> Option<Vec<u8>> {
        let client = pick_idle(&mut self.clients, now, dice)?;
        if dice.between(0, 49) == 0 {
            // It forgets its session, and what it waits for; the table of sessions fills up.
            (client.session, client.call) = (None, None);
        }
        let Some(session) = &mut client.session else {
            client.request = Some((request, Errand::Register, now));
            return Some(SessionCommand::Register.to_payload());
        };
        if let Some((sequence, _)) = client.call {
            situations.note("retry");
            client.request = Some((request, Errand::Call { is_retry: true }, now));
            return session.payload(sequence);
        }
        let key = dice.between(0, 2) as usize;
        let call = Call::draw(dice);
        let place = self.history.len();
        self.history.push(Some((key, Operation { call, asked: now, answer: None })));
        if dice.between(0, 19) == 0 {
            client.request = Some((request, Errand::Once(place), now));
            return Some(SessionCommand::Plain(&call.encode(KEYS[key])).to_payload());
        }
        let sequence = session.call(&call.encode(KEYS[key])).expect("the call before was answered");
        client.request = Some((request, Errand::Call { is_retry: false }, now));
        client.call = Some((sequence, place));
        session.payload(sequence)
    }

    /// Whether an idle client wants to read.
    pub(super) fn read(&mut self, request: RequestId, now: u64, dice: &mut Dice) -> bool {
        let Some(client) = pick_idle(&mut self.clients, now, dice) else { return false };
        client.request = Some((request, Errand::Once(self.history.len()), now));
        let key = dice.between(0, 2) as usize;
        self.history.push(Some((key, Operation { call: Call::Get, asked: now, answer: None })));
        true
    }

    /// A command was applied.
    pub(super) fn on_output(
        &mut self,
        request: RequestId,
        now: u64,
        output: Result<SessionOutput<Output>, SessionError>,
        situations: &Situations,
    ) {
        let Some((client, errand)) = take(&mut self.clients, request) else { return };
        match errand {
            Errand::Register => {
                if let Ok(SessionOutput::Registered(session)) = output {
                    situations.note("session opened");
                    client.session = Some(SessionClient::new(session, CALLS_MAX));
                }
            }
            Errand::Once(place) => {
                if let Ok(SessionOutput::Applied(output)) = output {
                    answer(&mut self.history, place, now, output);
                }
            }
            Errand::Call { is_retry } => {
                let (Some(session), Some((sequence, place))) = (&mut client.session, client.call) else {
                    return;
                };
                match session.on_output(sequence, output) {
                    Ok(Some(output)) => {
                        if is_retry {
                            situations.note("retry answered");
                        }
                        client.call = None;
                        answer(&mut self.history, place, now, output);
                    }
                    Ok(None) => {}
                    // Whether an earlier copy was applied nobody knows any more.
                    Err(_) => {
                        situations.note("session expired");
                        (client.session, client.call) = (None, None);
                    }
                }
            }
        }
    }

    /// A read is answered from this state.
    pub(super) fn on_read(&mut self, request: RequestId, now: u64, machine: &KvMachine) {
        let Some((_, Errand::Once(place))) = take(&mut self.clients, request) else { return };
        let key = self.history[place].as_ref().map_or(0, |(key, _)| *key);
        answer(&mut self.history, place, now, machine.value(KEYS[key]));
    }

    /// A request is not answered. A call is asked for again; anything else stays of unknown outcome,
    /// unless it `never` took effect.
    pub(super) fn on_no_answer(&mut self, request: RequestId, never: bool) {
        if let Some((_, Errand::Once(place))) = take(&mut self.clients, request)
            && never
        {
            self.history[place] = None;
        }
    }

    /// Whether each key behaved as one that is read and written by one client after the other.
    pub(super) fn check(&self, situations: &Situations) -> Result<(), Violation> {
        let mut by_key: BTreeMap<usize, Vec<Operation<Call, Output>>> = BTreeMap::new();
        for (key, operation) in self.history.iter().flatten() {
            by_key.entry(*key).or_default().push(operation.clone());
            situations.note(match (operation.call, &operation.answer) {
                (_, None) => "operation of unknown outcome",
                (Call::Add(_), Some(_)) => "increment",
                (Call::Swap(..), Some((_, Some(1)))) => "swap taken",
                (Call::Swap(..), Some(_)) => "swap refused",
                (Call::Set(_) | Call::Take | Call::Get, Some(_)) => "other operation",
            });
        }
        for (key, operations) in by_key {
            if !is_linearizable(&operations, None, Call::apply) {
                let details = format!("key {}: {operations:?}", KEYS[key]);
                return Err(Violation::new("clients see one history", details));
            }
            situations.note("linearizable key");
        }
        Ok(())
    }
}

/// A client without a request under way, some other one each time. It does not wait for ever: a node
/// that was removed while it heard nothing may never answer a read.
fn pick_idle<'a>(clients: &'a mut [Client], now: u64, dice: &mut Dice) -> Option<&'a mut Client> {
    let first = dice.between(0, u32::try_from(CLIENTS - 1).expect("a few")) as usize;
    let (before, behind) = clients.split_at_mut(first);
    behind
        .iter_mut()
        .chain(before)
        .find(|client| client.request.is_none_or(|(.., since)| since + PATIENCE_STEPS < now))
}

/// Whose request this is, and what it was for.
fn take(clients: &mut [Client], request: RequestId) -> Option<(&mut Client, Errand)> {
    let is_asked = |client: &&mut Client| client.request.is_some_and(|(own, ..)| own == request);
    let client = clients.iter_mut().find(is_asked)?;
    let (_, errand, _) = client.request.take()?;
    Some((client, errand))
}

fn answer(history: &mut [Option<(usize, Operation<Call, Output>)>], place: usize, now: u64, output: Output) {
    if let Some((_, operation)) = &mut history[place] {
        operation.answer = Some((now, output));
    }
}

impl Call {
    /// Small numbers, so that swaps often meet what they expect.
    fn draw(dice: &mut Dice) -> Self {
        let mut number = || i64::from(dice.between(0, 3));
        let (one, other) = (number(), number());
        match dice.between(0, 9) {
            0..2 => Self::Set(one),
            2..6 => Self::Add(one + 1),
            6..8 => Self::Swap(one, other),
            8 => Self::Take,
            _ => Self::Get,
        }
    }

    /// As the machine reads it.
    fn encode(self, key: &str) -> Vec<u8> {
        let mut batch = Batch::new();
        let (key, text) = (key.as_bytes(), |number: i64| number.to_string().into_bytes());
        match self {
            Self::Set(value) => batch.set(key, &text(value), SetCondition::Always, SetReply::Done),
            Self::Add(delta) => batch.add(key, delta),
            Self::Swap(expected, new) => batch.compare_and_set(key, &text(expected), &text(new)),
            Self::Take => batch.take(key),
            Self::Get => batch.fetch(key),
        }
        batch.as_bytes().to_vec()
    }

    /// What it should do and answer.
    fn apply(state: &mut Option<i64>, call: &Self) -> Output {
        match *call {
            Self::Set(value) => {
                *state = Some(value);
                Some(1)
            }
            Self::Add(delta) => {
                *state = Some(state.unwrap_or(0) + delta);
                *state
            }
            Self::Swap(expected, new) if *state == Some(expected) => {
                *state = Some(new);
                Some(1)
            }
            Self::Swap(..) => Some(0),
            Self::Take => state.take(),
            Self::Get => *state,
        }
    }
}
