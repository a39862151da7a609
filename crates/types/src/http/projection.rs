//! From a body to the fields that an action asked for.
//!
//! Numbers are taken from the text as it stands, so that no float comes between.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Field, FieldValue, HttpResponse, MAX_TEXT_BYTES};
use crate::{Decimal, decimal::DecimalError};

/// Why a response has not the fields that were asked for. It ends the run on the node that got it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProjectionError {
    /// Not a success.
    #[error("the status is {got}, expected 200 to 299")]
    Status {
        /// The status.
        got: u16,
    },
    /// The body is not UTF-8.
    #[error("the body is not UTF-8 from byte {at}")]
    Encoding {
        /// Where the first byte is that is not.
        at: usize,
    },
    /// The body is not JSON.
    #[error("the body is not JSON: {reason}")]
    Json {
        /// What the parser says, with line and column.
        reason: String,
    },
    /// There is nothing at the pointer.
    #[error("the body has nothing at {pointer:?}")]
    Missing {
        /// The pointer.
        pointer: String,
    },
    /// A list or an object.
    #[error("{pointer:?} is {found}: point to one of its values")]
    NotScalar {
        /// The pointer.
        pointer: String,
        /// What it is.
        found: &'static str,
    },
    /// Not a number where the rule is about numbers.
    #[error("{pointer:?} is {found}, the rule {rule} needs a number or a text that writes one")]
    NotNumber {
        /// The pointer.
        pointer: String,
        /// What it is.
        found: &'static str,
        /// The rule's name.
        rule: &'static str,
    },
    /// A number that is not compared.
    #[error("{pointer:?}: {source}")]
    Number {
        /// The pointer.
        pointer: String,
        /// Why.
        source: DecimalError,
    },
    /// A text that is too long.
    #[error("{pointer:?} is a text of {got} bytes, at most {MAX_TEXT_BYTES}")]
    TextLength {
        /// The pointer.
        pointer: String,
        /// How many bytes it has.
        got: usize,
    },
}

/// The values of the fields, in their order. Where an object has a name twice, the last one counts.
pub fn project(response: &HttpResponse, fields: &[Field]) -> Result<Vec<FieldValue>, ProjectionError> {
    if !(200..=299).contains(&response.status) {
        return Err(ProjectionError::Status { got: response.status });
    }
    let text = std::str::from_utf8(&response.body)
        .map_err(|error| ProjectionError::Encoding { at: error.valid_up_to() })?;
    let body: &RawValue =
        serde_json::from_str(text).map_err(|error| ProjectionError::Json { reason: error.to_string() })?;
    let found = find_all(body, fields);
    fields.iter().zip(found).map(|(field, raw)| value(field, raw)).collect()
}

/// What an action sees of a projection: a JSON object from pointers to values, in their order. Numbers are texts
/// in canonical form, so that no parser makes floats of them.
pub fn to_json<'a>(fields: impl IntoIterator<Item = (&'a str, &'a FieldValue)>) -> String {
    let members: Vec<String> = fields
        .into_iter()
        .map(|(pointer, value)| {
            let value = match value {
                FieldValue::Null => "null".to_owned(),
                FieldValue::Bool(value) => value.to_string(),
                FieldValue::Number(number) => quoted(&number.to_string()),
                FieldValue::Text(text) => quoted(text),
            };
            format!("{}:{value}", quoted(pointer))
        })
        .collect();
    format!("{{{}}}", members.join(","))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn value(Field { pointer, rule }: &Field, raw: Option<&RawValue>) -> Result<FieldValue, ProjectionError> {
    let missing = || ProjectionError::Missing { pointer: pointer.clone() };
    let raw = raw.ok_or_else(missing)?.get();
    let number = |text: &str| {
        let source = |source| ProjectionError::Number { pointer: pointer.clone(), source };
        Ok(FieldValue::Number(text.parse::<Decimal>().map_err(source)?))
    };
    let numeric = rule.tolerance().is_some();
    let not_number =
        |found| ProjectionError::NotNumber { pointer: pointer.clone(), found, rule: rule.name() };
    match raw.as_bytes().first() {
        Some(b'{') => Err(ProjectionError::NotScalar { pointer: pointer.clone(), found: "an object" }),
        Some(b'[') => Err(ProjectionError::NotScalar { pointer: pointer.clone(), found: "a list" }),
        Some(b'n') if numeric => Err(not_number("null")),
        Some(b't' | b'f') if numeric => Err(not_number("a truth value")),
        Some(b'n') => Ok(FieldValue::Null),
        Some(b't') => Ok(FieldValue::Bool(true)),
        Some(b'f') => Ok(FieldValue::Bool(false)),
        Some(b'"') => {
            let text: String = serde_json::from_str(raw)
                .map_err(|error| ProjectionError::Json { reason: error.to_string() })?;
            if numeric {
                return match text.parse::<Decimal>() {
                    Ok(decimal) => Ok(FieldValue::Number(decimal)),
                    Err(DecimalError::Syntax { .. }) => Err(not_number("a text that writes no number")),
                    Err(source) => Err(ProjectionError::Number { pointer: pointer.clone(), source }),
                };
            }
            match text.len() {
                0..=MAX_TEXT_BYTES => Ok(FieldValue::Text(text)),
                got => Err(ProjectionError::TextLength { pointer: pointer.clone(), got }),
            }
        }
        Some(_) => number(raw),
        None => Err(missing()),
    }
}

/// What the pointers lead to, in the order of the fields (RFC 6901).
fn find_all<'a>(body: &'a RawValue, fields: &[Field]) -> Vec<Option<&'a RawValue>> {
    let mut found = vec![None; fields.len()];
    let pointers = fields.iter().map(|field| tokens(&field.pointer)).enumerate().collect();
    descend(body, pointers, &mut found);
    found
}

/// A pointer's tokens, the last one first.
fn tokens(pointer: &str) -> Vec<String> {
    let tokens = pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~"));
    let mut tokens: Vec<String> = tokens.collect();
    tokens.reverse();
    tokens
}

/// Follows all pointers by one token. A value is gone through once, however many pointers lead into it; so the work
/// is at most the body's length for each of a pointer's [`MAX_POINTER_TOKENS`](super::MAX_POINTER_TOKENS).
fn descend<'a>(value: &'a RawValue, pointers: Pointers, found: &mut [Option<&'a RawValue>]) {
    let mut wanted: BTreeMap<String, Pointers> = BTreeMap::new();
    for (index, mut tokens) in pointers {
        match tokens.pop() {
            Some(token) => wanted.entry(token).or_default().push((index, tokens)),
            None => found[index] = Some(value),
        }
    }
    if wanted.is_empty() {
        return;
    }
    for (token, member) in members(value, &wanted) {
        if let Some(pointers) = wanted.remove(&token) {
            descend(member, pointers, found);
        }
    }
}

/// Pointers that lead on from one value: the field's place, and the tokens that are left.
type Pointers = Vec<(usize, Vec<String>)>;

/// The members of an object or a list whose names or places are wanted; none of a scalar.
fn members<'a>(value: &'a RawValue, wanted: &BTreeMap<String, Pointers>) -> BTreeMap<String, &'a RawValue> {
    let text = value.get();
    let mut members = BTreeMap::new();
    let mut parser = serde_json::Deserializer::from_str(text);
    let visited = match text.as_bytes().first() {
        Some(b'{') => parser.deserialize_map(Members { wanted, members: &mut members }),
        Some(b'[') => parser.deserialize_seq(Members { wanted, members: &mut members }),
        Some(_) | None => Ok(()),
    };
    // the body was parsed as a whole before: it does not fail here
    if visited.is_err() {
        members.clear();
    }
    members
}

/// Takes the wanted members and goes past all others.
struct Members<'w, 'a> {
    wanted: &'w BTreeMap<String, Pointers>,
    members: &'w mut BTreeMap<String, &'a RawValue>,
}

impl<'a> Visitor<'a> for Members<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'a, str>>()? {
            if self.wanted.contains_key(name.as_ref()) {
                // of a name that is there twice, the last counts
                self.members.insert(name.into_owned(), map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        // places without leading zeros, as the tokens must be
        let places: BTreeMap<usize, &String> = self
            .wanted
            .keys()
            .filter_map(|token| Some((token.parse().ok()?, token)))
            .filter(|(place, token): &(usize, &String)| place.to_string() == **token)
            .collect();
        for place in 0.. {
            if let Some(token) = places.get(&place) {
                let Some(item) = list.next_element()? else { break };
                self.members.insert((*token).clone(), item);
            } else if list.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rule, Tolerance};

    const MEDIAN: Rule = Rule::Median(Tolerance { bps: 0, abs: Decimal::ZERO });

    fn response(body: &[u8]) -> HttpResponse {
        HttpResponse { status: 200, content_type: None, body: body.to_vec().into() }
    }

    fn one(body: &str, pointer: &str, rule: Rule) -> Result<FieldValue, ProjectionError> {
        let field = Field { pointer: pointer.into(), rule };
        project(&response(body.as_bytes()), &[field]).map(|mut values| values.remove(0))
    }

    fn number(text: &str) -> FieldValue {
        FieldValue::Number(text.parse().expect("a number"))
    }

    #[test]
    fn pointers_lead_where_rfc_6901_says() {
        // the document of section 5, with scalars for its members
        let body =
            r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
        for (pointer, expected) in [
            ("/foo/0", FieldValue::Text("bar".into())),
            ("/", number("0")),
            ("/a~1b", number("1")),
            ("/c%d", number("2")),
            ("/e^f", number("3")),
            ("/g|h", number("4")),
            ("/i\\j", number("5")),
            ("/k\"l", number("6")),
            ("/ ", number("7")),
            ("/m~0n", number("8")),
        ] {
            assert_eq!(one(body, pointer, Rule::Identical), Ok(expected), "{pointer}");
        }
        for pointer in ["/foo/2", "/foo/-", "/foo/00", "/foo/+1", "/bar", "/a~1b/x"] {
            assert!(
                matches!(one(body, pointer, Rule::Identical), Err(ProjectionError::Missing { .. })),
                "{pointer}"
            );
        }
        assert_eq!(one(" 5 ", "", Rule::Identical), Ok(number("5")));
        assert_eq!(one(r#"{"a~1":1}"#, "/a~01", Rule::Identical), Ok(number("1")));
    }

    #[test]
    fn numbers_are_exact_whatever_a_float_would_make_of_them() {
        let body = r#"{"a":0.1000000000000000055,"b":9007199254740993,"c":"1.50","d":1e0}"#;
        for (pointer, expected) in [("/b", "9007199254740993"), ("/c", "1.5"), ("/d", "1")] {
            assert_eq!(one(body, pointer, MEDIAN), Ok(number(expected)));
        }
        assert!(matches!(one(body, "/a", MEDIAN), Err(ProjectionError::Number { .. })), "19 places");
    }

    #[test]
    fn a_rule_about_numbers_takes_numbers_and_texts_that_write_them() {
        for (body, found) in
            [("null", "null"), ("true", "a truth value"), (r#""abc""#, "a text that writes no number")]
        {
            let error = one(body, "", MEDIAN).expect_err(body);
            assert!(matches!(error, ProjectionError::NotNumber { found: got, .. } if got == found), "{body}");
        }
        assert_eq!(
            one(r#""7""#, "", Rule::Mode),
            Ok(FieldValue::Text("7".into())),
            "no number without such a rule"
        );
    }

    #[test]
    fn lists_and_objects_are_not_values() {
        for body in ["{}", "[1]"] {
            assert!(
                matches!(one(body, "", Rule::Identical), Err(ProjectionError::NotScalar { .. })),
                "{body}"
            );
        }
    }

    #[test]
    fn a_response_that_is_no_json_says_why() {
        let field = [Field { pointer: String::new(), rule: Rule::Identical }];
        assert_eq!(project(&response(&[b'"', 0xff, b'"']), &field), Err(ProjectionError::Encoding { at: 1 }));
        for body in ["", "{", "{}x", "<html>", "[1,]"] {
            let error = project(&response(body.as_bytes()), &field).expect_err(body);
            assert!(matches!(error, ProjectionError::Json { .. }), "{body}");
        }
        for status in [199, 301, 404, 500] {
            let response = HttpResponse { status, ..response(b"1") };
            assert_eq!(project(&response, &field), Err(ProjectionError::Status { got: status }));
        }
        let deep = format!("{}{}", "[".repeat(60_000), "]".repeat(60_000));
        assert!(project(&response(deep.as_bytes()), &field).is_err());
    }

    #[test]
    fn pointers_that_share_a_way_each_find_their_value() {
        let field = |pointer: &str| Field { pointer: pointer.into(), rule: Rule::Identical };
        let fields = ["/a/1/b", "/a/0", "/c", "/a/1/d"].map(field);
        let body = br#"{"a":[5,{"d":7,"x":{"b":0},"b":6}],"b":1,"c":"\u0063"}"#;
        let found = project(&response(body), &fields).expect("all are there");
        assert_eq!(found, [number("6"), number("5"), FieldValue::Text("c".into()), number("7")]);
        // a name with an escape is the name that it writes
        assert_eq!(one(r#"{"\u0061":1}"#, "/a", Rule::Identical), Ok(number("1")));
    }

    /// Going through the body once for each token of each pointer takes many seconds for this one.
    #[test]
    fn many_deep_pointers_into_a_large_body_are_cheap() {
        let depth = super::super::MAX_POINTER_TOKENS - 1;
        let numbers = vec!["0"; 60_000].join(",");
        let body = format!("{}{numbers}{}", "[".repeat(depth + 1), "]".repeat(depth + 1));
        let fields: Vec<Field> = (0..super::super::MAX_FIELDS)
            .map(|place| Field { pointer: format!("{}/{place}", "/0".repeat(depth)), rule: Rule::Identical })
            .collect();
        let mut looked = 0;
        for _ in 0..20 {
            looked += project(&response(body.as_bytes()), &fields).expect("all are there").len();
        }
        assert_eq!(looked, 20 * fields.len());
    }

    #[test]
    fn of_a_name_that_is_there_twice_the_last_counts() {
        assert_eq!(one(r#"{"a":1,"a":2}"#, "/a", Rule::Identical), Ok(number("2")));
    }

    #[test]
    fn a_long_text_is_refused() {
        let text = |length| format!("{:?}", "x".repeat(length));
        assert!(one(&text(MAX_TEXT_BYTES), "", Rule::Mode).is_ok());
        assert!(matches!(
            one(&text(MAX_TEXT_BYTES + 1), "", Rule::Mode),
            Err(ProjectionError::TextLength { .. })
        ));
    }

    #[test]
    fn an_action_sees_pointers_and_values() {
        let values =
            [number("1.50"), FieldValue::Text("a\"b".into()), FieldValue::Null, FieldValue::Bool(true)];
        let json = to_json(["/a", "/b", "/c", "/d/\"e"].into_iter().zip(&values));
        assert_eq!(json, r#"{"/a":"1.5","/b":"a\"b","/c":null,"/d/\"e":true}"#);
    }
}
