//! Talks to a running daemon over its HTTP API, for the command line.

use std::fmt::Write as _;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::adapters::crm::http::{plain_client, root_cause};
use crate::adapters::secret::Secret;

use super::cli::Remote;

/// How long a connection to the daemon may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the daemon did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error(
        "no daemon answers at {url} ({why}); is `campanile serve` running? --url names another address"
    )]
    Unreachable {
        /// Where.
        url: String,
        /// What happened.
        why: String,
    },
    /// It said no.
    #[error("refused ({status}): {why}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// In words.
        why: String,
    },
    /// There is no token.
    #[error(
        "no API token: give --token or CAMPANILE_TOKEN, or run this where {file} can be read ({why})"
    )]
    NoToken {
        /// Where the daemon of this machine writes it.
        file: PathBuf,
        /// Why it is not read.
        why: String,
    },
    /// An argument cannot be used.
    #[error("{0}")]
    Usage(String),
    /// The answer makes no sense.
    #[error("the daemon's answer was not understood: {0}")]
    Broken(String),
}

/// A connection to the daemon.
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Secret,
}

/// What a problem+json answer says.
#[derive(serde::Deserialize)]
struct Problem {
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
}

impl Client {
    /// Finds address and token: arguments first, then the configuration and the daemon's folder.
    pub fn of(remote: &Remote) -> anyhow::Result<Self> {
        let (base, token) = match (&remote.url, &remote.token) {
            (Some(url), Some(token)) => (url.clone(), Secret::new(token.clone())),
            (url, token) => {
                let config = remote.config.load()?.config;
                let base = url.clone().unwrap_or_else(|| base_of(config.http.listen));
                let token = match token {
                    Some(token) => Secret::new(token.clone()),
                    None => read_token(config.cli_token_file())?,
                };
                (base, token)
            }
        };
        let base = base.trim_end_matches('/').to_owned();
        if !base.starts_with("http://") && !base.starts_with("https://") {
            let why = format!("--url is written http://host:port, not {base:?}");
            return Err(ClientError::Usage(why).into());
        }
        let http = plain_client(CONNECT_TIMEOUT)
            .map_err(|error| ClientError::Broken(error.to_string()))?;
        Ok(Self { http, base, token })
    }

    /// The address of an API path, for people.
    pub fn page(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A request to `/api/v1{path}` with the token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/api/v1{path}", self.base);
        self.http.request(method, url).bearer_auth(self.token.reveal())
    }

    /// Sends a request and has refusals as errors.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let answer = request.send().await.map_err(|error| {
            if error.is_connect() || error.is_timeout() {
                let why = root_cause(&error);
                return ClientError::Unreachable { url: self.base.clone(), why };
            }
            ClientError::Broken(root_cause(&error))
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let text = answer.text().await.unwrap_or_default();
        let mut why = match serde_json::from_str::<Problem>(&text) {
            Ok(Problem { title, detail }) if detail.is_empty() || detail == title => title,
            Ok(Problem { title, detail }) if title.is_empty() => detail,
            Ok(Problem { title, detail }) => format!("{title}: {detail}"),
            Err(_) => status.canonical_reason().unwrap_or("no reason given").to_owned(),
        };
        if status.as_u16() == 401 {
            why.push_str(" (is the token of this daemon?)");
        }
        Err(ClientError::Refused { status: status.as_u16(), why })
    }

    /// GET as JSON.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        read(self.send(self.request(Method::GET, path)).await?).await
    }

    /// POST of JSON, answered with JSON or nothing.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> Result<Value, ClientError> {
        read(self.send(self.request(Method::POST, path).json(body)).await?).await
    }

    /// PUT of JSON, answered with JSON or nothing.
    pub async fn put(&self, path: &str, body: &impl Serialize) -> Result<Value, ClientError> {
        read(self.send(self.request(Method::PUT, path).json(body)).await?).await
    }
}

/// Reads an answer; an empty one is `null`.
pub async fn read<T: DeserializeOwned>(answer: Response) -> Result<T, ClientError> {
    let bytes = answer.bytes().await.map_err(|error| ClientError::Broken(root_cause(&error)))?;
    let bytes: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
    serde_json::from_slice(bytes).map_err(|error| ClientError::Broken(error.to_string()))
}

/// A member of an answer; `null` where there is none.
pub fn part<'v>(answer: &'v Value, name: &str) -> &'v Value {
    answer.get(name).unwrap_or(&Value::Null)
}

/// Runs one command's conversation to its end.
pub fn block_on<T>(conversation: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(conversation)
}

/// A path segment or query value, percent-encoded (RFC 3986 §2.3 leaves the unreserved alone).
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            write!(out, "%{byte:02X}").ok();
        }
    }
    out
}

fn base_of(listen: std::net::SocketAddr) -> String {
    // A daemon that listens on every address is reached at loopback.
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", std::net::SocketAddr::new(ip, listen.port()))
}

fn read_token(file: PathBuf) -> Result<Secret, ClientError> {
    match std::fs::read_to_string(&file) {
        Ok(token) => Ok(Secret::new(token.trim())),
        Err(error) => Err(ClientError::NoToken { file, why: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_on_every_address_is_reached_at_loopback() {
        assert_eq!(base_of("0.0.0.0:81".parse().unwrap()), "http://127.0.0.1:81");
        assert_eq!(base_of("[::]:81".parse().unwrap()), "http://[::1]:81");
        assert_eq!(base_of("192.0.2.1:81".parse().unwrap()), "http://192.0.2.1:81");
    }

    #[test]
    fn query_values_of_any_script_are_encoded() {
        assert_eq!(encoded("a b&ї"), "a%20b%26%D1%97");
    }
}
