//! Numbers as people write them, to E.164: a table for the plainest, the `phonenumber` crate for the
//! rest. Where the table answers, it answers as the crate does; a test compares.

use std::borrow::Cow;

use phonenumber::metadata::DATABASE;
use phonenumber::{Type, country};

use crate::domain::contact::NumberType;
use crate::domain::phone::{E164, NeverDialled, may_dial};

use super::plans::{self, Plan};

/// The longest text that is looked at; numbers with extensions and remarks are far shorter.
const TEXT_MAX: usize = 64;

/// The country whose numbers may be written without a country code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region(country::Id);

impl Region {
    /// Reads a two-letter country code (ISO 3166-1).
    pub fn parse(text: &str) -> Option<Self> {
        text.trim().to_uppercase().parse().ok().map(Self)
    }
}

/// A number that may be dialled, as far as its plan tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    /// The number.
    pub e164: E164,
    /// Kind of line.
    pub number_type: NumberType,
}

/// Why a text is no number to dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberFault {
    /// Nothing there.
    #[error("no number")]
    Empty,
    /// No digits, or signs that belong to no number.
    #[error("not a telephone number")]
    NotANumber,
    /// Nothing says which country it belongs to.
    #[error("no country code: write it as +…, or name the country of the list (--region UA)")]
    NoCountry,
    /// A spreadsheet made a quantity of it and threw digits away.
    #[error("a spreadsheet has rounded this number (3.8E+11); export the column as text")]
    Rounded,
    /// Several numbers in one place.
    #[error("more than one number")]
    Several,
    /// A dialer cannot reach it.
    #[error("has an extension")]
    Extension,
    /// The numbering plan of its country has no such number.
    #[error("no such number in its country's numbering plan")]
    NotInPlan,
    /// Emergency, service or premium rate.
    #[error(transparent)]
    Never(#[from] NeverDialled),
}

/// Reads a number; `region` is the country of numbers written without one.
pub fn normalise(text: &str, region: Option<Region>) -> Result<Number, NumberFault> {
    let text = tidy(text)?;
    if let Some(number) = fast(&text, region) {
        return never_dialled(number);
    }
    slow(&text, region).and_then(never_dialled)
}

/// Takes off what spreadsheets and people put around a number, and refuses what hides two numbers
/// or a lost one.
fn tidy(text: &str) -> Result<Cow<'_, str>, NumberFault> {
    let text =
        text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '\u{200e}'));
    if text.is_empty() {
        return Err(NumberFault::Empty);
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    if digits == 0 || text.len() > TEXT_MAX {
        return Err(NumberFault::NotANumber);
    }
    if is_scientific(text) {
        return Err(NumberFault::Rounded);
    }
    let parts = text
        .split([',', ';', '/', '|'])
        .filter(|part| part.bytes().filter(u8::is_ascii_digit).count() >= 5);
    if parts.count() > 1 {
        return Err(NumberFault::Several);
    }
    // A whole number that went through a floating-point column.
    let text = match text.strip_suffix(".0") {
        Some(whole) if whole.bytes().all(|byte| byte.is_ascii_digit()) => whole,
        _ => text,
    };
    let spaces = |c: char| c.is_whitespace() || matches!(c, '\u{200e}' | '\u{202a}' | '\u{202c}');
    if text.contains(spaces) {
        return Ok(text.replace(spaces, " ").into());
    }
    Ok(text.into())
}

fn is_scientific(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return false };
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    mantissa.contains(|c: char| c.is_ascii_digit())
        && mantissa.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ','))
        && !exponent.is_empty()
        && exponent.bytes().all(|byte| byte.is_ascii_digit())
}

fn never_dialled(number: Number) -> Result<Number, NumberFault> {
    // Only what is never dialled is asked here; what a trunk allows is asked at each call.
    match may_dial(number.e164, &[String::new()]) {
        Ok(()) => Ok(number),
        Err(why) => Err(why.into()),
    }
}

/// The plainest numbers, by table: `None` is "ask the crate", never "no number".
fn fast(text: &str, region: Option<Region>) -> Option<Number> {
    let mut digits = String::with_capacity(16);
    let (plus, rest) = match text.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    for c in rest.chars() {
        match c {
            '0'..='9' => digits.push(c),
            ' ' | '-' | '(' | ')' => {}
            _ => return None,
        }
    }
    let full = if plus { digits } else { plans::with_country(&digits, region?.0.as_ref())? };
    let Plan { number_type, .. } = plans::find(&full)?;
    let e164 = full.parse().ok().and_then(E164::from_digits)?;
    Some(Number { e164, number_type: *number_type })
}

/// Everything else.
fn slow(text: &str, region: Option<Region>) -> Result<Number, NumberFault> {
    // "00" is the way out of most countries, and means nothing else at the head of a list's number.
    let with_plus = match text.strip_prefix("00") {
        Some(rest) if region.is_none() => Some(format!("+{rest}")),
        _ => None,
    };
    let text = with_plus.as_deref().unwrap_or(text);
    if region.is_none() && !text.starts_with('+') && !text.contains("tel:") {
        return Err(NumberFault::NoCountry);
    }
    let mut number = phonenumber::parse(region.map(|region| region.0), text)
        .map_err(|_| NumberFault::NotANumber)?;
    if !phonenumber::is_valid(&number)
        && let Some(kept) = with_trunk_digits(text, region)
        && let Ok(again) = phonenumber::parse(None, kept)
    {
        number = again;
    }
    if number.extension().is_some() {
        return Err(NumberFault::Extension);
    }
    if !phonenumber::is_valid(&number) {
        return Err(NumberFault::NotInPlan);
    }
    let e164 = E164::parse(&format!("+{}{}", number.code().value(), number.national()))
        .map_err(|_| NumberFault::NotInPlan)?;
    let number_type = match number.number_type(&DATABASE) {
        Type::Mobile => NumberType::Mobile,
        Type::FixedLine => NumberType::FixedLine,
        Type::FixedLineOrMobile => NumberType::FixedOrMobile,
        Type::Voip => NumberType::Voip,
        Type::TollFree => NumberType::TollFree,
        Type::PremiumRate => return Err(NeverDialled::Premium.into()),
        Type::Emergency | Type::ShortCode => return Err(NeverDialled::Short.into()),
        _ => NumberType::Unknown,
    };
    Ok(Number { e164, number_type })
}

/// The crate takes the trunk digit 8 off twice, and off numbers in international form as well: of
/// `+7 812 …` (Saint Petersburg) it leaves `+7 12 …`. With two more digits it leaves the right one.
fn with_trunk_digits(text: &str, region: Option<Region>) -> Option<String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let full = match (text.starts_with('+'), region) {
        (true, _) => digits,
        (false, Some(region)) => plans::with_country(&digits, region.0.as_ref())?,
        (false, None) => return None,
    };
    let national = full.strip_prefix('7').filter(|rest| rest.len() == 10)?;
    national.starts_with('8').then(|| format!("+788{national}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str, region: &str) -> Result<String, NumberFault> {
        normalise(text, Region::parse(region)).map(|number| number.e164.to_string())
    }

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (text, region, number) in [
            ("+380 (50) 123-45-67", "", "+380501234567"),
            ("0501234567", "UA", "+380501234567"),
            ("380501234567", "UA", "+380501234567"),
            ("380501234567.0", "UA", "+380501234567"),
            ("'+380501234567", "", "+380501234567"),
            ("00380501234567", "", "+380501234567"),
            ("050\u{a0}123 45 67", "ua", "+380501234567"),
            ("(212) 555-0100", "US", "+12125550100"),
            ("1-212-555-0100", "US", "+12125550100"),
            ("020 7946 0018", "GB", "+442079460018"),
            ("+44 20 7946 0018", "US", "+442079460018"),
            ("8 916 123-45-67", "RU", "+79161234567"),
            ("+7 812 345-67-89", "", "+78123456789"),
            ("8 812 345-67-89", "RU", "+78123456789"),
            ("+7 800 345-67-89", "", "+78003456789"),
            ("+39 06 6982 1234", "", "+390669821234"),
            ("tel:+380501234567", "", "+380501234567"),
        ] {
            assert_eq!(read(text, region), Ok(number.to_owned()), "{text} in {region}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused_with_its_reason() {
        for (text, region, fault) in [
            ("", "UA", NumberFault::Empty),
            ("none", "UA", NumberFault::NotANumber),
            ("3.80501E+11", "UA", NumberFault::Rounded),
            ("3,80501E+11", "UA", NumberFault::Rounded),
            ("0501234567", "", NumberFault::NoCountry),
            ("0501234567, 0671234567", "UA", NumberFault::Several),
            ("+12125550100 ext. 5", "", NumberFault::Extension),
            ("+380001234567", "", NumberFault::NotInPlan),
            ("+1 212 555 010", "", NumberFault::NotInPlan),
            ("+1 900 555 0100", "", NumberFault::Never(NeverDialled::Premium)),
        ] {
            assert_eq!(read(text, region), Err(fault), "{text} in {region}");
        }
    }

    /// Every rule of the table, and every area code, against the crate.
    #[test]
    fn the_table_agrees_with_the_crate() {
        let mut tails = 0u64;
        let mut answered = 0;
        for (head, length) in plans::heads() {
            for _ in 0..12 {
                // A cheap sequence of digits; all tails of a rule are to be valid.
                tails = tails.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
                let tail = format!("{tails:020}");
                let missing = length - head.len();
                let text = format!("+{head}{}", &tail[20 - missing..]);
                let Some(quick) = fast(&text, None) else { continue };
                answered += 1;
                assert_eq!(slow(&text, None), Ok(quick), "{text}");
            }
        }
        assert!(answered > 4_000, "{answered}");
    }

    proptest! {
        /// However a number is written: if the table answers, the crate says the same.
        #[test]
        fn the_table_and_the_crate_agree_on_anything_written(
            head in prop::sample::select(vec!["", "+", "0", "8", "1", "380", "+380", "44", "+1", "+7", "00"]),
            digits in "[0-9]{6,12}",
            region in prop::sample::select(vec!["UA", "US", "CA", "GB", "RU", "KZ", "PL", "DE", "FR"]),
        ) {
            let text = format!("{head}{digits}");
            let region = Region::parse(region);
            if let Some(quick) = fast(&text, region) {
                prop_assert_eq!(slow(&text, region), Ok(quick));
            }
        }

        #[test]
        fn no_text_makes_the_reader_fail_otherwise_than_by_a_reason(text in "\\PC{0,80}") {
            let _ = normalise(&text, None);
            let _ = normalise(&text, Region::parse("UA"));
        }
    }
}
