//! House rules that rustc and clippy cannot see. Each failure says what to do about it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// Floors from the ground up: a file may use its own floor and those before it.
const FLOORS: [&str; 6] = ["domain", "protocols", "engine", "simulation", "adapters", "app"];
/// Floors with no sockets, no clock, no dice of their own.
const PURE: [&str; 4] = ["domain", "protocols", "engine", "simulation"];
const BANNED_IN_PURE: [&str; 14] = [
    "tokio::",
    "sqlx::",
    "axum::",
    "tracing::",
    "metrics::",
    "std::net::UdpSocket",
    "std::fs",
    "std::thread",
    "Mutex",
    "RwLock",
    "std::sync::atomic",
    "Instant::now",
    "Utc::now",
    "SystemTime::now",
];
/// `protocols` know identifiers, numbers and time, and nothing else of the domain.
const DOMAIN_FOR_PROTOCOLS: [&str; 3] = ["ids", "phone", "time"];
/// Lines of a file before its tests.
const PRODUCTION_LINES_MAX: usize = 500;
/// A crate that few files may name: the crate's path, and those files.
const ONE_FILE: [(&str, &[&str]); 6] = [
    ("rsip::", &["protocols/sip/vocabulary.rs"]),
    ("rtp_rs::", &["protocols/rtp/packet.rs"]),
    ("rtcp_types::", &["protocols/rtp/rtcp.rs"]),
    ("sdp_types::", &["protocols/sdp/session.rs"]),
    ("governor::", &["engine/line_budget.rs", "adapters/api/password.rs"]),
    ("metrics_exporter_prometheus", &["adapters/telemetry/metrics.rs"]),
];

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// Every file below `src`: its name there and its text.
fn sources() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    files
        .iter()
        .map(|path| {
            let name = path.strip_prefix(&src).unwrap().display().to_string();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn production(text: &str) -> &str {
    text.find("\n#[cfg(test)]\nmod ").map_or(text, |at| &text[..at])
}

fn is_test(name: &str) -> bool {
    name.ends_with("/tests.rs") || name.contains("/tests/")
}

/// Lines of code with their numbers; comments say what they like.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    production(text)
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn report(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for_and_stays_readable() {
    let mut faults = Vec::new();
    for (name, text) in sources() {
        if !text.starts_with("//!") {
            faults.push(format!("{name}: begin with a //! line that says what the file is for"));
        }
        let lines = production(&text).lines().count();
        if lines > PRODUCTION_LINES_MAX && !is_test(&name) {
            faults.push(format!("{name}: {lines} lines before its tests; split it at a noun"));
        }
    }
    report(&faults);
}

#[test]
fn floors_use_only_themselves_and_what_is_below() {
    let mut faults = Vec::new();
    for (name, text) in sources() {
        let floor = name.split('/').next().unwrap();
        for (at, line) in code(&text) {
            if let Some(rank) = FLOORS.iter().position(|f| *f == floor) {
                for upper in FLOORS[rank + 1..].iter().chain(&["lab"]) {
                    let demo = *upper == "lab" && ["app/demo.rs", "app/lab.rs"].contains(&&*name);
                    let demo = demo || (*upper == "lab" && name.starts_with("app/demo/"));
                    if line.contains(&format!("crate::{upper}::")) && !demo {
                        faults.push(format!("{name}:{at}: {floor} may not use {upper}"));
                    }
                }
            }
            if floor == "lab" && line.contains("crate::app::") {
                faults.push(format!("{name}:{at}: lab may not use app"));
            }
            if let Some((_, used)) = line.split_once("crate::domain::")
                && floor == "protocols"
                && !DOMAIN_FOR_PROTOCOLS.iter().any(|noun| used.starts_with(noun))
            {
                faults.push(format!("{name}:{at}: protocols know only ids, phone and time"));
            }
        }
    }
    report(&faults);
}

#[test]
fn pure_floors_have_no_outside() {
    let mut faults = Vec::new();
    for (name, text) in sources() {
        let floor = name.split('/').next().unwrap();
        if !PURE.contains(&floor) || is_test(&name) {
            continue;
        }
        for (at, line) in code(&text) {
            for word in BANNED_IN_PURE.iter().filter(|word| line.contains(**word)) {
                faults.push(format!("{name}:{at}: {word} on a pure floor; pass the value in"));
            }
            // The engine is cloned for forecasts and written to the run log: its state is its own.
            if floor == "engine" && (line.contains("Arc<") || line.contains("Rc<RefCell")) {
                faults.push(format!("{name}:{at}: the engine shares nothing"));
            }
        }
    }
    report(&faults);
}

#[test]
fn crates_that_are_wrapped_are_named_in_their_wrapper_only() {
    let mut faults = Vec::new();
    for (name, text) in sources() {
        for (at, line) in code(&text) {
            for (krate, files) in ONE_FILE {
                if line.contains(krate) && !files.contains(&&*name) {
                    faults.push(format!("{name}:{at}: {krate} belongs in {}", files.join(" or ")));
                }
            }
        }
    }
    report(&faults);
}

#[test]
fn migrations_come_in_pairs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let names = |folder: &str| {
        let mut names: Vec<String> = fs::read_dir(root.join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert!(!names("sqlite").is_empty());
    assert_eq!(names("sqlite"), names("postgres"));
}
