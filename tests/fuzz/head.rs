// SPDX-License-Identifier: GPL-2.0

//! The head of a request.
//!
//! The octets are what a client sent. They are cut in places; read under limits that are soon
//! reached and under wide ones; written again from what was read of them; and read by a model.

use std::string::String;
use std::vec;
use std::vec::Vec;

use crate::common::hash;
use crate::common::is_field;
use crate::common::is_inside;
use crate::common::is_token;
use crate::common::trim;
use crate::http::bad_request::BadRequest;
use crate::http::framing::Body;
use crate::http::request;
use crate::http::request::Expect;
use crate::http::request::Limits;
use crate::http::request::Request;
use crate::http::request::Version;
use crate::http::target::Form;

/// Limits that are soon reached.
const TIGHT: Limits = Limits {
    head: 160,
    target: 32,
    fields: 6,
};

/// Checks `octets`.
pub fn run(octets: &[u8]) {
    let wide = Limits::default();
    for limits in [&TIGHT, &wide] {
        let whole = parse(octets, limits);
        pieces(octets, limits, &whole);
        if let Ok(Some((request, len))) = &whole {
            facts(octets, limits, request, *len);
            again(request);
        }
    }
    within(parse(octets, &TIGHT), parse(octets, &wide));
    if octets.len() < wide.head {
        same(parse(octets, &wide), model(octets), octets);
    }
}

/// What comes of reading.
type Outcome<'a> = Result<Option<(Request<'a>, usize)>, BadRequest>;

/// Reads, in a name that is short.
fn parse<'a>(octets: &'a [u8], limits: &Limits) -> Outcome<'a> {
    request::parse(octets, limits)
}

/// The length, or the refusal, of an outcome.
fn verdict(outcome: &Outcome<'_>) -> Result<Option<usize>, BadRequest> {
    match outcome {
        Ok(Some((_, len))) => Ok(Some(*len)),
        Ok(None) => Ok(None),
        Err(bad) => Err(*bad),
    }
}

/// Cut anywhere, a head is partial, or what it is whole; and what is decided stays so.
fn pieces(octets: &[u8], limits: &Limits, whole: &Outcome<'_>) {
    let whole = verdict(whole);
    let mut cuts = vec![];
    if octets.len() <= 24 {
        cuts.extend(0..octets.len());
    } else {
        let hash = hash(octets);
        cuts.extend((0..4).map(|i| (hash >> (i * 8)) % octets.len()));
    }
    if let Ok(Some(len)) = whole {
        cuts.extend([len - 1, len]);
    }
    for cut in cuts {
        let outcome = verdict(&parse(&octets[..cut], limits));
        match whole {
            Ok(Some(len)) if cut >= len => assert_eq!(outcome, whole),
            Ok(_) => assert_eq!(outcome, Ok(None)),
            Err(_) => assert!(outcome == Ok(None) || outcome == whole),
        }
        if let Ok(Some(len)) = whole {
            assert!(cut >= len || request::has_new_line(&octets[..len], cut));
        }
    }
}

/// What a request claims is true of its octets.
fn facts(octets: &[u8], limits: &Limits, request: &Request<'_>, len: usize) {
    let head = &octets[..len];
    assert!(len <= limits.head && head.ends_with(b"\r\n\r\n"));
    let target = &request.target;
    let mut parts = vec![target.raw];
    parts.extend(target.authority);
    parts.extend(target.query);
    parts.extend(request.host());
    if target.path != b"/" {
        parts.push(target.path);
    }
    let mut count = 0;
    for field in request.fields() {
        count += 1;
        assert!(!field.name.is_empty() && field.name.iter().copied().all(is_token));
        assert!(field.value.iter().copied().all(is_field));
        assert_eq!(trim(field.value), field.value);
        parts.extend([field.name, field.value]);
    }
    for part in parts {
        assert!(is_inside(part, head), "{}", part.escape_ascii());
    }
    assert!(count <= limits.fields && target.raw.len() <= limits.target);
    match target.form {
        Form::Origin | Form::Absolute => assert!(target.path.starts_with(b"/")),
        Form::Authority | Form::Asterisk => assert!(target.path.is_empty()),
    }

    // What is noted on the way is what would be found by looking for it.
    let values = |name| request.values(name).collect::<Vec<_>>();
    let lists = [
        (request.accept_encoding(), &b"Accept-Encoding"[..]),
        (request.if_match(), b"If-Match"),
        (request.if_none_match(), b"If-None-Match"),
    ];
    for (lines, name) in lists {
        let values = values(name);
        assert_eq!(lines.is_some(), !values.is_empty());
        assert!(lines.into_iter().flatten().eq(values));
    }
    let once = |name| Some(values(name)).filter(|v| v.len() == 1).map(|v| v[0]);
    assert_eq!(request.range(), once(b"Range"));
    assert_eq!(request.if_modified_since(), once(b"If-Modified-Since"));
    assert_eq!(request.if_unmodified_since(), once(b"If-Unmodified-Since"));
    assert_eq!(request.if_range().flatten(), once(b"If-Range"));
    assert_eq!(
        request.if_range().is_some(),
        request.value(b"If-Range").is_some()
    );
    assert_eq!(request.upgrade, request.value(b"Upgrade").is_some());
}

/// A request that is written from what was read, is read the same.
fn again(request: &Request<'_>) {
    let mut octets = vec![];
    let minor = match request.version {
        Version::Http10 => b'0',
        Version::Http11 => b'1',
    };
    octets.extend(request.method.name());
    octets.push(b' ');
    octets.extend(request.target.raw);
    octets.extend([b" HTTP/1.", &[minor][..], b"\r\n"].concat());
    for field in request.fields() {
        octets.extend([field.name, b":", field.value, b"\r\n"].concat());
    }
    octets.extend(b"\r\n");
    let Ok(Some((read, len))) = parse(&octets, &Limits::default()) else {
        panic!("not read again: {}", octets.escape_ascii());
    };
    assert_eq!(len, octets.len());
    assert_eq!(read.method, request.method);
    assert_eq!(read.target, request.target);
    assert_eq!(read.version, request.version);
    assert_eq!(read.body, request.body);
    assert_eq!(read.is_persistent, request.is_persistent);
    assert_eq!(read.expect, request.expect);
    assert_eq!(read.host(), request.host());
    assert!(read.fields().eq(request.fields()));
}

/// Narrow limits make no other request of the octets: they refuse, or change nothing.
fn within(tight: Outcome<'_>, wide: Outcome<'_>) {
    let limit = matches!(
        tight,
        Err(BadRequest::HeadTooLong | BadRequest::TargetTooLong | BadRequest::TooManyFields)
    );
    assert!(limit || verdict(&tight) == verdict(&wide));
}

/// What the model makes of a head: its length, what it begins with, and its framing.
struct Model {
    /// Octets.
    len: usize,
    /// The parts of the request line.
    line: Vec<Vec<u8>>,
    /// Names and values.
    fields: Vec<(String, Vec<u8>)>,
    /// The framing.
    body: Body,
    /// Whether the connection may persist.
    is_persistent: bool,
    /// What is expected.
    expect: Expect,
}

/// Reads a head that is whole and breaks no rule, or says `None`: in lines, each in one go.
fn model(octets: &[u8]) -> Option<Model> {
    let mut rest = octets;
    for _ in 0..4 {
        rest = rest.strip_prefix(b"\r\n").unwrap_or(rest);
    }
    let end = rest.windows(4).position(|four| four == b"\r\n\r\n")?;
    let len = octets.len() - rest.len() + end + 4;
    let mut lines: Vec<&[u8]> = vec![];
    let mut head = &rest[..end];
    while let Some(at) = head.windows(2).position(|two| two == b"\r\n") {
        lines.push(&head[..at]);
        head = &head[at + 2..];
    }
    lines.push(head);

    let line: Vec<Vec<u8>> = lines[0].split(|o| *o == b' ').map(<[u8]>::to_vec).collect();
    let [method, target, version] = &line[..] else {
        return None;
    };
    if !(1..=32).contains(&method.len()) || !method.iter().copied().all(is_token) {
        return None;
    }
    if target.is_empty() || target.len() > Limits::default().target {
        return None;
    }
    if !target.iter().all(|o| o.is_ascii_graphic() && *o != b'#') {
        return None;
    }
    let minor = version.strip_prefix(b"HTTP/1.")?;
    if minor.len() != 1 || !minor[0].is_ascii_digit() {
        return None;
    }
    let mut fields = vec![];
    for line in &lines[1..] {
        let colon = line.iter().position(|o| *o == b':')?;
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        if name.is_empty() || !name.iter().copied().all(is_token) {
            return None;
        }
        if !line[colon + 1..].iter().copied().all(is_field) {
            return None;
        }
        let name = String::from_utf8(name.to_ascii_lowercase()).unwrap();
        fields.push((name, value.to_vec()));
    }
    if fields.len() > Limits::default().fields {
        return None;
    }
    let all = |name: &str| -> Vec<Vec<u8>> {
        let named = fields.iter().filter(|field| field.0 == name);
        named.map(|field| field.1.clone()).collect()
    };
    let list = |name: &str| -> Vec<Vec<u8>> {
        let lines = all(name);
        let elements = lines.iter().flat_map(|line| line.split(|o| *o == b','));
        elements.map(|e| trim(e).to_ascii_lowercase()).collect()
    };
    let is_old = minor == b"0";
    match (all("host").len(), is_old) {
        (1, _) | (0, true) => {}
        _ => return None,
    }
    let lengths = all("content-length");
    let body = match (&lengths[..], &list("transfer-encoding")[..]) {
        ([], []) => Body::None,
        ([], [coding]) if coding == b"chunked" && !is_old => Body::Chunked,
        ([length], []) if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
            match std::str::from_utf8(length).unwrap().parse().ok()? {
                0 => Body::None,
                length => Body::Length(length),
            }
        }
        _ => return None,
    };
    let options = list("connection");
    let has = |option: &[u8]| options.iter().any(|o| o == option);
    let is_kept = !has(b"close") && method != b"CONNECT";
    let is_persistent = is_kept && (!is_old || has(b"keep-alive"));
    let mut expectations = list("expect");
    expectations.retain(|expectation| !expectation.is_empty());
    let expect = if expectations.iter().any(|e| e != b"100-continue") {
        Expect::Unknown
    } else if expectations.is_empty() || is_old {
        Expect::Nothing
    } else {
        Expect::Continue
    };
    Some(Model {
        len,
        line,
        fields,
        body,
        is_persistent,
        expect,
    })
}

/// The parser agrees with the model, save on the form of a target and of Host, which it doesn't
/// look at.
fn same(outcome: Outcome<'_>, model: Option<Model>, octets: &[u8]) {
    let (request, len) = match (outcome, &model) {
        (Ok(Some(request)), _) => request,
        (_, None) => return,
        (
            Err(
                BadRequest::TargetForm
                | BadRequest::UnknownScheme
                | BadRequest::Unsecured
                | BadRequest::InvalidAuthority
                | BadRequest::InvalidHost,
            ),
            _,
        ) => return,
        (outcome, _) => panic!("{:?} of {}", verdict(&outcome), octets.escape_ascii()),
    };
    let model = model.expect("the model refuses what the parser takes");
    assert_eq!(len, model.len);
    assert_eq!(request.method.name(), model.line[0]);
    assert_eq!(request.target.raw, model.line[1]);
    assert_eq!(
        request.version == Version::Http10,
        model.line[2] == b"HTTP/1.0"
    );
    assert_eq!(request.body, model.body);
    assert_eq!(request.is_persistent, model.is_persistent);
    assert_eq!(request.expect, model.expect);
    let fields = request.fields().map(|field| {
        let name = String::from_utf8(field.name.to_ascii_lowercase()).unwrap();
        (name, field.value.to_vec())
    });
    assert!(fields.eq(model.fields));
}
