//! A member's addresses, as its context in the membership holds them.

use std::{error, fmt};

/// Where a member is found.
///
/// The encoding is text: the address for other members as `host:port`, and, if the one for clients
/// is known, a comma and that: `10.0.0.4:7001,10.0.0.4:6379`. A host contains no comma. What follows
/// a second comma is left to later versions and ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Where other members connect, as `host:port`.
    pub peer: String,
    /// Where clients connect, as `host:port`, if it is known.
    pub client: Option<String>,
}

/// Why a member's context is no pair of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressesError {
    /// The bytes are no text.
    NotText,
    /// The address for other members is not `host:port`.
    Peer,
    /// The address for clients is not `host:port`.
    Client,
}

impl fmt::Display for AddressesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotText => "a member's addresses are no text",
            Self::Peer => "a member's address for other members is not host:port",
            Self::Client => "a member's address for clients is not host:port",
        })
    }
}

impl error::Error for AddressesError {}

impl Addresses {
    /// Reads a member's context.
    ///
    /// # Errors
    ///
    /// If it holds no addresses, for instance because another program wrote it.
    pub fn decode(context: &[u8]) -> Result<Self, AddressesError> {
        let text = std::str::from_utf8(context).map_err(|_| AddressesError::NotText)?;
        let mut fields = text.split(',');
        let peer = fields.next().filter(|peer| is_address(peer)).ok_or(AddressesError::Peer)?;
        let client = fields.next().filter(|client| !client.is_empty());
        if client.is_some_and(|client| !is_address(client)) {
            return Err(AddressesError::Client);
        }
        Ok(Self { peer: peer.to_owned(), client: client.map(str::to_owned) })
    }

    /// The context that says so.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match &self.client {
            Some(client) => format!("{},{client}", self.peer),
            None => self.peer.clone(),
        }
        .into_bytes()
    }
}

/// Whether it reads `host:port`, short and without what would break the encoding.
#[must_use]
pub fn is_address(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | '/' | '=');
    text.len() <= ADDRESS_BYTES_MAX
        && text.chars().all(is_plain)
        && text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

/// The longest name of a host has 253 bytes.
const ADDRESS_BYTES_MAX: usize = 253 + ":65535".len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_their_encoding() {
        for (peer, client) in [("h:1", None), ("10.0.0.4:7001", Some("[::1]:6379"))] {
            let addresses = Addresses { peer: peer.to_owned(), client: client.map(str::to_owned) };
            assert_eq!(Addresses::decode(&addresses.encode()), Ok(addresses));
        }
        assert_eq!(Addresses::decode(b"h:1,c:2,later").unwrap().client.as_deref(), Some("c:2"));
        assert_eq!(Addresses::decode(b"h:1,").unwrap().client, None);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (bytes, error) in [
            (&b"\xff:1"[..], AddressesError::NotText),
            (b"", AddressesError::Peer),
            (b"host", AddressesError::Peer),
            (b"host:65536", AddressesError::Peer),
            (b":1", AddressesError::Peer),
            (b"a b:1", AddressesError::Peer),
            (b"h:1,c", AddressesError::Client),
        ] {
            assert_eq!(Addresses::decode(bytes), Err(error), "{bytes:?}");
        }
        assert!(!is_address(&format!("{}:1", "h".repeat(300))));
    }
}
