//! No INVITE leaves before the sync of the commit that holds its intent has returned: read from the
//! system calls of the daemon, as strace saw them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::support::{Daemon, Lab, LabOptions, all_attempts, set_up, settle, until};

/// What happened between two lines of the trace.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    /// The line on which the call began, and the one on which it returned.
    began: usize,
    returned: usize,
    what: What,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    /// Bytes on their way into the write-ahead log.
    Written(Vec<u8>),
    /// The write-ahead log is on the disk.
    Synced,
    /// A datagram or a segment.
    Sent(Vec<u8>),
}

/// The system calls of a trace (`-f -xx`) that matter. Lines stand in the order in which strace saw
/// things happen; a call that others came between stands on two of them.
fn events(trace: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let mut open: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for (at, line) in trace.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((_at, call)) = rest.trim_start().split_once(' ') else { continue };
        let (began, head, tail) = if let Some(head) = call.strip_suffix(" <unfinished ...>") {
            open.insert(thread, (at, head));
            continue;
        } else if call.starts_with("<... ") {
            let Some((began, head)) = open.remove(thread) else { continue };
            (began, head, call)
        } else {
            (at, call, call)
        };
        let Some(what) = what(head, tail) else { continue };
        events.push(Event { began, returned: at, what });
    }
    events
}

/// What a call did; `None` where it failed or does not matter. `head` holds the arguments, `tail`
/// the result.
fn what(head: &str, tail: &str) -> Option<What> {
    let (name, arguments) = head.split_once('(')?;
    let (_, result) = tail.rsplit_once(") = ")?;
    if result.starts_with('-') || result.starts_with('?') {
        return None;
    }
    let path = arguments.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    let is_log = path.is_some_and(|(path, _)| unescaped(path).ends_with(b".db-wal"));
    let buffer = || Some(unescaped(arguments.split('"').nth(1)?));
    match name {
        "fdatasync" | "fsync" if is_log => Some(What::Synced),
        "write" | "pwrite64" if is_log => buffer().map(What::Written),
        "sendto" | "sendmsg" => buffer().map(What::Sent),
        _ => None,
    }
}

/// The bytes of `\x41B`: some versions of strace escape paths, others do not.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let hex = rest.strip_prefix("\\x").and_then(|hex| hex.get(..2));
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = &rest[4..];
        } else {
            bytes.extend(first.to_string().bytes());
            rest = &rest[first.len_utf8()..];
        }
    }
    bytes
}

/// As strace writes bytes.
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("\\x{byte:02x}"))
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// The rule for one attempt, or how it was broken.
fn check(events: &[Event], attempt: Uuid) -> Result<(), String> {
    let call_id = format!("{attempt}@");
    let invite = events
        .iter()
        .find(|event| match &event.what {
            What::Sent(bytes) => {
                bytes.starts_with(b"INVITE ") && contains(bytes, call_id.as_bytes())
            }
            What::Written(_) | What::Synced => false,
        })
        .ok_or_else(|| format!("{attempt}: no INVITE was sent"))?;
    let intent = events
        .iter()
        .find(|event| match &event.what {
            What::Written(bytes) => contains(bytes, attempt.as_bytes()),
            What::Sent(_) | What::Synced => false,
        })
        .ok_or_else(|| format!("{attempt}: its intent was never written"))?;
    let synced = events
        .iter()
        .find(|event| event.what == What::Synced && event.began > intent.returned)
        .ok_or_else(|| format!("{attempt}: its intent was never synced"))?;
    if synced.returned < invite.began {
        Ok(())
    } else {
        Err(format!(
            "{attempt}: written on line {}, synced on {}, sent on {}",
            intent.returned, synced.returned, invite.began
        ))
    }
}

const ATTEMPT: Uuid = Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_00ab);

/// A trace of one call: each letter is a line. `w` writes the intent, `s` and `S` begin and end a
/// sync, `f` fails one, `x` syncs another file, `i` sends the INVITE.
fn drawn(lines: &str) -> Vec<Event> {
    let log = escaped(b"/d/campanile.db-wal");
    let page = escaped(&[b"page ".as_slice(), ATTEMPT.as_bytes(), b" page"].concat());
    let invite =
        escaped(format!("INVITE sip:x SIP/2.0\r\nCall-ID: {ATTEMPT}@campanile\r\n").as_bytes());
    let line = |letter| match letter {
        'w' => format!("7   1.0 pwrite64(9<{log}>, \"{page}\", 4096, 0) = 4096 <0.000012>"),
        's' => format!("7 1.0 fdatasync(9<{log}> <unfinished ...>"),
        'S' => "7 1.0 <... fdatasync resumed>) = 0 <0.002>".to_owned(),
        'f' => format!("7 1.0 fdatasync(9<{log}>) = -1 EIO (Input/output error) <0.002>"),
        'x' => format!("7 1.0 fdatasync(5<{}>) = 0 <0.002>", escaped(b"/d/campanile.db")),
        'i' => format!("8 1.0 sendto(4<x>, \"{invite}\", 99, MSG_NOSIGNAL, {{}}, 16) = 99 <0.1>"),
        other => panic!("{other}"),
    };
    let trace: Vec<String> = lines.chars().map(line).collect();
    events(&trace.join("\n"))
}

#[test]
fn the_reader_of_traces_finds_each_way_to_break_the_rule() {
    assert_eq!(check(&drawn("wsSi"), ATTEMPT), Ok(()));
    assert_eq!(check(&drawn("sSwsSisS"), ATTEMPT), Ok(()));
    for broken in ["iwsS", "wisS", "wsiS", "sSwi", "swSi", "wfi", "wxi", "wi", "sSi", "wsS"] {
        assert!(check(&drawn(broken), ATTEMPT).is_err(), "{broken}");
    }
    assert!(check(&drawn("wsSi"), Uuid::nil()).is_err(), "another attempt's INVITE");
}

/// The lines of a trace with those of the INVITE moved to the front.
fn doctored(trace: &str, attempt: Uuid) -> String {
    let call_id = escaped(attempt.to_string().as_bytes());
    let early = |line: &&str| line.contains("sendto(") && line.contains(&call_id);
    let (early, rest): (Vec<&str>, Vec<&str>) = trace.lines().partition(early);
    // Without its second line an unfinished call would be none.
    let early = early.iter().map(|line| match line.strip_suffix(" <unfinished ...>") {
        Some(head) => format!("{head}) = 1 <0.000001>"),
        None => (*line).to_owned(),
    });
    early.chain(rest.into_iter().map(str::to_owned)).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sync_of_each_intent_returns_before_its_invite_is_sent() {
    let strace = std::process::Command::new("strace").arg("-V").output();
    assert!(strace.is_ok(), "strace is missing: apt-get install strace");
    let daemon = Daemon::new("");
    let file = daemon.data_dir().with_file_name("trace");
    let lab = Lab::start(LabOptions { contacts: 12, agents: 3, seed: 3, speed: 30.0 });
    // -D: the daemon stays the child of this test, and strace goes when it goes.
    let tracer = format!(
        "strace -D -f --seccomp-bpf -ttt -T -y -xx -s 5000 \
         -e trace=fdatasync,fsync,sendto,sendmsg,write,pwrite64 -o {}",
        file.display()
    );
    let mut daemon = daemon.under(&tracer);
    daemon.start().await;
    let mode = json!({ "mode": { "kind": "progressive" } });
    let campaign = set_up(&daemon, &lab, mode).await;
    lab.seat(&daemon, &campaign).await;
    until(Duration::from_secs(60), "all twelve are called", async || {
        (lab.ledger().await.carrier.attempts == 12).then_some(())
    })
    .await;
    settle(&daemon, &campaign, Duration::from_secs(60)).await;
    let db = daemon.db().await;
    let attempts = all_attempts(&db, &campaign).await;
    db.close().await;
    daemon.terminate();
    assert!(daemon.ended(Duration::from_secs(30)).await.success(), "{}", daemon.log());
    let trace = whole_trace(&file).await;

    let seen = events(&trace);
    let dialled: Vec<Uuid> = attempts
        .iter()
        .filter(|row| row.dialled_ms.is_some())
        .map(|row| row.attempt.as_uuid())
        .collect();
    assert_eq!(dialled.len(), 12);
    for attempt in dialled {
        assert_eq!(check(&seen, attempt), Ok(()));
        // The same trace with the INVITE sent first must not pass.
        let moved = events(&doctored(&trace, attempt));
        check(&moved, attempt).unwrap_err();
    }
}

/// The trace, once strace has written its last line.
async fn whole_trace(file: &Path) -> String {
    until(Duration::from_secs(10), "strace has written everything", async || {
        let trace = std::fs::read_to_string(file).ok()?;
        let last = trace.lines().next_back()?;
        last.contains("+++ exited with").then_some(trace)
    })
    .await
}
