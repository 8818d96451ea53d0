//! Real-socket counterparts for the demo and the tests: carrier, agents' phones, CRM.

pub mod agent_desk;
pub mod agent_phone;
pub mod carrier;
mod carrier_call;
pub mod carrier_ledger;
pub mod clock;
pub mod control;
pub mod crm;
pub mod crm_ledger;
pub mod desks;
pub mod media;
pub mod people;
mod sip;
mod sse;
mod webhook;
pub mod world;
