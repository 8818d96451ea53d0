//! When a person may be called, judged on the clock of the contact's own zone.

use chrono::{Datelike, Days, TimeZone, Timelike, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::time::Utc;

const MINUTES_A_DAY: u16 = 24 * 60;

/// One span of a day: `from <= minute < to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaySpan {
    /// Days it holds on.
    pub days: Days7,
    /// First minute of the day, 0–1439.
    pub from_minute: u16,
    /// First minute that is no longer in it, 1–1440.
    pub to_minute: u16,
}

/// A set of weekdays, Monday the lowest bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Days7(u8);

impl Days7 {
    /// Monday to Sunday.
    pub const ALL: Self = Self(0x7f);
    /// Monday to Friday.
    pub const WORKDAYS: Self = Self(0x1f);

    /// Whether `day` is in the set.
    pub fn has(self, day: Weekday) -> bool {
        self.0 & (1 << day.num_days_from_monday()) != 0
    }
}

/// The spans in which a campaign may call. None at all means never.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallingHours {
    /// Spans, in any order; they may overlap.
    pub spans: Vec<DaySpan>,
}

impl Default for CallingHours {
    /// Every day from 9 to 20: inside most laws on workdays, not all (docs/compliance.md).
    fn default() -> Self {
        Self::daily(9 * 60, 20 * 60)
    }
}

impl CallingHours {
    /// The same span every day.
    pub fn daily(from_minute: u16, to_minute: u16) -> Self {
        Self { spans: vec![DaySpan { days: Days7::ALL, from_minute, to_minute }] }
    }

    /// Day and night.
    pub fn all_day() -> Self {
        Self::daily(0, MINUTES_A_DAY)
    }

    /// Whether someone in `zone` may be called at `at`.
    pub fn is_open(&self, zone: Tz, at: Utc) -> bool {
        let local = zone.from_utc_datetime(&at.to_chrono().naive_utc());
        let minute = u16::try_from(local.hour() * 60 + local.minute()).unwrap_or(0);
        self.spans.iter().any(|span| {
            span.days.has(local.weekday()) && (span.from_minute..span.to_minute).contains(&minute)
        })
    }

    /// The first instant at or after `at` when someone in `zone` may be called; `None` if never.
    pub fn next_open(&self, zone: Tz, at: Utc) -> Option<Utc> {
        if self.is_open(zone, at) {
            return Some(at);
        }
        let today = zone.from_utc_datetime(&at.to_chrono().naive_utc()).date_naive();
        // Eight days hold every weekday once more than needed, so a span skipped by a change of
        // the clocks is met again.
        (0..9)
            .filter_map(|n| today.checked_add_days(Days::new(n)))
            .flat_map(|day| {
                self.spans.iter().filter(move |span| span.days.has(day.weekday())).filter_map(
                    move |span| {
                        let (hour, minute) = (span.from_minute / 60, span.from_minute % 60);
                        let start = day.and_hms_opt(u32::from(hour), u32::from(minute), 0)?;
                        let start = zone.from_local_datetime(&start).earliest()?;
                        Some(Utc::from_ms(start.timestamp_millis()))
                    },
                )
            })
            .filter(|start| *start >= at && self.is_open(zone, *start))
            .min()
    }

    /// The first span that cannot be: empty, or past the end of the day.
    pub fn fault(&self) -> Option<DaySpan> {
        self.spans
            .iter()
            .find(|span| span.from_minute >= span.to_minute || span.to_minute > MINUTES_A_DAY)
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(text: &str) -> Utc {
        Utc::from_ms(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
    }

    #[test]
    fn the_contacts_own_clock_decides() {
        let hours = CallingHours::daily(9 * 60, 20 * 60);
        let at = ms("2026-11-24T07:30:00Z");
        assert!(hours.is_open(Tz::Europe__Kyiv, at), "9:30 in Kyiv");
        assert!(!hours.is_open(Tz::Europe__London, at), "7:30 in London");
        assert_eq!(hours.next_open(Tz::Europe__London, at), Some(ms("2026-11-24T09:00:00Z")));
    }

    #[test]
    fn the_last_minute_is_not_in_the_span() {
        let hours = CallingHours::daily(9 * 60, 20 * 60);
        assert!(hours.is_open(Tz::Europe__Kyiv, ms("2026-11-24T17:59:59Z")));
        assert!(!hours.is_open(Tz::Europe__Kyiv, ms("2026-11-24T18:00:00Z")));
    }

    #[test]
    fn a_weekend_is_passed_over() {
        let hours = CallingHours {
            spans: vec![DaySpan { days: Days7::WORKDAYS, from_minute: 540, to_minute: 1080 }],
        };
        let friday_evening = ms("2026-11-27T20:00:00Z");
        assert_eq!(hours.next_open(Tz::UTC, friday_evening), Some(ms("2026-11-30T09:00:00Z")));
    }

    #[test]
    fn without_spans_nobody_is_ever_called() {
        let never = CallingHours { spans: vec![] };
        assert_eq!(never.next_open(Tz::UTC, Utc::from_ms(0)), None);
    }

    proptest! {
        /// In any zone and across every change of the clocks: what next_open names is open, and
        /// nothing between is, to the minute.
        #[test]
        fn next_open_is_the_first_open_minute(
            at in 1_760_000_000i64..1_830_000_000,
            zone in prop::sample::select(vec![
                Tz::Europe__Kyiv, Tz::America__New_York, Tz::Asia__Kolkata, Tz::Australia__Lord_Howe,
            ]),
            from in 0u16..1439,
            len in 1u16..600,
        ) {
            let hours = CallingHours::daily(from, (from + len).min(1440));
            let at = Utc::from_ms(at * 1000);
            let open = hours.next_open(zone, at).unwrap();
            prop_assert!(hours.is_open(zone, open));
            let mut minute = at.as_ms().div_euclid(60_000) * 60_000 + 60_000;
            while minute < open.as_ms() {
                prop_assert!(!hours.is_open(zone, Utc::from_ms(minute)));
                minute += 60_000;
            }
        }
    }
}
