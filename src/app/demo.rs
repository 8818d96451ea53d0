//! `campanile demo`.

use std::process::ExitCode;

use super::cli::DemoArgs;

/// Runs `campanile demo`.
pub fn demo(_args: DemoArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`campanile demo` is not built yet")
}
