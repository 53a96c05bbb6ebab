//! Replays a trace by the rules that the actions of a specification have, and knows nothing else.
//!
//! It allows what a network and disks may do: messages are lost, delayed and repeated, and a node that
//! starts again has forgotten what it never vouched for.

use std::collections::{BTreeMap, BTreeSet};

use crate::line::{Conf, Line, Sent};

/// Why a trace is none of Raft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Broken {
    /// A node did something before it started.
    NotStarted,
    /// A node is in another term or role than what it did leads to.
    State,
    /// The vote changed within a term, or for no reason.
    Vote,
    /// A restarted node forgot a vote that it had told somebody about.
    ForgottenVote,
    /// The log changed without a reason, or in a way that the reason does not explain.
    Log,
    /// The commit index fell, or rose by more than a leader told.
    FollowerCommit,
    /// A leader raised the commit index without a quorum, or by counting entries of earlier terms.
    LeaderCommit,
    /// The configuration changed without an event.
    Conf,
    /// A leader began to change the membership before that was safe.
    EarlyConfChange,
    /// A message was received that nobody sent.
    NeverSent,
    /// A message was sent in a role or term that does not send it.
    Send,
    /// A term was entered without a candidacy or a message that told of it.
    Term,
    /// A leader without a quorum of votes.
    Votes,
    /// A second leader in a term.
    SecondLeader,
    /// An event that does not exist.
    UnknownEvent,
}

/// What the trace so far tells of the nodes.
#[derive(Debug, Default)]
pub(crate) struct Validator {
    /// Which events there were.
    pub(crate) names: BTreeSet<String>,
    nodes: BTreeMap<u64, Node>,
    sent: BTreeSet<String>,
    leaders: BTreeMap<u64, u64>,
    candidates: BTreeSet<(u64, u64)>,
    /// Votes that were told to the candidate: by voter, the last term and to whom.
    told_votes: BTreeMap<u64, (u64, u64)>,
}

#[derive(Debug, Default)]
struct Node {
    term: u64,
    vote: u64,
    commit: u64,
    role: String,
    last: u64,
    conf: Conf,
    /// What came in last, as long as it may explain a change.
    received: Option<Sent>,
    granted: BTreeSet<u64>,
    acknowledged: BTreeMap<u64, u64>,
    /// Where the term of this leader begins.
    term_start: u64,
    /// Where this leader appended a membership.
    conf_index: u64,
}

impl Validator {
    /// Replays a whole trace; the number of the line that breaks a rule, counted from zero.
    pub(crate) fn replay<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self, (usize, Broken)> {
        let mut this = Self::default();
        for (at, line) in lines.into_iter().enumerate() {
            this.take(&Line::read(line)).map_err(|broken| (at, broken))?;
        }
        Ok(this)
    }

    fn take(&mut self, line: &Line) -> Result<(), Broken> {
        self.names.insert(line.name.clone());
        if line.name == "InitState" {
            return self.on_start(line);
        }
        let node = self.nodes.get_mut(&line.node).ok_or(Broken::NotStarted)?;
        node.check_conf(line)?;
        match line.name.as_str() {
            "BecomeFollower" => node.on_follower(line),
            "BecomeCandidate" => {
                self.candidates.insert((line.node, line.term));
                node.on_candidate(line)
            }
            "BecomeLeader" => {
                check(self.leaders.insert(line.term, line.node).is_none(), Broken::SecondLeader)?;
                node.on_leader(line)
            }
            "Replicate" | "ChangeConf" => node.on_append(line),
            "ApplyConfChange" => {
                node.settle(line)?;
                node.conf = line.next.clone().ok_or(Broken::Conf)?;
                Ok(())
            }
            "InstallSnapshot" => node.on_snapshot(line),
            "Commit" => node.on_commit(line),
            "Ready" => node.rest(line),
            name if name.starts_with("Send") => {
                node.rest(line)?;
                self.on_send(line, line.message.as_ref().ok_or(Broken::UnknownEvent)?)
            }
            name if name.starts_with("Receive") => {
                let message = line.message.as_ref().ok_or(Broken::UnknownEvent)?;
                check(message.to == line.node && self.sent.contains(&message.text), Broken::NeverSent)?;
                node.on_receive(line, message)
            }
            _ => Err(Broken::UnknownEvent),
        }
    }

    /// What was not vouched for may be gone.
    fn on_start(&mut self, line: &Line) -> Result<(), Broken> {
        if let Some((term, to)) = self.told_votes.get(&line.node) {
            let is_kept = line.term > *term || (line.term == *term && line.vote == *to);
            check(is_kept, Broken::ForgottenVote)?;
        }
        check(line.role == FOLLOWER && line.commit <= line.last, Broken::State)?;
        let node = Node {
            term: line.term,
            vote: line.vote,
            commit: line.commit,
            role: line.role.clone(),
            last: line.last,
            conf: line.conf.clone(),
            ..Node::default()
        };
        self.nodes.insert(line.node, node);
        Ok(())
    }

    fn on_send(&mut self, line: &Line, message: &Sent) -> Result<(), Broken> {
        let node = &self.nodes[&line.node];
        let is_now = message.term == node.term;
        check(message.from == line.node && message.term <= node.term, Broken::Send)?;
        match message.kind.as_str() {
            "MsgApp" | "MsgHeartbeat" | "MsgSnap" => {
                check(self.leaders.get(&message.term) == Some(&line.node), Broken::Send)?;
            }
            "MsgVote" => check(self.candidates.contains(&(line.node, message.term)), Broken::Send)?,
            "MsgVoteResp" if !message.reject => {
                check(!is_now || node.vote == message.to, Broken::Vote)?;
                let told = (message.term, message.to);
                let before = self.told_votes.insert(line.node, told).filter(|(term, _)| *term == told.0);
                check(before.is_none_or(|before| before == told), Broken::Vote)?;
            }
            "MsgAppResp" | "MsgHeartbeatResp" => {
                check(!is_now || message.durable.is_none_or(|durable| durable <= node.last), Broken::Send)?;
            }
            _ => {}
        }
        self.sent.insert(message.text.clone());
        Ok(())
    }
}

impl Node {
    fn check_conf(&self, line: &Line) -> Result<(), Broken> {
        check(self.conf == line.conf, Broken::Conf)
    }

    /// The node is in the state that the line tells; what is new follows from what it received.
    fn settle(&mut self, line: &Line) -> Result<(), Broken> {
        check((self.term, self.role.as_str()) == (line.term, line.role.as_str()), Broken::State)?;
        let received = self.received.as_ref();
        if self.vote != line.vote {
            let is_asked = received.is_some_and(|message| {
                message.kind == "MsgVote" && (message.term, message.from) == (line.term, line.vote)
            });
            check(is_asked && self.vote == 0, Broken::Vote)?;
            self.vote = line.vote;
        }
        let is_led = self.role == FOLLOWER && received.is_some_and(|message| message.term == self.term);
        let received = received.filter(|_| is_led);
        if self.last != line.last {
            let is_appended = received.is_some_and(|message| {
                message.kind == "MsgApp"
                    && message.entries > 0
                    && message.index + message.entries == line.last
            });
            check(is_appended && line.last >= self.commit, Broken::Log)?;
            self.last = line.last;
        }
        if self.commit != line.commit {
            let up_to = received.map_or(0, |message| match message.kind.as_str() {
                "MsgApp" | "MsgHeartbeat" => message.commit,
                "MsgSnap" => message.entries,
                _ => 0,
            });
            let is_told = (self.commit..=up_to).contains(&line.commit) && line.commit <= self.last;
            check(is_told, Broken::FollowerCommit)?;
            self.commit = line.commit;
        }
        Ok(())
    }

    /// As [`settle`](Self::settle); what was received explains nothing that comes later.
    fn rest(&mut self, line: &Line) -> Result<(), Broken> {
        self.settle(line)?;
        self.received = None;
        Ok(())
    }

    /// A change of role or term. If the log and the commit index are others, they were so before.
    fn on_role(&mut self, line: &Line, role: &str) -> Result<(), Broken> {
        check(line.role == role, Broken::State)?;
        let before = Line { term: self.term, role: self.role.clone(), vote: self.vote, ..line.clone() };
        self.settle(&before)?;
        (self.term, self.vote, self.role) = (line.term, line.vote, line.role.clone());
        self.granted.clear();
        self.acknowledged.clear();
        Ok(())
    }

    fn on_follower(&mut self, line: &Line) -> Result<(), Broken> {
        if line.term == self.term {
            check(self.role != FOLLOWER && self.vote == line.vote, Broken::State)?;
        } else {
            let told = self.received.as_ref().is_some_and(|message| message.term == line.term);
            check(told && line.term > self.term, Broken::Term)?;
            check(line.vote == 0, Broken::Vote)?;
        }
        self.on_role(line, FOLLOWER)
    }

    fn on_candidate(&mut self, line: &Line) -> Result<(), Broken> {
        check(self.role != LEADER && line.term == self.term + 1, Broken::Term)?;
        check(line.vote == line.node, Broken::Vote)?;
        self.on_role(line, CANDIDATE)
    }

    fn on_leader(&mut self, line: &Line) -> Result<(), Broken> {
        check(self.role == CANDIDATE && line.term == self.term && line.vote == self.vote, Broken::State)?;
        check(self.conf.has_quorum(|voter| self.granted.contains(&voter)), Broken::Votes)?;
        self.on_role(line, LEADER)?;
        self.acknowledged.insert(line.node, self.last);
        (self.term_start, self.conf_index) = (self.last + 1, 0);
        Ok(())
    }

    fn on_append(&mut self, line: &Line) -> Result<(), Broken> {
        check(self.role == LEADER, Broken::State)?;
        check(line.last == self.last + 1, Broken::Log)?;
        self.last = line.last;
        self.rest(line)?;
        if line.name == "ChangeConf" {
            let is_settled = self.commit >= self.term_start && self.commit >= self.conf_index;
            check(is_settled && self.last > self.term_start, Broken::EarlyConfChange)?;
            self.conf_index = self.last;
        }
        Ok(())
    }

    fn on_snapshot(&mut self, line: &Line) -> Result<(), Broken> {
        check(self.role == FOLLOWER && line.last >= line.commit, Broken::Log)?;
        check(line.commit >= self.commit, Broken::FollowerCommit)?;
        (self.last, self.commit) = (line.last, line.commit);
        self.rest(line)
    }

    fn on_commit(&mut self, line: &Line) -> Result<(), Broken> {
        check(self.role == LEADER, Broken::State)?;
        let has = |voter| self.acknowledged.get(&voter).is_some_and(|index| *index >= line.commit);
        let is_new = line.commit > self.commit && line.commit >= self.term_start;
        check(is_new && line.commit <= self.last && self.conf.has_quorum(has), Broken::LeaderCommit)?;
        self.commit = line.commit;
        self.rest(line)
    }

    fn on_receive(&mut self, line: &Line, message: &Sent) -> Result<(), Broken> {
        self.rest(line)?;
        if message.term == self.term {
            if message.kind == "MsgVoteResp" && !message.reject && self.role == CANDIDATE {
                self.granted.insert(message.from);
            }
            if let Some(durable) = message.durable
                && self.role == LEADER
            {
                let known = self.acknowledged.entry(message.from).or_default();
                *known = durable.max(*known);
            }
        }
        self.received = Some(message.clone());
        Ok(())
    }
}

impl Conf {
    /// Whether a majority of each configuration `has` it.
    fn has_quorum(&self, has: impl Fn(u64) -> bool) -> bool {
        let is_majority = |voters: &[u64]| 2 * voters.iter().filter(|id| has(**id)).count() > voters.len();
        is_majority(&self.voters) && (self.outgoing.is_empty() || is_majority(&self.outgoing))
    }
}

fn check(holds: bool, broken: Broken) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(broken) }
}

const FOLLOWER: &str = "StateFollower";
const CANDIDATE: &str = "StateCandidate";
const LEADER: &str = "StateLeader";
