//! One step of the run log: an input, and the digest of the outputs it caused.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::time::Now;

use super::engine::Engine;
use super::input::Input;
use super::output::Output;

/// Raised when an older program could not read what this one writes.
pub const FORMAT: u16 = 2;

/// What a segment of the run log holds, entry by entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Entry {
    /// The engine as it stands before the next input; the first entry of every segment.
    Snapshot(Box<Engine>),
    /// One input and what it led to.
    Step {
        /// When.
        now: Now,
        /// What happened.
        input: Input,
        /// [`digest`] of the outputs.
        digest: u64,
    },
}

/// A 64-bit digest (XXH3) of outputs, over their MessagePack form, field by field.
pub fn digest(outputs: &[Output]) -> u64 {
    // Serialising plain data into memory does not fail; a constant would show at once in a replay.
    xxh3_64(&rmp_serde::to_vec(outputs).unwrap_or_default())
}

/// The first step at which an engine did not do what its log says.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// How many steps came before it.
    pub step: u64,
    /// When it happened.
    pub now: Now,
    /// The input.
    pub input: Input,
    /// The digest in the log.
    pub logged: u64,
    /// What the engine put out now.
    pub outputs: Vec<Output>,
}

/// Runs the entries of a log through an engine and compares.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    engine: Option<Engine>,
    steps: u64,
    segments: u64,
}

impl Replay {
    /// Steps replayed so far.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Snapshots met so far.
    pub const fn segments(&self) -> u64 {
        self.segments
    }

    /// The engine as it stands, once a snapshot was read.
    pub const fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref()
    }

    /// Takes the next entry; the outputs of a step, or the difference that it shows.
    pub fn step(&mut self, entry: Entry) -> Result<Vec<Output>, Box<Difference>> {
        match entry {
            Entry::Snapshot(engine) => {
                self.segments += 1;
                self.engine = Some(*engine);
                Ok(Vec::new())
            }
            Entry::Step { now, input, digest: logged } => {
                let Some(engine) = &mut self.engine else { return Ok(Vec::new()) };
                let outputs = engine.handle(now, input.clone());
                if digest(&outputs) != logged {
                    let step = self.steps;
                    return Err(Box::new(Difference { step, now, input, logged, outputs }));
                }
                self.steps += 1;
                Ok(outputs)
            }
        }
    }
}
