// SPDX-License-Identifier: GPL-2.0

//! Fields that an administrator adds to each response.
//!
//! They are configured as a text of lines, `Name: value`, and are checked once; what is checked is
//! copied into heads as it is. A field that the server governs itself is refused: a second one, or
//! one that is not true, would make messages ambiguous (RFC 9112 6), or mislead caches and clients.

use super::scan;
use super::token;
use super::writer::Writer;

/// The length of the longest lines, as they are written.
pub(crate) const LEN: usize = 2048;

/// The fields that can't be added, in lower case.
const GOVERNED: &[&[u8]] = &[
    // How the message is framed, and what becomes of the connection (RFC 9112 6, 9; RFC 9110 7.6,
    // 7.8, 6.6.2).
    b"connection",
    b"content-length",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    // What the content is (RFC 9110 8, 14).
    b"accept-ranges",
    b"content-encoding",
    b"content-location",
    b"content-range",
    b"content-type",
    b"etag",
    b"last-modified",
    // What this response is about (RFC 9110 6.6.1, 10.2, 11; RFC 9111 5).
    b"age",
    b"allow",
    b"cache-control",
    b"date",
    b"expires",
    b"location",
    b"proxy-authenticate",
    b"retry-after",
    b"server",
    b"vary",
    b"www-authenticate",
    b"x-content-type-options",
];

/// Why lines can't be added to responses; with each the number of the line, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadField {
    /// There is no colon behind a field name (RFC 9110 5.1), or white space before it.
    Name(u32),
    /// The value has an octet that no field value may have (RFC 9110 5.5).
    Value(u32),
    /// The server governs the field itself.
    Governed(u32),
    /// All lines up to this one are longer than [`LEN`], or than the room for them.
    TooLong(u32),
}

/// Writes the field lines of `text` into `out`, each with its CRLF, as
/// [`Head::lines`](super::response::Head::lines) takes them; says how many octets they have.
///
/// Lines of `text` end in LF or CRLF. Those that are empty, or white space, are passed over. A
/// value may be empty.
pub(crate) fn write(text: &[u8], out: &mut [u8]) -> Result<usize, BadField> {
    let room = out.len().min(LEN);
    let mut out = Writer::new(out.get_mut(..room).unwrap_or_default());
    let mut number = 0u32;
    for line in text.split(|&octet| octet == b'\n') {
        number = number.saturating_add(1);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if token::trim(line).is_empty() {
            continue;
        }
        let (name, rest) = line
            .split_at_checked(scan::token_len(line))
            .unwrap_or_default();
        let value = match rest.strip_prefix(b":") {
            Some(value) if !name.is_empty() => token::trim(value),
            _ => return Err(BadField::Name(number)),
        };
        if scan::field_len(value) != value.len() {
            return Err(BadField::Value(number));
        }
        if is_governed(name) {
            return Err(BadField::Governed(number));
        }
        out.put(name);
        out.put(b": ");
        out.put(value);
        out.put(b"\r\n");
        if out.has_failed() {
            return Err(BadField::TooLong(number));
        }
    }
    Ok(out.len())
}

/// Whether the server itself says when there is a field called `name`, and what its value is.
fn is_governed(name: &[u8]) -> bool {
    GOVERNED
        .iter()
        .any(|governed| name.eq_ignore_ascii_case(governed))
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::String;
    use std::string::ToString;

    use super::*;

    /// What is written for `text`.
    fn written(text: &[u8]) -> Result<String, BadField> {
        let mut out = [0; 3000];
        let len = write(text, &mut out)?;
        Ok(out[..len].escape_ascii().to_string())
    }

    #[test]
    fn lines_are_written_with_their_ends() {
        for (text, lines) in [
            ("", ""),
            ("\n \t\r\n\r\n", ""),
            ("X-A: b", "X-A: b\\r\\n"),
            (
                "X-A:b\nx-c: \td  e\t \r\n\nX-F:",
                "X-A: b\\r\\nx-c: d  e\\r\\nX-F: \\r\\n",
            ),
            ("X: a\nX: b", "X: a\\r\\nX: b\\r\\n"),
            ("X: a:b: c", "X: a:b: c\\r\\n"),
            (
                "Strict-Transport-Security: max-age=63072000; preload\n\
                 Content-Security-Policy: default-src 'self'\n\
                 Access-Control-Allow-Origin: *\nLink: </a.css>; rel=preload",
                "Strict-Transport-Security: max-age=63072000; preload\\r\\n\
                 Content-Security-Policy: default-src \\'self\\'\\r\\n\
                 Access-Control-Allow-Origin: *\\r\\nLink: </a.css>; rel=preload\\r\\n",
            ),
        ] {
            assert_eq!(written(text.as_bytes()).as_deref(), Ok(lines), "{text:?}");
        }
        assert_eq!(written(b"X: \xff").as_deref(), Ok("X: \\xff\\r\\n"));
    }

    #[test]
    fn what_is_not_a_field_line_is_refused() {
        use BadField::Name;
        use BadField::Value;
        for (text, bad) in [
            (&b"X"[..], Name(1)),
            (b": a", Name(1)),
            (b"X Y: a", Name(1)),
            (b"X : a", Name(1)),
            (b" X: a", Name(1)),
            (b"X: a\n\tfolded", Name(2)),
            (b"X\xe9: a", Name(1)),
            (b"\xef\xbb\xbfX: a", Name(1)),
            (b"\"X\": a", Name(1)),
            (b"X: a\r\n\r\nX: b\n<html>\n", Name(4)),
            (b"X: a\rY: b", Value(1)),
            (b"X: a\r\r\n", Value(1)),
            (b"X: a\n\nY: b\0", Value(3)),
            (b"X: \x7f", Value(1)),
            (b"X: \x1b[0m", Value(1)),
        ] {
            assert_eq!(written(text), Err(bad), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn what_the_server_governs_is_refused() {
        for name in GOVERNED {
            assert_eq!(*name, name.to_ascii_lowercase());
            let text = [b"X: a\n", *name, b": a"].concat();
            assert_eq!(written(&text), Err(BadField::Governed(2)));
            assert_eq!(
                written(&text.to_ascii_uppercase()),
                Err(BadField::Governed(2))
            );
            // Only that name.
            assert!(written(&[b"X-", *name, b": a"].concat()).is_ok());
        }
        assert!(written(b"Dates: a\nTEA: b").is_ok());
    }

    #[test]
    fn lines_that_do_not_fit_are_refused() {
        let text = format!("X: a\nX: {}", "b".repeat(LEN - 6 - 5));
        assert_eq!(
            written(text.as_bytes()).map(|lines| lines.len()),
            Ok(LEN + 4)
        );
        assert_eq!(
            written(format!("{text}b").as_bytes()),
            Err(BadField::TooLong(2))
        );
        assert_eq!(write(b"X: a", &mut [0; 6]), Ok(6));
        assert_eq!(write(b"X: a", &mut [0; 5]), Err(BadField::TooLong(1)));
        assert_eq!(write(b"", &mut []), Ok(0));
    }
}
