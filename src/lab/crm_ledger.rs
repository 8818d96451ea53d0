//! What the lab's CRM learned from the events posted to it, counted by itself alone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Distinct events kept: a demo of 5,000 contacts posts 15,000.
pub const EVENTS_MAX: usize = 300_000;

/// The CRM's side of the books.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrmLedger {
    /// Records handed out by the segment's pages.
    pub contacts_served: u64,
    /// Posts that came, whatever became of them.
    pub posts: u64,
    /// Posts without a valid signature.
    pub refused_signatures: u64,
    /// Posts whose body was no event.
    pub malformed: u64,
    /// Posts turned away while down or failing.
    pub turned_away: u64,
    /// Distinct events.
    pub events: u64,
    /// Deliveries of an event that was here before.
    pub duplicates: u64,
    /// Events that are older than one of the same person taken before them.
    pub out_of_order: u64,
    /// Distinct events by type.
    pub by_type: BTreeMap<String, u64>,
    /// Distinct attempts that ended.
    pub attempts: u64,
    /// `call.ended` events beyond the first of an attempt, under another id.
    pub ended_twice: u64,
    /// Attempts by result code.
    pub results: BTreeMap<String, u64>,
    /// Distinct attempts whose record popped up at an agent.
    pub connects: u64,
    /// Attempts by disposition code; the last one counts.
    pub dispositions: BTreeMap<String, u64>,
    /// Distinct people.
    pub people: u64,
    /// One row an attempt, by its uuid.
    pub rows: BTreeMap<String, CrmRow>,
}

/// One attempt as the CRM knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrmRow {
    /// The CRM's own id of the person.
    pub person: String,
    /// Result code, once it ended.
    pub result: Option<String>,
    /// An agent saw the record.
    pub screenpop: bool,
    /// What the agent said it meant.
    pub disposition: Option<String>,
}

/// Takes events in.
#[derive(Debug, Default)]
pub(super) struct Books {
    ledger: CrmLedger,
    seen: BTreeSet<String>,
    /// The latest `time` of each person, as RFC 3339 text of one form, which sorts as time does.
    latest: BTreeMap<String, i64>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is new.
    New,
    /// It was here before.
    Duplicate,
    /// It is no event.
    Malformed,
    /// There is no room for more.
    Full,
}

impl Books {
    /// The ledger as it stands.
    pub(super) fn ledger(&self) -> CrmLedger {
        let mut ledger = self.ledger.clone();
        ledger.people = self.latest.len() as u64;
        for row in ledger.rows.values() {
            ledger.attempts += u64::from(row.result.is_some());
            ledger.connects += u64::from(row.screenpop);
            if let Some(code) = &row.result {
                *ledger.results.entry(code.clone()).or_default() += 1;
            }
            if let Some(code) = &row.disposition {
                *ledger.dispositions.entry(code.clone()).or_default() += 1;
            }
        }
        ledger
    }

    /// The counters of posts that are not events.
    pub(super) fn counters(&mut self) -> &mut CrmLedger {
        &mut self.ledger
    }

    /// Takes the body of a signed post. `id` is its `webhook-id`.
    pub(super) fn take(&mut self, id: &str, body: &[u8]) -> Taken {
        let Some(event) = Event::read(body).filter(|event| event.id == id) else {
            self.ledger.malformed += 1;
            return Taken::Malformed;
        };
        if self.seen.contains(id) {
            self.ledger.duplicates += 1;
            return Taken::Duplicate;
        }
        if self.seen.len() >= EVENTS_MAX {
            return Taken::Full;
        }
        self.seen.insert(id.to_owned());
        self.ledger.events += 1;
        *self.ledger.by_type.entry(event.kind.clone()).or_default() += 1;
        if let Some(person) = &event.person {
            let latest = self.latest.entry(person.clone()).or_insert(event.time_ms);
            if event.time_ms < *latest {
                self.ledger.out_of_order += 1;
            }
            *latest = event.time_ms.max(*latest);
        }
        self.enter(event);
        Taken::New
    }

    fn enter(&mut self, event: Event) {
        let Some(attempt) = event.attempt else {
            return;
        };
        let row = self.ledger.rows.entry(attempt).or_default();
        if let Some(person) = event.person {
            row.person = person;
        }
        match event.kind.as_str() {
            "campanile.call.ended" => {
                self.ledger.ended_twice += u64::from(row.result.is_some());
                row.result = Some(event.code.unwrap_or_default());
            }
            "campanile.screenpop" => row.screenpop = true,
            "campanile.record.disposition" => row.disposition = event.code,
            _ => {}
        }
    }
}

/// What the books need of a CloudEvents envelope.
struct Event {
    id: String,
    kind: String,
    time_ms: i64,
    attempt: Option<String>,
    person: Option<String>,
    code: Option<String>,
}

impl Event {
    fn read(body: &[u8]) -> Option<Self> {
        let event: Value = serde_json::from_slice(body).ok()?;
        let text = |pointer: &str| event.pointer(pointer)?.as_str().map(str::to_owned);
        let any = |pointers: &[&str]| pointers.iter().find_map(|pointer| text(pointer));
        if text("/specversion")? != "1.0" || text("/source")?.is_empty() {
            return None;
        }
        let time = chrono::DateTime::parse_from_rfc3339(&text("/time")?).ok()?;
        let of_subject =
            text("/subject").and_then(|s| Some(s.strip_prefix("attempt/")?.to_owned()));
        let kind = text("/type")?;
        let code = match kind.as_str() {
            "campanile.call.ended" => any(&["/data/result/code", "/data/result", "/data/code"]),
            _ => any(&["/data/disposition/code", "/data/disposition", "/data/code"]),
        };
        Some(Self {
            id: text("/id")?,
            time_ms: time.timestamp_millis(),
            attempt: of_subject.or_else(|| text("/data/attempt")),
            person: any(&["/data/person/external_ref", "/data/external_ref"]),
            kind,
            code,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, kind: &str, second: u32, attempt: &str, data: &str) -> Vec<u8> {
        format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"campanile/x","type":"campanile.{kind}",
            "subject":"attempt/{attempt}","time":"2026-01-05T10:00:{second:02}Z",
            "data":{{"person":{{"external_ref":"CRM-1"}}{data}}}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn an_attempts_story_becomes_one_row_however_often_it_is_told() {
        let mut books = Books::default();
        for _ in 0..3 {
            books.take("1", &event("1", "screenpop", 1, "a", ""));
            books.take("2", &event("2", "call.ended", 2, "a", r#","result":"connected""#));
            books.take("3", &event("3", "record.disposition", 3, "a", r#","code":"success""#));
            books.take("4", &event("4", "call.ended", 4, "b", r#","result":{"code":"busy"}"#));
        }
        let ledger = books.ledger();
        assert_eq!((ledger.events, ledger.duplicates, ledger.out_of_order), (4, 8, 0));
        assert_eq!((ledger.attempts, ledger.connects, ledger.people), (2, 1, 1));
        assert_eq!(ledger.results, [("busy".into(), 1), ("connected".into(), 1)].into());
        assert_eq!(ledger.dispositions, [("success".into(), 1)].into());
        assert_eq!(ledger.by_type["campanile.call.ended"], 2);
    }

    #[test]
    fn an_older_event_after_a_newer_one_of_the_same_person_is_out_of_order() {
        let mut books = Books::default();
        books.take("2", &event("2", "call.ended", 2, "a", ""));
        books.take("1", &event("1", "screenpop", 1, "a", ""));
        assert_eq!(books.ledger().out_of_order, 1);
    }

    #[test]
    fn an_attempt_that_ends_twice_is_seen() {
        let mut books = Books::default();
        books.take("1", &event("1", "call.ended", 1, "a", r#","result":"busy""#));
        books.take("2", &event("2", "call.ended", 2, "a", r#","result":"busy""#));
        assert_eq!((books.ledger().attempts, books.ledger().ended_twice), (1, 1));
    }

    #[test]
    fn a_body_that_is_no_event_or_whose_id_differs_is_malformed() {
        let mut books = Books::default();
        assert_eq!(books.take("1", b"{}"), Taken::Malformed);
        assert_eq!(books.take("9", &event("1", "screenpop", 1, "a", "")), Taken::Malformed);
        assert_eq!((books.ledger().malformed, books.ledger().events), (2, 0));
    }
}
