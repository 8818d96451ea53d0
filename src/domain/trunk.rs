//! A trunk: one carrier or PBX account that calls go out through. Append-only versions.

use std::net::SocketAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::ids::TrunkId;
use super::phone::E164;

/// What a manager sets of a trunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrunkSettings {
    /// The name that people see.
    pub name: String,
    /// Name of a file in `sip-profiles/`, without `.toml`.
    pub profile: String,
    /// Where requests go.
    pub address: SocketAddr,
    /// Host part of Request-URIs; empty is the address itself.
    #[serde(default)]
    pub domain: String,
    /// Numbers that may be shown to callees.
    pub caller_ids: Vec<E164>,
    /// New calls per second at most.
    pub calls_per_second: u32,
    /// Calls at once at most.
    pub lines: u32,
    /// Digits that numbers must begin with; none means that nothing is dialled.
    pub allowed_prefixes: Vec<String>,
    /// From where requests that open a dialog are taken, beside the address itself.
    #[serde(default)]
    pub networks: Vec<IpNet>,
    /// User name for digest authentication.
    #[serde(default)]
    pub username: Option<String>,
    /// Where the password stands: `env:NAME` or `file:PATH`. Never the password itself.
    #[serde(default)]
    pub password: Option<String>,
}

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

impl TrunkRules {
    /// The engine's view of `settings`.
    pub fn of(id: TrunkId, version: u32, settings: &TrunkSettings) -> Self {
        Self {
            id,
            version,
            calls_per_second: settings.calls_per_second,
            lines: settings.lines,
            caller_ids: u32::try_from(settings.caller_ids.len()).unwrap_or(u32::MAX),
        }
    }
}
