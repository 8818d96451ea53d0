//! Seeded draws for simulated people: one stream a purpose, the same on every machine.
//!
//! Logarithms and cosines come from libm, whose results do not depend on the platform.

use std::f64::consts::TAU;
use std::time::Duration;

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::{SplitMix64, Xoshiro256PlusPlus};

/// One stream of draws.
#[derive(Debug, Clone)]
pub struct Dice(Xoshiro256PlusPlus);

impl Dice {
    /// The stream of this seed and these names (a number, a try, a purpose). Streams of different
    /// names have nothing to do with each other.
    pub fn of(seed: u64, names: &[u64]) -> Self {
        let mixed = names.iter().fold(seed, |state, name| {
            // SplitMix64 scrambles every bit of its state, which a plain sum or xor would not.
            SplitMix64::seed_from_u64(state ^ name.rotate_left(32)).next_u64()
        });
        Self(Xoshiro256PlusPlus::seed_from_u64(mixed))
    }

    /// Uniform over `0 <= x < 1`, in steps of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform over `low <= x < high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Any of `0..count`; 0 where there is none.
    pub fn below(&mut self, count: usize) -> usize {
        let wide = u128::from(self.0.next_u64()) * count as u128;
        usize::try_from(wide >> 64).unwrap_or(0)
    }

    /// Sixty-four random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Exponential with this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log(1.0 - self.uniform())
    }

    /// Lognormal with this median and spread (the standard deviation of its logarithm).
    pub fn lognormal(&mut self, median: f64, spread: f64) -> f64 {
        // Box and Muller; one of the two normal values is enough.
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
        median * libm::exp(spread * radius * libm::cos(TAU * self.uniform()))
    }
}

/// Seconds as a duration; nothing for what is no length of time.
pub fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(mut draw: impl FnMut(&mut Dice) -> f64) -> f64 {
        let mut dice = Dice::of(7, &[1]);
        (0..20_000).map(|_| draw(&mut dice)).sum::<f64>() / 20_000.0
    }

    #[test]
    fn the_same_names_give_the_same_stream_and_others_another() {
        let first = |names: &[u64]| Dice::of(1, names).bits();
        assert_eq!(first(&[5, 1]), first(&[5, 1]));
        let streams = [first(&[5, 1]), first(&[1, 5]), first(&[5]), first(&[5, 2]), first(&[])];
        for (at, stream) in streams.iter().enumerate() {
            assert!(!streams[at + 1..].contains(stream));
        }
    }

    #[test]
    fn draws_have_the_means_they_are_named_for() {
        assert!((mean(Dice::uniform) - 0.5).abs() < 0.01);
        assert!((mean(|d| d.exponential(8.0)) - 8.0).abs() < 0.3);
        // The mean of a lognormal is median * exp(spread² / 2).
        assert!((mean(|d| d.lognormal(9.5, 0.5)) - 9.5 * 1.133).abs() < 0.3);
        assert!((mean(|d| d.below(5) as f64) - 2.0).abs() < 0.05);
        assert_eq!(Dice::of(1, &[]).below(0), 0);
    }
}
