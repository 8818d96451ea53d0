//! `campanile lab`.

use std::process::ExitCode;

use super::cli::LabArgs;

/// Runs `campanile lab`.
pub fn lab(_args: LabArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`campanile lab` is not built yet")
}
