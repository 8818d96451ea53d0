//! The whole program from outside: the daemon and the lab are processes of their own, as they are
//! in life, and what is true is read from their ledgers.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may panic, and says its seed"
)]

mod abandon;
mod demo_runs;
mod drain;
mod kill;
mod replayed;
mod support;
mod traced;
