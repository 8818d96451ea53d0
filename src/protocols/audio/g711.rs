//! G.711: the two companding laws to and from linear samples, and each to the other.
//!
//! Linear samples are 16 bits: the 14 (µ-law) and 13 (A-law) significant bits of ITU-T G.711 at
//! the top. All tables are made at compile time from the two pairs of functions at the end.

use crate::protocols::sdp::Codec;

/// Bytes of one law read as bytes of the other.
pub type Transcoding = [u8; 256];

static PCMU_LINEAR: [i16; 256] = linear_table(Codec::Pcmu);
static PCMA_LINEAR: [i16; 256] = linear_table(Codec::Pcma);
static PCMU_TO_PCMA: Transcoding = transcoding_table(Codec::Pcmu, Codec::Pcma);
static PCMA_TO_PCMU: Transcoding = transcoding_table(Codec::Pcma, Codec::Pcmu);

/// The byte that stands for a sample of zero.
pub const fn silence(codec: Codec) -> u8 {
    encode(codec, 0)
}

/// The law of a static payload type (RFC 3551 §6).
pub fn of_static_payload_type(payload_type: u8) -> Option<Codec> {
    [Codec::Pcmu, Codec::Pcma].into_iter().find(|codec| codec.static_payload_type() == payload_type)
}

/// One byte as a linear sample.
#[expect(clippy::indexing_slicing, reason = "a byte cannot index past 256 entries")]
pub fn decode(codec: Codec, byte: u8) -> i16 {
    match codec {
        Codec::Pcmu => PCMU_LINEAR[byte as usize],
        Codec::Pcma => PCMA_LINEAR[byte as usize],
    }
}

/// One linear sample as the nearest byte of the law.
pub const fn encode(codec: Codec, sample: i16) -> u8 {
    match codec {
        Codec::Pcmu => pcmu_from_linear(sample),
        Codec::Pcma => pcma_from_linear(sample),
    }
}

/// The table that turns `from` into `to`; none where the bytes are alike.
pub fn transcoding(from: Codec, to: Codec) -> Option<&'static Transcoding> {
    match (from, to) {
        (Codec::Pcmu, Codec::Pcma) => Some(&PCMU_TO_PCMA),
        (Codec::Pcma, Codec::Pcmu) => Some(&PCMA_TO_PCMU),
        (Codec::Pcmu, Codec::Pcmu) | (Codec::Pcma, Codec::Pcma) => None,
    }
}

/// Transcodes a payload in place.
#[expect(clippy::indexing_slicing, reason = "a byte cannot index past 256 entries")]
pub fn transcode(table: &Transcoding, payload: &mut [u8]) {
    for byte in payload {
        *byte = table[*byte as usize];
    }
}

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "the loop ends at the table's length, 256"
)]
const fn linear_table(codec: Codec) -> [i16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = match codec {
            Codec::Pcmu => linear_from_pcmu(byte as u8),
            Codec::Pcma => linear_from_pcma(byte as u8),
        };
        byte += 1;
    }
    table
}

#[expect(clippy::indexing_slicing, reason = "the loop ends at the table's length")]
const fn transcoding_table(from: Codec, to: Codec) -> Transcoding {
    let linear = linear_table(from);
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = encode(to, linear[byte]);
        byte += 1;
    }
    table
}

/// G.711 table 2a: eight segments, each of 16 steps twice as wide as those of the one before.
/// The bias of 33 (132 in 16 bits) makes every segment begin at a power of two.
const fn linear_from_pcmu(byte: u8) -> i16 {
    const BIAS: i16 = 132;
    let code = !byte;
    let segment = (code >> 4) & 7;
    let magnitude = ((((code & 15) as i16) << 3) + BIAS) << segment;
    if code & 0x80 == 0 { magnitude - BIAS } else { BIAS - magnitude }
}

#[expect(clippy::cast_possible_truncation, reason = "a segment is below 8, a step below 16")]
const fn pcmu_from_linear(sample: i16) -> u8 {
    const BIAS: u32 = 33;
    /// The largest magnitude that stays inside the last segment once the bias is added.
    const CLIP: u32 = 8_191 - BIAS;
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = (sample.unsigned_abs() as u32) >> 2;
    let biased = if magnitude > CLIP { CLIP + BIAS } else { magnitude + BIAS };
    let segment = biased.ilog2() - 5;
    let step = (biased >> (segment + 1)) & 15;
    !(sign | ((segment as u8) << 4) | step as u8)
}

/// G.711 table 1a: as above, but the first two segments have steps of one width, and even bits are
/// inverted on the line.
const fn linear_from_pcma(byte: u8) -> i16 {
    let code = byte ^ 0x55;
    let segment = (code >> 4) & 7;
    let step = (((code & 15) as i16) << 4) + 8;
    let magnitude = if segment == 0 { step } else { (step + 0x100) << (segment - 1) };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

#[expect(clippy::cast_possible_truncation, reason = "a segment is below 8, a step below 16")]
const fn pcma_from_linear(sample: i16) -> u8 {
    // A-law has no zero: +0 and -0 are half a step away on either side, so `!` mirrors the scale.
    let (sign, level) = if sample < 0 { (0, !sample) } else { (0x80, sample) };
    let magnitude = (level as u32) >> 3;
    let (segment, step) = if magnitude < 32 {
        (0, magnitude >> 1)
    } else {
        let segment = magnitude.ilog2() - 4;
        (segment, (magnitude >> segment) & 15)
    };
    (sign | ((segment as u8) << 4) | step as u8) ^ 0x55
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOTH: [Codec; 2] = [Codec::Pcmu, Codec::Pcma];

    #[test]
    fn the_corners_of_both_laws_are_those_of_the_standard() {
        assert_eq!(
            [0x00, 0x80, 0x7f, 0xff].map(|b| decode(Codec::Pcmu, b)),
            [-32_124, 32_124, 0, 0]
        );
        assert_eq!(
            [0x2a, 0xaa, 0x55, 0xd5].map(|b| decode(Codec::Pcma, b)),
            [-32_256, 32_256, -8, 8]
        );
        assert_eq!((silence(Codec::Pcmu), silence(Codec::Pcma)), (0xff, 0xd5));
    }

    #[test]
    fn every_byte_comes_back_from_linear() {
        for codec in BOTH {
            for byte in 0..=255 {
                let back = encode(codec, decode(codec, byte));
                // µ-law has two zeros; both are written as the positive one.
                let want = if codec == Codec::Pcmu && byte == 0x7f { 0xff } else { byte };
                assert_eq!(back, want, "{codec:?} {byte:#04x}");
            }
        }
    }

    #[test]
    fn transcoding_there_and_back_stays_within_a_step() {
        let there = transcoding(Codec::Pcmu, Codec::Pcma).unwrap();
        let back = transcoding(Codec::Pcma, Codec::Pcmu).unwrap();
        assert!(transcoding(Codec::Pcma, Codec::Pcma).is_none());
        for byte in 0..=255_u8 {
            let mut payload = [byte];
            transcode(there, &mut payload);
            transcode(back, &mut payload);
            let before = i32::from(decode(Codec::Pcmu, byte));
            let after = i32::from(decode(Codec::Pcmu, payload[0]));
            assert!((before - after).abs() <= before.abs() / 16 + 16, "{before} became {after}");
        }
    }

    proptest! {
        #[test]
        fn no_sample_moves_by_more_than_half_a_step(sample in any::<i16>()) {
            for codec in BOTH {
                let back = i32::from(decode(codec, encode(codec, sample)));
                let sample = i32::from(sample);
                // The widest step is 1/16 of the segment's start; beyond the last segment is clipped.
                let allowed = if sample.abs() > 32_000 { 700 } else { sample.abs() / 32 + 16 };
                prop_assert!((back - sample).abs() <= allowed, "{codec:?}: {sample} became {back}");
            }
        }
    }
}
