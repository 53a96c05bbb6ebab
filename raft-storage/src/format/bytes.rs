//! Fixed-width numbers in and out of byte slices, without a way to panic on what is read.

/// Reads numbers from the front of a slice; `None` once it is too short.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    pub(crate) fn slice(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(head)
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Writes numbers one after the other into an array that they fill exactly.
#[derive(Debug)]
pub(crate) struct Writer<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    pub(crate) fn new() -> Self {
        Self { bytes: [0; N], at: 0 }
    }

    pub(crate) fn put(mut self, bytes: &[u8]) -> Self {
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
        self
    }

    pub(crate) fn u8(self, value: u8) -> Self {
        self.put(&[value])
    }

    pub(crate) fn u16(self, value: u16) -> Self {
        self.put(&value.to_le_bytes())
    }

    pub(crate) fn u32(self, value: u32) -> Self {
        self.put(&value.to_le_bytes())
    }

    pub(crate) fn u64(self, value: u64) -> Self {
        self.put(&value.to_le_bytes())
    }

    /// Appends the CRC32C of all bytes so far, which must leave exactly its place.
    pub(crate) fn finish_with_crc(self) -> [u8; N] {
        let crc = crc32c::crc32c(&self.bytes[..self.at]);
        self.u32(crc).finish()
    }

    pub(crate) fn finish(self) -> [u8; N] {
        assert!(self.at == N, "{} of {N} bytes written", self.at);
        self.bytes
    }
}

/// Splits off a trailing CRC32C and compares it.
///
/// # Errors
///
/// The checksum that should be there and the one that is.
pub(crate) fn check_trailing_crc<const N: usize>(bytes: &[u8; N]) -> Result<&[u8], (u32, u32)> {
    let (body, crc) = bytes.split_at(N - 4);
    let found = crc.try_into().map_or(0, u32::from_le_bytes);
    let expected = crc32c::crc32c(body);
    if expected == found { Ok(body) } else { Err((expected, found)) }
}
