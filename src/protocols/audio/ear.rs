//! What a lab party heard: silence, a lab voice, or the abandon message's chime.
//!
//! Not call progress analysis: it knows only the sounds [`tone`](super::tone) makes, and proves in
//! tests and in the lab's ledger that the right audio reached the right person.

use std::f64::consts::TAU;

use super::tone::{CHIME_HZ, Voice};
use super::{FRAME, RATE};

/// Frames of one note before it counts, 100 ms: a note lasts 600 ms, a frame across an edge or a
/// few lost packets must not matter.
const NOTE_FRAMES: u32 = 5;
/// Root mean square below which a frame is silent, about -54 dBm0: A-law's zero is 8, and nothing
/// a lab party says is below 1,000.
const SILENCE_RMS: f64 = 32.0;
/// Share of a frame's energy that its sound must hold.
const DOMINANT: f64 = 0.6;

/// What a frame sounds like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sound {
    /// Nothing to hear.
    Silence,
    /// A voice of [`tone::voice`](super::tone::voice).
    Voice(Voice),
    /// The chime's first, second or third note (0, 1, 2).
    Note(usize),
    /// Anything else.
    Other,
}

/// What was heard so far, in frames of 20 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// All frames.
    pub frames: u64,
    /// Frames with nothing to hear.
    pub silent: u64,
    /// Frames of a lab agent's voice.
    pub agent: u64,
    /// Frames of a lab customer's voice.
    pub customer: u64,
    /// Frames of any of the chime's notes.
    pub chime: u64,
    /// Chimes heard from the first note to the last.
    pub chimes: u32,
    /// Frames of anything else.
    pub other: u64,
}

/// Cuts samples into frames and names each.
#[derive(Debug, Default)]
pub struct Ear {
    frame: Vec<i16>,
    heard: Heard,
    /// The chime's note awaited or in progress, and its frames so far.
    note: (usize, u32),
}

impl Ear {
    /// An ear that has heard nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens to the next samples; a rest shorter than a frame waits for the next call.
    pub fn listen(&mut self, samples: impl IntoIterator<Item = i16>) {
        for sample in samples {
            self.frame.push(sample);
            if self.frame.len() == FRAME {
                let sound = name(&self.frame);
                self.frame.clear();
                self.count(sound);
            }
        }
    }

    /// What was heard so far.
    pub fn heard(&self) -> Heard {
        self.heard
    }

    fn count(&mut self, sound: Sound) {
        self.heard.frames += 1;
        match sound {
            Sound::Silence => self.heard.silent += 1,
            Sound::Voice(Voice::Agent) => self.heard.agent += 1,
            Sound::Voice(Voice::Customer) => self.heard.customer += 1,
            Sound::Note(note) => {
                self.heard.chime += 1;
                self.follow_chime(note);
            }
            Sound::Other => self.heard.other += 1,
        }
    }

    /// Notes must come in order, each long enough; the first note always begins again.
    fn follow_chime(&mut self, note: usize) {
        let (awaited, frames) = self.note;
        self.note = match note {
            _ if note == awaited => (awaited, frames + 1),
            _ if note == awaited + 1 && frames >= NOTE_FRAMES => (note, 1),
            0 => (0, 1),
            _ => (awaited, frames),
        };
        if self.note == (CHIME_HZ.len() - 1, NOTE_FRAMES) {
            self.heard.chimes += 1;
            self.note = (0, 0);
        }
    }
}

/// Names one frame of 160 samples.
fn name(frame: &[i16]) -> Sound {
    let total: f64 = frame.iter().map(|s| f64::from(*s).powi(2)).sum();
    let energy_of = |hz: &[u32]| hz.iter().map(|hz| energy_at(frame, *hz)).sum::<f64>();
    let dominates = |hz: &[u32]| energy_of(hz) > DOMINANT * total;
    if total < SILENCE_RMS.powi(2) * frame.len() as f64 {
        return Sound::Silence;
    }
    for voice in [Voice::Agent, Voice::Customer] {
        if dominates(&voice.harmonics_hz()) {
            return Sound::Voice(voice);
        }
    }
    CHIME_HZ.iter().position(|hz| dominates(&[*hz])).map_or(Sound::Other, Sound::Note)
}

/// The energy of one frequency in a frame, by Goertzel's recurrence; of a pure tone, all of it.
pub fn energy_at(frame: &[i16], hz: u32) -> f64 {
    let turn = 2.0 * libm::cos(TAU * f64::from(hz) / f64::from(RATE));
    let (mut last, mut before) = (0.0, 0.0);
    for sample in frame {
        (last, before) = (f64::from(*sample) + turn * last - before, last);
    }
    let power = last * last + before * before - turn * last * before;
    2.0 * power / frame.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::audio::{g711, tone};
    use crate::protocols::sdp::Codec;

    /// As it arrives: through a law, at an offset that no frame boundary knows.
    fn hear(samples: &[i16], offset: usize) -> Heard {
        let mut ear = Ear::new();
        ear.listen(samples.iter().skip(offset).map(|s| {
            let law = Codec::Pcma;
            g711::decode(law, g711::encode(law, *s))
        }));
        ear.heard()
    }

    #[test]
    fn each_voice_is_told_from_the_other_at_any_offset() {
        for offset in [0, 1, 37, 80, 159] {
            let agent = hear(&tone::voice(Voice::Agent), offset);
            assert_eq!(agent.agent, agent.frames, "{agent:?}");
            let customer = hear(&tone::voice(Voice::Customer), offset);
            assert_eq!(customer.customer, customer.frames, "{customer:?}");
        }
    }

    #[test]
    fn silence_is_silent_and_another_tone_is_something_else() {
        assert_eq!(hear(&[0; 1_600], 0), Heard { frames: 10, silent: 10, ..Heard::default() });
        assert_eq!(hear(&tone::steady(1_400, 1_600), 0).other, 10);
    }

    #[test]
    fn a_whole_chime_is_counted_once_and_a_cut_one_never() {
        let chime = tone::chime();
        for offset in [0, 53, 159] {
            let heard = hear(&chime, offset);
            assert_eq!((heard.chimes, heard.agent, heard.customer), (1, 0, 0), "{heard:?}");
        }
        assert_eq!(hear(&chime[..chime.len() / 2], 0).chimes, 0);
        assert_eq!(hear(&[chime.clone(), chime].concat(), 0).chimes, 2);
    }

    #[test]
    fn notes_in_the_wrong_order_are_no_chime() {
        let backwards: Vec<i16> =
            CHIME_HZ.iter().rev().flat_map(|hz| tone::steady(*hz, 4_800)).collect();
        let heard = hear(&backwards, 0);
        assert_eq!(heard.chimes, 0);
        assert!(heard.chime > 80);
    }
}
