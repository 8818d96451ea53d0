//! Samples: companding, tones, files. Everything is 8 kHz mono, and a frame is 20 ms.

pub mod clip;
pub mod ear;
pub mod g711;
pub mod tone;
pub mod wav;

/// Samples in a second: the clock of G.711, and of its RTP timestamps (RFC 3551 §4.5.14).
pub const RATE: u32 = 8_000;
/// Samples in a frame of 20 ms, the packet interval RFC 3551 §4.2 recommends.
pub const FRAME: usize = 160;
/// Microseconds in a frame.
pub const FRAME_US: u64 = 20_000;
