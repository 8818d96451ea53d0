//! What the store promises, on SQLite and on PostgreSQL alike.

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
