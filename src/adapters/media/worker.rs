//! The media thread: waits for packets and for the next beat, and never for anything else.
//!
//! A packet goes on the moment it is read. A beat is an absolute deadline 20 ms after the one
//! before, so that no delay adds up to drift; one that is missed is made up for.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};

use mio::{Events, Poll, Token, Waker};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::handle::{COMMANDS_MAX, Command, MediaConfig, MediaEvent, MediaHandle};
use super::legs::{Leg, Legs, Port};
use super::ports::{Pair, Ports};
use crate::domain::ids::LegId;
use crate::domain::time::{Duration, Mono};
use crate::protocols::audio::FRAME_US;
use crate::protocols::audio::clip::Clip;
use crate::protocols::rtp::sender::Identity;
use crate::protocols::rtp::session::{LegRole, Session, SessionEvent};

const BEAT: Duration = Duration::from_micros(FRAME_US);
/// Beats made up for after a stall, 200 ms: what a jitter buffer can hold. Older ones are skipped,
/// and the timestamps say so.
const CATCH_UP_MAX: u64 = 10;
/// Datagrams read from a socket before the others have their turn; a beat brings one.
const READS_MAX: usize = 32;
/// Sockets told ready by one poll.
const READY_MAX: usize = 1_024;
/// Events kept while their receiver is slow: minutes of every leg's changes.
const BACKLOG_MAX: usize = 65_536;
/// Larger than any packet taken, so that one too long is seen to be.
const DATAGRAM_BYTES: usize = 2_048;
const WAKE: Token = Token(usize::MAX);

/// Monotonic time, read only through here.
type Clock = Arc<dyn Fn() -> Mono + Send + Sync>;

/// The thread's own state.
pub struct MediaWorker {
    poll: Poll,
    commands: Receiver<Command>,
    events: Sender<MediaEvent>,
    /// Events that found no room, oldest first.
    backlog: VecDeque<MediaEvent>,
    clock: Clock,
    messages: BTreeMap<String, Clip>,
    legs: Legs,
    /// Sockets with more to read than their turn allowed; the poll does not tell them again.
    unread: Vec<Token>,
    incoming: Box<[u8; DATAGRAM_BYTES]>,
    outgoing: Vec<u8>,
}

impl MediaWorker {
    /// Starts the thread.
    ///
    /// # Errors
    /// The configuration names no pair of ports or no address to tell others, or the system gives
    /// no poll or thread.
    pub fn start(
        config: MediaConfig,
        clock: Clock,
        events: Sender<MediaEvent>,
    ) -> io::Result<MediaHandle> {
        let advertise = config.advertise.unwrap_or(config.address);
        if advertise.is_unspecified() {
            let text = "media is bound to all addresses: name the one to advertise";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let ports = Arc::new(Ports::new(config.address, &config.ports)?);
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (sender, commands) = sync_channel(COMMANDS_MAX);
        let mut messages = config.messages;
        messages.insert(String::new(), Clip::chime());
        let worker = Self {
            poll,
            commands,
            events,
            backlog: VecDeque::new(),
            clock,
            messages,
            legs: Legs::default(),
            unread: Vec::new(),
            incoming: Box::new([0; DATAGRAM_BYTES]),
            outgoing: Vec::with_capacity(DATAGRAM_BYTES),
        };
        let thread = std::thread::Builder::new().name("media".into()).spawn(|| worker.run())?;
        let thread = Arc::new(Mutex::new(Some(thread)));
        Ok(MediaHandle { commands: sender, waker, ports, advertise, thread })
    }

    fn run(mut self) {
        let mut ready = Events::with_capacity(READY_MAX);
        let mut due = (self.clock)() + BEAT;
        loop {
            let now = (self.clock)();
            let wait = if self.unread.is_empty() { due.since(now) } else { Duration::ZERO };
            match self.poll.poll(&mut ready, Some(wait)) {
                Ok(()) => {}
                // A signal; what is ready is told by the next poll.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, "the media thread cannot wait for packets and ends");
                    break;
                }
            }
            for token in std::mem::take(&mut self.unread) {
                self.read(token);
            }
            for event in ready.iter().filter(|event| event.token() != WAKE) {
                self.read(event.token());
            }
            if !self.obey() || !self.flush() {
                break;
            }
            due = self.beat(due);
        }
        for id in self.legs.ids() {
            self.close(id);
        }
        self.flush();
    }

    /// Reads what lies in a socket, and sends it on.
    fn read(&mut self, token: Token) {
        let (slot, port) = Legs::port_of(token);
        for _ in 0..READS_MAX {
            // A leg may have been closed since the poll told of it.
            let Some(leg) = self.legs.at_mut(slot) else { return };
            let socket = match port {
                Port::Rtp => &leg.rtp,
                Port::Rtcp => &leg.rtcp,
            };
            let (length, from) = match socket.recv_from(&mut self.incoming[..]) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Empty; or an error of the network, after which the poll tells of the next packet.
                Err(_) => return,
            };
            let Some(datagram) = self.incoming.get(..length) else { return };
            let now = (self.clock)();
            match port {
                Port::Rtp => {
                    take_rtp(&mut self.legs, slot, now, from, datagram, &mut self.outgoing);
                }
                Port::Rtcp => leg.session.handle_rtcp(now, from, datagram),
            }
            self.tell(slot);
        }
        self.unread.push(token);
    }

    /// Carries out what was commanded; false when it is time to end.
    fn obey(&mut self) -> bool {
        for _ in 0..COMMANDS_MAX {
            match self.commands.try_recv() {
                Ok(Command::Open { leg, role, pair }) => self.open(leg, role, pair),
                Ok(Command::Connect { leg, remote }) => {
                    let now = (self.clock)();
                    match self.legs.get_mut(leg) {
                        Some(leg) => leg.session.connect(now, remote),
                        None => self.fail(leg, "connect: no such leg"),
                    }
                }
                Ok(Command::Bridge { customer, agent }) => {
                    match self.legs.bridge(customer, agent) {
                        Ok(()) => self.emit(MediaEvent::Bridged { customer, agent }),
                        Err(absent) => {
                            self.fail(absent, "bridge: not an open leg beside its partner");
                        }
                    }
                }
                Ok(Command::Unbridge(leg)) => self.legs.unbridge(leg),
                Ok(Command::Play { leg, message }) => self.play(leg, &message),
                Ok(Command::Close(leg)) => self.close(leg),
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
        true
    }

    fn open(&mut self, id: LegId, role: LegRole, pair: Pair) {
        if self.legs.contains(id) {
            self.fail(id, "open: the leg is open already");
            return;
        }
        let session = Session::new((self.clock)(), role, Identity::from_dice(rand::random()));
        if let Err(error) = self.legs.insert(self.poll.registry(), id, session, pair) {
            self.fail(id, &format!("open: {error}"));
        }
    }

    fn play(&mut self, id: LegId, message: &str) {
        match (self.messages.get(message), self.legs.get_mut(id)) {
            (Some(clip), Some(leg)) => leg.session.play(clip.clone()),
            (None, Some(leg)) => {
                // Someone waits in silence: the chime is better than nothing, and its end ends the
                // call.
                leg.session.play(Clip::chime());
                self.emit(MediaEvent::Substituted(id, message.to_owned()));
            }
            (_, None) => self.fail(id, "play: no such leg"),
        }
    }

    fn close(&mut self, id: LegId) {
        let now = (self.clock)();
        if let Some(mut leg) = self.legs.remove(id) {
            if let Some(to) = leg.session.farewell(now, &mut self.outgoing) {
                leg.send(Port::Rtcp, &self.outgoing, to);
            }
            self.emit(MediaEvent::Closed(id, leg.session.stats(now)));
        }
    }

    /// Sends every leg the frames that are due, and gives the deadline of the next.
    fn beat(&mut self, mut due: Mono) -> Mono {
        let now = (self.clock)();
        if now < due {
            return due;
        }
        let late = now.as_micros() - due.as_micros();
        let skipped = late.saturating_sub(FRAME_US * CATCH_UP_MAX).div_ceil(FRAME_US);
        if skipped > 0 {
            tracing::warn!(skipped, "media fell behind: frames of 20 ms were not sent");
            due += Duration::from_micros(skipped * FRAME_US);
        }
        while due <= now {
            for leg in self.legs.iter_mut() {
                if let Some(to) = leg.session.poll_frame(due, &mut self.outgoing) {
                    leg.send(Port::Rtp, &self.outgoing, to);
                }
            }
            due += BEAT;
        }
        let mut told = Vec::new();
        for leg in self.legs.iter_mut() {
            leg.session.handle_timeout(now);
            if let Some(to) = leg.session.poll_report(now, &mut self.outgoing) {
                leg.send(Port::Rtcp, &self.outgoing, to);
            }
            told.extend(std::iter::from_fn(|| next_event(leg)));
        }
        for event in told {
            self.emit(event);
        }
        due
    }

    /// Passes on what a leg's session has to tell.
    fn tell(&mut self, slot: usize) {
        while let Some(event) = self.legs.at_mut(slot).and_then(next_event) {
            self.emit(event);
        }
    }

    fn fail(&mut self, id: LegId, why: &str) {
        self.emit(MediaEvent::Failed(id, why.to_owned()));
    }

    fn emit(&mut self, event: MediaEvent) {
        if self.backlog.len() < BACKLOG_MAX {
            self.backlog.push_back(event);
        } else {
            tracing::error!(?event, "nobody takes the media thread's events; one is lost");
        }
    }

    /// Hands events over as far as there is room, in order; false when nobody takes them any more.
    fn flush(&mut self) -> bool {
        while let Some(event) = self.backlog.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.backlog.push_front(event);
                    return true;
                }
                Err(TrySendError::Closed(_)) => return false,
            }
        }
        true
    }
}

/// Takes a packet from one leg and sends it to the leg it is bridged with.
fn take_rtp(
    legs: &mut Legs,
    slot: usize,
    now: Mono,
    from: SocketAddr,
    datagram: &[u8],
    outgoing: &mut Vec<u8>,
) {
    let Some(leg) = legs.at_mut(slot) else { return };
    let Some(packet) = leg.session.handle_rtp(now, from, datagram) else { return };
    let Some(peer) = leg.peer.and_then(|peer| legs.at_mut(peer)) else { return };
    if let Some(to) = peer.session.relay(now, &packet, outgoing) {
        peer.send(Port::Rtp, outgoing, to);
    }
}

fn next_event(leg: &mut Leg) -> Option<MediaEvent> {
    let id = leg.id;
    leg.session.poll_event().map(|event| match event {
        SessionEvent::Fresh => MediaEvent::Fresh(id),
        SessionEvent::Stale => MediaEvent::Stale(id),
        SessionEvent::Played => MediaEvent::Played(id),
        SessionEvent::Digit(key) => MediaEvent::Digit(id, key),
    })
}
