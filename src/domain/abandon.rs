//! The abandon limit of a campaign, and the one function that judges it.
//!
//! The guard, the pages and the reports all call [`Tally::rate_ppm`]; the guard's rule is
//! [`may_launch`]: no launch is made that could bring a window's rate over its limit.
//!
//! ```text
//! L live answers so far in the window   A abandoned so far   W answered, waiting for an agent
//! k launched, not yet resolved          m agents reserved for these calls   r the limit
//!
//! one more launch:  k+1+W <= m    (it cannot add an abandon), or
//!                   A+W <= r*L  and  A+W+max(0, k+1-m) <= r*(L+k+1)
//! ```
//!
//! If `j` of the calls in flight are answered, the excess `A+W+max(0,j-m) - r(L+j)` is convex in
//! `j`: its greatest value over `0..=k+1` stands at an end, and both ends are checked. No assumption
//! is made about carrier or people.
//!
//! Where calls may be answered on either side of a window's end, the covered ones may take the agents
//! on one side and the uncovered ones be answered on the other: of the calls in flight a window can
//! then be sure only of those that it counts as abandoned, so `r*(L+k+1)` becomes
//! `r*(L+max(0, k+1-m))`. For any split of the answers between the windows the abandons of one are at
//! most `max(0, k+1-m)` and at most its own answers, and the excess grows with them.
//!
//! Outside this promise, counted and shown apart: an agent who vanishes, a crash, an answer that
//! crosses our CANCEL, for which no agent is kept, and a wall clock set forward over a window's end
//! while calls are in the air (pages call them `outside`).

use chrono::{Datelike, Days, NaiveDate, TimeZone};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::time::{Duration, Utc};

/// What counts above and below the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Formula {
    /// Abandoned ÷ calls answered by a live person (16 CFR 310.4(b)(4)(i), 47 CFR 64.1200(a)(7)).
    LiveAnswers,
    /// Abandoned ÷ (abandoned + passed to an agent) (Ofcom 2016 statement, annex 3).
    AbandonedPlusConnected,
}

/// From when the two seconds run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockStart {
    /// The answer itself: stricter than every law read so far.
    Answer,
}

/// The span over which the rate is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WindowKind {
    /// Successive periods of this many days of the legal zone, counted from `first_day`.
    Days {
        /// Length, at least 1.
        days: u32,
        /// The day the first period began.
        first_day: NaiveDate,
    },
}

/// `{formula, limit, window, zone, clock_start}` and the seconds an answered person may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbandonLimit {
    /// What counts above and below the line.
    pub formula: Formula,
    /// Parts per million: 3 % is 30,000.
    pub limit_ppm: u32,
    /// The span.
    pub window: WindowKind,
    /// Where its days begin and end.
    pub zone: Tz,
    /// From when the wait is counted.
    pub clock_start: ClockStart,
    /// How long an answered person may wait for an agent before the call counts as abandoned.
    pub wait_ms: u32,
}

impl AbandonLimit {
    /// United States: 3 % of live answers over successive 30-day periods, 2 s.
    pub fn us(zone: Tz, first_day: NaiveDate) -> Self {
        Self::of_days(Formula::LiveAnswers, 30, zone, first_day)
    }

    /// United Kingdom: 3 % over each day, 2 s.
    pub fn uk(first_day: NaiveDate) -> Self {
        Self::of_days(Formula::AbandonedPlusConnected, 1, Tz::Europe__London, first_day)
    }

    fn of_days(formula: Formula, days: u32, zone: Tz, first_day: NaiveDate) -> Self {
        Self {
            formula,
            limit_ppm: 30_000,
            window: WindowKind::Days { days, first_day },
            zone,
            clock_start: ClockStart::Answer,
            wait_ms: 2_000,
        }
    }

    /// How long an answered person may wait.
    pub fn wait(&self) -> Duration {
        Duration::from_millis(u64::from(self.wait_ms))
    }

    /// The window that `at` belongs to.
    pub fn window_at(&self, at: Utc) -> Window {
        let WindowKind::Days { days, first_day } = self.window;
        let days = days.max(1);
        let today = self.zone.from_utc_datetime(&at.to_chrono().naive_utc()).date_naive();
        let passed = today.signed_duration_since(first_day).num_days();
        let start_day = day_plus(first_day, passed.div_euclid(i64::from(days)) * i64::from(days));
        let end_day = day_plus(start_day, i64::from(days));
        Window { start: midnight(self.zone, start_day), end: midnight(self.zone, end_day) }
    }
}

fn day_plus(day: NaiveDate, days: i64) -> NaiveDate {
    let magnitude = Days::new(days.unsigned_abs());
    let moved =
        if days < 0 { day.checked_sub_days(magnitude) } else { day.checked_add_days(magnitude) };
    moved.unwrap_or(day)
}

/// The first instant of `day` in `zone`; where the clocks skip midnight, the first that exists.
fn midnight(zone: Tz, day: NaiveDate) -> Utc {
    (0..4)
        .filter_map(|hour| day.and_hms_opt(hour, 0, 0))
        .find_map(|local| zone.from_local_datetime(&local).earliest())
        .map_or_else(
            || Utc::from_ms(i64::from(day.num_days_from_ce()) * 86_400_000),
            |at| Utc::from_ms(at.timestamp_millis()),
        )
}

/// One span over which a rate is judged: `start <= t < end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// First instant.
    pub start: Utc,
    /// First instant that is no longer in it.
    pub end: Utc,
}

/// What happened in one window so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Calls answered by a person, those included who hung up before an agent was due.
    pub live_answers: u32,
    /// Of these, abandoned.
    pub abandoned: u32,
    /// Of these, passed to an agent.
    pub connected: u32,
}

impl Tally {
    /// Numerator and denominator of the rate under `formula`.
    pub const fn fraction(&self, formula: Formula) -> (u32, u32) {
        match formula {
            Formula::LiveAnswers => (self.abandoned, self.live_answers),
            Formula::AbandonedPlusConnected => (self.abandoned, self.abandoned + self.connected),
        }
    }

    /// The rate in parts per million; zero where nothing was answered.
    pub fn rate_ppm(&self, formula: Formula) -> u32 {
        let (above, below) = self.fraction(formula);
        if below == 0 {
            return 0;
        }
        u32::try_from(u64::from(above) * 1_000_000 / u64::from(below)).unwrap_or(u32::MAX)
    }

    /// Whether the rate is over `limit`.
    pub fn is_over(&self, limit: &AbandonLimit) -> bool {
        let (above, below) = self.fraction(limit.formula);
        u64::from(above) * 1_000_000 > u64::from(limit.limit_ppm) * u64::from(below)
    }
}

/// What is in the air for one campaign at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InAir {
    /// `k`: intents made and calls not yet resolved.
    pub in_flight: u32,
    /// `W`: answered persons who wait for an agent.
    pub waiting: u32,
    /// `m`: agents reserved: ready, and not let go while calls rely on them.
    pub reserved: u32,
}

/// Where the calls in flight can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// In this window only.
    Here,
    /// In this window or in another.
    HereOrElsewhere,
}

/// Whether one more call may be launched in a window with this tally.
pub fn may_launch(limit: &AbandonLimit, tally: &Tally, air: &InAir, answers: Answers) -> bool {
    holds_at(limit, tally, air, air.in_flight + 1, answers)
}

/// Whether one reserved agent may leave without the calls in flight being able to break the limit.
pub fn may_release(limit: &AbandonLimit, tally: &Tally, air: &InAir, answers: Answers) -> bool {
    let left = InAir { reserved: air.reserved.saturating_sub(1), ..*air };
    holds_at(limit, tally, &left, air.in_flight, answers)
}

fn holds_at(limit: &AbandonLimit, tally: &Tally, air: &InAir, k: u32, answers: Answers) -> bool {
    if k + air.waiting <= air.reserved {
        return true;
    }
    let r = u64::from(limit.limit_ppm);
    let doomed = u64::from(tally.abandoned + air.waiting);
    let uncovered = u64::from(k.saturating_sub(air.reserved));
    // Under the second formula a person who hangs up while waiting is in no term: the sure
    // denominator is what was connected or abandoned, and a call in flight may add nothing to it
    // unless it is itself connected or abandoned.
    let sure = match limit.formula {
        Formula::LiveAnswers => u64::from(tally.live_answers),
        Formula::AbandonedPlusConnected => u64::from(tally.abandoned + tally.connected),
    };
    let now_holds = doomed * 1_000_000 <= r * sure;
    let all_answer_holds = (doomed + uncovered) * 1_000_000
        <= r * match (limit.formula, answers) {
            (Formula::LiveAnswers, Answers::Here) => sure + u64::from(k),
            // Each abandon stands below the line too; the covered ones may all hang up first.
            (Formula::AbandonedPlusConnected, Answers::Here) => {
                sure + u64::from(air.waiting) + uncovered
            }
            // Those who wait may have answered in the other window.
            (_, Answers::HereOrElsewhere) => sure + uncovered,
        };
    now_holds && all_answer_holds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn ms(text: &str) -> Utc {
        Utc::from_ms(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
    }

    #[test]
    fn a_uk_window_is_the_day_in_london_also_when_it_has_25_hours() {
        let limit = AbandonLimit::uk(day("2026-01-01"));
        let w = limit.window_at(ms("2026-10-25T12:00:00Z"));
        assert_eq!(w.start, ms("2026-10-24T23:00:00Z"));
        assert_eq!(w.end, ms("2026-10-26T00:00:00Z"));
    }

    #[test]
    fn us_windows_are_successive_thirty_days() {
        let limit = AbandonLimit::us(Tz::America__New_York, day("2026-01-01"));
        assert_eq!(limit.window_at(ms("2026-01-31T04:59:59Z")).start, ms("2026-01-01T05:00:00Z"));
        assert_eq!(limit.window_at(ms("2026-01-31T05:00:00Z")).start, ms("2026-01-31T05:00:00Z"));
        assert_eq!(limit.window_at(ms("2025-12-31T12:00:00Z")).end, ms("2026-01-01T05:00:00Z"));
    }

    #[test]
    fn from_zero_one_more_call_than_agents_is_refused() {
        let limit = AbandonLimit::us(Tz::UTC, day("2026-01-01"));
        let none = Tally::default();
        let air = |in_flight| InAir { in_flight, waiting: 0, reserved: 10 };
        assert!(may_launch(&limit, &none, &air(9), Answers::Here));
        assert!(!may_launch(&limit, &none, &air(10), Answers::Here));
        let full = Tally { live_answers: 100, abandoned: 0, connected: 100 };
        // (100 + 13) * 3 % = 3.39 abandons are allowed: three calls more than agents.
        assert!(may_launch(&limit, &full, &air(12), Answers::Here));
        assert!(!may_launch(&limit, &full, &air(13), Answers::Here));
    }

    #[test]
    fn at_the_limit_only_covered_calls_are_launched() {
        let limit = AbandonLimit::us(Tz::UTC, day("2026-01-01"));
        let spent = Tally { live_answers: 100, abandoned: 3, connected: 97 };
        let air = |in_flight| InAir { in_flight, waiting: 0, reserved: 2 };
        assert!(may_launch(&limit, &spent, &air(1), Answers::Here));
        assert!(!may_launch(&limit, &spent, &air(2), Answers::Here));
        assert!(!may_release(&limit, &spent, &air(2), Answers::Here));
        assert!(may_release(&limit, &spent, &air(1), Answers::Here));
    }

    #[test]
    fn over_a_windows_end_only_abandons_are_sure_to_stand_below_the_line() {
        let limit = AbandonLimit { limit_ppm: 100_000, ..AbandonLimit::uk(day("2026-01-01")) };
        for formula in [Formula::LiveAnswers, Formula::AbandonedPlusConnected] {
            let limit = AbandonLimit { formula, ..limit };
            let none = Tally::default();
            // Nine answer before midnight and take the nine agents; the tenth is all there is after.
            let air = InAir { in_flight: 9, waiting: 0, reserved: 9 };
            assert!(!may_launch(&limit, &none, &air, Answers::HereOrElsewhere), "{formula:?}");
            let covered = InAir { in_flight: 8, ..air };
            assert!(may_launch(&limit, &none, &covered, Answers::HereOrElsewhere), "{formula:?}");
        }
        let law = AbandonLimit { formula: Formula::LiveAnswers, ..limit };
        let air = InAir { in_flight: 9, waiting: 0, reserved: 9 };
        assert!(may_launch(&law, &Tally::default(), &air, Answers::Here), "one of ten is 10 %");
    }

    #[test]
    fn over_the_limit_no_number_of_calls_in_the_air_pays_for_an_uncovered_one() {
        let limit = AbandonLimit::us(Tz::UTC, day("2026-01-01"));
        let over = Tally { live_answers: 100, abandoned: 4, connected: 96 };
        // If all 71 were answered, five of 171 would be within 3 %; if none is, four of 100 stay.
        let air = InAir { in_flight: 70, waiting: 0, reserved: 70 };
        assert!(!may_launch(&limit, &over, &air, Answers::Here));
    }
}
