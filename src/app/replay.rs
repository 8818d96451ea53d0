//! `campanile replay`.

use std::process::ExitCode;

use super::cli::ReplayArgs;

/// Runs `campanile replay`.
pub fn replay(_args: ReplayArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`campanile replay` is not built yet")
}
