//! Writes replies in the version of the protocol that a client asked for.

use bytes::{BufMut, BytesMut};
use redis_protocol::resp2::encode as resp2;
use redis_protocol::resp2::types::BorrowedFrame as Frame2;
use redis_protocol::resp3::encode::complete as resp3;
use redis_protocol::resp3::types::BorrowedFrame as Frame3;

use crate::kv::{Reply, ReplySink};

/// The version of the protocol that a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Without types for maps and nil.
    #[default]
    Resp2,
    /// With them.
    Resp3,
}

/// Appends replies to a connection's output.
#[derive(Debug)]
pub struct ReplyWriter<'a> {
    out: &'a mut BytesMut,
    protocol: Protocol,
}

impl<'a> ReplyWriter<'a> {
    /// Writes to the end of `out`.
    pub fn new(out: &'a mut BytesMut, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// Answers an error; the text begins with its code in capitals.
    pub fn error(&mut self, text: &str) {
        // A line end inside would break the protocol.
        let text = text.replace(['\r', '\n'], " ");
        match self.protocol {
            Protocol::Resp2 => {
                let written = resp2::extend_encode_borrowed(self.out, &Frame2::Error(&text), false);
                written.expect("a growing buffer has room");
            }
            Protocol::Resp3 => self.write3(&Frame3::SimpleError { data: &text, attributes: None }),
        }
    }

    /// Answers a text of several lines.
    pub fn text(&mut self, text: &str) {
        self.push(Reply::Bulk(text.as_bytes()));
    }

    /// Answers a short word such as `PONG`.
    pub fn word(&mut self, word: &'static str) {
        self.push(Reply::Word(word));
    }

    /// Opens a map of this many pairs of replies; a flat array for those that know no maps.
    pub fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.head(b'*', pairs * 2),
            Protocol::Resp3 => self.head(b'%', pairs),
        }
    }

    /// The codec writes an aggregate only as a whole, which would have to be built first.
    fn head(&mut self, kind: u8, count: usize) {
        self.out.put_u8(kind);
        self.out.put_slice(count.to_string().as_bytes());
        self.out.put_slice(b"\r\n");
    }

    fn write2(&mut self, frame: &Frame2<'_>) {
        let written = resp2::extend_encode_borrowed(self.out, frame, false);
        written.expect("a growing buffer has room");
    }

    fn write3(&mut self, frame: &Frame3<'_>) {
        let written = resp3::extend_encode_borrowed(self.out, frame, false);
        written.expect("a growing buffer has room");
    }
}

impl ReplySink for ReplyWriter<'_> {
    fn push(&mut self, reply: Reply<'_>) {
        let attributes = None;
        match (reply, self.protocol) {
            (Reply::Ok, _) => self.out.put_slice(b"+OK\r\n"),
            (Reply::Nil, Protocol::Resp2) => self.write2(&Frame2::Null),
            (Reply::Nil, Protocol::Resp3) => self.write3(&Frame3::Null),
            (Reply::Integer(number), Protocol::Resp2) => self.write2(&Frame2::Integer(number)),
            (Reply::Integer(data), Protocol::Resp3) => self.write3(&Frame3::Number { data, attributes }),
            (Reply::Bulk(bytes), Protocol::Resp2) => self.write2(&Frame2::BulkString(bytes)),
            (Reply::Bulk(data), Protocol::Resp3) => self.write3(&Frame3::BlobString { data, attributes }),
            (Reply::Word(word), Protocol::Resp2) => self.write2(&Frame2::SimpleString(word.as_bytes())),
            (Reply::Word(word), Protocol::Resp3) => {
                self.write3(&Frame3::SimpleString { data: word.as_bytes(), attributes });
            }
            (Reply::Array(count), _) => self.head(b'*', count),
            (Reply::Error(error), _) => self.error(&format!("ERR {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::KvError;

    fn write(protocol: Protocol, push: impl FnOnce(&mut ReplyWriter<'_>)) -> String {
        let mut out = BytesMut::new();
        push(&mut ReplyWriter::new(&mut out, protocol));
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn each_reply_has_its_form_in_both_versions() {
        let cases = [
            (Reply::Ok, "+OK\r\n", "+OK\r\n"),
            (Reply::Nil, "$-1\r\n", "_\r\n"),
            (Reply::Integer(-5), ":-5\r\n", ":-5\r\n"),
            (Reply::Bulk(b"a\r\nb"), "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n"),
            (Reply::Word("PONG"), "+PONG\r\n", "+PONG\r\n"),
            (Reply::Array(2), "*2\r\n", "*2\r\n"),
            (
                Reply::Error(KvError::NotAnInteger),
                "-ERR value is not an integer or out of range\r\n",
                "-ERR value is not an integer or out of range\r\n",
            ),
        ];
        for (reply, resp2, resp3) in cases {
            assert_eq!(write(Protocol::Resp2, |out| out.push(reply)), resp2);
            assert_eq!(write(Protocol::Resp3, |out| out.push(reply)), resp3);
        }
        assert_eq!(write(Protocol::Resp2, |out| out.map(2)), "*4\r\n");
        assert_eq!(write(Protocol::Resp3, |out| out.map(2)), "%2\r\n");
    }

    #[test]
    fn error_text_stays_on_one_line() {
        assert_eq!(write(Protocol::Resp2, |out| out.error("ERR a\r\n+OK")), "-ERR a  +OK\r\n");
    }
}
