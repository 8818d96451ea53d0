//! Nouns and rules of the field. Everything here is a value or a pure function.

pub mod ids;
pub mod time;
