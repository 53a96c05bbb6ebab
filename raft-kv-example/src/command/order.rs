//! Commands of operators: they change the group, or keep one node in order.

use super::error::CommandError;
use super::spec::Verb;
use crate::address::{Addresses, is_address};
use crate::resp::Request;

/// What an operator wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Takes a node in.
    Add {
        /// Its id.
        id: u64,
        /// As what.
        role: JoinRole,
        /// Where it is found.
        addresses: Addresses,
    },
    /// Makes a learner a voter once it has caught up.
    Promote(u64),
    /// Makes a voter a learner.
    Demote(u64),
    /// Says in which failure domain a member is; zero is none.
    Domain {
        /// Its id.
        id: u64,
        /// The domain.
        domain: u64,
    },
    /// Lets a member go.
    Remove(u64),
    /// Hands leadership over.
    Transfer(u64),
    /// Takes a snapshot of the state of the node that is asked.
    Snapshot,
}

/// What a new node is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum JoinRole {
    /// It votes, once it has caught up
    #[default]
    Voter,
    /// It receives everything and votes in nothing
    Learner,
    /// It votes and keeps no data
    Witness,
}

impl JoinRole {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Voter => "VOTER",
            Self::Learner => "LEARNER",
            Self::Witness => "WITNESS",
        }
    }

    fn of_word(word: &[u8]) -> Option<Self> {
        let all = [Self::Voter, Self::Learner, Self::Witness];
        all.into_iter().find(|role| word.eq_ignore_ascii_case(role.word().as_bytes()))
    }
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
                let mut rest: Vec<&[u8]> = request.words_from(3).collect();
                let role = rest.last().and_then(|word| JoinRole::of_word(word));
                rest.truncate(rest.len() - usize::from(role.is_some()));
                let client = match rest[..] {
                    [] => None,
                    [client] => Some(address(client)?),
                    _ => return Err(CommandError::Syntax),
                };
                let addresses = Addresses { peer: address(request.word(2))?, client };
                Self::Add { id, role: role.unwrap_or_default(), addresses }
            }
            Verb::RaftPromote => Self::Promote(id()?),
            Verb::RaftDemote => Self::Demote(id()?),
            Verb::RaftDomain => Self::Domain { id: id()?, domain: number(request.word(2))? },
            Verb::RaftRemove => Self::Remove(id()?),
            Verb::RaftTransfer => Self::Transfer(id()?),
            Verb::RaftSnapshot => Self::Snapshot,
            _ => return Err(CommandError::Syntax),
        })
    }
}

fn node_id(word: &[u8]) -> Result<u64, CommandError> {
    number(word).ok().filter(|id| (1..u64::MAX).contains(id)).ok_or(CommandError::NodeId)
}

fn number(word: &[u8]) -> Result<u64, CommandError> {
    let number = std::str::from_utf8(word).ok().and_then(|text| text.parse().ok());
    number.ok_or(CommandError::NotAnInteger)
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
        let add = |role, client| Order::Add { id: 4, role, addresses: addresses(client) };
        for (line, order) in [
            ("raft.add 4 h:7004", add(JoinRole::Voter, None)),
            ("RAFT.ADD 4 h:7004 h:6379", add(JoinRole::Voter, Some("h:6379"))),
            ("raft.add 4 h:7004 voter", add(JoinRole::Voter, None)),
            ("raft.add 4 h:7004 witness", add(JoinRole::Witness, None)),
            ("RAFT.ADD 4 h:7004 h:6379 LEARNER", add(JoinRole::Learner, Some("h:6379"))),
            ("raft.promote 4", Order::Promote(4)),
            ("raft.demote 4", Order::Demote(4)),
            ("raft.domain 4 2", Order::Domain { id: 4, domain: 2 }),
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
        for line in ["raft.domain 4 x", "raft.domain 4 -1", "raft.domain 4 18446744073709551616"] {
            assert_eq!(parsed(line), Err(CommandError::NotAnInteger), "{line}");
        }
        for line in [
            "raft.add 4 host",
            "raft.add 4 h:99999",
            "raft.add 4 h:0",
            "raft.add 4 h:1 x",
            "raft.add 4 h:1,h:2",
            "raft.add 4 learner",
        ] {
            assert_eq!(parsed(line), Err(CommandError::Address), "{line}");
        }
        assert_eq!(parsed("raft.add 4 h:1 h:2 h:3"), Err(CommandError::Syntax));
    }
}
