//! Pulling segments from a CRM and posting CRM events to it.

pub mod backoff;
pub mod delivery;
pub mod http;
pub mod payload;
pub mod post;
pub mod pull;
pub mod records;
pub mod signature;
pub mod url_guard;
