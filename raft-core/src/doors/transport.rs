//! The way to the other members as the node needs it.

use crate::words::ids::NodeId;
use crate::words::message::Message;

/// Carries messages between the members of one group.
///
/// Messages may be lost, delayed, duplicated and reordered; they must arrive whole or not at all,
/// and `Message::from` must be who really sent it.
///
/// ```
/// use std::sync::mpsc::{Receiver, Sender};
/// use raft_core::{Arrival, Body, Message, NodeId, Term, Transport};
///
/// /// Two nodes in two threads.
/// struct Pipe(Sender<Message>, Receiver<Message>);
///
/// impl Transport for Pipe {
///     fn send(&mut self, message: Message) {
///         let _ = self.0.send(message); // The other end may be gone: then it is lost.
///     }
///
///     fn poll(&mut self) -> Option<Arrival> {
///         self.1.try_recv().ok().map(Arrival::Message)
///     }
///
///     fn message_bytes_max(&self) -> u64 {
///         u64::MAX // No limit.
///     }
/// }
///
/// let (sender, receiver) = std::sync::mpsc::channel();
/// let mut loopback = Pipe(sender, receiver);
/// let (from, to) = (NodeId::new(1), NodeId::new(2));
/// let message = Message { from, to, term: Term::new(1), body: Body::TimeoutNow };
/// loopback.send(message.clone());
/// assert_eq!(loopback.poll(), Some(Arrival::Message(message)));
/// ```
pub trait Transport {
    /// Takes a message for `message.to`. Never waits: what cannot be queued is dropped.
    fn send(&mut self, message: Message);

    /// The next thing that came from the network, if any; never waits.
    fn poll(&mut self) -> Option<Arrival>;

    /// The longest message that it carries, in bytes on the wire; `u64::MAX` if there is no limit. A
    /// node whose settings allow for longer ones does not start:
    /// [`Config::message_bytes_max`](crate::Config::message_bytes_max).
    fn message_bytes_max(&self) -> u64;

    /// Called when the node has nothing more to send for now, so that queued messages may leave
    /// together.
    fn flush(&mut self) {}
}

/// What comes from the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A message from another member.
    Message(Message),
    /// Messages to this member may have been dropped since the last such report.
    Unreachable(NodeId),
}
