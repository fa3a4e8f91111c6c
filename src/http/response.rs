// SPDX-License-Identifier: GPL-2.0

//! The head of a response (RFC 9112 4, 5), written into the caller's octets.
//!
//! Which fields belong to a response is the caller's to know, except where one follows from
//! another: a HEAD request is answered by the head of its GET (RFC 9110 9.3.2), a 304 by the fields
//! that a 200 would have had of ETag, Date, Vary, Cache-Control, Expires and Content-Location (RFC
//! 9110 15.4.5). A 206 has the fields of the 200, but its own Content-Length, and either
//! Content-Range or the Content-Type of several parts; if If-Range was there, it need not have, of
//! those that describe the representation, more than a 304 has (15.3.7).

use super::cache_control::Freshness;
use super::content_coding::Coding;
use super::date;
use super::media_type;
use super::range::ByteRange;
use super::request::Version;
use super::scan;
use super::status::Status;
use super::target;
use super::writer::Writer;

/// The interim response that Expect: 100-continue asks for, whole (RFC 9110 10.1.1).
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The methods that are served, as Allow lists them (RFC 9110 10.2.1).
pub(crate) const ALLOW: &[u8] = b"GET, HEAD, OPTIONS";

/// Writes the head of a response: the status line, then fields in the order in which they are
/// called.
#[derive(Debug)]
pub(crate) struct Head<'b> {
    /// Where it is written.
    out: Writer<'b>,
}

impl<'b> Head<'b> {
    /// Begins a head with its status line.
    pub(crate) fn new(out: &'b mut [u8], status: Status) -> Self {
        let mut out = Writer::new(out);
        out.put(status.line().as_bytes());
        Self { out }
    }

    /// Begins a part of a head, without a status line, to be copied into heads later.
    pub(crate) fn part(out: &'b mut [u8]) -> Self {
        Self {
            out: Writer::new(out),
        }
    }

    /// Any field. A value with an octet that no field value may hold makes the head fail.
    pub(crate) fn field(&mut self, name: &str, value: &[u8]) {
        if name.is_empty()
            || scan::token_len(name.as_bytes()) != name.len()
            || scan::field_len(value) != value.len()
        {
            return self.out.fail();
        }
        self.out.put(name.as_bytes());
        self.out.put(b": ");
        self.out.put(value);
        self.out.put(b"\r\n");
    }

    /// Field lines that are whole already, each with its CRLF.
    pub(crate) fn lines(&mut self, lines: &[u8]) {
        self.out.put(lines);
    }

    /// Server (RFC 9110 10.2.4).
    pub(crate) fn server(&mut self, product: &[u8]) {
        self.field("Server", product);
    }

    /// Date (RFC 9110 6.6.1), written before by [`date::write`].
    pub(crate) fn date(&mut self, date: &[u8; date::LEN]) {
        self.out.put(b"Date: ");
        self.out.put(date);
        self.out.put(b"\r\n");
    }

    /// Last-Modified (RFC 9110 8.8.2); a time later than `now` is not admitted to (8.8.2.1).
    pub(crate) fn last_modified(&mut self, time: i64, now: i64) {
        self.out.put(b"Last-Modified: ");
        self.out.put(&date::write(time.min(now)));
        self.out.put(b"\r\n");
    }

    /// ETag (RFC 9110 8.8.3), quotes included.
    pub(crate) fn etag(&mut self, etag: &[u8]) {
        self.field("ETag", etag);
    }

    /// Content-Type (RFC 9110 8.3).
    pub(crate) fn content_type(&mut self, media_type: &str) {
        self.field("Content-Type", media_type.as_bytes());
    }

    /// Content-Type of a file, with `charset` if the media type takes one and it isn't empty.
    pub(crate) fn content_type_with(&mut self, media_type: &[u8], charset: &[u8]) {
        self.out.put(b"Content-Type: ");
        put_content_type(media_type, charset, &mut self.out);
        self.out.put(b"\r\n");
    }

    /// Content-Encoding (RFC 9110 8.4).
    pub(crate) fn content_encoding(&mut self, coding: Coding) {
        self.field("Content-Encoding", coding.name().as_bytes());
    }

    /// Vary (RFC 9110 12.5.5): the field of the request that has made a difference, or might have.
    pub(crate) fn vary(&mut self, name: &[u8]) {
        self.field("Vary", name);
    }

    /// Content-Length (RFC 9110 8.6).
    pub(crate) fn content_length(&mut self, length: u64) {
        self.out.put(b"Content-Length: ");
        self.out.decimal(length);
        self.out.put(b"\r\n");
    }

    /// Cache-Control, and Expires for caches that don't know it (RFC 9111 5.2.2, 5.3); `now` is the
    /// time of Date.
    pub(crate) fn freshness(&mut self, freshness: Freshness, now: i64) {
        match freshness {
            Freshness::NoCache => self.out.put(b"Cache-Control: no-cache\r\nExpires: "),
            Freshness::MaxAge(seconds) => {
                self.out.put(b"Cache-Control: max-age=");
                self.out.decimal(u64::from(seconds));
                self.out.put(b"\r\nExpires: ");
            }
        }
        self.out.put(&date::write(freshness.expires(now)));
        self.out.put(b"\r\n");
    }

    /// Location (RFC 9110 10.2.2): a path below the root, with the request's query.
    pub(crate) fn location(&mut self, name: &[u8], is_directory: bool, query: Option<&[u8]>) {
        self.out.put(b"Location: ");
        target::write_reference(&mut self.out, name, is_directory, query);
        self.out.put(b"\r\n");
    }

    /// Allow, with the methods that are served (RFC 9110 10.2.1).
    pub(crate) fn allow(&mut self) {
        self.field("Allow", ALLOW);
    }

    /// Accept-Ranges (RFC 9110 14.3).
    pub(crate) fn accept_ranges(&mut self) {
        self.field("Accept-Ranges", b"bytes");
    }

    /// Content-Type of several parts (RFC 9110 14.6); `boundary` needs no quotes.
    pub(crate) fn multipart_byteranges(&mut self, boundary: &[u8]) {
        if boundary.is_empty() || scan::token_len(boundary) != boundary.len() {
            return self.out.fail();
        }
        self.out
            .put(b"Content-Type: multipart/byteranges; boundary=");
        self.out.put(boundary);
        self.out.put(b"\r\n");
    }

    /// Content-Range of a part of a representation of `length` octets (RFC 9110 14.4).
    pub(crate) fn content_range(&mut self, range: ByteRange, length: u64) {
        self.out.put(b"Content-Range: bytes ");
        self.out.decimal(range.first);
        self.out.put(b"-");
        self.out.decimal(range.last());
        self.out.put(b"/");
        self.out.decimal(length);
        self.out.put(b"\r\n");
    }

    /// Content-Range of a 416: what the length is of which nothing was asked for (RFC 9110 14.4).
    pub(crate) fn unsatisfied_range(&mut self, length: u64) {
        self.out.put(b"Content-Range: bytes */");
        self.out.decimal(length);
        self.out.put(b"\r\n");
    }

    /// Retry-After in seconds (RFC 9110 10.2.3).
    pub(crate) fn retry_after(&mut self, seconds: u32) {
        self.out.put(b"Retry-After: ");
        self.out.decimal(u64::from(seconds));
        self.out.put(b"\r\n");
    }

    /// `X-Content-Type-Options: nosniff`: the media type is not to be guessed from the content.
    pub(crate) fn nosniff(&mut self) {
        self.field("X-Content-Type-Options", b"nosniff");
    }

    /// Connection (RFC 9112 9.3, 9.6): what the client can't know from `version`, its own, alone.
    pub(crate) fn connection(&mut self, version: Version, is_persistent: bool) {
        match (version, is_persistent) {
            (_, false) => self.field("Connection", b"close"),
            (Version::Http10, true) => self.field("Connection", b"keep-alive"),
            (Version::Http11, true) => {}
        }
    }

    /// Ends the head with its empty line; `None` if it did not fit, or had an invalid field.
    pub(crate) fn finish(mut self) -> Option<usize> {
        self.out.put(b"\r\n");
        self.out.finish()
    }

    /// Ends a part of a head, without an empty line.
    pub(crate) fn finish_part(self) -> Option<usize> {
        self.out.finish()
    }
}

/// Writes the value of Content-Type as [`Head::content_type_with`] does; `None` if it does not fit,
/// or is not valid.
pub(crate) fn content_type(media_type: &[u8], charset: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut out = Writer::new(out);
    put_content_type(media_type, charset, &mut out);
    out.finish()
}

/// Writes a media type, with `charset` if it takes one and that isn't empty.
fn put_content_type(media_type: &[u8], charset: &[u8], out: &mut Writer<'_>) {
    if scan::field_len(media_type) != media_type.len() {
        return out.fail();
    }
    out.put(media_type);
    if charset.is_empty() || !media_type::takes_charset(media_type) {
        return;
    }
    if !media_type::is_charset(charset) {
        return out.fail();
    }
    out.put(b"; charset=");
    out.put(charset);
}

/// Writes a short HTML document that says what went wrong; `None` if it does not fit.
///
/// `detail` is a sentence of ours, or empty; nothing of the request is repeated.
pub(crate) fn error_body(status: Status, detail: &str, out: &mut [u8]) -> Option<usize> {
    let mut out = Writer::new(out);
    let title = |out: &mut Writer<'_>| {
        out.decimal(u64::from(status.code()));
        out.put(b" ");
        out.put(status.reason().as_bytes());
    };
    out.put(b"<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>");
    title(&mut out);
    out.put(b"</title></head>\n<body>\n<h1>");
    title(&mut out);
    out.put(b"</h1>\n");
    if !detail.is_empty() {
        out.put(b"<p>");
        for octet in detail.bytes() {
            match octet {
                b'<' => out.put(b"&lt;"),
                b'>' => out.put(b"&gt;"),
                b'&' => out.put(b"&amp;"),
                b'"' => out.put(b"&quot;"),
                octet => out.put(&[octet]),
            }
        }
        out.put(b"</p>\n");
    }
    out.put(b"</body>\n</html>\n");
    out.finish()
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn a_head_is_written_in_order() {
        let mut octets = [0; 1000];
        let mut head = Head::new(&mut octets, Status::MovedPermanently);
        head.server(b"rust_tux");
        head.date(&date::write(784_111_777));
        head.content_type("text/html; charset=utf-8");
        head.content_length(u64::MAX);
        head.last_modified(784_111_777, 784_111_776);
        head.etag(b"\"a\"");
        head.freshness(Freshness::MaxAge(60), 784_111_777);
        head.freshness(Freshness::NoCache, 784_111_777);
        head.location(b"a b", true, Some(b"c"));
        head.allow();
        head.accept_ranges();
        head.multipart_byteranges(b"range-0");
        head.content_range(ByteRange { first: 0, end: 1 }, 2);
        head.content_range(
            ByteRange {
                first: u64::MAX - 1,
                end: u64::MAX,
            },
            u64::MAX,
        );
        head.unsatisfied_range(0);
        head.retry_after(0);
        head.nosniff();
        head.lines(b"X: y\r\n");
        head.connection(Version::Http11, true);
        head.connection(Version::Http10, true);
        head.connection(Version::Http11, false);
        let len = head.finish().unwrap();
        let expected = b"HTTP/1.1 301 Moved Permanently\r\n\
            Server: rust_tux\r\n\
            Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
            Content-Type: text/html; charset=utf-8\r\n\
            Content-Length: 18446744073709551615\r\n\
            Last-Modified: Sun, 06 Nov 1994 08:49:36 GMT\r\n\
            ETag: \"a\"\r\n\
            Cache-Control: max-age=60\r\n\
            Expires: Sun, 06 Nov 1994 08:50:37 GMT\r\n\
            Cache-Control: no-cache\r\n\
            Expires: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
            Location: /a%20b/?c\r\n\
            Allow: GET, HEAD, OPTIONS\r\n\
            Accept-Ranges: bytes\r\n\
            Content-Type: multipart/byteranges; boundary=range-0\r\n\
            Content-Range: bytes 0-0/2\r\n\
            Content-Range: bytes 18446744073709551614-18446744073709551614/18446744073709551615\r\n\
            Content-Range: bytes */0\r\n\
            Retry-After: 0\r\n\
            X-Content-Type-Options: nosniff\r\n\
            X: y\r\n\
            Connection: keep-alive\r\n\
            Connection: close\r\n\
            \r\n";
        assert_eq!(
            octets[..len].escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }

    #[test]
    fn a_field_can_not_be_split() {
        for (name, value) in [
            ("X", &b"a\r\nY: b"[..]),
            ("X", b"a\nb"),
            ("X", b"\0"),
            ("", b"a"),
            ("X Y", b"a"),
            ("X:", b"a"),
        ] {
            let mut octets = [0; 100];
            let mut head = Head::new(&mut octets, Status::Ok);
            head.field(name, value);
            assert_eq!(head.finish(), None);
        }
        for boundary in [&b""[..], b"a b", b"a;b", b"a\r\nb"] {
            let mut octets = [0; 100];
            let mut head = Head::new(&mut octets, Status::PartialContent);
            head.multipart_byteranges(boundary);
            assert_eq!(head.finish(), None);
        }
    }

    #[test]
    fn text_has_a_charset() {
        let written = |media_type: &str, charset: &[u8]| {
            let mut octets = [0; 100];
            let mut head = Head::part(&mut octets);
            head.content_type_with(media_type.as_bytes(), charset);
            let len = head.finish_part()?;
            Some(octets[..len].escape_ascii().to_string())
        };
        let line = |value: &str| Some(std::format!("Content-Type: {value}\\r\\n"));
        for (media_type, charset, value) in [
            ("text/html", &b"utf-8"[..], "text/html; charset=utf-8"),
            ("text/html", b"", "text/html"),
            ("text/html;a=b", b"utf-8", "text/html;a=b"),
            ("image/png", b"utf-8", "image/png"),
        ] {
            assert_eq!(written(media_type, charset), line(value));
        }
        assert_eq!(written("text/html", b"utf-8\r\nX: y"), None);
        assert_eq!(written("text/html\r\nX: y", b"utf-8"), None);
        assert_eq!(written("text/html\r\nX: y", b""), None);
    }

    #[test]
    fn the_body_of_an_error_repeats_nothing_as_markup() {
        let mut octets = [0; 400];
        let len = error_body(Status::NotFound, "<a> & \"b\".", &mut octets).unwrap();
        let text = core::str::from_utf8(&octets[..len]).unwrap();
        assert!(text.contains("<h1>404 Not Found</h1>\n<p>&lt;a&gt; &amp; &quot;b&quot;.</p>"));
        assert_eq!(error_body(Status::NotFound, "", &mut [0; 40]), None);
    }

    #[test]
    fn statuses_are_unique_and_in_order() {
        assert!(Status::ALL
            .windows(2)
            .all(|pair| pair[0].code() < pair[1].code()));
        assert!(Status::ALL
            .iter()
            .enumerate()
            .all(|(i, status)| status.index() == i));
        for (status, has) in [(Status::NotModified, false), (Status::NotFound, true)] {
            assert_eq!(status.has_content(), has);
        }
    }

    #[test]
    fn the_interim_response_is_that_of_its_status() {
        let line = Status::Continue.line().as_bytes();
        assert_eq!(CONTINUE.strip_prefix(line), Some(&b"\r\n"[..]));
    }
}
