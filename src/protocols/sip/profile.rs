//! What is true of a kind of carrier or PBX, as data: `sip-profiles/*.toml`.
//!
//! A profile says only where a target departs from what most do; [`Profile::default`] is `generic`.

use serde::{Deserialize, Serialize};

use super::facade::CallerId;
use super::headers::NameAddr;

/// The habits of one kind of target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// The name a trunk refers to.
    pub name: String,
    /// Numbers in E.164 are written with their plus sign.
    pub plus_sign: bool,
    /// `;user=phone` stands on URIs that hold a number (RFC 3261 §19.1.1).
    pub user_phone: bool,
    /// Where our caller ID is written.
    pub caller_id_in: Vec<CallerIdHeader>,
    /// Whether 183 counts as ringing; otherwise only 180 does.
    pub session_progress_is_ringing: bool,
    /// Where requests inside a dialog go.
    pub in_dialog_to: InDialogTo,
    /// Statuses that mean something else here than in the RFC.
    pub statuses: Statuses,
}

/// A header that can say who is calling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallerIdHeader {
    /// From; without it From is anonymous (RFC 3323 §4.1).
    From,
    /// P-Asserted-Identity (RFC 3325 §9.1).
    PAssertedIdentity,
    /// Remote-Party-ID, which older switches read.
    RemotePartyId,
}

/// Where requests inside a dialog go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InDialogTo {
    /// The first Route or the Contact, where it is an address (RFC 3261 §12.2.1.1).
    Contact,
    /// Always the trunk's address: for targets behind NAT that write a private Contact.
    Trunk,
}

/// Lists of statuses by what they mean here; one not listed means what its RFC says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Statuses {
    /// The callee is busy.
    pub busy: Vec<u16>,
    /// It rang and nobody answered.
    pub no_answer: Vec<u16>,
    /// The number does not exist.
    pub no_such_number: Vec<u16>,
    /// The callee declined.
    pub declined: Vec<u16>,
    /// The carrier has no free line; nothing is wrong with the number.
    pub congestion: Vec<u16>,
    /// The carrier blocks the call as unwanted.
    pub blocked: Vec<u16>,
}

/// What a status means under a profile that departs from the RFC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusMeaning {
    /// The callee is busy.
    Busy,
    /// It rang and nobody answered.
    NoAnswer,
    /// The number does not exist.
    NoSuchNumber,
    /// The callee declined.
    Declined,
    /// The carrier has no free line.
    Congestion,
    /// The carrier blocks the call.
    Blocked,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            name: "generic".to_owned(),
            plus_sign: true,
            user_phone: false,
            caller_id_in: vec![CallerIdHeader::From],
            session_progress_is_ringing: false,
            in_dialog_to: InDialogTo::Contact,
            statuses: Statuses::default(),
        }
    }
}

impl Profile {
    /// The Request-URI for a number in E.164 (with plus) at a host.
    pub fn request_uri(&self, e164: &str, host: &str) -> String {
        self.number_uri(e164, host)
    }

    fn number_uri(&self, e164: &str, host: &str) -> String {
        let number = if self.plus_sign { e164 } else { e164.trim_start_matches('+') };
        let is_number = number.trim_start_matches('+').bytes().all(|b| b.is_ascii_digit());
        let phone = if self.user_phone && is_number { ";user=phone" } else { "" };
        format!("sip:{number}@{host}{phone}")
    }

    /// From without its tag.
    pub fn from(&self, caller: &CallerId) -> NameAddr {
        if self.caller_id_in.contains(&CallerIdHeader::From) {
            return self.identity(caller);
        }
        let display = Some("Anonymous".to_owned());
        NameAddr { display, ..NameAddr::new("sip:anonymous@anonymous.invalid") }
    }

    /// The headers beside From that carry the caller ID.
    pub fn caller_id_headers(&self, caller: &CallerId) -> Vec<(&'static str, String)> {
        let value = self.identity(caller).to_string();
        let header = |kind: &CallerIdHeader| match kind {
            CallerIdHeader::From => None,
            CallerIdHeader::PAssertedIdentity => Some(("P-Asserted-Identity", value.clone())),
            CallerIdHeader::RemotePartyId => {
                Some(("Remote-Party-ID", format!("{value};party=calling;screen=yes;privacy=off")))
            }
        };
        self.caller_id_in.iter().filter_map(header).collect()
    }

    fn identity(&self, caller: &CallerId) -> NameAddr {
        let uri = self.number_uri(&caller.user, &caller.host);
        NameAddr { display: caller.display.clone(), ..NameAddr::new(uri) }
    }

    /// Whether a provisional status means that the callee's phone rings.
    pub const fn rings(&self, status: u16) -> bool {
        status == 180 || (status == 183 && self.session_progress_is_ringing)
    }

    /// What a final status means here, where that differs from its RFC.
    pub fn meaning(&self, status: u16) -> Option<StatusMeaning> {
        let lists = [
            (&self.statuses.busy, StatusMeaning::Busy),
            (&self.statuses.no_answer, StatusMeaning::NoAnswer),
            (&self.statuses.no_such_number, StatusMeaning::NoSuchNumber),
            (&self.statuses.declined, StatusMeaning::Declined),
            (&self.statuses.congestion, StatusMeaning::Congestion),
            (&self.statuses.blocked, StatusMeaning::Blocked),
        ];
        lists.into_iter().find(|(list, _)| list.contains(&status)).map(|(_, meaning)| meaning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> CallerId {
        CallerId { display: None, user: "+12025550100".into(), host: "192.0.2.1".into() }
    }

    #[test]
    fn numbers_are_written_as_the_target_likes_them() {
        let profile = Profile { plus_sign: false, user_phone: true, ..Profile::default() };
        assert_eq!(profile.request_uri("+442079460000", "h"), "sip:442079460000@h;user=phone");
        assert_eq!(Profile::default().request_uri("+442079460000", "h"), "sip:+442079460000@h");
        assert_eq!(profile.request_uri("agent-7", "h"), "sip:agent-7@h");
    }

    #[test]
    fn a_caller_id_that_does_not_go_into_from_leaves_it_anonymous() {
        let caller_id_in = vec![CallerIdHeader::PAssertedIdentity];
        let profile = Profile { caller_id_in, ..Profile::default() };
        assert_eq!(profile.from(&caller()).uri, "sip:anonymous@anonymous.invalid");
        let headers = profile.caller_id_headers(&caller());
        assert_eq!(headers, [("P-Asserted-Identity", "<sip:+12025550100@192.0.2.1>".to_owned())]);
    }

    #[test]
    fn session_progress_rings_only_where_the_profile_says_so() {
        let early = Profile { session_progress_is_ringing: true, ..Profile::default() };
        assert!(early.rings(183) && early.rings(180) && !early.rings(182));
        assert!(!Profile::default().rings(183));
    }

    #[test]
    fn only_listed_statuses_depart_from_the_rfc() {
        let statuses = Statuses { busy: vec![603], ..Statuses::default() };
        let profile = Profile { statuses, ..Profile::default() };
        assert_eq!(profile.meaning(603), Some(StatusMeaning::Busy));
        assert_eq!(profile.meaning(486), None);
    }

    #[cfg(feature = "daemon")]
    #[test]
    fn the_profiles_we_ship_can_be_read_and_generic_is_the_default() {
        let generic = include_str!("../../../sip-profiles/generic.toml");
        assert_eq!(toml::from_str::<Profile>(generic).unwrap(), Profile::default());
        let lab = include_str!("../../../sip-profiles/lab.toml");
        assert_eq!(toml::from_str::<Profile>(lab).unwrap().name, "lab");
    }
}
