//! Outputs that can be kept as bytes until the client has them.

use alloc::string::String;
use alloc::vec::Vec;

use raft_proto::bytes::Bytes;

/// An output of the application that can be kept for a retry, and travel in a snapshot.
///
/// `decode` gives back exactly what `encode` wrote, also in later versions of the application: kept
/// replies outlive the program that made them.
///
/// ```
/// use raft_core::sessions::Reply;
///
/// #[derive(Debug, PartialEq)]
/// enum Colour { Blue, Green }
///
/// impl Reply for Colour {
///     fn encode(&self, into: &mut Vec<u8>) {
///         into.push(match self { Self::Blue => 1, Self::Green => 2 });
///     }
///
///     fn decode(bytes: &[u8]) -> Option<Self> {
///         match bytes {
///             [1] => Some(Self::Blue),
///             [2] => Some(Self::Green),
///             _ => None,
///         }
///     }
/// }
///
/// let mut kept = Vec::new();
/// Colour::Green.encode(&mut kept);
/// assert_eq!(Colour::decode(&kept), Some(Colour::Green));
/// assert_eq!(Colour::decode(b"?"), None);
/// ```
pub trait Reply: Sized {
    /// Appends the bytes to keep.
    fn encode(&self, into: &mut Vec<u8>);

    /// Reads them back; `None` if they are nothing that `encode` writes.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

impl Reply for () {
    fn encode(&self, _into: &mut Vec<u8>) {}

    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.is_empty().then_some(())
    }
}

impl Reply for bool {
    fn encode(&self, into: &mut Vec<u8>) {
        into.push(u8::from(*self));
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }
}

impl Reply for u64 {
    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_le_bytes)
    }
}

impl Reply for i64 {
    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_le_bytes)
    }
}

impl Reply for Vec<u8> {
    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(bytes.to_vec())
    }
}

impl Reply for Bytes {
    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self::copy_from_slice(bytes))
    }
}

impl Reply for String {
    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        core::str::from_utf8(bytes).ok().map(Self::from)
    }
}

/// A byte that says whether there is something, then that.
impl<T: Reply> Reply for Option<T> {
    fn encode(&self, into: &mut Vec<u8>) {
        self.is_some().encode(into);
        if let Some(value) = self {
            value.encode(into);
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (0, []) => Some(None),
            (1, value) => T::decode(value).map(Some),
            _ => None,
        }
    }
}

/// A byte that says whether it went well, then the value or the error.
impl<T: Reply, E: Reply> Reply for Result<T, E> {
    fn encode(&self, into: &mut Vec<u8>) {
        self.is_ok().encode(into);
        match self {
            Ok(value) => value.encode(into),
            Err(error) => error.encode(into),
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (0, error) => E::decode(error).map(Err),
            (1, value) => T::decode(value).map(Ok),
            _ => None,
        }
    }
}
