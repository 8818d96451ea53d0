//! What a page of a CRM's segment holds, and how a record's values are found by dotted paths.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::adapters::import::mapping::{Mapping, MappingError};
use crate::adapters::import::row::{Column, Fault, Reading, Target, contact};
use crate::adapters::store::lists::NewContact;

/// A page of a segment: `{"records": […], "next": …, "total": …}`, or the records alone.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Page {
    /// With what belongs to it.
    Full {
        /// The records.
        records: Vec<Value>,
        /// Where the next page is; `null` after the last.
        #[serde(default, deserialize_with = "present")]
        next: Next,
        /// How many records there are in all.
        #[serde(default)]
        total: Option<u64>,
    },
    /// The records alone.
    Bare(Vec<Value>),
}

/// What a page says of the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Next {
    /// Nothing: pages are counted.
    #[default]
    Unsaid,
    /// There is none.
    Last,
    /// It is there.
    At(String),
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Next, D::Error> {
    let next = Option::<String>::deserialize(deserializer)?;
    Ok(next.filter(|next| !next.is_empty()).map_or(Next::Last, Next::At))
}

/// Where each part of a contact stands in a record.
#[derive(Debug, Clone)]
pub struct Paths(Vec<Column>);

impl Paths {
    /// With a mapping, what it names and nothing else; without one, what the members of the first
    /// record suggest by their names.
    pub fn of(map: &Mapping, first: Option<&Value>) -> Result<Self, MappingError> {
        if map.pairs().is_empty() {
            let plain = |member: &(&String, &Value)| !member.1.is_object() && !member.1.is_array();
            let members = first.and_then(Value::as_object).map(Map::iter).into_iter().flatten();
            let names: Vec<String> = members.filter(plain).map(|(name, _)| name.clone()).collect();
            let targets = map.columns(&names)?;
            let columns = targets.into_iter().zip(names);
            return Ok(Self(columns.map(|(target, name)| Column { target, name }).collect()));
        }
        if !map.pairs().iter().any(|(target, _)| *target == Target::Phone) {
            return Err(MappingError::NoPhone { present: "(as mapped)".into() });
        }
        let columns = map.pairs().iter();
        let columns =
            columns.map(|(target, path)| Column { target: target.clone(), name: path.clone() });
        Ok(Self(columns.collect()))
    }

    /// Reads one record.
    pub fn contact(&self, reading: &Reading, record: &Value) -> Result<NewContact, Fault> {
        let values: Vec<Cow<'_, str>> =
            self.0.iter().map(|column| text_at(record, &column.name)).collect();
        contact(reading, &self.0, values.iter().map(AsRef::as_ref))
    }
}

/// The value at a dotted path such as `phones.0.number`; empty where there is none. A member whose
/// own name has a dot is found as well.
fn text_at<'v>(record: &'v Value, path: &str) -> Cow<'v, str> {
    let whole = record.get(path);
    let found = whole.or_else(|| {
        path.split('.').try_fold(record, |value, step| match value {
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            other => other.get(step),
        })
    });
    match found {
        None | Some(Value::Null) => Cow::Borrowed(""),
        Some(Value::String(text)) => Cow::Borrowed(text),
        Some(other) => Cow::Owned(other.to_string()),
    }
}

/// The address of `rel="next"` in a Link header (RFC 8288 §3).
pub fn next_link(header: &str) -> Option<&str> {
    header.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters.split(';').any(|parameter| {
            let (name, value) = parameter.trim().split_once('=').unwrap_or(("", ""));
            name.trim().eq_ignore_ascii_case("rel")
                && value
                    .trim()
                    .trim_matches('"')
                    .split(' ')
                    .any(|rel| rel.eq_ignore_ascii_case("next"))
        });
        is_next.then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page(value: Value) -> Page {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_page_says_whether_there_is_another_or_says_nothing() {
        let next = |value: Value| match page(value) {
            Page::Full { next, .. } => next,
            Page::Bare(_) => panic!("bare"),
        };
        assert_eq!(next(json!({ "records": [] })), Next::Unsaid);
        assert_eq!(next(json!({ "records": [], "next": null })), Next::Last);
        assert_eq!(next(json!({ "records": [], "next": "/p2" })), Next::At("/p2".into()));
        assert!(matches!(page(json!([{ "a": 1 }])), Page::Bare(records) if records.len() == 1));
    }

    #[test]
    fn dotted_paths_lead_through_members_and_places() {
        let record = json!({ "phones": [{ "number": "+380501234567" }], "score": 7, "a.b": "x", "no": null });
        assert_eq!(text_at(&record, "phones.0.number"), "+380501234567");
        assert_eq!(text_at(&record, "score"), "7");
        assert_eq!(text_at(&record, "a.b"), "x");
        for nothing in ["phones.1.number", "phones.x", "no", "none", ""] {
            assert_eq!(text_at(&record, nothing), "", "{nothing}");
        }
    }

    #[test]
    fn with_a_mapping_only_what_it_names_is_taken() {
        let record =
            json!({ "id": 5, "full_name": "Ірина", "tel": "+380501234567", "iban": "secret" });
        let map = Mapping::parse("phone=tel,name=full_name,external_ref=id,vip=vip").unwrap();
        let paths = Paths::of(&map, Some(&record)).unwrap();
        let contact = paths.contact(&Reading::default(), &record).unwrap();
        assert_eq!((contact.name.as_str(), contact.external_ref.as_str()), ("Ірина", "5"));
        assert_eq!(contact.fields, []);
        let guessed = Paths::of(&Mapping::default(), Some(&record)).unwrap();
        let contact = guessed.contact(&Reading::default(), &record).unwrap();
        assert_eq!(contact.fields.len(), 1, "{:?}", contact.fields);
    }

    #[test]
    fn the_next_link_is_found_among_others() {
        let header = r#"<https://a/x?p=1>; rel="prev", <https://a/x?p=3>; rel="next last""#;
        assert_eq!(next_link(header), Some("https://a/x?p=3"));
        assert_eq!(next_link("<https://a>; rel=last"), None);
        assert_eq!(next_link("nonsense"), None);
    }
}
