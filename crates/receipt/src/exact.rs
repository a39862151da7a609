//! A receipt's JSON says what is read from it, and nothing else: no field is unknown, none is there twice, and no list was put in
//! order by reading it.

use std::{collections::BTreeSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// The most characters of a field's name that an error shows.
const SHOWN: usize = 80;

/// Checks a JSON text against what was read from it. The text may leave out what has a default, and spell a value in another way, as
/// hexadecimal digits in upper case.
pub(crate) fn check(json: &[u8], read: &Value) -> Result<(), serde_json::Error> {
    let mut text = serde_json::Deserializer::from_slice(json);
    Beside(read).deserialize(&mut text)?;
    text.end()
}

/// What was read, for the place of the text that it was read from.
struct Beside<'a>(&'a Value);

impl<'de> DeserializeSeed<'de> for Beside<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, text: D) -> Result<(), D::Error> {
        text.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Beside<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what was read from it")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            let shown = || name.chars().take(SHOWN).collect::<String>();
            let Some(read) = self.0.get(name.as_str()) else {
                return Err(A::Error::custom(format_args!("unknown field `{}`", shown())));
            };
            if seen.contains(&name) {
                return Err(A::Error::custom(format_args!("`{}` is there twice", shown())));
            }
            fields.next_value_seed(Beside(read))?;
            seen.insert(name);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some(read) = self.0.as_array() else {
            return Err(A::Error::custom("a list, where receipts have none"));
        };
        for (position, one) in read.iter().enumerate() {
            if list.next_element_seed(Beside(one))?.is_none() {
                return Err(A::Error::invalid_length(position, &"as many elements as were read from it"));
            }
        }
        match list.next_element::<IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(A::Error::custom("a list of distinct elements holds one twice")),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        match self.0.as_u64() {
            Some(read) if read != number => Err(E::custom(format_args!(
                "{number} where {read} is expected: the list must be in ascending order, each element once"
            ))),
            Some(_) | None => Ok(()),
        }
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}
