//! Commands that this node answers by itself, without the group.

use std::fmt::Write;

use super::chunk::Chunk;
use super::overview::{self, Facts, Overview, REDIS_VERSION};
use super::session::Session;
use crate::command::{Class, CommandError, KeyWords, SPECS, Spec, Verb};
use crate::kv::{Reply, ReplySink};
use crate::resp::{Protocol, ReplyWriter, Request};

/// What the node knows of itself; gathered only when asked for.
pub(super) struct Local<'a> {
    pub(super) overview: &'a dyn Fn() -> Overview,
    pub(super) facts: &'a dyn Fn() -> Facts,
}

/// Answers the command into the chunk.
pub(super) fn answer(
    spec: &Spec,
    request: Request<'_>,
    session: &mut Session,
    chunk: &mut Chunk,
    local: &Local<'_>,
) -> Result<(), CommandError> {
    let protocol = session.protocol;
    match spec.verb {
        Verb::Ping if request.len() == 2 => {
            chunk.reply(protocol, |out| out.push(Reply::Bulk(request.word(1))));
        }
        Verb::Ping => chunk.reply(protocol, |out| out.word("PONG")),
        Verb::Echo => chunk.reply(protocol, |out| out.push(Reply::Bulk(request.word(1)))),
        Verb::Hello => hello(request, session, chunk, local)?,
        Verb::Reset => {
            session.reset();
            chunk.reply(session.protocol, |out| out.word("RESET"));
        }
        Verb::Auth => return Err(CommandError::NoPassword),
        Verb::Select if request.word(1) == b"0" => chunk.reply(protocol, |out| out.push(Reply::Ok)),
        Verb::Select => return Err(CommandError::DatabaseIndex),
        Verb::Quit => {
            session.is_closing = true;
            chunk.reply(protocol, |out| out.push(Reply::Ok));
        }
        Verb::Command => command(request, protocol, chunk)?,
        Verb::Config => config(request, protocol, chunk)?,
        Verb::Client => client(request, session, chunk)?,
        Verb::Info => {
            let section = String::from_utf8_lossy(request.word(1)).to_ascii_lowercase();
            let text = overview::info(&(local.overview)(), &(local.facts)(), &section);
            chunk.reply(protocol, |out| out.text(&text));
        }
        Verb::RaftStatus => chunk.reply(protocol, |out| {
            overview::write_status(&(local.overview)(), &(local.facts)(), out);
        }),
        _ => unreachable!("'{}' is not answered by the node alone", spec.name),
    }
    Ok(())
}

fn hello(
    request: Request<'_>,
    session: &mut Session,
    chunk: &mut Chunk,
    local: &Local<'_>,
) -> Result<(), CommandError> {
    let protocol = match request.words_from(1).next() {
        None => session.protocol,
        Some(b"2") => Protocol::Resp2,
        Some(b"3") => Protocol::Resp3,
        Some(_) => return Err(CommandError::NoProtocol),
    };
    let mut name = None;
    let mut options = request.words_from(2);
    while let Some(option) = options.next() {
        match option.to_ascii_uppercase().as_slice() {
            b"AUTH" => return Err(CommandError::NoPassword),
            b"SETNAME" => name = Some(client_name(options.next().ok_or(CommandError::Syntax)?)?),
            _ => return Err(CommandError::Syntax),
        }
    }
    session.protocol = protocol;
    if let Some(name) = name {
        session.name = name;
    }
    let is_leader = (local.overview)().role == "leader";
    let version = if protocol == Protocol::Resp3 { 3 } else { 2 };
    let id = i64::try_from(session.id).unwrap_or(i64::MAX);
    chunk.reply(protocol, |out| {
        out.map(7);
        for (name, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
            out.text(name);
            out.text(value);
        }
        for (name, value) in [("proto", version), ("id", id)] {
            out.text(name);
            out.push(Reply::Integer(value));
        }
        for (name, value) in [("mode", "standalone"), ("role", if is_leader { "master" } else { "replica" })]
        {
            out.text(name);
            out.text(value);
        }
        out.text("modules");
        out.push(Reply::Array(0));
    });
    Ok(())
}

fn command(request: Request<'_>, protocol: Protocol, chunk: &mut Chunk) -> Result<(), CommandError> {
    let describe_all = |out: &mut ReplyWriter<'_>| {
        out.push(Reply::Array(SPECS.len()));
        SPECS.iter().for_each(|spec| describe(spec, out));
    };
    match request.word(1).to_ascii_uppercase().as_slice() {
        b"" => chunk.reply(protocol, describe_all),
        b"COUNT" => {
            let count = i64::try_from(SPECS.len()).expect("a short table");
            chunk.reply(protocol, |out| out.push(Reply::Integer(count)));
        }
        b"DOCS" => chunk.reply(protocol, |out| out.map(0)),
        b"LIST" => chunk.reply(protocol, |out| {
            out.push(Reply::Array(SPECS.len()));
            SPECS.iter().for_each(|spec| out.text(spec.name));
        }),
        b"INFO" if request.len() == 2 => chunk.reply(protocol, describe_all),
        b"INFO" => chunk.reply(protocol, |out| {
            out.push(Reply::Array(request.len() - 2));
            for name in request.words_from(2) {
                match crate::command::find(name) {
                    Some(spec) => describe(spec, out),
                    None => out.push(Reply::Nil),
                }
            }
        }),
        _ => return Err(unknown_subcommand(request)),
    }
    Ok(())
}

/// Name, number of words, flags, and where the keys are: first, last, step.
fn describe(spec: &Spec, out: &mut ReplyWriter<'_>) {
    out.push(Reply::Array(6));
    out.text(spec.name);
    out.push(Reply::Integer(spec.arity()));
    let flags: &[&'static str] = match spec.class {
        Class::Write | Class::Session => &["write"],
        Class::Read | Class::Scan => &["readonly"],
        Class::Transaction | Class::Handshake | Class::Local => &["fast"],
        Class::Admin => &["admin"],
    };
    out.push(Reply::Array(flags.len()));
    flags.iter().for_each(|flag| out.word(flag));
    let (first, last, step) = match spec.keys {
        KeyWords::None => (0, 0, 0),
        KeyWords::One => (1, 1, 1),
        KeyWords::All => (1, -1, 1),
        KeyWords::EveryOther => (1, -1, 2),
    };
    [first, last, step].into_iter().for_each(|number| out.push(Reply::Integer(number)));
}

/// Tools ask for a few settings of Redis before they start; those that mean something here are
/// answered in Redis's terms: every write is on disk before it is answered.
fn config(request: Request<'_>, protocol: Protocol, chunk: &mut Chunk) -> Result<(), CommandError> {
    if !request.word(1).eq_ignore_ascii_case(b"GET") {
        return Err(unknown_subcommand(request));
    }
    let known = [("save", ""), ("appendonly", "yes"), ("appendfsync", "always"), ("databases", "1")];
    let asked = |name: &str| request.words_from(2).any(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    let found: Vec<_> = known.into_iter().filter(|(name, _)| asked(name)).collect();
    chunk.reply(protocol, |out| {
        out.map(found.len());
        for (name, value) in found {
            out.text(name);
            out.text(value);
        }
    });
    Ok(())
}

fn client(request: Request<'_>, session: &mut Session, chunk: &mut Chunk) -> Result<(), CommandError> {
    let protocol = session.protocol;
    let id = session.id;
    match request.word(1).to_ascii_uppercase().as_slice() {
        b"ID" => {
            let id = i64::try_from(id).unwrap_or(i64::MAX);
            chunk.reply(protocol, |out| out.push(Reply::Integer(id)));
        }
        b"SETNAME" if request.len() == 3 => {
            session.name = client_name(request.word(2))?;
            chunk.reply(protocol, |out| out.push(Reply::Ok));
        }
        b"GETNAME" => chunk.reply(protocol, |out| match &session.name {
            Some(name) => out.text(name),
            None => out.push(Reply::Nil),
        }),
        b"SETINFO" | b"NO-EVICT" | b"NO-TOUCH" => chunk.reply(protocol, |out| out.push(Reply::Ok)),
        b"INFO" | b"LIST" => {
            let mut line = format!("id={id} name={} db=0", session.name.as_deref().unwrap_or(""));
            let resp = if protocol == Protocol::Resp3 { 3 } else { 2 };
            writeln!(line, " resp={resp}").expect("text grows");
            chunk.reply(protocol, |out| out.text(&line));
        }
        b"SETNAME" => return Err(CommandError::WordCount { name: "client|setname" }),
        _ => return Err(unknown_subcommand(request)),
    }
    Ok(())
}

/// An empty name takes the name away. Spaces would garble the list of clients.
fn client_name(name: &[u8]) -> Result<Option<Box<str>>, CommandError> {
    let is_plain = name.len() <= NAME_BYTES_MAX && name.iter().all(u8::is_ascii_graphic);
    let text = std::str::from_utf8(name).ok().filter(|_| is_plain).ok_or(CommandError::Syntax)?;
    Ok((!text.is_empty()).then(|| text.into()))
}

fn unknown_subcommand(request: Request<'_>) -> CommandError {
    let name = request.word(1);
    let name = String::from_utf8_lossy(&name[..name.len().min(NAME_BYTES_MAX)]).into_owned();
    CommandError::UnknownSubcommand { name }
}

const NAME_BYTES_MAX: usize = 128;

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;

    /// A node that leads and knows little else.
    pub(in crate::server) fn local() -> Local<'static> {
        Local {
            overview: &|| Overview { id: 1, role: "leader", leader: Some(1), ..Overview::default() },
            facts: &|| Facts {
                port: 1,
                uptime: Duration::ZERO,
                clients: 1,
                clients_max: 1,
                accepted_total: 1,
                commands_total: 1,
                keys: 0,
                operations: 0,
            },
        }
    }

    fn say(session: &mut Session, line: &str) -> Result<String, CommandError> {
        use crate::resp::{Progress, RequestLimits, RequestReader};
        let limits = RequestLimits { words_max: 10, word_bytes_max: 100, request_bytes_max: 1000 };
        let mut reader = RequestReader::new(limits);
        let line = format!("{line}\r\n");
        let (request, _) = reader.read(line.as_bytes(), &mut Progress::default()).unwrap().unwrap();
        let mut chunk = Chunk::default();
        answer(crate::command::find(request.word(0)).unwrap(), request, session, &mut chunk, &local())?;
        let ready = chunk.ready_before(0, 0).unwrap();
        Ok(String::from_utf8_lossy(ready).replace("\r\n", " "))
    }

    #[test]
    fn hello_changes_the_protocol_only_if_all_of_it_is_right() {
        let mut session = Session::new(9);
        assert_eq!(say(&mut session, "hello 4"), Err(CommandError::NoProtocol));
        assert_eq!(say(&mut session, "hello 3 auth u p"), Err(CommandError::NoPassword));
        assert_eq!(say(&mut session, "hello 3 setname"), Err(CommandError::Syntax));
        assert_eq!(session.protocol, Protocol::Resp2);
        let text = say(&mut session, "hello 3 setname me").unwrap();
        assert!(text.starts_with("%7 $6 server $5 redis $7 version"), "{text}");
        assert_eq!(session.protocol, Protocol::Resp3);
        assert_eq!(say(&mut session, "client getname").unwrap(), "$2 me ");
        assert!(say(&mut session, "hello").unwrap().starts_with("%7"));
        assert_eq!(say(&mut session, "reset").unwrap(), "+RESET ");
        assert_eq!((session.protocol, session.id), (Protocol::Resp2, 9));
    }

    #[test]
    fn small_talk_is_answered() {
        let session = &mut Session::new(9);
        for (line, expected) in [
            ("ping", "+PONG "),
            ("ping hi", "$2 hi "),
            ("echo hi", "$2 hi "),
            ("select 0", "+OK "),
            ("client id", ":9 "),
            ("client getname", "$-1 "),
            ("client setinfo lib-name x", "+OK "),
            ("config get save", "*2 $4 save $0  "),
            ("config get nothing", "*0 "),
            ("command docs", "*0 "),
            ("command info get nothing", "*2 *6 $3 get :2 *1 +readonly :1 :1 :1 $-1 "),
        ] {
            assert_eq!(say(session, line).unwrap(), expected, "{line}");
        }
        assert!(!session.is_closing);
        assert_eq!(say(session, "quit").unwrap(), "+OK ");
        assert!(session.is_closing);
    }

    #[test]
    fn what_is_not_offered_is_refused() {
        let session = &mut Session::default();
        assert_eq!(say(session, "auth secret"), Err(CommandError::NoPassword));
        assert_eq!(say(session, "select 1"), Err(CommandError::DatabaseIndex));
        for line in ["config set save x", "client kill x", "command nonsense"] {
            assert!(matches!(say(session, line), Err(CommandError::UnknownSubcommand { .. })), "{line}");
        }
        assert_eq!(say(session, "client setname \"a b\""), Err(CommandError::Syntax));
    }
}
