//! What one incoming RTP stream tells of itself: loss, order, duplicates, jitter, restarts.
//!
//! RFC 3550 appendices A.1 (sequence numbers), A.3 (loss) and A.8 (jitter). The probation of A.1 is
//! left out: the source is known from the session description, and latching has chosen it.

use crate::domain::time::{Duration, Mono};
use crate::protocols::audio::RATE;
use crate::protocols::rtp::packet::Header;

/// A.1: a jump ahead by this much (a minute at 50 packets a second) is a restart, not loss.
const DROPOUT_MAX: u16 = 3_000;
/// A.1: a packet this far behind is late; one further behind is a restart.
const MISORDER_MAX: u16 = 100;

/// What a packet is to its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The newest so far.
    New,
    /// Overtaken by others on the way.
    Late,
    /// Seen before.
    Duplicate,
    /// Far from the others. Not to be used: if the next one follows it, the stream has restarted.
    Stray,
    /// The first of a new stream: numbers have nothing to do with those before.
    Restarted,
}

/// One reception report, RFC 3550 §6.4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reception {
    /// Whose stream it is about.
    pub ssrc: u32,
    /// Of 256 packets expected since the last report, how many were lost.
    pub fraction_lost: u8,
    /// Expected less received over the stream's life; below zero when there were duplicates.
    pub lost: i32,
    /// The highest sequence number, with its wraps above it.
    pub highest: u32,
    /// Interarrival jitter in samples.
    pub jitter: u32,
    /// The middle 32 bits of the last sender report's time; 0 before one came.
    pub last_report: u32,
    /// Time since that report, in 1/65,536 s.
    pub since_report: u32,
}

/// The counts of the whole leg, over all restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Packets taken, duplicates included.
    pub packets: u64,
    /// Octets of payload in them.
    pub octets: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came after a later one.
    pub late: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Times the stream began anew.
    pub restarts: u32,
}

/// The numbers of the stream in progress.
#[derive(Debug)]
struct Stream {
    ssrc: u32,
    first: u32,
    /// Highest sequence number, wraps in the upper half.
    highest: u32,
    /// Which of the 128 numbers up to `highest` were seen; bit 0 is `highest` itself.
    seen: u128,
    received: u32,
    duplicates: u32,
    /// The number that would prove a restart.
    restart: Option<u16>,
    /// A.8's transit time of the packet before, and the jitter times 16.
    transit: Option<u32>,
    jitter: u32,
    /// Expected and received at the last report.
    reported: (u32, u32),
    sender_report: Option<(u32, Mono)>,
}

/// One incoming stream.
#[derive(Debug, Default)]
pub struct Receiver {
    stream: Option<Stream>,
    /// Finished streams, and of the one in progress what needs no computing.
    counts: Counts,
}

impl Receiver {
    /// A receiver that has heard nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a packet. `clocked` is false for telephone events, whose timestamps stand still
    /// (RFC 4733 §2.2) and would look like jitter.
    pub fn handle(&mut self, now: Mono, header: Header, octets: usize, clocked: bool) -> Arrival {
        let arrival = match &mut self.stream {
            Some(stream) if stream.ssrc == header.ssrc => stream.place(header.sequence),
            Some(_) => Arrival::Restarted,
            None => Arrival::New,
        };
        match arrival {
            Arrival::Stray => return arrival,
            Arrival::Restarted => {
                self.counts.lost += self.stream.as_ref().map_or(0, Stream::missing);
                self.counts.restarts += 1;
                self.stream = Some(Stream::new(header));
            }
            Arrival::New if self.stream.is_none() => self.stream = Some(Stream::new(header)),
            Arrival::New => {}
            Arrival::Late => self.counts.late += 1,
            Arrival::Duplicate => self.counts.duplicates += 1,
        }
        self.counts.packets += 1;
        self.counts.octets += octets as u64;
        if let (Some(stream), true) = (&mut self.stream, clocked) {
            stream.measure_jitter(now, header.timestamp);
        }
        arrival
    }

    /// Notes a sender report, so that ours can say how long ago it came. `ntp` is its 64-bit time.
    pub fn handle_sender_report(&mut self, now: Mono, ssrc: u32, ntp: u64) {
        if let Some(stream) = self.stream.as_mut().filter(|stream| stream.ssrc == ssrc) {
            stream.sender_report = Some((middle(ntp), now));
        }
    }

    /// The report since the last call; none before the first packet.
    pub fn report(&mut self, now: Mono) -> Option<Reception> {
        self.stream.as_mut().map(|stream| stream.report(now))
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        let missing = self.stream.as_ref().map_or(0, Stream::missing);
        Counts { lost: self.counts.lost + missing, ..self.counts }
    }

    /// The interarrival jitter of the stream in progress.
    pub fn jitter(&self) -> Duration {
        let samples = self.stream.as_ref().map_or(0, |stream| stream.jitter >> 4);
        Duration::from_secs(samples.into()) / RATE
    }
}

impl Stream {
    fn new(header: Header) -> Self {
        let first = header.sequence.into();
        Self {
            ssrc: header.ssrc,
            first,
            highest: first,
            seen: 1,
            received: 1,
            duplicates: 0,
            restart: None,
            transit: None,
            jitter: 0,
            reported: (0, 0),
            sender_report: None,
        }
    }

    /// A.1, told apart further by a window of what was seen.
    fn place(&mut self, sequence: u16) -> Arrival {
        #[expect(clippy::cast_possible_truncation, reason = "the number without its wraps")]
        let ahead = sequence.wrapping_sub(self.highest as u16);
        let behind = ahead.wrapping_neg();
        let arrival = match (ahead, behind) {
            (1..DROPOUT_MAX, _) => {
                self.highest = self.highest.wrapping_add(ahead.into());
                self.seen = self.seen.checked_shl(ahead.into()).unwrap_or(0) | 1;
                Arrival::New
            }
            (_, 0..=MISORDER_MAX) => {
                let bit = 1 << behind;
                let again = self.seen & bit != 0;
                self.seen |= bit;
                if again { Arrival::Duplicate } else { Arrival::Late }
            }
            _ if self.restart == Some(sequence) => return Arrival::Restarted,
            _ => {
                self.restart = Some(sequence.wrapping_add(1));
                return Arrival::Stray;
            }
        };
        self.restart = None;
        self.received = self.received.wrapping_add(1);
        self.duplicates = self.duplicates.wrapping_add((arrival == Arrival::Duplicate).into());
        arrival
    }

    fn expected(&self) -> u32 {
        self.highest.wrapping_sub(self.first).wrapping_add(1)
    }

    fn missing(&self) -> u64 {
        // A late packet from before the first is received but was never expected.
        self.expected().saturating_sub(self.received.wrapping_sub(self.duplicates)).into()
    }

    /// A.8 in integers: J += |D| - J/16, kept times 16.
    fn measure_jitter(&mut self, now: Mono, timestamp: u32) {
        #[expect(clippy::cast_possible_truncation, reason = "RTP timestamps wrap at 32 bits")]
        let arrived = (u128::from(now.as_micros()) * u128::from(RATE) / 1_000_000) as u32;
        let transit = arrived.wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let difference = (transit.wrapping_sub(before) as i32).unsigned_abs();
            // A second or more is a jump of the sender's clock, which says nothing of the network.
            if difference < RATE {
                self.jitter = self.jitter + difference - ((self.jitter + 8) >> 4);
            }
        }
    }

    /// A.3.
    fn report(&mut self, now: Mono) -> Reception {
        const LOST_MAX: i32 = 0x7f_ffff;
        let (expected, received) = (self.expected(), self.received);
        let expected_since = expected.wrapping_sub(self.reported.0);
        let received_since = received.wrapping_sub(self.reported.1);
        self.reported = (expected, received);
        let lost_since = u64::from(expected_since.saturating_sub(received_since));
        let fraction = (lost_since << 8).checked_div(expected_since.into()).unwrap_or(0);
        let (last_report, since_report) =
            self.sender_report.map_or((0, 0), |(ntp, at)| (ntp, middle(ntp_time(now, at))));
        Reception {
            ssrc: self.ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            lost: (expected.wrapping_sub(received) as i32).clamp(-LOST_MAX - 1, LOST_MAX),
            highest: self.highest,
            jitter: self.jitter >> 4,
            last_report,
            since_report,
        }
    }
}

/// Time between two moments as 64-bit NTP: seconds above, their fraction below.
pub fn ntp_time(now: Mono, earlier: Mono) -> u64 {
    let passed = now.since(earlier);
    let fraction = (u64::from(passed.subsec_nanos()) << 32) / 1_000_000_000;
    (passed.as_secs() << 32) | fraction
}

/// The middle 32 bits of an NTP time: 1/65,536 s, wrapping every 18 hours.
#[expect(clippy::cast_possible_truncation, reason = "RFC 3550 §4 keeps the middle 32 of 64 bits")]
pub const fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(sequence: u16) -> Header {
        let timestamp = 160 * u32::from(sequence);
        Header { payload_type: 0, marker: false, sequence, timestamp, ssrc: 5 }
    }

    fn feed(receiver: &mut Receiver, sequences: &[u16]) -> Vec<Arrival> {
        let take = |sequence: &u16| receiver.handle(Mono::ZERO, header(*sequence), 160, false);
        sequences.iter().map(take).collect()
    }

    #[test]
    fn loss_lateness_and_duplicates_are_told_apart_across_the_wrap() {
        use Arrival::{Duplicate, Late, New};
        let mut receiver = Receiver::new();
        let arrivals = feed(&mut receiver, &[0xfffe, 0, 0xffff, 0, 3, 0xffff]);
        assert_eq!(arrivals, [New, New, Late, Duplicate, New, Duplicate]);
        let want = Counts { packets: 6, octets: 960, lost: 2, late: 1, duplicates: 2, restarts: 0 };
        assert_eq!(receiver.counts(), want);
    }

    #[test]
    fn a_report_tells_the_loss_since_the_one_before() {
        let mut receiver = Receiver::new();
        assert_eq!(receiver.report(Mono::ZERO), None);
        feed(&mut receiver, &[1, 2, 3, 4, 7, 8]);
        let report = receiver.report(Mono::ZERO).unwrap();
        assert_eq!((report.ssrc, report.lost, report.highest), (5, 2, 8));
        assert_eq!(report.fraction_lost, 64, "two of eight");
        feed(&mut receiver, &[9, 10]);
        let report = receiver.report(Mono::ZERO).unwrap();
        assert_eq!((report.lost, report.fraction_lost), (2, 0));
    }

    #[test]
    fn duplicates_make_the_reported_loss_negative_but_hide_no_counted_loss() {
        let mut receiver = Receiver::new();
        feed(&mut receiver, &[1, 2, 2, 2, 4]);
        assert_eq!(receiver.report(Mono::ZERO).unwrap().lost, -1);
        assert_eq!(receiver.counts().lost, 1);
    }

    #[test]
    fn one_stray_number_changes_nothing_and_two_in_order_restart() {
        let mut receiver = Receiver::new();
        feed(&mut receiver, &[10, 12]);
        assert_eq!(feed(&mut receiver, &[40_000, 13]), [Arrival::Stray, Arrival::New]);
        let arrivals = feed(&mut receiver, &[50_000, 50_001, 50_002]);
        assert_eq!(arrivals, [Arrival::Stray, Arrival::Restarted, Arrival::New]);
        let counts = receiver.counts();
        assert_eq!((counts.lost, counts.restarts), (1, 1), "loss before a restart is kept");
    }

    #[test]
    fn another_source_restarts_at_once() {
        let mut receiver = Receiver::new();
        feed(&mut receiver, &[10]);
        let other = Header { ssrc: 6, ..header(10) };
        assert_eq!(receiver.handle(Mono::ZERO, other, 160, true), Arrival::Restarted);
        assert_eq!(receiver.report(Mono::ZERO).unwrap().ssrc, 6);
    }

    #[test]
    fn jitter_approaches_the_mean_difference_of_transit_times() {
        let mut receiver = Receiver::new();
        // Every second packet is 8 ms late: each transit differs from the one before by 64 samples.
        for n in 0..200_u16 {
            let sent = 20_000 * u64::from(n);
            let at = Mono::from_micros(sent + 8_000 * u64::from(n % 2));
            receiver.handle(at, header(n), 160, true);
        }
        let jitter = receiver.jitter().as_micros();
        assert!((7_500..=8_000).contains(&jitter), "{jitter} us");
    }

    #[test]
    fn telephone_events_and_clock_jumps_add_no_jitter() {
        let mut receiver = Receiver::new();
        for n in 0..50_u16 {
            let at = Mono::from_micros(20_000 * u64::from(n));
            let event = n % 3 == 0;
            let timestamp = if event { 0 } else { 160 * u32::from(n) + u32::from(n / 25) * 90_000 };
            receiver.handle(at, Header { timestamp, ..header(n) }, 160, !event);
        }
        assert_eq!(receiver.jitter(), Duration::ZERO);
    }

    #[test]
    fn a_report_says_how_long_ago_the_senders_own_came() {
        let mut receiver = Receiver::new();
        feed(&mut receiver, &[1]);
        receiver.handle_sender_report(Mono::from_micros(1_000_000), 5, 0x1111_2222_3333_4444);
        receiver.handle_sender_report(Mono::from_micros(1_200_000), 6, 1);
        let report = receiver.report(Mono::from_micros(1_500_000)).unwrap();
        assert_eq!(report.last_report, 0x2222_3333);
        assert_eq!(report.since_report, 32_768, "half a second in 1/65,536 s");
    }

    proptest! {
        /// In whatever order packets come, each number is New or Late once, and expected numbers
        /// are received or lost.
        #[test]
        fn every_expected_number_is_received_or_lost(
            steps in prop::collection::vec((0u16..4, 0u16..40), 1..200)
        ) {
            let mut receiver = Receiver::new();
            let mut newest = 65_500_u16;
            let mut seen = std::collections::BTreeSet::from([newest]);
            feed(&mut receiver, &[newest]);
            let first = newest;
            for (ahead, back) in steps {
                newest = newest.wrapping_add(ahead);
                // Never from before the first packet.
                let back = back.min(newest.wrapping_sub(first));
                let sequence = newest.wrapping_sub(back);
                let arrival = feed(&mut receiver, &[sequence])[0];
                let fresh = seen.insert(sequence);
                prop_assert_eq!(arrival == Arrival::Duplicate, !fresh);
            }
            let highest = seen.iter().map(|s| s.wrapping_sub(first)).max().unwrap();
            let expected = u64::from(highest) + 1;
            prop_assert_eq!(receiver.counts().lost, expected - seen.len() as u64);
        }
    }
}
