//! The built `campanile` command, as a person or a script meets it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests may panic")]

mod command;
mod configuration;
mod help;
mod remote;
