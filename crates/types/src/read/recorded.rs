//! A read with its value, as it stands in a node's record.

use super::{Read, ReadValue};
use crate::{
    FieldRead, RecordEntry,
    evm::{EvmRead, EvmValue},
    http::{Agree, HttpRead, HttpResponse, ProjectionError, project, to_json},
};

/// The status of a response that is made of agreed fields.
const FIELDS_STATUS: u16 = 200;
/// The statuses that HTTP has (RFC 9110 section 15).
const STATUSES: std::ops::RangeInclusive<u16> = 100..=599;
/// The longest content type that an action sees, in bytes.
const MAX_CONTENT_TYPE_BYTES: usize = 1024;

/// A read with the value that an action sees, and as it stands in the record. Only [`RecordedRead::evm`],
/// [`RecordedRead::http`], [`RecordedRead::agreed`] and [`RecordedRead::with_agreed`] make one, so the three belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRead {
    read: Read,
    value: ReadValue,
    entry: RecordEntry,
}

/// Why a value is none of a read's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongValue {
    /// It answers another question.
    #[error("the reader answered another question")]
    Sort,
    /// A response that HTTP does not have, or beyond what the read allows.
    #[error("the reader answered with {reason}")]
    Response {
        /// What is wrong with it.
        reason: String,
    },
    /// A response that lacks the fields that were asked for.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
}

impl RecordedRead {
    /// A read of a chain with its value.
    pub fn evm(read: EvmRead, value: EvmValue) -> Result<Self, WrongValue> {
        if !belongs(&read, &value) {
            return Err(WrongValue::Sort);
        }
        let (digest, length) = value.digest();
        let entry = RecordEntry::Identical { read: read.id(), value: digest, length };
        Ok(Self { read: Read::Evm(read), value: ReadValue::Evm(value), entry })
    }

    /// A fetch with what came back; where it is agreed field by field, only the fields are kept.
    pub fn http(read: HttpRead, response: HttpResponse) -> Result<Self, WrongValue> {
        check(&read, &response)?;
        match read.agree() {
            Agree::Identical => {
                let (digest, length) = response.digest();
                let entry = RecordEntry::Identical { read: read.id(), value: digest, length };
                Ok(Self { read: Read::Http(read), value: ReadValue::Http(response), entry })
            }
            Agree::Fields(fields) => {
                let values = project(&response, fields)?;
                let fields = fields
                    .iter()
                    .zip(values)
                    .map(|(field, value)| FieldRead {
                        pointer: field.pointer.clone(),
                        rule: field.rule,
                        value,
                    })
                    .collect();
                Ok(Self::of_fields(read, fields))
            }
        }
    }

    /// A fetch over fields that fit it.
    pub(super) fn of_fields(read: HttpRead, fields: Vec<FieldRead>) -> Self {
        let body = to_json(fields.iter().map(|field| (field.pointer.as_str(), &field.value)));
        let response =
            HttpResponse { status: FIELDS_STATUS, content_type: None, body: body.into_bytes().into() };
        let entry = RecordEntry::Fields { read: read.id(), fields };
        Self { read: Read::Http(read), value: ReadValue::Http(response), entry }
    }

    /// What was asked.
    pub fn read(&self) -> &Read {
        &self.read
    }

    /// What the action sees of what came back.
    pub fn value(&self) -> &ReadValue {
        &self.value
    }

    /// How it travels.
    pub fn entry(&self) -> &RecordEntry {
        &self.entry
    }

    /// About how many bytes of memory it takes to keep it for a replay.
    pub fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.read.held_bytes() + self.value_len() + self.entry.size()
    }

    /// What the value counts as where bytes are paid for: those of its encoded form, or of a body that was made of
    /// fields.
    pub fn value_len(&self) -> usize {
        match (&self.entry, &self.value) {
            (RecordEntry::Identical { length, .. }, _) => usize::try_from(*length).unwrap_or(usize::MAX),
            (RecordEntry::Fields { .. }, ReadValue::Http(response)) => response.body.len(),
            (RecordEntry::Fields { .. }, ReadValue::Evm(_)) => 0,
        }
    }
}

/// Whether a value is of the sort that a read brings.
fn belongs(read: &EvmRead, value: &EvmValue) -> bool {
    match read {
        EvmRead::Call { .. } => matches!(value, EvmValue::Call { .. }),
        EvmRead::Balance { .. } => matches!(value, EvmValue::Balance(_)),
        EvmRead::Nonce { .. } => matches!(value, EvmValue::Nonce(_)),
        EvmRead::CodeHash { .. } => matches!(value, EvmValue::CodeHash(_)),
        EvmRead::Storage { .. } => matches!(value, EvmValue::Storage(_)),
        EvmRead::Logs { .. } => matches!(value, EvmValue::Logs(_)),
        EvmRead::Receipt { .. } => matches!(value, EvmValue::Receipt(_)),
    }
}

/// Whether a response is one that a reader may give.
fn check(read: &HttpRead, response: &HttpResponse) -> Result<(), WrongValue> {
    let wrong = |reason| Err(WrongValue::Response { reason });
    let HttpResponse { status, content_type, body } = response;
    if !STATUSES.contains(status) {
        return wrong(format!("the status {status}, expected 100 to 599"));
    }
    let most = usize::try_from(read.max_body()).unwrap_or(usize::MAX);
    if body.len() > most {
        return wrong(format!("a body of {} bytes, at most {most}", body.len()));
    }
    match content_type.as_ref().map_or(0, String::len) {
        0..=MAX_CONTENT_TYPE_BYTES => Ok(()),
        got => wrong(format!("a content type of {got} bytes, at most {MAX_CONTENT_TYPE_BYTES}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Address, Rule, http::Field};

    fn read(agree: Agree) -> HttpRead {
        HttpRead::new("https://a.example/", vec![], 100, 0, agree).expect("a read")
    }

    fn response(body: &str) -> HttpResponse {
        HttpResponse { status: 200, content_type: None, body: body.as_bytes().to_vec().into() }
    }

    fn fields(pointer: &str) -> Agree {
        Agree::Fields(vec![Field { pointer: pointer.into(), rule: Rule::Identical }])
    }

    #[test]
    fn a_value_of_another_sort_is_refused() {
        let asked = EvmRead::Nonce { chain_id: 1, address: Address::ZERO };
        assert!(RecordedRead::evm(asked.clone(), EvmValue::Nonce(1)).is_ok());
        assert_eq!(RecordedRead::evm(asked, EvmValue::Balance(Default::default())), Err(WrongValue::Sort));
    }

    #[test]
    fn an_identical_response_is_kept_whole() {
        let whole = HttpResponse { content_type: Some("text/plain".into()), ..response("not json") };
        let recorded = RecordedRead::http(read(Agree::Identical), whole.clone()).expect("a read");
        assert_eq!(recorded.value(), &ReadValue::Http(whole.clone()));
        let RecordEntry::Identical { value, .. } = recorded.entry() else { panic!("identical") };
        assert_eq!(*value, whole.digest().0);
        assert_eq!(recorded.entry().read(), recorded.read().id());
    }

    #[test]
    fn of_a_response_with_fields_only_these_are_kept() {
        let whole = HttpResponse {
            status: 201,
            content_type: Some("text/plain".into()),
            ..response(r#"{"a":1.50,"b":2}"#)
        };
        let recorded = RecordedRead::http(read(fields("/a")), whole).expect("a read");
        assert_eq!(recorded.value(), &ReadValue::Http(response(r#"{"/a":"1.5"}"#)));
        assert_eq!(recorded.value_len(), r#"{"/a":"1.5"}"#.len());
        let RecordEntry::Fields { read, fields } = recorded.entry() else { panic!("fields") };
        assert_eq!((*read, fields.len(), fields[0].pointer.as_str()), (recorded.read().id(), 1, "/a"));
    }

    #[test]
    fn a_response_without_the_fields_is_refused() {
        let error = RecordedRead::http(read(fields("/a")), response("{}")).expect_err("nothing there");
        assert_eq!(error.to_string(), r#"the body has nothing at "/a""#);
        let status = HttpResponse { status: 404, ..response(r#"{"a":1}"#) };
        let error = RecordedRead::http(read(fields("/a")), status).expect_err("not found");
        assert_eq!(error.to_string(), "the status is 404, expected 200 to 299");
    }

    #[test]
    fn a_response_that_http_does_not_have_is_refused() {
        let responses = [
            HttpResponse { status: 99, ..response("") },
            HttpResponse { status: 600, ..response("") },
            HttpResponse { status: u16::MAX, ..response("") },
            response(&"x".repeat(101)),
            HttpResponse { content_type: Some("x".repeat(MAX_CONTENT_TYPE_BYTES + 1)), ..response("") },
        ];
        for response in responses {
            for agree in [Agree::Identical, fields("")] {
                let wrong = RecordedRead::http(read(agree), response.clone());
                assert!(matches!(wrong, Err(WrongValue::Response { .. })), "{wrong:?}");
            }
        }
        assert!(RecordedRead::http(read(Agree::Identical), response(&"x".repeat(100))).is_ok());
    }
}
