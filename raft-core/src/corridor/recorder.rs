//! The trace of one node: what it did, in the words of a TLA+ specification (feature `trace`).
//!
//! The recorder compares the node with what it saw of it last, and tells the difference as events. It
//! looks before and after each input and output, and wherever one input may do two things in an order
//! that the difference alone would not show: at each change of role, and before a leader goes on from
//! what it has just committed. So the rooms know nothing of it, and it decides nothing.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use crate::books::Books;
use crate::books::role::Role;
use crate::words::action::Action;
use crate::words::ids::{LogIndex, PersistId};
use crate::words::message::{Body, Message};
use crate::words::notice::Offence;
use crate::words::status::RoleName;
use crate::words::trace::{TraceConf, TraceEvent, TraceKind, TraceMessage, TraceState};

/// Records, once it was started.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    recorder: Option<Box<Recorder>>,
}

/// What was recorded decides about nothing.
impl Hash for Trace {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[derive(Clone, Debug)]
struct Recorder {
    events: Vec<TraceEvent>,
    seen: View,
    /// A message that came in, as long as it is not known whether it was let in.
    arrived: Option<TraceMessage>,
    /// What a leader's own disk will acknowledge, and with which request.
    own_answers: VecDeque<(PersistId, TraceMessage)>,
    /// Something was sent, and the caller has not drained everything.
    has_sent: bool,
}

/// All of a node that events tell.
#[derive(Clone, Debug, PartialEq, Eq)]
struct View {
    state: TraceState,
    snapshots_installed: u64,
    refused: u64,
}

impl Trace {
    /// Records nothing yet.
    pub(crate) fn new() -> Self {
        Self { recorder: None }
    }

    /// Records from now on.
    pub(crate) fn start(&mut self, books: &Books, role: &Role) {
        let seen = View::of(books, role);
        let (events, arrived, own_answers) = Default::default();
        let mut recorder = Recorder { events, seen, arrived, own_answers, has_sent: false };
        recorder.tell(books, TraceKind::InitState);
        self.recorder = Some(Box::new(recorder));
    }

    /// What was recorded since this was asked last.
    pub(crate) fn take(&mut self) -> Vec<TraceEvent> {
        self.recorder.as_mut().map(|recorder| core::mem::take(&mut recorder.events)).unwrap_or_default()
    }

    /// The node may have changed.
    pub(crate) fn observe(&mut self, books: &Books, role: &Role) {
        if let Some(recorder) = &mut self.recorder {
            recorder.observe(books, role);
        }
    }

    /// A message is about to be received.
    pub(crate) fn arrive(&mut self, message: &Message) {
        if let Some(recorder) = &mut self.recorder {
            recorder.arrived = Some(TraceMessage::of(message));
        }
    }

    /// An action is about to be handed out, or there is none left.
    pub(crate) fn hand_out(&mut self, books: &Books, role: &Role, action: Option<&Action>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.observe(books, role);
            recorder.hand_out(books, action);
        }
    }

    /// The node is about to count its own vote.
    pub(crate) fn own_vote(&mut self, books: &Books, role: &Role, message: &Message) {
        if let Some(recorder) = &mut self.recorder
            && let Body::VoteReply(_) = message.body
        {
            recorder.observe(books, role);
            let message = TraceMessage::of(message);
            recorder.send(books, message.clone());
            recorder.receive_own(books, message);
        }
    }
}

impl Recorder {
    /// Tells what changed, in the order in which it can have happened: what came in, the role, the
    /// log, the membership, the commit index.
    fn observe(&mut self, books: &Books, role: &Role) {
        let now = View::of(books, role);
        if let Some(message) = self.arrived.take()
            && now.refused == self.seen.refused
        {
            self.tell(books, TraceKind::Receive(message));
        }
        self.own_disk(books, &now);
        self.role(books, &now);
        self.log(books, &now);
        if now.state.conf != self.seen.state.conf {
            self.tell(books, TraceKind::ApplyConfChange(now.state.conf.clone()));
            self.seen.state.conf = now.state.conf.clone();
        }
        let has_committed = now.state.commit > self.seen.state.commit;
        let leads = now.state.role == RoleName::Leader;
        // What a follower commits follows from the message that told it.
        self.seen = now;
        if has_committed && leads {
            self.tell(books, TraceKind::Commit);
        }
    }

    /// A leader's own disk answers like any other (diss. §10.2.1).
    fn own_disk(&mut self, books: &Books, now: &View) {
        let completed = books.disk.completed();
        while let Some((_, answer)) = self.own_answers.pop_front_if(|(id, _)| *id <= completed) {
            if now.state.role == RoleName::Leader && now.state.term == answer.term {
                self.receive_own(books, answer);
            }
        }
    }

    fn role(&mut self, books: &Books, now: &View) {
        let (is, was) = (&now.state, &mut self.seen.state);
        if (is.role, is.term) == (was.role, was.term) {
            return;
        }
        (was.role, was.term, was.vote) = (is.role, is.term, is.vote);
        self.tell(
            books,
            match now.state.role {
                RoleName::Follower | RoleName::PreCandidate => TraceKind::BecomeFollower,
                RoleName::Candidate => TraceKind::BecomeCandidate,
                RoleName::Leader => TraceKind::BecomeLeader,
            },
        );
    }

    /// What a leader appended. What a follower did follows from the message that told it, or is the
    /// work of a snapshot.
    fn log(&mut self, books: &Books, now: &View) {
        if now.snapshots_installed != self.seen.snapshots_installed {
            (self.seen.state.last, self.seen.state.commit) = (now.state.last, now.state.commit);
            self.tell(books, TraceKind::InstallSnapshot);
        } else if now.state.role == RoleName::Leader {
            while self.seen.state.last < now.state.last {
                self.seen.state.last = self.seen.state.last.next();
                let is_membership = self.seen.state.last == books.memberships.current_index();
                let conf = now.state.conf.clone();
                self.tell(
                    books,
                    if is_membership { TraceKind::ChangeConf(conf) } else { TraceKind::Replicate },
                );
            }
        }
        self.seen.state.last = now.state.last;
    }

    fn hand_out(&mut self, books: &Books, action: Option<&Action>) {
        match action {
            Some(Action::Send(message)) => self.send(books, TraceMessage::of(message)),
            Some(Action::Persist(request)) if self.seen.state.role == RoleName::Leader => {
                let last = self.seen.state.last;
                if request.entries.last() == Some(last) {
                    self.ask_own_disk(books, request.id, last);
                }
            }
            None => self.ready(books),
            Some(_) => {}
        }
    }

    fn ask_own_disk(&mut self, books: &Books, id: PersistId, last: LogIndex) {
        let answer = TraceMessage::own_answer(books.id(), books.term(), last);
        self.own_answers.push_back((id, answer.clone()));
        self.send(books, answer);
    }

    fn send(&mut self, books: &Books, message: TraceMessage) {
        self.has_sent = true;
        self.tell(books, TraceKind::Send(message));
    }

    fn receive_own(&mut self, books: &Books, message: TraceMessage) {
        self.ready(books);
        self.tell(books, TraceKind::Receive(message));
    }

    fn ready(&mut self, books: &Books) {
        if core::mem::take(&mut self.has_sent) {
            self.tell(books, TraceKind::Ready);
        }
    }

    fn tell(&mut self, books: &Books, kind: TraceKind) {
        self.events.push(TraceEvent { node: books.id(), state: self.seen.state.clone(), kind });
    }
}

impl View {
    fn of(books: &Books, role: &Role) -> Self {
        let role = match role.name() {
            RoleName::PreCandidate => RoleName::Follower,
            name @ (RoleName::Follower | RoleName::Candidate | RoleName::Leader) => name,
        };
        let state = TraceState {
            term: books.term(),
            vote: books.hard.vote,
            commit: books.commit(),
            role,
            last: books.log.last().index,
            conf: TraceConf::of(books.memberships.current()),
        };
        let refused = REFUSALS.map(|offence| books.outbox.offence_count(offence)).iter().sum::<u64>();
        Self {
            state,
            snapshots_installed: books.counters.snapshots_installed,
            refused: refused + books.counters.votes_ignored_for_leader,
        }
    }
}

/// What the door refuses before it looks at what the message says: to the group, the message is lost.
const REFUSALS: [Offence; 5] = [
    Offence::Misaddressed,
    Offence::FromSelf,
    Offence::TermJump,
    Offence::MalformedAppend,
    Offence::OutsiderTerm,
];
