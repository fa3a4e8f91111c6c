// SPDX-License-Identifier: GPL-2.0

//! Preconditions and lists of entity tags.
//!
//! The octets are the field lines of a request. A model evaluates RFC 9110 13.2.2 over them.

use std::vec::Vec;

use crate::common::is_inside;
use crate::http::date;
use crate::http::precondition;
use crate::http::precondition::Validator;
use crate::http::precondition::Verdict;
use crate::http::request;
use crate::http::request::Limits;
use crate::http::request::Request;

/// A file to put preconditions against.
const VALIDATOR: Validator<'static> = Validator {
    etag: b"\"a\"",
    last_modified: Some(TIME),
};

/// When it was modified.
const TIME: i64 = 784_111_777;

/// Checks `octets`.
pub fn run(octets: &[u8]) {
    for method in ["GET", "HEAD", "OPTIONS", "POST"] {
        let line = [method.as_bytes(), b" / HTTP/1.0\r\n"].concat();
        let head = [&line, octets, b"\r\n\r\n"].concat();
        let Ok(Some((request, len))) = request::parse(&head, &Limits::default()) else {
            continue;
        };
        for now in [TIME, 1_767_225_600] {
            let verdict = precondition::evaluate(&request, &VALIDATOR, now);
            assert_eq!(verdict, evaluate(&request, method, now));
            let verdict = precondition::evaluate(&request, &Validator::NONE, now);
            assert_eq!(verdict, evaluate_listing(&request, method));
            let range = precondition::range_applies(&request, &VALIDATOR, now);
            assert_eq!(range, range_applies(&request, now));
            // Either is decided by fields that are there.
            assert!(request.is_conditional() || verdict == Verdict::Proceed);
            assert!(request.if_range().is_some() || range);
        }
        for line in [request.if_match(), request.if_none_match()]
            .into_iter()
            .flatten()
            .flatten()
        {
            assert!(is_inside(line, &head[..len]));
        }
    }
}

/// The value of a field that has one line.
fn once<'a>(request: &Request<'a>, name: &'static [u8]) -> Option<&'a [u8]> {
    let values: Vec<_> = request.values(name).collect();
    match values[..] {
        [value] => Some(value),
        _ => None,
    }
}

/// RFC 9110 13.2.2, step by step.
fn evaluate(request: &Request<'_>, method: &str, now: i64) -> Verdict {
    let is_read = method == "GET" || method == "HEAD";
    let time = |name| once(request, name).and_then(|value| date::parse(value, now));
    if request.value(b"if-match").is_some() {
        if !matches(request, b"if-match", false) {
            return Verdict::Failed;
        }
    } else if let Some(time) = time(b"if-unmodified-since") {
        if TIME > time {
            return Verdict::Failed;
        }
    }
    if request.value(b"if-none-match").is_some() {
        if matches(request, b"if-none-match", true) {
            return if is_read {
                Verdict::NotModified
            } else {
                Verdict::Failed
            };
        }
    } else if let Some(time) = time(b"if-modified-since").filter(|_| is_read) {
        if TIME <= time {
            return Verdict::NotModified;
        }
    }
    Verdict::Proceed
}

/// The same for what has no validators.
fn evaluate_listing(request: &Request<'_>, method: &str) -> Verdict {
    let is_read = method == "GET" || method == "HEAD";
    if request.value(b"if-match").is_some() && !is_any(request, b"if-match") {
        Verdict::Failed
    } else if !is_any(request, b"if-none-match") {
        Verdict::Proceed
    } else if is_read {
        Verdict::NotModified
    } else {
        Verdict::Failed
    }
}

/// RFC 9110 13.1.5.
fn range_applies(request: &Request<'_>, now: i64) -> bool {
    if request.value(b"if-range").is_none() {
        return true;
    }
    let Some(value) = once(request, b"if-range") else {
        return false;
    };
    value == VALIDATOR.etag || (date::parse(value, now) == Some(TIME) && TIME < now)
}

/// Whether the field matches the file's tag: `*` alone, or a tag before whatever is none.
fn matches(request: &Request<'_>, name: &'static [u8], is_weak_enough: bool) -> bool {
    let mut lines = request.values(name);
    is_any(request, name) || lines.any(|line| matches_line(line, is_weak_enough))
}

/// Whether the field is `*`, which in one of several lines is an element of a list (RFC 9110 5.3).
fn is_any(request: &Request<'_>, name: &'static [u8]) -> bool {
    once(request, name) == Some(b"*")
}

/// Whether a line has the file's tag.
fn matches_line(line: &[u8], is_weak_enough: bool) -> bool {
    // Between quotes a comma is like any octet, so the quotes divide the line: what is at an odd
    // place is a tag, and what is before it must be commas, white space and perhaps W/.
    let parts: Vec<&[u8]> = line.split(|o| *o == b'"').collect();
    for (i, part) in parts.iter().enumerate().filter(|(i, _)| i % 2 == 1) {
        let before = parts[i - 1];
        let (before, is_weak) = match before.strip_suffix(b"W/") {
            Some(before) => (before, true),
            None => (before, false),
        };
        let is_between = before.iter().all(|o| b" \t,".contains(o));
        if !is_between || (i > 1 && !before.contains(&b',')) {
            return false;
        }
        let is_tag = part
            .iter()
            .all(|o| *o == 0x21 || (*o >= 0x23 && *o != 0x7f));
        // After it there is the end or a comma, which is seen with the next tag if there is one.
        let Some(after) = parts.get(i + 1) else {
            return false;
        };
        let after = after.iter().find(|o| !b" \t".contains(o));
        if !is_tag || !matches!(after, None | Some(b',')) {
            return false;
        }
        if after.is_none() && parts.len() > i + 2 {
            return false;
        }
        if *part == b"a" && (is_weak_enough || !is_weak) {
            return true;
        }
    }
    false
}
