// SPDX-License-Identifier: GPL-2.0

//! Preconditions (RFC 9110 13): whether a request is to be answered, seen from the validators of
//! what is selected.
//!
//! They are evaluated when the answer without them would be 200 (RFC 9110 13.2.1). What a client
//! wrote wrongly is as good as absent where the RFC says so, and else matches nothing.

use super::date;
use super::entity_tag::Tags;
use super::request::Lines;
use super::request::Method;
use super::request::Request;

/// The validators of a selected representation (RFC 9110 8.8).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validator<'a> {
    /// Its strong entity tag, quotes included; empty if it has none.
    pub(crate) etag: &'a [u8],
    /// Its Last-Modified.
    pub(crate) last_modified: Option<i64>,
}

impl Validator<'_> {
    /// Those of a representation that has none: only `*` matches it, and dates are ignored (RFC
    /// 9110 13.1.3, 13.1.4).
    pub(crate) const NONE: Self = Self {
        etag: b"",
        last_modified: None,
    };
}

/// What the preconditions of a request lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The request is answered as if it had none.
    Proceed,
    /// 304 (Not Modified).
    NotModified,
    /// 412 (Precondition Failed).
    Failed,
}

/// Evaluates the preconditions of `request`, in the order of RFC 9110 13.2.2.
///
/// `now` is the time in seconds, for dates with a year of two digits.
pub(crate) fn evaluate(request: &Request<'_>, validator: &Validator<'_>, now: i64) -> Verdict {
    if !request.is_conditional() {
        return Verdict::Proceed;
    }
    let is_read = matches!(request.method, Method::Get | Method::Head);
    if let Some(lines) = request.if_match() {
        // RFC 9110 13.1.1: by strong comparison.
        if !matches(lines, validator.etag, false) {
            return Verdict::Failed;
        }
    } else if let (Some(modified), Some(date)) = (
        validator.last_modified,
        request
            .if_unmodified_since()
            .and_then(|value| date::parse(value, now)),
    ) {
        if modified > date {
            return Verdict::Failed;
        }
    }
    if let Some(lines) = request.if_none_match() {
        // RFC 9110 13.1.2: by weak comparison.
        return match matches(lines, validator.etag, true) {
            false => Verdict::Proceed,
            true if is_read => Verdict::NotModified,
            true => Verdict::Failed,
        };
    }
    match (
        validator.last_modified,
        request
            .if_modified_since()
            .and_then(|value| date::parse(value, now)),
    ) {
        (Some(modified), Some(date)) if is_read && modified <= date => Verdict::NotModified,
        _ => Verdict::Proceed,
    }
}

/// Whether Range applies as far as If-Range says (RFC 9110 13.1.5); it does when there is none.
///
/// If-Range is evaluated last, and only for a request that has a Range (13.2.2).
pub(crate) fn range_applies(request: &Request<'_>, validator: &Validator<'_>, now: i64) -> bool {
    let value = match request.if_range() {
        None => return true,
        Some(None) => return false,
        Some(Some(value)) => value,
    };
    if let [b'"', ..] | [b'W', b'/', ..] = value {
        // A single tag, compared strongly.
        return value == validator.etag;
    }
    // The date must be equal, and be a strong validator, which RFC 9110 8.8.2.2 makes it if the
    // client had a response whose Date is at least one second later. The client is the one who
    // knows, and must not send a date that isn't strong; when that second isn't over, it can't be.
    date::parse(value, now).is_some_and(|date| Some(date) == validator.last_modified && date < now)
}

/// Whether `etag` is matched by the list of `lines`, `*` included.
fn matches(lines: Lines<'_>, etag: &[u8], weakly: bool) -> bool {
    // One of several lines is an element of a list (RFC 9110 5.3), in which `*` is no tag.
    let is_list = lines.is_repeated();
    for line in lines {
        if line == b"*" && !is_list {
            return true;
        }
        if Tags::new(line).any(|(weak, tag)| tag == etag && (weakly || !weak)) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::request::parse;
    use super::super::request::Limits;
    use super::*;

    #[test]
    fn a_date_is_strong_one_second_later() {
        let octets = b"GET / HTTP/1.0\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
        let (request, _) = parse(octets, &Limits::default()).unwrap().unwrap();
        let validator = Validator {
            etag: b"\"a\"",
            last_modified: Some(784_111_777),
        };
        assert!(!range_applies(&request, &validator, 784_111_776));
        assert!(!range_applies(&request, &validator, 784_111_777));
        assert!(range_applies(&request, &validator, 784_111_778));
    }
}
