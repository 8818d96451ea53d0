//! SIP over UDP: one task that owns the socket and the endpoint, and only moves bytes and events.
//!
//! The socket is read before timers fire: after a pause of the machine the answer that lies in the
//! kernel's buffer must not lose against the retransmission it makes needless.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::adapters::telemetry::metrics::{self, Direction};
use crate::domain::time::{Duration, Mono};
use crate::protocols::sip::{Command, Endpoint, EndpointConfig, Event, Output};

/// Reads the monotonic clock of the process.
pub type Clock = Arc<dyn Fn() -> Mono + Send + Sync>;

/// The kernel's buffer. The default of 212 kB overflows when the process does not run for tens of
/// milliseconds at some thousand packets a second, and retransmissions then make it worse.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Commands on their way to the task; a full queue makes the dialer wait.
const COMMANDS_MAX: usize = 1_024;
/// Datagrams read in one go before timers and commands have their turn.
const DRAIN_MAX: usize = 256;
/// Events nobody has taken yet. Above it the socket is left unread, so that the far sides
/// retransmit; commands are always read, or two full queues would wait for each other.
const EVENTS_WAITING_MAX: usize = 4_096;
/// The largest UDP payload.
const DATAGRAM_MAX: usize = 65_535;
/// How long transactions are followed after the last handle is gone: 64·T1.
const CLOSING_MAX: Duration = Duration::from_secs(32);

/// What the task is made of.
#[derive(Debug, Clone)]
pub struct SipUdpConfig {
    /// The address of the socket; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The address others reach us at, where it is not the socket's (NAT, or listening on all).
    pub advertise: Option<SocketAddr>,
    /// User-Agent and Server.
    pub user_agent: String,
    /// Networks from which requests that open a dialog are answered at all.
    pub networks: Vec<ipnet::IpNet>,
    /// Dice of this process.
    pub seed: u64,
}

/// The way to the task. When the last clone of `commands` is dropped the task ends.
#[derive(Debug, Clone)]
pub struct SipHandle {
    /// What the endpoint is to do.
    pub commands: mpsc::Sender<Command>,
    /// The address of the socket.
    pub local_addr: SocketAddr,
    /// The address in our Via and Contact: what an intent must remember.
    pub advertised: SocketAddr,
}

/// The task; [`SipUdp::run`] is the future to spawn.
pub struct SipUdp {
    socket: UdpSocket,
    endpoint: Endpoint,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
    waiting: VecDeque<Event>,
    clock: Clock,
}

impl SipUdp {
    /// Opens the socket. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the socket cannot be opened, or when it listens on all addresses and none is
    /// advertised: others would be told to answer to 0.0.0.0.
    pub fn bind(
        config: SipUdpConfig,
        clock: Clock,
        events: mpsc::Sender<Event>,
    ) -> io::Result<(SipHandle, Self)> {
        let socket = open(config.listen)?;
        let local_addr = socket.local_addr()?;
        let advertised = config.advertise.unwrap_or(local_addr);
        if advertised.ip().is_unspecified() || advertised.port() == 0 {
            let text = "SIP listens on all addresses: say which one to advertise";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let endpoint = Endpoint::new(EndpointConfig {
            local: advertised,
            user_agent: config.user_agent,
            networks: config.networks,
            seed: config.seed,
        });
        let handle = SipHandle { commands: sender, local_addr, advertised };
        let waiting = VecDeque::new();
        Ok((handle, Self { socket, endpoint, commands, events, waiting, clock }))
    }

    /// Runs until the last handle is gone and what was begun is over, or 32 s after it. What is to
    /// be done `first` is begun before the socket is read: messages for the legs of an earlier
    /// process must not come before the endpoint knows these.
    pub async fn run(mut self, first: Vec<Command>) {
        let mut buffer = vec![0; DATAGRAM_MAX];
        let mut closing: Option<Mono> = None;
        let start = (self.clock)();
        for command in first {
            self.endpoint.handle_command(start, command);
            self.flush(start).await;
        }
        loop {
            self.drain_socket(&mut buffer).await;
            let now = (self.clock)();
            self.endpoint.handle_timeout(now);
            self.flush(now).await;
            let over = closing.is_some_and(|until| now >= until || self.endpoint.is_idle());
            if over || self.events.is_closed() {
                return;
            }
            let deadline = self.endpoint.poll_timeout().into_iter().chain(closing).min();
            let sleep = deadline.map(|at| tokio::time::sleep(at.since(now)));
            // Every branch is cancel-safe: readiness, reserve and recv lose nothing when dropped.
            tokio::select! {
                ready = self.socket.readable(), if self.waiting.len() < EVENTS_WAITING_MAX => {
                    // An error comes back from reading, where it is dealt with.
                    drop(ready);
                }
                permit = self.events.reserve(), if !self.waiting.is_empty() => {
                    if let (Ok(permit), Some(event)) = (permit, self.waiting.pop_front()) {
                        permit.send(event);
                    }
                }
                command = self.commands.recv(), if closing.is_none() => match command {
                    Some(command) => {
                        let now = (self.clock)();
                        self.endpoint.handle_command(now, command);
                    }
                    None => closing = Some((self.clock)() + CLOSING_MAX),
                },
                () = wait(sleep) => {}
            }
        }
    }

    async fn drain_socket(&mut self, buffer: &mut [u8]) {
        for _ in 0..DRAIN_MAX {
            if self.waiting.len() >= EVENTS_WAITING_MAX {
                return;
            }
            // WouldBlock ends the round; anything else is an old ICMP error that concerns one
            // earlier datagram, whose transaction has its own timer.
            let Ok((length, from)) = self.socket.try_recv_from(buffer) else { return };
            metrics::sip_packet(Direction::In);
            let now = (self.clock)();
            self.endpoint.handle_datagram(now, from, buffer.get(..length).unwrap_or_default());
            self.flush(now).await;
        }
    }

    /// Sends what is to be sent and hands events over as far as there is room.
    async fn flush(&mut self, now: Mono) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Send { to, bytes } => {
                    metrics::sip_packet(Direction::Out);
                    if self.socket.send_to(&bytes, to).await.is_err() {
                        self.endpoint.handle_send_error(now, &bytes);
                    }
                }
                Output::Event(event) => self.waiting.push_back(event),
            }
        }
        while let Some(event) = self.waiting.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
                self.waiting.push_front(event);
                return;
            }
        }
    }
}

async fn wait(sleep: Option<tokio::time::Sleep>) {
    match sleep {
        Some(sleep) => pin!(sleep).await,
        None => std::future::pending().await,
    }
}

fn open(listen: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    // Linux reports twice the usable size, and silently stops at net.core.rmem_max.
    let granted = socket.recv_buffer_size()?;
    if granted < RECEIVE_BUFFER {
        tracing::warn!(
            granted,
            wanted = RECEIVE_BUFFER,
            "small SIP receive buffer: raise net.core.rmem_max to 4 MB"
        );
    }
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::sip::{Message, Method, Target};

    fn clock() -> Clock {
        // Tests of timers are virtual and live beside the machines; here time stands still.
        Arc::new(|| Mono::ZERO)
    }

    fn config(listen: &str) -> SipUdpConfig {
        SipUdpConfig {
            listen: listen.parse().unwrap(),
            advertise: None,
            user_agent: "test".into(),
            networks: vec!["127.0.0.0/8".parse().unwrap()],
            seed: 1,
        }
    }

    #[tokio::test]
    async fn listening_everywhere_without_an_advertised_address_is_refused() {
        let (events, _keep) = mpsc::channel(1);
        let error = SipUdp::bind(config("0.0.0.0:0"), clock(), events).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[tokio::test]
    async fn a_question_goes_out_and_its_answer_comes_back_as_an_event() {
        let (events, mut heard) = mpsc::channel(8);
        let (handle, task) = SipUdp::bind(config("127.0.0.1:0"), clock(), events).unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let target = Target { addr: peer.local_addr().unwrap(), uri: "sip:peer".into() };
        handle.commands.send(Command::Options { id: 7, target }).await.unwrap();
        let answering = async {
            let mut buffer = [0; 2_000];
            let (length, from) = peer.recv_from(&mut buffer).await.unwrap();
            let Ok(Message::Request(request)) = Message::parse(&buffer[..length]) else {
                panic!("not a request")
            };
            assert_eq!(request.method, Method::OPTIONS);
            peer.send_to(&request.answer(200, Some("t")).to_bytes(), from).await.unwrap();
            heard.recv().await
        };
        let event = tokio::select! {
            event = answering => event,
            () = task.run(vec![]) => panic!("the task ended"),
        };
        assert_eq!(event, Some(Event::OptionsAnswered { id: 7, status: Some(200) }));
    }

    #[tokio::test]
    async fn the_task_ends_when_its_last_handle_is_gone() {
        let (events, _keep) = mpsc::channel(1);
        let (handle, task) = SipUdp::bind(config("127.0.0.1:0"), clock(), events).unwrap();
        drop(handle);
        task.run(vec![]).await;
    }
}
