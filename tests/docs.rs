//! Documents that must say what the code says: the tables of docs/results.md are made from it.
//!
//! After a change of a result, a mapping or a retry rule: `CAMPANILE_BLESS=1 cargo test --test docs`
//! writes the tables anew; read the difference before you commit it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]
#![expect(clippy::case_sensitive_file_extension_comparisons, reason = "our own files")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use campanile::domain::call_result::{CallResult, NetworkEnd, RESULTS, Side, of_unanswered};
use campanile::domain::retry::RetryRules;

const DOCUMENT: &str = "docs/results.md";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The sentence above each row of the taxonomy, by code, read from the source.
fn meanings() -> BTreeMap<String, String> {
    let source = read("src/domain/call_result.rs");
    let rows = source.split("\nresults! {").nth(1).unwrap().split("\n}").next().unwrap();
    let mut meanings = BTreeMap::new();
    let mut sentence = Vec::new();
    for line in rows.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            sentence.push(text.trim());
        } else if line.contains(" = ") {
            let code = line.split('"').nth(1).unwrap();
            meanings.insert(code.to_owned(), std::mem::take(&mut sentence).join(" "));
        }
    }
    meanings
}

fn side(side: Side) -> &'static str {
    match side {
        Side::Callee => "callee",
        Side::Carrier => "carrier",
        Side::Us => "us",
        Side::Nobody => "–",
    }
}

fn span(seconds: u32) -> String {
    match seconds {
        s if s % 3600 == 0 => format!("{} h", s / 3600),
        s if s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

fn taxonomy() -> String {
    let meanings = meanings();
    let retry = RetryRules::default();
    let mut table = String::from(
        "| code | Cisco | who failed | attempt | live answer | needs ears | tried again after | meaning |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let mark = |flag: bool| if flag { "yes" } else { "" };
    for row in RESULTS {
        let again = retry.after_s.get(&row.result).map(|s| span(*s)).unwrap_or_default();
        writeln!(
            table,
            "| `{}` | {} | {} | {} | {} | {} | {again} | {} |",
            row.code,
            row.cisco,
            side(row.side),
            mark(row.is_attempt),
            mark(row.is_live_answer),
            mark(row.needs_ears),
            meanings[row.code],
        )
        .unwrap();
    }
    table
}

/// One line for each pair of results, with the statuses or causes that give it.
fn grouped(title: &str, of: impl Fn(u16) -> Option<(CallResult, CallResult)>) -> String {
    let mut groups: BTreeMap<(CallResult, CallResult), Vec<u16>> = BTreeMap::new();
    for n in 1..700 {
        if let Some(pair) = of(n) {
            groups.entry(pair).or_default().push(n);
        }
    }
    let mut rows: Vec<_> = groups.into_iter().collect();
    rows.sort_by_key(|(_, numbers)| numbers[0]);
    let mut table = format!("| {title} | before ringing | after ringing |\n|---|---|---|\n");
    for ((before, after), numbers) in rows {
        let numbers: Vec<String> = ranges(&numbers);
        let numbers = numbers.join(", ");
        writeln!(table, "| {numbers} | `{}` | `{}` |", before.code(), after.code()).unwrap();
    }
    table
}

/// Three or more numbers in a row become a range.
fn ranges(numbers: &[u16]) -> Vec<String> {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for &n in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == n => *last = n,
            _ => runs.push((n, n)),
        }
    }
    let text = |(first, last): (u16, u16)| match last - first {
        0 => vec![first.to_string()],
        1 => vec![first.to_string(), last.to_string()],
        _ => vec![format!("{first}–{last}")],
    };
    runs.into_iter().flat_map(text).collect()
}

fn result_of(end: &NetworkEnd) -> (CallResult, CallResult) {
    (of_unanswered(end, false, None), of_unanswered(end, true, None))
}

fn statuses() -> String {
    const REST: u16 = 499;
    let of = |status: u16| result_of(&NetworkEnd { status: Some(status), ..NetworkEnd::default() });
    let rest = of(REST);
    let named = |status: u16| {
        let pair = of(status);
        ((300..700).contains(&status) && (pair != rest || status == REST)).then_some(pair)
    };
    let table = grouped("final status", named);
    // The line of all others goes last.
    let (others, named): (Vec<&str>, Vec<&str>) =
        table.lines().partition(|line| line.starts_with("| 499 |"));
    let others = others.join("").replace("| 499 |", "| every other, 3xx too |");
    format!("{}\n{others}\n", named.join("\n"))
}

fn causes() -> String {
    // A status that says nothing by itself, so that the cause alone speaks.
    let of = |cause: Option<u16>| {
        result_of(&NetworkEnd { status: Some(499), q850: cause, ..NetworkEnd::default() })
    };
    let silent = of(None);
    grouped("Q.850 cause", |cause| {
        // Where cause and status agree the cause may have spoken or not; 41 (temporary failure) did.
        let pair = of(Some(cause));
        let spoken = pair != silent || CARRIER_FAILURES.contains(&cause);
        ((1..128).contains(&cause) && spoken).then_some(pair)
    })
}

/// Causes that mean what an unknown status means; `causes_that_look_silent_do_speak` checks them.
const CARRIER_FAILURES: [u16; 8] = [6, 25, 38, 39, 40, 41, 49, 102];

#[test]
fn causes_that_look_silent_do_speak() {
    for cause in 1..128 {
        let end = NetworkEnd { status: Some(486), q850: Some(cause), ..NetworkEnd::default() };
        let spoken = of_unanswered(&end, false, None) == CallResult::CarrierFailure;
        assert_eq!(spoken, CARRIER_FAILURES.contains(&cause), "cause {cause}");
    }
}

/// Replaces what stands between the two marks of `name`.
fn put(document: &str, name: &str, table: &str) -> String {
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let (head, rest) = document.split_once(&open).unwrap_or_else(|| panic!("no {open}"));
    let (_, tail) = rest.split_once(&close).unwrap_or_else(|| panic!("no {close}"));
    format!("{head}{open}{table}{close}{tail}")
}

#[test]
fn the_tables_of_call_results_are_those_of_the_code() {
    let document = read(DOCUMENT);
    let wanted = [("results", taxonomy()), ("statuses", statuses()), ("causes", causes())]
        .iter()
        .fold(document.clone(), |text, (name, table)| put(&text, name, table));
    if std::env::var_os("CAMPANILE_BLESS").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT), wanted).unwrap();
        return;
    }
    for (at, (is, should)) in document.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(is, should, "{DOCUMENT}:{}: the code says otherwise; see tests/docs.rs", at + 1);
    }
    assert_eq!(document, wanted, "{DOCUMENT}: the code says otherwise; see tests/docs.rs");
}

#[test]
fn the_readme_counts_the_call_results_right() {
    let count = format!("[{} of them]", RESULTS.len());
    assert!(read("README.md").contains(&count), "README.md: write {count}");
}

/// Names in `code` marks.
fn marked(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn repository() -> Vec<String> {
    fn walk(dir: &Path, root: &Path, out: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = entry.file_name();
            let is_ours = !["target", "node_modules", ".git", "dist"].iter().any(|n| name == *n);
            if path.is_dir() && is_ours {
                walk(&path, root, out);
            } else if path.is_file() {
                out.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    walk(root, root, &mut files);
    files
}

#[test]
fn every_test_that_the_status_names_exists() {
    let sources: String =
        repository().iter().filter(|file| file.ends_with(".rs")).map(|file| read(file)).collect();
    let status = read("docs/status.md");
    let tests: Vec<&str> = marked(&status)
        .filter(|name| name.matches('_').count() > 2)
        .filter(|name| {
            name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        })
        .collect();
    assert!(tests.len() > 20, "the status names its tests");
    let absent: Vec<_> =
        tests.iter().filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(absent.is_empty(), "docs/status.md names tests that do not exist: {absent:#?}");
}

/// Documents of the repository with their folder.
fn documents(files: &[String]) -> impl Iterator<Item = (&String, String)> {
    let is_document = |file: &&String| {
        file.ends_with(".md") && (file.starts_with("docs/") || !file.contains('/'))
    };
    files.iter().filter(is_document).map(|file| (file, read(file)))
}

#[test]
fn documents_lead_to_files_that_exist() {
    let files = repository();
    let mut faults = Vec::new();
    for (document, text) in documents(&files) {
        let folder = Path::new(document).parent().unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for link in links.filter(|link| !link.is_empty() && !link.contains("://")) {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(link);
            if !path.exists() {
                faults.push(format!("{document}: nothing at {link}"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// A file may be named from any folder on: `store/intents.rs` is one of ours.
#[test]
fn the_map_names_source_files_that_exist() {
    const OF_CODE: [&str; 3] = [".rs", ".ts", ".svelte"];
    let files = repository();
    let mut faults = Vec::new();
    for (document, text) in documents(&files) {
        let is_path = |name: &&str| {
            OF_CODE.iter().any(|end| name.ends_with(end)) && !name.contains([' ', '*', '{', '<'])
        };
        for name in marked(&text).filter(is_path) {
            let exists = files.iter().any(|file| {
                file.strip_suffix(name).is_some_and(|head| head.is_empty() || head.ends_with('/'))
            });
            if !exists {
                faults.push(format!("{document}: there is no {name}"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
