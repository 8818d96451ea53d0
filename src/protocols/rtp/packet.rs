//! RTP packets, RFC 3550 §5.1. The only file that names rtp-rs.

use std::ops::RangeInclusive;

use rtp_rs::{RtpPacketBuilder, RtpReader, Seq};

/// A header without contributing sources or extension, which is all we ever write.
pub const HEADER_LEN: usize = 12;
/// The largest packet read or written: an Ethernet frame's worth. Voice needs 172 bytes at 20 ms.
pub const PACKET_MAX: usize = 1_500;

/// RFC 3551 §6 reserves these payload types: seen as RTP, RTCP packets have them.
const RTCP_LOOKALIKES: RangeInclusive<u8> = 72..=76;

/// The fields of a header that we look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the payload is, as the session description numbers it; 0 to 127.
    pub payload_type: u8,
    /// For audio, the first packet after a silence (RFC 3551 §4.1).
    pub marker: bool,
    /// Counts packets.
    pub sequence: u16,
    /// Counts samples, 8,000 a second.
    pub timestamp: u32,
    /// Who sends.
    pub ssrc: u32,
}

/// A packet as it lies in a receive buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The fixed header.
    pub header: Header,
    /// What it carries, without padding.
    pub payload: &'a [u8],
}

/// Bytes that are no RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RTP packet")]
pub struct NotRtp;

/// Reads a datagram; contributing sources and extension are skipped.
///
/// # Errors
/// [`NotRtp`] where the version, a length or the padding is wrong, and for RTCP on the wrong port.
pub fn read(datagram: &[u8]) -> Result<Packet<'_>, NotRtp> {
    if datagram.len() > PACKET_MAX {
        return Err(NotRtp);
    }
    let reader = RtpReader::new(datagram).map_err(|_| NotRtp)?;
    if RTCP_LOOKALIKES.contains(&reader.payload_type()) {
        return Err(NotRtp);
    }
    let header = Header {
        payload_type: reader.payload_type(),
        marker: reader.mark(),
        sequence: reader.sequence_number().into(),
        timestamp: reader.timestamp(),
        ssrc: reader.ssrc(),
    };
    Ok(Packet { header, payload: reader.payload() })
}

/// Writes a packet over whatever `out` held. A payload that would not fit leaves `out` empty.
pub fn write(header: Header, payload: &[u8], out: &mut Vec<u8>) {
    let packet = RtpPacketBuilder::new()
        .payload_type(header.payload_type & 0x7f)
        .marked(header.marker)
        .sequence(Seq::from(header.sequence))
        .timestamp(header.timestamp)
        .ssrc(header.ssrc)
        .payload(payload);
    out.clear();
    out.resize(packet.target_length().min(PACKET_MAX), 0);
    if packet.build_into(out).is_err() {
        out.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> impl Strategy<Value = Header> {
        (
            (0u8..128).prop_filter("RTCP", |n| !RTCP_LOOKALIKES.contains(n)),
            any::<bool>(),
            any::<u16>(),
            any::<u32>(),
            any::<u32>(),
        )
            .prop_map(|(payload_type, marker, sequence, timestamp, ssrc)| Header {
                payload_type,
                marker,
                sequence,
                timestamp,
                ssrc,
            })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            header in header(),
            payload in prop::collection::vec(any::<u8>(), 0..=PACKET_MAX - HEADER_LEN),
        ) {
            let mut out = vec![7; 3];
            write(header, &payload, &mut out);
            prop_assert_eq!(read(&out), Ok(Packet { header, payload: &payload }));
        }

        #[test]
        fn no_datagram_panics(mut datagram in prop::collection::vec(any::<u8>(), 0..200), version in any::<bool>()) {
            if let (true, Some(first)) = (version, datagram.first_mut()) {
                *first = 0x80 | (*first & 0x3f);
            }
            let _ = read(&datagram);
        }
    }

    #[test]
    fn sources_extension_and_padding_are_no_payload() {
        let mut datagram = vec![0xb1, 0x08, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        datagram.extend([0, 0, 0, 9]); // one contributing source
        datagram.extend([0xbe, 0xde, 0, 1, 1, 2, 3, 4]); // an extension of one word
        datagram.extend([0x55, 0x66, 0, 2]); // two bytes of payload, two of padding
        let packet = read(&datagram).unwrap();
        assert_eq!(packet.payload, [0x55, 0x66]);
        assert_eq!((packet.header.sequence, packet.header.ssrc), (1, 3));
    }

    #[test]
    fn rtcp_on_the_wrong_port_is_no_rtp() {
        let receiver_report = [0x81, 201, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0];
        assert_eq!(read(&receiver_report), Err(NotRtp));
    }

    #[test]
    fn a_packet_too_large_is_neither_written_nor_read() {
        let header = Header { payload_type: 0, marker: false, sequence: 0, timestamp: 0, ssrc: 0 };
        let mut out = vec![7];
        write(header, &[0; PACKET_MAX], &mut out);
        assert!(out.is_empty());
        let mut long = vec![0x80; PACKET_MAX + 1];
        long[1] = 0;
        assert_eq!(read(&long), Err(NotRtp));
    }
}
