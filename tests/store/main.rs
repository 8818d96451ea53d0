//! What the store promises, on SQLite and on PostgreSQL alike.

#[path = "../support/postgres.rs"]
mod postgres;
mod ready_queue;
mod world;
