//! What is ready to be handed out, and messages that must wait for the disk.
//!
//! A message that vouches for something (a vote, a candidacy) is held until that is durable, so
//! whatever is handed out may leave at once and no caller can break the order (Raft §5, figure 2:
//! "updated on stable storage before responding").

use alloc::collections::VecDeque;
use core::hash::{Hash, Hasher};
use core::mem::discriminant;

use crate::words::action::Action;
use crate::words::ids::PersistId;
use crate::words::message::Message;
use crate::words::notice::{Notice, Offence};

/// Actions on their way out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outbox {
    ready: VecDeque<Action>,
    held: VecDeque<(PersistId, Message)>,
    offences: [u64; Offence::COUNT],
}

impl Outbox {
    /// May leave at once.
    #[inline]
    pub(crate) fn push(&mut self, action: Action) {
        self.ready.push_back(action);
    }

    pub(crate) fn send(&mut self, message: Message) {
        self.ready.push_back(Action::Send(message));
    }

    /// May leave once everything up to `barrier` is durable.
    pub(crate) fn send_after(&mut self, barrier: Option<PersistId>, message: Message) {
        match barrier {
            None => self.send(message),
            Some(id) => {
                // The newer one says it all: a disk that does not answer costs a message of each kind
                // per member, however often somebody asks (N13).
                let kind = discriminant(&message.body);
                self.held.retain(|(_, held)| held.to != message.to || discriminant(&held.body) != kind);
                self.held.push_back((id, message));
            }
        }
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        if let Notice::Offended { offence, .. } = notice {
            self.offences[offence as usize] += 1;
        }
        self.ready.push_back(Action::Notice(notice));
    }

    /// A held message whose time has come.
    pub(crate) fn release(&mut self, completed: PersistId) -> Option<Message> {
        let (_, message) = self.held.pop_front_if(|(id, _)| *id <= completed)?;
        Some(message)
    }

    /// Held messages no longer say what is true: the term or the role is another one.
    pub(crate) fn drop_held(&mut self) {
        self.held.clear();
    }

    #[inline]
    pub(crate) fn poll(&mut self) -> Option<Action> {
        self.ready.pop_front()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Gives back memory that nothing needs now.
    pub(crate) fn shrink(&mut self) {
        self.ready.shrink_to_fit();
        self.held.shrink_to_fit();
    }

    pub(crate) fn offence_count(&self, offence: Offence) -> u64 {
        self.offences[offence as usize]
    }

    /// Digests what waits, with requests counted from `completed` on. Offences are counted for people.
    pub(crate) fn hash_behind(&self, completed: PersistId, state: &mut impl Hasher) {
        let Self { ready, held, offences: _ } = self;
        ready.hash(state);
        held.len().hash(state);
        for (barrier, message) in held {
            (barrier.get().saturating_sub(completed.get()), message).hash(state);
        }
    }
}
