//! Sockets for the protocol machines.

pub mod sip_udp;
