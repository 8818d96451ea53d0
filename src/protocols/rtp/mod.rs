//! RTP and RTCP (RFC 3550), telephone events (RFC 4733).

pub mod dtmf;
pub mod freshness;
pub mod latch;
pub mod packet;
pub mod receiver;
pub mod rtcp;
pub mod sender;
pub mod session;
pub mod stats;
pub mod talker;
