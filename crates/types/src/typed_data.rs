//! Bounds on EIP-712 typed data, checked before anything expands them.
//!
//! A few kilobytes of JSON can name types that double at each level, or nest deeper than a stack is high,
//! or hash a long type once for each of many values. The parser has no bound of its own.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::payload::MAX_PAYLOAD_BYTES;

/// The most members of the primary type once every struct in it is written out.
const MAX_EXPANDED: u64 = 4_096;
/// How deep structs may nest.
const MAX_DEPTH: usize = 32;
/// How many dimensions an array may have.
const MAX_DIMENSIONS: usize = 8;
/// The most values of the message times the most bytes of its types: what hashing them may come to.
const MAX_WORK: u64 = 16 << 20;

/// Says what is beyond the bounds. The text is fixed, so that it is the same on every node.
pub fn check(json: &str) -> Result<(), &'static str> {
    if json.len() > MAX_PAYLOAD_BYTES {
        return Err("more than 64 KiB");
    }
    let Ok(Value::Object(data)) = serde_json::from_str(json) else { return Err("not a JSON object") };
    let Some(Value::Object(types)) = data.get("types") else { return Err("no types") };
    let Some(Value::String(primary)) = data.get("primaryType") else { return Err("no primary type") };
    if !is_name(primary) {
        return Err("the primary type is not a name");
    }
    let members = types.iter().map(|(name, members)| Ok((name.as_str(), member_types(members)?)));
    let members = members.collect::<Result<BTreeMap<_, _>, &'static str>>()?;
    let mut expansion = Expansion { members: &members, sizes: BTreeMap::new() };
    if expansion.size(primary, 0)? > MAX_EXPANDED {
        return Err("too many members");
    }
    let values = data.get("message").map_or(0, count);
    if values.saturating_mul(types_len(types)) > MAX_WORK {
        return Err("too many values for types of this length");
    }
    Ok(())
}

/// The types of a struct's members, without their dimensions.
fn member_types(members: &Value) -> Result<Vec<&str>, &'static str> {
    let Value::Array(members) = members else { return Err("a type is not a list of members") };
    members.iter().map(|member| root(member.get("type").and_then(Value::as_str).unwrap_or(""))).collect()
}

/// A type without its dimensions.
fn root(written: &str) -> Result<&str, &'static str> {
    let end = written.find('[').unwrap_or(written.len());
    let (name, dimensions) = written.split_at(end);
    if !is_name(name) {
        return Err("a member's type is not a name");
    }
    if !dimensions.bytes().all(|byte| matches!(byte, b'[' | b']' | b'0'..=b'9')) {
        return Err("a member's type has malformed dimensions");
    }
    if dimensions.matches('[').count() > MAX_DIMENSIONS {
        return Err("an array has too many dimensions");
    }
    Ok(name)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$'))
}

/// How large types are once written out; each is computed once.
struct Expansion<'a> {
    members: &'a BTreeMap<&'a str, Vec<&'a str>>,
    sizes: BTreeMap<&'a str, (u64, usize)>,
}

impl<'a> Expansion<'a> {
    fn size(&mut self, name: &'a str, depth: usize) -> Result<u64, &'static str> {
        self.measure(name, depth).map(|(size, _)| size)
    }

    /// Size and height of a type; a type that contains itself is too deep.
    fn measure(&mut self, name: &'a str, depth: usize) -> Result<(u64, usize), &'static str> {
        if let Some((size, height)) = self.sizes.get(name) {
            let fits = depth + height <= MAX_DEPTH;
            return if fits { Ok((*size, *height)) } else { Err("types nest too deeply") };
        }
        if depth > MAX_DEPTH {
            return Err("types nest too deeply");
        }
        let (mut size, mut height) = (1u64, 0);
        let members: &'a [&'a str] = self.members.get(name).map_or(&[], Vec::as_slice);
        for member in members {
            let (inner_size, inner_height) = self.measure(member, depth + 1)?;
            size = size.saturating_add(inner_size);
            height = height.max(inner_height + 1);
        }
        self.sizes.insert(name, (size, height));
        Ok((size, height))
    }
}

fn count(value: &Value) -> u64 {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum::<u64>(),
        Value::Object(fields) => fields.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// The types' length in bytes, about as they are hashed.
fn types_len(types: &Map<String, Value>) -> u64 {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map_or(0, str::len);
    let member = |member: &Value| text(member.get("type")) + text(member.get("name")) + 2;
    let members = |value: &Value| value.as_array().map_or(0, |list| list.iter().map(member).sum::<usize>());
    let bytes: usize = types.iter().map(|(name, value)| name.len() + 2 + members(value)).sum();
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// Types t0 to tn, each with the next one as members of the given types.
    fn chain(length: usize, members: &[&str]) -> String {
        let mut types = String::new();
        for level in 0..length {
            let members: Vec<_> = members
                .iter()
                .enumerate()
                .map(|(index, ty)| {
                    format!(
                        r#"{{"name":"m{index}","type":"{}"}}"#,
                        ty.replace('T', &format!("t{}", level + 1))
                    )
                })
                .collect();
            write!(types, r#""t{level}":[{}],"#, members.join(",")).expect("a string");
        }
        format!(r#"{{"types":{{{types}"t{length}":[]}},"primaryType":"t0","domain":{{}},"message":{{}}}}"#)
    }

    #[test]
    fn an_ordinary_message_is_within_the_bounds() {
        assert_eq!(check(include_str!("../vectors/eip712-mail.json")), Ok(()));
        assert_eq!(check(&chain(10, &["T[]", "uint256"])), Ok(()));
    }

    #[test]
    fn types_that_double_at_each_level_are_refused() {
        assert_eq!(check(&chain(30, &["T[]", "T[]"])), Err("too many members"));
    }

    #[test]
    fn types_that_nest_too_deeply_are_refused() {
        assert_eq!(check(&chain(1_000, &["T"])), Err("types nest too deeply"));
        let circular = r#"{"types":{"a":[{"name":"x","type":"a"}]},"primaryType":"a"}"#;
        assert_eq!(check(circular), Err("types nest too deeply"));
    }

    #[test]
    fn a_deep_type_behind_a_shallow_one_is_refused() {
        // t20 is measured first through the short way, then met again at the end of the long one.
        let json = chain(40, &["T"]).replace(r#""primaryType":"t0""#, r#""primaryType":"top""#);
        let json = json.replace(
            r#""types":{"#,
            r#""types":{"top":[{"name":"a","type":"t20"},{"name":"b","type":"t0"}],"#,
        );
        assert_eq!(check(&json), Err("types nest too deeply"));
    }

    #[test]
    fn many_dimensions_are_refused() {
        let json = chain(1, &[&format!("T{}", "[]".repeat(10_000))]);
        assert_eq!(check(&json), Err("an array has too many dimensions"));
    }

    #[test]
    fn tuples_and_texts_in_texts_are_refused() {
        assert_eq!(check(&chain(1, &["(T,T)"])), Err("a member's type is not a name"));
        assert_eq!(check("\"{}\""), Err("not a JSON object"));
        assert_eq!(check(&"[".repeat(60_000)), Err("not a JSON object"));
        assert_eq!(check(&" ".repeat(MAX_PAYLOAD_BYTES + 1)), Err("more than 64 KiB"));
    }

    #[test]
    fn many_values_of_a_long_type_are_refused() {
        let long = "x".repeat(20_000);
        let values = vec!["{}"; 5_000].join(",");
        let json = format!(
            r#"{{"types":{{"S":[{{"name":"l","type":"I[]"}}],"I":[],"{long}":[]}},"primaryType":"S","domain":{{}},"message":{{"l":[{values}]}}}}"#
        );
        assert_eq!(check(&json), Err("too many values for types of this length"));
    }
}
