//! Requests as a person types them: words of one line, quoted as in Redis.

use super::request::ProtocolError;

/// Splits a line into words: their bytes one after the other, and where each begins and ends.
///
/// Between double quotes `\n`, `\r`, `\t`, `\b`, `\a`, `\xHH` and any other character behind a
/// backslash stand for one byte; between single quotes only `\'` does. A closing quote ends its
/// word.
pub(super) fn split(
    line: &[u8],
    bytes: &mut Vec<u8>,
    ranges: &mut Vec<(usize, usize)>,
) -> Result<(), ProtocolError> {
    bytes.clear();
    ranges.clear();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Ok(());
        }
        let from = bytes.len();
        rest = take_word(rest, bytes)?;
        ranges.push((from, bytes.len()));
    }
}

fn take_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    while let Some((&byte, tail)) = rest.split_first() {
        match byte {
            b'"' | b'\'' => {
                let tail = take_quoted(byte, tail, word)?;
                let is_end = tail.first().is_none_or(u8::is_ascii_whitespace);
                return if is_end { Ok(tail) } else { Err(ProtocolError::Quotes) };
            }
            _ if byte.is_ascii_whitespace() => return Ok(rest),
            _ => word.push(byte),
        }
        rest = tail;
    }
    Ok(rest)
}

fn take_quoted<'a>(quote: u8, mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        match (quote, rest) {
            (_, []) => return Err(ProtocolError::Quotes),
            (_, [byte, tail @ ..]) if *byte == quote => return Ok(tail),
            (b'\'', [b'\\', b'\'', tail @ ..]) => {
                word.push(b'\'');
                rest = tail;
            }
            (b'"', [b'\\', b'x', high, low, tail @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                word.push(hex_digit(*high) << 4 | hex_digit(*low));
                rest = tail;
            }
            (b'"', [b'\\', escaped, tail @ ..]) => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = tail;
            }
            (_, [byte, tail @ ..]) => {
                word.push(*byte);
                rest = tail;
            }
        }
    }
}

fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Vec<String>, ProtocolError> {
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        split(line.as_bytes(), &mut bytes, &mut ranges)?;
        Ok(ranges.iter().map(|&(from, to)| String::from_utf8_lossy(&bytes[from..to]).into_owned()).collect())
    }

    #[test]
    fn words_are_split_and_unquoted() {
        assert_eq!(words("  set  k v ").unwrap(), ["set", "k", "v"]);
        assert_eq!(words(r#"set "a b" 'c d'"#).unwrap(), ["set", "a b", "c d"]);
        assert_eq!(words(r#""\x41\n\"" '\'\n'"#).unwrap(), ["A\n\"", "'\\n"]);
        assert_eq!(words(r#""" ''"#).unwrap(), ["", ""]);
        assert!(words("").unwrap().is_empty());
    }

    #[test]
    fn quotes_must_close_and_end_the_word() {
        for line in ["\"a", "'a", "\"a\"b", "\"a\\"] {
            assert_eq!(words(line), Err(ProtocolError::Quotes), "{line}");
        }
    }
}
