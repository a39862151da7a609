//! Fields of a JSON body, each agreed by its rule.
#![cfg(feature = "json")]

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, de};

use super::{
    Get, ReadError, Rule,
    request::{Fetch, fetch, sealed::Sealed},
};
use crate::{
    Decimal, Refusal,
    bindings::countersign::action::{
        http as host,
        types::{Agree, Field},
    },
};

/// A GET of which the nodes agree field by field; the action sees nothing else of the response.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "nothing is fetched before `fetch`"]
pub struct GetFields {
    get: Get,
    fields: Vec<Field>,
}

impl Get {
    /// Asks for these values of a JSON body: 1 to 32, by distinct pointers (RFC 6901), as "/data/0/price".
    pub fn fields<P: Into<String>>(self, fields: impl IntoIterator<Item = (P, Rule)>) -> GetFields {
        let fields = fields.into_iter().map(|(pointer, rule)| Field { pointer: pointer.into(), rule });
        GetFields { get: self, fields: fields.collect() }
    }
}

impl GetFields {
    /// Fetches.
    pub fn fetch(self) -> Result<Fields, ReadError> {
        fetch(self)
    }
}

impl Sealed for GetFields {}

impl Fetch for GetFields {
    type Answer = Fields;

    fn into_host(self) -> (host::Request, Agree) {
        (self.get.request, Agree::JsonFields(self.fields))
    }

    fn answer(url: String, response: host::Response) -> Fields {
        Fields::of(url, &response.body)
    }
}

/// The values that the nodes agreed on, by pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    url: String,
    values: BTreeMap<String, Value>,
}

/// Why a field is not what is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The action did not ask for it.
    #[error("the action did not ask {url} for {pointer:?}")]
    NotAsked {
        /// What was fetched.
        url: String,
        /// The pointer.
        pointer: String,
    },
    /// It is something else.
    #[error("{pointer:?} of {url} is {found}, expected {expected}")]
    Sort {
        /// What was fetched.
        url: String,
        /// The pointer.
        pointer: String,
        /// What is expected.
        expected: &'static str,
        /// What is there.
        found: String,
    },
}

impl From<FieldError> for Refusal {
    fn from(error: FieldError) -> Self {
        Self::new(error.to_string())
    }
}

impl Fields {
    /// # Panics
    ///
    /// If the host gave something else than an object of scalars, which it never does.
    fn of(url: String, body: &[u8]) -> Self {
        let values = serde_json::from_slice(body).expect("the interface fixes this form");
        Self { url, values }
    }

    /// A number; also one that the source writes as a text.
    pub fn decimal(&self, pointer: &str) -> Result<Decimal, FieldError> {
        let value = self.value(pointer)?;
        let number = match value {
            Value::Text(text) => text.parse().ok(),
            Value::Null | Value::Bool(_) => None,
        };
        number.ok_or_else(|| self.sort(pointer, "a number", value))
    }

    /// A text; a number in its canonical form.
    pub fn text(&self, pointer: &str) -> Result<&str, FieldError> {
        match self.value(pointer)? {
            Value::Text(text) => Ok(text),
            value @ (Value::Null | Value::Bool(_)) => Err(self.sort(pointer, "a text", value)),
        }
    }

    /// A truth value.
    pub fn bool(&self, pointer: &str) -> Result<bool, FieldError> {
        match self.value(pointer)? {
            Value::Bool(value) => Ok(*value),
            value @ (Value::Null | Value::Text(_)) => Err(self.sort(pointer, "true or false", value)),
        }
    }

    /// Whether it is `null`.
    pub fn is_null(&self, pointer: &str) -> Result<bool, FieldError> {
        Ok(*self.value(pointer)? == Value::Null)
    }

    fn value(&self, pointer: &str) -> Result<&Value, FieldError> {
        let not_asked = || FieldError::NotAsked { url: self.url.clone(), pointer: pointer.into() };
        self.values.get(pointer).ok_or_else(not_asked)
    }

    fn sort(&self, pointer: &str, expected: &'static str, found: &Value) -> FieldError {
        let found = found.to_string();
        FieldError::Sort { url: self.url.clone(), pointer: pointer.into(), expected, found }
    }
}

/// A value as the host hands it over: numbers are texts.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Null,
    Bool(bool),
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Text(text) => write!(f, "{:?}", text.chars().take(80).collect::<String>()),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalar)
    }
}

struct Scalar;

impl de::Visitor<'_> for Scalar {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, true, false or a text")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Tolerance, get};

    fn fields() -> Fields {
        let body = br#"{"/price":"1.5","/name":"gold \"24\"","/open":true,"/note":null,"/a~1b":"-2"}"#;
        Fields::of("https://a.example/".into(), body)
    }

    #[test]
    fn values_are_read_by_their_sort() {
        let fields = fields();
        assert_eq!(fields.decimal("/price").map(|price| price.to_string()), Ok("1.5".into()));
        assert_eq!(fields.decimal("/a~1b"), Ok("-2".parse().expect("a number")));
        assert_eq!(fields.text("/name"), Ok(r#"gold "24""#));
        assert_eq!(fields.text("/price"), Ok("1.5"));
        assert_eq!(fields.bool("/open"), Ok(true));
        assert_eq!((fields.is_null("/note"), fields.is_null("/open")), (Ok(true), Ok(false)));
    }

    #[test]
    fn what_is_something_else_is_refused_by_name() {
        let fields = fields();
        let errors = [
            (fields.decimal("/name").expect_err("a name"), r#""/name" of https://a.example/ is "gold"#),
            (fields.decimal("/open").expect_err("a truth value"), "is true, expected a number"),
            (fields.text("/note").map(str::to_owned).expect_err("null"), "is null, expected a text"),
            (fields.bool("/price").expect_err("a number"), r#"is "1.5", expected true or false"#),
            (fields.is_null("/open/1").map(drop).expect_err("no field"), "did not ask https://a.example/ for"),
        ];
        for (error, expected) in errors {
            let refusal = Refusal::from(error);
            assert!(refusal.reason.contains(expected), "{}", refusal.reason);
        }
    }

    #[test]
    fn fields_and_rules_reach_the_host_in_their_order() {
        let median = Rule::Median(Tolerance::bps(50));
        let get = get("https://a.example/").max_body(5);
        let (request, agree) = get.fields([("/b", median.clone()), ("/a", Rule::Mode)]).into_host();
        assert_eq!((request.url.as_str(), request.max_body), ("https://a.example/", 5));
        let field = |pointer: &str, rule| Field { pointer: pointer.into(), rule };
        assert_eq!(agree, Agree::JsonFields(vec![field("/b", median), field("/a", Rule::Mode)]));
    }
}
