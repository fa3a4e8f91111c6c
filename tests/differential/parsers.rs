// SPDX-License-Identifier: GPL-2.0

//! The parsers that are Rust: ours, and httparse.

use crate::src::http::framing::Body;
use crate::src::http::framing::Drain;
use crate::src::http::request;
use crate::src::http::request::Limits;
use crate::src::http::request::Method;
use crate::src::http::request::Version;

/// Octets in hexadecimal.
fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// What we make of a case.
pub(crate) fn ours(octets: &[u8]) -> String {
    let (request, len) = match request::parse(octets, &Limits::default()) {
        Err(bad) => return format!("refuse {}", bad.name()),
        Ok(None) => return "partial".to_string(),
        Ok(Some(head)) => head,
    };
    let framing = match request.body {
        Body::None => "none".to_string(),
        Body::Length(length) => length.to_string(),
        Body::Chunked => "chunked".to_string(),
    };
    let mut drain = Drain::new(request.body);
    let end = match drain.consume(&octets[len..]) {
        Err(bad) => format!("refuse:{}", bad.name()),
        Ok(progress) if progress.is_done => (len + progress.consumed).to_string(),
        Ok(_) => "partial".to_string(),
    };
    // The others say the version as it was written.
    let version = match request.version {
        Version::Http10 => "1.0".to_string(),
        Version::Http11 => format!("1.{}", char::from(minor_version(&octets[..len]))),
    };
    let (method, target) = (request.method.name(), hex(request.target.raw));
    format!(
        "accept {len} {} {target} {version} {framing} {end}",
        String::from_utf8_lossy(method)
    )
}

/// The minor version of a head that was accepted.
fn minor_version(head: &[u8]) -> u8 {
    let line = head.split(|o| *o == b'\r').find(|line| line.len() > 1);
    line.and_then(|line| line.last().copied()).unwrap_or(b'?')
}

/// What of an accepted request makes others see it differently.
pub(crate) fn context(octets: &[u8]) -> String {
    let Ok(Some((request, _))) = request::parse(octets, &Limits::default()) else {
        return String::new();
    };
    let mut context = String::new();
    match request.method {
        Method::Connect => context += ",connect",
        Method::Other(_) => context += ",other_method",
        _ => {}
    }
    if request.upgrade {
        context += ",upgrade";
    }
    if !request.is_persistent {
        context += ",close";
    }
    context
}

/// What httparse makes of a case. It doesn't look at bodies.
pub(crate) fn httparse(octets: &[u8]) -> String {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(octets) {
        Err(error) => format!("refuse {error:?}").to_ascii_lowercase(),
        Ok(httparse::Status::Partial) => "partial".to_string(),
        Ok(httparse::Status::Complete(len)) => format!(
            "accept {len} {} {} 1.{} ? ?",
            request.method.unwrap_or("?"),
            hex(request.path.unwrap_or("?").as_bytes()),
            request.version.unwrap_or(9),
        ),
    }
}
