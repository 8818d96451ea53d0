//! The built `campanile` command, as a person or a script meets it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod command;
mod configuration;
mod help;
mod remote;
