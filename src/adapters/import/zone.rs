//! The time zone of a contact: from its list, or from what its number tells.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use chrono_tz::Tz;

use crate::domain::phone::E164;

use super::area_codes::NANP;
use super::country_codes::ZONES;

/// The longest prefix in the tables, digits.
const PREFIX_DIGITS_MAX: usize = 6;

/// The zone that a number tells; `None` where its country has several and the number does not say.
pub fn zone_of(number: E164) -> Option<Tz> {
    static PREFIXES: OnceLock<BTreeMap<u32, Tz>> = OnceLock::new();
    let prefixes = PREFIXES.get_or_init(|| {
        let world = ZONES.iter().flat_map(|(zone, codes)| codes.iter().map(|code| (*code, *zone)));
        let america = NANP
            .iter()
            .flat_map(|(zone, areas)| areas.iter().map(|area| (1_000 + u32::from(*area), *zone)));
        world.chain(america).collect()
    });
    let digits = number.digits();
    (1..=PREFIX_DIGITS_MAX.min(digits.len()))
        .rev()
        .find_map(|length| prefixes.get(&digits.get(..length)?.parse().ok()?).copied())
}

/// Reads an IANA name, or a distance from UTC in whole hours: `Europe/Kyiv`, `UTC+2`, `+02:00`.
pub fn parse_zone(text: &str) -> Option<Tz> {
    if let Ok(zone) = text.parse::<Tz>() {
        return Some(zone);
    }
    let offset = text.strip_prefix("UTC").or_else(|| text.strip_prefix("GMT")).unwrap_or(text);
    let (east, hours) = match offset.split_at_checked(1)? {
        ("+", hours) => (true, hours),
        ("-" | "−", hours) => (false, hours),
        _ => return None,
    };
    let hours = hours.strip_suffix(":00").unwrap_or(hours);
    let hours: u8 = hours.parse().ok().filter(|hours| *hours <= 12)?;
    // The names of the database count westwards: Etc/GMT-2 lies two hours east of Greenwich.
    let sign = if east { '-' } else { '+' };
    let name = if hours == 0 { "Etc/GMT".to_owned() } else { format!("Etc/GMT{sign}{hours}") };
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Tz> {
        zone_of(E164::parse(text).unwrap())
    }

    #[test]
    fn a_number_tells_its_zone_where_its_country_or_area_has_one() {
        assert_eq!(of("+380501234567"), Some(Tz::Europe__Kyiv));
        assert_eq!(of("+442079460018"), Some(Tz::Europe__London));
        assert_eq!(of("+12125550100"), Some(Tz::America__New_York));
        assert_eq!(of("+13105550100"), Some(Tz::America__Los_Angeles));
        assert_eq!(of("+18085550100"), Some(Tz::Pacific__Honolulu));
        assert_eq!(of("+77012345678"), Some(Tz::Asia__Almaty));
        assert_eq!(of("+73832345678"), Some(Tz::Asia__Novosibirsk));
        assert_eq!(of("+61893201234"), Some(Tz::Australia__Perth));
        assert_eq!(of("+61889201234"), Some(Tz::Australia__Darwin));
        assert_eq!(of("+5592912345678"), Some(Tz::America__Manaus));
    }

    #[test]
    fn a_mobile_number_of_a_country_with_many_zones_tells_none() {
        assert_eq!(of("+79161234567"), None);
        assert_eq!(of("+61412345678"), None);
        assert_eq!(of("+6281234567890"), None);
        assert_eq!(of("+18005550100"), None, "freephone");
    }

    #[test]
    fn no_prefix_stands_twice_in_the_tables() {
        let mut seen = std::collections::BTreeSet::new();
        for (_, codes) in ZONES {
            for code in *codes {
                assert!(seen.insert(*code), "{code}");
                assert!(code.to_string().len() <= PREFIX_DIGITS_MAX, "{code}");
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        for (_, areas) in NANP {
            assert!(areas.is_sorted());
            assert!(areas.iter().all(|area| seen.insert(*area)));
        }
    }

    #[test]
    fn zones_are_names_or_whole_hours_from_utc() {
        assert_eq!(parse_zone("Europe/Kyiv"), Some(Tz::Europe__Kyiv));
        assert_eq!(parse_zone("UTC+2"), Some(Tz::Etc__GMTMinus2));
        assert_eq!(parse_zone("-05:00"), Some(Tz::Etc__GMTPlus5));
        assert_eq!(parse_zone("+00:00"), Some(Tz::Etc__GMT));
        for wrong in ["", "Kyiv", "+05:30", "+99", "2"] {
            assert_eq!(parse_zone(wrong), None, "{wrong}");
        }
    }
}
