//! A campaign: the rules under which one set of lists is dialled. Append-only versions.

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::abandon::AbandonLimit;
use super::calling_hours::CallingHours;
use super::ids::{CampaignId, TrunkId};
use super::retry::RetryRules;
use super::time::Duration;

/// How calls are matched to agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

impl Mode {
    /// The word used in the API, the config and the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Predictive => "predictive",
            Self::Progressive => "progressive",
            Self::Power { .. } => "power",
            Self::Preview => "preview",
        }
    }
}

/// Whether a campaign dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

/// What a manager sets. Every change is a new version; each attempt names the one it was made under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CampaignSettings {
    /// The name that people see.
    pub name: String,
    /// How calls are matched to agents.
    pub mode: Mode,
    /// The zone in which this campaign's days and months are cut (an IANA name).
    pub legal_zone: Tz,
    /// When a person may be called, in the contact's own zone.
    pub calling_hours: CallingHours,
    /// The legal limit on abandoned calls.
    pub abandon_limit: AbandonLimit,
    /// How long a phone may ring before we cancel, milliseconds. US and UK rules ask for at least
    /// 15 s or four rings before an unanswered call is dropped.
    pub ring_timeout_ms: u32,
    /// How long after a call an agent has before they are ready again by themselves, milliseconds;
    /// 0 waits for a disposition however long it takes.
    pub wrap_up_ms: u32,
    /// At most this many attempts per contact.
    pub attempts_max: u32,
    /// No two calls to one number within this time, whatever campaign made them.
    pub number_gap_s: u32,
    /// When a contact is tried again, by call result.
    pub retry: RetryRules,
    /// The trunk that carries the calls.
    pub trunk: TrunkId,
    /// At most this many calls in the air at once.
    pub lines_max: u32,
    /// How long an agent may look at a previewed record before it counts as timed out, milliseconds;
    /// 0 is as long as they like.
    #[serde(default)]
    pub preview_timeout_ms: u32,
    /// What an abandoned person hears: a file name in the messages folder; empty is the built-in.
    pub abandon_message: String,
    /// What the agent reads to the person. `{field}` is replaced by the contact's field.
    pub script: String,
    /// What agents may choose at the end of a call.
    pub dispositions: Vec<super::disposition::DispositionChoice>,
}

impl CampaignSettings {
    /// The ring timeout as a duration.
    pub fn ring_timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.ring_timeout_ms))
    }

    /// The wrap-up limit; `None` waits for the agent.
    pub fn wrap_up(&self) -> Option<Duration> {
        (self.wrap_up_ms > 0).then(|| Duration::from_millis(u64::from(self.wrap_up_ms)))
    }
}

/// What the engine needs of a campaign: no names, no texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CampaignRules {
    /// Which campaign.
    pub id: CampaignId,
    /// Version of the settings these rules were taken from.
    pub version: u32,
    /// How calls are matched to agents.
    pub mode: Mode,
    /// The zone in which days and months are cut.
    pub legal_zone: Tz,
    /// When a person may be called.
    pub calling_hours: CallingHours,
    /// The legal limit.
    pub abandon_limit: AbandonLimit,
    /// No two calls to one number within this time.
    pub number_gap: Duration,
    /// Ring timeout.
    pub ring_timeout: Duration,
    /// Wrap-up limit.
    pub wrap_up: Option<Duration>,
    /// How long a preview may last; `None` is as long as the agent likes.
    pub preview_timeout: Option<Duration>,
    /// Attempts per contact.
    pub attempts_max: u32,
    /// Retry rules.
    pub retry: RetryRules,
    /// The trunk.
    pub trunk: TrunkId,
    /// Calls in the air.
    pub lines_max: u32,
}

impl CampaignRules {
    /// The engine's view of `settings`.
    pub fn of(id: CampaignId, version: u32, settings: &CampaignSettings) -> Self {
        Self {
            id,
            version,
            mode: settings.mode,
            legal_zone: settings.legal_zone,
            calling_hours: settings.calling_hours.clone(),
            abandon_limit: settings.abandon_limit,
            number_gap: Duration::from_secs(u64::from(settings.number_gap_s)),
            ring_timeout: settings.ring_timeout(),
            wrap_up: settings.wrap_up(),
            preview_timeout: (settings.preview_timeout_ms > 0)
                .then(|| Duration::from_millis(u64::from(settings.preview_timeout_ms))),
            attempts_max: settings.attempts_max,
            retry: settings.retry.clone(),
            trunk: settings.trunk,
            lines_max: settings.lines_max,
        }
    }
}
