//! What is brought in from CRMs and files, and what is posted to CRMs: over real HTTP on loopback.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod delivery;
mod import;
mod pull;
mod receiver;
mod world;
