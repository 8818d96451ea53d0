//! The profiles of `sip-profiles/`: built into the program; a file in the data folder outranks one.

use std::path::Path;
use std::sync::Arc;

use crate::protocols::sip::profile::Profile;

/// Built-in profiles: name and text.
#[derive(rust_embed::RustEmbed)]
#[folder = "sip-profiles"]
struct BuiltIn;

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// No such profile.
    #[error("no SIP profile '{name}'; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The file is not a profile.
    #[error("SIP profile '{name}': {error}")]
    Broken {
        /// Which.
        name: String,
        /// What is wrong, with its line.
        error: toml::de::Error,
    },
}

/// Reads a profile by name, from `<data_dir>/sip-profiles` or built in.
pub fn load(data_dir: &Path, name: &str) -> Result<Arc<Profile>, ProfileError> {
    let file = data_dir.join("sip-profiles").join(format!("{name}.toml"));
    let own = std::fs::read_to_string(file).ok();
    let built_in = || {
        BuiltIn::get(&format!("{name}.toml"))
            .map(|file| String::from_utf8_lossy(&file.data).into_owned())
    };
    let text = own.or_else(built_in).ok_or_else(|| ProfileError::Unknown {
        name: name.to_owned(),
        known: names().join(", "),
    })?;
    toml::from_str(&text)
        .map(Arc::new)
        .map_err(|error| ProfileError::Broken { name: name.to_owned(), error })
}

/// The names of the built-in profiles.
pub fn names() -> Vec<String> {
    BuiltIn::iter().map(|file| file.trim_end_matches(".toml").to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_profile_loads_under_its_own_name() {
        for name in names() {
            assert_eq!(load(Path::new("/nonexistent"), &name).unwrap().name, name);
        }
        assert!(names().contains(&"generic".to_owned()));
    }

    #[test]
    fn a_file_in_the_data_folder_outranks_the_built_in_one_and_a_missing_one_names_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("sip-profiles");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("generic.toml"), "name = \"mine\"").unwrap();
        assert_eq!(load(dir.path(), "generic").unwrap().name, "mine");
        let error = load(dir.path(), "missing").unwrap_err().to_string();
        assert!(error.contains("generic"), "{error}");
    }
}
