// SPDX-License-Identifier: GPL-2.0

//! Runs the cases of `tests/corpus`; the format is described there, in `README`.

use std::format;
use std::fs;
use std::path::Path;
use std::string::String;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

use crate::http::bad_request::BadRequest;
use crate::http::content_coding::Accepted;
use crate::http::framing::Body;
use crate::http::framing::Drain;
use crate::http::listing::Format;
use crate::http::precondition;
use crate::http::precondition::Validator;
use crate::http::precondition::Verdict;
use crate::http::range;
use crate::http::range::ByteRange;
use crate::http::range::Selection;
use crate::http::request;
use crate::http::request::Expect;
use crate::http::request::Limits;
use crate::http::request::Request;
use crate::http::request::Version;
use crate::http::target;
use crate::http::target::Form;

/// A file to put preconditions against.
const VALIDATOR: Validator<'static> = Validator {
    etag: b"\"abc\"",
    last_modified: Some(784_111_777),
};

/// The time of day there: 1 January 2026.
const NOW: i64 = 1_767_225_600;

/// One case.
struct Case {
    /// Where it is, and what it is called.
    title: String,
    /// The octets.
    octets: Vec<u8>,
    /// What is expected, word for word.
    expected: Vec<String>,
}

/// The cases of a file.
fn cases(path: &Path) -> Vec<Case> {
    let text = fs::read_to_string(path).unwrap();
    let file = path.file_name().unwrap().to_str().unwrap();
    let mut cases: Vec<Case> = vec![];
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        let at = format!("{file}:{}: {line}", number + 1);
        if line.is_empty() {
            open = false;
        } else if line.starts_with('#') {
        } else if let Some(line) = line.strip_prefix('>') {
            let octets = unescape(line.strip_prefix(' ').unwrap_or(line), &at);
            cases
                .last_mut()
                .filter(|_| open)
                .expect(&at)
                .octets
                .extend(octets);
        } else if let Some(line) = line.strip_prefix('<') {
            let words = line.split_ascii_whitespace().map(str::to_string);
            cases
                .last_mut()
                .filter(|_| open)
                .expect(&at)
                .expected
                .extend(words);
        } else {
            assert!(!open, "{at}");
            assert!(line.contains('(') && line.ends_with(')'), "{at}");
            open = true;
            cases.push(Case {
                title: at,
                octets: vec![],
                expected: vec![],
            });
        }
    }
    for case in &cases {
        assert!(
            !case.octets.is_empty() && !case.expected.is_empty(),
            "{}",
            case.title
        );
    }
    cases
}

/// The octets of a line.
fn unescape(line: &str, at: &str) -> Vec<u8> {
    let mut octets = vec![];
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let (plain, more) = rest.split_at(c.len_utf8());
        rest = more;
        if c != '\\' {
            octets.extend_from_slice(plain.as_bytes());
            continue;
        }
        let Some(c) = rest.chars().next() else {
            return octets;
        };
        rest = &rest[1..];
        match c {
            'r' => octets.push(b'\r'),
            'n' => octets.push(b'\n'),
            't' => octets.push(b'\t'),
            '0' => octets.push(0),
            '\\' => octets.push(b'\\'),
            'x' => {
                octets.push(u8::from_str_radix(&rest[..2], 16).expect(at));
                rest = &rest[2..];
            }
            '{' => {
                let (what, more) = rest.split_once('}').expect(at);
                let (what, count) = what.rsplit_once('*').expect(at);
                for _ in 0..count.parse::<usize>().expect(at) {
                    octets.extend(unescape(&format!("{what}\\"), at));
                }
                rest = more;
            }
            _ => panic!("{at}"),
        }
    }
    octets.extend_from_slice(b"\r\n");
    octets
}

/// Octets as a word, with the escapes that cases are written in.
fn text(octets: &[u8]) -> String {
    let mut word = String::new();
    for &octet in octets {
        match octet {
            b'\\' => word.push_str("\\\\"),
            b'\r' => word.push_str("\\r"),
            b'\n' => word.push_str("\\n"),
            0x21..=0x7e => word.push(char::from(octet)),
            _ => word.push_str(&format!("\\x{octet:02x}")),
        }
    }
    word
}

/// A refusal as text.
fn refusal(bad: BadRequest, separator: &str) -> String {
    format!("{}{separator}{}", bad.status().code(), bad.name())
}

/// What is the case of a request for `key`.
fn fact(request: &Request<'_>, rest: &[u8], key: &str) -> String {
    let optional = |octets: Option<&[u8]>| octets.map_or("-".to_string(), text);
    match key {
        "method" => text(request.method.name()),
        "form" => match request.target.form {
            Form::Origin => "origin",
            Form::Absolute => "absolute",
            Form::Authority => "authority",
            Form::Asterisk => "asterisk",
        }
        .to_string(),
        "path" => text(request.target.path),
        "query" => optional(request.target.query),
        "host" => optional(request.host()),
        "version" => match request.version {
            Version::Http10 => "1.0",
            Version::Http11 => "1.1",
        }
        .to_string(),
        "body" => match request.body {
            Body::None => "none".to_string(),
            Body::Length(length) => length.to_string(),
            Body::Chunked => "chunked".to_string(),
        },
        "persistent" => if request.is_persistent { "yes" } else { "no" }.to_string(),
        "expect" => match request.expect {
            Expect::Nothing => "nothing",
            Expect::Continue => "continue",
            Expect::Unknown => "unknown",
        }
        .to_string(),
        "upgrade" => if request.upgrade { "yes" } else { "no" }.to_string(),
        "fields" => request.fields().count().to_string(),
        "rest" => rest.len().to_string(),
        "drain" => drain(request.body, rest),
        "name" => {
            let mut out = vec![0; request.target.path.len()];
            match target::normalize(request.target.path, &mut out) {
                Ok(path) if path.is_directory => text(path.name) + "/",
                Ok(path) => text(path.name),
                Err(bad) => refusal(bad, "/"),
            }
        }
        "verdict" => verdict(request, &VALIDATOR),
        "listing_verdict" => verdict(request, &Validator::NONE),
        "range" => if precondition::range_applies(request, &VALIDATOR, NOW) {
            "yes"
        } else {
            "no"
        }
        .to_string(),
        "tags" => {
            let lines: Vec<String> = request
                .if_none_match()
                .into_iter()
                .flatten()
                .map(text)
                .collect();
            lines.join(";")
        }
        "codings" => {
            let accepted = Accepted::new(request.accept_encoding());
            let names: Vec<&str> = accepted.into_iter().map(|coding| coding.name()).collect();
            names.join(",")
        }
        "listing" => match Format::preferred(request) {
            Format::Html => "html",
            Format::Json => "json",
        }
        .to_string(),
        _ => match key.strip_prefix("ranges/").map(str::parse) {
            Some(Ok(length)) => ranges(request, length),
            _ => panic!("no such fact: {key}"),
        },
    }
}

/// What the preconditions of a request lead to.
fn verdict(request: &Request<'_>, validator: &Validator<'_>) -> String {
    match precondition::evaluate(request, validator, NOW) {
        Verdict::Proceed => "proceed",
        Verdict::NotModified => "not_modified",
        Verdict::Failed => "failed",
    }
    .to_string()
}

/// What a request selects of a file of `length` octets.
fn ranges(request: &Request<'_>, length: u64) -> String {
    let one = |range: &ByteRange| format!("{}-{}", range.first, range.last());
    let selection = range::of(request, &VALIDATOR, NOW)
        .map_or(Selection::Whole, |value| range::select(value, length));
    match selection {
        Selection::Whole => "whole".to_string(),
        Selection::One(range) => one(&range),
        Selection::Many(ranges) => {
            let ranges: Vec<String> = ranges.as_slice().iter().map(one).collect();
            ranges.join(",")
        }
        Selection::Unsatisfiable => "unsatisfiable".to_string(),
    }
}

/// What passing over a body leads to, however its octets are cut.
fn drain(body: Body, octets: &[u8]) -> String {
    let run = |pieces: &[&[u8]]| {
        let mut drain = Drain::new(body);
        let mut consumed = 0;
        for piece in pieces {
            match drain.consume(piece) {
                Err(bad) => return refusal(bad, "/"),
                Ok(progress) => consumed += progress.consumed,
            }
            if drain.is_done() {
                break;
            }
            assert!(drain.at_least() > 0);
        }
        let state = if drain.is_done() { "done" } else { "partial" };
        format!("{state},{}", octets.len() - consumed)
    };
    let whole = run(&[octets]);
    for at in 0..=octets.len() {
        let (left, right) = octets.split_at(at);
        assert_eq!(run(&[left, right]), whole, "cut at {at}");
    }
    let single: Vec<&[u8]> = octets.chunks(1).collect();
    assert_eq!(run(&single), whole, "octet by octet");
    whole
}

/// What is wrong with the outcome of a case.
fn check(case: &Case) -> Result<(), String> {
    let limits = Limits::default();
    let octets = &case.octets[..];
    let whole = request::parse(octets, &limits);
    match &whole {
        Err(bad) => {
            let outcome = refusal(*bad, " ");
            if outcome != case.expected.join(" ") {
                return Err(outcome);
            }
        }
        Ok(None) => {
            if case.expected != ["partial"] {
                return Err("partial".to_string());
            }
        }
        Ok(Some((request, len))) => {
            for expected in &case.expected {
                let Some((key, _)) = expected.split_once('=') else {
                    return Err(format!("a request, {request:?}"));
                };
                let outcome = format!("{key}={}", fact(request, &octets[*len..], key));
                if outcome != *expected {
                    return Err(outcome);
                }
            }
        }
    }
    // Cut, it is partial or as it is whole; and once refused, it stays so.
    let end = match &whole {
        Ok(Some((_, len))) => *len,
        _ => octets.len(),
    };
    let mut refused = false;
    for at in 0..end {
        match (request::parse(&octets[..at], &limits), &whole) {
            (Ok(None), _) if !refused => {}
            (Err(cut), Err(bad)) if cut == *bad => refused = true,
            (cut, _) => return Err(format!("cut at {at}: {cut:?}")),
        }
        if matches!(whole, Ok(Some(_))) && !request::has_new_line(&octets[..end], at) {
            return Err(format!("cut at {at}: no new line before the end"));
        }
    }
    Ok(())
}

#[test]
fn every_case_of_the_corpus_is_as_expected() {
    // The tests run where they were compiled, so the path of this file holds.
    let tests = Path::new(file!()).ancestors().nth(2).unwrap();
    let folder = tests.join("corpus");
    let mut total = 0;
    let mut failures: Vec<String> = vec![];
    let mut titles: Vec<String> = vec![];
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    paths.sort();
    for path in paths
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
    {
        for case in cases(path) {
            total += 1;
            if let Err(outcome) = check(&case) {
                failures.push(format!("{}\n    got {outcome}", case.title));
            }
            let (place, name) = case.title.split_once(": ").unwrap();
            let (file, _) = place.split_once(':').unwrap();
            titles.push(format!("{file}: {name}"));
        }
    }
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
    assert!(total >= 520, "only {total} cases");
    titles.sort();
    for pair in titles.windows(2) {
        assert_ne!(pair[0], pair[1], "two cases of one name");
    }
}

#[test]
fn an_octet_that_may_not_be_there_is_refused_wherever_it_is() {
    let head = b"GET http://a.b:80/c.d?e=%66 HTTP/1.1\r\nHost: a.b\r\nX-Yz:  v w\t\r\n\
        Content-Length: 10\r\nIf-None-Match: \"g\", W/\"h\"\r\n\r\n";
    let limits = Limits::default();
    assert!(matches!(request::parse(head, &limits), Ok(Some(_))));
    // Whether an octet before this place is one of a field value.
    let mut is_value = false;
    let request_line = line_end(head);
    for at in 0..head.len() {
        for octet in (0..=0x1f).chain(0x7f..=0xff) {
            let mut inserted = head.to_vec();
            inserted.insert(at, octet);
            let mut replaced = head.to_vec();
            replaced[at] = octet;
            for (what, octets) in [("before", inserted), ("in place of", replaced)] {
                // HTAB and obs-text may be there, if the CR still is.
                let is_allowed = is_value
                    && (octet == b'\t' || octet >= 0x80)
                    && octets
                        .windows(2)
                        .all(|pair| pair[0] == b'\r' || pair[1] != b'\n');
                if !octets.starts_with(head) && !is_allowed {
                    let outcome = request::parse(&octets, &limits);
                    assert!(outcome.is_err(), "{octet:#x} {what} {at}: {outcome:?}");
                }
            }
        }
        match head[at] {
            b':' if at > request_line => is_value = true,
            b'\r' => is_value = false,
            _ => {}
        }
    }
}

/// Where the first line of `octets` ends.
fn line_end(octets: &[u8]) -> usize {
    octets.windows(2).position(|pair| pair == b"\r\n").unwrap()
}
