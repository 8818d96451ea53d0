//! How the settings of the domain look in the OpenAPI document. The domain itself knows nothing of
//! OpenAPI; a test holds these shapes against what serde writes.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// How calls are matched to agents.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Mode {
    /// As many lines as the estimates and the abandon bound allow.
    Predictive,
    /// One line for each ready agent.
    Progressive,
    /// A fixed number of lines for each ready agent, a ceiling under the abandon bound.
    Power {
        /// Lines per ready agent, in hundredths: 150 is one and a half.
        ratio_percent: u32,
    },
    /// An agent sees the record first and accepts or skips it.
    Preview,
}

/// Whether a campaign dials.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CampaignState {
    /// Made, never started.
    Created,
    /// Dialling.
    Running,
    /// No new calls; what is in the air goes on.
    Paused,
    /// Ended by a person; can be started again.
    Stopped,
    /// Its lists are used up.
    Finished,
}

/// When a person may be called, on the clock of their own zone.
#[derive(Serialize, ToSchema)]
pub struct CallingHours {
    /// Spans, in any order; none means never.
    pub spans: Vec<DaySpan>,
}

/// One span of a day.
#[derive(Serialize, ToSchema)]
pub struct DaySpan {
    /// A bit for each weekday, Monday the lowest: 127 is every day.
    pub days: u8,
    /// First minute of the day, 0–1439.
    pub from_minute: u16,
    /// First minute that is no longer in it, 1–1440.
    pub to_minute: u16,
}

/// The legal limit on abandoned calls.
#[derive(Serialize, ToSchema)]
pub struct AbandonLimit {
    /// What counts above and below the line.
    pub formula: Formula,
    /// Parts per million: 3 % is 30000.
    pub limit_ppm: u32,
    /// The span over which the rate is judged.
    pub window: WindowKind,
    /// Where its days begin and end (IANA).
    pub zone: String,
    /// From when the wait is counted.
    pub clock_start: ClockStart,
    /// How long an answered person may wait for an agent, milliseconds.
    pub wait_ms: u32,
}

/// What counts above and below the line.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Formula {
    /// Abandoned ÷ calls answered by a live person (United States).
    LiveAnswers,
    /// Abandoned ÷ (abandoned + passed to an agent) (United Kingdom).
    AbandonedPlusConnected,
}

/// From when an answered person's wait is counted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClockStart {
    /// From the answer.
    Answer,
}

/// The span over which the abandon rate is judged.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WindowKind {
    /// Successive periods of days of the limit's zone.
    Days {
        /// Length, at least 1.
        days: u32,
        /// The day the first period began, `2026-11-24`.
        first_day: String,
    },
}

/// When a contact is tried again.
#[derive(Serialize, ToSchema)]
pub struct RetryRules {
    /// Seconds to wait, by call result; a result that is not named ends the contact.
    pub after_s: BTreeMap<String, u32>,
}

/// One choice at the end of a call.
#[derive(Serialize, ToSchema)]
pub struct DispositionChoice {
    /// Stable code.
    pub code: String,
    /// What the agent reads.
    pub label: String,
    /// What follows unless the agent chooses otherwise.
    pub next: NextAction,
}

/// The business outcome.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum NextAction {
    /// Nothing more with this contact in this campaign.
    Close,
    /// Try again as the retry rules say.
    Retry,
    /// A call promised to the person.
    Callback {
        /// When, UTC milliseconds.
        at: i64,
    },
    /// Never call this number again.
    DoNotCall,
}
