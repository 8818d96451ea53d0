//! Secrets: held without `Debug` or `Display`, and read through `env:NAME` or `file:PATH`.

use std::path::PathBuf;

/// A password, token or key. It can be used, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Request bodies carry secrets in; without `Serialize` none goes out.
impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// Why a reference does not lead to a secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Neither `env:` nor `file:`: the secret itself must not stand where the reference belongs.
    #[error("a secret is named by env:NAME or file:PATH, never written down")]
    NotAReference,
    /// The environment has no such variable.
    #[error("the environment variable {0} is not set")]
    NoVariable(String),
    /// The file cannot be read.
    #[error("cannot read the secret file {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// Where a secret stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// In an environment variable.
    Env(String),
    /// In a file, without its last line break.
    File(PathBuf),
}

impl SecretRef {
    /// Reads `env:NAME` or `file:PATH`.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err(SecretError::NotAReference),
        }
    }

    /// Fetches the secret.
    pub fn read(&self) -> Result<Secret, SecretError> {
        match self {
            Self::Env(name) => {
                std::env::var(name).map(Secret).map_err(|_| SecretError::NoVariable(name.clone()))
            }
            Self::File(path) => std::fs::read_to_string(path)
                .map(|text| Secret(text.trim_end_matches(['\r', '\n']).to_owned()))
                .map_err(|source| SecretError::File { path: path.clone(), source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_written_down_instead_of_named_is_refused() {
        assert!(matches!(SecretRef::parse("hunter2"), Err(SecretError::NotAReference)));
        assert!(matches!(SecretRef::parse("env:"), Err(SecretError::NotAReference)));
        assert_eq!(SecretRef::parse("env:PW").unwrap(), SecretRef::Env("PW".into()));
    }

    #[test]
    fn a_secret_file_is_read_without_its_line_break() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "top secret\n").unwrap();
        let reference = SecretRef::parse(&format!("file:{}", file.path().display())).unwrap();
        assert!(reference.read().unwrap().reveal() == "top secret");
    }
}
