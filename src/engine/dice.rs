//! The engine's own dice: seeded once, part of its state, so that a replay throws the same.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::ids::uuid_v7;
use crate::domain::time::Utc;

/// A seeded generator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dice(Xoshiro256PlusPlus);

impl Dice {
    /// Dice that throw the same for the same seed on every machine.
    pub(super) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// A UUIDv7 of this moment.
    pub(super) fn uuid(&mut self, utc: Utc) -> Uuid {
        let mut bits = [0; 10];
        self.0.fill_bytes(&mut bits);
        uuid_v7(utc, bits)
    }

    /// A number below `bound`; zero where the bound is zero.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        // Lemire's multiplication: unbiased enough for choosing among a handful.
        let wide = u64::from(self.0.next_u32()) * u64::from(bound);
        u32::try_from(wide >> 32).unwrap_or(0)
    }
}
