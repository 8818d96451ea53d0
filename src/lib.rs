//! Campanile: an outbound dialer in one program.
//!
//! Floors, from the ground up; a file uses its own floor and those below it:
//! `domain` → `protocols` → `engine` → `simulation` are pure; `adapters` → `app`, and `lab` beside
//! them, own the sockets, the clock, the database. ARCHITECTURE.md is the map.

pub mod domain;
pub mod engine;
pub mod protocols;
pub mod simulation;

#[cfg(feature = "daemon")]
pub mod adapters;
#[cfg(feature = "daemon")]
pub mod app;
#[cfg(feature = "daemon")]
pub mod lab;
