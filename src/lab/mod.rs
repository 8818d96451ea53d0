//! Real-socket counterparts for the demo and the tests: carrier, agents' phones, CRM.

pub mod clock;
pub mod crm;
pub mod crm_ledger;
pub mod people;
mod webhook;
