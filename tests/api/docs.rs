//! The tables of docs/http-api.md and docs/operations.md are made from the code.
//!
//! After a change: `CAMPANILE_BLESS=1 cargo test --test api docs` writes them anew.

use std::fmt::Write as _;

use campanile::adapters::api::error::KINDS;
use campanile::adapters::api::idempotency;
use campanile::adapters::telemetry::metrics::{METRICS, MetricKind};

/// The part of a document between `<!-- name -->` and `<!-- end of name -->` equals `table`.
fn holds(document: &str, name: &str, table: &str) {
    let path = format!("{}/docs/{document}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->\n"));
    let (head, rest) = text.split_once(&begin).expect("the mark of its beginning");
    let (old, tail) = rest.split_once(&end).expect("the mark of its end");
    if std::env::var_os("CAMPANILE_BLESS").is_some() {
        std::fs::write(&path, format!("{head}{begin}{table}{end}{tail}")).unwrap();
        return;
    }
    assert!(old == table, "docs/{document} is old: CAMPANILE_BLESS=1 cargo test --test api docs");
}

#[test]
fn every_metric_stands_in_operations_md_with_its_labels() {
    let mut table = String::from("| metric | kind | labels | tells |\n|---|---|---|---|\n");
    for metric in METRICS {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let labels = metric.labels.join(", ");
        writeln!(table, "| `{}` | {kind} | {labels} | {} |", metric.name, metric.help).unwrap();
    }
    holds("operations.md", "metrics", &table);
}

#[test]
fn every_kind_of_problem_stands_in_http_api_md() {
    let mut table =
        String::from("| `type` (after `urn:campanile:problem:`) | status | key |\n|---|---|---|\n");
    for kind in KINDS {
        let (name, status, title, key) = kind.row();
        let status = status.as_u16();
        writeln!(table, "| `{name}`: {title} | {status} | `{key}` |").unwrap();
    }
    holds("http-api.md", "problems", &table);
}

#[test]
fn the_routes_that_take_an_idempotency_key_are_named_in_http_api_md() {
    let path = format!("{}/docs/http-api.md", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.contains("Keys are taken by")).unwrap();
    for route in idempotency::ROUTES {
        let short = route.strip_prefix("/api/v1").unwrap();
        assert!(line.contains(&format!("{short}`")), "{short}");
    }
}

#[test]
fn every_metric_is_counted_somewhere_in_the_program() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let metrics = std::fs::read_to_string(format!("{root}/adapters/telemetry/metrics.rs")).unwrap();
    let production = metrics.split("#[cfg(test)]").next().unwrap();
    for metric in METRICS {
        let line = production.lines().find(|line| line.contains(&format!("\"{}\"", metric.name)));
        let id = line.unwrap().trim().split(' ').next().unwrap();
        let uses = [format!("!({id}"), format!("of({id}"), format!("\n        {id},")];
        assert!(uses.iter().any(|text| production.contains(text)), "{id} is never counted");
    }
    let others: String =
        sources(root.as_ref()).into_iter().filter(|text| *text != metrics).collect();
    for line in production.lines() {
        let Some((name, _)) = line.strip_prefix("pub fn ").and_then(|rest| rest.split_once('('))
        else {
            continue;
        };
        let inside = production.matches(&format!("{name}(")).count() > 1;
        let outside = others.contains(&format!("metrics::{name}("));
        assert!(inside || outside, "nobody calls metrics::{name}");
    }
}

fn sources(folder: &std::path::Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts.extend(sources(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            texts.push(std::fs::read_to_string(&path).unwrap());
        }
    }
    texts
}

#[test]
fn every_refusal_has_its_text_in_the_pages_catalogue() {
    let path = format!("{}/ui/src/messages.ts", env!("CARGO_MANIFEST_DIR"));
    let catalogue = std::fs::read_to_string(path).unwrap();
    for kind in KINDS {
        let (_, _, _, key) = kind.row();
        assert!(catalogue.contains(&format!("'{key}': ")), "{key} has no text");
    }
}
