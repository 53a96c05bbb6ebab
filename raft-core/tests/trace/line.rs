//! One line of a trace, as whoever reads the file finds it.

use serde_json::Value;

/// An event of a trace.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) node: u64,
    pub(crate) term: u64,
    /// Zero is nobody.
    pub(crate) vote: u64,
    pub(crate) commit: u64,
    pub(crate) role: String,
    pub(crate) last: u64,
    pub(crate) conf: Conf,
    pub(crate) message: Option<Sent>,
    /// Of an event that tells of another configuration.
    pub(crate) next: Option<Conf>,
}

/// Voters of the incoming and of the outgoing configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conf {
    pub(crate) voters: Vec<u64>,
    pub(crate) outgoing: Vec<u64>,
}

/// A message.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) kind: String,
    pub(crate) term: u64,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) entries: u64,
    pub(crate) index: u64,
    pub(crate) commit: u64,
    pub(crate) reject: bool,
    /// What the sender has durable, if it is an answer to a leader.
    pub(crate) durable: Option<u64>,
    /// All that is told of it, to find it again where it is received.
    pub(crate) text: String,
}

impl Line {
    /// Reads a line; panics if a key is missing or of another type than the specification expects.
    pub(crate) fn read(line: &str) -> Self {
        let value: Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["tag"], "trace", "{line}");
        let event = &value["event"];
        let (state, prop) = (&event["state"], &event["prop"]);
        let next = prop["cc"]
            .is_object()
            .then(|| Conf { voters: ids(&prop["cc"]["newconf"]), outgoing: ids(&prop["cc"]["newoutgoing"]) });
        Self {
            name: text(&event["name"]),
            node: id(&event["nid"]),
            term: number(&state["term"]),
            vote: id(&state["vote"]),
            commit: number(&state["commit"]),
            role: text(&event["role"]),
            last: number(&event["log"]),
            conf: Conf { voters: ids(&event["conf"][0]), outgoing: ids(&event["conf"][1]) },
            message: event["msg"].is_object().then(|| Sent::read(&event["msg"], prop)),
            next,
        }
    }
}

impl Sent {
    fn read(message: &Value, prop: &Value) -> Self {
        assert_eq!(id(&message["vote"]), 0);
        number(&message["logTerm"]);
        number(&message["rejectHint"]);
        Self {
            kind: text(&message["type"]),
            term: number(&message["term"]),
            from: id(&message["from"]),
            to: id(&message["to"]),
            entries: number(&message["entries"]),
            index: number(&message["index"]),
            commit: number(&message["commit"]),
            reject: message["reject"].as_bool().unwrap(),
            durable: prop["durable"].as_u64(),
            text: format!("{message}{prop}"),
        }
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Ids are strings, as in the specification.
fn id(value: &Value) -> u64 {
    text(value).parse().unwrap()
}

fn ids(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(id).collect()
}
