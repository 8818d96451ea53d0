//! Header values with types: parameters, Via, addresses, CSeq, Reason, Retry-After.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::uri::{SIP_PORT, Uri, bracketed, host_port};
use super::vocabulary::Method;
use super::wire::{find_bare, is_token, split};

/// `;name=value` parameters in their order. Names compare without case (RFC 3261 §7.3.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Params(Vec<(String, Option<String>)>);

impl Params {
    /// Reads `a;b=c`; empty pieces are skipped, `None` where a name is missing.
    pub fn parse(text: &str) -> Option<Self> {
        let mut params = Vec::new();
        for piece in split(text, ';').filter(|piece| !piece.is_empty()) {
            let (name, value) = match piece.split_once('=') {
                Some((name, value)) => (name.trim_end(), Some(value.trim_start().to_owned())),
                None => (piece, None),
            };
            if name.is_empty() {
                return None;
            }
            params.push((name.to_owned(), value));
        }
        Some(Self(params))
    }

    /// Whether the parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))
    }

    /// The value as it was written.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).and_then(|(_, v)| v.as_deref())
    }

    /// The value without its quotes.
    pub fn unquoted(&self, name: &str) -> Option<String> {
        self.get(name).map(unquote)
    }

    /// Puts a value in the place of the old one, or at the end.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = Some(value.into());
        match self.0.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            match value {
                Some(value) => write!(f, ";{name}={value}")?,
                None => write!(f, ";{name}")?,
            }
        }
        Ok(())
    }
}

fn unquote(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut out = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        out.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    out
}

/// One Via value: who sent the request and where the answer goes (RFC 3261 §20.42, RFC 3581).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// `UDP`, `TCP`, or what the sender wrote.
    pub transport: String,
    /// The sender's idea of its own host, without the brackets of IPv6.
    pub host: String,
    /// The sender's port, where it names one.
    pub port: Option<u16>,
    /// `branch`, `rport`, `received` and others.
    pub params: Params,
}

impl Via {
    /// Reads one value; `None` where it is not SIP/2.0 or has no sender.
    pub fn parse(value: &str) -> Option<Self> {
        let (head, params) = value.split_once(';').map_or((value, ""), |(h, p)| (h, p));
        // LWS is allowed around both slashes (RFC 4475 §3.1.1.1).
        let mut protocol = head.splitn(3, '/').map(str::trim);
        let (name, version, rest) = (protocol.next()?, protocol.next()?, protocol.next()?);
        let (transport, sent_by) = rest.split_once(|c: char| c.is_ascii_whitespace())?;
        if !name.eq_ignore_ascii_case("SIP") || version != "2.0" || transport.is_empty() {
            return None;
        }
        let (host, port) = host_port(sent_by)?;
        Some(Self { transport: transport.to_owned(), host, port, params: Params::parse(params)? })
    }

    /// The transaction's name, where the sender follows RFC 3261 (§8.1.1.7).
    pub fn branch(&self) -> Option<&str> {
        self.params.get("branch")
    }

    /// Marks the value with the source of the datagram, as a server must before it answers.
    pub fn stamp(&mut self, source: SocketAddr) {
        let claimed = self.host.parse::<IpAddr>().ok();
        let asks_rport = self.params.has("rport");
        // RFC 3261 §18.2.1: where sent-by differs; RFC 3581 §4: always beside rport.
        if asks_rport || claimed != Some(source.ip()) {
            self.params.set("received", source.ip().to_string());
        }
        if asks_rport {
            self.params.set("rport", source.port().to_string());
        }
    }

    /// Where the answer goes after [`Self::stamp`] (RFC 3261 §18.2.2, RFC 3581 §4).
    pub fn answer_to(&self, source: SocketAddr) -> SocketAddr {
        let port = match self.params.get("rport") {
            Some(_) => source.port(),
            None => self.port.unwrap_or(SIP_PORT),
        };
        SocketAddr::new(source.ip(), port)
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, bracketed(&self.host))?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.params.fmt(f)
    }
}

/// From, To, Contact, Route, Record-Route: a URI with an optional display name and parameters.
#[derive(Clone, PartialEq, Eq)]
pub struct NameAddr {
    /// The display name without quotes.
    pub display: Option<String>,
    /// The URI as it was written.
    pub uri: String,
    /// The header's parameters, `tag` among them.
    pub params: Params,
}

impl NameAddr {
    /// An address without display name and parameters.
    pub fn new(uri: impl Into<String>) -> Self {
        Self { display: None, uri: uri.into(), params: Params::default() }
    }

    /// Reads one value; `None` where quotes or brackets do not close, or the URI is none.
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        let Some(open) = find_bare(value, '<') else {
            // RFC 3261 §20: without brackets, what follows `;` belongs to the header and a
            // question mark or comma may not stand in the URI.
            let (uri, params) = value.split_once(';').map_or((value, ""), |(u, p)| (u, p));
            let uri = uri.trim_end();
            if uri.contains(['?', ',']) {
                return None;
            }
            Uri::parse(uri)?;
            let params = Params::parse(params)?;
            return Some(Self { display: None, uri: uri.to_owned(), params });
        };
        let display = value.get(..open)?.trim();
        let (uri, rest) = value.get(open + 1..)?.split_once('>')?;
        Uri::parse(uri)?;
        let rest = rest.trim_start();
        if !rest.is_empty() && !rest.starts_with(';') {
            return None;
        }
        let quoted = display.starts_with('"');
        // A bare comma would be the next value of a list (RFC 4475 §3.1.2.15).
        if quoted != (display.len() > 1 && display.ends_with('"'))
            || (!quoted && display.contains(','))
        {
            return None;
        }
        Some(Self {
            display: (!display.is_empty()).then(|| unquote(display)),
            uri: uri.to_owned(),
            params: Params::parse(rest)?,
        })
    }

    /// The tag: one side's half of a dialog's name.
    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag")
    }

    /// The URI's parts.
    pub fn parts(&self) -> Option<Uri> {
        Uri::parse(&self.uri)
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            let escaped = display.replace('\\', "\\\\").replace('"', "\\\"");
            write!(f, "\"{escaped}\" ")?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

impl fmt::Debug for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names and numbers are personal; the tag is enough to follow a dialog.
        write!(f, "NameAddr(tag {:?})", self.tag())
    }
}

/// CSeq: the order of requests inside a dialog (RFC 3261 §20.16).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CSeq {
    /// Below 2³¹.
    pub number: u32,
    /// The method it counts.
    pub method: Method,
}

impl CSeq {
    /// Reads `4711 INVITE`.
    pub fn parse(value: &str) -> Option<Self> {
        let (number, method) = value.split_once(|c: char| c.is_ascii_whitespace())?;
        let method = method.trim();
        if !number.bytes().all(|b| b.is_ascii_digit())
            || method.is_empty()
            || !method.bytes().all(is_token)
        {
            return None;
        }
        // RFC 3261 §8.1.1.5: less than 2**31.
        let number = number.parse().ok().filter(|number| *number < 1 << 31)?;
        Some(Self { number, method: Method::from_token(method) })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

/// Why a call ended, in the words of the telephone network (ITU-T Q.850) or of SIP; RFC 3326.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Q850 {
    /// The cause, 1 to 127.
    pub cause: u16,
    /// The text beside it, for people.
    pub text: Option<String>,
}

impl Q850 {
    /// Finds the Q.850 value among Reason's values.
    pub fn find<'a>(mut values: impl Iterator<Item = &'a str>) -> Option<Self> {
        values.find_map(|value| {
            let (protocol, params) = value.split_once(';')?;
            let params = Params::parse(params)?;
            let cause = params.get("cause")?.parse().ok()?;
            protocol.trim().eq_ignore_ascii_case("Q.850").then(|| Self {
                cause,
                text: params.unquoted("text").map(|text| super::text::readable(&text)),
            })
        })
    }
}

/// Retry-After in seconds; comment and parameters are not needed (RFC 3261 §20.33).
pub fn retry_after_s(value: &str) -> Option<u32> {
    let digits = value.trim_start();
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_via_with_blanks_in_every_legal_place_keeps_its_branch() {
        let via =
            Via::parse("SIP  / 2.0 / UDP   192.0.2.2 : 5070 ; branch = z9hG4bK1 ;rport").unwrap();
        assert_eq!(
            (via.host.as_str(), via.port, via.branch()),
            ("192.0.2.2", Some(5070), Some("z9hG4bK1"))
        );
        assert!(via.params.has("rport"));
    }

    #[test]
    fn a_via_of_ipv6_is_read_and_written() {
        let text = "SIP/2.0/UDP [2001:db8::9:1]:5060;branch=z9hG4bKas3-111";
        assert_eq!(Via::parse(text).unwrap().to_string(), text);
    }

    #[test]
    fn an_answer_goes_to_the_source_port_only_when_rport_asks_for_it() {
        let source: SocketAddr = "198.51.100.7:40000".parse().unwrap();
        let mut via = Via::parse("SIP/2.0/UDP host.example:5070;rport;branch=z9hG4bK1").unwrap();
        via.stamp(source);
        assert_eq!(
            via.to_string(),
            "SIP/2.0/UDP host.example:5070;rport=40000;branch=z9hG4bK1;received=198.51.100.7"
        );
        assert_eq!(via.answer_to(source), source);
        let mut old = Via::parse("SIP/2.0/UDP 198.51.100.7").unwrap();
        old.stamp(source);
        assert_eq!(old.answer_to(source), "198.51.100.7:5060".parse().unwrap());
        assert!(!old.params.has("received"));
    }

    #[test]
    fn display_names_may_hold_brackets_commas_and_quotes() {
        let to = NameAddr::parse(r#""J. <\"x\\>, y" <sip:j@h;a=b>;tag="q;1";x"#).unwrap();
        assert_eq!(to.display.as_deref(), Some(r#"J. <"x\>, y"#));
        assert_eq!((to.uri.as_str(), to.tag()), ("sip:j@h;a=b", Some("\"q;1\"")));
        assert_eq!(NameAddr::parse(&to.to_string()), Some(to));
    }

    #[test]
    fn an_address_without_brackets_leaves_its_parameters_to_the_header() {
        let from = NameAddr::parse("sip:a@h ; tag=1").unwrap();
        assert_eq!((from.uri.as_str(), from.tag()), ("sip:a@h", Some("1")));
    }

    #[test]
    fn addresses_that_do_not_close_are_refused() {
        for text in [
            "\"Mr. J <sip:a@h>",
            "Bell, A <sip:a@h>",
            "<sip:a@h",
            "\"W\" < t.watson@h >",
            "<sip:a@h> x",
            "sip:a@h?R=%3Csip:x%3E",
        ] {
            assert_eq!(NameAddr::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_sequence_number_stays_below_two_to_the_thirty_first() {
        assert_eq!(CSeq::parse("0009  INVITE").map(|c| c.number), Some(9));
        for text in ["2147483648 INVITE", "-1 INVITE", "1", "1 IN VITE", " INVITE", "8INVITE"] {
            assert_eq!(CSeq::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_network_cause_is_found_among_several_reasons() {
        let values = ["SIP;cause=200;text=\"elsewhere\"", "q.850 ; cause=17 ; text=\"User busy\""];
        let found = Q850::find(values.into_iter()).unwrap();
        assert_eq!((found.cause, found.text.as_deref()), (17, Some("User busy")));
        assert_eq!(Q850::find(["Q.850", "Q.850;cause=x"].into_iter()), None);
    }

    #[test]
    fn retry_after_is_read_before_comment_and_parameters() {
        assert_eq!(retry_after_s("18000;duration=3600"), Some(18_000));
        assert_eq!(retry_after_s("120 (I'm in a meeting)"), Some(120));
        assert_eq!(retry_after_s("soon"), None);
    }

    proptest! {
        #[test]
        fn no_value_panics(text in "[ -~\u{80}-\u{ff}]{0,60}") {
            drop((Via::parse(&text), NameAddr::parse(&text), CSeq::parse(&text)));
            drop((Q850::find([text.as_str()].into_iter()), retry_after_s(&text)));
        }
    }
}
