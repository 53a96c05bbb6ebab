//! Fixed-width numbers in and out of byte slices, without a way to panic on what is read; and what
//! the heads of all files have in common.

/// The version of every file's format. A reader refuses what it does not know.
pub const FORMAT_VERSION: u32 = 1;

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

/// Why bytes are not the head of a file of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadError {
    Magic,
    Version(u32),
    Checksum { expected: u32, found: u32 },
}

/// Checks magic, version and trailing checksum of a file's head; the reader stands behind the
/// version.
///
/// The length of a head and the places of these three are the same in every version, so a newer one
/// is told apart from a flipped bit: its checksum is right.
pub(crate) fn read_head<const N: usize>(bytes: &[u8; N], magic: [u8; 8]) -> Result<Reader<'_>, HeadError> {
    let mut reader = Reader::new(bytes);
    if reader.array() != Some(magic) {
        return Err(HeadError::Magic);
    }
    let version = reader.u32().unwrap_or(0);
    match check_trailing_crc(bytes) {
        Ok(_) if version == FORMAT_VERSION => Ok(reader),
        Ok(_) => Err(HeadError::Version(version)),
        Err((expected, found)) => Err(HeadError::Checksum { expected, found }),
    }
}

/// The checksum of a head seeds those of what follows it. It has to be the one without its own four
/// bytes: the CRC of anything that ends in its own CRC is the same constant.
pub(crate) fn seed_of<const N: usize>(head: &[u8; N]) -> u32 {
    crc32c::crc32c(&head[..N - 4])
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
