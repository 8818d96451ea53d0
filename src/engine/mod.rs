//! The dialer itself: one deterministic machine. Inputs and `now` in, outputs out.

pub mod input;
pub mod output;
