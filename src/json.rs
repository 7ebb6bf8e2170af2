//! JSON as a tree, and numbers as texts. `serde_json` and the standard library read and write them; in a browser the
//! browser does, whose code needs no download.

use std::fmt;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Object),
}

/// Keys and values, sorted by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Object(Vec<(String, Json)>);

impl Object {
    pub(crate) fn get(&self, key: &str) -> Option<&Json> {
        let at = self.0.binary_search_by(|pair| pair.0.as_str().cmp(key));
        at.ok().map(|at| &self.0[at].1)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(String, Json)> {
        self.0.iter()
    }
}

impl FromIterator<(String, Json)> for Object {
    fn from_iter<T: IntoIterator<Item = (String, Json)>>(pairs: T) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        Self(pairs)
    }
}

impl Json {
    /// # Errors
    /// What is wrong with the text, and where.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        platform::parse(text)
    }

    /// The value at `key` of an object.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.as_object()?.get(key)
    }

    pub(crate) fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    pub(crate) fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(list) = self { Some(list) } else { None }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(crate) fn as_f64(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// A count: whole, not negative and small enough to be exact.
    pub(crate) fn as_usize(&self) -> Option<usize> {
        let number = self.as_f64().filter(|n| n.fract() == 0.0 && (0.0..9e15).contains(n))?;
        usize::try_from(number as u64).ok()
    }
}

/// On one line, for messages.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(list) => {
                f.write_str("[")?;
                for (i, value) in list.iter().enumerate() {
                    write!(f, "{}{value}", if i > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Object(object) => {
                f.write_str("{")?;
                for (i, (key, value)) in object.iter().enumerate() {
                    write!(f, "{}{key:?}:{value}", if i > 0 { "," } else { "" })?;
                }
                f.write_str("}")
            }
        }
    }
}

/// A number in a message.
pub(crate) fn number<T: Into<f64> + fmt::Display>(value: T) -> String {
    platform::number(value)
}

#[cfg(not(all(feature = "web", target_arch = "wasm32")))]
mod platform {
    use super::Json;
    use serde_json::Value;

    pub(super) fn number(value: impl std::fmt::Display) -> String {
        value.to_string()
    }

    pub(super) fn parse(text: &str) -> Result<Json, String> {
        serde_json::from_str::<Value>(text).map(Json::from).map_err(|e| e.to_string())
    }

    impl From<Value> for Json {
        fn from(value: Value) -> Self {
            match value {
                Value::Null => Self::Null,
                Value::Bool(value) => Self::Bool(value),
                Value::Number(number) => number.as_f64().map_or(Self::Null, Self::Number),
                Value::String(text) => Self::Text(text),
                Value::Array(list) => Self::List(list.into_iter().map(Self::from).collect()),
                Value::Object(map) => Self::Object(map.into_iter().map(|(k, v)| (k, Self::from(v))).collect()),
            }
        }
    }
}

#[cfg(all(feature = "web", target_arch = "wasm32"))]
mod platform {
    use super::Json;
    use js_sys::{Array, JSON, Number, Object};
    use wasm_bindgen::{JsCast, JsValue};

    /// To the digits that an f32 has.
    pub(super) fn number(value: impl Into<f64>) -> String {
        let number = Number::from(value.into());
        number.to_precision(7).map_or_else(|_| String::new(), String::from)
    }

    pub(super) fn parse(text: &str) -> Result<Json, String> {
        let problem = |e: JsValue| e.dyn_ref::<js_sys::Error>().map_or(String::new(), |e| e.message().into());
        JSON::parse(text).map(Json::from).map_err(problem)
    }

    impl From<JsValue> for Json {
        fn from(value: JsValue) -> Self {
            if let Some(text) = value.as_string() {
                Self::Text(text)
            } else if let Some(number) = value.as_f64() {
                Self::Number(number)
            } else if let Some(value) = value.as_bool() {
                Self::Bool(value)
            } else if Array::is_array(&value) {
                Self::List(Array::from(&value).iter().map(Self::from).collect())
            } else if value.is_null() {
                Self::Null
            } else {
                let pair = |pair: JsValue| {
                    let pair = Array::from(&pair);
                    (pair.get(0).as_string().unwrap_or_default(), Self::from(pair.get(1)))
                };
                Self::Object(Object::entries(value.unchecked_ref()).iter().map(pair).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Json;

    #[test]
    fn a_text_is_read_and_written() {
        let text = r#"{"a":[1,-2.5,true,null,"x\"y"],"b":{},"c":{"d":[]}}"#;
        let json = Json::parse(text).unwrap();
        assert_eq!(json.to_string(), text);
        let list = json.get("a").and_then(Json::as_list).unwrap();
        assert_eq!(list.iter().map(Json::as_f64).collect::<Vec<_>>(), [Some(1.0), Some(-2.5), None, None, None]);
        assert_eq!((list[4].as_str(), list[0].as_usize(), list[1].as_usize()), (Some("x\"y"), Some(1), None));
        assert!(json.get("e").is_none() && list[0].get("a").is_none());
        assert_eq!(Json::parse("9007199254740993").unwrap().as_usize(), None);
        assert!(Json::parse("[1,").is_err() && Json::parse("").is_err());
    }

    #[test]
    fn of_a_repeated_key_the_last_counts() {
        assert_eq!(Json::parse(r#"{"a":1,"b":2,"a":3}"#).unwrap().to_string(), r#"{"a":3,"b":2}"#);
    }
}
