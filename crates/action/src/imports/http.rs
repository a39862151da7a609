//! Reads over HTTP, as the guest sees them: requests in, responses out.

use countersign_types::{
    Decimal, Rule, Tolerance,
    decimal::DecimalError,
    http::{Agree, Field, Header, HttpRead, HttpReadError, HttpResponse, MAX_FIELDS},
    read::{Read, ReadValue},
};
use wasmtime::component::LinkerInstance;

use super::define::{define_all, define_one};
use crate::{
    bindings::countersign::action::{
        http as wit,
        types::{self, Error},
    },
    run::{RunState, Sort},
};

pub(super) const NAME: &str = "countersign:action/http@0.1.0";

/// The one header of a response that an action sees.
const CONTENT_TYPE: &str = "content-type";

type Entry = (wit::Request, types::Agree);

pub(super) fn define(linker: &mut LinkerInstance<'_, RunState>) -> wasmtime::Result<()> {
    define_one(linker, "fetch", Sort::Http, entry_len, read, response)?;
    define_all(linker, "fetch-all", Sort::Http, entry_len, read, response)
}

/// The bytes of all texts.
fn entry_len((request, agree): &Entry) -> usize {
    let headers = request.headers.iter().map(|header| header.name.len() + header.value.len());
    let fields = match agree {
        types::Agree::Identical => 0,
        types::Agree::JsonFields(fields) => fields.iter().map(field_len).sum(),
    };
    request.url.len() + headers.sum::<usize>() + fields
}

fn field_len(field: &types::Field) -> usize {
    let tolerance = match &field.rule {
        types::Rule::Median(tolerance) | types::Rule::Min(tolerance) | types::Rule::Max(tolerance) => {
            tolerance.abs.len()
        }
        types::Rule::Identical | types::Rule::Mode => 0,
    };
    field.pointer.len() + tolerance
}

/// The read of these arguments; what is malformed is told to the guest, in the same words on every node.
fn read((request, how): Entry) -> Result<Read, Error> {
    let wit::Request { url, headers, max_body, timeout_ms } = request;
    let headers = headers.into_iter().map(|wit::Header { name, value }| Header { name, value }).collect();
    let read = HttpRead::new(&url, headers, max_body, timeout_ms, agree(how)?).map_err(invalid)?;
    Ok(Read::Http(read))
}

fn agree(how: types::Agree) -> Result<Agree, Error> {
    match how {
        types::Agree::Identical => Ok(Agree::Identical),
        // Counted here already, so that no long list of tolerances is parsed.
        types::Agree::JsonFields(fields) if fields.len() > MAX_FIELDS => {
            Err(invalid(HttpReadError::Fields { got: fields.len() }))
        }
        types::Agree::JsonFields(fields) => {
            Ok(Agree::Fields(fields.into_iter().map(field).collect::<Result<_, _>>()?))
        }
    }
}

fn field(types::Field { pointer, rule }: types::Field) -> Result<Field, Error> {
    let rule = match rule {
        types::Rule::Identical => Rule::Identical,
        types::Rule::Median(within) => Rule::Median(tolerance(&pointer, within)?),
        types::Rule::Min(within) => Rule::Min(tolerance(&pointer, within)?),
        types::Rule::Max(within) => Rule::Max(tolerance(&pointer, within)?),
        types::Rule::Mode => Rule::Mode,
    };
    Ok(Field { pointer, rule })
}

fn tolerance(pointer: &str, types::Tolerance { bps, abs }: types::Tolerance) -> Result<Tolerance, Error> {
    let number = |source: DecimalError| {
        let pointer: String = pointer.chars().take(80).collect();
        invalid(format!("the tolerance of {pointer:?}: {source}"))
    };
    Ok(Tolerance { bps, abs: abs.parse::<Decimal>().map_err(number)? })
}

fn invalid(error: impl ToString) -> Error {
    Error::Invalid(error.to_string())
}

/// A response as the guest sees it; none where the value is of another sort.
fn response(value: ReadValue) -> Option<wit::Response> {
    let ReadValue::Http(HttpResponse { status, content_type, body }) = value else { return None };
    let header = |value| wit::Header { name: CONTENT_TYPE.into(), value };
    Some(wit::Response { status, headers: content_type.map(header).into_iter().collect(), body: body.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(agree: types::Agree) -> Entry {
        let header = wit::Header { name: "Accept".into(), value: "text/plain".into() };
        let request = wit::Request {
            url: "https://a.example/".into(),
            headers: vec![header],
            max_body: 0,
            timeout_ms: 0,
        };
        (request, agree)
    }

    fn by(rule: types::Rule) -> types::Agree {
        types::Agree::JsonFields(vec![types::Field { pointer: "/a".into(), rule }])
    }

    fn within(bps: u32, abs: &str) -> types::Tolerance {
        types::Tolerance { bps, abs: abs.into() }
    }

    #[test]
    fn every_rule_keeps_its_meaning() {
        let one = |abs: &str| Tolerance { bps: 5, abs: abs.parse().expect("a number") };
        let cases = [
            (types::Rule::Identical, Rule::Identical),
            (types::Rule::Median(within(5, "1.50")), Rule::Median(one("1.5"))),
            (types::Rule::Min(within(5, "15e-1")), Rule::Min(one("1.5"))),
            (types::Rule::Max(within(5, "0")), Rule::Max(one("0"))),
            (types::Rule::Mode, Rule::Mode),
        ];
        for (rule, expected) in cases {
            let Ok(Read::Http(read)) = read(entry(by(rule))) else { panic!("{expected}") };
            let field = Field { pointer: "/a".into(), rule: expected };
            assert_eq!(read.agree(), &Agree::Fields(vec![field]));
            assert_eq!(read.headers(), [Header { name: "accept".into(), value: "text/plain".into() }]);
        }
    }

    #[test]
    fn a_tolerance_that_is_no_number_is_told_to_the_guest() {
        for (abs, expected) in [
            ("", "is not a decimal number"),
            ("one", "is not a decimal number"),
            ("1,5", "is not a decimal number"),
            ("0x10", "is not a decimal number"),
            ("1e40", "has more than 38 digits"),
            ("-1", "at least 0"),
        ] {
            let error = read(entry(by(types::Rule::Median(within(0, abs))))).expect_err(abs);
            let Error::Invalid(text) = &error else { panic!("{error:?}") };
            assert!(text.contains(r#"the tolerance of "/a""#) && text.contains(expected), "{text}");
        }
        let long = read(entry(by(types::Rule::Max(within(0, &"9".repeat(100_000))))));
        let Err(Error::Invalid(text)) = long else { panic!("{long:?}") };
        assert!(text.len() < 300, "{text}");
    }

    #[test]
    fn what_a_list_carries_is_counted_with_all_its_texts() {
        assert_eq!(entry_len(&entry(types::Agree::Identical)), 18 + 6 + 10);
        assert_eq!(entry_len(&entry(by(types::Rule::Mode))), 34 + 2);
        assert_eq!(entry_len(&entry(by(types::Rule::Min(within(0, "12.5"))))), 34 + 2 + 4);
    }

    #[test]
    fn a_long_list_of_fields_is_refused_before_it_is_parsed() {
        let field = types::Field { pointer: String::new(), rule: types::Rule::Max(within(0, "no number")) };
        let error = read(entry(types::Agree::JsonFields(vec![field; MAX_FIELDS + 1]))).expect_err("too many");
        let Error::Invalid(text) = &error else { panic!("{error:?}") };
        assert_eq!(text, "a read projects 1 to 32 fields, got 33");
    }
}
