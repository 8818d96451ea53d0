//! Which column or path of a source is what: told by `--map`, or guessed from the headers.

use super::row::Target;

/// Columns and fields of a contact at most, as most CRMs export.
pub const COLUMNS_MAX: usize = 200;

/// What goes where, as told: target and source, in the order told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping(Vec<(Target, String)>);

/// Why a mapping cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// A part without `=`.
    #[error("{0:?} is no TARGET=SOURCE, for example phone=Телефон")]
    NoSource(String),
    /// Two sources for one target.
    #[error("{0} is mapped twice")]
    Twice(String),
    /// A source that is not there.
    #[error("there is no column {source_name:?}; there are: {present}")]
    NoColumn {
        /// As told.
        source_name: String,
        /// What there is.
        present: String,
    },
    /// Nothing is the number.
    #[error("no column is the phone number; say which with --map phone=COLUMN. Columns: {present}")]
    NoPhone {
        /// What there is.
        present: String,
    },
    /// More columns than anybody reads.
    #[error("{0} columns; at most {COLUMNS_MAX} can be imported")]
    TooMany(usize),
}

impl Mapping {
    /// Reads `phone=Телефон,name=ПІБ`; an empty text maps nothing.
    pub fn parse(text: &str) -> Result<Self, MappingError> {
        let mut pairs: Vec<(Target, String)> = vec![];
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (target, source) = part.split_once('=').unwrap_or((part, ""));
            let (target, source) = (target.trim(), source.trim());
            if target.is_empty() || source.is_empty() {
                return Err(MappingError::NoSource(part.to_owned()));
            }
            let target = Target::of(target);
            if pairs.iter().any(|(known, _)| *known == target) {
                return Err(MappingError::Twice(target.word().to_owned()));
            }
            pairs.push((target, source.to_owned()));
        }
        if pairs.len() > COLUMNS_MAX {
            return Err(MappingError::TooMany(pairs.len()));
        }
        Ok(Self(pairs))
    }

    /// Targets and their sources.
    pub fn pairs(&self) -> &[(Target, String)] {
        &self.0
    }

    /// What each column of a header row is: as told, else as its name suggests, else a field.
    /// Names are told as they stand in the file, whatever their case.
    pub fn columns(&self, headers: &[String]) -> Result<Vec<Target>, MappingError> {
        let present = || headers.join(", ");
        if headers.len() > COLUMNS_MAX {
            return Err(MappingError::TooMany(headers.len()));
        }
        let mut columns: Vec<Option<Target>> = vec![None; headers.len()];
        for (target, source) in &self.0 {
            let wanted = plain(source);
            let column = headers.iter().position(|header| plain(header) == wanted);
            let Some(slot) = column.and_then(|column| columns.get_mut(column)) else {
                let source_name = source.clone();
                return Err(MappingError::NoColumn { source_name, present: present() });
            };
            *slot = Some(target.clone());
        }
        for (column, header) in headers.iter().enumerate() {
            let Some(slot) = columns.get(column) else { continue };
            if slot.is_some() {
                continue;
            }
            let guess = guess(&plain(header));
            let taken = guess.as_ref().is_some_and(|guess| {
                columns.iter().flatten().any(|target| target == guess)
                    // A whole name makes its parts fields, and the other way round.
                    || (*guess == Target::Name && has_part(&columns))
            });
            let target = guess.filter(|_| !taken);
            if let Some(slot) = columns.get_mut(column) {
                *slot = Some(target.unwrap_or_else(|| Target::Field(header.trim().to_owned())));
            }
        }
        let columns: Vec<Target> = columns.into_iter().flatten().collect();
        if !columns.contains(&Target::Phone) {
            return Err(MappingError::NoPhone { present: present() });
        }
        Ok(columns)
    }
}

fn has_part(columns: &[Option<Target>]) -> bool {
    columns.iter().flatten().any(|target| matches!(target, Target::FirstName | Target::LastName))
}

/// A header without case, spaces and punctuation.
fn plain(header: &str) -> String {
    header.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What a header's name suggests, in English, Ukrainian and Russian.
fn guess(plain: &str) -> Option<Target> {
    let is = |names: &[&str]| names.contains(&plain);
    if is(&[
        "phone",
        "phonenumber",
        "telephone",
        "tel",
        "mobile",
        "mobilephone",
        "cell",
        "cellphone",
        "msisdn",
        "number",
        "phone1",
        "phone01",
        "primaryphone",
        "телефон",
        "номер",
        "номертелефону",
        "номертелефона",
        "мобільний",
        "мобільнийтелефон",
        "мобильный",
        "мобильныйтелефон",
        "телефон1",
        "тел",
    ]) {
        return Some(Target::Phone);
    }
    if is(&[
        "name",
        "fullname",
        "contact",
        "contactname",
        "customer",
        "customername",
        "піб",
        "фио",
        "імя",
        "имя",
        "клієнт",
        "клиент",
        "контакт",
        "прізвищеімяпобатькові",
    ]) {
        return Some(Target::Name);
    }
    if is(&["firstname", "givenname", "fname"]) {
        return Some(Target::FirstName);
    }
    if is(&["lastname", "surname", "familyname", "lname", "прізвище", "фамилия"]) {
        return Some(Target::LastName);
    }
    if is(&[
        "id",
        "externalid",
        "externalref",
        "customerid",
        "contactid",
        "leadid",
        "crmid",
        "accountnumber",
        "vendorleadcode",
        "ідентифікатор",
        "идентификатор",
        "кодклієнта",
        "кодклиента",
    ]) {
        return Some(Target::ExternalRef);
    }
    if is(&["zone", "timezone", "tz", "часовийпояс", "часовойпояс"]) {
        return Some(Target::Zone);
    }
    if is(&["priority", "rank", "пріоритет", "приоритет"]) {
        return Some(Target::Priority);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(text: &str) -> Vec<String> {
        text.split('|').map(str::to_owned).collect()
    }

    #[test]
    fn headers_in_three_languages_are_understood() {
        let no = Mapping::default();
        for text in [
            "Name|Phone Number|Time zone|City",
            "ПІБ|Телефон|Часовий пояс|City",
            "ФИО|Номер телефона|Часовой пояс|City",
        ] {
            let columns = no.columns(&headers(text)).unwrap();
            let field = Target::Field("City".into());
            assert_eq!(columns, [Target::Name, Target::Phone, Target::Zone, field], "{text}");
        }
    }

    #[test]
    fn what_is_told_goes_before_what_is_guessed() {
        let told = Mapping::parse("phone=Work, name=Клієнт").unwrap();
        let columns = told.columns(&headers("phone|work|клієнт")).unwrap();
        assert_eq!(columns, [Target::Field("phone".into()), Target::Phone, Target::Name]);
    }

    #[test]
    fn first_and_last_name_are_taken_when_there_is_no_whole_name() {
        let columns = Mapping::default().columns(&headers("First name|Surname|Phone")).unwrap();
        assert_eq!(columns, [Target::FirstName, Target::LastName, Target::Phone]);
    }

    #[test]
    fn a_mapping_that_cannot_be_says_what_there_is() {
        assert!(matches!(Mapping::parse("phone"), Err(MappingError::NoSource(_))));
        assert!(matches!(Mapping::parse("phone=a,phone=b"), Err(MappingError::Twice(_))));
        let error = Mapping::parse("phone=Tel").unwrap().columns(&headers("A|B")).unwrap_err();
        assert_eq!(error.to_string(), "there is no column \"Tel\"; there are: A, B");
        let error = Mapping::default().columns(&headers("A|B")).unwrap_err();
        assert!(matches!(error, MappingError::NoPhone { .. }), "{error}");
    }
}
