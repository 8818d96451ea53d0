//! What the store promises, on SQLite and on PostgreSQL alike.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test's helpers may panic as the test itself may"
)]

mod access;
mod intents;
mod outbox;
#[path = "../support/postgres.rs"]
mod postgres;
mod ready_queue;
mod records;
mod recovery;
mod schema;
mod settings;
mod world;
