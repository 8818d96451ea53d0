//! One campaign at work: its rules, its hopper, its abandon budget, what it has learnt.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::attempt::IntentRefusal;
use crate::domain::call_result::CallResult;
use crate::domain::campaign::{CampaignRules, CampaignState};

use super::abandon_guard::AbandonGuard;
use super::hopper::Hopper;
use super::statistics::Statistics;

/// Why no more calls are launched at the moment; the words stand in the pages' catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Pacing {
    /// As many calls are in the air as are wanted.
    #[default]
    Dialling,
    /// No agent is ready.
    NoAgents,
    /// The abandon bound allows no more.
    Bound,
    /// The trunk's or the campaign's lines are all in use.
    Lines,
    /// The trunk's calls per second are used up.
    CallsPerSecond,
    /// No record is ready.
    ListEmpty,
    /// Outside the calling hours of all records at hand.
    ClosedHours,
    /// The campaign does not run.
    Paused,
    /// The wall clock jumped, and the rules are being checked.
    Clock,
    /// The program shuts down.
    Draining,
}

impl Pacing {
    /// The key in the API and the catalogue.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dialling => "dialling",
            Self::NoAgents => "no_agents",
            Self::Bound => "bound",
            Self::Lines => "lines",
            Self::CallsPerSecond => "calls_per_second",
            Self::ListEmpty => "list_empty",
            Self::ClosedHours => "closed_hours",
            Self::Paused => "paused",
            Self::Clock => "clock",
            Self::Draining => "draining",
        }
    }
}

/// One campaign at work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct CampaignRun {
    pub(super) rules: CampaignRules,
    pub(super) state: CampaignState,
    pub(super) hopper: Hopper,
    pub(super) guard: AbandonGuard,
    pub(super) statistics: Statistics,
    pub(super) pacing: Pacing,
    /// Ready agents who vanished while calls relied on them.
    pub(super) vanished_cover: u32,
    pub(super) launched: u64,
    pub(super) results: BTreeMap<CallResult, u64>,
    pub(super) refused: BTreeMap<IntentRefusal, u64>,
}

impl CampaignRun {
    pub(super) fn new(rules: CampaignRules, state: CampaignState) -> Self {
        Self {
            rules,
            state,
            hopper: Hopper::default(),
            guard: AbandonGuard::default(),
            statistics: Statistics::default(),
            pacing: Pacing::default(),
            vanished_cover: 0,
            launched: 0,
            results: BTreeMap::new(),
            refused: BTreeMap::new(),
        }
    }

    pub(super) const fn is_running(&self) -> bool {
        matches!(self.state, CampaignState::Running)
    }
}
