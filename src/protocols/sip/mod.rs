//! SIP (RFC 3261) as a user agent client, sans-IO.
//!
//! From the wire up: `text` and `wire` frame a datagram, `headers`, `uri` and `message` give it
//! types, `vocabulary` holds the names of methods and the phrases of statuses. `profile` is what a
//! kind of carrier likes, `facade` the words the shell and the endpoint speak.
//!
//! [`Endpoint`] holds the machines: `uac_call` one call of ours over its `transaction`s, `orphan` the
//! end of a call whose process died, `inbound` the answers to requests from outside. `own_invite`
//! and `outgoing` write what goes out, `ids` names it, `timers` wakes them.

mod endpoint;
pub mod facade;
pub mod headers;
mod ids;
mod inbound;
pub mod message;
mod orphan;
mod outgoing;
mod own_invite;
pub mod profile;
#[cfg(test)]
mod tests;
mod text;
mod timers;
pub mod transaction;
mod uac_call;
pub mod uri;
pub mod vocabulary;
pub mod wire;

pub use endpoint::{Endpoint, EndpointConfig};
pub use facade::{
    CallerId, Command, Counter, DialogState, EndedBy, Event, Failure, FailureKind, Invite, Orphan,
    OrphanEnd, Output, ReasonValue, Target,
};
pub use headers::Q850;
pub use message::{Draft, Message, Request, Response};
pub use profile::Profile;
pub use vocabulary::Method;
