//! The media of one leg: what it is sent, whose packets it takes, what they say of it.
//!
//! Pure: the owner brings datagrams and a beat of 20 ms, and sends what it gets back.
//!
//! ```text
//!                    connect                  bridge
//! Opened (refuses) ──────────► Alone (silence) ◄────► Bridged (the other leg's packets)
//!                                 │      unbridge          │
//!                                 └────────► Playing ◄─────┘  a message, then as before
//! ```

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::dtmf::KeyReader;
use super::freshness::{Change, Freshness};
use super::latch::Latch;
use super::packet::{self, HEADER_LEN, Header};
use super::receiver::{Arrival, Receiver};
use super::rtcp::{self, RemoteReception, Report, Sent};
use super::sender::{Identity, Sender};
use super::stats::{LegStats, Refused};
use crate::domain::time::{Duration, Mono};
use crate::protocols::audio::clip::Clip;
use crate::protocols::audio::{FRAME, g711};
use crate::protocols::sdp::{Codec, MediaParams};

/// The longest voice packet taken, 120 ms; nobody sends more than 60.
const AUDIO_PAYLOAD_MAX: usize = 6 * FRAME;
/// Packets taken from a leg in a second: four times the rate of 20 ms, twice that of 10 ms.
const PACKETS_PER_SECOND_MAX: u32 = 200;
/// A bridged leg that gets nothing from the other for this long is sent silence until it does, so
/// that NATs stay open and nobody takes the call for dead. Long enough that loss looks like loss.
const FILL_AFTER: Duration = Duration::from_secs(1);
/// Comfort noise (RFC 3389): a sign of life, never relayed.
const COMFORT_NOISE: u8 = 13;

static PCMU_SILENCE: [u8; FRAME] = [g711::silence(Codec::Pcmu); FRAME];
static PCMA_SILENCE: [u8; FRAME] = [g711::silence(Codec::Pcma); FRAME];

/// Whose leg it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegRole {
    /// The person called.
    Customer,
    /// The person at our desk, on a line that stays up.
    Agent,
}

/// What a session has to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEvent {
    /// An agent's phone is heard: for the first time, or again.
    Fresh,
    /// An agent's phone is not heard any more.
    Stale,
    /// The last packet of a message was sent.
    Played,
    /// A key was pressed.
    Digit(char),
}

/// What a packet carries, to be relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Audio(Codec),
    Event,
}

/// A packet taken from one leg, ready for another.
#[derive(Debug, Clone, Copy)]
pub struct Relayable<'a> {
    header: Header,
    content: Content,
    payload: &'a [u8],
    restarted: bool,
}

/// The other side, as the answer described it.
#[derive(Debug)]
struct Remote {
    params: MediaParams,
    latch: Latch,
    /// Where its RTCP came from, which is where ours goes (symmetric, RFC 4961).
    rtcp_from: Option<SocketAddr>,
}

/// The media of one leg.
#[derive(Debug)]
pub struct Session {
    role: LegRole,
    opened_at: Mono,
    remote: Option<Remote>,
    bridged: bool,
    playing: Option<(Clip, usize)>,
    sender: Sender,
    receiver: Receiver,
    keys: KeyReader,
    freshness: Freshness,
    /// The second in progress and its packets.
    rate: (Mono, u32),
    report_at: Mono,
    packets_reported: u32,
    about_us: Option<RemoteReception>,
    digits: u32,
    refused: Refused,
    unsent: u64,
    /// At most two for each input; the owner drains it after each.
    events: VecDeque<SessionEvent>,
}

impl Session {
    /// A leg with ports and without a remote side: it sends nothing and takes nothing.
    pub fn new(now: Mono, role: LegRole, identity: Identity) -> Self {
        // The first report comes after half an interval (RFC 3550 §6.2); the random spread keeps
        // legs that were opened together apart.
        let spread = Duration::from_millis(u64::from(identity.ssrc % 1_000));
        Self {
            role,
            opened_at: now,
            remote: None,
            bridged: false,
            playing: None,
            sender: Sender::new(identity),
            receiver: Receiver::new(),
            keys: KeyReader::new(),
            freshness: Freshness::new(),
            rate: (now, 0),
            report_at: now + rtcp::INTERVAL / 2 + spread,
            packets_reported: 0,
            about_us: None,
            digits: 0,
            refused: Refused::default(),
            unsent: 0,
            events: VecDeque::new(),
        }
    }

    /// The answer came: media flows from here on. A second answer (a new description inside the
    /// dialog) opens the latch anew only where it names another address.
    pub fn connect(&mut self, now: Mono, params: MediaParams) {
        match &mut self.remote {
            Some(remote) if remote.params.remote == params.remote => remote.params = params,
            Some(_) | None => {
                let latch = Latch::new(now, params.remote);
                self.remote = Some(Remote { params, latch, rtcp_from: None });
            }
        }
    }

    /// From here on it is sent another leg's packets.
    pub fn bridge(&mut self) {
        self.bridged = true;
        self.sender.change_source();
    }

    /// Back to silence.
    pub fn unbridge(&mut self) {
        self.bridged = false;
        self.sender.change_source();
    }

    /// Plays a message from its beginning, over whatever else it would be sent. One that is still
    /// playing is cut short, and its end is not told.
    pub fn play(&mut self, clip: Clip) {
        self.playing = Some((clip, 0));
    }

    /// Takes a datagram from the RTP port; what should go on to a bridged leg is given back.
    pub fn handle_rtp<'a>(
        &mut self,
        now: Mono,
        from: SocketAddr,
        datagram: &'a [u8],
    ) -> Option<Relayable<'a>> {
        let Some(remote) = &mut self.remote else {
            self.refused.early += 1;
            return None;
        };
        let Ok(packet) = packet::read(datagram) else {
            self.refused.broken += 1;
            return None;
        };
        let header = packet.header;
        let content = remote.content(header.payload_type);
        if !remote.latch.admits(now, from, content.is_some()) {
            self.refused.foreign += 1;
            return None;
        }
        if self.floods(now) {
            self.refused.flood += 1;
            return None;
        }
        let change = self.freshness.handle_rtp(now);
        self.tell(change);
        let Some(content) = content else {
            self.refused.unknown += u64::from(header.payload_type != COMFORT_NOISE);
            return None;
        };
        if packet.payload.is_empty() || packet.payload.len() > AUDIO_PAYLOAD_MAX {
            self.refused.broken += 1;
            return None;
        }
        let clocked = matches!(content, Content::Audio(_));
        let arrival = self.receiver.handle(now, header, packet.payload.len(), clocked);
        match arrival {
            Arrival::Stray => {
                self.refused.stray += 1;
                return None;
            }
            Arrival::Duplicate => return None,
            Arrival::Restarted => self.keys = KeyReader::new(),
            Arrival::New | Arrival::Late => {}
        }
        if content == Content::Event {
            self.read_key(header.timestamp, packet.payload);
        }
        let restarted = arrival == Arrival::Restarted;
        Some(Relayable { header, content, payload: packet.payload, restarted })
    }

    /// Writes another leg's packet as one of this leg's stream, in its codec, and says where to
    /// send it. None where it must not go: a message is playing, or the phone takes no keys.
    pub fn relay(
        &mut self,
        now: Mono,
        packet: &Relayable<'_>,
        out: &mut Vec<u8>,
    ) -> Option<SocketAddr> {
        let remote = self.remote.as_ref()?;
        let target = remote.media_target()?;
        if !self.bridged || self.playing.is_some() {
            return None;
        }
        let payload_type = match packet.content {
            Content::Audio(_) => remote.params.payload_type,
            Content::Event => remote.params.telephone_event?,
        };
        if packet.restarted {
            self.sender.change_source();
        }
        if !self.sender.relay(now, packet.header, payload_type, packet.payload, out) {
            return None;
        }
        if let Content::Audio(codec) = packet.content
            && let Some(table) = g711::transcoding(codec, remote.params.codec)
        {
            g711::transcode(table, out.get_mut(HEADER_LEN..).unwrap_or_default());
        }
        Some(target)
    }

    /// Takes a datagram from the RTCP port.
    pub fn handle_rtcp(&mut self, now: Mono, from: SocketAddr, datagram: &[u8]) {
        let Some(remote) = &mut self.remote else {
            self.refused.early += 1;
            return;
        };
        let described = remote.params.rtcp.map(|address| address.ip());
        if from.ip() != remote.latch.address().ip() && Some(from.ip()) != described {
            self.refused.foreign += 1;
            return;
        }
        let Ok(incoming) = rtcp::read(now, datagram, self.sender.ssrc()) else {
            self.refused.broken += 1;
            return;
        };
        remote.rtcp_from = Some(from);
        if self.floods(now) {
            self.refused.flood += 1;
            return;
        }
        if let Some((ssrc, ntp)) = incoming.sender_report {
            self.receiver.handle_sender_report(now, ssrc, ntp);
        }
        if let Some(about) = incoming.about_us {
            let round_trip = about.round_trip.or(self.about_us.and_then(|last| last.round_trip));
            self.about_us = Some(RemoteReception { round_trip, ..about });
        }
        let change = self.freshness.handle_rtcp(now);
        self.tell(change);
    }

    /// Writes the frame of our own that is due at `due`, if one is, and says where to send it.
    /// To be called once for every 20 ms, late rather than never.
    pub fn poll_frame(&mut self, due: Mono, out: &mut Vec<u8>) -> Option<SocketAddr> {
        let remote = self.remote.as_ref()?;
        let target = remote.media_target();
        let MediaParams { codec, payload_type, .. } = remote.params;
        if let Some((clip, next)) = &mut self.playing {
            // A message runs on while the other side holds us: its end ends the call.
            if let (Some(frame), Some(_)) = (clip.frame(codec, *next), target) {
                self.sender.own(due, payload_type, frame, out);
            }
            *next += 1;
            if *next >= clip.frames() {
                self.playing = None;
                self.events.push_back(SessionEvent::Played);
            }
            return target;
        }
        let target = target?;
        let quiet = self.sender.sent_at().is_none_or(|at| due.since(at) >= FILL_AFTER);
        if self.bridged && !self.sender.is_own() && !quiet {
            return None;
        }
        let silence = match codec {
            Codec::Pcmu => &PCMU_SILENCE,
            Codec::Pcma => &PCMA_SILENCE,
        };
        self.sender.own(due, payload_type, silence, out);
        Some(target)
    }

    /// Notices what time alone has changed. To be called with every beat.
    pub fn handle_timeout(&mut self, now: Mono) {
        let change = self.freshness.handle_timeout(now);
        self.tell(change);
    }

    /// Writes our report if it is due, and says where to send it.
    pub fn poll_report(&mut self, now: Mono, out: &mut Vec<u8>) -> Option<SocketAddr> {
        if now < self.report_at {
            return None;
        }
        self.report_at = now + rtcp::INTERVAL;
        self.write_report(now, false, out)
    }

    /// Writes the last report with a goodbye, and says where to send it.
    pub fn farewell(&mut self, now: Mono, out: &mut Vec<u8>) -> Option<SocketAddr> {
        self.write_report(now, true, out)
    }

    /// What there is to tell.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// A packet written here could not be sent.
    pub fn count_unsent(&mut self) {
        self.unsent += 1;
    }

    /// The accounts so far.
    pub fn stats(&self, now: Mono) -> LegStats {
        LegStats {
            duration: now.since(self.opened_at),
            packets_out: self.sender.packets(),
            octets_out: self.sender.octets(),
            received: self.receiver.counts(),
            jitter: self.receiver.jitter(),
            unsent: self.unsent,
            refused: self.refused,
            remote: self.about_us,
            digits: self.digits,
            address: self.remote.as_ref().map(|remote| remote.latch.address()),
            latched: self.remote.as_ref().is_some_and(|remote| remote.latch.moved()),
        }
    }

    /// Counts a packet against its second.
    fn floods(&mut self, now: Mono) -> bool {
        let (since, packets) = self.rate;
        let over = now.since(since) >= Duration::from_secs(1);
        self.rate = if over { (now, 1) } else { (since, packets.saturating_add(1)) };
        self.rate.1 > PACKETS_PER_SECOND_MAX
    }

    fn read_key(&mut self, timestamp: u32, payload: &[u8]) {
        if let Some(key) = self.keys.handle(timestamp, payload) {
            self.digits = self.digits.saturating_add(1);
            self.events.push_back(SessionEvent::Digit(key));
        }
    }

    /// Only an agent's phone is relied upon; a customer hangs up by SIP.
    fn tell(&mut self, change: Option<Change>) {
        match (self.role, change) {
            (LegRole::Agent, Some(Change::Fresh)) => self.events.push_back(SessionEvent::Fresh),
            (LegRole::Agent, Some(Change::Stale)) => self.events.push_back(SessionEvent::Stale),
            (LegRole::Agent, None) | (LegRole::Customer, _) => {}
        }
    }

    fn write_report(&mut self, now: Mono, bye: bool, out: &mut Vec<u8>) -> Option<SocketAddr> {
        let target = self.remote.as_ref()?.rtcp_target()?;
        let packets = self.sender.packets();
        let active = std::mem::replace(&mut self.packets_reported, packets) != packets;
        let report = Report {
            ssrc: self.sender.ssrc(),
            sent: active.then(|| Sent {
                timestamp: self.sender.timestamp_at(now),
                packets,
                octets: self.sender.octets(),
            }),
            reception: self.receiver.report(now),
            bye,
        };
        rtcp::write(now, &report, out);
        Some(target)
    }
}

impl Remote {
    /// What a payload type carries. Both laws are taken by their static numbers, whichever was
    /// agreed on: an answer with two codecs lets a phone change between them (RFC 3264 §5.1).
    fn content(&self, payload_type: u8) -> Option<Content> {
        let MediaParams { codec, payload_type: agreed, telephone_event, .. } = self.params;
        match payload_type {
            speech if speech == agreed => Some(Content::Audio(codec)),
            event if Some(event) == telephone_event => Some(Content::Event),
            other => g711::of_static_payload_type(other).map(Content::Audio),
        }
    }

    /// Where voice goes; none while the other side holds us (RFC 3264 §8.4).
    fn media_target(&self) -> Option<SocketAddr> {
        self.latch.target().filter(|_| self.params.direction.sends())
    }

    /// Where its RTCP came from; else where it was described, while the media is where it was
    /// described; else the port above the media's (RFC 3550 §11).
    fn rtcp_target(&self) -> Option<SocketAddr> {
        let media = self.latch.target()?;
        let above = || media.port().checked_add(1).map(|port| SocketAddr::new(media.ip(), port));
        let described = self.params.rtcp.filter(|_| !self.latch.moved());
        self.rtcp_from.or(described).or_else(above)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocols::rtp::dtmf::TelephoneEvent;
    use crate::protocols::sdp::Direction;

    const OURS: Identity = Identity { ssrc: 7, sequence: 100, timestamp: 5_000 };

    fn at(ms: u64) -> Mono {
        Mono::from_micros(ms * 1_000)
    }

    fn phone(n: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], 4_000))
    }

    fn params(n: u8, codec: Codec) -> MediaParams {
        MediaParams {
            remote: phone(n),
            codec,
            payload_type: codec.static_payload_type(),
            telephone_event: Some(96 + n),
            direction: Direction::SendRecv,
            rtcp: None,
        }
    }

    fn connected(role: LegRole, n: u8, codec: Codec) -> Session {
        let mut session = Session::new(at(0), role, OURS);
        session.connect(at(0), params(n, codec));
        session
    }

    fn datagram(payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let header = Header { payload_type, marker: false, sequence, timestamp, ssrc: 77 };
        let mut out = Vec::new();
        packet::write(header, payload, &mut out);
        out
    }

    fn events(session: &mut Session) -> Vec<SessionEvent> {
        std::iter::from_fn(|| session.poll_event()).collect()
    }

    #[test]
    fn a_leg_without_an_answer_takes_and_sends_nothing() {
        let mut session = Session::new(at(0), LegRole::Agent, OURS);
        let packet = datagram(0, 1, 0, &[1; 160]);
        assert!(session.handle_rtp(at(1), phone(1), &packet).is_none());
        session.handle_rtcp(at(1), phone(1), &packet);
        let mut out = Vec::new();
        assert_eq!(session.poll_frame(at(20), &mut out), None);
        assert_eq!(session.poll_report(at(9_000), &mut out), None);
        assert_eq!(session.stats(at(20)).refused, Refused { early: 2, ..Refused::default() });
        assert_eq!(events(&mut session), []);
    }

    #[test]
    fn alone_it_is_sent_silence_in_its_own_law() {
        for (codec, silence) in [(Codec::Pcmu, 0xff), (Codec::Pcma, 0xd5)] {
            let mut session = connected(LegRole::Customer, 1, codec);
            let mut out = Vec::new();
            assert_eq!(session.poll_frame(at(20), &mut out), Some(phone(1)));
            let packet = packet::read(&out).unwrap();
            assert_eq!(packet.header.payload_type, codec.static_payload_type());
            assert_eq!(packet.payload, [silence; FRAME]);
        }
    }

    #[test]
    fn a_bridged_packet_goes_on_at_once_in_the_others_law_and_numbers() {
        let mut agent = connected(LegRole::Agent, 1, Codec::Pcmu);
        let mut customer = connected(LegRole::Customer, 2, Codec::Pcma);
        customer.bridge();
        let mut out = Vec::new();
        let voice = datagram(0, 1, 0, &[0x80; 160]);
        let taken = agent.handle_rtp(at(30), phone(1), &voice).unwrap();
        assert_eq!(customer.relay(at(30), &taken, &mut out), Some(phone(2)));
        let packet = packet::read(&out).unwrap();
        assert_eq!((packet.header.payload_type, packet.header.ssrc), (8, OURS.ssrc));
        let loudest = g711::decode(Codec::Pcma, packet.payload[0]);
        assert!(loudest > 31_000, "{loudest}");
        assert_eq!(customer.poll_frame(at(40), &mut out), None, "nothing of ours in between");
        customer.unbridge();
        assert_eq!(customer.poll_frame(at(60), &mut out), Some(phone(2)));
    }

    #[test]
    fn keys_are_told_once_and_passed_on_with_the_others_payload_type() {
        let mut agent = connected(LegRole::Agent, 1, Codec::Pcmu);
        let mut customer = connected(LegRole::Customer, 2, Codec::Pcmu);
        agent.bridge();
        let mut out = Vec::new();
        for n in 0..4_u16 {
            let event = TelephoneEvent { code: 7, end: n > 1, volume: 10, duration: 160 * n };
            let packet = datagram(98, 10 + n, 900, &event.to_bytes());
            let taken = customer.handle_rtp(at(20), phone(2), &packet).unwrap();
            assert_eq!(agent.relay(at(20), &taken, &mut out), Some(phone(1)));
            let sent = packet::read(&out).unwrap();
            assert_eq!((sent.header.payload_type, sent.payload), (97, &event.to_bytes()[..]));
        }
        assert_eq!(events(&mut customer), [SessionEvent::Digit('7')]);
        assert_eq!(customer.stats(at(20)).digits, 1);

        let no_keys = MediaParams { telephone_event: None, ..params(1, Codec::Pcmu) };
        agent.connect(at(30), no_keys);
        let packet = datagram(98, 14, 1_900, &[1, 0, 0, 160]);
        let taken = customer.handle_rtp(at(30), phone(2), &packet).unwrap();
        assert_eq!(agent.relay(at(30), &taken, &mut out), None, "the phone takes no keys");
    }

    #[test]
    fn a_message_is_played_over_the_bridge_and_its_end_is_told() {
        let mut agent = connected(LegRole::Agent, 1, Codec::Pcmu);
        let mut customer = connected(LegRole::Customer, 2, Codec::Pcmu);
        customer.bridge();
        customer.play(Clip::from_samples(&[8_000; 2 * FRAME]));
        let mut out = Vec::new();
        let voice = datagram(0, 1, 0, &[0x80; 160]);
        let taken = agent.handle_rtp(at(10), phone(1), &voice).unwrap();
        assert_eq!(customer.relay(at(10), &taken, &mut out), None);
        assert!(customer.poll_frame(at(20), &mut out).is_some());
        assert_eq!(events(&mut customer), []);
        assert!(customer.poll_frame(at(40), &mut out).is_some());
        assert_eq!(packet::read(&out).unwrap().payload, [g711::encode(Codec::Pcmu, 8_000); FRAME]);
        assert_eq!(events(&mut customer), [SessionEvent::Played]);
        assert!(customer.relay(at(50), &taken, &mut out).is_some(), "and then as before");
    }

    #[test]
    fn a_held_leg_is_sent_nothing_and_its_message_still_ends() {
        let mut session = connected(LegRole::Customer, 1, Codec::Pcmu);
        let held = MediaParams { direction: Direction::RecvOnly, ..params(1, Codec::Pcmu) };
        session.connect(at(10), held);
        session.play(Clip::from_samples(&[1; FRAME]));
        let mut out = Vec::new();
        assert_eq!(session.poll_frame(at(20), &mut out), None);
        assert_eq!(events(&mut session), [SessionEvent::Played]);
        assert_eq!(session.stats(at(20)).packets_out, 0);
    }

    #[test]
    fn a_silent_source_is_filled_with_silence_after_a_second() {
        let mut agent = connected(LegRole::Agent, 1, Codec::Pcmu);
        let mut customer = connected(LegRole::Customer, 2, Codec::Pcmu);
        customer.bridge();
        let mut out = Vec::new();
        let first = datagram(0, 1, 0, &[1; 160]);
        let taken = agent.handle_rtp(at(0), phone(1), &first).unwrap();
        assert!(customer.relay(at(0), &taken, &mut out).is_some());
        assert_eq!(customer.poll_frame(at(980), &mut out), None);
        assert!(customer.poll_frame(at(1_000), &mut out).is_some());
        assert!(customer.poll_frame(at(1_020), &mut out).is_some());
        let next = datagram(0, 2, 8_320, &[1; 160]);
        let taken = agent.handle_rtp(at(1_040), phone(1), &next).unwrap();
        assert!(customer.relay(at(1_040), &taken, &mut out).is_some());
        assert_eq!(customer.poll_frame(at(1_040), &mut out), None);
    }

    #[test]
    fn only_an_agents_freshness_is_told() {
        let voice = datagram(0, 1, 0, &[1; 160]);
        let mut agent = connected(LegRole::Agent, 1, Codec::Pcmu);
        agent.handle_rtp(at(0), phone(1), &voice);
        agent.handle_timeout(at(5_000));
        assert_eq!(events(&mut agent), [SessionEvent::Fresh, SessionEvent::Stale]);
        let mut customer = connected(LegRole::Customer, 1, Codec::Pcmu);
        customer.handle_rtp(at(0), phone(1), &voice);
        customer.handle_timeout(at(5_000));
        assert_eq!(events(&mut customer), []);
    }

    #[test]
    fn reports_go_both_ways_every_five_seconds_and_keep_a_silent_phone_fresh() {
        let mut ours = connected(LegRole::Agent, 1, Codec::Pcmu);
        let mut theirs = Session::new(at(0), LegRole::Customer, Identity { ssrc: 8, ..OURS });
        theirs.connect(at(0), params(9, Codec::Pcmu));
        let mut out = Vec::new();
        let mut reports = 0;
        for ms in (0..60_000).step_by(20) {
            if ours.poll_frame(at(ms), &mut out).is_some() {
                theirs.handle_rtp(at(ms), phone(9), &out);
            }
            if let Some(to) = ours.poll_report(at(ms), &mut out) {
                assert_eq!(to, SocketAddr::new(phone(1).ip(), 4_001), "one port above");
                theirs.handle_rtcp(at(ms), SocketAddr::new(phone(9).ip(), 9), &out);
            }
            if theirs.poll_report(at(ms), &mut out).is_some() {
                reports += 1;
                ours.handle_rtcp(at(ms), SocketAddr::new(phone(1).ip(), 4_001), &out);
            }
            ours.handle_timeout(at(ms));
        }
        assert_eq!(reports, 12);
        assert_eq!(events(&mut ours), [SessionEvent::Fresh], "by its reports alone");
        let remote = ours.stats(at(60_000)).remote.unwrap();
        assert_eq!(remote.lost, 0);
        assert!(remote.round_trip.unwrap() < Duration::from_millis(1));
    }

    #[test]
    fn strangers_floods_and_broken_packets_are_counted_apart() {
        let mut session = connected(LegRole::Customer, 1, Codec::Pcmu);
        let voice = |n: u16| datagram(0, n, 160 * u32::from(n), &[1; 160]);
        assert!(session.handle_rtp(at(0), phone(1), &voice(0)).is_some());
        session.handle_rtp(at(0), phone(2), &voice(1));
        session.handle_rtp(at(0), phone(1), b"garbage");
        session.handle_rtp(at(0), phone(1), &datagram(33, 1, 0, &[1; 160]));
        session.handle_rtp(at(0), phone(1), &datagram(0, 1, 0, &[1; 1_000]));
        session.handle_rtp(at(0), phone(1), &voice(30_000));
        session.handle_rtcp(at(0), phone(2), &[0; 8]);
        session.handle_rtcp(at(0), phone(1), &[0; 8]);
        let want = Refused { early: 0, broken: 3, foreign: 2, unknown: 1, flood: 0, stray: 1 };
        assert_eq!(session.stats(at(0)).refused, want);
        for n in 1..=1_000 {
            session.handle_rtp(at(10), phone(1), &voice(n));
        }
        let taken = 1_004 - u64::from(PACKETS_PER_SECOND_MAX);
        assert_eq!(session.stats(at(10)).refused.flood, taken);
        assert!(session.handle_rtp(at(1_000), phone(1), &voice(1_001)).is_some());
    }

    proptest! {
        /// Nothing that comes from outside panics, whoever sends it and on whichever port.
        #[test]
        fn no_datagram_panics(
            datagrams in prop::collection::vec(
                (any::<bool>(), 0u8..4, prop::collection::vec(any::<u8>(), 0..64), any::<bool>()),
                0..40,
            )
        ) {
            let mut session = connected(LegRole::Agent, 1, Codec::Pcma);
            let mut other = connected(LegRole::Customer, 2, Codec::Pcmu);
            other.bridge();
            let mut out = Vec::new();
            for (n, (rtp, from, mut bytes, well_formed)) in datagrams.into_iter().enumerate() {
                let now = at(n as u64 * 20);
                if let (true, Some(head)) = (well_formed, bytes.first_chunk_mut::<2>()) {
                    *head = if rtp { [0x80, head[1] % 128] } else { [0x80, 200 + head[1] % 4] };
                }
                if rtp {
                    if let Some(taken) = session.handle_rtp(now, phone(from), &bytes) {
                        other.relay(now, &taken, &mut out);
                    }
                } else {
                    session.handle_rtcp(now, phone(from), &bytes);
                }
                session.poll_frame(now, &mut out);
                session.poll_report(now, &mut out);
            }
        }
    }
}
