//! RTP of all lab parties on one thread: a socket each, one look at all of them every 10 ms.
//!
//! Looking at fixed times costs a system call for each silent socket and none to wait for any, so
//! sixty calls in a debug build take a few per cent of a core, and the pace does not drift: each
//! packet has its own due time and is sent at the first look after it.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

use super::clock::Clock;
use crate::domain::time::{Duration, Mono};
use crate::protocols::audio::clip::Clip;
use crate::protocols::audio::ear;
use crate::protocols::rtp::rtcp;
use crate::protocols::rtp::sender::Identity;
use crate::protocols::rtp::talker::Talker;
use crate::protocols::sdp::MediaParams;
use crate::simulation::dice::Dice;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);
/// Orders that wait for the next look; a look takes all of them.
const ORDERS_MAX: usize = 4_096;
/// Datagrams taken from one socket at one look: 200 ms of a party that caught up.
const BURST_MAX: usize = 10;

/// What a party has heard, in frames of 20 ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeardFrames {
    /// An agent's voice.
    pub agent: u64,
    /// A callee's voice.
    pub customer: u64,
    /// Notes of the abandon message.
    pub chime: u64,
    /// Abandon messages from the first note to the last.
    pub chimes: u64,
    /// A machine's greeting, or anything else.
    pub other: u64,
    /// Nothing to hear.
    pub silent: u64,
    /// RTP packets sent.
    pub sent: u64,
    /// RTP packets that never came.
    pub lost: u64,
}

#[derive(Default)]
struct Counters {
    agent: AtomicU64,
    customer: AtomicU64,
    chime: AtomicU64,
    chimes: AtomicU64,
    other: AtomicU64,
    silent: AtomicU64,
    sent: AtomicU64,
    lost: AtomicU64,
    closed: AtomicBool,
}

/// A party's voice and ear; closing or dropping it silences both.
pub(super) struct Line {
    orders: SyncSender<Order>,
    id: u64,
    counters: Arc<Counters>,
    /// What goes into a session description.
    pub(super) local: SocketAddr,
}

impl Line {
    /// Sends this sound to the party agreed on, over and over.
    pub(super) fn say(&self, params: &MediaParams, clip: Clip) {
        self.order(Order::Talk(self.id, params.clone(), clip));
    }

    /// Says nothing any more, and goes on listening.
    pub(super) fn hush(&self) {
        self.order(Order::Hush(self.id));
    }

    /// What was heard so far; at most one look old.
    pub(super) fn heard(&self) -> HeardFrames {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        HeardFrames {
            agent: read(&counters.agent),
            customer: read(&counters.customer),
            chime: read(&counters.chime),
            chimes: read(&counters.chimes),
            other: read(&counters.other),
            silent: read(&counters.silent),
            sent: read(&counters.sent),
            lost: read(&counters.lost),
        }
    }

    /// An order that finds no room is lost; the thread takes thousands a look, so it stands still
    /// then, and so does every call.
    fn order(&self, order: Order) {
        drop(self.orders.try_send(order));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.counters.closed.store(true, Ordering::Relaxed);
    }
}

enum Order {
    Open(u64, Box<Party>),
    Talk(u64, MediaParams, Clip),
    Hush(u64),
}

/// The thread and its door.
pub(super) struct Media {
    orders: SyncSender<Order>,
    next_id: u64,
    ip: IpAddr,
    seed: u64,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    lines: Arc<Mutex<usize>>,
}

impl Media {
    /// Starts the thread; its sockets are bound to `ip`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(name: &str, ip: IpAddr, seed: u64, clock: Clock) -> io::Result<Self> {
        let (orders, inbox) = sync_channel(ORDERS_MAX);
        let stop = Arc::new(AtomicBool::new(false));
        let lines = Arc::new(Mutex::new(0));
        let (stopped, counted) = (stop.clone(), lines.clone());
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || look_again_and_again(&inbox, &stopped, &counted, &clock))?;
        Ok(Self { orders, next_id: 0, ip, seed, stop, thread: Some(thread), lines })
    }

    /// Lines open at the last look.
    pub(super) fn lines(&self) -> usize {
        *self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line with a port of its own.
    ///
    /// # Errors
    /// The system gives no port.
    pub(super) fn open(&mut self) -> io::Result<Line> {
        const OF_STREAM: u64 = 7;
        let socket = UdpSocket::bind((self.ip, 0))?;
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        let id = self.next_id;
        self.next_id += 1;
        let counters = Arc::new(Counters::default());
        let mut dice = Dice::of(self.seed, &[OF_STREAM, id]);
        let mut random = [0; 10];
        for byte in &mut random {
            *byte = dice.bits().to_be_bytes()[0];
        }
        let party = Party {
            socket,
            counters: counters.clone(),
            identity: Identity::from_dice(random),
            talking: None,
        };
        self.orders
            .try_send(Order::Open(id, Box::new(party)))
            .map_err(|_| io::Error::other("the media thread stands still"))?;
        Ok(Line { orders: self.orders.clone(), id, counters, local })
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic over there was reported by its own thread.
            drop(thread.join());
        }
    }
}

struct Party {
    socket: UdpSocket,
    counters: Arc<Counters>,
    identity: Identity,
    talking: Option<Talking>,
}

struct Talking {
    talker: Talker,
    remote: SocketAddr,
    rtcp: SocketAddr,
    report_due: Mono,
}

fn look_again_and_again(
    inbox: &Receiver<Order>,
    stop: &AtomicBool,
    lines: &Mutex<usize>,
    clock: &Clock,
) {
    let mut parties = std::collections::BTreeMap::<u64, Party>::new();
    let mut next = clock().mono;
    let mut buffer = [0; 2_048];
    while !stop.load(Ordering::Relaxed) {
        loop {
            match inbox.try_recv() {
                Ok(order) => carry_out(&mut parties, order, clock().mono),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        let now = clock().mono;
        parties.retain(|_, party| !party.counters.closed.load(Ordering::Relaxed));
        for party in parties.values_mut() {
            party.look(now, &mut buffer);
        }
        *lines.lock().unwrap_or_else(PoisonError::into_inner) = parties.len();
        next = (next + LOOK).max(clock().mono);
        std::thread::sleep(next.since(clock().mono));
    }
}

fn carry_out(parties: &mut std::collections::BTreeMap<u64, Party>, order: Order, now: Mono) {
    match order {
        Order::Open(id, party) => {
            parties.insert(id, *party);
        }
        Order::Talk(id, params, clip) => {
            if let Some(party) = parties.get_mut(&id) {
                party.talk(now, &params, clip);
            }
        }
        Order::Hush(id) => {
            if let Some(talking) = parties.get_mut(&id).and_then(|party| party.talking.as_mut()) {
                talking.talker.hush();
            }
        }
    }
}

impl Party {
    fn talk(&mut self, now: Mono, params: &MediaParams, clip: Clip) {
        let identity = self.identity;
        let talking = self.talking.get_or_insert_with(|| {
            let next_port = params.remote.port().saturating_add(1);
            Talking {
                talker: Talker::new(now, params.codec, params.payload_type, identity),
                remote: params.remote,
                rtcp: params.rtcp.unwrap_or(SocketAddr::new(params.remote.ip(), next_port)),
                report_due: now + rtcp::INTERVAL,
            }
        });
        talking.talker.say(now, clip);
    }

    /// Hears what came, says what is due.
    fn look(&mut self, now: Mono, buffer: &mut [u8]) {
        let Some(Talking { talker, remote, rtcp, report_due }) = &mut self.talking else {
            return;
        };
        for _ in 0..BURST_MAX {
            let Ok((length, _)) = self.socket.recv_from(buffer) else {
                break;
            };
            let datagram = buffer.get(..length).unwrap_or_default();
            // RFC 5761 §4: reports that come to this port too are told by their type.
            if !matches!(datagram.get(1), Some(192..=223)) {
                talker.handle(now, datagram);
            }
        }
        // What cannot be sent is lost: a far side that is gone answers with ICMP errors.
        while let Some(packet) = talker.poll(now) {
            drop(self.socket.send_to(&packet, *remote));
        }
        if now >= *report_due {
            *report_due = now + rtcp::INTERVAL;
            let report = rtcp::Report {
                ssrc: self.identity.ssrc,
                sent: Some(rtcp::Sent {
                    timestamp: self.identity.timestamp.wrapping_add(talker.sent() * 160),
                    packets: talker.sent(),
                    octets: talker.sent() * 160,
                }),
                reception: None,
                bye: false,
            };
            let mut bytes = Vec::new();
            rtcp::write(now, &report, &mut bytes);
            drop(self.socket.send_to(&bytes, *rtcp));
        }
        self.counters.publish(&talker.heard(), u64::from(talker.sent()), talker.counts().lost);
    }
}

impl Counters {
    fn publish(&self, heard: &ear::Heard, sent: u64, lost: u64) {
        let write = |counter: &AtomicU64, value| counter.store(value, Ordering::Relaxed);
        write(&self.agent, heard.agent);
        write(&self.customer, heard.customer);
        write(&self.chime, heard.chime);
        write(&self.chimes, u64::from(heard.chimes));
        write(&self.other, heard.other);
        write(&self.silent, heard.silent);
        write(&self.sent, sent);
        write(&self.lost, lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Now;
    use crate::lab::clock::starting_at;
    use crate::protocols::audio::tone::Voice;
    use crate::protocols::sdp;

    fn agree(a: &Line, b: &Line) -> (MediaParams, MediaParams) {
        let (answer, of_b) = sdp::answer(&sdp::offer(a.local, 1), b.local).unwrap();
        (sdp::read_answer(&answer).unwrap(), of_b)
    }

    #[test]
    fn sixty_calls_at_once_are_heard_on_both_sides_at_the_right_pace() {
        let clock = starting_at(Now::default());
        let ip = std::net::Ipv4Addr::LOCALHOST.into();
        let mut here = Media::start("here", ip, 1, clock.clone()).unwrap();
        let mut there = Media::start("there", ip, 2, clock.clone()).unwrap();
        let (agent, customer) = (Clip::voice(Voice::Agent), Clip::voice(Voice::Customer));
        let calls: Vec<(Line, Line)> = (0..60)
            .map(|_| {
                let (a, b) = (here.open().unwrap(), there.open().unwrap());
                let (of_a, of_b) = agree(&a, &b);
                a.say(&of_a, agent.clone());
                b.say(&of_b, customer.clone());
                (a, b)
            })
            .collect();
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(here.lines(), 60);
        for (a, b) in &calls {
            // Two seconds are 100 frames; a loaded machine may be late by some.
            assert!((70..=130).contains(&a.heard().sent), "{:?}", a.heard());
            assert!(a.heard().customer > 60 && a.heard().agent == 0, "{:?}", a.heard());
            assert!(b.heard().agent > 60 && b.heard().customer == 0, "{:?}", b.heard());
        }
        drop(calls);
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!((here.lines(), there.lines()), (0, 0));
    }
}
