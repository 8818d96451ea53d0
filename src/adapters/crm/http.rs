//! HTTP clients: no redirects, rustls with ring, time limits.

use std::sync::Once;
use std::time::Duration;

use reqwest::redirect::Policy;

/// rustls asks for one provider of cryptography per process.
pub fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that another part of the process has installed one, which serves as well.
        rustls::crypto::ring::default_provider().install_default().ok();
    });
}

/// A client without a limit on the whole exchange: lists are long.
pub fn plain_client(connect_timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    install_crypto();
    reqwest::Client::builder()
        .connect_timeout(connect_timeout)
        .redirect(Policy::none())
        .no_proxy()
        .user_agent(concat!("campanile/", env!("CARGO_PKG_VERSION")))
        .build()
}
