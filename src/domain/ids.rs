//! Typed identifiers. Mixing two kinds of id does not compile.
//!
//! What the store makes counts upwards (`i64`); what the engine makes (attempts, legs, CRM events)
//! is a UUIDv7 from the engine's `now` and its own dice, so a replay makes the same ids.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Declares identifiers that the store hands out, by counting.
macro_rules! row_ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(i64);

        impl $name {
            /// Wraps a raw id read from the store or an API path.
            pub const fn new(raw: i64) -> Self { Self(raw) }
            /// The raw id, for the store.
            pub const fn get(self) -> i64 { self.0 }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    )+};
}

/// Declares identifiers over UUIDv7, made by the engine without asking the database.
macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a raw id read from the store or an API path.
            pub const fn from_uuid(raw: Uuid) -> Self { Self(raw) }
            /// The raw id, for the store.
            pub const fn as_uuid(self) -> Uuid { self.0 }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    )+};
}

row_ids! {
    /// A set of dialling rules with its lists and agents.
    CampaignId,
    /// The rows of one source: a file or a CRM segment.
    ListId,
    /// One row of a list.
    ContactId,
    /// A person as a CRM knows them; survives lists.
    PersonId,
    /// A telephone number with its own history.
    NumberId,
    /// Someone who takes calls.
    AgentId,
    /// A carrier or PBX account that calls go out through.
    TrunkId,
    /// Someone or something that may use the API.
    UserId,
}

uuid_ids! {
    /// One try to reach a contact; owns at most one call.
    AttemptId,
    /// One party's side of a call: a customer's leg has its attempt's uuid, an agent's leg its own.
    LegId,
    /// A message to a CRM, the same at every delivery.
    CrmEventId,
}

impl AttemptId {
    /// The leg towards the customer: the same uuid, so that SIP identifiers derive from the attempt.
    pub const fn leg(self) -> LegId {
        LegId(self.0)
    }
}

/// A UUIDv7 (RFC 9562 §5.7) from a wall-clock reading and 74 random bits.
pub fn uuid_v7(utc: super::time::Utc, dice: [u8; 10]) -> Uuid {
    let ms = u64::try_from(utc.as_ms()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(ms, &dice).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Utc;

    #[test]
    fn a_made_uuid_is_version_seven_and_sorts_by_time() {
        let early = uuid_v7(Utc::from_ms(1_000), [0xff; 10]);
        let late = uuid_v7(Utc::from_ms(1_001), [0; 10]);
        assert_eq!(early.get_version_num(), 7);
        assert!(early < late);
    }
}
