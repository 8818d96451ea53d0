//! HTTP clients: no redirects, rustls with ring, time limits.

use std::sync::Once;
use std::time::Duration;

use reqwest::ClientBuilder;
use reqwest::redirect::Policy;

use super::url_guard::GuardedResolver;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// rustls asks for one provider of cryptography per process.
pub fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that another part of the process has installed one, which serves as well.
        rustls::crypto::ring::default_provider().install_default().ok();
    });
}

fn builder() -> ClientBuilder {
    install_crypto();
    reqwest::Client::builder()
        // A redirect would lead past the judgement of the address (Standard Webhooks 1.0 agrees).
        .redirect(Policy::none())
        .no_proxy()
        .user_agent(concat!("campanile/", env!("CARGO_PKG_VERSION")))
}

/// A client for the daemon itself, without a limit on the whole exchange: lists are long.
pub fn plain_client(connect_timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    builder().connect_timeout(connect_timeout).build()
}

/// A client for CRMs: every exchange ends within `timeout`, names are judged as they are resolved.
pub fn guarded_client(
    timeout: Duration,
    allow_private: bool,
) -> Result<reqwest::Client, reqwest::Error> {
    builder()
        .connect_timeout(CONNECT_TIMEOUT.min(timeout))
        .timeout(timeout)
        .dns_resolver(GuardedResolver { allow_private })
        .build()
}

/// The innermost cause of an error is the one that says "connection refused".
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
