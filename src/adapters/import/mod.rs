//! Lists from files.

mod area_codes;
mod country_codes;
pub mod csv;
pub mod job;
pub mod mapping;
pub mod numbers;
mod plans;
pub mod rejects;
pub mod row;
pub mod zone;
