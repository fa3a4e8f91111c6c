// SPDX-License-Identifier: GPL-2.0

//! The request target (RFC 9112 3.2): its four forms, and from its path to the name of a file.
//!
//! A path becomes a name in one pass over its segments: each is percent-decoded, then `.` and `..`
//! are resolved, so that `%2e%2e` is the `..` that it is equivalent to (RFC 3986 6.2.2.2). Empty
//! segments are dropped, as a path lookup in the kernel drops them: otherwise `//` and `/..`
//! together would mean one thing here and another there. `..` above the root is refused although
//! RFC 3986 5.2.4 would ignore it: nobody asks for that who means well. An encoded slash is not a
//! separator (RFC 3986 2.2), and since it can't be part of a file name either, what it names does
//! not exist. All other octets, backslashes and controls among them, are octets of file names like
//! any other.

use super::bad_request::BadRequest;
use super::request::Method;
use super::scan;
use super::token;
use super::writer::Writer;

/// Which form a target has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A path, perhaps with a query (RFC 9112 3.2.1).
    Origin,
    /// An `http` URI (RFC 9112 3.2.2).
    Absolute,
    /// Host and port, for CONNECT (RFC 9112 3.2.3).
    Authority,
    /// `*`, for OPTIONS (RFC 9112 3.2.4).
    Asterisk,
}

/// A request target, split but not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// The form.
    pub(crate) form: Form,
    /// The target as it was received.
    pub(crate) raw: &'a [u8],
    /// The authority, in absolute form and in authority form.
    pub(crate) authority: Option<&'a [u8]>,
    /// The path, beginning with `/`; empty in authority form and in asterisk form.
    pub(crate) path: &'a [u8],
    /// What follows the first `?`.
    pub(crate) query: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// A target of which nothing is read yet.
    pub(super) const EMPTY: Self = Self {
        form: Form::Origin,
        raw: b"",
        authority: None,
        path: b"",
        query: None,
    };

    /// Reads `raw`, the target of a request with `method`, which holds only octets that
    /// [`scan::target_len`] accepts. Its first `?` is at `path_len`, or that is its length.
    #[inline]
    pub(super) fn parse(
        &mut self,
        raw: &'a [u8],
        path_len: usize,
        method: Method<'_>,
    ) -> Result<(), BadRequest> {
        match raw {
            [b'/', ..] if method != Method::Connect => self.set_origin(raw, path_len),
            _ => *self = Self::parse_other(raw, method)?,
        }
        Ok(())
    }

    /// Makes an empty target one in origin form: `raw`, whose first `?` is at `path_len`, or that
    /// is its length.
    #[inline(always)]
    pub(super) fn set_origin(&mut self, raw: &'a [u8], path_len: usize) {
        self.raw = raw;
        self.path = raw;
        if let Some((path, [b'?', query @ ..])) = raw.split_at_checked(path_len) {
            self.path = path;
            self.query = Some(query);
        }
    }

    /// Splits a target in another form than the origin form.
    #[inline(never)]
    fn parse_other(raw: &'a [u8], method: Method<'_>) -> Result<Self, BadRequest> {
        match (raw, method) {
            (_, Method::Connect) => Self::parse_authority(raw),
            (b"*", Method::Options) => Ok(Self {
                form: Form::Asterisk,
                raw,
                ..Self::EMPTY
            }),
            _ => Self::parse_absolute(raw),
        }
    }

    /// Splits a target in authority form.
    fn parse_authority(raw: &'a [u8]) -> Result<Self, BadRequest> {
        match authority_port(raw) {
            // RFC 9110 9.3.6: a CONNECT target without a port is invalid.
            Some(Some(port)) if !port.is_empty() => Ok(Self {
                form: Form::Authority,
                raw,
                authority: Some(raw),
                path: b"",
                query: None,
            }),
            Some(_) => Err(BadRequest::TargetForm),
            None if scan::find(raw, b'/').is_some() => Err(BadRequest::TargetForm),
            None => Err(BadRequest::InvalidAuthority),
        }
    }

    /// Splits a target in absolute form.
    fn parse_absolute(raw: &'a [u8]) -> Result<Self, BadRequest> {
        let Some(colon) = scan::find(raw, b':') else {
            return Err(BadRequest::TargetForm);
        };
        let Some((scheme, rest)) = raw.split_at_checked(colon) else {
            return Err(BadRequest::TargetForm);
        };
        let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
            && scheme
                .iter()
                .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.'));
        let Some(rest) = rest.strip_prefix(b"://").filter(|_| is_scheme) else {
            return Err(BadRequest::TargetForm);
        };
        if scheme.eq_ignore_ascii_case(b"https") {
            return Err(BadRequest::Unsecured);
        }
        if !scheme.eq_ignore_ascii_case(b"http") {
            return Err(BadRequest::UnknownScheme);
        }
        let end = rest
            .iter()
            .position(|octet| matches!(octet, b'/' | b'?'))
            .unwrap_or(rest.len());
        let Some((authority, rest)) = rest.split_at_checked(end) else {
            return Err(BadRequest::TargetForm);
        };
        if !is_authority(authority) {
            return Err(BadRequest::InvalidAuthority);
        }
        let (path, query) = split_query(rest);
        Ok(Self {
            form: Form::Absolute,
            raw,
            authority: Some(authority),
            // RFC 9110 4.2.3: an empty path is equivalent to "/".
            path: if path.is_empty() { b"/" } else { path },
            query,
        })
    }
}

/// Splits at the first `?`.
#[inline]
fn split_query(octets: &[u8]) -> (&[u8], Option<&[u8]>) {
    match scan::find(octets, b'?').and_then(|at| octets.split_at_checked(at)) {
        Some((path, query)) => (path, query.split_first().map(|(_, query)| query)),
        None => (octets, None),
    }
}

/// Whether `octets` are a host that is not empty, perhaps with a port, and nothing else.
#[inline(always)]
pub(super) fn is_authority(octets: &[u8]) -> bool {
    // As nearly all are written.
    let host = match octets {
        [host @ .., b':', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9'] => host,
        _ => octets,
    };
    scan::is_domain(host) || authority_port(octets).is_some()
}

/// The port of `host [ ":" port ]`: `None` if `octets` are not that, `Some(None)` without a colon.
#[inline(never)]
fn authority_port(octets: &[u8]) -> Option<Option<&[u8]>> {
    let rest = if let Some(literal) = octets.strip_prefix(b"[") {
        let end = literal.iter().position(|&octet| octet == b']')?;
        let (address, rest) = literal.split_at_checked(end)?;
        if !is_ip_literal(address) {
            return None;
        }
        rest.strip_prefix(b"]")?
    } else {
        let end = reg_name_len(octets)?;
        if end == 0 {
            // RFC 9110 4.2.1: an empty host is invalid in `http`.
            return None;
        }
        octets.get(end..)?
    };
    match rest {
        [] => Some(None),
        [b':', port @ ..] if port.iter().all(u8::is_ascii_digit) => Some(Some(port)),
        _ => None,
    }
}

/// The length of the `reg-name` that `octets` begin with (RFC 3986 3.2.2); an IPv4 address is one
/// too.
#[inline]
fn reg_name_len(octets: &[u8]) -> Option<usize> {
    let mut len = 0usize;
    loop {
        let rest = octets.get(len..)?;
        let Some(plain) = rest.iter().position(|&octet| !token::is_name(octet)) else {
            return Some(octets.len());
        };
        len = len.checked_add(plain)?;
        match octets.get(len..)? {
            [b'%', high, low, ..] => {
                token::hex(*high)?;
                token::hex(*low)?;
                len = len.checked_add(3)?;
            }
            [b'%', ..] => return None,
            _ => return Some(len),
        }
    }
}

/// Whether `octets` may stand between the brackets of an `IP-literal` (RFC 3986 3.2.2).
fn is_ip_literal(octets: &[u8]) -> bool {
    match octets {
        [b'v' | b'V', rest @ ..] => {
            let Some((version, address)) = rest
                .iter()
                .position(|&octet| octet == b'.')
                .and_then(|dot| rest.split_at_checked(dot))
            else {
                return false;
            };
            // The address still begins with its dot, so one octet more than that makes it whole.
            !version.is_empty()
                && version.iter().all(u8::is_ascii_hexdigit)
                && address.len() > 1
                && address
                    .iter()
                    .all(|&octet| token::is_name(octet) || octet == b':')
        }
        _ => is_ipv6(octets),
    }
}

/// Whether `octets` are an `IPv6address` (RFC 3986 3.2.2).
fn is_ipv6(octets: &[u8]) -> bool {
    /// How many 16-bit groups there are between single colons; `None` if one of them is no group.
    fn groups(octets: &[u8], last: bool) -> Option<usize> {
        if octets.is_empty() {
            return Some(0);
        }
        let mut count = 0usize;
        let mut groups = octets.split(|&octet| octet == b':').peekable();
        while let Some(group) = groups.next() {
            let width = if (1..=4).contains(&group.len()) && group.iter().all(u8::is_ascii_hexdigit)
            {
                1
            } else if last && groups.peek().is_none() && is_ipv4(group) {
                2
            } else {
                return None;
            };
            count = count.checked_add(width)?;
        }
        Some(count)
    }

    let gap = octets.windows(2).position(|pair| pair == b"::");
    match gap.and_then(|gap| octets.split_at_checked(gap)) {
        Some((before, after)) => {
            let after = after.strip_prefix(b"::").unwrap_or(after);
            match (groups(before, false), groups(after, true)) {
                // The gap stands for one group at least.
                (Some(before), Some(after)) => before.saturating_add(after) <= 7,
                _ => false,
            }
        }
        None => groups(octets, true) == Some(8),
    }
}

/// Whether `octets` are an `IPv4address` (RFC 3986 3.2.2).
fn is_ipv4(octets: &[u8]) -> bool {
    let mut count = 0u32;
    for part in octets.split(|&octet| octet == b'.') {
        if !matches!(
            part,
            [b'0'..=b'9']
                | [b'1'..=b'9', b'0'..=b'9']
                | [b'1', b'0'..=b'9', b'0'..=b'9']
                | [b'2', b'0'..=b'4', b'0'..=b'9']
                | [b'2', b'5', b'0'..=b'5']
        ) {
            return false;
        }
        count = count.saturating_add(1);
    }
    count == 4
}

/// A path that is decoded and normalized: what is looked up below the document root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path<'b> {
    /// The segments with one `/` between them, none before the first and none after the last.
    ///
    /// No segment is empty, `.` or `..`, or holds NUL. Empty if the path is the root.
    pub(crate) name: &'b [u8],
    /// Whether the path says that it is of a directory: it ends in `/`, `/.` or `/..`.
    pub(crate) is_directory: bool,
}

/// Decodes and normalizes `path` into `out`.
///
/// `path` is a [`Target::path`]: it begins with `/`, or is empty, and holds no NUL as it is.
/// `out` needs no more room than `path` has octets. What is refused does not make the framing of
/// the request unclear: the connection may go on.
pub(crate) fn normalize<'b>(path: &[u8], out: &'b mut [u8]) -> Result<Path<'b>, BadRequest> {
    let Some(path) = path.strip_prefix(b"/") else {
        return Err(BadRequest::TargetForm);
    };
    let mut len = 0usize;
    let mut is_directory = true;
    let mut rest = Some(path);
    while let Some(path) = rest {
        let segment = match scan::find(path, b'/').and_then(|at| path.split_at_checked(at)) {
            Some((segment, more)) => {
                rest = more.strip_prefix(b"/");
                segment
            }
            None => {
                rest = None;
                path
            }
        };
        is_directory = true;
        if segment.is_empty() {
            continue;
        }
        // A segment that is kept is put after a slash, unless it is the first.
        let start = if len == 0 { 0 } else { len.wrapping_add(1) };
        let room = out.get_mut(start..).ok_or(BadRequest::PathTooLong)?;
        let count = decode(segment, room)?;
        match room.get(..count) {
            Some(b".") => {}
            Some(b"..") => len = parent(out, len)?,
            _ => {
                if start != 0 {
                    *out.get_mut(len).ok_or(BadRequest::PathTooLong)? = b'/';
                }
                len = start.checked_add(count).ok_or(BadRequest::PathTooLong)?;
                is_directory = false;
            }
        }
    }
    let out: &'b [u8] = out;
    Ok(Path {
        name: out.get(..len).ok_or(BadRequest::PathTooLong)?,
        is_directory,
    })
}

/// Percent-decodes `segment` into `out`, and says how many octets it has there.
#[inline]
fn decode(segment: &[u8], out: &mut [u8]) -> Result<usize, BadRequest> {
    if scan::find(segment, b'%').is_none() {
        let out = out
            .get_mut(..segment.len())
            .ok_or(BadRequest::PathTooLong)?;
        for (to, from) in out.iter_mut().zip(segment) {
            *to = *from;
        }
        return Ok(segment.len());
    }
    let mut count = 0usize;
    let mut out = out.iter_mut();
    let mut rest = segment;
    while let Some((&octet, more)) = rest.split_first() {
        rest = more;
        let decoded = if octet == b'%' {
            let ([high, low], more) = more
                .split_first_chunk::<2>()
                .ok_or(BadRequest::InvalidPercent)?;
            rest = more;
            let high = token::hex(*high).ok_or(BadRequest::InvalidPercent)?;
            let low = token::hex(*low).ok_or(BadRequest::InvalidPercent)?;
            match (high << 4) | low {
                0 => return Err(BadRequest::EncodedNul),
                b'/' => return Err(BadRequest::EncodedSlash),
                octet => octet,
            }
        } else {
            octet
        };
        *out.next().ok_or(BadRequest::PathTooLong)? = decoded;
        count = count.wrapping_add(1);
    }
    Ok(count)
}

/// The length of what remains of the first `len` octets of `out` without their last segment.
fn parent(out: &[u8], len: usize) -> Result<usize, BadRequest> {
    match out.get(..len) {
        None | Some([]) => Err(BadRequest::AboveRoot),
        Some(name) => Ok(name.iter().rposition(|&octet| octet == b'/').unwrap_or(0)),
    }
}

/// Writes `path` as an origin-form reference for Location (RFC 9110 10.2.2), with its query.
///
/// `name` is a [`Path::name`]. The reference begins with exactly one `/`: two would make it a
/// reference to another host (RFC 3986 4.2).
pub(super) fn write_reference(
    out: &mut Writer<'_>,
    name: &[u8],
    is_directory: bool,
    query: Option<&[u8]>,
) {
    if name.first() == Some(&b'/') {
        return out.fail();
    }
    out.put(b"/");
    for &octet in name {
        if token::is_path(octet) {
            out.put(&[octet]);
        } else {
            out.percent(octet);
        }
    }
    if is_directory && !name.is_empty() {
        out.put(b"/");
    }
    if let Some(query) = query {
        out.put(b"?");
        for &octet in query {
            if token::is_query(octet) {
                out.put(&[octet]);
            } else {
                out.percent(octet);
            }
        }
    }
}

/// How many octets [`write_reference`] writes.
pub(crate) fn reference_len(name: &[u8], is_directory: bool, query: Option<&[u8]>) -> usize {
    let octets = |all: &[u8], is_kept: fn(u8) -> bool| {
        let lens = all.iter().map(|octet| if is_kept(*octet) { 1 } else { 3 });
        lens.fold(0usize, usize::wrapping_add)
    };
    let path = octets(name, token::is_path).wrapping_add(1);
    let slash = usize::from(is_directory && !name.is_empty());
    let query = query.map_or(0, |query| octets(query, token::is_query).wrapping_add(1));
    path.wrapping_add(slash).wrapping_add(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_hosts_are_read_as_any_authority_is() {
        for host in [
            "www.example.com",
            "www.example.com:8080",
            "127.0.0.1:8080",
            "a-host:80:8080",
        ] {
            for place in 0..host.len() {
                for octet in 0..=255 {
                    let mut other = host.as_bytes().to_vec();
                    other[place] = octet;
                    let is_authority = is_authority(&other);
                    assert_eq!(is_authority, authority_port(&other).is_some());
                }
            }
        }
    }

    /// The reference to a path, as it is written.
    fn reference(name: &[u8], is_directory: bool, query: Option<&[u8]>) -> std::vec::Vec<u8> {
        let mut octets = [0; 100];
        let mut out = Writer::new(&mut octets);
        write_reference(&mut out, name, is_directory, query);
        let len = out.finish().unwrap_or(0);
        if len != 0 {
            assert_eq!(len, reference_len(name, is_directory, query));
        }
        octets[..len].to_vec()
    }

    #[test]
    fn references_are_encoded() {
        assert_eq!(reference(b"", true, None), b"/");
        assert_eq!(reference(b"a/b", true, None), b"/a/b/");
        assert_eq!(reference(b"a", false, Some(b"q=/?%41")), b"/a?q=/?%41");
        assert_eq!(
            reference(b"a b?#%\\\"<", false, None),
            b"/a%20b%3F%23%25%5C%22%3C"
        );
        assert_eq!(
            reference(b"a\r\nSet-Cookie: x", true, None),
            b"/a%0D%0ASet-Cookie:%20x/"
        );
        assert_eq!(
            reference(b"\xc3\xa9", true, Some(b"\"<>^`{|}\\")),
            b"/%C3%A9/?%22%3C%3E%5E%60%7B%7C%7D%5C"
        );
        assert_eq!(reference(b"a:b@c;d=e", true, Some(b"")), b"/a:b@c;d=e/?");
    }

    #[test]
    fn a_reference_never_names_another_host() {
        assert_eq!(reference(b"/evil.example", true, None), b"");
        let mut out = [0; 100];
        let path = normalize(b"//evil.example/%2e%2e//evil.example", &mut out).unwrap();
        assert_eq!(reference(path.name, true, None), b"/evil.example/");
    }

    #[test]
    fn the_end_of_a_path_says_whether_it_is_a_directory() {
        for (path, name, is_directory) in [
            (&b"/"[..], &b""[..], true),
            (b"/a", b"a", false),
            (b"/a/", b"a", true),
            (b"/a/..", b"", true),
            (b"/a/../b", b"b", false),
            (b"/a/./", b"a", true),
        ] {
            let mut out = [0; 100];
            assert_eq!(normalize(path, &mut out), Ok(Path { name, is_directory }));
        }
    }

    #[test]
    fn a_path_without_a_slash_is_refused() {
        assert_eq!(normalize(b"", &mut [0; 9]), Err(BadRequest::TargetForm));
        assert_eq!(normalize(b"a", &mut [0; 9]), Err(BadRequest::TargetForm));
    }

    #[test]
    fn a_path_that_does_not_fit_is_refused() {
        assert!(normalize(b"/", &mut []).is_ok());
        assert!(normalize(b"/abc", &mut [0; 3]).is_ok());
        assert_eq!(
            normalize(b"/abc", &mut [0; 2]),
            Err(BadRequest::PathTooLong)
        );
        assert_eq!(
            normalize(b"/a%62c", &mut [0; 2]),
            Err(BadRequest::PathTooLong)
        );
        assert_eq!(
            normalize(b"/a/b", &mut [0; 2]),
            Err(BadRequest::PathTooLong)
        );
    }
}
