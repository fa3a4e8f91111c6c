// SPDX-License-Identifier: GPL-2.0

//! Host and port, as Host has them.
//!
//! The octets are the value of Host. What is an address is what std takes for one.

use std::net::Ipv6Addr;

use crate::common::is_field;
use crate::common::trim;
use crate::http::bad_request::BadRequest;
use crate::http::request;
use crate::http::request::Limits;

/// Checks `octets`.
pub fn run(octets: &[u8]) {
    if octets.len() > 4000 || !octets.iter().copied().all(is_field) {
        return;
    }
    let value = trim(octets);
    let head = [b"GET / HTTP/1.1\r\nHost:", octets, b"\r\n\r\n"].concat();
    match request::parse(&head, &Limits::default()) {
        Ok(Some((request, _))) => {
            assert_eq!(request.host(), Some(value));
            assert!(
                value.is_empty() || port(value).is_some(),
                "{}",
                value.escape_ascii()
            );
        }
        outcome => {
            assert_eq!(outcome.err(), Some(BadRequest::InvalidHost));
            assert!(
                !value.is_empty() && port(value).is_none(),
                "{}",
                value.escape_ascii()
            );
        }
    }

    // The same in the two forms of target that have one.
    let is_valid = port(value).is_some();
    let has_port = port(value).flatten().is_some_and(|port| !port.is_empty());
    let accepts = |head: &[u8]| match request::parse(head, &Limits::default()) {
        Ok(Some((request, _))) => request.target.authority == Some(value),
        _ => false,
    };
    let absolute = [b"GET http://", value, b" HTTP/1.0\r\n\r\n"].concat();
    let connect = [b"CONNECT ", value, b" HTTP/1.0\r\n\r\n"].concat();
    assert_eq!(accepts(&absolute), is_valid);
    assert_eq!(accepts(&connect), has_port);
}

/// The port, `Some(None)` if there is none; `None` if `value` is not `uri-host [ ":" port ]`.
fn port(value: &[u8]) -> Option<Option<&str>> {
    let value = std::str::from_utf8(value).ok()?;
    let (is_host, rest) = match value.strip_prefix('[') {
        Some(rest) => {
            let (literal, rest) = rest.split_once(']')?;
            (
                is_future(literal) || literal.parse::<Ipv6Addr>().is_ok(),
                rest,
            )
        }
        None => {
            let end = value.find(':').unwrap_or(value.len());
            let (name, rest) = value.split_at(end);
            (is_name(name), rest)
        }
    };
    if !is_host {
        return None;
    }
    match rest.strip_prefix(':') {
        None => Some(None).filter(|_| rest.is_empty()),
        Some(port) => Some(Some(port)).filter(|_| port.bytes().all(|o| o.is_ascii_digit())),
    }
}

/// Whether `name` is a `reg-name` that is not empty (RFC 3986 3.2.2).
fn is_name(name: &str) -> bool {
    let mut parts = name.split('%');
    let is_plain = |part: &str| {
        let is_mark = |o: u8| b"-._~!$&'()*+,;=".contains(&o);
        part.bytes()
            .all(|o| o.is_ascii_alphanumeric() || is_mark(o))
    };
    let is_hex = |part: &str| part.bytes().all(|o| o.is_ascii_hexdigit());
    !name.is_empty()
        && parts.next().is_some_and(is_plain)
        && parts.all(|part| part.get(..2).is_some_and(is_hex) && is_plain(&part[2..]))
}

/// Whether `literal` is an `IPvFuture` (RFC 3986 3.2.2).
fn is_future(literal: &str) -> bool {
    let Some((version, address)) = literal.split_once('.') else {
        return false;
    };
    let Some(version) = version.strip_prefix(['v', 'V']) else {
        return false;
    };
    !version.is_empty()
        && version.bytes().all(|o| o.is_ascii_hexdigit())
        && !address.contains('%')
        && is_name(&address.replace(':', "-"))
}
