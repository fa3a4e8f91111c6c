// SPDX-License-Identifier: GPL-2.0

//! Listings of directories, as HTML or as JSON.
//!
//! A listing is written in pieces: [`Listing::begin`], [`Listing::entry`] for each entry in the
//! order in which they are to be seen, [`Listing::end`]. Each goes into a [`Writer`] of the caller,
//! which may be another one each time; how much room a piece needs at most is known before.
//!
//! Names of files are octets, and may be anything but a slash:
//!
//! * A reference to one (`href`) is percent-encoded but for unreserved octets (RFC 3986 2.3), so it
//!   names the file exactly, whatever its octets are. It begins with `./`: a colon in the first
//!   segment would make what is before it a scheme (RFC 3986 4.2).
//! * As text it is UTF-8. What is not, is shown as U+FFFD, and so are control characters in HTML,
//!   where no document may have them. JSON escapes these (RFC 8259 7). A name is isolated from the
//!   direction of the text around it (`bdi`), so that it can't reorder what is not its own.
//!
//! The JSON is an object: `path`, `parent` unless it is the root, and `entries`, an array of
//! objects with `name`, `href`, `type` (`directory` or `file`), `size` in octets if it is a file,
//! and `modified` (RFC 3339). Behind these, `truncated` is true if entries are missing.

use super::accept;
use super::date;
use super::request::Request;
use super::scan;
use super::writer::Writer;

/// Before the path in the title.
const HTML_TITLE: &[u8] = b"<!DOCTYPE html>\n\
    <html lang=\"en\">\n\
    <head>\n\
    <meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
    <title>Index of ";

/// Between the path in the title and that in the heading.
const HTML_STYLE: &[u8] = b"</title>\n\
    <style>\n\
    :root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }\n\
    body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }\n\
    h1 { font-size: 1.4rem; overflow-wrap: anywhere }\n\
    table { width: 100%; border-collapse: collapse }\n\
    th, td { padding: .3rem .6rem; text-align: start; border-bottom: 1px solid #8884 }\n\
    td:first-child { overflow-wrap: anywhere }\n\
    th:nth-child(2), td:nth-child(2) { text-align: end }\n\
    td + td { white-space: nowrap; font-variant-numeric: tabular-nums; opacity: .75 }\n\
    tr:hover td { background: #8882 }\n\
    a { text-decoration: none }\n\
    a:hover { text-decoration: underline }\n\
    </style>\n\
    </head>\n\
    <body>\n\
    <h1>Index of <bdi>";

/// Behind the path in the heading.
const HTML_TABLE: &[u8] = b"</bdi></h1>\n\
    <table>\n\
    <thead><tr><th scope=\"col\">Name</th><th scope=\"col\">Size</th>\
    <th scope=\"col\">Modified</th></tr></thead>\n\
    <tbody>\n";

/// The entry of the parent directory.
const HTML_PARENT: &[u8] = b"<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n";

/// Behind the last entry.
const HTML_TABLE_END: &[u8] = b"</tbody>\n</table>\n";

/// What is said when entries are missing.
const HTML_TRUNCATED: &[u8] = b"<p>There are more entries than are shown.</p>\n";

/// The end of a document.
const HTML_END: &[u8] = b"</body>\n</html>\n";

/// Octets of an entry without its name, at most.
const ENTRY_LEN: usize = 192;

/// The most octets that an octet of a name becomes: an escape in text, and a triplet in a
/// reference.
const NAME_FACTOR: usize = 9;

/// 1 January of year 1, the earliest that an HTML document may have.
const FIRST: i64 = -62_135_596_800;

/// What a listing is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Html,
    /// For programs.
    Json,
}

impl Format {
    /// The format that the client prefers, as Accept says (RFC 9110 12.5.1). HTML, if it likes both
    /// equally, or none (15.5.7).
    pub(crate) fn preferred(request: &Request<'_>) -> Self {
        let liking = |format: Format| {
            accept::liking(request.values(b"Accept"), format.media_type().as_bytes())
        };
        if liking(Format::Json) > liking(Format::Html) {
            Format::Json
        } else {
            Format::Html
        }
    }

    /// The media type; of HTML, the charset is UTF-8.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Format::Html => "text/html",
            Format::Json => "application/json",
        }
    }
}

/// An entry of a directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// Its name, without a slash.
    pub(crate) name: &'a [u8],
    /// Whether it is a directory.
    pub(crate) is_directory: bool,
    /// Its size in octets, if it isn't.
    pub(crate) size: u64,
    /// When it was modified, in seconds.
    pub(crate) modified: i64,
}

/// Octets that the beginning needs at most, for a path of `len` octets.
pub(crate) const fn begin_bound(len: usize) -> usize {
    // Twice the path between slashes, each octet of which is an escape at most.
    len.saturating_add(1)
        .saturating_mul(2 * 6)
        .saturating_add(HTML_TITLE.len())
        .saturating_add(HTML_STYLE.len())
        .saturating_add(HTML_TABLE.len())
        .saturating_add(HTML_PARENT.len())
}

/// Octets that an entry needs at most whose name has `len` octets.
pub(crate) const fn entry_bound(len: usize) -> usize {
    len.saturating_mul(NAME_FACTOR).saturating_add(ENTRY_LEN)
}

/// Octets that the end needs at most.
pub(crate) const END_BOUND: usize = HTML_TABLE_END.len() + HTML_TRUNCATED.len() + HTML_END.len();

/// A listing that is being written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listing {
    /// What it is written in.
    format: Format,
    /// Whether an entry was written.
    has_entries: bool,
}

impl Listing {
    /// Begins the listing of the directory `path`, which is a
    /// [`Path::name`](super::target::Path::name): empty for the root.
    pub(crate) fn begin(format: Format, path: &[u8], out: &mut Writer<'_>) -> Self {
        let put_path = |out: &mut Writer<'_>| {
            out.put(b"/");
            if !path.is_empty() {
                text(format, path, out);
                out.put(b"/");
            }
        };
        match format {
            Format::Html => {
                out.put(HTML_TITLE);
                put_path(out);
                out.put(HTML_STYLE);
                put_path(out);
                out.put(HTML_TABLE);
                if !path.is_empty() {
                    out.put(HTML_PARENT);
                }
            }
            Format::Json => {
                out.put(b"{\"path\":\"");
                put_path(out);
                out.put(b"\",");
                if !path.is_empty() {
                    out.put(b"\"parent\":\"../\",");
                }
                out.put(b"\"entries\":[");
            }
        }
        Self {
            format,
            has_entries: false,
        }
    }

    /// Writes an entry. A name that none can have makes the writer fail.
    pub(crate) fn entry(&mut self, entry: &Entry<'_>, out: &mut Writer<'_>) {
        if matches!(entry.name, b"" | b"." | b"..") || scan::find(entry.name, b'/').is_some() {
            return out.fail();
        }
        let modified = date::timestamp(entry.modified.max(FIRST));
        match self.format {
            Format::Html => {
                out.put(b"<tr><td><a href=\"");
                reference(entry, out);
                out.put(b"\"><bdi>");
                text(self.format, entry.name, out);
                out.put(b"</bdi>");
                if entry.is_directory {
                    out.put(b"/");
                }
                out.put(b"</a></td><td>");
                if !entry.is_directory {
                    human(entry.size, out);
                }
                out.put(b"</td><td><time datetime=\"");
                out.put(&modified);
                out.put(b"\">");
                // To the minute.
                let (day, rest) = modified.split_at_checked(10).unwrap_or_default();
                out.put(day);
                out.put(b" ");
                out.put(rest.get(1..6).unwrap_or_default());
                out.put(b"</time></td></tr>\n");
            }
            Format::Json => {
                out.put(if self.has_entries { b",\n" } else { b"\n" });
                out.put(b"{\"name\":\"");
                text(self.format, entry.name, out);
                out.put(b"\",\"href\":\"");
                reference(entry, out);
                if entry.is_directory {
                    out.put(b"\",\"type\":\"directory\"");
                } else {
                    out.put(b"\",\"type\":\"file\",\"size\":");
                    out.decimal(entry.size);
                }
                out.put(b",\"modified\":\"");
                out.put(&modified);
                out.put(b"\"}");
            }
        }
        self.has_entries = true;
    }

    /// Ends the listing, and says if entries are missing.
    pub(crate) fn end(self, is_truncated: bool, out: &mut Writer<'_>) {
        match self.format {
            Format::Html => {
                out.put(HTML_TABLE_END);
                if is_truncated {
                    out.put(HTML_TRUNCATED);
                }
                out.put(HTML_END);
            }
            Format::Json if is_truncated => out.put(b"\n],\"truncated\":true}\n"),
            Format::Json => out.put(b"\n]}\n"),
        }
    }
}

/// Writes a reference to an entry, relative to its directory.
fn reference(entry: &Entry<'_>, out: &mut Writer<'_>) {
    out.put(b"./");
    for &octet in entry.name {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~') {
            out.put(&[octet]);
        } else {
            out.percent(octet);
        }
    }
    if entry.is_directory {
        out.put(b"/");
    }
}

/// Writes octets as text.
fn text(format: Format, octets: &[u8], out: &mut Writer<'_>) {
    const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();
    for chunk in octets.utf8_chunks() {
        for c in chunk.valid().chars() {
            match (format, c) {
                (Format::Html, '<') => out.put(b"&lt;"),
                (Format::Html, '>') => out.put(b"&gt;"),
                (Format::Html, '&') => out.put(b"&amp;"),
                (Format::Html, '"') => out.put(b"&quot;"),
                (Format::Html, '\0'..='\x1f' | '\x7f'..='\u{9f}') => out.put(REPLACEMENT),
                (Format::Json, '"') => out.put(b"\\\""),
                (Format::Json, '\\') => out.put(b"\\\\"),
                (Format::Json, '\0'..='\x0f') => {
                    out.put(b"\\u000");
                    out.hex(u64::from(c));
                }
                (Format::Json, '\x10'..='\x1f' | '\x7f'..='\u{9f}') => {
                    out.put(b"\\u00");
                    out.hex(u64::from(c));
                }
                _ => out.put(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.put(REPLACEMENT);
        }
    }
}

/// Writes a size for people: three digits or four, rounded down.
fn human(size: u64, out: &mut Writer<'_>) {
    const UNITS: [&[u8]; 6] = [b" KiB", b" MiB", b" GiB", b" TiB", b" PiB", b" EiB"];
    if size < 1024 {
        out.decimal(size);
        return out.put(b" B");
    }
    let mut size = size;
    for unit in UNITS {
        // Here it is 1024 at least, in the unit before this.
        let whole = size >> 10;
        if whole < 1024 {
            out.decimal(whole);
            if whole < 10 {
                out.put(b".");
                out.decimal((size & 1023).wrapping_mul(10) >> 10);
            }
            return out.put(unit);
        }
        size = whole;
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    use super::*;

    /// What one piece writes.
    fn written(write: impl FnOnce(&mut Writer<'_>)) -> Option<Vec<u8>> {
        let mut octets = vec![0; 100_000];
        let mut out = Writer::new(&mut octets);
        write(&mut out);
        let len = out.finish()?;
        octets.truncate(len);
        Some(octets)
    }

    /// An entry as it is written, the second of its listing.
    fn entry(format: Format, entry: &Entry<'_>) -> Option<String> {
        let mut listing = Listing {
            format,
            has_entries: true,
        };
        let octets = written(|out| listing.entry(entry, out))?;
        Some(String::from_utf8(octets).unwrap())
    }

    /// A whole listing.
    fn listing(format: Format, path: &[u8], entries: &[Entry<'_>]) -> String {
        let octets = written(|out| {
            let mut listing = Listing::begin(format, path, out);
            for entry in entries {
                listing.entry(entry, out);
            }
            listing.end(false, out);
        });
        String::from_utf8(octets.unwrap()).unwrap()
    }

    /// The example of all dates in the RFCs.
    const MODIFIED: i64 = 784_111_777;

    /// A file called `name`.
    fn file(name: &[u8]) -> Entry<'_> {
        Entry {
            name,
            is_directory: false,
            size: 1536,
            modified: MODIFIED,
        }
    }

    #[test]
    fn entries_are_rows_of_a_table() {
        assert_eq!(
            entry(Format::Html, &file(b"a.txt")).unwrap(),
            "<tr><td><a href=\"./a.txt\"><bdi>a.txt</bdi></a></td><td>1.5 KiB</td>\
             <td><time datetime=\"1994-11-06T08:49:37Z\">1994-11-06 08:49</time></td></tr>\n"
        );
        let directory = Entry {
            is_directory: true,
            ..file(b"a b")
        };
        assert_eq!(
            entry(Format::Html, &directory).unwrap(),
            "<tr><td><a href=\"./a%20b/\"><bdi>a b</bdi>/</a></td><td></td>\
             <td><time datetime=\"1994-11-06T08:49:37Z\">1994-11-06 08:49</time></td></tr>\n"
        );
        assert_eq!(
            entry(Format::Json, &directory).unwrap(),
            ",\n{\"name\":\"a b\",\"href\":\"./a%20b/\",\"type\":\"directory\",\
             \"modified\":\"1994-11-06T08:49:37Z\"}"
        );
    }

    #[test]
    fn a_listing_is_whole() {
        let html = listing(Format::Html, b"a/<b>", &[file(b"c")]);
        assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"en\">\n"));
        assert!(html.contains("<title>Index of /a/&lt;b&gt;/</title>"));
        assert!(html.contains("<h1>Index of <bdi>/a/&lt;b&gt;/</bdi></h1>"));
        assert!(html.contains("<tbody>\n<tr><td><a href=\"../\">../</a></td>"));
        assert!(html.contains("<bdi>c</bdi>"));
        assert!(html.ends_with("</tr>\n</tbody>\n</table>\n</body>\n</html>\n"));
        let root = listing(Format::Html, b"", &[]);
        assert!(root.contains("<h1>Index of <bdi>/</bdi></h1>"));
        assert!(root.ends_with("<tbody>\n</tbody>\n</table>\n</body>\n</html>\n"));
        assert_eq!(
            listing(Format::Json, b"", &[]),
            "{\"path\":\"/\",\"entries\":[\n]}\n"
        );
        assert_eq!(
            listing(Format::Json, b"a/\"b", &[file(b"c"), file(b"d")]),
            "{\"path\":\"/a/\\\"b/\",\"parent\":\"../\",\"entries\":[\n\
             {\"name\":\"c\",\"href\":\"./c\",\"type\":\"file\",\"size\":1536,\
             \"modified\":\"1994-11-06T08:49:37Z\"},\n\
             {\"name\":\"d\",\"href\":\"./d\",\"type\":\"file\",\"size\":1536,\
             \"modified\":\"1994-11-06T08:49:37Z\"}\n]}\n"
        );
    }

    #[test]
    fn missing_entries_are_told() {
        let end = |format, is_truncated| {
            let listing = Listing {
                format,
                has_entries: true,
            };
            String::from_utf8(written(|out| listing.end(is_truncated, out)).unwrap()).unwrap()
        };
        assert_eq!(
            end(Format::Html, true),
            "</tbody>\n</table>\n<p>There are more entries than are shown.</p>\n\
             </body>\n</html>\n"
        );
        assert!(!end(Format::Html, false).contains("more entries"));
        assert_eq!(end(Format::Json, true), "\n],\"truncated\":true}\n");
        assert_eq!(end(Format::Json, false), "\n]}\n");
    }

    #[test]
    fn names_are_text_and_references() {
        for (name, html, json, href) in [
            (&b"a:b"[..], "a:b", "a:b", "./a%3Ab"),
            (b"//x", "", "", ""),
            (
                b"javascript:x",
                "javascript:x",
                "javascript:x",
                "./javascript%3Ax",
            ),
            (
                b"<a&\"'>",
                "&lt;a&amp;&quot;'&gt;",
                "<a&\\\"'>",
                "./%3Ca%26%22%27%3E",
            ),
            (b"a\\b", "a\\b", "a\\\\b", "./a%5Cb"),
            (
                b"?#%2f;&=",
                "?#%2f;&amp;=",
                "?#%2f;&=",
                "./%3F%23%252f%3B%26%3D",
            ),
            (
                b"\xc3\xa9\xf0\x9f\x98\x80",
                "\u{e9}\u{1f600}",
                "\u{e9}\u{1f600}",
                "./%C3%A9%F0%9F%98%80",
            ),
            (
                b"\xe9t\xe9",
                "\u{fffd}t\u{fffd}",
                "\u{fffd}t\u{fffd}",
                "./%E9t%E9",
            ),
            (
                b"\xf0\x9f\x98.\xed\xa0\x80",
                "\u{fffd}.\u{fffd}\u{fffd}\u{fffd}",
                "\u{fffd}.\u{fffd}\u{fffd}\u{fffd}",
                "./%F0%9F%98.%ED%A0%80",
            ),
            (
                b"\x01\n\x1f\x7f\xc2\x85",
                "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
                "\\u0001\\u000a\\u001f\\u007f\\u0085",
                "./%01%0A%1F%7F%C2%85",
            ),
            (b"</script>", "", "", ""),
            (b"...", "...", "...", "./..."),
            (b"~-_.", "~-_.", "~-_.", "./~-_."),
        ] {
            if name.contains(&b'/') {
                assert_eq!(entry(Format::Html, &file(name)), None);
                continue;
            }
            let row = entry(Format::Html, &file(name)).unwrap();
            let expected = std::format!("<a href=\"{href}\"><bdi>{html}</bdi></a>");
            assert!(row.contains(&expected), "{row} has no {expected}");
            let row = entry(Format::Json, &file(name)).unwrap();
            let expected = std::format!("\"name\":\"{json}\",\"href\":\"{href}\",");
            assert!(row.contains(&expected), "{row} has no {expected}");
        }
    }

    #[test]
    fn what_no_entry_is_called_is_not_written() {
        for name in [&b""[..], b".", b"..", b"a/b", b"/"] {
            assert_eq!(entry(Format::Html, &file(name)), None);
            assert_eq!(entry(Format::Json, &file(name)), None);
        }
    }

    #[test]
    fn no_piece_is_longer_than_was_said() {
        for octet in 0..=255u8 {
            for len in [1, 2, 3, 10, 255] {
                let name = vec![octet; len];
                let longest = Entry {
                    name: &name,
                    is_directory: false,
                    size: u64::MAX,
                    modified: i64::MAX,
                };
                let directory = Entry {
                    is_directory: true,
                    ..longest
                };
                for format in [Format::Html, Format::Json] {
                    for one in [longest, directory] {
                        let row = entry(format, &one).unwrap_or_default();
                        assert!(
                            row.len() <= entry_bound(len),
                            "{octet} {len}: {}",
                            row.len()
                        );
                    }
                    let begin = written(|out| {
                        Listing::begin(format, &name, out);
                    });
                    assert!(begin.unwrap().len() <= begin_bound(len));
                }
            }
        }
        for format in [Format::Html, Format::Json] {
            let begin = written(|out| {
                Listing::begin(format, b"", out);
            });
            assert!(begin.unwrap().len() <= begin_bound(0));
            let listing = Listing {
                format,
                has_entries: true,
            };
            for is_truncated in [false, true] {
                let end = written(|out| listing.end(is_truncated, out));
                assert!(end.unwrap().len() <= END_BOUND);
            }
        }
    }

    #[test]
    fn sizes_are_rounded_down() {
        for (size, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1126, "1.0 KiB"),
            (1127, "1.1 KiB"),
            (10_239, "9.9 KiB"),
            (10_240, "10 KiB"),
            (1_048_575, "1023 KiB"),
            (1_048_576, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (1 << 40, "1.0 TiB"),
            (1 << 50, "1.0 PiB"),
            (u64::MAX, "15 EiB"),
        ] {
            let octets = written(|out| human(size, out)).unwrap();
            assert_eq!(String::from_utf8(octets).unwrap(), text.to_string());
        }
    }

    #[test]
    fn times_are_those_that_a_document_may_have() {
        for (modified, text) in [
            (i64::MIN, "0001-01-01T00:00:00Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
            (0, "1970-01-01T00:00:00Z"),
        ] {
            let one = Entry {
                modified,
                ..file(b"a")
            };
            for format in [Format::Html, Format::Json] {
                assert!(entry(format, &one).unwrap().contains(text));
            }
        }
    }
}
