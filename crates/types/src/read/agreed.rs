//! From what the nodes agreed on to a read that is replayed.

use super::{Read, RecordedRead};
use crate::{
    FieldRead,
    http::{Agree, Field, FieldValue, HttpRead, MAX_TEXT_BYTES},
};

/// Why agreed values are none of a read's. Nothing is replayed over them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the agreed values of {read} do not fit it: {reason}")]
pub struct AgreedError {
    /// The read, in words.
    pub read: String,
    /// What does not fit.
    pub reason: String,
}

impl RecordedRead {
    /// This read with the values that the nodes agreed on in place of the node's own: what a replay takes for a read
    /// that is agreed field by field. One that is identical everywhere is replayed as it is.
    pub fn with_agreed(&self, agreed: &[FieldRead]) -> Result<Self, AgreedError> {
        match self.read() {
            Read::Http(read) => Self::agreed(read.clone(), agreed),
            Read::Evm(_) => Err(not_by_fields(self.read().to_string())),
        }
    }

    /// A fetch with the values that nodes agreed on. The fields must be those that it asks for, in their order, with values that the
    /// rules can give.
    pub fn agreed(read: HttpRead, agreed: &[FieldRead]) -> Result<Self, AgreedError> {
        let Agree::Fields(asked) = read.agree() else { return Err(not_by_fields(read.to_string())) };
        fit(asked, agreed).map_err(|reason| AgreedError { read: read.to_string(), reason })?;
        Ok(Self::of_fields(read, agreed.to_vec()))
    }
}

fn not_by_fields(read: String) -> AgreedError {
    AgreedError { read, reason: "it is not agreed field by field".into() }
}

fn fit(asked: &[Field], agreed: &[FieldRead]) -> Result<(), String> {
    if asked.len() != agreed.len() {
        return Err(format!("{} fields, {} were asked for", agreed.len(), asked.len()));
    }
    asked.iter().zip(agreed).try_for_each(|(asked, agreed)| {
        let pointer = &asked.pointer;
        if asked.pointer != agreed.pointer || asked.rule != agreed.rule {
            return Err(format!(
                "{:?} by {} in place of {pointer:?} by {}",
                agreed.pointer, agreed.rule, asked.rule
            ));
        }
        match &agreed.value {
            FieldValue::Text(text) if text.len() > MAX_TEXT_BYTES => {
                Err(format!("{pointer:?} is a text of {} bytes, at most {MAX_TEXT_BYTES}", text.len()))
            }
            FieldValue::Null | FieldValue::Bool(_) | FieldValue::Text(_)
                if asked.rule.tolerance().is_some() =>
            {
                Err(format!("{pointer:?} is no number, and its rule is {}", asked.rule))
            }
            FieldValue::Null | FieldValue::Bool(_) | FieldValue::Number(_) | FieldValue::Text(_) => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Address, Decimal, RecordEntry, Rule, Tolerance,
        evm::{EvmRead, EvmValue},
        http::HttpResponse,
        read::ReadValue,
    };

    const MEDIAN: Rule = Rule::Median(Tolerance { bps: 50, abs: Decimal::ZERO });

    fn read(agree: Agree) -> RecordedRead {
        let read = HttpRead::new("https://a.example/", vec![], 0, 0, agree).expect("a read");
        let body = br#"{"price":1.5,"open":true}"#.to_vec().into();
        RecordedRead::http(read, HttpResponse { status: 200, content_type: None, body }).expect("a read")
    }

    fn own() -> RecordedRead {
        let field = |pointer: &str, rule| Field { pointer: pointer.into(), rule };
        read(Agree::Fields(vec![field("/price", MEDIAN), field("/open", Rule::Identical)]))
    }

    fn agreed(price: FieldValue, open: FieldValue) -> Vec<FieldRead> {
        let field = |pointer: &str, rule, value| FieldRead { pointer: pointer.into(), rule, value };
        vec![field("/price", MEDIAN, price), field("/open", Rule::Identical, open)]
    }

    fn number(text: &str) -> FieldValue {
        FieldValue::Number(text.parse().expect("a number"))
    }

    #[test]
    fn agreed_values_take_the_place_of_the_own() {
        let fields = agreed(number("1.25"), FieldValue::Null);
        let replayed = own().with_agreed(&fields).expect("they fit");
        let ReadValue::Http(response) = replayed.value() else { panic!("a response") };
        assert_eq!(response.body.as_ref(), br#"{"/price":"1.25","/open":null}"#);
        assert_eq!(replayed.read(), own().read());
        assert_eq!(replayed.entry(), &RecordEntry::Fields { read: own().read().id(), fields });
        let same = own().with_agreed(&agreed(number("1.5"), FieldValue::Bool(true)));
        assert_eq!(same, Ok(own()), "the own values, agreed");
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_reason() {
        let open = FieldValue::Bool(true);
        let whole = agreed(number("1"), open.clone());
        let mut turned = whole.clone();
        turned.reverse();
        let mut other_rule = whole.clone();
        other_rule[0].rule = Rule::Mode;
        let mut longer = whole.clone();
        longer.push(whole[0].clone());
        let cases = [
            (whole[..1].to_vec(), "1 fields, 2 were asked for"),
            (longer, "3 fields, 2 were asked for"),
            (vec![], "0 fields"),
            (turned, r#""/open" by identical in place of "/price" by median"#),
            (other_rule, "by mode in place of"),
            (agreed(FieldValue::Null, open.clone()), r#""/price" is no number"#),
            (agreed(FieldValue::Bool(false), open.clone()), r#""/price" is no number"#),
            (agreed(FieldValue::Text("1".into()), open), r#""/price" is no number"#),
            (
                agreed(number("1"), FieldValue::Text("x".repeat(MAX_TEXT_BYTES + 1))),
                r#""/open" is a text of 1025 bytes, at most 1024"#,
            ),
        ];
        for (fields, expected) in cases {
            let error = own().with_agreed(&fields).expect_err(expected);
            assert_eq!(error.read, "GET https://a.example/");
            assert!(error.reason.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_read_that_is_identical_everywhere_takes_no_fields() {
        let fields = agreed(number("1"), FieldValue::Null);
        assert!(read(Agree::Identical).with_agreed(&fields).is_err());
        let nonce = EvmRead::Nonce { chain_id: 1, address: Address::ZERO };
        let nonce = RecordedRead::evm(nonce, EvmValue::Nonce(1)).expect("a read");
        assert!(nonce.with_agreed(&fields).is_err());
    }
}
