//! Payloads and kept replies are read back as written, and nothing else is.

use raft_core::bytes::Bytes;
use raft_core::sessions::{CommandError, Reply, SessionCommand, SessionLimits};

fn every_command() -> [SessionCommand<'static>; 6] {
    let (session, sequence, first_unanswered) = (7.into(), u64::MAX.into(), 9.into());
    [
        SessionCommand::Plain(b""),
        SessionCommand::Plain(b"command"),
        SessionCommand::Register,
        SessionCommand::Call { session, sequence, first_unanswered, command: b"command" },
        SessionCommand::Close(session),
        SessionCommand::Limits(SessionLimits { sessions_max: 1, ..SessionLimits::default() }),
    ]
}

#[test]
fn every_command_is_read_back_as_written() {
    for command in every_command() {
        assert_eq!(SessionCommand::decode(&command.to_payload()), Ok(command));
    }
}

/// Logs hold these bytes: they never change.
#[test]
fn the_layout_is_the_documented_one() {
    let call = "03 0700000000000000 ffffffffffffffff 0900000000000000 636f6d6d616e64";
    let limits = "05 01000000 8096980000000000 00010000 0000010000000000 0000000400000000";
    let expected = ["01", "01 636f6d6d616e64", "02", call, "04 0700000000000000", limits];
    for (command, expected) in every_command().into_iter().zip(expected) {
        let payload: String = command.to_payload().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(payload, expected.replace(' ', ""));
    }
}

#[test]
fn fields_cut_short_or_followed_by_more_are_refused() {
    for command in every_command() {
        let payload = command.to_payload();
        let command_bytes = match command {
            SessionCommand::Plain(command) | SessionCommand::Call { command, .. } => command.len(),
            SessionCommand::Register | SessionCommand::Close(_) | SessionCommand::Limits(_) => {
                let longer = [&payload[..], &[0]].concat();
                assert_eq!(SessionCommand::decode(&longer), Err(CommandError::Length));
                0
            }
        };
        for end in 1..payload.len() - command_bytes {
            assert_eq!(SessionCommand::decode(&payload[..end]), Err(CommandError::Length), "{command:?}");
        }
        assert_eq!(SessionCommand::decode(&[]), Err(CommandError::Empty));
    }
}

fn check<T: Reply + PartialEq + std::fmt::Debug>(replies: impl IntoIterator<Item = T>, nonsense: &[&[u8]]) {
    for reply in replies {
        let mut bytes = Vec::new();
        reply.encode(&mut bytes);
        assert_eq!(T::decode(&bytes).as_ref(), Some(&reply), "{bytes:?}");
    }
    for bytes in nonsense {
        assert_eq!(T::decode(bytes), None, "{bytes:?}");
    }
}

#[test]
fn replies_are_read_back_as_written_and_nonsense_is_none() {
    check([()], &[b"\0"]);
    check([false, true], &[b"", b"\x02", b"\0\0"]);
    check([0, u64::MAX], &[b"", b"\0\0\0\0\0\0\0", b"\0\0\0\0\0\0\0\0\0"]);
    check([0, i64::MIN], &[b"", b"\0\0\0\0\0\0\0", b"\0\0\0\0\0\0\0\0\0"]);
    check([Vec::new(), vec![1, 2]], &[]);
    check([Bytes::new(), Bytes::from_static(b"ab")], &[]);
    check([String::new(), "größer".to_owned()], &[b"\xff"]);
    check([None, Some(Vec::new()), Some(vec![1])], &[b"", b"\0\0", b"\x02"]);
    check([Some(Some(7)), Some(None), None::<Option<u64>>], &[b"\x01", b"\x01\x01\0"]);
    check([Ok(1), Err("no".to_owned()), Ok::<u64, String>(0)], &[b"", b"\x01", b"\0\xff", b"\x02"]);
}
