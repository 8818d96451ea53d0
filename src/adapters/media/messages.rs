//! The folder of messages that can be played to a person whom no agent can take.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::protocols::audio::clip::Clip;
use crate::protocols::audio::wav::WavError;

/// Every message stays in memory in both laws; ten a campaign for fifty campaigns.
const MESSAGES_MAX: usize = 500;
/// A minute and more of 8 kHz 16-bit mono and a generous head; larger files are not opened.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// The folder or a file in it cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is no message.
    #[error("{path}: {source}")]
    NotPlayable {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: WavError,
    },
    /// A file is too large to be a message.
    #[error("{0}: larger than a message can be ({FILE_BYTES_MAX} bytes)")]
    TooLarge(PathBuf),
    /// More files than are kept in memory.
    #[error("more than {MESSAGES_MAX} messages in {0}")]
    TooMany(PathBuf),
}

/// Reads every `.wav` file of a folder, by file name; other files are left alone.
///
/// # Errors
/// [`MessageError`] names the file: one bad message is better found at start than at an abandon.
pub fn read_messages(folder: &Path) -> Result<BTreeMap<String, Clip>, MessageError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| MessageError::Unreadable { path, source }
    };
    let mut messages = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        let is_wav = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("wav"));
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| is_wav) else {
            continue;
        };
        if messages.len() == MESSAGES_MAX {
            return Err(MessageError::TooMany(folder.to_owned()));
        }
        if fs::metadata(&path).map_err(unreadable(&path))?.len() > FILE_BYTES_MAX {
            return Err(MessageError::TooLarge(path));
        }
        let bytes = fs::read(&path).map_err(unreadable(&path))?;
        let clip = Clip::from_wav(&bytes)
            .map_err(|source| MessageError::NotPlayable { path: path.clone(), source })?;
        messages.insert(name.to_owned(), clip);
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x06\0\x01\0\x40\x1f\0\0\
        \x40\x1f\0\0\x01\0\x08\0data\xa0\0\0\0";

    #[test]
    fn wav_files_are_read_by_name_and_a_broken_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let good = [HEAD, &[0x80; 160]].concat();
        fs::write(folder.path().join("sorry.wav"), good).unwrap();
        fs::write(folder.path().join("notes.txt"), "not a message").unwrap();
        let messages = read_messages(folder.path()).unwrap();
        assert_eq!(messages.keys().collect::<Vec<_>>(), ["sorry.wav"]);
        assert_eq!(messages["sorry.wav"].frames(), 1);

        fs::write(folder.path().join("broken.WAV"), "no sound").unwrap();
        let error = read_messages(folder.path()).unwrap_err().to_string();
        assert!(error.contains("broken.WAV"), "{error}");
        assert!(read_messages(&folder.path().join("absent")).is_err());
    }
}
