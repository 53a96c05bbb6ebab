//! The client's end by itself.

use raft_core::sessions::{
    Sequence, SessionClient, SessionCommand, SessionError, SessionId, SessionOutput, TooManyCalls,
};

const SESSION: SessionId = SessionId::new(7);

fn applied(output: u64) -> Result<SessionOutput<u64>, SessionError> {
    Ok(SessionOutput::Applied(output))
}

fn first_unanswered(client: &SessionClient, sequence: Sequence) -> u64 {
    let payload = client.payload(sequence).expect("unanswered");
    match SessionCommand::decode(&payload) {
        Ok(SessionCommand::Call { first_unanswered, .. }) => first_unanswered.get(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn payloads_say_whose_call_it_is_and_what_is_answered() {
    let mut client = SessionClient::new(SESSION, 10);
    let calls = [b"a", b"b", b"c"].map(|command| client.call(command).unwrap());
    assert_eq!(calls.map(Sequence::get), [1, 2, 3]);
    let expected = SessionCommand::Call {
        session: SESSION,
        sequence: calls[1],
        first_unanswered: calls[0],
        command: b"b",
    };
    assert_eq!(client.payload(calls[1]), Some(expected.to_payload()));
    client.on_output(calls[1], applied(0)).unwrap();
    assert_eq!(first_unanswered(&client, calls[2]), 1, "the first still waits");
    client.on_output(calls[0], applied(0)).unwrap();
    assert_eq!(first_unanswered(&client, calls[2]), 3);
    client.on_output(calls[2], applied(0)).unwrap();
    let next = client.call(b"d").unwrap();
    assert_eq!((next.get(), first_unanswered(&client, next)), (4, 4));
}

#[test]
fn an_output_is_given_once_however_many_copies_are_answered() {
    let mut client = SessionClient::new(SESSION, 10);
    let call = client.call(b"a").unwrap();
    assert_eq!(client.on_output(call, applied(5)), Ok(Some(5)));
    assert_eq!(client.on_output(call, applied(5)), Ok(None));
    assert_eq!(client.on_output::<u64>(call, Err(SessionError::Answered)), Ok(None));
    assert_eq!(client.payload(call), None);
}

#[test]
fn calls_within_the_window_wait_until_they_are_answered() {
    let mut client = SessionClient::new(SESSION, 2);
    let first = client.call(b"a").unwrap();
    let second = client.call(b"b").unwrap();
    client.on_output(second, applied(0)).unwrap();
    assert_eq!(client.call(b"c"), Err(TooManyCalls { calls_max: 2 }), "the first one still counts");
    let refused = SessionError::TooFarAhead { calls_max: 2 };
    assert_eq!(client.on_output::<u64>(first, Err(refused)), Err(refused));
    assert_eq!(client.unanswered().collect::<Vec<_>>(), [first], "a refused call can be asked again");
    client.on_output(first, applied(0)).unwrap();
    assert_eq!(client.call(b"c").unwrap().get(), 3);
}

#[test]
fn a_call_that_was_given_up_is_called_answered() {
    let mut client = SessionClient::new(SESSION, 1);
    let first = client.call(b"a").unwrap();
    client.give_up(first);
    let second = client.call(b"b").unwrap();
    assert_eq!(first_unanswered(&client, second), 2);
    assert_eq!(client.on_output(first, applied(1)), Ok(None));
}

#[test]
fn an_expired_session_leaves_its_calls_to_the_application() {
    let mut client = SessionClient::new(SESSION, 10);
    let calls = [b"a", b"b"].map(|command| client.call(command).unwrap());
    assert_eq!(client.on_output::<u64>(calls[0], Err(SessionError::Expired)), Err(SessionError::Expired));
    assert_eq!(client.unanswered().collect::<Vec<_>>(), calls);
    assert_eq!(client.session(), SESSION);
}
