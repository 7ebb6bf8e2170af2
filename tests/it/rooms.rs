//! The house rules: which module may import which, and the one module that may name each outside crate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Imported by every room.
const EVERYONES: &[&str] = &["error", "tensor", "clock", "json", "wire"];

/// Each room and what it may import. A room only names rooms above it, so there are no cycles.
const ROOMS: &[(&str, &[&str])] = &[
    ("graph", &[]),
    ("zoo", &["graph"]),
    ("weights", &["graph"]),
    ("passes", &["graph"]),
    // The independent witness: no kernels, plan, gpu or passes.
    ("cpu", &["graph", "weights"]),
    ("kernels", &["graph"]),
    ("plan", &["graph", "kernels", "weights"]),
    ("draw", &["graph", "plan"]),
    // Sees a plan, never a model.
    ("gpu", &["graph", "kernels", "plan", "weights"]),
    ("preprocess", &["zoo"]),
    ("vision", &["zoo"]),
    ("session", &["graph", "zoo", "weights", "passes", "cpu", "kernels", "plan", "gpu", "preprocess", "vision"]),
    (
        "cli",
        &[
            "graph",
            "zoo",
            "weights",
            "passes",
            "cpu",
            "kernels",
            "plan",
            "draw",
            "gpu",
            "preprocess",
            "vision",
            "session",
        ],
    ),
    ("web", &["graph", "zoo", "weights", "passes", "cpu", "kernels", "plan", "gpu", "preprocess", "vision", "session"]),
];

/// Outside crates that only one room names: how their paths start. (`image::` may also be `preprocess::image`.)
const OUTSIDE: &[(&str, &str)] = &[
    ("wgpu::", "gpu"),
    ("safetensors::", "weights"),
    ("use image::", "preprocess"),
    ("use libjpeg_turbo_rs", "preprocess"),
    ("clap::", "cli"),
    ("dirs::", "cli"),
    ("toml::", "zoo"),
    ("web_sys::", "web"),
    ("wasm_bindgen_futures::", "web"),
];

#[test]
fn rooms_import_only_what_they_may() {
    let everyones = EVERYONES.iter().map(|room| (*room, [].as_slice()));
    let allowed: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().chain(everyones).collect();
    let mut problems = Vec::new();
    for (room, file, code) in sources() {
        let mut problem = |text: String| problems.push(format!("{}: {text}", file.display()));
        let Some(may) = allowed.get(room.as_str()) else {
            problem(format!("no room is called {room}: give it a row in tests/it/rooms.rs"));
            continue;
        };
        for import in words_after(&code, "crate::").chain(words_after(&code, "super::")) {
            let known = EVERYONES.contains(&import.as_str()) || may.contains(&import.as_str());
            if allowed.contains_key(import.as_str()) && import != room && !known {
                problem(format!("{room} may not import {import}"));
            }
        }
        if words_after(&code, "crate::").any(|word| word.is_empty()) {
            problem("name rooms one by one, not as crate::{..}".into());
        }
        for (outside, owner) in OUTSIDE {
            if starts_path(&code, outside) && room != *owner {
                problem(format!("only {owner} may name {outside}"));
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn the_table_has_no_cycles() {
    for (i, (room, imports)) in ROOMS.iter().enumerate() {
        for import in *imports {
            assert!(ROOMS[..i].iter().any(|r| r.0 == *import), "{room} imports {import}, which is not above it");
        }
    }
}

#[test]
fn the_rules_see_what_they_forbid() {
    let words = |code: &str| words_after(&without_comments(code), "crate::").collect::<Vec<_>>();
    assert_eq!(words("use crate::plan::Plan; // crate::gpu\nfn f(x: &crate::cpu::X) {}"), ["plan", "cpu"]);
    assert_eq!(words("//! [`crate::zoo`]\nlet url = \"https://x\"; use crate::{gpu, plan};"), [""]);
    assert!(starts_path("fn f() -> wgpu::Device", "wgpu::") && starts_path("use image::{A, B};", "use image::"));
    assert!(!starts_path("my_toml::load()", "toml::") && !starts_path("x::toml::load()", "toml::"));
}

/// Every file of `src/`: its room, its path and its text without comments.
fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut files) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let relative = path.strip_prefix(&root).unwrap().to_path_buf();
                // These two hold the house together; lib.rs re-exports wgpu.
                if ["lib.rs", "main.rs"].iter().any(|name| relative == Path::new(name)) {
                    continue;
                }
                let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
                let text = std::fs::read_to_string(&path).unwrap();
                files.push((first.trim_end_matches(".rs").to_string(), relative, without_comments(&text)));
            }
        }
    }
    assert!(files.len() > 50, "only {} files under src", files.len());
    files
}

fn without_comments(text: &str) -> String {
    // A `//` behind a colon is an address in a string.
    let code = |line: &str| {
        let comment = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
        line[..comment.map_or(line.len(), |c| c.0)].to_string()
    };
    text.lines().map(code).collect::<Vec<_>>().join("\n")
}

/// The identifier behind each `prefix`; empty where something else follows.
fn words_after<'a>(code: &'a str, prefix: &'a str) -> impl Iterator<Item = String> + 'a {
    let word = |rest: &str| rest.chars().take_while(|&c| c.is_ascii_alphanumeric() || c == '_').collect();
    code.match_indices(prefix).map(move |(at, _)| word(&code[at + prefix.len()..]))
}

/// Whether the code has `start` with nothing of the same path before it.
fn starts_path(code: &str, start: &str) -> bool {
    code.match_indices(start)
        .any(|(at, _)| !code[..at].ends_with(|c: char| c == ':' || c == '_' || c.is_ascii_alphanumeric()))
}
