//! The relay's own OpenAPI document, and what it says of an answer: each answer that a test gets is held against it.
//!
//! Of JSON Schema this knows what the document uses, and is stricter in one thing: a member that the schema does not name is
//! wrong.

use serde_json::{Map, Value};

use crate::curl::{Answer, curl};
use crate::relay::Relay;

/// The document.
#[derive(Clone, Debug)]
pub struct Spec(Value);

impl Spec {
    /// As the relay serves it.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn of(relay: &Relay) -> Self {
        let answer = curl(&[&format!("{}/api/openapi.json", relay.url())]).unwrap();
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("application/json"))
        );
        let document = answer.json();
        assert_eq!(document["openapi"], "3.1.0");
        Self(document)
    }

    /// The document itself.
    #[must_use]
    pub const fn document(&self) -> &Value {
        &self.0
    }

    /// Every path with its operations, by method in lower case.
    ///
    /// # Panics
    /// When the document has none.
    #[must_use]
    pub fn paths(&self) -> &Map<String, Value> {
        self.0["paths"].as_object().unwrap()
    }

    /// Holds an answer against the document.
    ///
    /// # Panics
    /// When it is not as the document says.
    pub fn check(&self, method: &str, path: &str, answer: &Answer) {
        let operation = &self.0["paths"][path][method.to_lowercase()];
        assert!(operation.is_object(), "{method} {path} is not in the document");
        let response = &operation["responses"][answer.status.to_string()];
        let at = format!("{method} {path} → {}", answer.status);
        assert!(response.is_object(), "{at} is not in the document: {answer:?}");
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            if header["required"] == true {
                assert!(answer.header(&name.to_lowercase()).is_some(), "{at} without {name}");
            }
        }
        let (media, content) = response["content"].as_object().unwrap().iter().next().unwrap();
        let sent = answer.header("content-type").unwrap_or_default();
        assert!(sent.starts_with(media.as_str()), "{at}: {sent} is not {media}");
        if media.ends_with("json") {
            let wrong = self.wrong(&content["schema"], &answer.json(), "$");
            assert_eq!(wrong, None, "{at}: {}", answer.body);
        }
    }

    /// What is wrong with `value`, and where.
    fn wrong(&self, schema: &Value, value: &Value, at: &str) -> Option<String> {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.strip_prefix("#/components/schemas/").unwrap();
            let schema = &self.0["components"]["schemas"][name];
            assert!(schema.is_object(), "no schema {name}");
            return self.wrong(schema, value, at);
        }
        let says = |what: &str| Some(format!("{at}: {value} {what}"));
        let types = match &schema["type"] {
            Value::String(one) => vec![one.as_str()],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            other => panic!("{at}: a schema without a type: {other}"),
        };
        if !types.iter().any(|wanted| is(wanted, value)) {
            return says(&format!("is none of {types:?}"));
        }
        if !schema["const"].is_null() && schema["const"] != *value {
            return says("is not the constant");
        }
        if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
            return says("is none of the words");
        }
        match value {
            Value::String(text) => wrong_text(schema, text).map(|what| format!("{at}: {text:?} {what}")),
            Value::Number(number) => {
                let number = number.as_i64().unwrap_or(i64::MAX);
                let low = schema["minimum"].as_i64().is_some_and(|least| number < least);
                let high = schema["maximum"].as_i64().is_some_and(|most| number > most);
                if low || high { says("is out of range") } else { None }
            }
            Value::Array(items) => {
                if schema["maxItems"]
                    .as_u64()
                    .is_some_and(|most| items.len() as u64 > most)
                {
                    return says("is too long");
                }
                let mut numbered = items.iter().enumerate();
                numbered.find_map(|(index, item)| self.wrong(&schema["items"], item, &format!("{at}[{index}]")))
            }
            Value::Object(members) => self.wrong_members(schema, members, at),
            _ => None,
        }
    }

    fn wrong_members(&self, schema: &Value, members: &Map<String, Value>, at: &str) -> Option<String> {
        // An object of which nothing is said may be any.
        let properties = schema["properties"].as_object()?;
        let required = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        if let Some(missing) = required.into_iter().find(|name| !members.contains_key(*name)) {
            return Some(format!("{at} lacks {missing}"));
        }
        members.iter().find_map(|(name, value)| match properties.get(name) {
            Some(schema) => self.wrong(schema, value, &format!("{at}.{name}")),
            None => Some(format!("{at}.{name} is not in the schema")),
        })
    }
}

fn is(wanted: &str, value: &Value) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("no such type: {other}"),
    }
}

fn wrong_text(schema: &Value, text: &str) -> Option<&'static str> {
    let length = text.chars().count() as u64;
    if schema["minLength"].as_u64().is_some_and(|least| length < least) {
        return Some("is too short");
    }
    if schema["maxLength"].as_u64().is_some_and(|most| length > most) {
        return Some("is too long");
    }
    let hex = |digits: usize| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let matches = match schema["pattern"].as_str() {
        None => true,
        Some("^[0-9a-fA-F]{64}$") => hex(64),
        Some("^[0-9a-f]{128}$") => hex(128),
        Some("^[!-~]+$") => text.bytes().all(|byte| byte.is_ascii_graphic()),
        Some("^[^@\\s]+$") => !text.contains(|c: char| c == '@' || c.is_whitespace()),
        Some(pattern) => panic!("this checker does not know the pattern {pattern}"),
    };
    if !matches {
        return Some("does not match the pattern");
    }
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    (schema["format"] == "date-time" && shape != "0000-00-00T00:00:00Z").then_some("is no moment")
}
