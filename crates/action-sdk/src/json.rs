//! Config and params as JSON, through serde.
//!
//! Put `#[serde(deny_unknown_fields)]` on a config, so that a misspelt key is refused and not ignored.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error};

use crate::{Address, Context, Decimal, Refusal};

impl Context {
    /// The key's config; a refusal that says what is wrong with it where it is not one.
    pub fn config_json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        parse("the key's config", &self.config)
    }

    /// The caller's params; a refusal that says what is wrong with them where they are not what is expected.
    pub fn params_json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        parse("the request's params", &self.params)
    }
}

/// Parses JSON; the refusal says what `what` lacks, and where.
pub fn parse<T: DeserializeOwned>(what: &str, json: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(json).map_err(|error| Refusal::new(format!("{what} cannot be used: {error}")))
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    /// From a text: a JSON number would have gone through a float.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Bytes, written in JSON as 0x and an even number of hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct HexBytes(pub Vec<u8>);

impl fmt::Debug for HexBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(&self.0))
    }
}

impl Serialize for HexBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok()).map(Self).ok_or_else(|| {
            let got: String = text.chars().take(80).collect();
            D::Error::custom(format!("bytes are 0x and an even number of hexadecimal digits, got {got:?}"))
        })
    }
}

/// Amounts, written in JSON as decimal strings: `#[serde(with = "json::decimal")]`.
///
/// Digits only, without a sign, a point, separators or leading zeros, so that each amount has one form.
pub mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::U256;

    /// Writes an amount.
    pub fn serialize<S: Serializer>(amount: &U256, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(amount)
    }

    /// Reads an amount.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<U256, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| {
            let got: String = text.chars().take(80).collect();
            D::Error::custom(format!("an amount is a decimal string of base units below 2^256, got {got:?}"))
        })
    }

    fn parse(text: &str) -> Option<U256> {
        let canonical = text == "0" || !text.starts_with('0');
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        (canonical && digits).then(|| U256::from_str_radix(text, 10).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::U256;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        #[serde(with = "decimal")]
        minimum: U256,
    }

    fn minimum(text: &str) -> Result<U256, Refusal> {
        parse::<Config>("the config", format!(r#"{{"minimum":"{text}"}}"#).as_bytes()).map(|c| c.minimum)
    }

    #[test]
    fn an_amount_has_one_form() {
        let max = U256::MAX.to_string();
        for text in ["0", "1", "1000000000000000000", &max] {
            assert_eq!(minimum(text).map(|amount| amount.to_string()), Ok(text.to_owned()));
        }
        let above = format!("{max}0");
        for text in ["", "00", "01", "+1", "-1", "1.0", "1e3", "0x10", "1_000", " 1", "١", &above] {
            let refusal = minimum(text).expect_err(text);
            assert!(
                refusal.reason.starts_with("the config cannot be used: an amount is"),
                "{}",
                refusal.reason
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cases: [(&str, &str); 4] = [
            ("", "EOF"),
            (r#"{"minimum":1}"#, "expected a string"),
            (r#"{"minimum":"1","minimun":"2"}"#, "unknown field `minimun`"),
            ("{}", "missing field `minimum`"),
        ];
        for (json, expected) in cases {
            let refusal = parse::<Config>("the config", json.as_bytes()).expect_err(json);
            assert!(refusal.reason.contains(expected), "{}", refusal.reason);
        }
    }

    #[test]
    fn a_decimal_is_a_text() {
        let limits: Vec<Decimal> = parse("the list", br#"["1.50","-3"]"#).expect("decimals");
        assert_eq!(serde_json::to_string(&limits).expect("json"), r#"["1.5","-3"]"#);
        for json in ["[1.5]", r#"["1,5"]"#, r#"[""]"#] {
            assert!(parse::<Vec<Decimal>>("the list", json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn bytes_are_read_as_they_are_written() {
        let bytes: Vec<HexBytes> = parse("the list", br#"["0x","0x00ff"]"#).expect("bytes");
        assert_eq!(bytes, [HexBytes(vec![]), HexBytes(vec![0, 255])]);
        assert_eq!(serde_json::to_string(&bytes).expect("json"), r#"["0x","0x00ff"]"#);
        for json in [r#"["00"]"#, r#"["0x0"]"#, r#"["0xzz"]"#] {
            assert!(parse::<Vec<HexBytes>>("the list", json.as_bytes()).is_err(), "{json}");
        }
    }
}
