//! Requests of clients, in Redis's protocol.

use raft_kv::resp::{Progress, ProtocolError, RequestLimits, RequestReader};

use crate::bytes::Choices;

pub(super) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let step = usize::from(choices.byte() % 16);
    let stream = choices.rest();
    let at_once = read(stream, stream.len());
    let in_pieces = read(stream, 1 + step);
    assert_eq!(in_pieces, at_once);
}

/// Words of each request, and how it ended, if so many bytes arrive at a time.
fn read(stream: &[u8], step: usize) -> (Vec<Vec<Vec<u8>>>, Result<(), ProtocolError>) {
    let mut reader = RequestReader::new(LIMITS);
    let mut progress = Progress::default();
    let mut requests = Vec::new();
    let (mut from, mut arrived) = (0, step.min(stream.len()));
    loop {
        match reader.read(&stream[from..arrived], &mut progress) {
            Ok(Some((request, length))) => {
                assert!(request.len() <= LIMITS.words_max || stream[from] != b'*', "{} words", request.len());
                requests.push(request.words_from(0).map(<[u8]>::to_vec).collect());
                from += length;
            }
            Ok(None) if arrived == stream.len() => return (requests, Ok(())),
            Ok(None) => arrived = stream.len().min(arrived + step),
            Err(error) => return (requests, Err(error)),
        }
    }
}

const LIMITS: RequestLimits = RequestLimits { words_max: 8, word_bytes_max: 100, request_bytes_max: 300 };
