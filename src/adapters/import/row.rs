//! One row or record to one contact, or the reason why not: the same for files and CRMs.

use chrono_tz::Tz;

use crate::adapters::store::lists::NewContact;

use super::mapping::{Mapping, MappingError};
use super::numbers::{Region, normalise};
use super::zone::{parse_zone, zone_of};

/// The longest name or reference, characters.
const NAME_MAX: usize = 200;
/// The longest other value, characters.
const FIELD_MAX: usize = 4_000;

/// What a column is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The number to dial.
    Phone,
    /// The person's name.
    Name,
    /// Its first part.
    FirstName,
    /// Its last part.
    LastName,
    /// The CRM's id of the person.
    ExternalRef,
    /// The time zone.
    Zone,
    /// Smaller ones are dialled first.
    Priority,
    /// Shown to the agent under this name.
    Field(String),
}

impl Target {
    /// Reads the target of a mapping; any other word is a field of that name.
    pub fn of(word: &str) -> Self {
        match word {
            "phone" => Self::Phone,
            "name" => Self::Name,
            "first_name" => Self::FirstName,
            "last_name" => Self::LastName,
            "external_ref" => Self::ExternalRef,
            "zone" => Self::Zone,
            "priority" => Self::Priority,
            field => Self::Field(field.to_owned()),
        }
    }

    /// The word of a mapping.
    pub fn word(&self) -> &str {
        match self {
            Self::Phone => "phone",
            Self::Name => "name",
            Self::FirstName => "first_name",
            Self::LastName => "last_name",
            Self::ExternalRef => "external_ref",
            Self::Zone => "zone",
            Self::Priority => "priority",
            Self::Field(name) => name,
        }
    }
}

/// How a source is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// What goes where.
    pub map: Mapping,
    /// The country of numbers written without one.
    pub region: Option<Region>,
    /// The zone of contacts whose row and number tell none.
    pub zone: Option<Tz>,
}

/// Why a source cannot be read as told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadingError {
    /// The mapping.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The region.
    #[error("{0:?} is no country; write its two letters, for example UA")]
    Region(String),
    /// The zone.
    #[error("{0:?} is no time zone; write its IANA name, for example Europe/Kyiv")]
    Zone(String),
}

impl Reading {
    /// Reads what the API and the command line pass on; empty texts are as good as none.
    pub fn parse(
        map: Option<&str>,
        region: Option<&str>,
        zone: Option<&str>,
    ) -> Result<Self, ReadingError> {
        let told = |text: Option<&str>| {
            text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let region = told(region)
            .map(|text| Region::parse(&text).ok_or(ReadingError::Region(text)))
            .transpose()?;
        let zone =
            told(zone).map(|text| parse_zone(&text).ok_or(ReadingError::Zone(text))).transpose()?;
        Ok(Self { map: Mapping::parse(map.unwrap_or(""))?, region, zone })
    }
}

/// Why a row is no contact.
#[derive(Clone, PartialEq, Eq)]
pub struct Fault {
    /// The column's name.
    pub column: String,
    /// In words.
    pub reason: String,
    /// The value that was refused; personal data, for the reject file alone.
    pub raw: String,
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fault")
            .field("column", &self.column)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// A column's meaning and its name in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What it is.
    pub target: Target,
    /// What it is called.
    pub name: String,
}

/// Reads one row; `values` stand in the order of `columns`.
pub fn contact<'v>(
    reading: &Reading,
    columns: &[Column],
    values: impl IntoIterator<Item = &'v str>,
) -> Result<NewContact, Fault> {
    let mut phone = None;
    let mut whole = String::new();
    let (mut first, mut last) = (String::new(), String::new());
    let mut external_ref = String::new();
    let mut zone = None;
    let mut priority = 0;
    let mut fields = vec![];
    for (column, value) in columns.iter().zip(values) {
        let value = value.trim();
        let fault = |reason: String| Fault {
            column: column.name.clone(),
            reason,
            raw: value.chars().take(FIELD_MAX).collect(),
        };
        let longest = if matches!(column.target, Target::Field(_)) { FIELD_MAX } else { NAME_MAX };
        if value.chars().count() > longest {
            return Err(fault(format!("longer than {longest} characters")));
        }
        match &column.target {
            Target::Phone => {
                let read = normalise(value, reading.region);
                phone = Some(read.map_err(|why| fault(why.to_string()))?);
            }
            Target::Name => value.clone_into(&mut whole),
            Target::FirstName => value.clone_into(&mut first),
            Target::LastName => value.clone_into(&mut last),
            Target::ExternalRef => value.clone_into(&mut external_ref),
            Target::Zone | Target::Priority | Target::Field(_) if value.is_empty() => {}
            Target::Zone => {
                let read = parse_zone(value);
                zone = Some(read.ok_or_else(|| fault("unknown time zone".into()))?);
            }
            Target::Priority => {
                priority = value.parse().map_err(|_| fault("not a whole number".into()))?;
            }
            Target::Field(name) => fields.push((name.clone(), value.to_owned())),
        }
    }
    let phone_fault = |reason: &str, raw: String| {
        let column = columns.iter().find(|column| column.target == Target::Phone);
        let column = column.map(|column| column.name.clone()).unwrap_or_default();
        Fault { column, reason: reason.into(), raw }
    };
    let number = phone.ok_or_else(|| phone_fault("no number", String::new()))?;
    let several = "its country has several time zones and the number does not tell which; \
                   add a column with the zone, or name one for the list (--zone)";
    let zone = zone
        .or_else(|| zone_of(number.e164))
        .or(reading.zone)
        .ok_or_else(|| phone_fault(several, number.e164.to_string()))?;
    let name = if whole.is_empty() { format!("{first} {last}").trim().to_owned() } else { whole };
    Ok(NewContact {
        external_ref,
        name,
        number: number.e164,
        zone,
        number_type: number.number_type,
        priority,
        fields,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reading: &Reading, cells: &[(&str, &str)]) -> Result<NewContact, Fault> {
        let columns: Vec<Column> = cells
            .iter()
            .map(|(target, _)| Column { target: Target::of(target), name: (*target).to_owned() })
            .collect();
        contact(reading, &columns, cells.iter().map(|(_, value)| *value))
    }

    #[test]
    fn a_row_becomes_a_contact_with_its_fields_in_order() {
        let cells = [
            ("first_name", "Оксана"),
            ("city", "Київ"),
            ("phone", "+380501234567"),
            ("last_name", "Шевченко"),
            ("empty", ""),
            ("debt", "120"),
        ];
        let contact = read(&Reading::default(), &cells).unwrap();
        assert_eq!(contact.name, "Оксана Шевченко");
        assert_eq!(contact.zone, Tz::Europe__Kyiv);
        let fields = [("city".to_owned(), "Київ".to_owned()), ("debt".into(), "120".into())];
        assert_eq!(contact.fields, fields);
    }

    #[test]
    fn the_zone_of_the_row_goes_before_that_of_the_number_and_the_lists_comes_last() {
        let list = Reading { zone: Some(Tz::Europe__Moscow), ..Reading::default() };
        let zone = |cells: &[(&str, &str)]| read(&list, cells).map(|contact| contact.zone);
        let row = [("phone", "+380501234567"), ("zone", "Europe/London")];
        assert_eq!(zone(&row), Ok(Tz::Europe__London));
        assert_eq!(zone(&[("phone", "+380501234567")]), Ok(Tz::Europe__Kyiv));
        assert_eq!(zone(&[("phone", "+79161234567")]), Ok(Tz::Europe__Moscow));
        let fault = read(&Reading::default(), &[("phone", "+79161234567")]).unwrap_err();
        assert!(fault.reason.contains("several time zones"), "{fault:?}");
    }

    #[test]
    fn a_fault_names_column_reason_and_value() {
        let row = [("phone", "+380501234567"), ("priority", "high")];
        let fault = read(&Reading::default(), &row).unwrap_err();
        assert_eq!((fault.column.as_str(), fault.raw.as_str()), ("priority", "high"));
        assert!(!format!("{fault:?}").contains("high"), "values stay out of logs");
    }
}
