//! RTCP, RFC 3550 §6: our reports about a leg, and theirs about ours.
//!
//! The only file that names rtcp-types. A compound packet is cut here, and only the three kinds
//! that say something to us are given to that crate: phones send broken descriptions and unknown
//! kinds, and those must not cost us the report beside them.

use rtcp_types::prelude::*;
use rtcp_types::{
    Bye, Compound, ReceiverReport, ReceiverReportBuilder, ReportBlock, ReportBlockBuilder, Sdes,
    SdesChunk, SdesItem, SenderReport, SenderReportBuilder,
};

use super::receiver::{Reception, middle, ntp_time};
use crate::domain::time::{Duration, Mono};

/// The interval of reports: the minimum of RFC 3550 §6.2. Two parties cannot crowd each other, so
/// the randomising of §6.3.1 is left to where each leg's clock begins.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// Kinds of packets in one datagram looked at; three are usual.
const PACKETS_MAX: usize = 16;

/// What we sent, for a sender report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The timestamp of our stream at the moment of the report.
    pub timestamp: u32,
    /// Packets so far.
    pub packets: u32,
    /// Octets of payload so far.
    pub octets: u32,
}

/// One report of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Who we are.
    pub ssrc: u32,
    /// Present if we sent anything since the last report (§6.4).
    pub sent: Option<Sent>,
    /// Present if we heard anything.
    pub reception: Option<Reception>,
    /// This is the last one.
    pub bye: bool,
}

/// What a party said of our stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteReception {
    /// Packets of ours that it misses.
    pub lost: u32,
    /// Of 256 packets, how many were lost since its last report.
    pub fraction_lost: u8,
    /// Jitter it sees, in samples.
    pub jitter: u32,
    /// From our report to theirs and back, where it could be told.
    pub round_trip: Option<Duration>,
}

/// What is worth knowing in one datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Incoming {
    /// A sender report: whose, and its 64-bit time.
    pub sender_report: Option<(u32, u64)>,
    /// A block about our stream.
    pub about_us: Option<RemoteReception>,
    /// The party says it leaves. Only noted: calls end by SIP.
    pub bye: bool,
}

/// Bytes that are no RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RTCP packet")]
pub struct NotRtcp;

/// Writes a compound packet (report, name, perhaps a goodbye) over whatever `out` held.
pub fn write(now: Mono, report: &Report, out: &mut Vec<u8>) {
    // RFC 7022: a name that means nothing outside this call.
    let name = format!("{:08x}@campanile.invalid", report.ssrc);
    let item = SdesItem::builder(SdesItem::CNAME, &name);
    let description = Sdes::builder().add_chunk(SdesChunk::builder(report.ssrc).add_item(item));
    let block = report.reception.map(reception_block);
    let compound = if let Some(sent) = report.sent {
        let packet = SenderReport::builder(report.ssrc)
            .ntp_timestamp(uptime(now))
            .rtp_timestamp(sent.timestamp)
            .packet_count(sent.packets)
            .octet_count(sent.octets);
        Compound::builder()
            .add_packet(block.into_iter().fold(packet, SenderReportBuilder::add_report_block))
    } else {
        let packet = ReceiverReport::builder(report.ssrc);
        Compound::builder()
            .add_packet(block.into_iter().fold(packet, ReceiverReportBuilder::add_report_block))
    };
    let mut compound = compound.add_packet(description);
    if report.bye {
        compound = compound.add_packet(Bye::builder().add_source(report.ssrc));
    }
    out.clear();
    out.resize(compound.calculate_size().unwrap_or(0), 0);
    if compound.write_into(out).is_err() {
        out.clear();
    }
}

/// Reads a datagram; `ssrc` is ours, to find the block about us.
///
/// # Errors
/// [`NotRtcp`] where the first packet is no report, or lengths do not add up (RFC 3550 A.2).
pub fn read(now: Mono, datagram: &[u8], ssrc: u32) -> Result<Incoming, NotRtcp> {
    let mut incoming = Incoming::default();
    let mut rest = datagram;
    for index in 0..PACKETS_MAX {
        let Some((kind, packet, tail)) = next_packet(rest) else {
            return if index > 0 && rest.is_empty() { Ok(incoming) } else { Err(NotRtcp) };
        };
        match kind {
            SenderReport::PACKET_TYPE => {
                let report = SenderReport::parse(packet).map_err(|_| NotRtcp)?;
                incoming.sender_report = Some((report.ssrc(), report.ntp_timestamp()));
                incoming.about_us = about_us(now, report.report_blocks(), ssrc);
            }
            ReceiverReport::PACKET_TYPE => {
                let report = ReceiverReport::parse(packet).map_err(|_| NotRtcp)?;
                incoming.about_us = about_us(now, report.report_blocks(), ssrc);
            }
            _ if index == 0 => return Err(NotRtcp),
            Bye::PACKET_TYPE => incoming.bye = true,
            _ => {}
        }
        rest = tail;
    }
    Ok(incoming)
}

/// Our clock as the NTP time of reports: RFC 3550 §4 allows the time since the system began.
fn uptime(now: Mono) -> u64 {
    ntp_time(now, Mono::ZERO)
}

fn reception_block(reception: Reception) -> ReportBlockBuilder {
    ReportBlock::builder(reception.ssrc)
        .fraction_lost(reception.fraction_lost)
        // A 24-bit signed field in an unsigned setter.
        .cumulative_lost(reception.lost as u32 & 0xff_ffff)
        .extended_sequence_number(reception.highest)
        .interarrival_jitter(reception.jitter)
        .last_sender_report_timestamp(reception.last_report)
        .delay_since_last_sender_report_timestamp(reception.since_report)
}

/// A packet's kind, its bytes and what follows; none where the head or the length is wrong.
fn next_packet(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [flags, kind, high, low] = *bytes.first_chunk()?;
    let length = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
    let (packet, tail) = bytes.split_at_checked(length)?;
    (flags >> 6 == 2).then_some((kind, packet, tail))
}

fn about_us<'a>(
    now: Mono,
    blocks: impl Iterator<Item = ReportBlock<'a>>,
    ssrc: u32,
) -> Option<RemoteReception> {
    let mut ours = blocks.filter(|block| block.ssrc() == ssrc);
    ours.next().map(|block| RemoteReception {
        lost: block.cumulative_lost(),
        fraction_lost: block.fraction_lost(),
        jitter: block.interarrival_jitter(),
        round_trip: round_trip(now, &block),
    })
}

/// RFC 3550 §6.4.1: A - LSR - DLSR, in 1/65,536 s.
fn round_trip(now: Mono, block: &ReportBlock<'_>) -> Option<Duration> {
    let last = block.last_sender_report_timestamp();
    if last == 0 {
        return None;
    }
    let units = middle(uptime(now))
        .wrapping_sub(last)
        .wrapping_sub(block.delay_since_last_sender_report_timestamp());
    // A negative difference wraps: clocks of 1/65,536 s round, and a liar's answer is no answer.
    (units < 0x8000_0000).then(|| Duration::from_secs(units.into()) / 65_536)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RECEPTION: Reception = Reception {
        ssrc: 9,
        fraction_lost: 64,
        lost: -1,
        highest: 0x1_0005,
        jitter: 12,
        last_report: 0,
        since_report: 0,
    };

    fn at(ms: u64) -> Mono {
        Mono::from_micros(ms * 1_000)
    }

    fn written(now: Mono, report: Report) -> Vec<u8> {
        let mut out = vec![1, 2, 3];
        write(now, &report, &mut out);
        out
    }

    #[test]
    fn a_compound_packet_has_report_name_and_goodbye_in_that_order() {
        let sent = Some(Sent { timestamp: 800, packets: 5, octets: 800 });
        let report = Report { ssrc: 7, sent, reception: Some(RECEPTION), bye: true };
        let bytes = written(at(1_500), report);
        let mut kinds = Vec::new();
        let mut rest = &bytes[..];
        while let Some((kind, _, tail)) = next_packet(rest) {
            kinds.push(kind);
            rest = tail;
        }
        assert_eq!((kinds, rest), (vec![200, 202, 203], &[][..]));
        assert_eq!(bytes[8..16], [0, 0, 0, 1, 0x80, 0, 0, 0], "1.5 s as NTP");
        assert_eq!(bytes[33..36], [0xff, 0xff, 0xff], "-1 in 24 bits");
        let incoming = read(at(1_500), &bytes, 9).unwrap();
        assert_eq!(incoming.sender_report, Some((7, 0x1_8000_0000)));
        assert!(incoming.bye);
        let about = incoming.about_us.unwrap();
        assert_eq!((about.fraction_lost, about.jitter, about.round_trip), (64, 12, None));
    }

    #[test]
    fn who_sent_nothing_reports_as_a_receiver() {
        let report = Report { ssrc: 7, sent: None, reception: Some(RECEPTION), bye: false };
        let bytes = written(at(0), report);
        assert_eq!(bytes[1], 201);
        let incoming = read(at(0), &bytes, 9).unwrap();
        assert_eq!(incoming.sender_report, None);
        assert!(incoming.about_us.is_some());
        assert_eq!(read(at(0), &bytes, 8).unwrap().about_us, None, "about someone else");
    }

    #[test]
    fn the_round_trip_is_what_the_other_side_did_not_hold() {
        // Our report of 10 s reached them, they held it for 2 s, and theirs comes at 12.25 s.
        let ours = middle(uptime(at(10_000)));
        let reception = Reception { last_report: ours, since_report: 2 << 16, ..RECEPTION };
        let report = Report { ssrc: 1, sent: None, reception: Some(reception), bye: false };
        let about = read(at(12_250), &written(at(0), report), 9).unwrap().about_us.unwrap();
        assert_eq!(about.round_trip, Some(Duration::from_millis(250)));
    }

    #[test]
    fn a_broken_description_does_not_cost_the_report_beside_it() {
        let report = Report { ssrc: 7, sent: None, reception: Some(RECEPTION), bye: false };
        let mut bytes = written(at(0), report);
        let description = bytes.len() - 4;
        bytes[description..].fill(0xff);
        assert!(read(at(0), &bytes, 9).unwrap().about_us.is_some());
    }

    #[test]
    fn what_does_not_begin_with_a_report_is_refused() {
        assert_eq!(read(at(0), &[], 1), Err(NotRtcp));
        assert_eq!(read(at(0), &[0x81, 203, 0, 1, 0, 0, 0, 1], 1), Err(NotRtcp), "only a BYE");
        assert_eq!(read(at(0), &[0x80, 201, 0, 9, 0, 0, 0, 1], 1), Err(NotRtcp), "cut short");
        assert_eq!(read(at(0), &[0x83, 201, 0, 1, 0, 0, 0, 1], 1), Err(NotRtcp), "blocks missing");
    }

    proptest! {
        #[test]
        fn no_datagram_panics(
            mut datagram in prop::collection::vec(any::<u8>(), 0..120),
            kind in 199u8..206,
            words in 0u8..30,
        ) {
            if let Some(head) = datagram.first_chunk_mut::<4>() {
                *head = [0x80 | (head[0] & 0x3f), kind, 0, words];
            }
            let _ = read(at(0), &datagram, 1);
        }

        #[test]
        fn a_damaged_report_never_panics(at_byte in 0usize..76, byte in any::<u8>()) {
            let sent = Some(Sent { timestamp: 800, packets: 5, octets: 800 });
            let report = Report { ssrc: 7, sent, reception: Some(RECEPTION), bye: true };
            let mut bytes = written(at(0), report);
            let at_byte = at_byte % bytes.len();
            bytes[at_byte] = byte;
            let _ = read(at(0), &bytes, 9);
        }
    }
}
