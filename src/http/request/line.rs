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
use super::Stop;
use super::Version;
use super::LEADING_EMPTY_LINES;
use super::METHOD_LEN;

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

/// Reads a method and the SP after it into `method`, which is GET.
#[inline]
pub(super) fn method<'a>(octets: &'a [u8], method: &mut Method<'a>) -> Result<&'a [u8], Stop> {
    match octets.strip_prefix(b"GET ") {
        Some(rest) => Ok(rest),
        None => other_method(octets, method),
    }
}

/// Reads a method that is not GET, or not whole, and the SP after it.
#[inline(never)]
fn other_method<'a>(octets: &'a [u8], method: &mut Method<'a>) -> Result<&'a [u8], Stop> {
    let len = scan::token_len(octets);
    if len > METHOD_LEN {
        return Err(BadRequest::MethodTooLong.into());
    }
    match octets.split_at_checked(len) {
        None | Some((_, [])) => Err(Stop::Partial),
        Some((token, [b' ', rest @ ..])) if !token.is_empty() => {
            *method = Method::of(token);
            Ok(rest)
        }
        Some(_) => Err(BadRequest::InvalidMethod.into()),
    }
}

/// Reads a request target and the SP after it; says also where the first `?` of the target is, or
/// else how long it is.
#[inline]
pub(super) fn target(octets: &[u8], limit: usize) -> Result<(&[u8], usize, &[u8]), Stop> {
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
pub(super) fn version(octets: &[u8]) -> Result<(Version, &[u8]), Stop> {
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

/// Reads a field name and its colon; `None` if the empty line is there instead.
#[inline(always)]
pub(super) fn field_name(octets: &[u8]) -> Result<Option<(Name, &[u8])>, Stop> {
    if let [b'\r', b'\n', ..] = octets {
        return Ok(None);
    }
    match name::usual(octets) {
        Some(usual) => Ok(Some(usual)),
        None => other_name(octets).map(Some),
    }
}

/// Reads any field name and its colon.
#[inline(never)]
fn other_name(octets: &[u8]) -> Result<(Name, &[u8]), Stop> {
    let Some((name, rest)) = octets.split_at_checked(scan::token_len(octets)) else {
        return Err(Stop::Partial);
    };
    match rest {
        [b':', rest @ ..] if !name.is_empty() => Ok((Name::of(name), rest)),
        _ => Err(no_field(name, rest)),
    }
}

/// Skips a field value, the white space around it, and the end of its line.
#[inline(always)]
pub(super) fn skip_value(octets: &[u8]) -> Result<&[u8], Stop> {
    match scan::skip_line(octets) {
        Some(rest) => Ok(rest),
        None => skip_other_value(octets),
    }
}

/// Skips any field value, the white space around it, and the end of its line.
#[inline(never)]
fn skip_other_value(octets: &[u8]) -> Result<&[u8], Stop> {
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
