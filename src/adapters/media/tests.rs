//! The thread with real sockets on loopback: phones that talk, and what they hear.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::ports::{Pair, Ports};
use super::*;
use crate::domain::ids::LegId;
use crate::domain::time::{Duration, Mono};
use crate::protocols::audio::clip::Clip;
use crate::protocols::audio::ear::energy_at;
use crate::protocols::audio::tone::{self, Voice};
use crate::protocols::audio::{FRAME, RATE, g711};
use crate::protocols::rtp::packet;
use crate::protocols::rtp::rtcp::{self, Report};
use crate::protocols::rtp::sender::Identity;
use crate::protocols::rtp::session::LegRole::{Agent, Customer};
use crate::protocols::rtp::talker::Talker;
use crate::protocols::sdp::{Codec, Direction, MediaParams};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How long a condition is waited for on a crowded machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The thread under test, its clock and its events.
struct House {
    handle: MediaHandle,
    events: mpsc::Receiver<MediaEvent>,
    clock: Clock,
}

/// A clock that runs by itself, or one that a test moves.
#[derive(Clone)]
enum Clock {
    Running(std::time::Instant),
    Held(Arc<AtomicU64>),
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "a test of real sockets needs real time")]
    fn running() -> Self {
        Self::Running(std::time::Instant::now())
    }

    fn held() -> Self {
        Self::Held(Arc::default())
    }

    fn now(&self) -> Mono {
        match self {
            Self::Running(start) => Mono::ZERO + start.elapsed(),
            Self::Held(micros) => Mono::from_micros(micros.load(Ordering::SeqCst)),
        }
    }

    fn advance(&self, by: Duration) {
        if let Self::Held(micros) = self {
            micros.fetch_add(u64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
        }
    }
}

impl House {
    fn new(clock: Clock, messages: BTreeMap<String, Clip>) -> Self {
        let config = MediaConfig { address: HERE, advertise: None, ports: 0..=0, messages };
        let (sender, events) = mpsc::channel(1_024);
        let reading = clock.clone();
        let handle = MediaWorker::start(config, Arc::new(move || reading.now()), sender).unwrap();
        Self { handle, events, clock }
    }

    /// Waits for the next event while `phones` go on talking.
    fn event(&mut self, phones: &mut [&mut Phone]) -> MediaEvent {
        let mut event = None;
        talk_until(&self.clock, phones, |_| {
            event = self.events.try_recv().ok();
            event.is_some()
        });
        event.unwrap()
    }

    /// Opens a leg and connects it to a phone that has not spoken yet.
    fn connect(&mut self, leg: LegId, role: LegRole, phone: &mut Phone) {
        phone.peer = Some(self.handle.open(leg, role).unwrap());
        self.handle.connect(leg, phone.params());
        self.settle(leg);
    }

    /// Commands are carried out in order: the answer to this one means all before it were.
    fn settle(&mut self, leg: LegId) {
        self.handle.bridge(leg, leg);
        assert!(matches!(self.event(&mut []), MediaEvent::Failed(failed, _) if failed == leg));
    }

    fn close(&mut self, leg: LegId) -> LegStats {
        self.handle.close(leg);
        loop {
            if let MediaEvent::Closed(closed, stats) = self.event(&mut []) {
                assert_eq!(closed, leg);
                return stats;
            }
        }
    }
}

/// A phone on loopback.
struct Phone {
    pair: Pair,
    codec: Codec,
    talker: Talker,
    /// Where it sends: the address of its leg.
    peer: Option<SocketAddr>,
    /// All it heard.
    samples: Vec<i16>,
    /// RTCP datagrams it got.
    reports: u32,
}

impl Phone {
    fn new(clock: &Clock, codec: Codec, sound: Option<Clip>) -> Self {
        let identity = Identity { ssrc: 0xfeed, sequence: 65_530, timestamp: 0xffff_0000 };
        let mut talker = Talker::new(clock.now(), codec, codec.static_payload_type(), identity);
        if let Some(clip) = sound {
            talker.say(clock.now(), clip);
        }
        let pair = Ports::new(HERE, &(0..=0)).unwrap().open().unwrap();
        Self { pair, codec, talker, peer: None, samples: Vec::new(), reports: 0 }
    }

    fn address(&self) -> SocketAddr {
        self.pair.rtp.local_addr().unwrap()
    }

    fn params(&self) -> MediaParams {
        MediaParams {
            remote: self.address(),
            codec: self.codec,
            payload_type: self.codec.static_payload_type(),
            telephone_event: Some(101),
            direction: Direction::SendRecv,
            rtcp: None,
        }
    }

    /// Sends what is due and takes what has come.
    fn turn(&mut self, now: Mono) {
        while let (Some(packet), Some(peer)) = (self.talker.poll(now), self.peer) {
            self.pair.rtp.send_to(&packet, peer).unwrap();
        }
        let mut buffer = [0; 2_048];
        while let Ok((length, _)) = self.pair.rtp.recv_from(&mut buffer) {
            let packet = packet::read(&buffer[..length]).unwrap();
            let codec = g711::of_static_payload_type(packet.header.payload_type);
            if let Some(codec) = codec {
                self.samples.extend(packet.payload.iter().map(|b| g711::decode(codec, *b)));
            }
            self.talker.handle(now, &buffer[..length]);
        }
        while let Ok((length, _)) = self.pair.rtcp.recv_from(&mut buffer) {
            rtcp::read(now, &buffer[..length], 0xfeed).unwrap();
            self.reports += 1;
        }
    }

    fn rtcp_peer(&self) -> SocketAddr {
        let peer = self.peer.unwrap();
        SocketAddr::new(peer.ip(), peer.port() + 1)
    }
}

/// Lets phones talk until `done`.
#[expect(clippy::disallowed_methods, reason = "a test of real sockets needs real time")]
fn talk_until(
    clock: &Clock,
    phones: &mut [&mut Phone],
    mut done: impl FnMut(&mut [&mut Phone]) -> bool,
) {
    let start = std::time::Instant::now();
    while !done(phones) {
        assert!(start.elapsed() < PATIENCE, "waited in vain");
        for phone in phones.iter_mut() {
            phone.turn(clock.now());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn leg(n: u128) -> LegId {
    LegId::from_uuid(uuid::Uuid::from_u128(n))
}

/// The share of 440 Hz in the loudest second heard, and its level.
fn tone_in(samples: &[i16]) -> (f64, f64) {
    let heard: Vec<i16> = samples.iter().copied().skip_while(|s| s.abs() < 100).collect();
    // Whole periods of 440 Hz: 11 in 200 samples.
    let frame = &heard[..8_000];
    let total: f64 = frame.iter().map(|s| f64::from(*s).powi(2)).sum();
    (energy_at(frame, 440) / total, (total / frame.len() as f64).sqrt())
}

#[test]
fn a_tone_crosses_the_bridge_both_ways_between_two_laws() {
    let mut house = House::new(Clock::running(), BTreeMap::new());
    let tone = Clip::from_samples(&tone::steady(440, RATE));
    let mut agent = Phone::new(&house.clock, Codec::Pcmu, Some(tone.clone()));
    let mut customer = Phone::new(&house.clock, Codec::Pcma, Some(tone));
    house.connect(leg(1), Agent, &mut agent);
    house.connect(leg(2), Customer, &mut customer);
    assert_eq!(house.event(&mut [&mut agent, &mut customer]), MediaEvent::Fresh(leg(1)));
    house.handle.bridge(leg(2), leg(1));
    let bridged = MediaEvent::Bridged { customer: leg(2), agent: leg(1) };
    assert_eq!(house.event(&mut [&mut agent, &mut customer]), bridged);
    agent.samples.clear();
    customer.samples.clear();
    talk_until(&house.clock, &mut [&mut agent, &mut customer], |phones| {
        phones.iter().all(|phone| phone.samples.len() > 12_000)
    });
    for phone in [&agent, &customer] {
        let (share, level) = tone_in(&phone.samples);
        assert!(share > 0.98, "{share}");
        // A steady tone has an amplitude of 8,000.
        assert!((5_400.0..5_900.0).contains(&level), "{level}");
    }
    let stats = house.close(leg(2));
    assert_eq!((stats.received.lost, stats.refused.foreign, stats.unsent), (0, 0, 0));
    assert_eq!((stats.address, stats.latched), (Some(customer.address()), false));
    // The customer has gone; the agent hears silence again.
    agent.samples.clear();
    talk_until(&house.clock, &mut [&mut agent], |phones| {
        phones[0].samples.iter().rev().take(1_600).filter(|s| **s == 0).count() == 1_600
    });
    house.handle.stop();
    assert!(house.handle.open(leg(3), Agent).is_err());
}

#[test]
fn media_follows_a_phone_that_is_not_where_it_was_described() {
    let mut house = House::new(Clock::running(), BTreeMap::new());
    let described = UdpSocket::bind((HERE, 0)).unwrap().local_addr().unwrap();
    let mut phone = Phone::new(&house.clock, Codec::Pcma, Some(Clip::voice(Voice::Customer)));
    phone.peer = Some(house.handle.open(leg(1), Customer).unwrap());
    house.handle.connect(leg(1), MediaParams { remote: described, ..phone.params() });
    talk_until(&house.clock, &mut [&mut phone], |phones| phones[0].talker.counts().packets >= 10);
    // Someone else is not heard, and does not get the call.
    let mut stranger = Phone::new(&house.clock, Codec::Pcma, Some(Clip::voice(Voice::Agent)));
    stranger.peer = phone.peer;
    talk_until(&house.clock, &mut [&mut phone, &mut stranger], |phones| {
        phones[1].talker.sent() >= 10
    });
    let stats = house.close(leg(1));
    assert_eq!((stats.address, stats.latched), (Some(phone.address()), true));
    assert!(stats.refused.foreign >= 9, "{:?}", stats.refused);
    assert_eq!(stranger.talker.counts().packets, 0);
}

#[test]
fn an_agents_phone_is_fresh_until_it_was_silent_for_five_seconds() {
    let mut house = House::new(Clock::held(), BTreeMap::new());
    let mut phone = Phone::new(&house.clock, Codec::Pcmu, Some(Clip::voice(Voice::Agent)));
    house.connect(leg(1), Agent, &mut phone);
    assert_eq!(house.event(&mut [&mut phone]), MediaEvent::Fresh(leg(1)));
    phone.talker.hush();
    house.clock.advance(Duration::from_millis(4_900));
    phone.samples.clear();
    talk_until(&house.clock, &mut [&mut phone], |phones| phones[0].samples.len() > FRAME);
    assert!(house.events.try_recv().is_err(), "not yet");
    house.clock.advance(Duration::from_millis(200));
    assert_eq!(house.event(&mut [&mut phone]), MediaEvent::Stale(leg(1)));

    // A report alone makes it fresh again, for 15 s.
    let report = Report { ssrc: 0xfeed, sent: None, reception: None, bye: false };
    let mut datagram = Vec::new();
    rtcp::write(house.clock.now(), &report, &mut datagram);
    phone.pair.rtcp.send_to(&datagram, phone.rtcp_peer()).unwrap();
    assert_eq!(house.event(&mut [&mut phone]), MediaEvent::Fresh(leg(1)));
    house.clock.advance(Duration::from_secs(15));
    assert_eq!(house.event(&mut [&mut phone]), MediaEvent::Stale(leg(1)));
    assert!(phone.reports >= 1, "and it was sent ours");
}

#[test]
fn a_message_is_heard_to_its_end_and_then_told() {
    let recorded = Clip::from_samples(&tone::steady(440, 320));
    let mut house = House::new(Clock::running(), BTreeMap::from([("a.wav".into(), recorded)]));
    let mut phone = Phone::new(&house.clock, Codec::Pcma, Some(Clip::voice(Voice::Customer)));
    house.connect(leg(1), Customer, &mut phone);
    house.handle.play(leg(1), "a.wav");
    assert_eq!(house.event(&mut [&mut phone]), MediaEvent::Played(leg(1)));
    assert_eq!(phone.talker.heard().chimes, 0);
    house.handle.play(leg(1), "");
    assert_eq!(house.event(&mut [&mut phone]), MediaEvent::Played(leg(1)));
    talk_until(&house.clock, &mut [&mut phone], |phones| phones[0].talker.heard().chimes == 1);
    house.handle.play(leg(1), "absent.wav");
    assert!(
        matches!(house.event(&mut [&mut phone]), MediaEvent::Substituted(id, _) if id == leg(1))
    );
    assert_eq!(house.event(&mut [&mut phone]), MediaEvent::Played(leg(1)), "the built-in one");
    talk_until(&house.clock, &mut [&mut phone], |phones| phones[0].talker.heard().chimes == 2);
}

#[test]
fn a_key_pressed_by_a_customer_is_told() {
    let mut house = House::new(Clock::running(), BTreeMap::new());
    let mut phone = Phone::new(&house.clock, Codec::Pcma, None);
    house.connect(leg(1), Customer, &mut phone);
    let header =
        packet::Header { payload_type: 101, marker: true, sequence: 1, timestamp: 9, ssrc: 5 };
    let mut datagram = Vec::new();
    packet::write(header, &[9, 10, 0, 160], &mut datagram);
    talk_until(&house.clock, &mut [&mut phone], |phones| !phones[0].samples.is_empty());
    phone.pair.rtp.send_to(&datagram, phone.peer.unwrap()).unwrap();
    assert_eq!(house.event(&mut [&mut phone]), MediaEvent::Digit(leg(1), '9'));
}

/// Two seconds of a hundred legs, by a clock that the test moves in steps that are no whole beats,
/// so that every beat is noticed late.
#[test]
fn a_hundred_legs_get_every_frame_and_lateness_never_adds_up() {
    const LEGS: u128 = 100;
    const STEP_MS: u64 = 23;
    const STEPS: u64 = 87;
    let mut house = House::new(Clock::held(), BTreeMap::new());
    let mut phones: Vec<Phone> =
        (0..LEGS).map(|_| Phone::new(&house.clock, Codec::Pcmu, None)).collect();
    for (n, phone) in phones.iter_mut().enumerate() {
        house.connect(leg(n as u128), Customer, phone);
    }
    let mut phones: Vec<&mut Phone> = phones.iter_mut().collect();
    for step in 1..=STEPS {
        house.clock.advance(Duration::from_millis(STEP_MS));
        talk_until(&house.clock, &mut phones, |phones| {
            phones.iter().all(|phone| phone.talker.counts().packets >= step * STEP_MS / 20)
        });
    }
    for (n, phone) in phones.iter().enumerate() {
        let counts = phone.talker.counts();
        assert_eq!((counts.packets, counts.lost, counts.late), (100, 0, 0));
        assert_eq!(house.close(leg(n as u128)).packets_out, 100);
    }
}

#[test]
fn two_seconds_of_real_time_bring_about_a_hundred_frames() {
    let mut house = House::new(Clock::running(), BTreeMap::new());
    let mut phone = Phone::new(&house.clock, Codec::Pcmu, None);
    house.connect(leg(1), Customer, &mut phone);
    let end = house.clock.now() + Duration::from_secs(2);
    let clock = house.clock.clone();
    talk_until(&house.clock, &mut [&mut phone], |_| clock.now() >= end);
    let stats = house.close(leg(1));
    let due = u32::try_from(stats.duration.as_millis() / 20).unwrap();
    assert!(stats.packets_out.abs_diff(due) <= due / 10 + 2, "{} of {due}", stats.packets_out);
}

#[test]
fn commands_for_legs_that_are_not_open_are_told_and_harm_nothing() {
    let mut house = House::new(Clock::running(), BTreeMap::new());
    let mut phone = Phone::new(&house.clock, Codec::Pcmu, None);
    house.connect(leg(1), Agent, &mut phone);
    house.handle.bridge(leg(9), leg(1));
    assert!(matches!(house.event(&mut []), MediaEvent::Failed(id, _) if id == leg(9)));
    house.handle.unbridge(leg(9));
    house.handle.close(leg(9));
    house.handle.open(leg(1), Agent).unwrap();
    assert!(matches!(house.event(&mut []), MediaEvent::Failed(id, _) if id == leg(1)));
    talk_until(&house.clock, &mut [&mut phone], |phones| !phones[0].samples.is_empty());
    house.handle.stop();
    assert!(matches!(house.events.try_recv(), Ok(MediaEvent::Closed(id, _)) if id == leg(1)));
}
