//! A sound ready to be sent: companded once by both laws, cut into frames at no cost afterwards.

use std::sync::Arc;
use std::time::Duration;

use super::tone::{self, Voice};
use super::wav::{self, WavError};
use super::{FRAME, RATE, g711};
use crate::protocols::sdp::Codec;

/// A recorded message or a lab party's voice. Cloning shares the samples.
#[derive(Clone, PartialEq, Eq)]
pub struct Clip {
    pcmu: Arc<[u8]>,
    pcma: Arc<[u8]>,
}

impl Clip {
    /// From linear samples; the last frame is filled up with silence.
    pub fn from_samples(samples: &[i16]) -> Self {
        let law = |codec: Codec| {
            let rest = samples.len().next_multiple_of(FRAME) - samples.len();
            let bytes = samples.iter().map(|s| g711::encode(codec, *s));
            bytes.chain(std::iter::repeat_n(g711::silence(codec), rest)).collect()
        };
        Self { pcmu: law(Codec::Pcmu), pcma: law(Codec::Pcma) }
    }

    /// From the bytes of a WAV file, 8 kHz mono.
    ///
    /// # Errors
    /// Those of [`wav::read`].
    pub fn from_wav(file: &[u8]) -> Result<Self, WavError> {
        Ok(Self::from_samples(&wav::read(file)?))
    }

    /// The abandon message used where no recording is loaded; see [`tone::chime`].
    pub fn chime() -> Self {
        Self::from_samples(&tone::chime())
    }

    /// One second of a lab party's voice, to be repeated.
    pub fn voice(voice: Voice) -> Self {
        Self::from_samples(&tone::voice(voice))
    }

    /// Frame `index` of 160 bytes; none past the end.
    pub fn frame(&self, codec: Codec, index: usize) -> Option<&[u8]> {
        let bytes = match codec {
            Codec::Pcmu => &self.pcmu,
            Codec::Pcma => &self.pcma,
        };
        let start = index.checked_mul(FRAME)?;
        bytes.get(start..start.checked_add(FRAME)?)
    }

    /// How many frames it has.
    pub fn frames(&self) -> usize {
        self.pcmu.len() / FRAME
    }

    /// How long it lasts.
    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.pcmu.len() as u64) / RATE
    }
}

impl std::fmt::Debug for Clip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clip({:?})", self.duration())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_frame_is_filled_up_with_the_laws_own_silence() {
        let clip = Clip::from_samples(&[1_000; FRAME + 1]);
        assert_eq!(clip.frames(), 2);
        assert_eq!(clip.duration(), Duration::from_millis(40));
        for (codec, silence) in [(Codec::Pcmu, 0xff), (Codec::Pcma, 0xd5)] {
            let last = clip.frame(codec, 1).unwrap();
            assert_ne!(last[0], silence);
            assert!(last[1..].iter().all(|b| *b == silence));
            assert_eq!(clip.frame(codec, 2), None);
            assert_eq!(clip.frame(codec, usize::MAX), None);
        }
    }
}
