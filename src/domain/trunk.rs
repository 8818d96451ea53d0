//! A trunk: one carrier or PBX account that calls go out through. Append-only versions.

use serde::{Deserialize, Serialize};

use super::ids::TrunkId;

/// What the engine needs of a trunk: no address, no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrunkRules {
    /// Which trunk.
    pub id: TrunkId,
    /// Version of the settings these rules were taken from.
    pub version: u32,
    /// New calls per second at most.
    pub calls_per_second: u32,
    /// Calls at once at most.
    pub lines: u32,
    /// How many caller IDs it has; the engine picks an index, the driver puts the number in.
    pub caller_ids: u32,
}
