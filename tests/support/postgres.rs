//! A private PostgreSQL for one test binary: a cluster in a temporary folder, reached by a unix
//! socket, gone with the process that asked for it, however that process ends.
//!
//! Included by path: `#[path = "../support/postgres.rs"] mod postgres;`

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Makes the cluster in `$1` with the programs of `$2`, runs it until standard input ends (the test
/// process holds the other end, so a killed one ends it too), and leaves nothing behind.
const SCRIPT: &str = r#"
set -e
umask 077
"$2/initdb" -D "$1/data" -U postgres -A trust -E UTF8 --no-locale --no-sync >"$1/log" 2>&1
"$2/postgres" -D "$1/data" -k "$1" -c listen_addresses= -c fsync=off -c max_connections=400 \
    >>"$1/log" 2>&1 </dev/null &
server=$!
cat >/dev/null || true
kill -INT $server 2>/dev/null || true
wait $server 2>/dev/null || true
rm -rf "$1"
"#;

struct Cluster {
    folder: PathBuf,
    /// Holds the pipe that keeps the server alive.
    _keeper: Child,
}

/// The address of an empty database of its own (a schema) in this process's cluster.
pub(crate) fn url() -> String {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let folder = CLUSTER.get_or_init(start).folder.display().to_string();
    let schema = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("postgres://postgres@localhost/postgres?host={folder}&schema=t{schema}")
}

fn start() -> Cluster {
    let programs = programs();
    let folder = std::env::temp_dir().join(format!("campanile-pg-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).expect("a temporary folder");
    // PostgreSQL refuses to run as root; its Debian package brings a user of its own.
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n");
    let mut command = if is_root {
        let owned = Command::new("chown").arg("postgres").arg(&folder).status();
        assert!(owned.is_ok_and(|status| status.success()), "chown postgres {}", folder.display());
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    let keeper = command
        .args(["-c", SCRIPT, "postgres-of-tests"])
        .args([&folder, &programs])
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("sh starts");
    await_server(&programs, &folder);
    Cluster { folder, _keeper: keeper }
}

/// The newest server's folder of programs.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let bin = entry.path().join("bin");
            let version = entry.file_name().to_str()?.parse().ok()?;
            bin.join("initdb").exists().then_some((version, bin))
        })
        .collect();
    found.sort();
    found.pop().expect("PostgreSQL is missing: apt-get install postgresql-15").1
}

fn await_server(programs: &Path, folder: &Path) {
    const TRIES: u32 = 1_200;
    let has_started = (0..TRIES).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        let ready = Command::new(programs.join("pg_isready"))
            .args(["-q", "-U", "postgres", "-h"])
            .arg(folder)
            .status();
        ready.is_ok_and(|status| status.success())
    });
    let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    assert!(has_started, "PostgreSQL did not start within a minute:\n{log}");
}
