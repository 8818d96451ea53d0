//! Sounds made by code: the voices of lab parties and the abandon message that needs no recording.
//!
//! Every frequency here is a multiple of 50 Hz, the reciprocal of a frame, so that an
//! [`Ear`](super::ear::Ear) tells them apart with no leakage from one to another, whatever the
//! offset of its frames.

use std::f64::consts::TAU;

use super::RATE;

/// The chime's notes in order, a falling major triad.
pub const CHIME_HZ: [u32; 3] = [1_200, 1_000, 800];
/// Fundamental of a lab agent's voice.
pub const AGENT_HZ: u32 = 250;
/// Fundamental of a lab customer's voice. Its first three harmonics and the agent's are all apart.
pub const CUSTOMER_HZ: u32 = 150;

/// Half of full scale: loud, and far from clipping in both laws.
const LEVEL: f64 = 16_000.0;

/// Whose voice a voice-like sound imitates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// The person at our desk.
    Agent,
    /// The person called.
    Customer,
}

impl Voice {
    /// The three harmonics the voice is made of.
    pub const fn harmonics_hz(self) -> [u32; 3] {
        let fundamental = match self {
            Self::Agent => AGENT_HZ,
            Self::Customer => CUSTOMER_HZ,
        };
        [fundamental, 2 * fundamental, 3 * fundamental]
    }
}

/// A steady tone of `samples` samples at a quarter of full scale.
pub fn steady(hz: u32, samples: u32) -> Vec<i16> {
    (0..samples).map(|n| sample(0.5 * wave(hz, n))).collect()
}

/// One second of a voice-like sound that can be repeated without a click: three falling harmonics
/// that swell four times a second, as syllables do, and never fade to silence.
pub fn voice(voice: Voice) -> Vec<i16> {
    const WEIGHTS: [f64; 3] = [0.5, 0.3, 0.2];
    const SYLLABLES_HZ: u32 = 4;
    (0..RATE)
        .map(|n| {
            let swell = 0.65 - 0.35 * wave(SYLLABLES_HZ, n);
            let harmonics = voice.harmonics_hz().into_iter().zip(WEIGHTS);
            sample(swell * harmonics.map(|(hz, weight)| weight * wave(hz, n)).sum::<f64>())
        })
        .collect()
}

/// The built-in abandon message: three falling notes and a pause, 2.5 s.
///
/// It stands in for a recording only: laws that ask for a message ask for a spoken one with the
/// caller's name and number (47 CFR 64.1200(a)(7)), so a campaign that dials people must load a
/// WAV file in its place. Nothing else a dialer sends sounds like it, so a test can tell that a
/// callee heard it.
pub fn chime() -> Vec<i16> {
    const NOTE: u32 = RATE * 6 / 10;
    const GAP: usize = RATE as usize / 10;
    const PAUSE: usize = RATE as usize * 4 / 10;
    let mut samples = Vec::with_capacity(RATE as usize * 5 / 2);
    for hz in CHIME_HZ {
        // A struck bell fades: down to a fifth at the end of its note.
        let struck = |n: u32| 1.0 - 0.8 * f64::from(n) / f64::from(NOTE);
        samples.extend((0..NOTE).map(|n| sample(struck(n) * wave(hz, n))));
        samples.extend([0; GAP]);
    }
    samples.extend([0; PAUSE]);
    samples
}

/// The sine of `hz` at sample `n`; libm gives the same value on every platform.
fn wave(hz: u32, n: u32) -> f64 {
    // Whole turns are taken off first, so that long sounds keep their precision.
    let phase = u64::from(hz) * u64::from(n) % u64::from(RATE);
    libm::sin(TAU * phase as f64 / f64::from(RATE))
}

#[expect(clippy::cast_possible_truncation, reason = "`as` from f64 saturates")]
fn sample(value: f64) -> i16 {
    (value * LEVEL) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chime_lasts_two_and_a_half_seconds_and_ends_silent() {
        let chime = chime();
        assert_eq!(chime.len(), 20_000);
        assert!(chime.iter().rev().take(3_200).all(|s| *s == 0));
        assert!(chime.iter().any(|s| *s > 12_000));
    }

    #[test]
    fn a_voice_repeats_without_a_click() {
        for kind in [Voice::Agent, Voice::Customer] {
            let voice = voice(kind);
            let step = |a: i16, b: i16| (i32::from(a) - i32::from(b)).abs();
            let largest = voice.windows(2).map(|w| step(w[0], w[1])).max().unwrap();
            assert!(step(voice[0], voice[voice.len() - 1]) <= largest);
        }
    }
}
