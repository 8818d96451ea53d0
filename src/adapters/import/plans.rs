//! The plainest parts of some numbering plans, as a table: prefixes under which every number of one
//! length is valid and of one kind. What is not here is left to the `phonenumber` crate.

use super::area_codes::NANP;
use crate::domain::contact::NumberType;

/// Numbers that begin with one of `heads` and have `digits` digits in all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// First digits, country code included.
    pub(super) heads: &'static [&'static str],
    /// Digits in all.
    pub(super) digits: usize,
    /// Kind of line.
    pub(super) number_type: NumberType,
}

const fn plan(heads: &'static [&'static str], digits: usize, number_type: NumberType) -> Plan {
    Plan { heads, digits, number_type }
}

use NumberType::{FixedLine, FixedOrMobile, Mobile};

const PLANS: &[Plan] = &[
    // Ukraine (NKEK).
    plan(
        &[
            "38039", "38050", "38063", "38066", "38067", "38068", "38073", "38091", "38092",
            "38093", "38094", "38095", "38096", "38097", "38098", "38099",
        ],
        12,
        Mobile,
    ),
    plan(
        &[
            "38031", "38032", "38033", "38034", "38035", "38036", "38037", "38038", "38041",
            "38043", "38044", "38045", "38046", "38047", "38048", "38051", "38052", "38053",
            "38054", "38055", "38056", "38057", "38061", "38062", "38064", "38065", "38069",
        ],
        12,
        FixedLine,
    ),
    // United Kingdom (Ofcom): London and most mobiles.
    plan(&["44203", "44207", "44208"], 12, FixedLine),
    plan(&["4471", "4472", "4473"], 12, Mobile),
    // Russia (Minsvyaz) and Kazakhstan.
    plan(&["79"], 11, Mobile),
    plan(&["7495", "7499", "7812", "7383", "7343"], 11, FixedLine),
    plan(
        &["7700", "7701", "7702", "7705", "7706", "7707", "7708", "7747", "7771", "7775"],
        11,
        Mobile,
    ),
    // Poland (UKE).
    plan(
        &[
            "4845", "4850", "4851", "4853", "4857", "4860", "4866", "4869", "4872", "4873", "4878",
            "4879", "4888",
        ],
        11,
        Mobile,
    ),
    // Germany (BNetzA): 016x and 017x with eight digits after 01x.
    plan(&["49170", "49171", "49172", "49173", "49174", "49175"], 12, Mobile),
];

/// Area codes of +1 under which not every number is valid: islands with few offices, and codes that
/// are just being opened.
const NANP_PARTIAL: &[u16] = &[
    242, 246, 264, 268, 274, 284, 340, 345, 441, 472, 473, 649, 658, 664, 670, 671, 684, 721, 758,
    767, 784, 787, 809, 829, 849, 868, 869, 876, 939, 983,
];

const NANP_PLAN: Plan = plan(&["1"], 11, FixedOrMobile);

/// The plan that a whole number (digits with country code) falls under.
pub(super) fn find(digits: &str) -> Option<&'static Plan> {
    if digits.len() == NANP_PLAN.digits && digits.starts_with('1') {
        let area: u16 = digits.get(1..4)?.parse().ok()?;
        // The office code begins with 2 to 9, as the area code does (ATIS-0300051).
        let office = matches!(digits.as_bytes().get(4), Some(b'2'..=b'9'));
        let known = NANP.iter().any(|(_, areas)| areas.binary_search(&area).is_ok());
        return (known && office && !NANP_PARTIAL.contains(&area)).then_some(&NANP_PLAN);
    }
    PLANS.iter().find(|plan| {
        plan.digits == digits.len() && plan.heads.iter().any(|head| digits.starts_with(head))
    })
}

/// A number written without `+` in one of these countries, with its country code; `None` where only
/// the crate knows how it is written there.
pub(super) fn with_country(digits: &str, region: &str) -> Option<String> {
    // Country code, digit before a national number, digits of a national number.
    let (code, trunk, national) = match region {
        "US" | "CA" => ("1", "1", 10),
        "UA" => ("380", "0", 9),
        "GB" => ("44", "0", 10),
        "RU" | "KZ" => ("7", "8", 10),
        "PL" => ("48", "", 9),
        _ => return None,
    };
    let bare = if digits.len() == national && !digits.starts_with(code) {
        digits
    } else if !trunk.is_empty() && digits.len() == national + 1 {
        digits.strip_prefix(trunk)?
    } else if digits.len() == national + code.len() {
        digits.strip_prefix(code)?
    } else {
        return None;
    };
    Some(format!("{code}{bare}"))
}

/// Every head with the digits of its numbers, for the test that asks the crate.
#[cfg(test)]
pub(super) fn heads() -> Vec<(String, usize)> {
    let table = PLANS
        .iter()
        .flat_map(|plan| plan.heads.iter().map(|head| ((*head).to_owned(), plan.digits)));
    let america = (200..1_000).map(|area| (format!("1{area}"), NANP_PLAN.digits));
    table.chain(america).collect()
}
