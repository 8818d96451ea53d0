//! Reads the configuration: file, then environment; says where each value came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::config::Config;

/// Read when no `--config` is given and the file exists.
pub const DEFAULT_FILE: &str = "campanile.toml";

/// At most this many faults are listed at once.
const FAULTS_MAX: usize = 20;

/// The configuration and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The effective values.
    pub config: Config,
    /// The file that was read.
    pub path: Option<PathBuf>,
    /// Every key, in alphabetical order.
    pub keys: BTreeMap<String, Effective>,
}

/// One effective value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// As it would be written in the file.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Built in.
    Default,
    /// The file, at this line.
    File(usize),
    /// This environment variable.
    Env(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(line) => write!(f, "file, line {line}"),
            Self::Env(name) => write!(f, "environment, {name}"),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file named does not exist or cannot be read.
    #[error(
        "cannot read the configuration file {path}: {source}\n  campanile.sample.toml is one to start from"
    )]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What is wrong in the file, one line each.
    #[error("{}", .0.join("\n"))]
    Faults(Vec<String>),
}

/// Reads `path`, or [`DEFAULT_FILE`] where it exists, and the variables of `env`.
pub fn load(
    path: Option<&Path>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Loaded, ConfigError> {
    let path = match path {
        Some(path) => Some(path.to_owned()),
        None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
    };
    let text = match &path {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.clone(), source })?,
        None => String::new(),
    };
    let name = path.as_ref().map_or("configuration".into(), |path| path.display().to_string());
    let mut loaded = parse(&name, &text, env)?;
    loaded.path = path;
    Ok(loaded)
}

/// [`load`] from a text; `name` stands before the line in errors.
pub fn parse(
    name: &str,
    text: &str,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Loaded, ConfigError> {
    let defaults = Table::try_from(Config::default())
        .map_err(|error| ConfigError::Faults(vec![error.to_string()]))?;
    let at = |error: &toml::de::Error| match error.span() {
        Some(span) => {
            format!("{name}:{}: {}", line_of(text, span.start), in_words(error.message()))
        }
        None => format!("{name}: {}", in_words(error.message())),
    };
    let tree = DeTable::parse(text).map_err(|error| ConfigError::Faults(vec![at(&error)]))?;
    let mut found = Found { name, text, lines: BTreeMap::new(), faults: vec![] };
    found.walk("", tree.get_ref(), &defaults, &defaults);
    if !found.faults.is_empty() {
        found.faults.truncate(FAULTS_MAX);
        return Err(ConfigError::Faults(found.faults));
    }
    let lines = found.lines;
    let config: Config =
        toml::from_str(text).map_err(|error| ConfigError::Faults(vec![at(&error)]))?;

    let mut effective =
        Table::try_from(config).map_err(|error| ConfigError::Faults(vec![error.to_string()]))?;
    let mut from_env = BTreeMap::new();
    for key in key_names(&defaults) {
        let variable = variable_of(&key);
        let Some(told) = env(&variable) else { continue };
        let fault = |why: &str| ConfigError::Faults(vec![format!("{variable}: {why}")]);
        let slot = slot(&mut effective, &key).ok_or_else(|| fault("no such key"))?;
        *slot = value_like(slot, &told).map_err(|why| fault(&why))?;
        // Deserialised at each step, so that an error names the variable it came from.
        Config::deserialize_from(&effective).map_err(|why| fault(&why))?;
        from_env.insert(key, variable);
    }
    let config =
        Config::deserialize_from(&effective).map_err(|why| ConfigError::Faults(vec![why]))?;
    let origin = |key: &str| match (from_env.get(key), lines.get(key)) {
        (Some(variable), _) => Origin::Env(variable.clone()),
        (None, Some(line)) => Origin::File(*line),
        (None, None) => Origin::Default,
    };
    if let Some((key, why)) = config.fault()
        // A password in the environment is where it belongs.
        && !(key == "database.url" && matches!(origin(key), Origin::Env(_)))
    {
        let place = match origin(key) {
            Origin::File(line) => format!("{name}:{line}"),
            Origin::Env(variable) => variable,
            Origin::Default => name.to_owned(),
        };
        return Err(ConfigError::Faults(vec![format!("{place}: {key}: {why}")]));
    }
    let keys = key_names(&defaults)
        .into_iter()
        .map(|key| {
            let origin = origin(&key);
            let value = slot(&mut effective, &key).map(|value| shown(&key, value, &origin));
            (key, Effective { value: value.unwrap_or_default(), origin })
        })
        .collect();
    Ok(Loaded { config, path: None, keys })
}

impl Config {
    fn deserialize_from(table: &Table) -> Result<Self, String> {
        table.clone().try_into().map_err(|error: toml::de::Error| error.message().to_owned())
    }
}

/// Every key that there is, as `section.key`.
pub fn all_keys() -> Vec<String> {
    Table::try_from(Config::default()).map(|table| key_names(&table)).unwrap_or_default()
}

fn key_names(defaults: &Table) -> Vec<String> {
    let mut names = vec![];
    for (key, value) in defaults {
        match value {
            Value::Table(section) => {
                names.extend(section.keys().map(|inner| format!("{key}.{inner}")));
            }
            _ => names.push(key.clone()),
        }
    }
    names
}

/// `http.listen` is also read from `CAMPANILE_HTTP_LISTEN`.
fn variable_of(key: &str) -> String {
    format!("CAMPANILE_{}", key.replace('.', "_").to_uppercase())
}

fn slot<'t>(table: &'t mut Table, key: &str) -> Option<&'t mut Value> {
    match key.split_once('.') {
        Some((section, inner)) => table.get_mut(section)?.as_table_mut()?.get_mut(inner),
        None => table.get_mut(key),
    }
}

/// Reads an environment variable as the kind of value that stands there already.
fn value_like(present: &Value, told: &str) -> Result<Value, String> {
    match present {
        Value::Integer(_) => {
            told.trim().parse().map(Value::Integer).map_err(|_| format!("{told:?} is no number"))
        }
        Value::Boolean(_) => match told.trim() {
            "true" | "1" => Ok(Value::Boolean(true)),
            "false" | "0" => Ok(Value::Boolean(false)),
            _ => Err(format!("{told:?} is neither true nor false")),
        },
        Value::Array(_) => {
            let parts = told.split(',').map(str::trim).filter(|part| !part.is_empty());
            Ok(Value::Array(parts.map(|part| Value::String(part.to_owned())).collect()))
        }
        _ => Ok(Value::String(told.to_owned())),
    }
}

fn shown(key: &str, value: &Value, origin: &Origin) -> String {
    // The URL of the environment may hold a password.
    if key == "database.url" && matches!(origin, Origin::Env(_)) {
        return "\"(from the environment)\"".into();
    }
    value.to_string()
}

/// What the standard library says of an address, with the form that it wants.
fn in_words(message: &str) -> &str {
    match message.trim_end() {
        "invalid socket address syntax" => {
            "this is written as an IP address and a port: \"192.0.2.10:5060\""
        }
        "invalid IP address syntax" => "this is written as an IP address: \"192.0.2.10\"",
        _ => message,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// The walk over the file's keys: the line of each known one, a fault for each unknown one.
struct Found<'a> {
    name: &'a str,
    text: &'a str,
    lines: BTreeMap<String, usize>,
    faults: Vec<String>,
}

impl Found<'_> {
    fn walk(&mut self, prefix: &str, tree: &DeTable<'_>, known: &Table, all: &Table) {
        for (key, value) in tree {
            let path = format!("{prefix}{}", key.get_ref());
            let line = line_of(self.text, key.span().start);
            match (known.get(key.get_ref().as_ref()), value.get_ref()) {
                (Some(Value::Table(section)), DeValue::Table(inner)) => {
                    self.walk(&format!("{path}."), inner, section, all);
                }
                (Some(_), _) => {
                    self.lines.insert(path, line);
                }
                (None, _) => {
                    let hint = suggestion(&path, key.get_ref(), value, all);
                    self.faults.push(format!("{}:{line}: unknown key {path:?}{hint}", self.name));
                }
            }
        }
    }
}

/// The nearest known key: one of the same section first, then one of any section.
fn suggestion(path: &str, key: &str, value: &Spanned<DeValue<'_>>, all: &Table) -> String {
    let is_section = value.get_ref().is_table();
    let mut candidates = key_names(all);
    if is_section {
        candidates = all.iter().filter(|(_, v)| v.is_table()).map(|(k, _)| k.clone()).collect();
    }
    let leaf = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
    let nearness = |name: &String| {
        let whole = strsim::jaro_winkler(path, name);
        // A right key in a wrong section is as likely as a misspelt one.
        whole.max(strsim::jaro_winkler(key, &leaf(name)) - 0.02)
    };
    let best = candidates
        .into_iter()
        .map(|name| (nearness(&name), name))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((score, name)) if score > 0.8 => format!("; did you mean {name:?}?"),
        _ => "; `campanile config check` lists the keys there are".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Loaded, String> {
        parse("campanile.toml", text, |_| None).map_err(|error| error.to_string())
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_nearest_key() {
        let error =
            read("[http]\nlisten = \"127.0.0.1:80\"\n\n[sip]\nlisen = \"x\"\n").unwrap_err();
        assert_eq!(
            error,
            "campanile.toml:5: unknown key \"sip.lisen\"; did you mean \"sip.listen\"?"
        );
        let error = read("[datbase]\nurl = \"x\"\n").unwrap_err();
        assert!(error.contains("did you mean \"database\"?"), "{error}");
        let error = read("[http]\nports = \"20000-29999\"\n").unwrap_err();
        assert!(error.contains("did you mean \"media.ports\"?"), "{error}");
    }

    #[test]
    fn every_unknown_key_is_named_at_once() {
        let error = read("foo = 1\n[sip]\nbar = 2\n").unwrap_err();
        assert_eq!(error.lines().count(), 2, "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused_with_its_line() {
        let error = read("\n[http]\nlisten = \"here\"\n").unwrap_err();
        assert!(error.starts_with("campanile.toml:3: "), "{error}");
        let error = read("[media]\nports = \"5\"\n").unwrap_err();
        assert!(error.starts_with("campanile.toml:2: ports are written"), "{error}");
        let error = read("[http\n").unwrap_err();
        assert!(error.starts_with("campanile.toml:1: "), "{error}");
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
        let text = "[http]\nlisten = \"127.0.0.1:81\"\n[crm]\ntimeout_s = 5\n";
        let env = |name: &str| match name {
            "CAMPANILE_HTTP_LISTEN" => Some("127.0.0.1:82".to_owned()),
            "CAMPANILE_HTTP_NAMES" => Some("a.example, b.example".to_owned()),
            "CAMPANILE_CRM_ALLOW_PRIVATE_ADDRESSES" => Some("true".to_owned()),
            _ => None,
        };
        let loaded = parse("f", text, env).unwrap();
        assert_eq!(loaded.config.http.listen.port(), 82);
        assert_eq!(loaded.config.http.names, ["a.example", "b.example"]);
        assert!(loaded.config.crm.allow_private_addresses);
        assert_eq!(loaded.config.crm.timeout_s, 5);
        let origin = |key: &str| loaded.keys[key].origin.clone();
        assert_eq!(origin("http.listen"), Origin::Env("CAMPANILE_HTTP_LISTEN".into()));
        assert_eq!(origin("crm.timeout_s"), Origin::File(4));
        assert_eq!(origin("sip.listen"), Origin::Default);
        assert_eq!(loaded.keys.len(), all_keys().len());
    }

    #[test]
    fn an_unusable_variable_is_named() {
        let env = |name: &str| (name == "CAMPANILE_CRM_TIMEOUT_S").then(|| "soon".to_owned());
        let error = parse("f", "", env).unwrap_err().to_string();
        assert_eq!(error, "CAMPANILE_CRM_TIMEOUT_S: \"soon\" is no number");
    }

    #[test]
    fn a_database_url_of_the_environment_may_hold_a_password_and_is_never_shown() {
        let env = |name: &str| {
            (name == "CAMPANILE_DATABASE_URL").then(|| "postgres://u:secret@db/x".to_owned())
        };
        let loaded = parse("f", "", env).unwrap();
        assert_eq!(loaded.config.database_url().unwrap(), "postgres://u:secret@db/x");
        assert!(!format!("{:?}", loaded.keys).contains("secret"));
    }

    const SAMPLE: &str = include_str!("../../campanile.sample.toml");

    #[test]
    fn the_sample_file_equals_the_defaults_and_holds_every_key() {
        let loaded = parse("campanile.sample.toml", SAMPLE, |_| None).unwrap();
        assert_eq!(loaded.config, Config::default());
        for (key, effective) in &loaded.keys {
            assert!(matches!(effective.origin, Origin::File(_)), "{key} is not in the sample");
        }
    }

    #[test]
    fn every_key_of_the_sample_file_is_explained_above_it() {
        let mut above = "";
        for line in SAMPLE.lines() {
            let is_key = line.contains(" = ") && !line.starts_with('#');
            assert!(!is_key || above.starts_with('#'), "no comment above: {line}");
            above = line;
        }
    }

    #[test]
    fn an_address_without_its_port_is_refused_with_the_form_that_is_wanted() {
        let fault = read("[sip]\nlisten = \"192.0.2.10\"\n").unwrap_err();
        assert_eq!(
            fault,
            "campanile.toml:2: this is written as an IP address and a port: \"192.0.2.10:5060\""
        );
        let fault = read("[media]\naddress = \"localhost\"\n").unwrap_err();
        assert!(fault.ends_with("this is written as an IP address: \"192.0.2.10\""), "{fault}");
    }
}
