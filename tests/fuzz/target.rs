// SPDX-License-Identifier: GPL-2.0

//! The request target, from its octets to the name of a file.
//!
//! The octets are a target. What is split gives the whole when it is put together; its path is
//! normalized, by a model too; and what is written for Location leads to the same name.

use std::vec;
use std::vec::Vec;

use crate::common::hash;
use crate::http::bad_request::BadRequest;
use crate::http::request;
use crate::http::request::Limits;
use crate::http::response::Head;
use crate::http::target;
use crate::http::target::Form;

/// Checks `octets`.
pub fn run(octets: &[u8]) {
    for method in [&b"GET"[..], b"OPTIONS", b"CONNECT"] {
        split(method, octets);
    }
    // No target that was read holds NUL.
    if !octets.contains(&0) {
        normalize(octets);
    }
}

/// What a target is split into is all of it.
fn split(method: &[u8], octets: &[u8]) {
    let head = [method, b" ", octets, b" HTTP/1.0\r\n\r\n"].concat();
    let Ok(Some((request, len))) = request::parse(&head, &Limits::default()) else {
        return;
    };
    let target = request.target;
    if len != head.len() || target.raw != octets {
        // The octets had more in them than a target.
        return;
    }
    let query = target.query.map_or(vec![], |query| [b"?", query].concat());
    match target.form {
        Form::Origin => assert_eq!([target.path, &query].concat(), octets),
        Form::Absolute => {
            let authority = target.authority.unwrap();
            let rest = octets.splitn(2, |o| *o == b':').nth(1).unwrap();
            let rest = rest.strip_prefix(b"//").unwrap();
            let rest = rest.strip_prefix(authority).unwrap();
            let path = if rest.starts_with(b"/") {
                target.path
            } else {
                b""
            };
            assert_eq!([path, &query].concat(), rest);
            assert!(target.path == path || target.path == b"/");
            assert!(!authority.iter().any(|o| b"/?#@".contains(o)));
        }
        Form::Authority => assert!(method == b"CONNECT" && target.authority == Some(octets)),
        Form::Asterisk => assert!(method == b"OPTIONS" && octets == b"*"),
    }
    assert!(!target.path.contains(&b'?'));
    normalize(target.path);
}

/// What a path is normalized to.
type Name = (Vec<u8>, bool);

/// A path is normalized as the model does it, and what it leads to stays below the root.
fn normalize(path: &[u8]) {
    let mut out = vec![0xaa; path.len()];
    let found = target::normalize(path, &mut out).map(|p| (p.name.to_vec(), p.is_directory));
    assert_eq!(found, model(path), "{}", path.escape_ascii());

    let mut narrow = vec![0; hash(path) % (path.len() + 1)];
    match target::normalize(path, &mut narrow) {
        Err(BadRequest::PathTooLong) => {}
        Err(bad) => assert_eq!(found, Err(bad)),
        Ok(path) => assert_eq!(found, Ok((path.name.to_vec(), path.is_directory))),
    }
    let Ok((name, is_directory)) = found else {
        return;
    };
    for segment in name.split(|o| *o == b'/') {
        assert!(!matches!(segment, b"." | b"..") && !segment.contains(&0));
        assert!(!segment.is_empty() || name.is_empty());
    }
    assert!(is_directory || !name.is_empty());

    // Percent-encoded in full, in part or not at all, it is the same again.
    let mut octets = vec![0; 3 * (name.len() + path.len()) + 40];
    let mut head = Head::part(&mut octets);
    head.location(&name, is_directory, Some(path));
    let len = head.finish_part().unwrap();
    let line = octets[..len].strip_suffix(b"\r\n").unwrap_or(&[]);
    let Some(reference) = line.strip_prefix(b"Location: ") else {
        panic!("{}", octets[..len].escape_ascii());
    };
    assert!(reference.iter().all(u8::is_ascii_graphic));
    assert!(reference.starts_with(b"/") && !reference.starts_with(b"//"));
    let again = reference.split(|o| *o == b'?').next().unwrap();
    assert_eq!(model(again), Ok((name.clone(), is_directory)));
    let full: Vec<u8> = name
        .iter()
        .flat_map(|octet| match octet {
            b'/' => vec![b'/'],
            _ => std::format!("%{octet:02x}").into_bytes(),
        })
        .collect();
    let full = [b"/", &full[..]].concat();
    let mut out = vec![0; full.len()];
    assert_eq!(target::normalize(&full, &mut out).unwrap().name, name);
}

/// Decodes all segments, then resolves the dots.
fn model(path: &[u8]) -> Result<Name, BadRequest> {
    let Some(path) = path.strip_prefix(b"/") else {
        return Err(BadRequest::TargetForm);
    };
    let mut names: Vec<Vec<u8>> = vec![];
    let mut is_directory = true;
    for segment in path.split(|o| *o == b'/') {
        let name = decode(segment)?;
        is_directory = matches!(&name[..], b"" | b"." | b"..");
        match &name[..] {
            b"" | b"." => {}
            b".." => drop(names.pop().ok_or(BadRequest::AboveRoot)?),
            _ => names.push(name),
        }
    }
    Ok((names.join(&b'/'), is_directory))
}

/// Decodes a segment.
fn decode(segment: &[u8]) -> Result<Vec<u8>, BadRequest> {
    let mut name = vec![];
    let mut parts = segment.split(|o| *o == b'%');
    name.extend(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| !digits.starts_with('+'));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            None => return Err(BadRequest::InvalidPercent),
            Some(0) => return Err(BadRequest::EncodedNul),
            Some(b'/') => return Err(BadRequest::EncodedSlash),
            Some(octet) => name.push(octet),
        }
        name.extend(&part[2..]);
    }
    Ok(name)
}
