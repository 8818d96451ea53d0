//! WAV files: 8 kHz mono, 16-bit PCM or G.711, read into linear samples.
//!
//! Nothing is resampled or mixed: a telephone message that is not 8 kHz mono was made for
//! something else, and the error says how to make it fit.

use super::{RATE, g711};
use crate::protocols::sdp::Codec;

/// Two minutes: longer than any message played to a person who waits, shorter than a mistake.
pub const SECONDS_MAX: usize = 120;

/// Why a file is no message we can play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WavError {
    /// No RIFF/WAVE header at the beginning.
    #[error("not a WAV file")]
    NotWav,
    /// No `fmt ` chunk before the samples, or one too short.
    #[error("the WAV file does not say its format")]
    NoFormat,
    /// No `data` chunk, or an empty one.
    #[error("the WAV file holds no samples")]
    NoSamples,
    /// A format that is not played.
    #[error(
        "the WAV file has format {format}, {channels} channel(s), {rate} Hz, {bits} bits; wanted \
         is 8000 Hz mono in 16-bit PCM (1), A-law (6) or mu-law (7)"
    )]
    Unsupported {
        /// `wFormatTag` of the file.
        format: u16,
        /// Interleaved channels.
        channels: u16,
        /// Samples in a second.
        rate: u32,
        /// Bits in a sample.
        bits: u16,
    },
    /// More than [`SECONDS_MAX`].
    #[error("the message lasts longer than {SECONDS_MAX} s")]
    TooLong,
}

#[derive(Clone, Copy)]
enum Coding {
    Linear,
    Companded(Codec),
}

/// Reads a whole file.
///
/// # Errors
/// [`WavError`], as its variants say.
pub fn read(file: &[u8]) -> Result<Vec<i16>, WavError> {
    let mut chunks = match file.split_at_checked(12) {
        Some((head, rest)) if head.starts_with(b"RIFF") && head.ends_with(b"WAVE") => rest,
        Some(_) | None => return Err(WavError::NotWav),
    };
    let mut coding = None;
    while let Some((name, body, rest)) = next_chunk(chunks) {
        match name {
            b"fmt " => coding = Some(read_format(body)?),
            b"data" => return samples(coding.ok_or(WavError::NoFormat)?, body),
            _ => {}
        }
        chunks = rest;
    }
    Err(if coding.is_none() { WavError::NoFormat } else { WavError::NoSamples })
}

/// A chunk's name and body, and what follows it. A body cut short is taken as far as it goes:
/// programs that write to a pipe leave a size that was never mended.
fn next_chunk(bytes: &[u8]) -> Option<(&[u8; 4], &[u8], &[u8])> {
    let (name, rest) = bytes.split_first_chunk::<4>()?;
    let (size, rest) = rest.split_first_chunk::<4>()?;
    let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
    let body = rest.get(..size).unwrap_or(rest);
    // Chunks begin at even offsets.
    let rest = rest.get(size.next_multiple_of(2)..).unwrap_or_default();
    Some((name, body, rest))
}

fn read_format(body: &[u8]) -> Result<Coding, WavError> {
    const EXTENSIBLE: u16 = 0xfffe;
    let u16_at = |at: usize| {
        body.get(at..)
            .and_then(|tail| tail.first_chunk::<2>())
            .map(|bytes| u16::from_le_bytes(*bytes))
            .ok_or(WavError::NoFormat)
    };
    let mut format = u16_at(0)?;
    if format == EXTENSIBLE {
        // The true format is the head of the sub-format's GUID.
        format = u16_at(24)?;
    }
    let (channels, bits) = (u16_at(2)?, u16_at(14)?);
    let rate = u32::from(u16_at(4)?) | u32::from(u16_at(6)?) << 16;
    match (format, bits) {
        (1, 16) if (channels, rate) == (1, RATE) => Ok(Coding::Linear),
        (6, 8) if (channels, rate) == (1, RATE) => Ok(Coding::Companded(Codec::Pcma)),
        (7, 8) if (channels, rate) == (1, RATE) => Ok(Coding::Companded(Codec::Pcmu)),
        _ => Err(WavError::Unsupported { format, channels, rate, bits }),
    }
}

fn samples(coding: Coding, body: &[u8]) -> Result<Vec<i16>, WavError> {
    let count = match coding {
        Coding::Linear => body.len() / 2,
        Coding::Companded(_) => body.len(),
    };
    match count {
        0 => Err(WavError::NoSamples),
        count if count > SECONDS_MAX * RATE as usize => Err(WavError::TooLong),
        _ => Ok(match coding {
            Coding::Linear => {
                body.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect()
            }
            Coding::Companded(codec) => body.iter().map(|b| g711::decode(codec, *b)).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wav(format: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0".to_vec();
        file.extend(format.to_le_bytes());
        file.extend(channels.to_le_bytes());
        file.extend(rate.to_le_bytes());
        file.extend([0; 6]);
        file.extend(bits.to_le_bytes());
        file.extend(b"data");
        file.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        file.extend(data);
        file
    }

    #[test]
    fn linear_and_companded_files_give_the_same_samples() {
        assert_eq!(read(&wav(1, 1, 8_000, 16, &[0x08, 0x00, 0x00, 0x7e])), Ok(vec![8, 32_256]));
        assert_eq!(read(&wav(6, 1, 8_000, 8, &[0xd5, 0xaa])), Ok(vec![8, 32_256]));
        assert_eq!(read(&wav(7, 1, 8_000, 8, &[0xff, 0x80])), Ok(vec![0, 32_124]));
    }

    #[test]
    fn a_file_for_something_else_is_refused_with_what_it_is() {
        let stereo = read(&wav(1, 2, 44_100, 16, &[0; 4]));
        let want = WavError::Unsupported { format: 1, channels: 2, rate: 44_100, bits: 16 };
        assert_eq!(stereo, Err(want));
        assert_eq!(read(b"OggS but longer than a header"), Err(WavError::NotWav));
        assert_eq!(read(&wav(1, 1, 8_000, 16, &[])), Err(WavError::NoSamples));
        let long = vec![0; (SECONDS_MAX * 8_000) + 1];
        assert_eq!(read(&wav(6, 1, 8_000, 8, &long)), Err(WavError::TooLong));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut file in prop::collection::vec(any::<u8>(), 0..80), good in any::<bool>()) {
            if good {
                file.splice(..file.len().min(12), *b"RIFF\0\0\0\0WAVE");
            }
            let _ = read(&file);
        }

        #[test]
        fn a_damaged_file_never_panics(at in 0usize..60, byte in any::<u8>()) {
            let mut file = wav(1, 1, 8_000, 16, &[1, 2, 3, 4]);
            let at = at % file.len();
            file[at] = byte;
            let _ = read(&file);
        }
    }
}
