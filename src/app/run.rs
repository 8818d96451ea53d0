//! `campanile serve`.

use std::process::ExitCode;

use super::cli::ServeArgs;

/// Runs `campanile serve`.
pub fn serve(_args: ServeArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`campanile serve` is not built yet")
}
