// SPDX-License-Identifier: GPL-2.0

//! Media types (RFC 9110 8.3.1), from the extension of a file's name.
//!
//! There is a table built in, and there may be tables that are loaded when the server runs: in both
//! the extension is what follows the last dot of a name, and its case makes no difference.

pub(crate) mod entries;
mod table;

use core::cmp::Ordering;

use super::scan;

/// The media type of what is not known.
pub(crate) const UNKNOWN: &str = "application/octet-stream";

/// The charset of text, unless it is configured.
pub(crate) const CHARSET: &str = "utf-8";

/// The length of the longest extension, in any table.
pub(crate) const EXTENSION_LEN: usize = 64;

/// The length of the longest name of a charset (RFC 2978 2.3).
const CHARSET_LEN: usize = 40;

/// How many lines the built-in table has.
const COUNT: usize = {
    let mut count = 0usize;
    let mut rest = table::TEXT.as_bytes();
    while let [octet, more @ ..] = rest {
        if *octet == b'\n' {
            count = count.wrapping_add(1);
        }
        rest = more;
    }
    count
};

/// Where the lines of the built-in table begin.
static LINES: [u16; COUNT] = {
    let mut lines = [0; COUNT];
    let mut unset: &mut [u16] = &mut lines;
    let mut rest = table::TEXT.as_bytes();
    let mut at = 0u16;
    let mut is_start = true;
    while let [octet, more @ ..] = rest {
        if is_start {
            if let [line, lines @ ..] = unset {
                *line = at;
                unset = lines;
            } else {
                break;
            }
        }
        is_start = *octet == b'\n';
        // A table of 64 KiB wouldn't compile.
        at = match at.checked_add(1) {
            Some(at) => at,
            None => panic!("the table is too long"),
        };
        rest = more;
    }
    lines
};

/// The built-in media type of the file called `name`, which may have directories before it.
pub(crate) fn of(name: &[u8]) -> &'static str {
    extension(name).and_then(look_up).unwrap_or(UNKNOWN)
}

/// What follows the last dot of the last segment of `name`; `None` also if it is longer than any in
/// a table.
pub(crate) fn extension(name: &[u8]) -> Option<&[u8]> {
    let mut rest = name;
    while let Some((octet, before)) = rest.split_last() {
        match octet {
            b'.' => return name.get(rest.len()..),
            b'/' => return None,
            _ => rest = before,
        }
        if name.len().wrapping_sub(rest.len()) > EXTENSION_LEN {
            return None;
        }
    }
    None
}

/// The built-in media type of an extension.
pub(crate) fn look_up(extension: &[u8]) -> Option<&'static str> {
    // A binary search; that of `core` has overflow checks which the compiler can't prove away when
    // it is part of the kernel module.
    let mut lines = &LINES[..];
    loop {
        let (before, rest) = lines.split_at_checked(lines.len() / 2)?;
        let (line, behind) = rest.split_first()?;
        let line = table::TEXT.get(usize::from(*line)..)?;
        lines = match compare(extension, line.as_bytes()) {
            Ordering::Less => before,
            Ordering::Equal => {
                let line = line.get(extension.len().checked_add(1)?..)?;
                return line.get(..scan::find(line.as_bytes(), b'\n')?);
            }
            Ordering::Greater => behind,
        };
    }
}

/// Compares an extension, in lower case, to that of a line of the built-in table.
///
/// The space after that is less than any octet of an extension there, so that the order is that of
/// the lines.
fn compare(extension: &[u8], line: &[u8]) -> Ordering {
    let mut line = line.iter();
    for octet in extension {
        match octet.to_ascii_lowercase().cmp(line.next().unwrap_or(&b' ')) {
            Ordering::Equal => {}
            different => return different,
        }
    }
    match line.next() {
        Some(b' ') => Ordering::Equal,
        _ => Ordering::Less,
    }
}

/// Whether a charset is to be added to `media_type`: whether it is text and has no parameter yet.
///
/// Not for XML, which says by itself what its encoding is, and where a charset would overrule that
/// (RFC 7303 3.2); not for JSON, where it means nothing (RFC 8259 11).
pub(crate) fn takes_charset(media_type: &[u8]) -> bool {
    const PREFIX: &[u8] = b"text/";
    /// The other names of `text/javascript` (RFC 9239 6).
    const SCRIPTS: [&[u8]; 4] = [
        b"application/javascript",
        b"application/ecmascript",
        b"application/x-javascript",
        b"application/x-ecmascript",
    ];
    const XML: [&[u8]; 2] = [b"text/xml", b"text/xml-external-parsed-entity"];
    let is = |names: &[&[u8]]| {
        names
            .iter()
            .any(|name| media_type.eq_ignore_ascii_case(name))
    };
    let is_text = media_type
        .split_at_checked(PREFIX.len())
        .is_some_and(|(start, _)| start.eq_ignore_ascii_case(PREFIX));
    let is_xml = is(&XML)
        || media_type
            .last_chunk::<4>()
            .is_some_and(|end| end.eq_ignore_ascii_case(b"+xml"));
    ((is_text && !is_xml) || is(&SCRIPTS)) && scan::find(media_type, b';').is_none()
}

/// Whether content of `media_type` is compressed by itself, so that it is no use to have it in a
/// content coding.
pub(crate) fn is_compressed(media_type: &[u8]) -> bool {
    const KINDS: [&[u8]; 3] = [b"image/", b"audio/", b"video/"];
    const IMAGES: [&[u8]; 5] = [
        b"image/svg+xml",
        b"image/bmp",
        b"image/x-ms-bmp",
        b"image/vnd.microsoft.icon",
        b"image/x-icon",
    ];
    const OTHERS: [&[u8]; 9] = [
        b"font/woff",
        b"font/woff2",
        b"application/gzip",
        b"application/zip",
        b"application/zstd",
        b"application/x-7z-compressed",
        b"application/x-bzip2",
        b"application/x-xz",
        b"application/java-archive",
    ];
    let is = |names: &[&[u8]]| {
        names
            .iter()
            .any(|name| media_type.eq_ignore_ascii_case(name))
    };
    let is_kind = KINDS.iter().any(|kind| {
        media_type
            .split_at_checked(kind.len())
            .is_some_and(|(start, _)| start.eq_ignore_ascii_case(kind))
    });
    (is_kind && !is(&IMAGES)) || is(&OTHERS)
}

/// Whether `name` can be configured as a charset: whether it is a token (RFC 9110 8.3.2), and not
/// longer than the name of a charset may be.
pub(crate) fn is_charset(name: &[u8]) -> bool {
    !name.is_empty() && name.len() <= CHARSET_LEN && scan::token_len(name) == name.len()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::format;

    use super::entries::is_extension;
    use super::entries::is_media_type;
    use super::*;

    #[test]
    fn what_is_compressed_needs_no_coding() {
        for name in [
            "a.png", "a.JPG", "a.mp4", "a.ogg", "a.woff2", "a.gz", "a.zip", "a.webp",
        ] {
            assert!(is_compressed(of(name.as_bytes()).as_bytes()), "{name}");
        }
        for name in [
            "a.html", "a.svg", "a.ico", "a.bmp", "a.wasm", "a.json", "a.pdf", "a", "a.ttf",
        ] {
            assert!(!is_compressed(of(name.as_bytes()).as_bytes()), "{name}");
        }
    }

    #[test]
    fn the_table_is_sorted_and_in_lower_case() {
        assert!(table::TEXT.ends_with('\n'));
        let mut before = "";
        for line in table::TEXT.lines() {
            let (extension, media_type) = line.split_once(' ').unwrap();
            assert!(before < extension, "{extension}");
            assert_eq!(extension, extension.to_ascii_lowercase());
            assert!(is_extension(extension.as_bytes()), "{extension}");
            assert!(!extension.contains(['.', ' ']), "{extension}");
            assert!(is_media_type(media_type.as_bytes()), "{media_type}");
            assert!(!media_type.contains(';'), "{media_type}");
            before = extension;
        }
        assert_eq!(LINES.len(), table::TEXT.lines().count());
    }

    #[test]
    fn every_extension_is_found_in_either_case() {
        let all: BTreeSet<_> = table::TEXT
            .lines()
            .filter_map(|l| l.split(' ').next())
            .collect();
        for line in table::TEXT.lines() {
            let (extension, media_type) = line.split_once(' ').unwrap();
            let name = format!("a.b/c.{extension}");
            assert_eq!(of(name.as_bytes()), media_type);
            assert_eq!(of(name.to_ascii_uppercase().as_bytes()), media_type);
            // Nothing but an extension that is whole is found.
            for near in [&extension[1..], &extension[..extension.len() - 1]] {
                let known = all.contains(near);
                assert_eq!(look_up(near.as_bytes()).is_some(), known, "{near}");
            }
        }
    }

    #[test]
    fn what_has_no_known_extension_is_octets() {
        for name in [
            &b""[..],
            b"html",
            b"a.html/b",
            b"a.",
            b".",
            b"a.html.unknown",
            b"a.verylongextension",
            b"a.htm\0",
            b"a.htm ",
            b"a.html text",
            b"a.html text/html",
            b"a.\xff",
            b"a.php",
        ] {
            assert_eq!(of(name), UNKNOWN, "{}", name.escape_ascii());
        }
        assert_eq!(of(b".html"), "text/html");
        assert_eq!(of(b"a.tar.gz"), "application/gzip");
        let longest = [b".", &[b'a'; EXTENSION_LEN][..]].concat();
        assert_eq!(extension(&longest), Some(&longest[1..]));
        assert_eq!(extension(&[&longest[..], b"a"].concat()), None);
    }

    #[test]
    fn types_of_the_web_are_those_of_their_standards() {
        for (extension, media_type) in [
            ("avif", "image/avif"),
            ("css", "text/css"),
            ("html", "text/html"),
            ("ico", "image/vnd.microsoft.icon"),
            ("js", "text/javascript"),
            ("json", "application/json"),
            ("jxl", "image/jxl"),
            ("m3u8", "application/vnd.apple.mpegurl"),
            ("md", "text/markdown"),
            ("mjs", "text/javascript"),
            ("mp4", "video/mp4"),
            ("png", "image/png"),
            ("svg", "image/svg+xml"),
            ("ts", "video/mp2t"),
            ("txt", "text/plain"),
            ("vtt", "text/vtt"),
            ("wasm", "application/wasm"),
            ("webm", "video/webm"),
            ("webmanifest", "application/manifest+json"),
            ("webp", "image/webp"),
            ("woff", "font/woff"),
            ("woff2", "font/woff2"),
            ("xhtml", "application/xhtml+xml"),
            ("xml", "application/xml"),
            ("yaml", "application/yaml"),
        ] {
            assert_eq!(look_up(extension.as_bytes()), Some(media_type));
        }
    }

    #[test]
    fn text_without_a_parameter_takes_a_charset() {
        for media_type in [
            "text/html",
            "TEXT/Plain",
            "text/javascript",
            "application/javascript",
            "Application/X-JavaScript",
        ] {
            assert!(takes_charset(media_type.as_bytes()), "{media_type}");
        }
        for media_type in [
            "",
            "text",
            "text/html;charset=iso-8859-1",
            "text/html; charset=utf-8",
            "text/xml",
            "text/vnd.x+XML",
            "image/svg+xml",
            "application/xml",
            "application/json",
            "application/octet-stream",
            "application/javascript2",
            "image/png",
            "textual/html",
            "TUX/redirect",
        ] {
            assert!(!takes_charset(media_type.as_bytes()), "{media_type}");
        }
    }

    #[test]
    fn a_charset_is_a_token() {
        for name in ["utf-8", "ISO-8859-1", "x", "ISO_8859-2:1987"] {
            assert_eq!(is_charset(name.as_bytes()), !name.contains(':'));
        }
        assert!(is_charset(CHARSET.as_bytes()));
        for name in [
            &b""[..],
            b"utf 8",
            b"utf-8\r\nX: y",
            b"\"utf-8\"",
            b"a;b",
            b"\xff",
        ] {
            assert!(!is_charset(name));
        }
        assert!(is_charset(&[b'a'; CHARSET_LEN]));
        assert!(!is_charset(&[b'a'; CHARSET_LEN + 1]));
    }
}
