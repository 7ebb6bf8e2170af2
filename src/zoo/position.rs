//! Where in an architecture file a field is.

use super::fault::Fault;
use serde_json::value::RawValue;
use std::collections::HashMap;
use toml::de::{DeTable, DeValue};

/// `line 3` of a TOML file, `line 3, column 8` of a JSON file: that of the faulty field, or of what it is missing in.
pub(super) fn find(text: &str, json: bool, fault: &Fault) -> String {
    let mut path: Vec<String> = fault.field.split('.').map(String::from).collect();
    if let Some(stage) = fault.stage {
        path.splice(0..0, ["stages".into(), stage.to_string()]);
    }
    // The channels inside a block go by three names in a file.
    let last = path.pop().unwrap_or_default();
    let names = if last == "hidden" { vec!["hidden", "expand", "reduce"] } else { vec![last.as_str()] };
    let start = |name: &str| {
        let whole: Vec<&str> = path.iter().map(String::as_str).chain([name]).collect();
        if json { in_json(text, &whole) } else { in_toml(text, &whole) }
    };
    // The deepest that there is.
    let (_, offset) = names.into_iter().map(start).max_by_key(|found| found.0).unwrap_or_default();
    let line = line(text, offset);
    if !json {
        return format!("line {line}");
    }
    let before = text.get(..offset).unwrap_or_default();
    format!("line {line}, column {}", before.chars().rev().take_while(|&c| c != '\n').count() + 1)
}

/// The line of an offset, from 1.
pub(super) fn line(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|&&b| b == b'\n').count() + 1
}

/// How many parts of a path there are in a document, and where the last one of them starts.
fn in_toml(text: &str, path: &[&str]) -> (usize, usize) {
    let Ok(document) = DeTable::parse(text) else { return (0, 0) };
    let mut table = Some(document.get_ref());
    let mut array = None;
    let mut found = (0, 0);
    for (depth, part) in path.iter().enumerate() {
        let next = match (table, array) {
            (Some(table), _) => {
                table.iter().find(|(key, _)| key.get_ref() == part).map(|(key, value)| (key.span(), value))
            }
            (None, Some(array)) => {
                let array: &toml::de::DeArray = array;
                part.parse().ok().and_then(|i: usize| array.get(i)).map(|value| (value.span(), value))
            }
            (None, None) => None,
        };
        let Some((span, value)) = next else { break };
        found = (depth + 1, span.start);
        (table, array) = match value.get_ref() {
            DeValue::Table(table) => (Some(table), None),
            DeValue::Array(array) => (None, Some(array)),
            _ => (None, None),
        };
    }
    found
}

/// The same; of a field its value. Raw values are parts of the text, so that their address says where they are.
fn in_json(text: &str, path: &[&str]) -> (usize, usize) {
    let mut value = text;
    for (depth, part) in path.iter().enumerate() {
        let next = match part.parse::<usize>() {
            Ok(index) => serde_json::from_str::<Vec<&RawValue>>(value).ok().and_then(|v| v.get(index).copied()),
            Err(_) => {
                serde_json::from_str::<HashMap<String, &RawValue>>(value).ok().and_then(|v| v.get(*part).copied())
            }
        };
        match next {
            Some(raw) => value = raw.get(),
            None => return (depth, value.as_ptr() as usize - text.as_ptr() as usize),
        }
    }
    (path.len(), value.as_ptr() as usize - text.as_ptr() as usize)
}
