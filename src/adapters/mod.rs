//! The outside: sockets, files, database, HTTP. Nothing here decides anything about a call.

pub mod api;
pub mod crm;
pub mod gate;
pub mod import;
pub mod media;
pub mod net;
pub mod secret;
pub mod store;
pub mod telemetry;
pub mod views;
