//! The table of commands: name, number of words, and what kind of work each is.

use super::error::CommandError;
use crate::resp::Request;

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the command of that name, documented by Redis or in the README")]
pub enum Verb {
    Get,
    Set,
    SetNx,
    GetSet,
    GetDel,
    MGet,
    MSet,
    MSetNx,
    Del,
    Exists,
    Incr,
    IncrBy,
    Decr,
    DecrBy,
    Append,
    StrLen,
    Type,
    Cas,
    DbSize,
    FlushAll,
    Scan,
    Keys,
    Multi,
    Exec,
    Discard,
    Watch,
    Unwatch,
    Hello,
    Auth,
    Ping,
    Echo,
    Select,
    Quit,
    Reset,
    Command,
    Config,
    Client,
    Info,
    RaftStatus,
    RaftAdd,
    RaftPromote,
    RaftDemote,
    RaftDomain,
    RaftRemove,
    RaftTransfer,
    RaftSnapshot,
    RaftSession,
    RaftOnce,
    RaftSessionClose,
}

/// What kind of work a command is, which decides its way through the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Changes the store: goes through the log.
    Write,
    /// Reads a few keys: needs a read point, or goes through the log among writes.
    Read,
    /// Reads many keys: never goes through the log, where every node would repeat it.
    Scan,
    /// Opens, runs or drops a transaction.
    Transaction,
    /// Changes how the connection speaks: stands alone.
    Handshake,
    /// Is answered by this node at once.
    Local,
    /// Opens, uses or closes a client's session: a log entry of its own.
    Session,
    /// Changes the group or keeps the node in order: stands alone and waits for its outcome.
    Admin,
}

/// One command.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// The name in small letters.
    pub name: &'static str,
    /// What it does.
    pub verb: Verb,
    /// What kind of work it is.
    pub class: Class,
    /// The least number of words, the name included.
    pub words_min: usize,
    /// The greatest number of words, if there is one.
    pub words_max: Option<usize>,
    /// Whether the words from the second on are keys: none, the first, all, or every other.
    pub keys: KeyWords,
}

/// Which words of a command are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyWords {
    /// None.
    None,
    /// The second word.
    One,
    /// All from the second on.
    All,
    /// Every other from the second on.
    EveryOther,
}

impl Spec {
    /// Whether a request of this many words may be the command.
    #[must_use]
    pub fn takes(&self, words: usize) -> bool {
        words >= self.words_min && self.words_max.is_none_or(|max| words <= max)
    }

    /// The number of words as Redis states it: negative if it is a minimum.
    #[must_use]
    pub fn arity(&self) -> i64 {
        let min = i64::try_from(self.words_min).expect("small");
        if self.words_max == Some(self.words_min) { min } else { -min }
    }
}

/// The command of this name, in letters of any case.
#[must_use]
pub fn find(name: &[u8]) -> Option<&'static Spec> {
    SPECS.iter().find(|spec| name.eq_ignore_ascii_case(spec.name.as_bytes()))
}

/// The command that a request names, if the request has as many words as that takes.
///
/// # Errors
///
/// If there is no such command, or it takes more or fewer words.
pub fn spec_of(request: Request<'_>) -> Result<&'static Spec, CommandError> {
    let Some(spec) = find(request.word(0)) else { return Err(unknown(request)) };
    if spec.takes(request.len()) { Ok(spec) } else { Err(CommandError::WordCount { name: spec.name }) }
}

fn unknown(request: Request<'_>) -> CommandError {
    let quoted = |word: &[u8]| format!("'{}' ", shorten(word));
    let words = request.words_from(1).take(UNKNOWN_WORDS_SHOWN).map(quoted).collect();
    CommandError::Unknown { name: shorten(request.word(0)), words }
}

fn shorten(word: &[u8]) -> String {
    String::from_utf8_lossy(&word[..word.len().min(UNKNOWN_BYTES_SHOWN)]).into_owned()
}

const UNKNOWN_WORDS_SHOWN: usize = 8;
const UNKNOWN_BYTES_SHOWN: usize = 128;

const fn spec(name: &'static str, verb: Verb, class: Class, keys: KeyWords, words: Words) -> Spec {
    let (words_min, words_max) = match words {
        Words::Exactly(count) => (count, Some(count)),
        Words::Between(min, max) => (min, Some(max)),
        Words::AtLeast(min) => (min, None),
    };
    Spec { name, verb, class, words_min, words_max, keys }
}

#[derive(Clone, Copy)]
enum Words {
    Exactly(usize),
    Between(usize, usize),
    AtLeast(usize),
}

use Class::{Admin, Handshake, Local, Read, Scan, Session, Transaction, Write};
use KeyWords::{All, EveryOther, None as NoKeys, One};
use Words::{AtLeast, Between, Exactly};

/// All commands, the frequent ones first.
pub static SPECS: &[Spec] = &[
    spec("get", Verb::Get, Read, One, Exactly(2)),
    spec("set", Verb::Set, Write, One, AtLeast(3)),
    spec("incr", Verb::Incr, Write, One, Exactly(2)),
    spec("del", Verb::Del, Write, All, AtLeast(2)),
    spec("mget", Verb::MGet, Read, All, AtLeast(2)),
    spec("mset", Verb::MSet, Write, EveryOther, AtLeast(3)),
    spec("exists", Verb::Exists, Read, All, AtLeast(2)),
    spec("cas", Verb::Cas, Write, One, Exactly(4)),
    spec("setnx", Verb::SetNx, Write, One, Exactly(3)),
    spec("getset", Verb::GetSet, Write, One, Exactly(3)),
    spec("getdel", Verb::GetDel, Write, One, Exactly(2)),
    spec("msetnx", Verb::MSetNx, Write, EveryOther, AtLeast(3)),
    spec("unlink", Verb::Del, Write, All, AtLeast(2)),
    spec("incrby", Verb::IncrBy, Write, One, Exactly(3)),
    spec("decr", Verb::Decr, Write, One, Exactly(2)),
    spec("decrby", Verb::DecrBy, Write, One, Exactly(3)),
    spec("append", Verb::Append, Write, One, Exactly(3)),
    spec("strlen", Verb::StrLen, Read, One, Exactly(2)),
    spec("type", Verb::Type, Read, One, Exactly(2)),
    spec("dbsize", Verb::DbSize, Read, NoKeys, Exactly(1)),
    spec("flushall", Verb::FlushAll, Write, NoKeys, Between(1, 2)),
    spec("flushdb", Verb::FlushAll, Write, NoKeys, Between(1, 2)),
    spec("scan", Verb::Scan, Scan, NoKeys, AtLeast(2)),
    spec("keys", Verb::Keys, Scan, NoKeys, Exactly(2)),
    spec("multi", Verb::Multi, Transaction, NoKeys, Exactly(1)),
    spec("exec", Verb::Exec, Transaction, NoKeys, Exactly(1)),
    spec("discard", Verb::Discard, Transaction, NoKeys, Exactly(1)),
    spec("watch", Verb::Watch, Transaction, All, AtLeast(2)),
    spec("unwatch", Verb::Unwatch, Transaction, NoKeys, Exactly(1)),
    spec("hello", Verb::Hello, Handshake, NoKeys, AtLeast(1)),
    spec("reset", Verb::Reset, Handshake, NoKeys, Exactly(1)),
    spec("auth", Verb::Auth, Local, NoKeys, Between(2, 3)),
    spec("ping", Verb::Ping, Local, NoKeys, Between(1, 2)),
    spec("echo", Verb::Echo, Local, NoKeys, Exactly(2)),
    spec("select", Verb::Select, Local, NoKeys, Exactly(2)),
    spec("quit", Verb::Quit, Local, NoKeys, AtLeast(1)),
    spec("command", Verb::Command, Local, NoKeys, AtLeast(1)),
    spec("config", Verb::Config, Local, NoKeys, AtLeast(2)),
    spec("client", Verb::Client, Local, NoKeys, AtLeast(2)),
    spec("info", Verb::Info, Local, NoKeys, AtLeast(1)),
    spec("raft.status", Verb::RaftStatus, Local, NoKeys, Exactly(1)),
    spec("raft.add", Verb::RaftAdd, Admin, NoKeys, Between(3, 5)),
    spec("raft.promote", Verb::RaftPromote, Admin, NoKeys, Exactly(2)),
    spec("raft.demote", Verb::RaftDemote, Admin, NoKeys, Exactly(2)),
    spec("raft.domain", Verb::RaftDomain, Admin, NoKeys, Exactly(3)),
    spec("raft.remove", Verb::RaftRemove, Admin, NoKeys, Exactly(2)),
    spec("raft.transfer", Verb::RaftTransfer, Admin, NoKeys, Exactly(2)),
    spec("raft.snapshot", Verb::RaftSnapshot, Admin, NoKeys, Exactly(1)),
    spec("raft.session", Verb::RaftSession, Session, NoKeys, Exactly(1)),
    spec("raft.once", Verb::RaftOnce, Session, NoKeys, AtLeast(4)),
    spec("raft.session.close", Verb::RaftSessionClose, Session, NoKeys, Exactly(2)),
];
