//! Pairs of ports: RTP on an even one, RTCP on the odd one above it (RFC 3550 §11).

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use super::handle::MediaError;

/// Draws from the system's ports until one is even and its neighbour is free; half are even, so
/// that even a crowded machine succeeds long before.
const DRAWS_MAX: usize = 64;
/// Expedited forwarding (RFC 3246, DSCP 46), the class routers keep for voice.
const VOICE_TOS: u32 = 46 << 2;

/// A bound pair.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: UdpSocket,
}

/// Hands out pairs in turn, so that a port rests as long as possible after its call: late packets
/// of the last one must not be heard in the next. A socket that is closed frees its port by itself.
#[derive(Debug)]
pub(super) struct Ports {
    address: IpAddr,
    /// Even ports whose neighbour is in the range; none lets the system choose.
    pairs: Vec<u16>,
    turn: Mutex<usize>,
}

impl Ports {
    /// `0..=0` lets the system choose.
    pub(super) fn new(address: IpAddr, range: &RangeInclusive<u16>) -> io::Result<Self> {
        let pairs: Vec<u16> = if *range == (0..=0) {
            Vec::new()
        } else {
            let (first, last) = (*range.start(), *range.end());
            (first..last).filter(|port| port % 2 == 0 && *port != 0).collect()
        };
        if pairs.is_empty() && *range != (0..=0) {
            let text = format!("no pair of ports in {}-{}", range.start(), range.end());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(Self { address, pairs, turn: Mutex::new(0) })
    }

    /// Binds the next free pair.
    pub(super) fn open(&self) -> Result<Pair, MediaError> {
        let tries = if self.pairs.is_empty() { DRAWS_MAX } else { self.pairs.len() };
        for _ in 0..tries {
            match self.bind(self.next()) {
                Ok(Some(pair)) => return Ok(pair),
                Ok(None) => {}
                // In use by another program, or by a leg of ours.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(MediaError::Bind(error)),
            }
        }
        Err(MediaError::NoPorts)
    }

    fn next(&self) -> u16 {
        // A poisoned lock holds a number that is still good.
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        *turn = turn.wrapping_add(1);
        let index = turn.checked_rem(self.pairs.len()).unwrap_or(0);
        self.pairs.get(index).copied().unwrap_or(0)
    }

    /// None where the system chose a port that cannot be the lower of a pair.
    fn bind(&self, port: u16) -> io::Result<Option<Pair>> {
        let rtp = UdpSocket::bind(SocketAddr::new(self.address, port))?;
        let port = rtp.local_addr()?.port();
        let Some(above) = port.checked_add(1).filter(|_| port % 2 == 0) else {
            return Ok(None);
        };
        let rtcp = UdpSocket::bind(SocketAddr::new(self.address, above))?;
        for socket in [&rtp, &rtcp] {
            socket.set_nonblocking(true)?;
            if self.address.is_ipv4() {
                socket2::SockRef::from(socket).set_tos_v4(VOICE_TOS)?;
            }
        }
        Ok(Some(Pair { rtp, rtcp }))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn port(pair: &Pair) -> u16 {
        pair.rtp.local_addr().unwrap().port()
    }

    #[test]
    fn the_systems_choice_is_an_even_port_and_the_one_above() {
        let ports = Ports::new(HERE, &(0..=0)).unwrap();
        let pair = ports.open().unwrap();
        assert_eq!(port(&pair) % 2, 0);
        assert_eq!(pair.rtcp.local_addr().unwrap().port(), port(&pair) + 1);
    }

    #[test]
    fn a_range_is_used_in_turn_until_it_is_full() {
        // Somewhere the system thinks is free: three pairs above a pair it chose.
        let base = port(&Ports::new(HERE, &(0..=0)).unwrap().open().unwrap()).min(65_000);
        let ports = Ports::new(HERE, &(base..=base + 5)).unwrap();
        let mut open = Vec::new();
        while let Ok(pair) = ports.open() {
            open.push(pair);
        }
        // Another program may hold one of them.
        assert!((1..=3).contains(&open.len()), "{}", open.len());
        assert!(matches!(ports.open(), Err(MediaError::NoPorts)));
        open.pop();
        assert!(ports.open().is_ok(), "a closed pair is free again");
    }

    #[test]
    fn a_range_without_a_pair_is_refused_at_start() {
        for range in [4_001..=4_002, 4_000..=4_000] {
            assert!(Ports::new(HERE, &range).is_err(), "{range:?}");
        }
    }
}
