//! From the errors of the layers below to faults.

use std::{error::Error, io, iter};

use hickory_resolver::net::NetError;
use rustls::CertificateError;

use crate::{Fault, ResolveProblem, TlsProblem};

/// The most characters of a lower layer's text in a fault. Some of it can be the server's.
const MAX_PROBLEM_CHARS: usize = 160;

/// Why a request has no answer.
pub(crate) fn of_request(host: &str, error: &reqwest::Error) -> Fault {
    let host = host.to_owned();
    if let Some(error) = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        return Fault::Tls { host, problem: of_tls(error) };
    }
    let problem = innermost(error);
    if error.is_connect() { Fault::Connect { host, problem } } else { Fault::Protocol { host, problem } }
}

/// Why an answer's body does not end as it should.
pub(crate) fn of_body(host: &str, error: &reqwest::Error) -> Fault {
    Fault::Protocol { host: host.into(), problem: format!("it breaks off: {}", innermost(error)) }
}

/// Why a name has no address.
pub(crate) fn of_resolution(error: &NetError) -> ResolveProblem {
    if error.is_nx_domain() {
        ResolveProblem::NoSuchName
    } else if error.is_no_records_found() {
        ResolveProblem::NoAddress
    } else if matches!(error, NetError::Timeout) {
        ResolveProblem::Silence
    } else {
        ResolveProblem::NoAnswer
    }
}

/// The innermost cause, fit to be shown: what the layers above add is the URL.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    let mut text = String::from("the exchange failed");
    for cause in causes(error).skip(1) {
        text = match cause.downcast_ref::<io::Error>() {
            Some(error) if error.kind() != io::ErrorKind::Other => error.kind().to_string(),
            Some(_) | None => cause.to_string(),
        };
    }
    shown(&text)
}

fn of_tls(error: &rustls::Error) -> TlsProblem {
    use CertificateError as Certificate;
    if let rustls::Error::InvalidMessage(_) = error {
        return TlsProblem::NotTls;
    }
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return TlsProblem::Other(shown(&error.to_string()));
    };
    if matches!(certificate, Certificate::Expired | Certificate::ExpiredContext { .. }) {
        TlsProblem::Expired
    } else if matches!(certificate, Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) {
        TlsProblem::NotYetValid
    } else if matches!(certificate, Certificate::NotValidForName | Certificate::NotValidForNameContext { .. })
    {
        TlsProblem::OtherName
    } else if *certificate == Certificate::UnknownIssuer {
        TlsProblem::UnknownIssuer
    } else {
        TlsProblem::Other(shown(&error.to_string()))
    }
}

/// The error and what is behind it. An I/O error is transparent to `source`: what it holds would be passed over.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let behind = |error: &&'a (dyn Error + 'static)| {
        let error: &'a (dyn Error + 'static) = *error;
        match error.downcast_ref::<io::Error>() {
            Some(error) => error.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    };
    iter::successors(Some(error), behind)
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_PROBLEM_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
