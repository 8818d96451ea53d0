//! URIs: `sip:`, `sips:`, `tel:`, and the rest kept whole (RFC 3261 §19.1, RFC 3966).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::headers::Params;

/// RFC 3261 §19.1.2: where a URI or a Via names no port.
pub const SIP_PORT: u16 = 5060;

/// A URI cut into its parts; escapes stay as they were written.
#[derive(Clone, PartialEq, Eq)]
pub struct Uri {
    /// Lower case: `sip`, `sips`, `tel`, or another.
    pub scheme: String,
    /// The user part of a sip URI, the number of a tel URI.
    pub user: Option<String>,
    /// The host of a sip URI, without the brackets of IPv6; empty for other schemes.
    pub host: String,
    /// The port, where one is written.
    pub port: Option<u16>,
    /// What follows `;`.
    pub params: Params,
    /// What follows `?`, undivided.
    pub headers: Option<String>,
}

impl Uri {
    /// Reads a URI; `None` where it has no scheme, no host, or a port that is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let mut letters = scheme.bytes();
        if !letters.next()?.is_ascii_alphabetic()
            || !letters.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            || rest.is_empty()
            || rest.contains(|c: char| c.is_ascii_whitespace() || c == '<' || c == '>' || c == '"')
        {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        match scheme.as_str() {
            "sip" | "sips" => Self::parse_sip(scheme, rest),
            "tel" => {
                let (number, params) = cut(rest, ';');
                let params = Params::parse(params.unwrap_or_default())?;
                let user = Some(number.to_owned());
                Some(Self { scheme, user, host: String::new(), port: None, params, headers: None })
            }
            _ => {
                let user = Some(rest.to_owned());
                let params = Params::default();
                Some(Self { scheme, user, host: String::new(), port: None, params, headers: None })
            }
        }
    }

    fn parse_sip(scheme: String, rest: &str) -> Option<Self> {
        // The user part may hold `;` and `?` (RFC 4475 §3.1.1.13), so it is cut off first.
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) if !user.is_empty() => (Some(user.to_owned()), rest),
            Some(_) => return None,
            None => (None, rest),
        };
        let (rest, headers) = cut(rest, '?');
        let (hostport, params) = cut(rest, ';');
        let (host, port) = host_port(hostport)?;
        Some(Self {
            scheme,
            user,
            host,
            port,
            params: Params::parse(params.unwrap_or_default())?,
            headers: headers.map(str::to_owned),
        })
    }

    /// The user part with its escapes undone, for comparing numbers (RFC 3261 §19.1.4).
    pub fn user_unescaped(&self) -> Option<String> {
        let mut bytes = self.user.as_deref()?.bytes();
        let mut out = Vec::new();
        while let Some(byte) = bytes.next() {
            let mut ahead = bytes.clone();
            let digits = (byte == b'%').then(|| Some((hex(ahead.next()?)?, hex(ahead.next()?)?)));
            if let Some(Some((high, low))) = digits {
                out.push(high << 4 | low);
                bytes = ahead;
            } else {
                out.push(byte);
            }
        }
        Some(String::from_utf8_lossy(&out).into_owned())
    }

    /// The address, where the host is a literal one. Names need DNS, which is not this floor's.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        // RFC 3261 §19.1.1: maddr overrides the host.
        let host = self.params.get("maddr").unwrap_or(&self.host);
        let ip: IpAddr = host.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
        Some(SocketAddr::new(ip, self.port.unwrap_or(SIP_PORT)))
    }

    /// RFC 3261 §16.12: the `lr` parameter tells a loose router from a strict one.
    pub fn is_loose_router(&self) -> bool {
        self.params.has("lr")
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The user part is somebody's number.
        write!(f, "{}:…@{}", self.scheme, self.host)
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`, with blanks allowed around the colon.
pub(super) fn host_port(text: &str) -> Option<(String, Option<u16>)> {
    let text = text.trim();
    let (host, port) = if let Some(v6) = text.strip_prefix('[') {
        let (host, rest) = v6.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        let rest = rest.trim_start();
        if !rest.is_empty() && !rest.starts_with(':') {
            return None;
        }
        (host, rest.strip_prefix(':'))
    } else {
        cut(text, ':')
    };
    let host = host.trim_end();
    if host.is_empty() || host.contains(|c: char| c.is_ascii_whitespace() || c == ',') {
        return None;
    }
    let port = match port.map(str::trim) {
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => Some(port.parse().ok()?),
        Some(_) => return None,
        None => None,
    };
    Some((host.to_owned(), port))
}

/// An IP address as a host is written: IPv6 in brackets.
pub(super) fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn uri(text: &str) -> Uri {
        Uri::parse(text).expect(text)
    }

    #[test]
    fn a_number_keeps_its_plus_and_its_parameters() {
        let sip = uri("sip:+12025550100@192.0.2.1:5070;user=phone");
        assert_eq!(sip.user.as_deref(), Some("+12025550100"));
        assert_eq!(sip.params.get("user"), Some("phone"));
        assert_eq!(sip.socket_addr(), Some("192.0.2.1:5070".parse().unwrap()));
        assert_eq!(uri("tel:+12025550100;ext=7").user.as_deref(), Some("+12025550100"));
    }

    #[test]
    fn semicolons_and_escapes_in_the_user_part_belong_to_it() {
        let odd = uri("sip:user;par=u%40example.net@example.com");
        assert_eq!(odd.host, "example.com");
        assert_eq!(odd.user_unescaped().as_deref(), Some("user;par=u@example.net"));
    }

    #[test]
    fn a_broken_escape_is_left_alone() {
        assert_eq!(uri("sip:50%@h").user_unescaped().as_deref(), Some("50%"));
        assert_eq!(uri("sip:%zz%41@h").user_unescaped().as_deref(), Some("%zzA"));
    }

    #[test]
    fn ipv6_hosts_are_read() {
        assert_eq!(uri("sip:[2001:db8::1]:5070").socket_addr(), "[2001:db8::1]:5070".parse().ok());
        assert_eq!(uri("sip:[2001:db8::1];lr").socket_addr(), "[2001:db8::1]:5060".parse().ok());
        assert!(uri("sip:[2001:db8::1];lr").is_loose_router());
    }

    #[test]
    fn what_is_not_a_uri_is_refused() {
        for text in
            ["t.watson", "sip:", "sip:@h", "sip:h:99999", "sip:h:5a", "sip:a b@h", ":x", "sip:[::"]
        {
            assert_eq!(Uri::parse(text), None, "{text}");
        }
    }

    #[test]
    fn maddr_is_where_the_request_goes() {
        assert_eq!(uri("sip:name;maddr=192.0.2.9").socket_addr(), "192.0.2.9:5060".parse().ok());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(sip:|tel:)?.{0,40}") {
            if let Some(uri) = Uri::parse(&text) {
                drop((uri.user_unescaped(), uri.socket_addr()));
            }
        }
    }
}
