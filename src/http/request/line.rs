// SPDX-License-Identifier: GPL-2.0

//! The lines of a head, and the parts of its request line, one after the other (RFC 9112 2.1, 3,
//! 5).
//!
//! Each function takes what is not read yet, and returns what it read and what follows. The common
//! case comes first in each; what else it may be is worked out when it is not that.

use super::super::bad_request::BadRequest;
use super::super::token;
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

/// Reads a method and the SP after it.
#[inline]
pub(super) fn method(octets: &[u8]) -> Result<(&[u8], &[u8]), Stop> {
    if let [b'G', b'E', b'T', b' ', rest @ ..] = octets {
        return Ok((b"GET", rest));
    }
    let len = token::token_len(octets);
    if len > METHOD_LEN {
        return Err(BadRequest::MethodTooLong.into());
    }
    match octets.split_at_checked(len) {
        None | Some((_, [])) => Err(Stop::Partial),
        Some((token, [b' ', rest @ ..])) if !token.is_empty() => Ok((token, rest)),
        Some(_) => Err(BadRequest::InvalidMethod.into()),
    }
}

/// Reads a request target and the SP after it.
#[inline]
pub(super) fn target(octets: &[u8], limit: usize) -> Result<(&[u8], &[u8]), Stop> {
    let len = token::target_len(octets);
    if len > limit {
        return Err(BadRequest::TargetTooLong.into());
    }
    match octets.split_at_checked(len) {
        None | Some((_, [])) => Err(Stop::Partial),
        Some(([], _)) => Err(BadRequest::InvalidTarget.into()),
        Some((target, [b' ', rest @ ..])) => Ok((target, rest)),
        Some((_, [b'\r' | b'\n', ..])) => Err(BadRequest::NoVersion.into()),
        Some((_, [b'#', ..])) => Err(BadRequest::Fragment.into()),
        Some(_) => Err(BadRequest::InvalidTarget.into()),
    }
}

/// Reads a version and the end of the request line.
#[inline]
pub(super) fn version(octets: &[u8]) -> Result<(Version, &[u8]), Stop> {
    if let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1', b'\r', b'\n', rest @ ..] = octets {
        return Ok((Version::Http11, rest));
    }
    other_version(octets)
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

/// A field line, and what follows it: name, value with the white space around it, rest.
type FieldLine<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Reads a field line; `None` if the empty line is there instead.
#[inline(always)]
pub(super) fn field(octets: &[u8]) -> Result<Option<FieldLine<'_>>, Stop> {
    let Some((name, rest)) = octets.split_at_checked(token::token_len(octets)) else {
        return Err(Stop::Partial);
    };
    let rest = match rest {
        [b':', rest @ ..] if !name.is_empty() => rest,
        [b'\r', b'\n', ..] if name.is_empty() => return Ok(None),
        _ => return Err(no_field(name, rest)),
    };
    let Some((value, rest)) = rest.split_at_checked(token::field_len(rest)) else {
        return Err(Stop::Partial);
    };
    let rest = end(rest, BadRequest::InvalidFieldValue)?;
    Ok(Some((name, value, rest)))
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
