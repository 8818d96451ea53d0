//! Which addresses a CRM may have: whoever may name one must not reach our own inside through us.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Why an address is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// No URL at all.
    #[error("{0:?} is no address; write https://host/path")]
    NotAUrl(String),
    /// Another scheme.
    #[error("only http and https are spoken, not {0}")]
    Scheme(String),
    /// A password in the address would be shown with it.
    #[error("a user name or password does not belong into the address")]
    Credentials,
    /// The inside of some network.
    #[error("{0} is a private address; crm.allow_private_addresses in the configuration allows it")]
    Private(String),
}

/// Reads an address and refuses what is written as a private one. A name is judged when it is
/// resolved, by [`GuardedResolver`].
pub fn check_url(text: &str, allow_private: bool) -> Result<Url, UrlFault> {
    let url = Url::parse(text.trim()).map_err(|_| UrlFault::NotAUrl(text.to_owned()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(UrlFault::Scheme(url.scheme().to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlFault::Credentials);
    }
    let Some(host) = url.host_str() else { return Err(UrlFault::NotAUrl(text.to_owned())) };
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_private = match literal {
        Ok(ip) => !is_public(ip),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    };
    if is_private && !allow_private {
        return Err(UrlFault::Private(host.to_owned()));
    }
    Ok(url)
}

/// Whether an address belongs to the public internet (RFC 6890 and the registries it began).
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let is_special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        // "This network", shared address space of carriers, protocol assignments, 6to4 relays,
        // benchmarks, and the reserved end with the broadcast address.
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !is_special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    let [first, second, third, ..] = segments;
    let v4_of = |high: u16, low: u16| Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
    match (first, second, segments) {
        // IPv4 in IPv6: mapped and compatible addresses, NAT64, 6to4.
        (_, _, [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low]) => {
            is_public_v4(v4_of(high, low))
        }
        (0x2002, _, _) => is_public_v4(v4_of(second, third)),
        // Teredo, benchmarks, documentation.
        (0x2001, 0 | 2 | 0xdb8, _) | (0x3fff, _, _) => false,
        // The rest of global unicast is 2000::/3: no unique local, link-local or multicast address.
        _ => first & 0xe000 == 0x2000,
    }
}

/// Resolves names as the system does, and leaves private addresses out unless they are allowed. The
/// connection goes to an address that was judged, so a name cannot change its mind in between.
#[derive(Debug, Clone, Copy)]
pub struct GuardedResolver {
    /// Whether private addresses may be reached.
    pub allow_private: bool,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let judged: Vec<SocketAddr> =
                found.into_iter().filter(|at| allow_private || is_public(at.ip())).collect();
            if judged.is_empty() {
                return Err(UrlFault::Private(host).into());
            }
            let addresses: Addrs = Box::new(judged.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_refused_in_every_way_of_writing_them() {
        for url in [
            "http://127.0.0.1/hook",
            "http://localhost:8080/",
            "http://crm.localhost/",
            "http://10.1.2.3/",
            "http://172.16.0.1/",
            "http://192.168.1.1/",
            "http://169.254.169.254/latest/meta-data",
            "http://100.64.0.1/",
            "http://0.0.0.0/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[64:ff9b::a00:1]/",
            "http://[2002:a00:1::]/",
            "http://[fd00::1]/",
            "http://[fe80::1]/",
            "http://[::]/",
        ] {
            assert!(matches!(check_url(url, false), Err(UrlFault::Private(_))), "{url}");
            assert!(check_url(url, true).is_ok(), "{url}");
        }
    }

    #[test]
    fn public_addresses_and_names_pass() {
        for url in
            ["https://crm.example.com/hook", "http://93.184.216.34/", "http://[2606:2800::1]/"]
        {
            assert!(check_url(url, false).is_ok(), "{url}");
        }
    }

    #[test]
    fn other_schemes_and_credentials_are_refused() {
        assert_eq!(check_url("file:///etc/passwd", true), Err(UrlFault::Scheme("file".into())));
        assert_eq!(check_url("https://u:p@crm.example.com/", true), Err(UrlFault::Credentials));
        assert!(matches!(check_url("crm", true), Err(UrlFault::NotAUrl(_))));
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused_when_it_is_resolved() {
        let name = || "localhost".parse::<Name>().unwrap();
        assert!(GuardedResolver { allow_private: false }.resolve(name()).await.is_err());
        assert!(GuardedResolver { allow_private: true }.resolve(name()).await.is_ok());
    }
}
