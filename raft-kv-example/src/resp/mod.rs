//! Redis's protocol: requests in, replies out. Knows no commands and no sockets.

mod inline;
mod request;
mod skip;
mod writer;

pub use request::{Progress, ProtocolError, Request, RequestLimits, RequestReader};
pub use skip::{Skip, Skipped};
pub use writer::{Protocol, ReplyWriter};
