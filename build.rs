//! Builds `ui/` into `OUT_DIR/ui`, so that `cargo run` alone gives a daemon with its pages.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use std::{env, error, fs};

type Outcome = Result<(), Box<dyn error::Error>>;

/// Whatever the built pages depend on.
const SOURCES: [&str; 7] = [
    "ui/src",
    "ui/public",
    "ui/index.html",
    "ui/package.json",
    "ui/package-lock.json",
    "ui/vite.config.ts",
    "ui/tsconfig.json",
];

fn main() -> Outcome {
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
    }
    println!("cargo:rerun-if-env-changed=CAMPANILE_UI");
    // `sqlx::migrate!` embeds the folder, and by itself does not notice a new file in it.
    println!("cargo:rerun-if-changed=migrations");
    // Without the daemon nobody serves pages.
    if env::var_os("CARGO_FEATURE_DAEMON").is_none() {
        return Ok(());
    }
    let out = PathBuf::from(env::var("OUT_DIR")?).join("ui");
    fs::create_dir_all(&out)?;
    if env::var("CAMPANILE_UI").as_deref() == Ok("none") {
        fs::write(
            out.join("index.html"),
            "<!doctype html><title>Campanile</title>Built without the pages.",
        )?;
        return Ok(());
    }
    let ui = Path::new("ui");
    if !installed(ui) {
        npm(ui, &["ci", "--no-audit", "--no-fund"])?;
    }
    let out = out.to_str().ok_or("OUT_DIR is not UTF-8")?;
    npm(ui, &["run", "build", "--", "--outDir", out, "--emptyOutDir"])
}

/// Whether the packages on disk are at least as new as the lock file.
fn installed(ui: &Path) -> bool {
    let changed =
        |path: PathBuf| -> Option<SystemTime> { fs::metadata(path).ok()?.modified().ok() };
    changed(ui.join("node_modules/.package-lock.json")).is_some_and(|there| {
        changed(ui.join("package-lock.json")).is_some_and(|lock| there >= lock)
    })
}

fn npm(ui: &Path, args: &[&str]) -> Outcome {
    let failed = match Command::new("npm").args(args).current_dir(ui).status() {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => format!("`npm {}` in ui/ ended with {status}", args.join(" ")),
        Err(error) => format!(
            "npm could not be started ({error}): install Node 20.19 or newer with npm \
             (Debian: apt install nodejs npm), or set CAMPANILE_UI=none to build without the pages"
        ),
    };
    Err(failed.into())
}
