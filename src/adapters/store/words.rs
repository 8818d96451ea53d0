//! How values of the domain stand in columns: enums as their words, structures as JSON, and counts
//! as whole numbers that come back checked.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{StoreError, corrupt};

/// The word of an enum, as serde writes it (`fixed_line`).
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        // Only unit variants are given here; anything else keeps its whole JSON.
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// The enum of a word.
pub(crate) fn from_word<T: DeserializeOwned>(
    what: &'static str,
    word: &str,
) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(word.to_owned()))
        .map_err(|error| corrupt(what, error))
}

/// A structure as JSON text.
pub(crate) fn json<T: Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| corrupt(what, error))
}

/// A structure from JSON text.
pub(crate) fn from_json<T: DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt(what, error))
}

/// A whole number back in its own range.
pub(crate) fn whole<T: TryFrom<i64>>(what: &'static str, n: i64) -> Result<T, StoreError> {
    T::try_from(n).map_err(|_| corrupt(what, n))
}

/// Text without NUL, which PostgreSQL cannot hold; the network may send one in a reason phrase.
pub(crate) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
