//! The run log of a demo made by another process leads to the same decisions again, and a single
//! decision that was another is found and named.

use std::path::{Path, PathBuf};

use campanile::app::run_log::{SegmentReader, segments_in};
use campanile::domain::attempt::IntentRefusal;
use campanile::domain::call_result::Verdict;
use campanile::engine::input::Input;
use campanile::engine::trace::{Entry, FORMAT};
use serde_json::{Value, json};

use crate::demo_runs::{Run, campanile, demo};

/// Entries of a log, segment by segment.
struct Log(Vec<(PathBuf, Vec<Entry>)>);

impl Log {
    fn read(dir: &Path) -> Self {
        let segments = segments_in(dir).unwrap();
        assert!(!segments.is_empty(), "no run log in {}", dir.display());
        let read = |path: PathBuf| {
            let mut reader = SegmentReader::open(&path).unwrap();
            let entries = std::iter::from_fn(|| reader.read().unwrap()).collect();
            (path, entries)
        };
        Self(segments.into_iter().map(read).collect())
    }

    /// The inputs, in order: the number of each is its place.
    fn inputs(&mut self) -> impl Iterator<Item = &mut Input> {
        self.0.iter_mut().flat_map(|(_, entries)| entries).filter_map(|entry| match entry {
            Entry::Step { input, .. } => Some(input),
            Entry::Snapshot(_) => None,
        })
    }

    /// Changes the `nth` input that `change` takes, and says which number it has.
    fn change(&mut self, nth: usize, change: impl Fn(&Input) -> Option<Input>) -> u64 {
        let (number, input, changed) = self
            .inputs()
            .enumerate()
            .filter_map(|(number, input)| change(input).map(|changed| (number, input, changed)))
            .nth(nth)
            .unwrap();
        *input = changed;
        number as u64
    }

    /// Writes it into a folder as the program does: mark, format, then `length · crc32 · body`.
    fn write(&self, dir: &Path) {
        for (path, entries) in &self.0 {
            let mut bytes = b"CAMPRUN\n".to_vec();
            bytes.extend(FORMAT.to_le_bytes());
            for entry in entries {
                let body = rmp_serde::to_vec(entry).unwrap();
                bytes.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
                bytes.extend(crc32fast::hash(&body).to_le_bytes());
                bytes.extend(body);
            }
            std::fs::write(dir.join(path.file_name().unwrap()), bytes).unwrap();
        }
    }
}

async fn replay(dir: &Path, more: &[&str]) -> Run {
    campanile(&[&["replay", dir.to_str().unwrap(), "--json"], more].concat()).await
}

/// The log with one input changed must fail there, and nowhere before.
async fn fails_where_changed(
    dir: &Path,
    what: &str,
    nth: usize,
    change: impl Fn(&Input) -> Option<Input>,
) {
    let mut log = Log::read(dir);
    let number = log.change(nth, change);
    let changed = tempfile::tempdir().unwrap();
    log.write(changed.path());
    let run = replay(changed.path(), &[]).await;
    let report = run.json();
    assert_eq!(run.status.code(), Some(1), "{what}: {report}");
    assert_eq!(report["agree"], false);
    let difference = &report["difference"];
    assert_eq!(difference["input_number"], number, "{what}: {report}");
    assert!(difference["input"].as_str().unwrap().contains(what), "{report}");
    assert_eq!(report["inputs"], number, "all before it were the same");
    // What lies before the changed input still agrees by itself.
    let before = replay(changed.path(), &["--until", &number.to_string()]).await;
    assert_eq!((before.status.code(), &before.json()["agree"]), (Some(0), &json!(true)));
    let words = campanile(&["replay", changed.path().to_str().unwrap()]).await;
    assert!(words.out.contains(&format!("input {number} at ")), "{}", words.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_another_process_replays_and_one_changed_decision_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let size = ["--contacts", "100", "--agents", "10", "--speed", "30", "--seed", "7"];
    demo(&[&size, ["--dir", dir].as_slice()].concat()).await.agreed();
    let log = folder.path().join("run-log");

    let run = replay(&log, &[]).await;
    let report = run.json();
    assert_eq!((run.status.code(), &report["agree"]), (Some(0), &json!(true)), "{report}");
    assert_eq!(report["difference"], Value::Null);
    assert!(report["inputs"].as_u64().unwrap() > 500, "{report}");

    // Written back unchanged by the writer here, it agrees: what fails below is the change alone.
    let copy = tempfile::tempdir().unwrap();
    Log::read(&log).write(copy.path());
    assert_eq!(replay(copy.path(), &[]).await.json(), report);

    fails_where_changed(&log, "Heard", 3, |input| match input {
        Input::Heard(leg, Verdict::NotListened) => Some(Input::Heard(*leg, Verdict::Machine)),
        _ => None,
    })
    .await;
    fails_where_changed(&log, "IntentRefused", 20, |input| match input {
        Input::Intended(attempt) => Some(Input::IntentRefused(*attempt, IntentRefusal::DoNotCall)),
        _ => None,
    })
    .await;
}
