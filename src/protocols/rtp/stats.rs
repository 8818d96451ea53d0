//! The accounts of one leg's media, as its end reports them.

use std::net::SocketAddr;

use super::receiver::Counts;
use super::rtcp::RemoteReception;
use crate::domain::time::Duration;

/// Datagrams that came to a leg's ports and were not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refused {
    /// Before the answer said whose packets to expect.
    pub early: u64,
    /// Neither RTP nor RTCP, or of a size no voice has.
    pub broken: u64,
    /// From an address that is not the leg's.
    pub foreign: u64,
    /// Of a payload type that was not agreed on.
    pub unknown: u64,
    /// More than a second may bring.
    pub flood: u64,
    /// Far off in sequence, and not followed by another.
    pub stray: u64,
}

/// What happened to the media of a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegStats {
    /// From opening to closing.
    pub duration: Duration,
    /// Packets of voice and keys sent.
    pub packets_out: u32,
    /// Octets of payload in them.
    pub octets_out: u32,
    /// Packets that the system refused to send.
    pub unsent: u64,
    /// Packets, octets, loss, order and restarts of what came.
    pub received: Counts,
    /// Interarrival jitter at the end (RFC 3550 §6.4.1).
    pub jitter: Duration,
    /// What was refused, and why.
    pub refused: Refused,
    /// The other side's last report on what we sent.
    pub remote: Option<RemoteReception>,
    /// Keys pressed.
    pub digits: u32,
    /// Where the media was: the described address, or the one latched to. None before an answer.
    pub address: Option<SocketAddr>,
    /// Whether that is not the described address.
    pub latched: bool,
}
