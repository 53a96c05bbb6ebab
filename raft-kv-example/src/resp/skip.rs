//! Passes over a request that is over a limit, without keeping it.
//!
//! Whoever is cut off in the middle of sending finds a broken connection and not the answer that says
//! why. So what is left of such a request is read and dropped, up to a bound, and the connection goes on
//! behind it.

use super::request::{Progress, ProtocolError, header};

/// A request that is being passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skip {
    refusal: ProtocolError,
    /// Bytes of what was begun, a word or the head of the request.
    bytes_left: usize,
    words_left: usize,
    /// How many more bytes are worth it.
    skipped_bytes_max: usize,
}

/// How far a request was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// So many bytes are done with, and more must arrive.
    Some(usize),
    /// Its last byte was the one before this place; why it was refused.
    All(usize, ProtocolError),
}

impl Skip {
    /// Begins with a request that the reader refused when it had come so far; nothing if where the
    /// request ends cannot be known.
    #[must_use]
    pub fn begin(refusal: ProtocolError, progress: Progress, skipped_bytes_max: usize) -> Option<Self> {
        let is_long =
            matches!(refusal, ProtocolError::StringLength { .. } | ProtocolError::RequestLength { .. });
        let (bytes_left, words_left) = progress.place();
        is_long.then_some(Self { refusal, bytes_left, words_left, skipped_bytes_max })
    }

    /// Goes on with these bytes. Give those again, with more, that are not done with.
    ///
    /// Where lengths say that a word ends, its line end is taken for granted.
    ///
    /// # Errors
    ///
    /// If the request is not worth passing over, or turns out to be none.
    pub fn pass(&mut self, bytes: &[u8]) -> Result<Skipped, ProtocolError> {
        let mut at = 0;
        loop {
            let step = self.bytes_left.min(bytes.len() - at);
            at += step;
            self.bytes_left -= step;
            if self.bytes_left > 0 {
                return Ok(Skipped::Some(at));
            }
            if self.words_left == 0 {
                return Ok(Skipped::All(at, self.refusal));
            }
            match bytes.get(at) {
                None => return Ok(Skipped::Some(at)),
                Some(b'$') => {}
                Some(&found) => return Err(ProtocolError::NoString { found }),
            }
            let Some((length, behind)) = header(bytes, at, self.refusal)? else {
                return Ok(Skipped::Some(at));
            };
            let length = usize::try_from(length).map_err(|_| self.refusal)?;
            self.bytes_left = behind - at + length + 2;
            self.words_left -= 1;
            self.skipped_bytes_max =
                self.skipped_bytes_max.checked_sub(self.bytes_left).ok_or(self.refusal)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{RequestLimits, RequestReader};

    const LIMITS: RequestLimits = RequestLimits { words_max: 8, word_bytes_max: 10, request_bytes_max: 50 };

    /// Reads a request that is refused, and begins to pass over it.
    fn begin(bytes: &[u8], skipped_bytes_max: usize) -> Option<Skip> {
        let mut progress = Progress::default();
        let refusal = RequestReader::new(LIMITS).read(bytes, &mut progress).unwrap_err();
        Skip::begin(refusal, progress, skipped_bytes_max)
    }

    #[test]
    fn long_request_is_passed_over_however_it_arrives() {
        let request = b"*3\r\n$3\r\nSET\r\n$11\r\n$1\r\n$2\r\n*3x\r\n$12\r\nxxxxxxxxxxxx\r\n";
        for piece in 1..request.len() {
            let mut skip = begin(&request[..18], 100).unwrap();
            let (mut held, mut done) = (Vec::new(), None);
            for (at, arrived) in [&request[..], b"PING\r\n"].concat().chunks(piece).enumerate() {
                held.extend_from_slice(arrived);
                match skip.pass(&held).unwrap() {
                    Skipped::Some(count) => drop(held.drain(..count)),
                    Skipped::All(count, refusal) => {
                        assert_eq!(refusal, ProtocolError::StringLength { bytes_max: 10 });
                        done = Some(at * piece + arrived.len() - (held.len() - count));
                        break;
                    }
                }
                assert!(held.len() < 8, "only what begins a line is kept");
            }
            assert_eq!(done, Some(request.len()), "in pieces of {piece}");
        }
    }

    #[test]
    fn request_of_many_words_within_their_limit_is_passed_over() {
        let request = [&b"*6\r\n"[..], &b"$10\r\n0123456789\r\n".repeat(6)].concat();
        let mut skip = begin(&request, 100).unwrap();
        let refusal = ProtocolError::RequestLength { bytes_max: 50 };
        assert_eq!(skip.pass(&request), Ok(Skipped::All(request.len(), refusal)));
    }

    #[test]
    fn what_is_too_much_or_no_request_is_not_passed_over() {
        let refusal = ProtocolError::StringLength { bytes_max: 10 };
        for head in
            [&b"*1\r\n$101\r\n"[..], b"*1\r\n$-1\r\n", b"*1\r\n$x\r\n", b"*1\r\n$999999999999999999\r\n"]
        {
            assert_eq!(begin(head, 100).unwrap().pass(head), Err(refusal));
        }
        let nested = b"*2\r\n$11\r\n12345678901\r\n*1\r\n";
        assert_eq!(begin(nested, 100).unwrap().pass(nested), Err(ProtocolError::NoString { found: b'*' }));
        assert_eq!(begin(b"*9\r\n", 100), None);
    }
}
