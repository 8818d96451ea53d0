//! `campanile config check`.

use serde_json::Value;

use crate::command::{campanile, folder, with_env};

#[tokio::test]
async fn an_unknown_key_is_exit_code_three_with_its_line_and_a_suggestion() {
    let folder = folder();
    std::fs::write(folder.path().join("campanile.toml"), "[http]\nlistne = \"x\"\n").unwrap();
    for words in [&["config", "check"][..], &["campaign", "status"]] {
        let said = campanile(folder.path(), words).await;
        assert_eq!(said.code, 3, "{}", said.err);
        let message =
            "campanile.toml:2: unknown key \"http.listne\"; did you mean \"http.listen\"?";
        assert!(said.err.contains(message), "{}", said.err);
        assert_eq!(said.out, "");
    }
}

#[tokio::test]
async fn a_file_that_is_named_and_not_there_is_exit_code_three() {
    let folder = folder();
    let said = campanile(folder.path(), &["config", "check", "--config", "no.toml"]).await;
    assert_eq!(said.code, 3);
    assert!(said.err.contains("cannot read the configuration file no.toml"), "{}", said.err);
}

#[tokio::test]
async fn every_value_is_printed_with_its_origin() {
    let folder = folder();
    std::fs::write(folder.path().join("campanile.toml"), "[crm]\ntimeout_s = 5\n").unwrap();
    let env = [("CAMPANILE_HTTP_LISTEN", "127.0.0.1:9000")];
    let said = with_env(folder.path(), &["config", "check", "--json"], &env).await;
    assert_eq!(said.code, 0, "{}", said.err);
    let said: Value = serde_json::from_str(&said.out).unwrap();
    let values = &said["values"];
    assert_eq!(values["http.listen"]["value"], "\"127.0.0.1:9000\"");
    assert_eq!(values["http.listen"]["origin"]["env"], "CAMPANILE_HTTP_LISTEN");
    assert_eq!(values["crm.timeout_s"]["origin"]["file"], 2);
    assert_eq!(values["sip.listen"]["origin"], "default");

    let said = with_env(folder.path(), &["config", "check"], &env).await;
    let line = said.out.lines().find(|line| line.starts_with("crm.timeout_s")).unwrap();
    assert!(line.ends_with("# file, line 2"), "{line}");
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_found_by_the_check() {
    let folder = folder();
    std::fs::write(folder.path().join("c.toml"), "[database]\nurl = \"env:NO_SUCH\"\n").unwrap();
    let said = campanile(folder.path(), &["config", "check", "--config", "c.toml"]).await;
    assert_eq!(said.code, 3);
    assert!(said.err.contains("NO_SUCH is not set"), "{}", said.err);
}
