//! Pulling segments from a CRM and posting CRM events to it.

pub mod http;
pub mod payload;
