// SPDX-License-Identifier: GPL-2.0

//! The lines of a head, and the parts of its request line, one after the other (RFC 9112 2.1, 3,
//! 5).
//!
//! Each function takes what is not read yet, and returns what it read and what follows. The common
//! case comes first in each; what else it may be is worked out by a function of its own, which is
//! not inlined: its variables would take the registers that the common case needs.

use super::super::bad_request::BadRequest;
use super::super::scan;
use super::name;
use super::name::Name;
use super::Method;
use super::Request;
use super::Stop;
use super::Version;
use super::LEADING_EMPTY_LINES;
use super::METHOD_LEN;

/// Reads a request line into `request`, which is new, and returns what follows it, if it is nothing
/// but GET of a path in HTTP/1.1 or 1.0.
#[inline(always)]
pub(super) fn usual_start<'a>(
    octets: &'a [u8],
    limit: usize,
    request: &mut Request<'a>,
) -> Option<&'a [u8]> {
    let target = octets.strip_prefix(b"GET ")?;
    let path_len = scan::path_len(target);
    let len = match target.get(path_len..)? {
        query @ [b'?', ..] => path_len.wrapping_add(scan::target_len(query)),
        _ => path_len,
    };
    let (raw, rest) = target.split_at_checked(len)?;
    if raw.first() != Some(&b'/') || len > limit {
        return None;
    }
    let rest = match rest.strip_prefix(b" HTTP/1.1\r\n") {
        Some(rest) => rest,
        None => {
            request.version = Version::Http10;
            rest.strip_prefix(b" HTTP/1.0\r\n")?
        }
    };
    request.target.set_origin(raw, path_len);
    Some(rest)
}

/// Reads any request line, and empty lines before it, into `request`, and returns what follows.
#[inline(never)]
pub(super) fn start<'a>(
    octets: &'a [u8],
    limit: usize,
    request: &mut Request<'a>,
) -> Result<&'a [u8], Stop> {
    let rest = skip_empty(octets)?;
    let (method, rest) = method(rest)?;
    let (target, path_len, rest) = target(rest, limit)?;
    let (version, rest) = version(rest)?;
    request.method = method;
    request.target.parse(target, path_len, method)?;
    request.version = version;
    Ok(rest)
}

/// Skips the empty lines that may stand before a request line.
#[inline]
pub(super) fn skip_empty(octets: &[u8]) -> Result<&[u8], Stop> {
    let mut rest = octets;
    let mut count = 0usize;
    while let [b'\r' | b'\n', ..] = rest {
        if count == LEADING_EMPTY_LINES {
            return Err(BadRequest::EmptyLines.into());
        }
        rest = end(rest, BadRequest::BareCr)?;
        count = count.wrapping_add(1);
    }
    Ok(rest)
}

/// Reads a method and the SP after it.
#[inline]
fn method(octets: &[u8]) -> Result<(Method<'_>, &[u8]), Stop> {
    let len = scan::token_len(octets);
    if len > METHOD_LEN {
        return Err(BadRequest::MethodTooLong.into());
    }
    match octets.split_at_checked(len) {
        None | Some((_, [])) => Err(Stop::Partial),
        Some((token, [b' ', rest @ ..])) if !token.is_empty() => Ok((Method::of(token), rest)),
        Some(_) => Err(BadRequest::InvalidMethod.into()),
    }
}

/// Reads a request target and the SP after it; says also where the first `?` of the target is, or
/// else how long it is.
#[inline]
fn target(octets: &[u8], limit: usize) -> Result<(&[u8], usize, &[u8]), Stop> {
    let path_len = scan::path_len(octets);
    let mut len = path_len;
    if let Some(query @ [b'?', ..]) = octets.get(path_len..) {
        len = len.wrapping_add(scan::target_len(query));
    }
    if len > limit {
        return Err(BadRequest::TargetTooLong.into());
    }
    match octets.split_at_checked(len) {
        Some((target, [b' ', rest @ ..])) if !target.is_empty() => Ok((target, path_len, rest)),
        Some((target, rest)) => Err(no_target(target, rest)),
        None => Err(Stop::Partial),
    }
}

/// Why `target` is none when `rest` follows it.
#[cold]
fn no_target(target: &[u8], rest: &[u8]) -> Stop {
    Stop::Bad(match (target, rest) {
        (_, []) => return Stop::Partial,
        ([], _) => BadRequest::InvalidTarget,
        (_, [b'\r' | b'\n', ..]) => BadRequest::NoVersion,
        (_, [b'#', ..]) => BadRequest::Fragment,
        _ => BadRequest::InvalidTarget,
    })
}

/// Reads a version and the end of the request line.
#[inline]
fn version(octets: &[u8]) -> Result<(Version, &[u8]), Stop> {
    match octets.strip_prefix(b"HTTP/1.1\r\n") {
        Some(rest) => Ok((Version::Http11, rest)),
        None => other_version(octets),
    }
}

/// Reads a version that is not HTTP/1.1, or not whole, and the end of the request line.
#[cold]
fn other_version(octets: &[u8]) -> Result<(Version, &[u8]), Stop> {
    if let [b'\r' | b'\n', ..] = octets {
        return Err(BadRequest::NoVersion.into());
    }
    let mut rest = octets;
    for &expected in b"HTTP/" {
        match rest {
            [] => return Err(Stop::Partial),
            [octet, more @ ..] if *octet == expected => rest = more,
            _ => return Err(BadRequest::InvalidVersion.into()),
        }
    }
    let (major, minor, rest) = match rest {
        [major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9', rest @ ..] => (*major, *minor, rest),
        [] | [b'0'..=b'9'] | [b'0'..=b'9', b'.'] => return Err(Stop::Partial),
        _ => return Err(BadRequest::InvalidVersion.into()),
    };
    if major != b'1' {
        return Err(BadRequest::UnknownVersion.into());
    }
    let rest = end(rest, BadRequest::InvalidVersion)?;
    let version = match minor {
        b'0' => Version::Http10,
        _ => Version::Http11,
    };
    Ok((version, rest))
}

/// From so many octets on, usual names are tried before all others: most of them are compared then
/// without looking at how many octets there are.
const USUAL_LEN: usize = 11;

/// A field name, what follows its colon, and what follows the line; `Err` is what follows that part
/// of the value that was read.
type Field<'a> = (Name, &'a [u8], Result<&'a [u8], &'a [u8]>);

/// Reads a field line with a usual name, its value as far as it is plain.
#[inline(always)]
pub(super) fn usual_field(octets: &[u8]) -> Option<Field<'_>> {
    if octets.len() < USUAL_LEN {
        return None;
    }
    let (name, value) = name::usual(octets)?;
    Some((name, value, scan::skip_line(value)))
}

/// Reads any field line, its value as far as it is plain.
#[inline(always)]
pub(super) fn field(octets: &[u8]) -> Result<Field<'_>, Stop> {
    let (name, value) = field_name(octets)?;
    Ok((name, value, scan::skip_line(value)))
}

/// Reads any field name and its colon.
#[inline(never)]
fn field_name(octets: &[u8]) -> Result<(Name, &[u8]), Stop> {
    if octets.len() < USUAL_LEN {
        if let Some(usual) = name::usual(octets) {
            return Ok(usual);
        }
    }
    let (name, rest) = octets
        .split_at_checked(scan::token_len(octets))
        .ok_or(Stop::Partial)?;
    match rest {
        [b':', rest @ ..] if !name.is_empty() => Ok((Name::of(name), rest)),
        _ => Err(no_field(name, rest)),
    }
}

/// Reads what is left of a field value, and the end of its line.
#[inline(never)]
pub(super) fn end_of_value(octets: &[u8]) -> Result<&[u8], Stop> {
    let rest = octets.get(scan::field_len(octets)..).unwrap_or_default();
    end(rest, BadRequest::InvalidFieldValue)
}

/// Why neither a field line nor the empty line begins with `name` and then `rest`.
#[cold]
fn no_field(name: &[u8], rest: &[u8]) -> Stop {
    Stop::Bad(match (name, rest) {
        (_, []) | ([], [b'\r']) => return Stop::Partial,
        ([], [b'\r', ..]) => BadRequest::BareCr,
        ([], [b'\n', ..]) => BadRequest::BareLf,
        ([], [b' ' | b'\t', ..]) => BadRequest::ObsFold,
        ([], [b':', ..]) => BadRequest::EmptyFieldName,
        (_, [b' ' | b'\t', ..]) => BadRequest::SpaceBeforeColon,
        (_, [b'\r' | b'\n', ..]) => BadRequest::NoColon,
        _ => BadRequest::InvalidFieldName,
    })
}

/// Expects a CRLF, and returns what follows it; `other` is what an octet other than CR and LF
/// means.
#[inline(always)]
fn end(octets: &[u8], other: BadRequest) -> Result<&[u8], Stop> {
    match octets {
        [b'\r', b'\n', rest @ ..] => Ok(rest),
        _ => Err(no_end(octets, other)),
    }
}

/// Why `octets` do not begin with a CRLF.
#[cold]
fn no_end(octets: &[u8], other: BadRequest) -> Stop {
    match octets {
        [] | [b'\r'] => Stop::Partial,
        [b'\r', ..] => Stop::Bad(BadRequest::BareCr),
        [b'\n', ..] => Stop::Bad(BadRequest::BareLf),
        _ => Stop::Bad(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What [`usual_start`] is there for.
    const LINES: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\nHost: a",
        b"GET /a-path/file.html HTTP/1.0\r\n\r\n",
        b"GET /a?b=c&d HTTP/1.1\r\nHost: a",
        b"GET /a-longer-path?and-a-query HTTP/1.1\r\nHost: a",
    ];

    #[test]
    fn usual_request_lines_are_read_as_any_is() {
        for line in LINES {
            assert!(check(line, 100));
            // With any octet changed to any other, and cut anywhere, it is the same or none.
            for place in 0..line.len() {
                for octet in 0..=255 {
                    let mut other = line.to_vec();
                    other[place] = octet;
                    check(&other, 100);
                }
                check(&line[..place], 100);
            }
            for limit in 0..line.len() {
                check(line, limit);
            }
        }
    }

    /// Sees that if the request line of `octets` is a usual one, it is what it is taken for; says
    /// whether it is.
    fn check(octets: &[u8], limit: usize) -> bool {
        let (mut usual, mut any) = (Request::new(), Request::new());
        let Some(rest) = usual_start(octets, limit, &mut usual) else {
            return false;
        };
        assert_eq!(start(octets, limit, &mut any).ok(), Some(rest));
        assert_eq!(usual.method, any.method);
        assert_eq!(usual.target, any.target);
        assert_eq!(usual.version, any.version);
        true
    }
}
