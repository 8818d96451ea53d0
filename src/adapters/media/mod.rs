//! RTP on a thread of its own: ports, routes, playing.
//!
//! What is decided about a leg's media is decided in [`crate::protocols::rtp::session`]; here are
//! the sockets, the beat of 20 ms and the table of who is bridged with whom. The thread shares
//! nothing with tokio's workers: a busy database or page never delays a voice.

mod handle;
mod legs;
mod messages;
mod ports;
#[cfg(test)]
mod tests;
mod worker;

pub use handle::{MediaConfig, MediaError, MediaEvent, MediaHandle};
pub use messages::{MessageError, read_messages};
pub use worker::MediaWorker;

pub use crate::protocols::rtp::session::LegRole;
pub use crate::protocols::rtp::stats::LegStats;
