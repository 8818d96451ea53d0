//! Nouns and rules of the field. Everything here is a value or a pure function.

pub mod abandon;
pub mod agent;
pub mod attempt;
pub mod call_result;
pub mod calling_hours;
pub mod campaign;
pub mod contact;
pub mod disposition;
pub mod ids;
pub mod phone;
pub mod retry;
pub mod time;
pub mod trunk;
