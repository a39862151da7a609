//! What actions ask for, and what the world answers: URLs, headers, pointers, bodies, chain reads.

use countersign_types::{
    evm::{EvmRead, EvmValue},
    http::{
        Agree, Field, FieldValue, Header, HttpRead, HttpResponse, MAX_URL_BYTES, ProjectionError, project,
        to_json,
    },
};

use crate::choices::Choices;

/// An HTTP read from a guest's arguments. The URL is the rest of the input, behind headers and fields.
pub(crate) fn http_reads(input: &[u8]) -> bool {
    let mut choices = Choices::new(input);
    let text = |choices: &mut Choices<'_>| String::from_utf8_lossy(choices.bytes(24)).into_owned();
    let headers: Vec<Header> = (0..choices.below(4))
        .map(|_| Header { name: text(&mut choices), value: text(&mut choices) })
        .collect();
    let agree = match choices.below(2) {
        0 => Agree::Identical,
        _ => Agree::Fields(fields(&mut choices)),
    };
    let (body, timeout) = (u32::from(choices.byte()) << 10, u32::from(choices.byte()) << 6);
    let Ok(url) = std::str::from_utf8(choices.rest()) else { return false };
    let Ok(read) = HttpRead::new(url, headers, body, timeout, agree) else { return false };
    assert!(read.url().starts_with("https://") && read.url().len() <= MAX_URL_BYTES);
    assert!(!read.host().is_empty() && read.host().parse::<std::net::IpAddr>().is_err());
    assert!(read.url()["https://".len()..].starts_with(read.host()), "{} of {}", read.host(), read.url());
    assert!(!read.url().contains(['#', '\r', '\n', ' ']));
    for header in read.headers() {
        assert!(!header.name.is_empty() && !header.name.contains([':', '\r', '\n']));
        assert!(!header.value.contains(['\r', '\n', '\0']));
    }
    let again = HttpRead::new(
        read.url(),
        read.headers().to_vec(),
        read.max_body(),
        read.timeout_ms(),
        read.agree().clone(),
    );
    assert_eq!(again.as_ref(), Ok(&read), "what was checked is in its normal form");
    assert_eq!(again.map(|again| again.id()), Ok(read.id()));
    true
}

fn fields(choices: &mut Choices<'_>) -> Vec<Field> {
    let field = |choices: &mut Choices<'_>| Field {
        pointer: String::from_utf8_lossy(choices.bytes(24)).into_owned(),
        rule: choices.rule(),
    };
    (0..=choices.below(4)).map(|_| field(choices)).collect()
}

/// A body under pointers: the projection is what a JSON parser finds there. The body is behind the pointers.
pub(crate) fn projections(input: &[u8]) -> bool {
    let mut choices = Choices::new(input);
    let fields = fields(&mut choices);
    let body = choices.rest();
    // only fields that a read may have
    if HttpRead::new("https://a.example/", Vec::new(), 0, 0, Agree::Fields(fields.clone())).is_err() {
        return false;
    }
    let response = HttpResponse { status: 200, content_type: None, body: body.to_vec().into() };
    let projected = project(&response, &fields);
    // the parser of whole values refuses what is nested too deeply, and what it cannot hold
    let Ok(whole) = serde_json::from_slice::<serde_json::Value>(body) else { return projected.is_ok() };
    match &projected {
        Ok(values) => {
            assert_eq!(values.len(), fields.len());
            for (field, value) in fields.iter().zip(values) {
                let found = whole.pointer(&field.pointer).expect("it was found");
                assert!(is_same(value, found), "{value:?} is not {found:?}");
            }
            let shown = to_json(fields.iter().map(|field| field.pointer.as_str()).zip(values));
            assert!(serde_json::from_str::<serde_json::Value>(&shown).is_ok(), "{shown}");
            true
        }
        Err(ProjectionError::Missing { pointer }) => {
            assert!(whole.pointer(pointer).is_none(), "{pointer:?} is there");
            false
        }
        Err(ProjectionError::NotScalar { pointer, .. }) => {
            let found = whole.pointer(pointer).expect("it was found");
            assert!(found.is_array() || found.is_object());
            false
        }
        Err(
            ProjectionError::Status { .. }
            | ProjectionError::Encoding { .. }
            | ProjectionError::Json { .. }
            | ProjectionError::NotNumber { .. }
            | ProjectionError::Number { .. }
            | ProjectionError::TextLength { .. },
        ) => false,
    }
}

fn is_same(value: &FieldValue, found: &serde_json::Value) -> bool {
    match value {
        FieldValue::Null => found.is_null(),
        FieldValue::Bool(value) => found.as_bool() == Some(*value),
        FieldValue::Text(text) => found.as_str() == Some(text),
        // exact where the parser makes a float
        FieldValue::Number(_) => found.is_number() || found.is_string(),
    }
}

/// Chain reads and their values, in postcard. The first byte says which.
pub(crate) fn evm_reads(input: &[u8]) -> bool {
    let mut choices = Choices::new(input);
    match choices.below(2) {
        0 => postcard::from_bytes::<EvmRead>(choices.rest()).is_ok_and(|read| {
            assert_eq!(read.arguments().len() % 32, 0);
            let written = postcard::to_stdvec(&read).expect("it was read");
            assert_eq!(postcard::from_bytes::<EvmRead>(&written).map(|again| again.id()), Ok(read.id()));
            true
        }),
        _ => postcard::from_bytes::<EvmValue>(choices.rest()).is_ok_and(|value| {
            let (_, length) = value.digest();
            assert_eq!(length as usize, value.encode().len());
            true
        }),
    }
}
