//! What the documentation shows of the registry is what the program prints today. `scripts/docs.sh` writes it.
#![cfg(feature = "cli")]

use crate::support::path;
use std::process::Command;

const STALE: &str = "is stale: run scripts/docs.sh";

fn mbconv(args: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_mbconv")).args(args).current_dir(path("")).output().expect("the program runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Every line `write FILE ARGUMENTS` of the script.
#[test]
fn pictures_are_those_of_today() {
    let script = std::fs::read_to_string(path("scripts/docs.sh")).unwrap();
    let lines: Vec<&str> = script.lines().filter_map(|line| line.strip_prefix("write docs/")).collect();
    assert!(lines.len() >= 3, "{lines:?}");
    let readme = std::fs::read_to_string(path("README.md")).unwrap();
    for line in lines {
        let (file, args) = line.split_once(' ').unwrap();
        let file = format!("docs/{file}");
        let args: Vec<&str> = args.split(' ').collect();
        let stored = std::fs::read_to_string(path(&file)).unwrap_or_default();
        assert!(stored == mbconv(&args), "{file} {STALE}");
        assert!(readme.contains(&file), "the README does not show {file}");
    }
}

#[test]
fn the_readmes_table_is_that_of_today() {
    let readme = std::fs::read_to_string(path("README.md")).unwrap();
    let table = readme.split_once("<!-- models -->\n").and_then(|(_, rest)| rest.split_once("<!-- /models -->\n"));
    let (table, _) = table.expect("README.md has the markers <!-- models --> and <!-- /models -->");
    let times = "benches/results/zoo.json";
    let times: &[&str] = if std::fs::exists(path(times)).unwrap() { &["--times", times] } else { &[] };
    let today = mbconv(&[&["models", "--markdown"], times].concat());
    for (stored, today) in table.trim().lines().zip(today.lines()) {
        assert_eq!(stored, today, "the table of README.md {STALE}");
    }
    assert_eq!(table.trim(), today.trim(), "the table of README.md {STALE}");
}
