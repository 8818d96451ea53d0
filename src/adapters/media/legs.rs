//! The table of open legs, and who is bridged with whom.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};

use super::ports::Pair;
use crate::domain::ids::LegId;
use crate::protocols::rtp::session::Session;

/// Which of a leg's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    Rtp,
    Rtcp,
}

/// One open leg.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) id: LegId,
    pub(super) session: Session,
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: UdpSocket,
    /// The slot of the leg it is bridged with, which names this one in turn.
    pub(super) peer: Option<usize>,
}

impl Leg {
    /// Sends what a session has written. A full socket loses the packet, as a full network would.
    pub(super) fn send(&mut self, port: Port, bytes: &[u8], to: SocketAddr) {
        let socket = match port {
            Port::Rtp => &self.rtp,
            Port::Rtcp => &self.rtcp,
        };
        if socket.send_to(bytes, to).is_err() {
            self.session.count_unsent();
        }
    }
}

/// Legs by slot, which is what the poll's tokens name, and by id.
#[derive(Debug, Default)]
pub(super) struct Legs {
    slots: Vec<Option<Leg>>,
    free: Vec<usize>,
    by_id: BTreeMap<LegId, usize>,
}

impl Legs {
    /// The socket a token of the poll stands for: two tokens a slot.
    pub(super) const fn port_of(token: Token) -> (usize, Port) {
        (token.0 / 2, if token.0.is_multiple_of(2) { Port::Rtp } else { Port::Rtcp })
    }

    /// Takes a leg in and listens to its sockets.
    pub(super) fn insert(
        &mut self,
        registry: &Registry,
        id: LegId,
        session: Session,
        pair: Pair,
    ) -> std::io::Result<()> {
        let mut rtp = UdpSocket::from_std(pair.rtp);
        let mut rtcp = UdpSocket::from_std(pair.rtcp);
        let slot = self.free.last().copied().unwrap_or(self.slots.len());
        registry.register(&mut rtp, Token(2 * slot), Interest::READABLE)?;
        registry.register(&mut rtcp, Token(2 * slot + 1), Interest::READABLE)?;
        let leg = Some(Leg { id, session, rtp, rtcp, peer: None });
        match self.slots.get_mut(slot) {
            Some(place) => {
                self.free.pop();
                *place = leg;
            }
            None => self.slots.push(leg),
        }
        self.by_id.insert(id, slot);
        Ok(())
    }

    /// Takes a leg out; closing its sockets ends the listening.
    pub(super) fn remove(&mut self, id: LegId) -> Option<Leg> {
        self.unbridge(id);
        let slot = self.by_id.remove(&id)?;
        self.free.push(slot);
        self.slots.get_mut(slot)?.take()
    }

    pub(super) fn contains(&self, id: LegId) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(super) fn get_mut(&mut self, id: LegId) -> Option<&mut Leg> {
        self.at_mut(*self.by_id.get(&id)?)
    }

    pub(super) fn at_mut(&mut self, slot: usize) -> Option<&mut Leg> {
        self.slots.get_mut(slot)?.as_mut()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Leg> {
        self.slots.iter_mut().flatten()
    }

    pub(super) fn ids(&self) -> Vec<LegId> {
        self.by_id.keys().copied().collect()
    }

    /// Routes two legs to each other. The one that is not open is given back.
    pub(super) fn bridge(&mut self, one: LegId, other: LegId) -> Result<(), LegId> {
        let slot = |id: LegId| self.by_id.get(&id).copied().ok_or(id);
        let (a, b) = (slot(one)?, slot(other)?);
        if a == b {
            return Err(other);
        }
        self.unbridge(one);
        self.unbridge(other);
        for (slot, peer) in [(a, b), (b, a)] {
            if let Some(leg) = self.at_mut(slot) {
                leg.peer = Some(peer);
                leg.session.bridge();
            }
        }
        Ok(())
    }

    /// Takes a leg and its partner apart; nothing happens to one that has none.
    pub(super) fn unbridge(&mut self, id: LegId) {
        let peer = self.get_mut(id).and_then(|leg| leg.peer);
        let both = [self.by_id.get(&id).copied(), peer];
        if peer.is_some() {
            for slot in both.into_iter().flatten() {
                if let Some(leg) = self.at_mut(slot) {
                    leg.peer = None;
                    leg.session.unbridge();
                }
            }
        }
    }
}
