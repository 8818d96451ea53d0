//! One outgoing RTP stream that never breaks, whatever feeds it.
//!
//! A leg hears silence, then a message or another leg, then perhaps a third. For its phone all of
//! it is one stream: one SSRC, sequence numbers without a gap of our making, timestamps that
//! follow the clock, and the marker bit where a new source begins (RFC 3550 §5.1, RFC 3551 §4.1).
//!
//! ```text
//!             own frame                 packet of another leg
//! Begun ─────────────────► Own ◄──────────────────────────► Relaying
//!                           every crossing rebases and marks
//! ```

use super::packet::{self, Header};
use crate::domain::time::Mono;
use crate::protocols::audio::RATE;

/// How far timestamps step from one frame of 20 ms to the next.
const FRAME_STEP: u32 = RATE / 50;

/// The random beginnings of a stream (RFC 3550 §5.1): who sends, and from where counting starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Who sends.
    pub ssrc: u32,
    /// Sequence number of the first packet.
    pub sequence: u16,
    /// Timestamp of the first packet.
    pub timestamp: u32,
}

impl Identity {
    /// From ten random bytes.
    #[expect(clippy::many_single_char_names, reason = "ten dice that make three numbers")]
    pub const fn from_dice([a, b, c, d, e, f, g, h, i, j]: [u8; 10]) -> Self {
        Self {
            ssrc: u32::from_be_bytes([a, b, c, d]),
            sequence: u16::from_be_bytes([e, f]),
            timestamp: u32::from_be_bytes([g, h, i, j]),
        }
    }
}

/// What feeds the stream.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// Nothing was sent yet.
    Begun,
    /// Frames made here: silence, a message.
    Own,
    /// Another leg's packets, with what must be added to their numbers.
    Relaying { sequence_offset: u16, timestamp_offset: u32, highest: u16, span: u16 },
}

/// One outgoing stream.
#[derive(Debug)]
pub struct Sender {
    ssrc: u32,
    source: Source,
    /// Of the packet sent last in order, or before the first one, one step before it.
    sequence: u16,
    timestamp: u32,
    sent_at: Option<Mono>,
    packets: u32,
    octets: u32,
}

impl Sender {
    /// A stream that has sent nothing.
    pub fn new(identity: Identity) -> Self {
        Self {
            ssrc: identity.ssrc,
            source: Source::Begun,
            sequence: identity.sequence.wrapping_sub(1),
            timestamp: identity.timestamp.wrapping_sub(FRAME_STEP),
            sent_at: None,
            packets: 0,
            octets: 0,
        }
    }

    /// Writes a frame of our own into `out`. `now` is the moment the frame is due, so that frames
    /// sent late keep their timestamps.
    pub fn own(&mut self, now: Mono, payload_type: u8, payload: &[u8], out: &mut Vec<u8>) {
        let marker = !matches!(self.source, Source::Own);
        self.source = Source::Own;
        self.step(now);
        self.write(self.header(payload_type, marker), payload, out);
    }

    /// Writes a packet of another leg into `out` under our own numbers; its distance to the packets
    /// before it (loss, order, silence) is kept. False, and nothing written, for a packet that was
    /// sent before this source began: its numbers were given away already.
    pub fn relay(
        &mut self,
        now: Mono,
        incoming: Header,
        payload_type: u8,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        let Source::Relaying { sequence_offset, timestamp_offset, highest, span } = self.source
        else {
            self.begin_relaying(now, incoming);
            self.write(self.header(payload_type, true), payload, out);
            return true;
        };
        let ahead = incoming.sequence.wrapping_sub(highest);
        let header = Header {
            payload_type,
            marker: incoming.marker,
            sequence: incoming.sequence.wrapping_add(sequence_offset),
            timestamp: incoming.timestamp.wrapping_add(timestamp_offset),
            ssrc: self.ssrc,
        };
        if ahead < 0x8000 {
            self.source = Source::Relaying {
                sequence_offset,
                timestamp_offset,
                highest: incoming.sequence,
                span: span.saturating_add(ahead),
            };
            self.sequence = header.sequence;
            self.timestamp = header.timestamp;
            self.sent_at = Some(now);
        } else if ahead.wrapping_neg() > span {
            return false;
        }
        self.write(header, payload, out);
        true
    }

    /// The next packet, of whatever source, begins anew: it is rebased and marked.
    pub fn change_source(&mut self) {
        self.source = Source::Begun;
    }

    /// Whether the last packet was a frame of our own.
    pub fn is_own(&self) -> bool {
        matches!(self.source, Source::Own)
    }

    /// Who we are in this stream.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Packets sent, for reports.
    pub fn packets(&self) -> u32 {
        self.packets
    }

    /// Octets of payload sent, for reports.
    pub fn octets(&self) -> u32 {
        self.octets
    }

    /// When the last packet in order was sent.
    pub fn sent_at(&self) -> Option<Mono> {
        self.sent_at
    }

    /// The timestamp a sample taken at `now` would have (RFC 3550 §6.4.1, for sender reports).
    pub fn timestamp_at(&self, now: Mono) -> u32 {
        let since = self.sent_at.map_or(0, |at| samples(now, at));
        self.timestamp.wrapping_add(since)
    }

    fn begin_relaying(&mut self, now: Mono, incoming: Header) {
        self.step(now);
        self.source = Source::Relaying {
            sequence_offset: self.sequence.wrapping_sub(incoming.sequence),
            timestamp_offset: self.timestamp.wrapping_sub(incoming.timestamp),
            highest: incoming.sequence,
            span: 0,
        };
    }

    /// The next sequence number, and the timestamp of `now`, at least one frame on.
    fn step(&mut self, now: Mono) {
        let passed = self.sent_at.map_or(0, |at| samples(now, at));
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(passed.max(FRAME_STEP));
        self.sent_at = Some(now);
    }

    fn header(&self, payload_type: u8, marker: bool) -> Header {
        let Self { ssrc, sequence, timestamp, .. } = *self;
        Header { payload_type, marker, sequence, timestamp, ssrc }
    }

    fn write(&mut self, header: Header, payload: &[u8], out: &mut Vec<u8>) {
        packet::write(header, payload, out);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(u32::try_from(payload.len()).unwrap_or(0));
    }
}

/// Samples between two moments, modulo 2^32 as timestamps are.
#[expect(clippy::cast_possible_truncation, reason = "RTP timestamps wrap at 32 bits")]
fn samples(now: Mono, earlier: Mono) -> u32 {
    (now.since(earlier).as_micros() * u128::from(RATE) / 1_000_000) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::time::Duration;

    const OURS: Identity = Identity { ssrc: 7, sequence: 0xffff, timestamp: 0xffff_ff00 };

    fn at(ms: u64) -> Mono {
        Mono::ZERO + Duration::from_millis(ms)
    }

    fn theirs(sequence: u16, timestamp: u32) -> Header {
        Header { payload_type: 8, marker: false, sequence, timestamp, ssrc: 99 }
    }

    fn own(sender: &mut Sender, now: Mono) -> Header {
        let mut out = Vec::new();
        sender.own(now, 0, &[0xff; 160], &mut out);
        packet::read(&out).unwrap().header
    }

    fn relay(sender: &mut Sender, now: Mono, incoming: Header) -> Option<Header> {
        let mut out = Vec::new();
        let sent = sender.relay(now, incoming, 0, &[1; 160], &mut out);
        assert_eq!(sent, !out.is_empty());
        sent.then(|| packet::read(&out).unwrap().header)
    }

    #[test]
    fn own_frames_count_up_and_only_the_first_is_marked() {
        let mut sender = Sender::new(OURS);
        let sent = [0, 20, 40].map(|ms| own(&mut sender, at(ms)));
        assert_eq!(sent.map(|h| h.sequence), [0xffff, 0, 1]);
        assert_eq!(sent.map(|h| h.timestamp), [0xffff_ff00, 0xffff_ffa0, 0x40]);
        assert_eq!(sent.map(|h| h.marker), [true, false, false]);
        assert_eq!((sender.packets(), sender.octets()), (3, 480));
    }

    #[test]
    fn a_change_of_source_goes_on_from_the_last_packet_by_the_clock() {
        let mut sender = Sender::new(OURS);
        own(&mut sender, at(0));
        let first = relay(&mut sender, at(25), theirs(500, 90_000)).unwrap();
        assert_eq!((first.sequence, first.ssrc, first.marker), (0, 7, true));
        assert_eq!(first.timestamp, OURS.timestamp.wrapping_add(200), "25 ms are 200 samples");
        let second = relay(&mut sender, at(45), theirs(501, 90_160)).unwrap();
        assert_eq!((second.sequence, second.marker), (1, false));
        assert_eq!(second.timestamp, first.timestamp.wrapping_add(160));
        let back = own(&mut sender, at(46));
        assert_eq!((back.sequence, back.marker), (2, true));
        assert_eq!(back.timestamp, second.timestamp.wrapping_add(160), "never less than a frame");
    }

    #[test]
    fn loss_order_and_silence_of_the_other_leg_stay_visible() {
        let mut sender = Sender::new(OURS);
        let base = relay(&mut sender, at(0), theirs(10, 1_000)).unwrap();
        let lost_one = relay(&mut sender, at(40), theirs(12, 1_320)).unwrap();
        assert_eq!(lost_one.sequence, base.sequence.wrapping_add(2));
        let late = relay(&mut sender, at(41), theirs(11, 1_160)).unwrap();
        assert_eq!(late.sequence, base.sequence.wrapping_add(1));
        assert_eq!(late.timestamp, base.timestamp.wrapping_add(160));
        let after_silence = Header { marker: true, ..theirs(13, 9_320) };
        let resumed = relay(&mut sender, at(1_041), after_silence).unwrap();
        assert_eq!(resumed.timestamp, base.timestamp.wrapping_add(8_320));
        assert!(resumed.marker);
    }

    #[test]
    fn a_packet_from_before_the_switch_is_not_sent() {
        let mut sender = Sender::new(OURS);
        own(&mut sender, at(0));
        relay(&mut sender, at(20), theirs(10, 1_000)).unwrap();
        assert_eq!(relay(&mut sender, at(21), theirs(9, 840)), None);
        assert!(relay(&mut sender, at(40), theirs(11, 1_160)).is_some());
        assert_eq!(sender.packets(), 3);
    }

    proptest! {
        /// Whatever feeds the stream and however sources change, a receiver sees each sequence
        /// number once and no gap that a source did not have.
        #[test]
        fn sequence_numbers_never_break(
            feeds in prop::collection::vec((0u8..3, any::<u16>(), any::<u32>()), 1..60)
        ) {
            let mut sender = Sender::new(OURS);
            let mut expected = OURS.sequence;
            let mut now = Mono::ZERO;
            for (feed, sequence, timestamp) in feeds {
                if feed == 0 {
                    prop_assert_eq!(own(&mut sender, now).sequence, expected);
                    expected = expected.wrapping_add(1);
                } else {
                    sender.change_source();
                    for n in 0..u16::from(feed) {
                        let incoming = theirs(
                            sequence.wrapping_add(n),
                            timestamp.wrapping_add(160 * u32::from(n)),
                        );
                        let sent = relay(&mut sender, now, incoming).unwrap();
                        prop_assert_eq!(sent.sequence, expected);
                        prop_assert_eq!(sent.marker, n == 0);
                        expected = expected.wrapping_add(1);
                    }
                }
                now += Duration::from_millis(20);
            }
        }
    }
}
