//! The lab proved by itself: what the demo and the end-to-end tests count on.

mod carrier;
mod crm;
mod interop;
mod phones;
mod uac;
mod world;

/// An HTTP client; reqwest asks for a provider of cryptography even where none is needed.
fn http() -> reqwest::Client {
    campanile::adapters::crm::http::plain_client(std::time::Duration::from_secs(2)).unwrap()
}
