//! Telephone numbers in E.164 form, masked in `Debug`, and which of them are never dialled.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A phone number in E.164 form, for example `+442079460018`.
///
/// Holds 3 to 15 digits, the first not zero (ITU-T E.164 §6). The `+` is not stored.
/// `Debug` masks the digits: numbers are personal data and stay out of logs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct E164(u64);

/// Why a text is not an [`E164`] number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum E164Error {
    /// The text has no leading `+`.
    #[error("number must start with '+'")]
    NoPlus,
    /// A character other than `0`–`9` at this byte offset.
    #[error("not a digit at byte {0}")]
    NotDigit(usize),
    /// Fewer than 3 or more than 15 digits.
    #[error("{0} digits, E.164 allows 3 to 15")]
    Length(usize),
    /// Country codes never begin with zero.
    #[error("country code starts with 0")]
    LeadingZero,
}

impl E164 {
    /// Parses `+` and 3 to 15 digits; separators are the importer's job.
    pub fn parse(text: &str) -> Result<Self, E164Error> {
        let digits = text.strip_prefix('+').ok_or(E164Error::NoPlus)?;
        if let Some(at) = digits.bytes().position(|b| !b.is_ascii_digit()) {
            return Err(E164Error::NotDigit(at + 1));
        }
        if !(3..=15).contains(&digits.len()) {
            return Err(E164Error::Length(digits.len()));
        }
        if digits.starts_with('0') {
            return Err(E164Error::LeadingZero);
        }
        Ok(Self(digits.bytes().fold(0, |n, b| n * 10 + u64::from(b - b'0'))))
    }

    /// The digits as a number, as the store keeps them.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Back from the store; `None` if it is no number of 3 to 15 digits.
    pub fn from_digits(digits: u64) -> Option<Self> {
        (100..=999_999_999_999_999).contains(&digits).then_some(Self(digits))
    }

    /// The digits without `+`.
    pub fn digits(self) -> String {
        self.0.to_string()
    }

    /// For a page that must not show the whole number: `+4420…18`.
    pub fn masked(self) -> String {
        let digits = self.digits();
        let head = digits.get(..4).unwrap_or(&digits);
        format!("+{head}…{:02}", self.0 % 100)
    }
}

impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E164(…{:02})", self.0 % 100)
    }
}

/// For the wire and for pages of those who may see it.
impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.0)
    }
}

impl Serialize for E164 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for E164 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Why a number is refused whatever a campaign or trunk says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum NeverDialled {
    /// Emergency and short numbers: fewer digits than any subscriber number.
    #[error("too short to be a subscriber's number (emergency or service number)")]
    Short,
    /// Premium rate.
    #[error("premium rate number")]
    Premium,
    /// Not among the prefixes that the trunk may dial.
    #[error("not among the trunk's allowed prefixes")]
    PrefixNotAllowed,
}

/// A subscriber's number has at least this many digits with its country code; emergency and other
/// service numbers (112, +44 999, +1 911, +380 112) have fewer. The shortest subscriber numbers in
/// use, of small island states, have 7 (+290 xxxx, +247 xxxxx).
const SUBSCRIBER_DIGITS_MIN: usize = 7;

/// Premium-rate ranges: country code and prefix, from the national numbering plans.
/// +1 900 and +1 976 (NANPA), +44 9 (Ofcom), +7 809 (Minsvyaz), +380 900 (NKEK), +49 900 (BNetzA),
/// +33 89 (ARCEP), +39 89 (AGCOM), +34 803/806/807 (CNMC), +48 70 (UKE), +61 190 (ACMA),
/// +979 (ITU international premium rate).
const PREMIUM: [&str; 14] = [
    "1900", "1976", "449", "7809", "380900", "49900", "3389", "3989", "34803", "34806", "34807",
    "4870", "61190", "979",
];

/// Whether a trunk with these allowed prefixes (digits, with or without `+`) may dial `number`.
/// An empty list allows none: a machine that dials is told where to.
pub fn may_dial(number: E164, allowed_prefixes: &[String]) -> Result<(), NeverDialled> {
    let digits = number.digits();
    if digits.len() < SUBSCRIBER_DIGITS_MIN {
        return Err(NeverDialled::Short);
    }
    if PREMIUM.iter().any(|prefix| digits.starts_with(prefix)) {
        return Err(NeverDialled::Premium);
    }
    let allowed = allowed_prefixes
        .iter()
        .any(|prefix| digits.starts_with(prefix.strip_prefix('+').unwrap_or(prefix)));
    if allowed { Ok(()) } else { Err(NeverDialled::PrefixNotAllowed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_its_digits_and_hides_them_in_debug() {
        let number = E164::parse("+442079460018").unwrap();
        assert_eq!(number.to_string(), "+442079460018");
        assert_eq!(format!("{number:?}"), "E164(…18)");
        assert_eq!(E164::from_digits(number.get()), Some(number));
    }

    #[test]
    fn broken_numbers_name_their_fault() {
        assert_eq!(E164::parse("44"), Err(E164Error::NoPlus));
        assert_eq!(E164::parse("+44 20"), Err(E164Error::NotDigit(3)));
        assert_eq!(E164::parse("+1234567890123456"), Err(E164Error::Length(16)));
        assert_eq!(E164::parse("+044"), Err(E164Error::LeadingZero));
    }

    #[test]
    fn emergency_short_and_premium_numbers_are_refused_even_if_their_prefix_is_allowed() {
        let all = vec![String::from("+"), "1".into(), "44".into()];
        let check = |text: &str| may_dial(E164::parse(text).unwrap(), &all);
        assert_eq!(check("+1911"), Err(NeverDialled::Short));
        assert_eq!(check("+44999"), Err(NeverDialled::Short));
        assert_eq!(check("+19005550100"), Err(NeverDialled::Premium));
        assert_eq!(check("+449098765432"), Err(NeverDialled::Premium));
        assert_eq!(check("+12125550100"), Ok(()));
    }

    #[test]
    fn without_allowed_prefixes_nothing_is_dialled() {
        let number = E164::parse("+12125550100").unwrap();
        assert_eq!(may_dial(number, &[]), Err(NeverDialled::PrefixNotAllowed));
        assert_eq!(may_dial(number, &["+44".into()]), Err(NeverDialled::PrefixNotAllowed));
        assert_eq!(may_dial(number, &["+1212555".into()]), Ok(()));
    }
}
