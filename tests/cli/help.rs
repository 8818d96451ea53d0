//! Help and version.

use crate::command::{campanile, folder};

#[tokio::test]
async fn every_help_page_has_an_example() {
    let folder = folder();
    let pages = [
        "",
        "serve",
        "demo",
        "list",
        "list pull",
        "list import",
        "campaign",
        "campaign create",
        "campaign start",
        "campaign pause",
        "campaign stop",
        "campaign status",
        "agent",
        "agent add",
        "trunk",
        "trunk add",
        "trunk check",
        "replay",
        "config",
        "config check",
    ];
    for page in pages {
        let mut words: Vec<&str> = page.split_whitespace().collect();
        words.push("--help");
        let said = campanile(folder.path(), &words).await;
        assert_eq!(said.code, 0, "{page}: {}", said.err);
        let example = format!("  campanile {page}");
        assert!(said.out.contains(example.trim_end()), "{page} has no example:\n{}", said.out);
    }
}

#[tokio::test]
async fn the_first_help_page_explains_the_exit_codes_and_hides_the_lab() {
    let folder = folder();
    let said = campanile(folder.path(), &["--help"]).await;
    for code in ["Exit codes:", "3  the configuration", "4  the daemon cannot be reached"] {
        assert!(said.out.contains(code), "{code}");
    }
    assert!(!said.out.contains("  lab "), "{}", said.out);
}

#[tokio::test]
async fn what_is_not_understood_is_exit_code_two_with_a_suggestion() {
    let folder = folder();
    let said = campanile(folder.path(), &["campain"]).await;
    assert_eq!(said.code, 2);
    assert!(said.err.contains("campaign"), "{}", said.err);
    assert_eq!(campanile(folder.path(), &["demo", "--speed", "0"]).await.code, 2);
    assert_eq!(campanile(folder.path(), &["demo", "--mode", "manual"]).await.code, 2);
}

#[tokio::test]
async fn a_password_on_the_command_line_is_refused() {
    let folder = folder();
    let words = "trunk add --name x --address 127.0.0.1:5060 --username u --password hunter2";
    let said = campanile(folder.path(), &words.split(' ').collect::<Vec<_>>()).await;
    assert_eq!(said.code, 2);
    assert!(said.err.contains("env:NAME or file:PATH"), "{}", said.err);
}
