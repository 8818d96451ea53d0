//! Protocols as pure machines: bytes, time and dice in, bytes and events out.

pub mod audio;
pub mod rtp;
pub mod sdp;
pub mod sip;
