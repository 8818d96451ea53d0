//! RTP and RTCP (RFC 3550), telephone events (RFC 4733).

pub mod packet;
pub mod receiver;
pub mod sender;
pub mod talker;
