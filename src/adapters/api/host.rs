//! Under which names this server answers pages, so that a foreign name that resolves to us (DNS
//! rebinding) gets neither cookie nor sign-in.

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header};

/// Whether `authority` (`name`, `name:port`, `[v6]:port`) is ours: loopback, an address written as
/// such (a rebinding attack needs a name), or one of the configured `names`.
pub fn is_ours(authority: &str, names: &[String]) -> bool {
    let Some(host) = host_of(authority) else { return false };
    if host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok() {
        return true;
    }
    names.iter().any(|name| name.eq_ignore_ascii_case(host))
}

/// The host of an authority, without port and brackets.
fn host_of(authority: &str) -> Option<&str> {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map(|(host, _)| host);
    }
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    (!host.is_empty() && !host.contains(':')).then_some(host)
}

/// The authority that a request names: the Host header, or the URI's where there is one.
pub fn authority<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let named = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    named.or_else(|| uri.authority().map(axum::http::uri::Authority::as_str))
}

/// Whether a change comes from one of our own pages. A browser sends Origin with every change; a
/// request without it is no browser's, and `null` is a sandboxed page's.
pub fn is_same_origin(headers: &HeaderMap, uri: &Uri) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Some(authority) = authority(headers, uri) else { return false };
    let Ok(origin) = origin.to_str() else { return false };
    // The scheme is left open: a proxy in front of us may speak TLS.
    origin.split_once("://").is_some_and(|(_, host)| host.eq_ignore_ascii_case(authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses_and_configured_names_are_ours_and_no_other() {
        let names = vec![String::from("dialer.example")];
        for ours in [
            "localhost:8080",
            "127.0.0.1:8080",
            "127.0.0.1",
            "[::1]:8080",
            "192.168.1.5:80",
            "Dialer.Example",
            "dialer.example:443",
        ] {
            assert!(is_ours(ours, &names), "{ours}");
        }
        for foreign in ["evil.example", "127.0.0.1.evil.example:8080", "", ":8080", "[", "a:b:c"] {
            assert!(!is_ours(foreign, &names), "{foreign}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_noticed() {
        let uri = Uri::from_static("/api/v1/session");
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "127.0.0.1:8080".parse().unwrap());
        assert!(is_same_origin(&headers, &uri));
        headers.insert(header::ORIGIN, "http://127.0.0.1:8080".parse().unwrap());
        assert!(is_same_origin(&headers, &uri));
        headers.insert(header::ORIGIN, "http://evil.example".parse().unwrap());
        assert!(!is_same_origin(&headers, &uri));
        headers.insert(header::ORIGIN, "null".parse().unwrap());
        assert!(!is_same_origin(&headers, &uri));
    }
}
