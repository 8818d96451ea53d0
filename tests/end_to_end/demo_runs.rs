//! The demo as a stranger types it: what it prints last, what its exit code means, how it stops.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{signal, until};

/// A demo that is not over by then hangs.
const OVER_WITHIN: Duration = Duration::from_secs(120);

/// What a run of the program left behind.
pub(crate) struct Run {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// The object that standard output is, whole.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out, self.err))
    }

    /// The demo's object, after a run whose ledgers agree.
    pub(crate) fn agreed(&self) -> Value {
        let report = self.json();
        assert_eq!(report["mismatches"], json!([]), "{}", self.err);
        assert_eq!((self.status.code(), &report["agree"]), (Some(0), &json!(true)), "{}", self.err);
        report
    }
}

/// A child whose output goes to files of a folder.
struct Started {
    child: Option<Child>,
    folder: tempfile::TempDir,
}

impl Started {
    fn new(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| std::fs::File::create(folder.path().join(name)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_campanile"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn()
            .unwrap();
        Self { child: Some(child), folder }
    }

    fn said(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    async fn ended(mut self) -> Run {
        let child = self.child.as_mut().unwrap();
        let status =
            until(OVER_WITHIN, "the run is over", || std::future::ready(child.try_wait().unwrap()))
                .await;
        self.child = None;
        Run { status, out: self.said("out"), err: self.said("err") }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Already gone is as good.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Runs the program to its end.
pub(crate) async fn campanile(arguments: &[&str]) -> Run {
    Started::new(arguments).ended().await
}

/// Runs the demo on free ports with JSON at its end.
pub(crate) async fn demo(more: &[&str]) -> Run {
    campanile(&[&["demo", "--json", "--port", "0"], more].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_its_seconds_it_drains_and_compares_and_json_is_all_it_prints() {
    let run =
        demo(&["--contacts", "300", "--agents", "5", "--speed", "30", "--seconds", "5"]).await;
    let report = run.agreed();
    assert_eq!(report["over"], "time_is_up");
    let total = report["attempts"]["total"].as_u64().unwrap();
    assert!((5..150).contains(&total), "{report}");
    let results = report["attempts"]["by_result"].as_object().unwrap();
    assert_eq!(results.values().filter_map(Value::as_u64).sum::<u64>(), total);
    let sides = ["dialer", "carrier", "crm"].map(|side| &report["ledgers"][side]["attempts"]);
    assert_eq!(sides[0], sides[1]);
    assert_eq!(sides[1], sides[2]);
    assert_eq!(report["crm_events"]["posted"], report["crm_events"]["delivered"]);
    assert!(run.err.contains("launches stop after 5 s"), "{}", run.err);
    assert!(run.out.ends_with("}\n"), "nothing comes after the object");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_it_as_its_seconds_do_and_in_words() {
    let arguments = ["--contacts", "300", "--agents", "5", "--speed", "30"];
    let demo = Started::new(&[&["demo", "--port", "0"], arguments.as_slice()].concat());
    until(OVER_WITHIN, "a first line on the run", async || {
        demo.said("err").contains("300 contacts,").then_some(())
    })
    .await;
    signal(demo.child.as_ref().unwrap(), "INT");
    let run = demo.ended().await;
    assert_eq!(run.status.code(), Some(0), "{}{}", run.out, run.err);
    assert!(run.err.contains("no new calls"), "{}", run.err);
    assert!(run.out.contains("the ledgers of dialer, carrier and CRM agree"), "{}", run.out);
    assert!(!run.out.contains('{'), "words: {}", run.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_option_that_does_not_exist_or_fit_is_a_usage_error() {
    let wrong: [&[&str]; 5] = [
        &["--mode", "telepathic"],
        &["--speed", "0"],
        &["--agents", "0"],
        &["--contacts", "many"],
        &["--colour"],
    ];
    for arguments in wrong {
        let run = demo(arguments).await;
        assert_eq!(run.status.code(), Some(2), "{arguments:?}: {}", run.err);
        assert_eq!(run.out, "", "{arguments:?}");
        assert!(run.err.contains(arguments[0]), "{arguments:?}: {}", run.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_people_than_fictional_numbers_and_a_used_database_are_refused_in_words() {
    let run = demo(&["--contacts", "5001"]).await;
    assert_eq!(run.status.code(), Some(1));
    assert!(run.err.contains("5000 numbers reserved for fiction"), "{}", run.err);

    let folder = tempfile::tempdir().unwrap();
    let database = url(&folder.path().join("demo.db"));
    let short = ["--contacts", "3", "--agents", "2", "--seconds", "1", "--database", &database];
    demo(&short).await.agreed();
    let again = demo(&short).await;
    assert_eq!(again.status.code(), Some(1), "{}{}", again.out, again.err);
    assert!(again.err.contains("is not empty"), "{}", again.err);
    assert_eq!(again.out, "");
}

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}
