//! Names of classes.

use std::borrow::Cow;
use std::path::Path;

use crate::error::{Error, Result};
use crate::json::Json;

/// One name per class, or none at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    names: Names,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Names {
    #[default]
    None,
    ImageNet,
    Own(Vec<String>),
}

/// Behind a function, so that a program which never asks for a name does not carry the list.
fn imagenet() -> std::str::Lines<'static> {
    include_str!("../../assets/imagenet1k_labels.txt").lines()
}

impl Labels {
    /// The 1000 classes of ImageNet-1k (ILSVRC 2012), in the usual order (source: `assets/NOTICE.md`).
    pub fn imagenet() -> Self {
        Self { names: Names::ImageNet }
    }

    /// No names: every class is "class 17" and so on.
    pub fn none() -> Self {
        Self::default()
    }

    /// What fits best when nobody says: [`Labels::imagenet`] for 1000 classes, else [`Labels::none`].
    pub fn for_classes(classes: usize) -> Self {
        if classes == 1000 { Self::imagenet() } else { Self::none() }
    }

    /// Reads a file, see [`Labels::parse`].
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read; [`Error::BadInput`] as [`Labels::parse`].
    pub fn load(path: impl AsRef<Path>, classes: usize) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let name = path.display().to_string();
        let text = String::from_utf8(bytes).map_err(|_| Error::bad(name.as_str(), "the labels are not UTF-8 text"))?;
        Self::parse(&name, &text, classes)
    }

    /// Exactly `classes` names from text: one per line, or JSON: a list, or an object with the keys "0", "1", ...
    /// (also one level down under "id2label"). A JSON name may be a list, whose last entry then counts
    /// (`["n01440764", "tench"]`).
    ///
    /// # Errors
    /// [`Error::BadInput`] when a name is missing or the number of names is not `classes`; it starts with `source`.
    pub fn parse(source: &str, text: &str, classes: usize) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let names = match text.trim_start().chars().next() {
            Some('[' | '{') => from_json(text),
            _ => from_lines(text),
        };
        Self::checked(source, names, classes)
    }

    /// As [`Labels::parse`], from JSON that was read already.
    pub(crate) fn from_json(source: &str, json: &Json, classes: usize) -> Result<Self> {
        Self::checked(source, names(json), classes)
    }

    fn checked(source: &str, names: Result<Vec<String>, String>, classes: usize) -> Result<Self> {
        let names = names.map_err(|problem| Error::bad(source, problem))?;
        if names.len() != classes {
            return Err(Error::bad(source, format!("{} labels, but the model has {classes} classes", names.len())));
        }
        Ok(Self { names: Names::Own(names) })
    }

    /// How many names there are; 0 for [`Labels::none`].
    pub fn len(&self) -> usize {
        match &self.names {
            Names::None => 0,
            Names::ImageNet => 1000,
            Names::Own(names) => names.len(),
        }
    }

    /// True when there are no names.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of `class`; "class 17" where there is none.
    pub fn name(&self, class: usize) -> Cow<'_, str> {
        let name = match &self.names {
            Names::None => None,
            Names::ImageNet => imagenet().nth(class),
            Names::Own(names) => names.get(class).map(String::as_str),
        };
        name.map_or_else(|| Cow::Owned(format!("class {class}")), Cow::Borrowed)
    }

    /// The names that [`Labels::parse`] read, where these are such.
    pub fn own(&self) -> Option<&[String]> {
        match &self.names {
            Names::Own(names) => Some(names),
            Names::None | Names::ImageNet => None,
        }
    }
}

fn from_lines(text: &str) -> Result<Vec<String>, String> {
    let name = |(i, line): (usize, &str)| match line.trim() {
        "" => Err(format!("line {} is empty; there must be one label on each line", i + 1)),
        name => Ok(name.to_string()),
    };
    text.trim_end().lines().enumerate().map(name).collect()
}

fn from_json(text: &str) -> Result<Vec<String>, String> {
    let value = Json::parse(text).map_err(|e| format!("not valid JSON: {e}"))?;
    names(value.get("id2label").unwrap_or(&value))
}

fn names(value: &Json) -> Result<Vec<String>, String> {
    let entries: Vec<&Json> = match value {
        Json::List(list) => list.iter().collect(),
        Json::Object(map) => (0..map.len())
            .map(|i| {
                map.get(&i.to_string()).ok_or_else(|| format!("{} labels, but none has the key \"{i}\"", map.len()))
            })
            .collect::<Result<_, _>>()?,
        _ => return Err("the JSON is neither a list of labels nor an object with the keys \"0\", \"1\", ...".into()),
    };
    let name = |(i, v): (usize, &Json)| {
        let v = v.as_list().and_then(|list| list.last()).unwrap_or(v);
        v.as_str().map(String::from).ok_or_else(|| format!("label {i} is not text: {v}"))
    };
    entries.into_iter().enumerate().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_list_is_whole() {
        let l = Labels::imagenet();
        assert_eq!(l.len(), 1000);
        let mut names: Vec<_> = (0..1000).map(|i| l.name(i).into_owned()).collect();
        assert_eq!(
            (names[0].as_str(), names[282].as_str(), names[999].as_str()),
            ("tench", "tiger cat", "toilet tissue")
        );
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 1000, "some name occurs twice");
        assert!(names.iter().all(|n| !n.trim().is_empty() && n.trim() == n));
    }

    #[test]
    fn classes_without_names_are_numbered() {
        assert_eq!(Labels::for_classes(10).name(7), "class 7");
        assert_eq!(Labels::imagenet().name(1000), "class 1000");
        assert_eq!(Labels::for_classes(1000).name(8), "hen");
    }

    #[test]
    fn every_accepted_form_gives_the_same_labels() {
        let want = Labels::parse("x", "cat\ndog, hot", 2).unwrap();
        assert_eq!((want.name(0), want.name(1), want.len()), ("cat".into(), "dog, hot".into(), 2));
        for text in [
            "\u{feff}cat\r\n dog, hot \r\n\r\n\n",
            r#"["cat", "dog, hot"]"#,
            r#" {"1": "dog, hot", "0": "cat"}"#,
            r#"{"0": ["n1", "cat"], "1": ["n2", "dog, hot"]}"#,
            r#"{"model": "x", "id2label": {"0": "cat", "1": "dog, hot"}}"#,
        ] {
            assert_eq!(Labels::parse("x", text, 2).unwrap(), want, "{text:?}");
        }
        let many: serde_json::Map<_, _> = (0..12).map(|i| (i.to_string(), format!("c{i}").into())).collect();
        let l = Labels::parse("x", &serde_json::to_string(&many).unwrap(), 12).unwrap();
        assert_eq!((l.name(2), l.name(10)), ("c2".into(), "c10".into()));
    }

    #[test]
    fn wrong_files_are_explained_in_one_line() {
        for (text, classes, want) in [
            ("cat\ndog", 3, "l.txt: 2 labels, but the model has 3 classes"),
            ("", 3, "l.txt: 0 labels, but the model has 3 classes"),
            ("cat\n\ndog", 3, "l.txt: line 2 is empty; there must be one label on each line"),
            (r#"["cat", 3]"#, 2, "l.txt: label 1 is not text: 3"),
            (r#"["cat", []]"#, 2, "l.txt: label 1 is not text: []"),
            (r#"{"1": "cat", "2": "dog"}"#, 2, "l.txt: 2 labels, but none has the key \"0\""),
            (r#"["cat""#, 1, "l.txt: not valid JSON: EOF while parsing a list at line 1 column 6"),
        ] {
            let e = Labels::parse("l.txt", text, classes).unwrap_err();
            assert!(matches!(e, Error::BadInput { .. }));
            assert_eq!(e.to_string(), want);
        }
    }

    #[test]
    fn unreadable_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l.txt");
        assert!(matches!(Labels::load(&path, 2).unwrap_err(), Error::Io { .. }));
        std::fs::write(&path, [0xff, 0xfe, 0]).unwrap();
        let e = Labels::load(&path, 2).unwrap_err().to_string();
        assert!(e.ends_with("l.txt: the labels are not UTF-8 text"), "{e}");
        std::fs::write(&path, "a\nb\n").unwrap();
        assert_eq!(Labels::load(&path, 2).unwrap().name(1), "b");
    }
}
