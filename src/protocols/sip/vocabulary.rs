//! The words of SIP: methods and the standard phrases of statuses. The only file that names rsip.
//!
//! docs/decisions say why rsip stays a dictionary: as a parser it misreads or refuses twelve of
//! the thirteen valid torture messages of RFC 4475 §3.1.1.

use std::fmt;

pub use rsip::Method as KnownMethod;

/// A request's method. Unknown ones are kept, because they still deserve a 501 (RFC 3261 §8.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// One of the methods the RFCs define.
    Known(KnownMethod),
    /// Any other token.
    Other(String),
}

impl Method {
    /// RFC 3261 §17: acknowledges a final response to an INVITE.
    pub const ACK: Self = Self::Known(KnownMethod::Ack);
    /// RFC 3261 §15: ends a session.
    pub const BYE: Self = Self::Known(KnownMethod::Bye);
    /// RFC 3261 §9: takes an unanswered INVITE back.
    pub const CANCEL: Self = Self::Known(KnownMethod::Cancel);
    /// RFC 6086: information inside a dialog.
    pub const INFO: Self = Self::Known(KnownMethod::Info);
    /// RFC 3261 §13: opens or changes a session.
    pub const INVITE: Self = Self::Known(KnownMethod::Invite);
    /// RFC 6665: news of a subscription.
    pub const NOTIFY: Self = Self::Known(KnownMethod::Notify);
    /// RFC 3261 §11: asks what the far side can do, or whether it is there.
    pub const OPTIONS: Self = Self::Known(KnownMethod::Options);
    /// RFC 3262: acknowledges a reliable provisional response.
    pub const PRACK: Self = Self::Known(KnownMethod::PRack);
    /// RFC 3261 §10: binds a contact to an address of record.
    pub const REGISTER: Self = Self::Known(KnownMethod::Register);
    /// RFC 3311: changes a session without a new answer from a person.
    pub const UPDATE: Self = Self::Known(KnownMethod::Update);

    /// Reads a token. Methods are case-sensitive (RFC 3261 §7.1), so `invite` is an unknown one.
    pub fn from_token(token: &str) -> Self {
        // rsip reads methods without case; only the spelling it would write is that method.
        match token.parse::<KnownMethod>() {
            Ok(method) if method.to_string() == token => Self::Known(method),
            Ok(_) | Err(_) => Self::Other(token.to_owned()),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(method) => method.fmt(f),
            Self::Other(token) => f.write_str(token),
        }
    }
}

/// The phrase the RFCs put beside a status, `Unknown` where they have none.
pub fn phrase(status: u16) -> String {
    let named = rsip::StatusCode::from(status);
    if matches!(named, rsip::StatusCode::Other(..)) {
        return "Unknown".to_owned();
    }
    // rsip prints the bare name of its variant ("486 BusyHere"); the words begin at the capitals.
    let joined = named.to_string();
    let name = joined.split_once(' ').map_or("", |(_, name)| name);
    let mut words = String::with_capacity(name.len() + 4);
    let mut previous_is_lower = false;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && previous_is_lower {
            words.push(' ');
        }
        previous_is_lower = letter.is_ascii_lowercase();
        words.push(letter);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_method_survives_the_wire() {
        for method in KnownMethod::all() {
            assert_eq!(Method::from_token(&method.to_string()), Method::Known(method));
        }
    }

    #[test]
    fn an_unknown_or_lower_case_method_is_kept_as_it_was_written() {
        for token in ["invite", "!interesting-Method0123456789_*+`.%indeed'~"] {
            assert_eq!(Method::from_token(token).to_string(), token);
        }
    }

    #[test]
    fn phrases_read_like_the_rfc() {
        assert_eq!(phrase(200), "OK");
        assert_eq!(phrase(486), "Busy Here");
        assert_eq!(phrase(481), "Call Transaction Does Not Exist");
        assert_eq!(phrase(699), "Unknown");
    }
}
