//! Runs the command in a folder of its own, without what the environment may say.

use std::path::Path;

use tempfile::TempDir;
use tokio::process::Command;

/// What a run said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Runs `campanile` with words; a word may hold blanks.
pub(crate) async fn campanile(folder: &Path, words: &[&str]) -> Said {
    with_env(folder, words, &[]).await
}

pub(crate) async fn with_env(folder: &Path, words: &[&str], env: &[(&str, &str)]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
    command.args(words).current_dir(folder).env_clear().envs(env.iter().copied());
    let output = command.output().await.unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}
