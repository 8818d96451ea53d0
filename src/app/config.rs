//! Settings of the process, with safe defaults: `campanile.toml`.
//!
//! What a manager changes (campaigns, trunks, agents) is in the database, never here.
//! `campanile.sample.toml` explains each key; a test keeps the two alike.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::adapters::secret::{SecretError, SecretRef};
use crate::adapters::telemetry::logs::LogFormat;

/// All settings of the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the program keeps its files.
    pub data_dir: PathBuf,
    /// The database.
    pub database: Database,
    /// Pages, API and metrics.
    pub http: Http,
    /// Signalling.
    pub sip: Sip,
    /// Audio.
    pub media: Media,
    /// The record of every input of the engine.
    pub run_log: RunLog,
    /// What the program says.
    pub log: Log,
    /// Events to CRMs, and lists from them.
    pub crm: Crm,
    /// How the program ends.
    pub shutdown: Shutdown,
}

/// `[database]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// `auto`, `sqlite:PATH`, `postgres://…` without a password, or `env:NAME` / `file:PATH`.
    pub url: Auto<String>,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Address and port of pages and API.
    pub listen: SocketAddr,
    /// Host names under which browsers may reach the pages, beside loopback and `listen`.
    pub names: Vec<String>,
}

/// `[sip]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sip {
    /// Address and UDP port of SIP.
    pub listen: SocketAddr,
    /// The address written into Via and Contact.
    pub advertise: Auto<SocketAddr>,
    /// Networks beside those of the trunks from which a request may open a dialog.
    pub networks: Vec<IpNet>,
    /// The User-Agent header.
    pub user_agent: String,
}

/// `[media]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Media {
    /// Local address of RTP.
    pub address: IpAddr,
    /// The address written into SDP.
    pub advertise: Auto<IpAddr>,
    /// UDP ports of RTP and RTCP.
    pub ports: PortRange,
    /// Where abandon messages stand as WAV files.
    pub messages_dir: Auto<PathBuf>,
}

/// `[run_log]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunLog {
    /// Where segments are written.
    pub dir: Auto<PathBuf>,
    /// Segments older than this are deleted; 0 keeps them.
    pub keep_days: u32,
    /// The oldest segments are deleted beyond this many megabytes in all; 0 is no limit.
    pub max_mb: u64,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// A level, or levels by module: `info,campanile::adapters=debug`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

/// `[crm]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Crm {
    /// Whether a CRM may stand at a private or loopback address.
    pub allow_private_addresses: bool,
    /// How long a CRM may take to answer, seconds.
    pub timeout_s: u32,
    /// This installation's name in the `source` of its CRM events.
    pub instance: String,
}

/// `[shutdown]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shutdown {
    /// How long talks may go on after SIGTERM, seconds.
    pub drain_s: u32,
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "campanile-data".into(),
            database: Database::default(),
            http: Http::default(),
            sip: Sip::default(),
            media: Media::default(),
            run_log: RunLog::default(),
            log: Log::default(),
            crm: Crm::default(),
            shutdown: Shutdown::default(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: loopback(8080), names: vec![] }
    }
}

impl Default for Sip {
    fn default() -> Self {
        Self {
            listen: loopback(5060),
            advertise: Auto::Auto,
            networks: vec![],
            user_agent: "campanile".into(),
        }
    }
}

impl Default for Media {
    fn default() -> Self {
        Self {
            address: loopback(0).ip(),
            advertise: Auto::Auto,
            ports: PortRange { first: 20_000, last: 29_999 },
            messages_dir: Auto::Auto,
        }
    }
}

impl Default for RunLog {
    fn default() -> Self {
        Self { dir: Auto::Auto, keep_days: 14, max_mb: 4_096 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

impl Default for Crm {
    fn default() -> Self {
        Self { allow_private_addresses: false, timeout_s: 15, instance: "main".into() }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { drain_s: 180 }
    }
}

impl Config {
    /// The URL that the store opens, with its secret put in.
    pub fn database_url(&self) -> Result<String, SecretError> {
        let Auto::Is(url) = &self.database.url else {
            return Ok(format!("sqlite:{}", self.data_dir.join("campanile.db").display()));
        };
        if url.starts_with("env:") || url.starts_with("file:") {
            return Ok(SecretRef::parse(url)?.read()?.reveal().to_owned());
        }
        Ok(url.clone())
    }

    /// The address written into Via and Contact.
    pub fn sip_advertise(&self) -> SocketAddr {
        self.sip.advertise.clone().or(self.sip.listen)
    }

    /// The address written into SDP.
    pub fn media_advertise(&self) -> IpAddr {
        self.media.advertise.clone().or(self.media.address)
    }

    /// Where abandon messages stand.
    pub fn messages_dir(&self) -> PathBuf {
        self.media.messages_dir.clone().or(self.data_dir.join("messages"))
    }

    /// Where run-log segments are written.
    pub fn run_log_dir(&self) -> PathBuf {
        self.run_log.dir.clone().or(self.data_dir.join("run-log"))
    }

    /// Where reject files of imports are kept.
    pub fn rejects_dir(&self) -> PathBuf {
        self.data_dir.join("rejects")
    }

    /// The token that the command line of this machine uses; written by the daemon, mode 0600.
    pub fn cli_token_file(&self) -> PathBuf {
        self.data_dir.join("cli.token")
    }

    /// The `source` of CRM events.
    pub fn crm_source(&self) -> String {
        format!("campanile/{}", self.crm.instance)
    }

    /// The first thing that cannot be, as the key it stands at and why.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        if let Auto::Is(url) = &self.database.url
            && holds_password(url)
        {
            let why = "a password must not stand in the configuration; write env:NAME or file:PATH \
                       and put the whole URL there";
            return Some(("database.url", why.into()));
        }
        if self.media_advertise().is_unspecified() {
            let why =
                "media.address is every address; say in media.advertise which one peers reach";
            return Some(("media.advertise", why.into()));
        }
        if self.sip_advertise().ip().is_unspecified() {
            let why = "sip.listen is every address; say in sip.advertise which one peers reach";
            return Some(("sip.advertise", why.into()));
        }
        if self.crm.timeout_s == 0 {
            return Some(("crm.timeout_s", "0 would give a CRM no time at all".into()));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.crm.instance.is_empty() || !self.crm.instance.chars().all(plain) {
            let why = "must be letters, digits, '-', '_' and '.'";
            return Some(("crm.instance", why.into()));
        }
        let level = tracing_subscriber::EnvFilter::try_new(&self.log.level);
        level.err().map(|error| ("log.level", error.to_string()))
    }
}

/// Whether a database URL carries a password (`scheme://user:password@host`).
fn holds_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let authority = rest.split('/').next().unwrap_or("");
    let in_authority = authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    in_authority || url.contains("password=")
}

/// A value that the program works out itself unless told otherwise; `"auto"` in the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Auto<T> {
    /// Worked out.
    #[default]
    Auto,
    /// Told.
    Is(T),
}

impl<T> Auto<T> {
    /// The value that was told, if any.
    pub fn told(self) -> Option<T> {
        match self {
            Self::Auto => None,
            Self::Is(value) => Some(value),
        }
    }

    /// The value told, or `otherwise`.
    pub fn or(self, otherwise: T) -> T {
        match self {
            Self::Auto => otherwise,
            Self::Is(value) => value,
        }
    }
}

impl<T: Serialize> Serialize for Auto<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Is(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Auto<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let from_text: serde::de::value::StringDeserializer<D::Error> =
            serde::de::IntoDeserializer::into_deserializer(text);
        T::deserialize(from_text).map(Self::Is)
    }
}

/// UDP ports, both ends included: `"20000-29999"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// The first port, even: RTP takes even ports and RTCP the next one (RFC 3550 §11).
    pub first: u16,
    /// The last port.
    pub last: u16,
}

impl PortRange {
    /// Reads `FIRST-LAST`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const FORM: &str =
            "ports are written \"20000-29999\": an even first port and a later last one";
        let (first, last) = text.split_once('-').ok_or(FORM)?;
        let first: u16 = first.trim().parse().map_err(|_| FORM)?;
        let last: u16 = last.trim().parse().map_err(|_| FORM)?;
        if first == 0 || !first.is_multiple_of(2) || last <= first {
            return Err(FORM);
        }
        Ok(Self { first, last })
    }
}

impl Serialize for PortRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}-{}", self.first, self.last))
    }
}

impl<'de> Deserialize<'de> for PortRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_the_box_nothing_listens_beyond_this_machine() {
        let config = Config::default();
        assert!(config.http.listen.ip().is_loopback());
        assert!(config.sip.listen.ip().is_loopback());
        assert!(config.media.address.is_loopback());
        assert!(!config.crm.allow_private_addresses);
        assert_eq!(config.fault(), None);
    }

    #[test]
    fn a_password_in_the_database_url_is_refused() {
        let fault = |url: &str| {
            let database = Database { url: Auto::Is(url.into()) };
            Config { database, ..Config::default() }.fault().map(|(key, _)| key)
        };
        assert_eq!(fault("postgres://u:secret@db/campanile"), Some("database.url"));
        assert_eq!(fault("postgres://u@db/campanile?password=x"), Some("database.url"));
        assert_eq!(fault("postgres://u@db:5432/campanile"), None);
        assert_eq!(fault("env:DATABASE_URL"), None);
    }

    #[test]
    fn a_wildcard_address_must_say_what_peers_should_use() {
        let mut config = Config::default();
        config.sip.listen = "0.0.0.0:5060".parse().unwrap();
        assert_eq!(config.fault().map(|(key, _)| key), Some("sip.advertise"));
        config.sip.advertise = Auto::Is("192.0.2.1:5060".parse().unwrap());
        assert_eq!(config.fault(), None);
    }

    #[test]
    fn port_ranges_begin_even_and_end_later() {
        assert_eq!(PortRange::parse("20000-29999"), Ok(PortRange { first: 20_000, last: 29_999 }));
        for wrong in ["20000", "20001-20010", "30000-20000", "0-10", "a-b", "20000-70000"] {
            assert!(PortRange::parse(wrong).is_err(), "{wrong}");
        }
    }
}
