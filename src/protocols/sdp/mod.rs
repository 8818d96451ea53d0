//! Session descriptions (RFC 8866) and offer/answer (RFC 3264).

pub mod offer_answer;
pub mod session;

pub use offer_answer::{MediaParams, SdpError, answer, offer, read_answer};
pub use session::{Codec, Direction};
