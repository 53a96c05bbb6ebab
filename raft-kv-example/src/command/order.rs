//! Commands of operators: they change the group, or keep one node in order.

use super::error::CommandError;
use super::spec::Verb;
use crate::address::{Addresses, is_address};
use crate::resp::Request;

/// What an operator wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Takes a node in as a learner.
    Add {
        /// Its id.
        id: u64,
        /// Where it is found.
        addresses: Addresses,
    },
    /// Makes a learner a voter.
    Promote(u64),
    /// Makes a voter a learner.
    Demote(u64),
    /// Lets a member go.
    Remove(u64),
    /// Hands leadership over.
    Transfer(u64),
    /// Takes a snapshot of the state of the node that is asked.
    Snapshot,
}

impl Order {
    /// Reads the request of a command of class [`Admin`](super::Class::Admin).
    ///
    /// # Errors
    ///
    /// If the words break the command's rules.
    pub fn parse(verb: Verb, request: Request<'_>) -> Result<Self, CommandError> {
        let id = || node_id(request.word(1));
        Ok(match verb {
            Verb::RaftAdd => {
                let id = id()?;
                let client = request.words_from(3).next().map(address).transpose()?;
                Self::Add { id, addresses: Addresses { peer: address(request.word(2))?, client } }
            }
            Verb::RaftPromote => Self::Promote(id()?),
            Verb::RaftDemote => Self::Demote(id()?),
            Verb::RaftRemove => Self::Remove(id()?),
            Verb::RaftTransfer => Self::Transfer(id()?),
            Verb::RaftSnapshot => Self::Snapshot,
            _ => return Err(CommandError::Syntax),
        })
    }
}

fn node_id(word: &[u8]) -> Result<u64, CommandError> {
    let id = std::str::from_utf8(word).ok().and_then(|text| text.parse().ok());
    id.filter(|id| (1..u64::MAX).contains(id)).ok_or(CommandError::NodeId)
}

fn address(word: &[u8]) -> Result<String, CommandError> {
    let text = std::str::from_utf8(word).ok().filter(|text| is_address(text) && !text.ends_with(":0"));
    text.map(str::to_owned).ok_or(CommandError::Address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::find;
    use crate::resp::{Progress, RequestLimits, RequestReader};

    fn parsed(line: &str) -> Result<Order, CommandError> {
        let limits = RequestLimits { words_max: 10, word_bytes_max: 100, request_bytes_max: 1000 };
        let mut reader = RequestReader::new(limits);
        let line = format!("{line}\r\n");
        let (request, _) = reader.read(line.as_bytes(), &mut Progress::default()).unwrap().unwrap();
        Order::parse(find(request.word(0)).unwrap().verb, request)
    }

    #[test]
    fn orders_are_read() {
        let addresses =
            |client: Option<&str>| Addresses { peer: "h:7004".to_owned(), client: client.map(str::to_owned) };
        for (line, order) in [
            ("raft.add 4 h:7004", Order::Add { id: 4, addresses: addresses(None) }),
            ("RAFT.ADD 4 h:7004 h:6379", Order::Add { id: 4, addresses: addresses(Some("h:6379")) }),
            ("raft.promote 4", Order::Promote(4)),
            ("raft.demote 4", Order::Demote(4)),
            ("raft.remove 4", Order::Remove(4)),
            ("raft.transfer 4", Order::Transfer(4)),
            ("raft.snapshot", Order::Snapshot),
        ] {
            assert_eq!(parsed(line), Ok(order), "{line}");
        }
    }

    #[test]
    fn bad_ids_and_addresses_are_refused() {
        for line in ["raft.remove 0", "raft.remove x", "raft.promote -1", "raft.demote 18446744073709551615"]
        {
            assert_eq!(parsed(line), Err(CommandError::NodeId), "{line}");
        }
        for line in [
            "raft.add 4 host",
            "raft.add 4 h:99999",
            "raft.add 4 h:0",
            "raft.add 4 h:1 x",
            "raft.add 4 h:1,h:2",
        ] {
            assert_eq!(parsed(line), Err(CommandError::Address), "{line}");
        }
    }
}
