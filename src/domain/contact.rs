//! A record as the engine sees it: ids, zone, kind of number. No name and no number.

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::ids::{ContactId, NumberId, PersonId};

/// What kind of line a number belongs to, as far as its numbering plan tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberType {
    /// A mobile phone.
    Mobile,
    /// A fixed line.
    FixedLine,
    /// The plan does not tell the two apart (as in North America).
    FixedOrMobile,
    /// Voice over IP.
    Voip,
    /// Freephone.
    TollFree,
    /// The plan does not say.
    Unknown,
}

/// One record of the ready queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyRecord {
    /// The row of the list.
    pub contact: ContactId,
    /// Whom it belongs to.
    pub person: PersonId,
    /// The number to dial.
    pub number: NumberId,
    /// The contact's time zone; calling hours are judged in it.
    pub zone: Tz,
    /// Kind of line.
    pub number_type: NumberType,
    /// Country calling code, the coarse class of the number's prefix.
    pub prefix_class: u16,
    /// Dialled before greater ones.
    pub priority: i32,
    /// Place in the list, unique within a campaign.
    pub seq: i64,
    /// Attempts made so far in this campaign.
    pub attempts: u32,
}
