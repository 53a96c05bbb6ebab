//! Numbers and byte strings as the log and the kept replies hold them: a length is a varint, seven bits
//! a byte, the low ones first.

use super::operation::MalformedBatch;

/// Appends a byte string behind its length.
pub(super) fn put_string(into: &mut Vec<u8>, string: &[u8]) {
    put_varint(into, string.len());
    into.extend_from_slice(string);
}

/// Appends a length or count.
pub(super) fn put_varint(into: &mut Vec<u8>, value: usize) {
    let mut value = u32::try_from(value).expect("requests and answers are bounded far below 4 GiB");
    loop {
        let [low, ..] = value.to_le_bytes();
        if value < 0x80 {
            return into.push(low);
        }
        into.push(low | 0x80);
        value >>= 7;
    }
}

/// The next byte.
pub(super) fn take_byte(rest: &mut &[u8]) -> Result<u8, MalformedBatch> {
    let (&byte, tail) = rest.split_first().ok_or(MalformedBatch)?;
    *rest = tail;
    Ok(byte)
}

/// The next `N` bytes.
pub(super) fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], MalformedBatch> {
    let (array, tail) = rest.split_first_chunk().ok_or(MalformedBatch)?;
    *rest = tail;
    Ok(*array)
}

/// The next varint, of 32 bits at most or a little more.
pub(super) fn take_varint(rest: &mut &[u8]) -> Result<u64, MalformedBatch> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let byte = take_byte(rest)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(MalformedBatch)
}

/// The next byte string, behind its length.
pub(super) fn take_string<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], MalformedBatch> {
    let length = usize::try_from(take_varint(rest)?).map_err(|_| MalformedBatch)?;
    let (string, tail) = rest.split_at_checked(length).ok_or(MalformedBatch)?;
    *rest = tail;
    Ok(string)
}
