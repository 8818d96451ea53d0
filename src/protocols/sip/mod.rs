//! SIP (RFC 3261) as a user agent client, sans-IO.
//!
//! From the wire up: `text` and `wire` frame a datagram, `headers`, `uri` and `message` give it
//! types, `vocabulary` holds the names of methods and the phrases of statuses. `profile` is what a
//! kind of carrier likes, `facade` the words the shell and the endpoint speak.

pub mod facade;
pub mod headers;
pub mod message;
pub mod profile;
mod text;
pub mod uri;
pub mod vocabulary;
pub mod wire;

pub use facade::{
    CallerId, Command, Counter, DialogState, EndedBy, Event, Failure, FailureKind, Invite, Orphan,
    OrphanEnd, Output, ReasonValue, Target,
};
pub use headers::Q850;
pub use message::{Draft, Message, Request, Response};
pub use profile::Profile;
pub use vocabulary::Method;
