//! A campaign's settings as requests carry them: every key may be left out, none may be impossible.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::abandon::{AbandonLimit, Formula, WindowKind};
use crate::domain::calling_hours::CallingHours;
use crate::domain::campaign::{CampaignSettings, Mode};
use crate::domain::disposition::{DispositionChoice, default_choices};
use crate::domain::ids::TrunkId;
use crate::domain::retry::RetryRules;

use super::error::Problem;
use super::schemas;
use super::session::checked_name;

const SECOND_MS: u32 = 1_000;
/// A phone that rings for three minutes is not answered.
const RING_TIMEOUT_MAX_MS: u32 = 180 * SECOND_MS;
const SCRIPT_MAX: usize = 20_000;
const DISPOSITIONS_MAX: usize = 64;
/// Lines per ready agent, hundredths; ten lines for one agent is beyond any use.
const RATIO_MAX_PERCENT: u32 = 1_000;
const MINUTES_A_DAY: u16 = 24 * 60;

/// Settings of a campaign. In a request every key but `name`, `mode` and `trunk` of a new campaign
/// may be left out; an answer holds all but `lists` and `agents`, which stand beside it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CampaignPatch {
    /// The name that people see.
    pub name: Option<String>,
    /// How calls are matched to agents.
    #[schema(value_type = Option<schemas::Mode>)]
    pub mode: Option<Mode>,
    /// The trunk that carries the calls.
    #[schema(value_type = Option<i64>)]
    pub trunk: Option<TrunkId>,
    /// The zone in which days and months are cut (IANA). Default UTC.
    #[schema(value_type = Option<String>, example = "America/New_York")]
    pub legal_zone: Option<Tz>,
    /// When a person may be called, in their own zone. Default every day from 9 to 20.
    #[schema(value_type = Option<schemas::CallingHours>)]
    pub calling_hours: Option<CallingHours>,
    /// The legal limit. Default 3 % of the calls passed to agents or abandoned, each day of the
    /// legal zone, 2 s: it keeps the United Kingdom's rule and the United States' too.
    #[schema(value_type = Option<schemas::AbandonLimit>)]
    pub abandon_limit: Option<AbandonLimit>,
    /// How long a phone may ring, milliseconds. Default 25000; US and UK rules ask for 15 s.
    pub ring_timeout_ms: Option<u32>,
    /// How long after a call an agent becomes ready again, milliseconds; 0 waits for the
    /// disposition. Default 30000.
    pub wrap_up_ms: Option<u32>,
    /// Attempts per contact at most. Default 3.
    pub attempts_max: Option<u32>,
    /// No two calls to one number within this time, seconds, whatever campaign. Default 3600.
    pub number_gap_s: Option<u32>,
    /// When a contact is tried again, by call result.
    #[schema(value_type = Option<schemas::RetryRules>)]
    pub retry: Option<RetryRules>,
    /// Calls in the air at once at most. Default 100.
    pub lines_max: Option<u32>,
    /// How long a preview may last, milliseconds; 0 is as long as the agent likes. Default 0.
    pub preview_timeout_ms: Option<u32>,
    /// What an abandoned person hears: a file in the messages folder; empty is the built-in one.
    pub abandon_message: Option<String>,
    /// What the agent reads; `{field}` is replaced by the contact's field.
    pub script: Option<String>,
    /// What agents may choose at the end of a call.
    #[schema(value_type = Option<Vec<schemas::DispositionChoice>>)]
    pub dispositions: Option<Vec<DispositionChoice>>,
    /// The lists it dials.
    pub lists: Option<Vec<i64>>,
    /// The agents who take its calls.
    pub agents: Option<Vec<i64>>,
}

impl CampaignPatch {
    /// The settings of a new campaign.
    pub fn create(self, today: NaiveDate) -> Result<CampaignSettings, Problem> {
        let missing = |key| Problem::invalid(format!("{key}: a new campaign needs it"));
        let mode = self.mode.ok_or_else(|| missing("mode"))?;
        let trunk = self.trunk.ok_or_else(|| missing("trunk"))?;
        if self.name.is_none() {
            return Err(missing("name"));
        }
        let zone = self.legal_zone.unwrap_or(Tz::UTC);
        let settings = CampaignSettings {
            name: String::new(),
            mode,
            legal_zone: zone,
            calling_hours: CallingHours::default(),
            abandon_limit: daily_limit(zone, today),
            ring_timeout_ms: 25 * SECOND_MS,
            wrap_up_ms: 30 * SECOND_MS,
            attempts_max: 3,
            number_gap_s: 3_600,
            retry: RetryRules::default(),
            trunk,
            lines_max: 100,
            preview_timeout_ms: 0,
            abandon_message: String::new(),
            script: String::new(),
            dispositions: default_choices(),
        };
        self.apply(settings)
    }

    /// `settings` with what the request says.
    pub fn apply(self, mut settings: CampaignSettings) -> Result<CampaignSettings, Problem> {
        macro_rules! take {
            ($($key:ident)+) => {$(
                if let Some(value) = self.$key {
                    settings.$key = value;
                }
            )+};
        }
        if let Some(zone) = self.legal_zone {
            // The limit's days are those of the legal zone unless it says otherwise.
            settings.abandon_limit.zone = zone;
        }
        take!(name mode trunk legal_zone calling_hours abandon_limit ring_timeout_ms wrap_up_ms
            attempts_max number_gap_s retry lines_max preview_timeout_ms abandon_message script
            dispositions);
        check(&settings)?;
        Ok(settings)
    }
}

/// A day's window with the formula that has the smaller denominator: it keeps every limit of 3 %
/// over a longer window or more calls as well.
fn daily_limit(zone: Tz, today: NaiveDate) -> AbandonLimit {
    AbandonLimit {
        formula: Formula::AbandonedPlusConnected,
        window: WindowKind::Days { days: 1, first_day: today },
        ..AbandonLimit::us(zone, today)
    }
}

fn check(settings: &CampaignSettings) -> Result<(), Problem> {
    checked_name(&settings.name)?;
    if let Mode::Power { ratio_percent } = settings.mode {
        within("mode.ratio_percent", ratio_percent, 100, RATIO_MAX_PERCENT)?;
    }
    within("ring_timeout_ms", settings.ring_timeout_ms, SECOND_MS, RING_TIMEOUT_MAX_MS)?;
    within("wrap_up_ms", settings.wrap_up_ms, 0, 3_600 * SECOND_MS)?;
    within("preview_timeout_ms", settings.preview_timeout_ms, 0, 3_600 * SECOND_MS)?;
    within("attempts_max", settings.attempts_max, 1, 100)?;
    within("number_gap_s", settings.number_gap_s, 0, 31 * 86_400)?;
    within("lines_max", settings.lines_max, 1, 100_000)?;
    let limit = &settings.abandon_limit;
    within("abandon_limit.limit_ppm", limit.limit_ppm, 0, 1_000_000)?;
    within("abandon_limit.wait_ms", limit.wait_ms, 0, 30 * SECOND_MS)?;
    let WindowKind::Days { days, .. } = limit.window;
    within("abandon_limit.window.days", days, 1, 366)?;
    for span in &settings.calling_hours.spans {
        if span.from_minute >= span.to_minute || span.to_minute > MINUTES_A_DAY {
            let text = "calling_hours: a span goes from a minute to a later one of the same day";
            return Err(Problem::invalid(text));
        }
    }
    if settings.script.chars().count() > SCRIPT_MAX {
        return Err(Problem::invalid(format!("script: at most {SCRIPT_MAX} characters")));
    }
    // A file name and nothing else: what callers hear does not come from elsewhere on the disk.
    if settings.abandon_message.contains(['/', '\\']) || settings.abandon_message.starts_with('.') {
        return Err(Problem::invalid("abandon_message: the name of a file in the messages folder"));
    }
    check_dispositions(&settings.dispositions)
}

fn check_dispositions(choices: &[DispositionChoice]) -> Result<(), Problem> {
    if choices.is_empty() || choices.len() > DISPOSITIONS_MAX {
        return Err(Problem::invalid(format!("dispositions: 1 to {DISPOSITIONS_MAX} choices")));
    }
    let mut codes = BTreeSet::new();
    for choice in choices {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if choice.code.is_empty() || choice.code.len() > 64 || !choice.code.chars().all(plain) {
            let text = "dispositions: a code has lower-case letters, digits and underscores";
            return Err(Problem::invalid(text));
        }
        if choice.label.trim().is_empty() {
            return Err(Problem::invalid("dispositions: a label is empty"));
        }
        if !codes.insert(&choice.code) {
            return Err(Problem::invalid(format!("dispositions: {} stands twice", choice.code)));
        }
    }
    Ok(())
}

/// Whether a number lies between its bounds, both included.
pub(super) fn within(key: &str, value: u32, min: u32, max: u32) -> Result<(), Problem> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(Problem::invalid(format!("{key}: {min} to {max}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn today() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 24).unwrap()
    }

    fn patch(value: serde_json::Value) -> CampaignPatch {
        serde_json::from_value(value).unwrap()
    }

    fn made() -> CampaignSettings {
        let body = json!({ "name": "Spring", "mode": { "kind": "predictive" }, "trunk": 1 });
        patch(body).create(today()).unwrap()
    }

    #[test]
    fn a_campaign_needs_a_name_a_mode_and_a_trunk_and_the_rest_is_safe() {
        let settings = made();
        assert_eq!(settings.abandon_limit.limit_ppm, 30_000);
        assert_eq!(settings.calling_hours, CallingHours::default());
        for (key, value) in
            [("name", json!("a")), ("mode", json!({"kind": "preview"})), ("trunk", json!(1))]
        {
            let mut body = json!({ "name": "a", "mode": { "kind": "preview" }, "trunk": 1 });
            body.as_object_mut().unwrap().remove(key);
            let problem = patch(body.clone()).create(today()).unwrap_err();
            assert!(problem.detail.starts_with(key), "{}", problem.detail);
            body[key] = value;
            patch(body).create(today()).unwrap();
        }
    }

    #[test]
    fn a_patch_changes_what_it_names_and_the_limits_days_follow_the_legal_zone() {
        let before = made();
        let patch = patch(json!({ "legal_zone": "Europe/Kyiv", "lines_max": 7 }));
        let after = patch.apply(before.clone()).unwrap();
        assert_eq!(after.lines_max, 7);
        assert_eq!(after.legal_zone, Tz::Europe__Kyiv);
        assert_eq!(after.abandon_limit.zone, Tz::Europe__Kyiv);
        assert_eq!(after.dispositions, before.dispositions);
    }

    #[test]
    fn impossible_settings_are_refused_and_named() {
        for (key, value) in [
            ("name", json!("")),
            ("mode", json!({ "kind": "power", "ratio_percent": 5_000 })),
            ("ring_timeout_ms", json!(10)),
            ("attempts_max", json!(0)),
            ("lines_max", json!(0)),
            ("abandon_message", json!("../../etc/passwd")),
            ("dispositions", json!([])),
            ("dispositions", json!([{ "code": "Ä", "label": "x", "next": { "kind": "close" } }])),
            (
                "calling_hours",
                json!({ "spans": [{ "days": 127, "from_minute": 700, "to_minute": 600 }] }),
            ),
        ] {
            let problem = patch(json!({ key: value })).apply(made()).unwrap_err();
            assert!(problem.detail.contains(key) || key == "name", "{key}: {}", problem.detail);
        }
        assert!(serde_json::from_value::<CampaignPatch>(json!({ "colour": 1 })).is_err());
    }

    #[test]
    fn every_setting_of_the_domain_can_be_patched() {
        let settings = serde_json::to_value(made()).unwrap();
        let back: CampaignPatch = serde_json::from_value(settings).unwrap();
        assert_eq!(back.apply(made()).unwrap(), made());
    }
}
