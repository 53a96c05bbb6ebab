//! Finds requests in what a client sent.
//!
//! The codec crate decodes any frame, nested without bound and of any length. So each request first
//! passes a bouncer that follows its headers as they arrive, holds them to the limits, and lets only
//! complete arrays of strings through to the codec. It remembers where it stopped, so a request that
//! arrives byte by byte costs no more than one that arrives at once.

use std::{error, fmt};

use redis_protocol::resp2::decode::decode_range;
use redis_protocol::resp2::types::RangeFrame;

use super::inline;

/// What a request may hold at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Words of one request.
    pub words_max: usize,
    /// Bytes of one word.
    pub word_bytes_max: usize,
    /// Bytes of one request.
    pub request_bytes_max: usize,
}

/// Why a client's bytes are no request. Unless a [`Skip`](super::Skip) finds where the next one begins,
/// the connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The array's length is no number or over the limit.
    ArrayLength,
    /// A word does not begin with `$`.
    NoString {
        /// What it begins with.
        found: u8,
    },
    /// A word's length is no number or over the limit.
    StringLength {
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// A word is not followed by a line end.
    NoLineEnd,
    /// The request is longer than the limit.
    RequestLength {
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// A line without end.
    LineLength,
    /// Quotes of an inline request do not match.
    Quotes,
    /// Somebody speaks HTTP. A web page can make a browser send to this port, and what is in the body of
    /// a POST would else be carried out line by line.
    Http,
    /// The codec refused what the bouncer let through.
    Codec,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ArrayLength => f.write_str("invalid multibulk length"),
            Self::NoString { found } => {
                write!(f, "expected '$', got '{}'", char::from(*found).escape_default())
            }
            Self::StringLength { bytes_max } => {
                write!(f, "invalid bulk length, the limit is {bytes_max} bytes")
            }
            Self::NoLineEnd => f.write_str("expected a line end after a bulk string"),
            Self::RequestLength { bytes_max } => write!(f, "request is longer than {bytes_max} bytes"),
            Self::LineLength => f.write_str("too big inline request"),
            Self::Quotes => f.write_str("unbalanced quotes in request"),
            Self::Http => f.write_str("this is no HTTP server"),
            Self::Codec => f.write_str("malformed request"),
        }
    }
}

impl error::Error for ProtocolError {}

/// The words of one request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    bytes: &'a [u8],
    ranges: &'a [(usize, usize)],
}

impl<'a> Request<'a> {
    /// How many words there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The word at this place, empty past the end.
    #[must_use]
    pub fn word(&self, at: usize) -> &'a [u8] {
        self.ranges.get(at).map_or(&[], |&(from, to)| &self.bytes[from..to])
    }

    /// The request that begins at this word of it.
    #[must_use]
    pub fn skip(&self, words: usize) -> Self {
        Self { bytes: self.bytes, ranges: self.ranges.get(words..).unwrap_or(&[]) }
    }

    /// The words from this place on.
    pub fn words_from(&self, at: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let (bytes, ranges) = (self.bytes, self.ranges);
        ranges.get(at..).unwrap_or(&[]).iter().map(move |&(from, to)| &bytes[from..to])
    }
}

/// Reads requests one after the other.
#[derive(Debug)]
pub struct RequestReader {
    limits: RequestLimits,
    ranges: Vec<(usize, usize)>,
    inline: Vec<u8>,
}

/// How far the bouncer has followed a request that is not complete yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    at: usize,
    words_left: usize,
}

impl Progress {
    /// Where the next word's header begins, and how many words are to come from there.
    pub(super) fn place(self) -> (usize, usize) {
        (self.at, self.words_left)
    }
}

impl RequestReader {
    /// A reader that holds requests to these limits.
    #[must_use]
    pub fn new(limits: RequestLimits) -> Self {
        Self { limits, ranges: Vec::new(), inline: Vec::new() }
    }

    /// The request at the head of `bytes` and how long it is; nothing if more must arrive. Give the
    /// same progress again with the same bytes and more.
    ///
    /// # Errors
    ///
    /// If the bytes are no request or over a limit, as soon as that can be seen.
    pub fn read<'a>(
        &'a mut self,
        bytes: &'a [u8],
        progress: &mut Progress,
    ) -> Result<Option<(Request<'a>, usize)>, ProtocolError> {
        match bytes.first() {
            None => Ok(None),
            Some(b'*') => self.read_array(bytes, progress),
            Some(_) => self.read_line(bytes),
        }
    }

    fn read_array<'a>(
        &'a mut self,
        bytes: &'a [u8],
        progress: &mut Progress,
    ) -> Result<Option<(Request<'a>, usize)>, ProtocolError> {
        let Some(length) = follow(bytes, progress, &self.limits)? else { return Ok(None) };
        *progress = Progress::default();
        self.ranges.clear();
        let (frame, _) =
            decode_range(&bytes[..length]).map_err(|_| ProtocolError::Codec)?.ok_or(ProtocolError::Codec)?;
        if let RangeFrame::Array(words) = frame {
            for word in words {
                let RangeFrame::BulkString(range) = word else { return Err(ProtocolError::Codec) };
                self.ranges.push(range);
            }
        }
        Ok(Some((Request { bytes, ranges: &self.ranges }, length)))
    }

    fn read_line<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Option<(Request<'a>, usize)>, ProtocolError> {
        let Some(end) = bytes.iter().take(LINE_BYTES_MAX).position(|&byte| byte == b'\n') else {
            let is_too_long = bytes.len() >= LINE_BYTES_MAX;
            return if is_too_long { Err(ProtocolError::LineLength) } else { Ok(None) };
        };
        let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        inline::split(line, &mut self.inline, &mut self.ranges)?;
        let request = Request { bytes: &self.inline, ranges: &self.ranges };
        if HTTP_WORDS.iter().any(|word| request.word(0).eq_ignore_ascii_case(word)) {
            return Err(ProtocolError::Http);
        }
        Ok(Some((request, end + 1)))
    }
}

/// Follows the headers of an array; gives its length once all of it is there.
fn follow(
    bytes: &[u8],
    progress: &mut Progress,
    limits: &RequestLimits,
) -> Result<Option<usize>, ProtocolError> {
    if progress.at == 0 {
        let Some((count, at)) = header(bytes, 0, ProtocolError::ArrayLength)? else { return Ok(None) };
        // Negative lengths mean "no request", as in Redis.
        let count = usize::try_from(count.max(0)).map_err(|_| ProtocolError::ArrayLength)?;
        if count > limits.words_max {
            return Err(ProtocolError::ArrayLength);
        }
        *progress = Progress { at, words_left: count };
    }
    let bytes_max = limits.request_bytes_max;
    while progress.words_left > 0 {
        match bytes.get(progress.at) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(&found) => return Err(ProtocolError::NoString { found }),
        }
        let refusal = ProtocolError::StringLength { bytes_max: limits.word_bytes_max };
        let Some((length, at)) = header(bytes, progress.at, refusal)? else { return Ok(None) };
        let length = usize::try_from(length).map_err(|_| refusal)?;
        if length > limits.word_bytes_max {
            return Err(refusal);
        }
        let end = at + length;
        if end > bytes_max {
            return Err(ProtocolError::RequestLength { bytes_max });
        }
        let Some(line_end) = bytes.get(end..end + 2) else { return Ok(None) };
        if line_end != b"\r\n" {
            return Err(ProtocolError::NoLineEnd);
        }
        *progress = Progress { at: end + 2, words_left: progress.words_left - 1 };
    }
    Ok(Some(progress.at))
}

/// The number in the header line at `at`, behind its type byte, and where the line ends.
pub(super) fn header(
    bytes: &[u8],
    at: usize,
    refusal: ProtocolError,
) -> Result<Option<(i64, usize)>, ProtocolError> {
    let mut value = 0i64;
    let mut cursor = at + 1;
    let is_negative = bytes.get(cursor) == Some(&b'-');
    cursor += usize::from(is_negative);
    let digits_from = cursor;
    while let Some(&byte) = bytes.get(cursor) {
        if byte.is_ascii_digit() && cursor - digits_from < DIGITS_MAX {
            value = value * 10 + i64::from(byte - b'0');
            cursor += 1;
            continue;
        }
        if byte != b'\r' || cursor == digits_from {
            return Err(refusal);
        }
        return match bytes.get(cursor + 1) {
            Some(b'\n') => Ok(Some((if is_negative { -value } else { value }, cursor + 2))),
            Some(_) => Err(refusal),
            None => Ok(None),
        };
    }
    Ok(None)
}

const LINE_BYTES_MAX: usize = 64 << 10;
/// No command begins so, and each request of HTTP has a line that does.
const HTTP_WORDS: [&[u8]; 2] = [b"POST", b"Host:"];
/// Enough for any length within the limits; eighteen digits cannot overflow 64 bits.
const DIGITS_MAX: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RequestLimits =
        RequestLimits { words_max: 8, word_bytes_max: 1000, request_bytes_max: 2000 };

    fn read_all(mut bytes: &[u8]) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
        let mut reader = RequestReader::new(LIMITS);
        let mut requests = Vec::new();
        while let Some((request, length)) = reader.read(bytes, &mut Progress::default())? {
            requests.push(request.words_from(0).map(<[u8]>::to_vec).collect());
            bytes = &bytes[length..];
        }
        Ok(requests)
    }

    fn refusal(bytes: &[u8]) -> ProtocolError {
        read_all(bytes).expect_err("the bytes should be refused")
    }

    #[test]
    fn requests_follow_each_other() {
        let requests =
            read_all(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n*0\r\n*-1\r\n*1\r\n$0\r\n\r\n\r\n").unwrap();
        let words: Vec<Vec<&[u8]>> =
            requests.iter().map(|request| request.iter().map(Vec::as_slice).collect()).collect();
        assert_eq!(words, [vec![&b"GET"[..], b"k"], vec![b"PING"], vec![], vec![], vec![b""], vec![]]);
    }

    #[test]
    fn request_split_at_every_byte_is_read_once_complete() {
        let bytes = b"*3\r\n$3\r\nSET\r\n$5\r\n\r\n$1*\r\n$2\r\nhi\r\n";
        let mut reader = RequestReader::new(LIMITS);
        let mut progress = Progress::default();
        for end in 0..bytes.len() {
            assert!(reader.read(&bytes[..end], &mut progress).unwrap().is_none(), "{end}");
        }
        let (request, length) = reader.read(bytes, &mut progress).unwrap().unwrap();
        assert_eq!(length, bytes.len());
        assert_eq!(request.words_from(0).collect::<Vec<_>>(), [&b"SET"[..], b"\r\n$1*", b"hi"]);
        assert_eq!(progress, Progress::default());
    }

    #[test]
    fn lengths_over_the_limit_are_refused_before_the_bytes_arrive() {
        let too_long = ProtocolError::StringLength { bytes_max: 1000 };
        assert_eq!(refusal(b"*9\r\n"), ProtocolError::ArrayLength);
        assert_eq!(refusal(b"*1000000000000000000"), ProtocolError::ArrayLength);
        assert_eq!(refusal(b"*99999999999999999999999\r\n"), ProtocolError::ArrayLength);
        assert_eq!(refusal(b"*1\r\n$1001\r\n"), too_long);
        assert_eq!(refusal(b"*1\r\n$18446744073709551615\r\n"), too_long);
        assert_eq!(refusal(b"*1\r\n$-1\r\n"), too_long);
        let two = [&b"*3\r\n$1000\r\n"[..], &[b'x'; 1000], b"\r\n$1000\r\n"].concat();
        assert_eq!(refusal(&two), ProtocolError::RequestLength { bytes_max: 2000 });
        assert_eq!(refusal(&[b'a'; LINE_BYTES_MAX]), ProtocolError::LineLength);
    }

    #[test]
    fn malformed_requests_are_refused() {
        assert_eq!(refusal(b"*x\r\n"), ProtocolError::ArrayLength);
        assert_eq!(refusal(b"*\r\n"), ProtocolError::ArrayLength);
        assert_eq!(refusal(b"*1\rx"), ProtocolError::ArrayLength);
        assert_eq!(refusal(b"*1\r\n:1\r\n"), ProtocolError::NoString { found: b':' });
        assert_eq!(refusal(b"*1\r\n$1\r\nabc"), ProtocolError::NoLineEnd);
        assert_eq!(refusal(b"GET \"a\r\n"), ProtocolError::Quotes);
    }

    #[test]
    fn http_ends_at_its_first_line_that_no_client_would_send() {
        assert_eq!(refusal(b"POST / HTTP/1.1\r\nHost: a\r\n\r\nSET evil 1\r\n"), ProtocolError::Http);
        assert_eq!(refusal(b"PUT / HTTP/1.1\r\nhost: a\r\n\r\nSET evil 1\r\n"), ProtocolError::Http);
        assert!(read_all(b"*1\r\n$4\r\nPOST\r\nGET POST\r\nGET Host:\r\n").is_ok());
    }

    #[test]
    fn deeply_nested_arrays_are_refused_at_once() {
        assert_eq!(refusal(&b"*1\r\n".repeat(100_000)), ProtocolError::NoString { found: b'*' });
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        let mut random = 1u64;
        let alphabet = b"*$\r\n0123-\"'\\xa ";
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..40)
                .map(|_| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    alphabet[(random >> 33) as usize % alphabet.len()]
                })
                .collect();
            let _ = read_all(&bytes);
        }
    }
}
