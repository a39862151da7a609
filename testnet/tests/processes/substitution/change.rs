//! Every way to change one part of a message. The parts are found in the message itself, so that a new field cannot be
//! forgotten.

use std::collections::{BTreeMap, BTreeSet};

use countersign_testnet::relay::Frame;
use serde_json::{Value, json};

/// Words that stand for variants somewhere in messages.
const WORDS: [&str; 17] = [
    "schnorr-secp256k1",
    "bip340",
    "ed25519",
    "Allow",
    "bytes",
    "personal-message",
    "raw",
    "eip191",
    "eip1271",
    "finalized",
    "mode",
    "busy",
    "unavailable",
    "typed-data",
    "Unknown",
    "Busy",
    "",
];
/// How many elements of a list or map are changed: each is as good as the others.
const MAX_ALIKE: usize = 2;
/// The most values that are kept of one place, the first ones.
const MAX_SEEN: usize = 64;

/// One way to change one part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Change {
    /// The part: a JSON pointer.
    pub(super) at: String,
    pub(super) how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    /// Another value, where there is one.
    Other,
    /// What stood there in an earlier message.
    Earlier,
    /// A list or map without one of its elements, something optional left out.
    Less,
    /// A list or map with an element twice.
    More,
}

pub(super) const HOW: [How; 4] = [How::Other, How::Earlier, How::Less, How::More];

/// What stood where in messages so far.
#[derive(Default)]
pub(super) struct Seen {
    by_place: BTreeMap<String, Vec<Value>>,
}

impl Seen {
    pub(super) fn note(&mut self, frame: &Value) {
        for (at, value) in parts(frame) {
            let seen = self.by_place.entry(place(&at)).or_default();
            if !value.is_null() && !seen.contains(value) && seen.len() < MAX_SEEN {
                seen.push(value.clone());
            }
        }
    }

    fn at(&self, at: &str) -> &[Value] {
        self.by_place.get(&place(at)).map_or(&[], Vec::as_slice)
    }
}

/// The kind of place: the same for all elements of a list or map.
pub(super) fn place(at: &str) -> String {
    let step = |step: &str| {
        if !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit()) {
            "*".into()
        } else {
            step.to_owned()
        }
    };
    at.split('/').map(step).collect::<Vec<_>>().join("/")
}

/// All parts, by their pointers: those that hold others too.
pub(super) fn parts(value: &Value) -> Vec<(String, &Value)> {
    fn walk<'a>(at: String, value: &'a Value, found: &mut Vec<(String, &'a Value)>) {
        found.push((at.clone(), value));
        match value {
            Value::Array(all) => {
                all.iter().enumerate().for_each(|(index, value)| walk(format!("{at}/{index}"), value, found));
            }
            Value::Object(all) => {
                let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
                all.iter().for_each(|(key, value)| walk(format!("{at}/{}", escaped(key)), value, found));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = Vec::new();
    walk(String::new(), value, &mut found);
    found
}

/// The parts that hold no others.
pub(super) fn leaves(value: &Value) -> BTreeSet<String> {
    let leaf = |value: &Value| match value {
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    };
    parts(value).into_iter().filter(|(_, value)| leaf(value)).map(|(at, _)| at).collect()
}

/// Every change of a message that gives another message, each once.
pub(super) fn changes(frame: &Value, seen: &Seen) -> Vec<Change> {
    let mut found = Vec::new();
    let mut given = BTreeSet::new();
    let mut alike: BTreeMap<(String, How), usize> = BTreeMap::new();
    // all other values come first: a set with another element may be an earlier one, and the place is to count as changed
    for how in HOW {
        for (at, _) in parts(frame) {
            let done = alike.entry((place(&at), how)).or_default();
            if *done >= MAX_ALIKE {
                continue;
            }
            let change = Change { at, how };
            if let Some(changed) = change.apply(frame, seen).and_then(|changed| changed.encode().ok())
                && given.insert(changed)
            {
                found.push(change);
                *done += 1;
            }
        }
    }
    found
}

impl Change {
    /// The message with this change; none where the part is not there, or nothing else can stand there.
    pub(super) fn apply(&self, frame: &Value, seen: &Seen) -> Option<Frame> {
        let original = Frame::from_value(frame)?;
        let part = frame.pointer(&self.at)?;
        let candidates = match self.how {
            How::Other => others(part, seen.at(&self.at)),
            How::Earlier => seen.at(&self.at).iter().rev().cloned().collect(),
            How::Less => less(part),
            How::More => more(part),
        };
        candidates.into_iter().find_map(|candidate| {
            let mut changed = frame.clone();
            *changed.pointer_mut(&self.at)? = candidate;
            let changed = Frame::from_value(&changed)?;
            (changed.lane() == original.lane() && changed != original).then_some(changed)
        })
    }
}

fn others(part: &Value, seen: &[Value]) -> Vec<Value> {
    match part {
        Value::Null => [seen, &[json!(1), json!("x"), json!([])]].concat(),
        Value::Bool(value) => vec![json!(!value)],
        Value::Number(number) => {
            let number = number.as_u64().unwrap_or_default();
            vec![json!(number.wrapping_add(1)), json!(number.saturating_sub(1)), json!(0)]
        }
        Value::String(text) => {
            let words = WORDS.iter().map(|word| json!(word));
            let hex =
                text.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
            let flipped: Vec<Value> = if hex && text.len() > 2 {
                // not only the last digit: the last byte of a signature, say, has few values
                [text.len() - 1, text.len() - 3, 5, 4, 3, 2]
                    .into_iter()
                    .filter_map(|at| flip(text, at))
                    .collect()
            } else {
                vec![json!(format!("{text}x")), json!(next_number(text)), json!("0x00")]
            };
            let refusal = json!({ "Refuse": { "reason": "x" } });
            flipped.into_iter().chain(seen.iter().cloned()).chain(words).chain([refusal]).collect()
        }
        Value::Array(all) if all.is_empty() => [seen, &[json!([0])]].concat(),
        Value::Object(all) if all.is_empty() => seen.to_vec(),
        Value::Array(_) | Value::Object(_) => Vec::new(),
    }
}

/// The next decimal number.
fn next_number(text: &str) -> String {
    text.parse::<u128>().map_or_else(|_| format!("{text}1"), |number| (number + 1).to_string())
}

/// The text with another hexadecimal digit.
fn flip(text: &str, at: usize) -> Option<Value> {
    let digit = text.get(at..=at)?.chars().next()?.to_digit(16)?;
    let other = char::from_digit(digit ^ 1, 16)?;
    Some(json!(format!("{}{other}{}", &text[..at], &text[at + 1..])))
}

fn less(part: &Value) -> Vec<Value> {
    match part {
        Value::Array(all) => {
            let without = |index: usize| {
                let mut all = all.clone();
                all.remove(index);
                Value::Array(all)
            };
            (0..all.len()).map(without).chain([Value::Null]).collect()
        }
        Value::Object(all) => {
            let without = |key: &String| {
                let mut all = all.clone();
                all.remove(key);
                Value::Object(all)
            };
            [Value::Null].into_iter().chain(all.keys().map(without)).collect()
        }
        // a string of bytes that is one shorter
        Value::String(text) if text.starts_with("0x") && text.len() > 2 => {
            vec![Value::Null, json!(text[..text.len() - 2])]
        }
        Value::Null => Vec::new(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![Value::Null],
    }
}

fn more(part: &Value) -> Vec<Value> {
    match part {
        Value::Array(all) => {
            let again = all.iter().cloned().chain(all.last().cloned());
            vec![Value::Array(again.collect())]
        }
        Value::Object(all) => {
            // another member's entry, with what stands in the last one
            let free = (1..=9).map(|number: u8| number.to_string()).find(|key| !all.contains_key(key));
            let (Some(free), Some(last)) = (free, all.values().next_back()) else { return Vec::new() };
            let mut all = all.clone();
            all.insert(free, last.clone());
            vec![Value::Object(all)]
        }
        Value::String(text) if text.starts_with("0x") => vec![json!(format!("{text}00"))],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use countersign_session::message::{Package, ToParticipant};
    use countersign_types::{Identifier, SessionId};
    use countersign_wire::SigningFrame;

    use super::*;

    #[test]
    fn parts_and_leaves_are_all_found() {
        let value = json!({ "a": [1, { "b/c": null }], "d": {}, "e": "x" });
        let found: Vec<String> = parts(&value).into_iter().map(|(at, _)| at).collect();
        assert_eq!(found, ["", "/a", "/a/0", "/a/1", "/a/1/b~1c", "/d", "/e"]);
        assert_eq!(leaves(&value), ["/a/0", "/a/1/b~1c", "/d", "/e"].map(String::from).into());
        for (at, part) in parts(&value) {
            assert_eq!(value.pointer(&at), Some(part));
        }
    }

    /// Two of three members make the base of a package, and which two changes from message to message.
    #[test]
    fn another_value_comes_before_an_earlier_one_that_is_the_same_message() {
        let sign = |base: [u16; 2]| {
            let package = Package {
                session: SessionId::from([7; 32]),
                attempt: 1,
                base: base.into_iter().filter_map(Identifier::new).collect(),
                records: BTreeMap::new(),
                signatures: BTreeMap::new(),
                signers: BTreeMap::new(),
            };
            let message = ToParticipant::Sign { package: Box::new(package), send_verdict: false };
            Frame::Signing(SigningFrame::ToParticipant(message)).to_value().expect("a value")
        };
        let mut seen = Seen::default();
        [[1, 3], [2, 3], [1, 4], [2, 4], [1, 2]].into_iter().for_each(|base| seen.note(&sign(base)));
        for base in [[1, 2], [1, 3], [2, 3]] {
            let found = changes(&sign(base), &seen);
            let of_base = |change: &Change| {
                change.how == How::Other && place(&change.at) == "/ToParticipant/Sign/package/base/*"
            };
            assert!(found.iter().any(of_base), "{base:?}: {found:?}");
        }
    }

    #[test]
    fn a_change_gives_another_message_and_only_in_its_part() {
        let commit = ToParticipant::Commit { session: SessionId::from([7; 32]), attempt: 2 };
        let frame = Frame::Signing(SigningFrame::ToParticipant(commit));
        let value = frame.to_value().expect("a value");
        let found = changes(&value, &Seen::default());
        let changed: BTreeSet<&str> = found.iter().map(|change| change.at.as_str()).collect();
        assert!(leaves(&value).iter().all(|leaf| changed.contains(leaf.as_str())), "{found:?}");
        for change in found {
            let other =
                change.apply(&value, &Seen::default()).expect("it was found").to_value().expect("a value");
            for leaf in leaves(&value) {
                let same = other.pointer(&leaf) == value.pointer(&leaf);
                assert_eq!(same, !leaf.starts_with(&change.at), "{change:?} and {leaf}");
            }
        }
    }
}
