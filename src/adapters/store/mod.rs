//! The database: SQLite or PostgreSQL, one SQL text for both.
//!
//! `db` opens and migrates; one file per noun reads and writes it; `writer` gathers what the driver
//! wants durable into one commit. Times come in as arguments; nothing here reads a clock.

#[macro_use]
pub mod db;
pub mod error;
#[macro_use]
mod versions;
mod words;

mod batch;
mod records;

pub mod access;
pub mod agents;
pub mod attempts;
pub mod audit;
pub mod campaigns;
pub mod contacts;
pub mod crm_endpoints;
pub mod crm_outbox;
pub mod dnc;
pub mod intents;
pub mod leases;
pub mod lists;
pub mod ready_queue;
pub mod recovery;
pub mod tally;
pub mod trunks;
pub mod writer;

pub use db::Db;
pub use error::StoreError;
