// SPDX-License-Identifier: GPL-2.0

//! What is answered: the head of a response, and what content is behind it.

use super::config::{
    copy,
    Config,
    TARGET_LEN, //
};
use super::content::{
    Content,
    Parts, //
};
use super::directory::Text;
use super::dispatch::{
    self,
    entity_tag,
    Action,
    Extent,
    Reason,
    Selected, //
};
use super::lookup::{
    Document,
    INDEX, //
};
use crate::http::content_coding::Coding;
use crate::http::date;
use crate::http::extra_fields;
use crate::http::framing::Body;
use crate::http::listing::Format;
use crate::http::media_type;
use crate::http::multipart::Boundary;
use crate::http::range::{
    ByteRange,
    Ranges, //
};
use crate::http::request::{
    Expect,
    Method,
    Request,
    Version, //
};
use crate::http::response::{
    self,
    Head, //
};
use crate::http::status::Status;
use crate::http::target::Path;
use crate::linux::random;
use kernel::prelude::*;

/// Octets of the buffer in which a head, or a small response, is composed: a Location, the fields
/// that are added, a small content, and room for the rest.
pub(super) const HEAD_LEN: usize = TARGET_LEN + extra_fields::LEN + SMALL_LEN + 1024;

/// Octets of the longest content of ours.
const SMALL_LEN: usize = 400;

/// Octets of the longest Content-Type that the parts of a multipart have.
const PART_TYPE_LEN: usize = 128;

/// What the Server field says (RFC 9110 10.2.4).
const PRODUCT: &[u8] = b"rust_tux";

/// What all responses of a moment have in common.
pub(super) struct Moment {
    /// Seconds since the beginning of 1970.
    pub(super) seconds: i64,
    /// The same, as a date.
    pub(super) date: [u8; date::LEN],
}

impl Moment {
    /// The moment `seconds`.
    pub(super) fn new(seconds: i64) -> Self {
        Self {
            seconds,
            date: date::write(seconds),
        }
    }
}

/// What was decided of a response before it is sent.
pub(super) struct Plan {
    /// The status.
    pub(super) status: Status,
    /// Octets of the head, and of a small content behind it, in the buffer.
    pub(super) len: usize,
    /// The rest of the content.
    pub(super) content: Option<Content>,
    /// Whether the connection stays.
    pub(super) is_persistent: bool,
    /// The request's body.
    pub(super) body: Body,
}

/// What was decided of a response that is sent at once.
pub(super) struct PlanAtOnce {
    /// The status.
    pub(super) status: Status,
    /// Octets of the head in the buffer.
    pub(super) len: usize,
    /// What of the document is the content; may be empty.
    pub(super) content: ByteRange,
    /// Whether the connection stays.
    pub(super) is_persistent: bool,
}

/// What a response with a document depends on besides that, the configuration and the second,
/// unless it has a part of the document.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    /// The status.
    pub(super) status: Status,
    /// Whether the connection stays.
    pub(super) is_persistent: bool,
    version: Version,
    is_head: bool,
}

impl Form {
    /// Another number for each form.
    pub(super) fn number(self) -> u64 {
        let flags = u64::from(self.is_persistent)
            | u64::from(self.is_head) << 1
            | u64::from(self.version == Version::Http11) << 2;
        // The index of a status is far from filling its 32 bits.
        flags | (self.status.index() as u64) << 32
    }
}

/// What makes a difference for a response, besides what is answered.
pub(super) struct Reply<'a> {
    config: &'a Config,
    moment: &'a Moment,
    version: Version,
    body: Body,
    is_persistent: bool,
    is_head: bool,
    /// Whether the request has an If-Range.
    is_if_range: bool,
}

/// What of a document is in a response.
enum Part {
    /// Nothing: the client has it.
    Nothing,
    /// All of it.
    Whole,
    /// One range.
    One(ByteRange),
    /// Several ranges, and the length of the content that they make.
    Many(KBox<Parts>, u64),
}

/// The media type of the file called `name`, or of the index of that directory.
pub(super) fn media_type_of<'a>(config: &'a Config, path: &Path<'_>) -> &'a [u8] {
    config.media_types.of(name_of(path))
}

/// The same if it was loaded; what is built in marks nothing for the backing server.
pub(super) fn loaded_media_type_of<'a>(config: &'a Config, path: &Path<'_>) -> Option<&'a [u8]> {
    config.media_types.loaded(name_of(path))
}

/// The name of the file, or of the index of the directory.
fn name_of<'a>(path: &Path<'a>) -> &'a [u8] {
    if path.is_directory {
        INDEX
    } else {
        path.name
    }
}

impl<'a> Reply<'a> {
    /// A response to `request`. After the `is_last` one the connection closes.
    pub(super) fn new(
        request: &Request<'_>,
        is_last: bool,
        config: &'a Config,
        moment: &'a Moment,
    ) -> Self {
        // What comes behind a body that is too long is not read. One that was announced by Expect
        // may come, or not.
        let is_body_left = request.body != Body::None
            && (request.expect != Expect::Nothing || dispatch::is_too_long(request.body));
        Self {
            config,
            moment,
            version: request.version,
            body: request.body,
            is_persistent: request.is_persistent && !is_last && !is_body_left,
            is_head: request.method == Method::Head,
            is_if_range: request.if_range().is_some(),
        }
    }

    /// A response to what could not be read as a request, after which the connection closes.
    /// `is_head` says that it can be told to be a HEAD.
    pub(super) fn refusal(is_head: bool, config: &'a Config, moment: &'a Moment) -> Self {
        Self {
            config,
            moment,
            version: Version::Http11,
            body: Body::None,
            is_persistent: false,
            is_head,
            is_if_range: false,
        }
    }

    /// Writes the head for `action` into `out`; and the content behind it, if that is short. `path`
    /// is that of the request, with its query.
    #[inline(never)]
    pub(super) fn plan(
        mut self,
        action: Action,
        path: Option<(Path<'_>, Option<&[u8]>)>,
        out: &mut [u8],
    ) -> Plan {
        let media_type = match &path {
            Some((path, _)) => media_type_of(self.config, path),
            None => media_type::UNKNOWN.as_bytes(),
        };
        let (status, written) = match action {
            Action::Serve(document, extent) => self.serve(document, extent, media_type, out),
            Action::NotModified(document) => {
                let status = Status::NotModified;
                let len = self.file_head(status, &document, media_type, &Part::Nothing, out);
                (status, len.map(|len| (len, None)))
            }
            Action::List(text, format) => (Status::Ok, self.list(text, format, out)),
            Action::ListingExists => {
                let status = Status::NotModified;
                // As the 200 has it (RFC 9110 15.4.5).
                let len = self.short(Reason::new(status, ""), |head| head.vary(b"Accept"), out);
                (status, len.map(|len| (len, None)))
            }
            Action::ErrorPage(reason, document) => {
                self.leave_body(reason.status);
                (reason.status, self.error_page(reason, document, out))
            }
            Action::AddSlash => {
                let status = Status::MovedPermanently;
                let short = self.short(
                    Reason::new(status, ""),
                    |head| {
                        if let Some((path, query)) = path {
                            head.location(path.name, true, query);
                        }
                    },
                    out,
                );
                (status, short.map(|len| (len, None)))
            }
            Action::Options => self.reject(Reason::new(Status::NoContent, ""), out),
            Action::Reject(reason) => self.reject(reason, out),
        };
        let (status, (len, content)) = match written {
            Some(written) => (status, written),
            None => {
                self.is_persistent = false;
                let (status, written) =
                    self.reject(Reason::new(Status::InternalServerError, ""), out);
                (status, written.unwrap_or((0, None)))
            }
        };
        Plan {
            status,
            len,
            content,
            is_persistent: self.is_persistent,
            body: self.body,
        }
    }

    /// The form of a response with what was `selected` of a document; `None` if that has a part of
    /// it.
    pub(super) fn form(&self, selected: &Selected) -> Option<Form> {
        let status = match selected {
            Selected::Extent(Extent::Whole) => Status::Ok,
            Selected::NotModified => Status::NotModified,
            Selected::Extent(_) | Selected::Rejected(_) => return None,
        };
        Some(Form {
            status,
            is_persistent: self.is_persistent,
            version: self.version,
            is_head: self.is_head,
        })
    }

    /// Writes the head for what was `selected` of `document`, where nothing may be waited for;
    /// `None` if that isn't one piece of it at the most. `path` is that of the request.
    #[inline(never)]
    pub(super) fn plan_at_once(
        &self,
        selected: &Selected,
        document: &Document,
        path: &Path<'_>,
        out: &mut [u8],
    ) -> Option<PlanAtOnce> {
        let end = document.attributes.size;
        let (status, part, content) = match selected {
            Selected::Extent(Extent::Whole) => {
                (Status::Ok, Part::Whole, ByteRange { first: 0, end })
            }
            Selected::Extent(Extent::One(range)) => {
                (Status::PartialContent, Part::One(*range), *range)
            }
            Selected::NotModified => (Status::NotModified, Part::Nothing, ByteRange::default()),
            Selected::Extent(Extent::Many(_)) | Selected::Rejected(_) => return None,
        };
        let media_type = media_type_of(self.config, path);
        Some(PlanAtOnce {
            status,
            len: self.file_head(status, document, media_type, &part, out)?,
            content: if self.is_head {
                ByteRange::default()
            } else {
                content
            },
            is_persistent: self.is_persistent,
        })
    }

    /// Gives up the connection if the request's body will not be read after an answer of `status`.
    fn leave_body(&mut self, status: Status) {
        let is_final = matches!(
            status,
            Status::ContentTooLarge
                | Status::ExpectationFailed
                | Status::NotImplemented
                | Status::UriTooLong
        );
        if is_final && self.body != Body::None {
            self.is_persistent = false;
        }
    }

    /// Writes the fields that every response has.
    fn common(&self, head: &mut Head<'_>) {
        head.server(PRODUCT);
        head.date(&self.moment.date);
    }

    /// Writes what content of a file is.
    fn content_type(&self, head: &mut Head<'_>, media_type: &[u8]) {
        head.content_type_with(media_type, self.config.charset.octets());
        if media_type == media_type::UNKNOWN.as_bytes() {
            head.nosniff();
        }
    }

    /// Writes the last fields, and ends the head.
    fn finish(&self, mut head: Head<'_>) -> Option<usize> {
        head.lines(self.config.extra_fields.lines());
        head.connection(self.version, self.is_persistent);
        head.finish()
    }

    /// Writes the head of a response with a file's content.
    fn serve(
        &self,
        document: Document,
        extent: Extent,
        media_type: &[u8],
        out: &mut [u8],
    ) -> (Status, Option<(usize, Option<Content>)>) {
        let (status, part) = match extent {
            Extent::Whole => (Status::Ok, Part::Whole),
            Extent::One(range) => (Status::PartialContent, Part::One(range)),
            Extent::Many(ranges) => match self.parts(&document, &ranges, media_type) {
                Some(part) => (Status::PartialContent, part),
                None => (Status::Ok, Part::Whole),
            },
        };
        let Some(len) = self.file_head(status, &document, media_type, &part, out) else {
            return (status, None);
        };
        let content = match part {
            _ if self.is_head => None,
            Part::Nothing => None,
            Part::Whole => Some(Content::whole(document)),
            Part::One(range) => Some(Content::range(document, range)),
            Part::Many(parts, _) => Some(Content::parts(document, parts)),
        };
        (status, Some((len, content)))
    }

    /// Several ranges of a file; `None` if there is no memory, or if the whole is shorter.
    #[inline(never)]
    fn parts(&self, document: &Document, ranges: &Ranges, media_type: &[u8]) -> Option<Part> {
        let mut octets = [0; PART_TYPE_LEN];
        let len = response::content_type(media_type, self.config.charset.octets(), &mut octets)?;
        let parts = Parts::new(
            ranges.clone(),
            Boundary::new(random::u64()),
            copy(octets.get(..len)?).ok()?,
            document.attributes.size,
        );
        let length = parts.multipart().content_length()?;
        Some(Part::Many(KBox::new(parts, GFP_KERNEL).ok()?, length))
    }

    /// Writes the head of a response with a file's content, or of the 304 in its place.
    #[inline(never)]
    fn file_head(
        &self,
        status: Status,
        document: &Document,
        media_type: &[u8],
        part: &Part,
        out: &mut [u8],
    ) -> Option<usize> {
        let config = self.config;
        let attributes = &document.attributes;
        let mut head = Head::new(out, status);
        self.common(&mut head);
        match part {
            Part::Nothing => (),
            Part::Whole => {
                self.content_type(&mut head, media_type);
                head.content_length(attributes.size);
            }
            Part::One(range) => {
                self.content_type(&mut head, media_type);
                head.content_range(*range, attributes.size);
                head.content_length(range.len());
            }
            Part::Many(parts, length) => {
                head.multipart_byteranges(parts.boundary());
                head.content_length(*length);
            }
        }
        if !matches!(part, Part::Nothing) {
            if document.coding != Coding::Identity {
                head.content_encoding(document.coding);
            }
            head.accept_ranges();
            // With a part of what the client has already, this would tell it nothing (RFC 9110
            // 15.3.7).
            let tells_time = matches!(part, Part::Whole) || !self.is_if_range;
            if tells_time && config.generate_last_mod != 0 {
                head.last_modified(attributes.modified.seconds, self.moment.seconds);
            }
        }
        if config.generate_etags != 0 {
            head.etag(entity_tag(document).as_bytes());
        }
        // Whether there are siblings isn't known where none was asked for, and there may be one a
        // moment later (RFC 9110 12.5.5).
        if config.compression != 0 && !media_type::is_compressed(media_type) {
            head.vary(b"Accept-Encoding");
        }
        if config.generate_cache_control != 0 {
            if let Some(freshness) = config.cache_control.policy().freshness(media_type) {
                head.freshness(freshness, self.moment.seconds);
            }
        }
        self.finish(head)
    }

    /// Writes the head of a directory's listing.
    #[inline(never)]
    fn list(&self, text: Text, format: Format, out: &mut [u8]) -> Option<(usize, Option<Content>)> {
        let mut head = Head::new(out, Status::Ok);
        self.common(&mut head);
        head.content_type_with(
            format.media_type().as_bytes(),
            media_type::CHARSET.as_bytes(),
        );
        head.content_length(text.len() as u64);
        head.vary(b"Accept");
        let len = self.finish(head)?;
        Some((len, (!self.is_head).then(|| Content::memory(text))))
    }

    /// Writes the head of an error page.
    #[inline(never)]
    fn error_page(
        &self,
        reason: Reason,
        document: Document,
        out: &mut [u8],
    ) -> Option<(usize, Option<Content>)> {
        let config = self.config;
        let page = config.error_pages.page(reason.status).unwrap_or_default();
        let mut head = Head::new(out, reason.status);
        self.common(&mut head);
        required(&mut head, reason);
        self.content_type(&mut head, config.media_types.of(page));
        head.content_length(document.attributes.size);
        let len = self.finish(head)?;
        Some((len, (!self.is_head).then(|| Content::whole(document))))
    }

    /// Writes a response with a short content of ours, or with none.
    fn reject(
        &mut self,
        reason: Reason,
        out: &mut [u8],
    ) -> (Status, Option<(usize, Option<Content>)>) {
        self.leave_body(reason.status);
        let len = self.short(reason, |_| (), out);
        (reason.status, len.map(|len| (len, None)))
    }

    /// Writes a response with a short content of ours, or with none. `more` adds fields.
    #[inline(never)]
    fn short(
        &self,
        reason: Reason,
        more: impl FnOnce(&mut Head<'_>),
        out: &mut [u8],
    ) -> Option<usize> {
        let status = reason.status;
        // The content's length is needed before it, so that it is made at the end first.
        let (out, content) = out.split_at_mut_checked(out.len().checked_sub(SMALL_LEN)?)?;
        let content_len = if status.has_content() {
            response::error_body(status, reason.detail, content)?
        } else {
            0
        };
        let mut head = Head::new(out, status);
        self.common(&mut head);
        more(&mut head);
        required(&mut head, reason);
        if status.has_content() {
            head.content_type("text/html; charset=utf-8");
            head.content_length(content_len as u64);
        }
        let len = self.finish(head)?;
        if self.is_head {
            return Some(len);
        }
        let content = content.iter().take(content_len);
        for (to, from) in out.iter_mut().skip(len).zip(content) {
            *to = *from;
        }
        len.checked_add(content_len)
    }
}

/// Writes the fields that a status requires.
fn required(head: &mut Head<'_>, reason: Reason) {
    match reason.status {
        // RFC 9110 15.5.6; 204 is the answer to OPTIONS here (9.3.7).
        Status::MethodNotAllowed | Status::NoContent => head.allow(),
        Status::ServiceUnavailable => head.retry_after(1),
        _ => (),
    }
    if let Some(length) = reason.length {
        head.unsatisfied_range(length);
    }
}
