//! The socket of a lab party, with as much loss as a test wants.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UdpSocket;
use tokio::sync::Notify;

use crate::domain::time::{Mono, Now};
use crate::lab::clock::{Clock, sleep_until};
use crate::simulation::dice::Dice;

/// The largest datagram of UDP.
const DATAGRAM_MAX: usize = 65_535;

/// What sits behind a socket. It is locked for each step and never while waiting.
pub(in crate::lab) trait Server: Send + 'static {
    /// A datagram came.
    fn handle_datagram(&mut self, now: Now, source: SocketAddr, bytes: &[u8]);
    /// A deadline may have come.
    fn handle_timeout(&mut self, now: Now);
    /// The next deadline.
    fn poll_timeout(&self) -> Option<Mono>;
    /// What is to be sent.
    fn poll_datagram(&mut self) -> Option<(SocketAddr, Vec<u8>)>;
}

/// A link that loses datagrams, each direction by itself.
#[derive(Debug)]
pub(in crate::lab) struct Link {
    loss: f64,
    dice: Dice,
}

impl Link {
    pub(in crate::lab) fn new(loss: f64, seed: u64) -> Self {
        const OF_LINK: u64 = 6;
        Self { loss, dice: Dice::of(seed, &[OF_LINK]) }
    }

    fn loses(&mut self) -> bool {
        self.loss > 0.0 && self.dice.chance(self.loss)
    }
}

/// Moves datagrams between the socket and its server until the socket fails for good.
pub(in crate::lab) async fn serve<S: Server>(
    socket: UdpSocket,
    server: Arc<Mutex<S>>,
    wake: Arc<Notify>,
    clock: Clock,
    mut link: Link,
) -> io::Result<()> {
    let mut buffer = vec![0; DATAGRAM_MAX];
    let mut outgoing = Vec::new();
    loop {
        let due = {
            let mut server = server.lock().unwrap_or_else(PoisonError::into_inner);
            server.handle_timeout(clock());
            outgoing.extend(std::iter::from_fn(|| server.poll_datagram()));
            server.poll_timeout()
        };
        for (to, bytes) in outgoing.drain(..) {
            if !link.loses() {
                // What cannot be sent is lost, as on any link; the other side repeats it.
                drop(socket.send_to(&bytes, to).await);
            }
        }
        tokio::select! {
            received = socket.recv_from(&mut buffer) => match received {
                Ok((length, source)) => {
                    let lost = link.loses();
                    if let (false, Some(bytes)) = (lost, buffer.get(..length)) {
                        let mut server = server.lock().unwrap_or_else(PoisonError::into_inner);
                        server.handle_datagram(clock(), source, bytes);
                    }
                }
                // ICMP's "port unreachable" of a daemon that was killed; the next one listens again.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                Err(error) => return Err(error),
            },
            () = sleep_until(&clock, due) => {}
            () = wake.notified() => {}
        }
    }
}
