//! Makes a page of a recording: a template, and the recording as data inside of it.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::caption::{caption, members, payload};
use super::json::Json;
use super::recorder::{End, Flight, Glimpse, Mark, MarkKind, Origin, Request, State};
use super::recording::Recording;
use super::subject::RequestId;
use super::violation::Failure;
use crate::words::entries::EntryKind;
use crate::words::ids::{NodeId, Position};
use crate::words::membership::{MemberRole, Membership};

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPTS: [&str; 5] = [
    include_str!("page/run.js"),
    include_str!("page/diagram.js"),
    include_str!("page/logs.js"),
    include_str!("page/events.js"),
    include_str!("page/page.js"),
];

impl Recording {
    /// The run as one HTML page that needs nothing else: a space-time diagram of all messages, with
    /// roles, terms, logs, faults and the violated property. `replay` tells the reader how to run it
    /// again. The same recording gives the same page.
    ///
    /// ```
    /// use raft_core::sim::{Digests, Options, record};
    ///
    /// let recording = record(42, &Options::default(), Digests::default());
    /// let page = recording.page("cargo xtask sim --seed 42");
    /// assert!(page.starts_with("<!doctype html>") && !page.contains("http"));
    /// ```
    #[must_use]
    pub fn page(&self, replay: &str) -> String {
        let mut json = Json::default();
        json.object(|json| write_run(json, self, replay));
        let page = TEMPLATE.replace("/*style*/", STYLE).replace("/*scripts*/", &SCRIPTS.concat());
        // The data come last: nothing that they say is taken for a place to fill in.
        page.replacen("/*run*/", &json.finish(), 1)
    }
}

fn write_run(json: &mut Json, recording: &Recording, replay: &str) {
    let Recording { seed, options, steps, failure, what } = recording;
    // A seed may be greater than what scripts take for a whole number.
    json.entry("seed", |json| json.text(&seed.to_string()));
    json.entry("replay", |json| json.text(replay));
    json.entry("steps", |json| json.number(*steps));
    json.entry("faultSteps", |json| json.number(options.fault_steps));
    json.entry("violation", |json| json.maybe(failure.as_ref(), write_failure));
    json.entries("messages", &what.flights, write_flight);
    json.entry("states", |json| json.list(|json| write_states(json, &what.glimpses)));
    json.entries("marks", &what.marks, write_mark);
    json.entries("requests", &what.requests, write_request);
    json.entries("entries", &what.entries, write_entry);
}

fn write_failure(json: &mut Json, failure: &Failure) {
    json.object(|json| {
        json.entry("step", |json| json.number(failure.step));
        json.entry("property", |json| json.text(failure.violation.property));
        json.entry("details", |json| json.text(&failure.violation.details));
    });
}

/// `[from, to, term, kind, copy, sent, due, ended, end, caption]`
fn write_flight(json: &mut Json, flight: &Flight) {
    json.list(|json| {
        json.number(flight.message.from.get());
        json.number(flight.message.to.get());
        json.number(flight.message.term.get());
        json.text(flight.message.body.name());
        json.text(match flight.origin {
            Origin::Node => "",
            Origin::Duplicate => "duplicate",
            Origin::Replay => "replay",
        });
        json.number(flight.sent);
        json.number(flight.due);
        json.number(flight.ended);
        json.text(match flight.end {
            End::UnderWay => "under way",
            End::TakenIn => "taken in",
            End::Lost => "lost",
            End::Cut => "cut",
            End::Crashed => "crashed",
        });
        json.text(&caption(&flight.message.body));
    });
}

/// `[step, node, {what has changed}]`
fn write_states(json: &mut Json, glimpses: &[Glimpse]) {
    let mut latest: BTreeMap<(NodeId, &str), String> = BTreeMap::new();
    for glimpse in glimpses {
        json.list(|json| {
            json.number(glimpse.step);
            json.number(glimpse.node.get());
            json.object(|json| {
                fields(glimpse, |name, write| {
                    let mut value = Json::default();
                    write(&mut value);
                    let value = value.finish();
                    if latest.get(&(glimpse.node, name)) != Some(&value) {
                        json.entry(name, |json| json.raw(&value));
                        latest.insert((glimpse.node, name), value);
                    }
                });
            });
        });
    }
}

/// Everything of a state, field by field.
fn fields(glimpse: &Glimpse, mut field: impl FnMut(&'static str, &dyn Fn(&mut Json))) {
    let State::Up { is_paused, status, terms } = &glimpse.state else {
        return field("role", &|json| json.text("down"));
    };
    let id = |json: &mut Json, id: NodeId| json.number(id.get());
    field("role", &|json| json.text(&status.role.to_string()));
    field("paused", &|json| json.number(u64::from(*is_paused)));
    field("standing", &|json| json.text(standing(&status.membership, glimpse.node)));
    field("term", &|json| json.number(status.term.get()));
    field("vote", &|json| json.maybe(status.vote, id));
    field("leader", &|json| json.maybe(status.leader, id));
    field("heir", &|json| json.maybe(status.transferee, id));
    field("durable", &|json| json.number(status.durable.get()));
    field("commit", &|json| json.number(status.commit.get()));
    field("applied", &|json| json.number(status.applied.get()));
    field("mark", &|json| json.number(status.mark.index.get()));
    field("markTerm", &|json| json.number(status.mark.term.get()));
    field("snapshot", &|json| json.number(status.snapshot.unwrap_or_default().index.get()));
    field("members", &|json| json.text(&members(&status.membership)));
    field("votes", &|json| {
        json.list(|json| {
            for (node, is_granted) in &status.votes {
                json.list(|json| {
                    json.number(node.get());
                    json.number(u64::from(*is_granted));
                });
            }
        });
    });
    // Runs: the last index of each, and its term.
    field("log", &|json| {
        json.list(|json| {
            for (last, term) in terms {
                json.list(|json| {
                    json.number(last.get());
                    json.number(term.get());
                });
            }
        });
    });
}

/// What a node is in the membership that it knows.
fn standing(membership: &Membership, node: NodeId) -> &'static str {
    match membership.member(node).map(|member| member.role) {
        None => "outsider",
        Some(MemberRole::Voter) => "voter",
        Some(MemberRole::Learner) => "learner",
        Some(MemberRole::Joining | MemberRole::JoiningWitness) => "joining",
        Some(MemberRole::Witness) => "witness",
        Some(MemberRole::Leaving | MemberRole::LeavingWitness) => "leaving",
    }
}

/// `[step, node, kind, text]`
fn write_mark(json: &mut Json, mark: &Mark) {
    json.list(|json| {
        json.number(mark.step);
        json.maybe(mark.node, |json, node| json.number(node.get()));
        json.text(match mark.kind {
            MarkKind::Start => "start",
            MarkKind::Fault => "fault",
            MarkKind::Network => "network",
            MarkKind::Order => "order",
            MarkKind::Notice => "notice",
        });
        json.text(&mark.text);
    });
}

/// `[id, node, asked, command, answered, answer]`
fn write_request(json: &mut Json, (id, request): (&RequestId, &Request)) {
    json.list(|json| {
        json.number(id.0);
        json.number(request.node.get());
        json.number(request.asked);
        json.maybe(request.command.as_ref(), |json, command| json.text(&payload(command)));
        json.maybe(request.answer.map(|(step, _)| step), Json::number);
        json.maybe(request.answer.map(|(_, answer)| answer), Json::text);
    });
}

/// `[index, term, kind, text]`
fn write_entry(json: &mut Json, (at, (kind, bytes)): (&Position, &(EntryKind, Vec<u8>))) {
    json.list(|json| {
        json.number(at.index.get());
        json.number(at.term.get());
        let (name, text) = match kind {
            EntryKind::Command => ("command", payload(bytes)),
            EntryKind::Empty => ("empty", String::new()),
            EntryKind::Hollow => ("hollow", String::new()),
            EntryKind::Membership => {
                ("membership", Membership::decode(bytes).map_or_else(|_| payload(bytes), |it| members(&it)))
            }
        };
        json.text(name);
        json.text(&text);
    });
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::sim::{Digests, Options, Violation, record};

    #[test]
    fn the_page_holds_every_message_once() {
        let recording = record(42, &Options::default(), Digests::default());
        let row = |flight| {
            let mut json = Json::default();
            write_flight(&mut json, flight);
            json.finish()
        };
        let rows: Vec<String> = recording.what.flights.iter().map(row).collect();
        assert!(rows.len() > 1000 && rows.len() == recording.message_count());
        assert!(recording.page("").contains(&format!("\"messages\":[{}],\"states\"", rows.join(","))));
    }

    #[test]
    fn messages_end_when_they_can_and_all_ends_are_met() {
        let mut ends: Vec<End> = Vec::new();
        for seed in 0..20 {
            let recording = record(seed, &Options::default(), Digests::default());
            for flight in &recording.what.flights {
                let Flight { sent, due, ended, end, .. } = *flight;
                assert!(sent < due && due <= ended, "seed {seed}: {flight:?}");
                assert!(end == End::UnderWay || end == End::Lost || ended <= recording.steps, "seed {seed}");
                if !ends.contains(&end) {
                    ends.push(end);
                }
            }
        }
        assert_eq!(ends.len(), 5, "{ends:?}");
    }

    #[test]
    fn what_a_run_says_stays_data() {
        let mut recording = record(1, &Options::default(), Digests::default());
        let violation = Violation::new("</script>", "<script>/*scripts*/ & \"quoted\"");
        recording.failure = Some(Failure { seed: 1, step: recording.steps, violation });
        let page = recording.page("</script>");
        for tag in ["<script", "</script>"] {
            assert_eq!(page.matches(tag).count(), TEMPLATE.matches(tag).count(), "{tag}");
        }
        assert!(page.contains(r#"\u003cscript\u003e/*scripts*/ \u0026 \"quoted\""#));
    }
}
