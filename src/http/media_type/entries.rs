// SPDX-License-Identifier: GPL-2.0

//! Tables of media types that are loaded when the server runs.

use super::super::scan;
use super::super::token;
use super::EXTENSION_LEN;

/// The length of the longest media type: two names of 127 octets (RFC 6838 4.2), and as much for
/// parameters.
pub(crate) const TYPE_LEN: usize = 512;

/// A table in the syntax of `mime.types`: each line a media type, then the extensions that it has,
/// if any, all with white space between them. A word that begins with `#` begins a comment.
///
/// Yields each extension with its media type, in order; of several for one extension the last is
/// meant to count. A media type may have parameters, if there is no white space or quote in them.
/// `TUX/redirect` and the like are media types as any other. An extension with a dot in it is
/// yielded, and never looked up. After an error comes nothing.
///
/// The length of words is limited ([`TYPE_LEN`], [`EXTENSION_LEN`]); that of the table is the
/// caller's to limit.
#[derive(Clone, Debug)]
pub(crate) struct Entries<'a> {
    /// The lines that are not begun yet.
    lines: &'a [u8],
    /// What is not read yet of the current line.
    words: &'a [u8],
    /// The media type of the current line.
    media_type: &'a [u8],
    /// The number of the current line, from 1.
    number: u32,
}

/// A line of extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// The extension, in any case, without a dot before it.
    pub(crate) extension: &'a [u8],
    /// The media type.
    pub(crate) media_type: &'a [u8],
}

/// Why a table can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// The number of the line, from 1.
    pub(crate) number: u32,
    /// What is wrong.
    pub(crate) reason: BadWord,
}

/// What is wrong with a word of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadWord {
    /// The first is not a media type.
    MediaType,
    /// One is not an extension: it is too long, begins with a dot, or has a slash or a control
    /// octet.
    Extension,
}

impl<'a> Entries<'a> {
    /// The entries of a table.
    pub(crate) fn new(table: &'a [u8]) -> Self {
        Self {
            lines: table,
            words: b"",
            media_type: b"",
            number: 0,
        }
    }

    /// Ends the table with an error.
    fn fail(&mut self, reason: BadWord) -> BadLine {
        self.lines = b"";
        self.words = b"";
        BadLine {
            number: self.number,
            reason,
        }
    }

    /// The next word of the current line.
    fn word(&mut self) -> Option<&'a [u8]> {
        let words = token::trim(self.words);
        let is_end = words.is_empty() || words.starts_with(b"#");
        let len = words
            .iter()
            .position(|&octet| token::is_space(octet))
            .unwrap_or(words.len());
        let (word, rest) = words.split_at_checked(len)?;
        self.words = if is_end { b"" } else { rest };
        (!is_end).then_some(word)
    }

    /// Begins the next line.
    fn line(&mut self) {
        let end = scan::find(self.lines, b'\n').unwrap_or(self.lines.len());
        let (line, rest) = self.lines.split_at_checked(end).unwrap_or((b"", b""));
        self.lines = rest.strip_prefix(b"\n").unwrap_or(rest);
        self.words = line.strip_suffix(b"\r").unwrap_or(line);
        self.number = self.number.saturating_add(1);
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, BadLine>;

    fn next(&mut self) -> Option<Result<Entry<'a>, BadLine>> {
        loop {
            if let Some(extension) = self.word() {
                return Some(if is_extension(extension) {
                    Ok(Entry {
                        extension,
                        media_type: self.media_type,
                    })
                } else {
                    Err(self.fail(BadWord::Extension))
                });
            }
            if self.lines.is_empty() {
                return None;
            }
            self.line();
            if let Some(media_type) = self.word() {
                if !is_media_type(media_type) {
                    return Some(Err(self.fail(BadWord::MediaType)));
                }
                self.media_type = media_type;
            }
        }
    }
}

/// Whether `word` may be what follows a dot in the name of a file.
pub(super) fn is_extension(word: &[u8]) -> bool {
    word.len() <= EXTENSION_LEN
        && !word.starts_with(b".")
        && scan::field_len(word) == word.len()
        && scan::find(word, b'/').is_none()
}

/// Whether `word` is a `media-type` (RFC 9110 8.3.1) without white space or quotes.
pub(super) fn is_media_type(word: &[u8]) -> bool {
    let pair = |pair: &[u8], separator: u8| {
        let len = scan::token_len(pair);
        match pair.split_at_checked(len) {
            Some((name, [octet, value @ ..])) => {
                !name.is_empty()
                    && *octet == separator
                    && !value.is_empty()
                    && scan::token_len(value) == value.len()
            }
            _ => false,
        }
    };
    let mut parts = word.split(|&octet| octet == b';');
    word.len() <= TYPE_LEN
        && parts.next().is_some_and(|name| pair(name, b'/'))
        && parts.all(|parameter| pair(parameter, b'='))
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::vec;
    use std::vec::Vec;

    use super::*;

    /// The entries of a table as text, and the error that ends it.
    fn entries(table: &str) -> (Vec<(&str, &str)>, Option<(u32, BadWord)>) {
        let mut all = vec![];
        let mut entries = Entries::new(table.as_bytes());
        let text = |octets| core::str::from_utf8(octets).unwrap();
        for entry in entries.by_ref() {
            match entry {
                Ok(entry) => all.push((text(entry.extension), text(entry.media_type))),
                Err(bad) => {
                    assert_eq!(entries.next(), None);
                    return (all, Some((bad.number, bad.reason)));
                }
            }
        }
        assert_eq!(entries.next(), None);
        (all, None)
    }

    #[test]
    fn a_table_is_read() {
        let html = ("html", "text/html");
        let htm = ("htm", "text/html");
        for (table, expected) in [
            ("", &[][..]),
            ("\n\n", &[]),
            ("# text/html html", &[]),
            ("text/html", &[]),
            ("text/html html", &[html]),
            ("text/html html\n", &[html]),
            ("text/html html htm\r\n", &[html, htm]),
            ("  text/html\t \thtml  htm \t", &[html, htm]),
            ("text/html\nimage/png\ntext/html html", &[html]),
            ("\n\t\n \r\n#\n  # x\ntext/html html # htm\n\n", &[html]),
            ("text/html #html", &[]),
            ("text/html html\ntext/html htm", &[html, htm]),
            (
                "TUX/redirect pl php\n",
                &[("pl", "TUX/redirect"), ("php", "TUX/redirect")],
            ),
            (
                "TUX/CGI cgi\nTUX/module tux x",
                &[
                    ("cgi", "TUX/CGI"),
                    ("tux", "TUX/module"),
                    ("x", "TUX/module"),
                ],
            ),
            (
                "text/html;charset=iso-8859-1;a=b htm",
                &[("htm", "text/html;charset=iso-8859-1;a=b")],
            ),
            (
                "a/b tar.gz c++ ~ % \u{e9} C#",
                &[
                    ("tar.gz", "a/b"),
                    ("c++", "a/b"),
                    ("~", "a/b"),
                    ("%", "a/b"),
                    ("\u{e9}", "a/b"),
                    ("C#", "a/b"),
                ],
            ),
        ] {
            assert_eq!(entries(table), (expected.to_vec(), None), "{table:?}");
        }
    }

    #[test]
    fn a_table_that_is_wrong_is_refused_at_its_line() {
        use BadWord::Extension;
        use BadWord::MediaType;
        for (table, count, number, reason) in [
            ("html text/html", 0, 1, MediaType),
            ("html", 0, 1, MediaType),
            ("text/ html", 0, 1, MediaType),
            ("/html html", 0, 1, MediaType),
            ("text/html/x html", 0, 1, MediaType),
            ("text html", 0, 1, MediaType),
            ("text/html, html", 0, 1, MediaType),
            ("text/html; html", 0, 1, MediaType),
            ("text/html;charset html", 0, 1, MediaType),
            ("text/html;=utf-8 html", 0, 1, MediaType),
            ("text/html;charset=\"utf-8\" html", 0, 1, MediaType),
            ("text/h\u{e9} html", 0, 1, MediaType),
            ("text/html\0 html", 0, 1, MediaType),
            ("text/html html\n\n# x\nhtml\n", 1, 4, MediaType),
            ("text/html .html", 0, 1, Extension),
            ("text/html html\r\nimage/png png a/b\n", 2, 2, Extension),
            ("a/b text/html", 0, 1, Extension),
            ("a/b x\0", 0, 1, Extension),
            ("a/b x\r y\n", 0, 1, Extension),
            ("a/b x\x7f", 0, 1, Extension),
            ("a/b c\rtext/html html", 0, 1, Extension),
        ] {
            let (all, bad) = entries(table);
            assert_eq!(all.len(), count, "{table:?}");
            assert_eq!(bad, Some((number, reason)), "{table:?}");
        }
        for (name, value, is_read) in [
            (TYPE_LEN - 2, EXTENSION_LEN, true),
            (TYPE_LEN - 1, EXTENSION_LEN, false),
            (TYPE_LEN - 2, EXTENSION_LEN + 1, false),
        ] {
            let table = format!("a/{} {}", "b".repeat(name), "c".repeat(value));
            assert_eq!(entries(&table).1.is_none(), is_read);
        }
    }
}
