// SPDX-License-Identifier: GPL-2.0

//! Field names, as far as they make a difference to the head of a request (RFC 9110 5.1).
//!
//! A field line nearly always begins with one of a few names, written in one way. [`usual`] reads
//! those: to compare them is to check them. Any other name is checked by its octets, and then told
//! apart by [`Name::of`].

use super::super::scan;

/// A field name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// One that the parser has no use for.
    Other,
    /// Accept-Encoding.
    AcceptEncoding,
    /// Connection.
    Connection,
    /// Content-Length.
    ContentLength,
    /// Expect.
    Expect,
    /// Host.
    Host,
    /// If-Match.
    IfMatch,
    /// If-Modified-Since.
    IfModifiedSince,
    /// If-None-Match.
    IfNoneMatch,
    /// If-Range.
    IfRange,
    /// If-Unmodified-Since.
    IfUnmodifiedSince,
    /// Range.
    Range,
    /// Transfer-Encoding.
    TransferEncoding,
    /// Upgrade.
    Upgrade,
}

impl Name {
    /// The name that is `token`, in either case.
    #[inline]
    pub(super) fn of(token: &[u8]) -> Self {
        match token.len() {
            4 if scan::is_named(token, b"Host") => Name::Host,
            5 if scan::is_named(token, b"Range") => Name::Range,
            6 if scan::is_named(token, b"Expect") => Name::Expect,
            7 if scan::is_named(token, b"Upgrade") => Name::Upgrade,
            8 if scan::is_named(token, b"If-Match") => Name::IfMatch,
            8 if scan::is_named(token, b"If-Range") => Name::IfRange,
            10 if scan::is_named(token, b"Connection") => Name::Connection,
            13 if scan::is_named(token, b"If-None-Match") => Name::IfNoneMatch,
            14 if scan::is_named(token, b"Content-Length") => Name::ContentLength,
            15 if scan::is_named(token, b"Accept-Encoding") => Name::AcceptEncoding,
            17 if scan::is_named(token, b"If-Modified-Since") => Name::IfModifiedSince,
            17 if scan::is_named(token, b"Transfer-Encoding") => Name::TransferEncoding,
            19 if scan::is_named(token, b"If-Unmodified-Since") => Name::IfUnmodifiedSince,
            _ => Name::Other,
        }
    }
}

/// Reads a field name and its colon, if it is a usual one, as it is usually written.
#[inline(always)]
pub(super) fn usual(octets: &[u8]) -> Option<(Name, &[u8])> {
    let is = |line: &'static [u8], name| octets.strip_prefix(line).map(|rest| (name, rest));
    // Which one it may be is decided by few octets, and then tried.
    match octets.first()? {
        b'H' => is(b"Host:", Name::Host),
        b'U' => match octets.get(1)? {
            b's' => is(b"User-Agent:", Name::Other),
            _ => long(octets, b"Upgrade-Insecure", b"-Requests:", Name::Other),
        },
        b'A' => match octets.get(7)? {
            b'E' => is(b"Accept-Encoding:", Name::AcceptEncoding),
            b'L' => is(b"Accept-Language:", Name::Other),
            _ => is(b"Accept:", Name::Other),
        },
        b'S' => {
            let (line, rest) = octets.split_first_chunk::<15>()?;
            let (start, end) = (line.first_chunk::<10>()?, line.get(10..14)?);
            (start == b"Sec-Fetch-"
                && (end == b"Site" || end == b"Mode" || end == b"Dest" || end == b"User")
                && line.ends_with(b":"))
            .then_some((Name::Other, rest))
        }
        b'C' => match octets.get(3)? {
            b'n' => is(b"Connection:", Name::Connection),
            b'k' => is(b"Cookie:", Name::Other),
            _ => is(b"Cache-Control:", Name::Other),
        },
        b'I' => match octets.get(3)? {
            b'N' => is(b"If-None-Match:", Name::IfNoneMatch),
            _ => long(octets, b"If-Modified-Sinc", b"e:", Name::IfModifiedSince),
        },
        b'R' => is(b"Referer:", Name::Other),
        b's' => match octets.get(10)? {
            b'm' => long(octets, b"sec-ch-ua-mobile", b":", Name::Other),
            b'p' => long(octets, b"sec-ch-ua-platfo", b"rm:", Name::Other),
            _ => is(b"sec-ch-ua:", Name::Other),
        },
        _ => None,
    }
}

/// Reads `start`, `end` of a field name and its colon; as one they would be compared by a call.
#[inline(always)]
fn long<'a>(
    octets: &'a [u8],
    start: &[u8; 16],
    end: &[u8],
    name: Name,
) -> Option<(Name, &'a [u8])> {
    let rest = octets.strip_prefix(start)?.strip_prefix(end)?;
    Some((name, rest))
}

#[cfg(test)]
mod tests {
    use super::super::super::token;
    use super::*;

    /// What [`usual`] is there for.
    const LINES: &[&[u8]] = &[
        b"Accept-Encoding: gzip, deflate",
        b"Accept-Language: en",
        b"Accept: */*",
        b"Cache-Control: no-cache",
        b"Connection: keep-alive",
        b"Cookie: a=b",
        b"Host: a",
        b"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
        b"If-None-Match: \"a\"",
        b"Referer: /",
        b"Sec-Fetch-Dest: document",
        b"Sec-Fetch-Mode: navigate",
        b"Sec-Fetch-Site: none",
        b"Sec-Fetch-User: ?1",
        b"sec-ch-ua: \"a\";v=\"1\"",
        b"sec-ch-ua-mobile: ?0",
        b"sec-ch-ua-platform: \"a\"",
        b"Upgrade-Insecure-Requests: 1",
        b"User-Agent: a",
    ];

    #[test]
    fn usual_names_are_read_as_any_name_is() {
        for line in LINES {
            let colon = line.iter().position(|octet| *octet == b':').unwrap();
            assert_eq!(
                usual(line),
                Some((Name::of(&line[..colon]), &line[colon + 1..]))
            );
            // With any octet changed to any other, and cut anywhere, it is the same or none.
            for place in 0..line.len() {
                for octet in 0..=255 {
                    let mut other = line.to_vec();
                    other[place] = octet;
                    check(&other);
                }
                check(&line[..place]);
            }
        }
    }

    /// Sees that if the name in `line` is a usual one, it is what it is taken for.
    fn check(line: &[u8]) {
        if let Some((name, rest)) = usual(line) {
            let token = line[..line.len() - rest.len()].strip_suffix(b":").unwrap();
            assert!(!token.is_empty() && token.iter().all(|octet| token::is_token(*octet)));
            assert_eq!(name, Name::of(token));
        }
    }
}
