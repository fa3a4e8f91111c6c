// SPDX-License-Identifier: GPL-2.0

//! What is answered: the head of a response, and what content is behind it.

use super::content::Content;
use super::dispatch::{
    self,
    entity_tag,
    Action, //
};
use super::lookup::INDEX;
use crate::http::date;
use crate::http::framing::Body;
use crate::http::media_type;
use crate::http::request::{
    Method,
    Request,
    Version, //
};
use crate::http::response::{
    self,
    Head,
    Status, //
};
use crate::http::target::Path;
use crate::linux::path::Attributes;

/// Octets of the buffer in which a head, or a small response, is composed. The longest are those
/// with the path of the request in them, which is as long as a target may be, and thrice that when
/// each octet is percent-encoded; a Location that doesn't fit makes the response a 414.
pub(super) const HEAD_LEN: usize = 4096;

/// Octets of the longest content of ours.
const SMALL_LEN: usize = 400;

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

/// What of a request makes a difference for its response.
struct Traits {
    version: Version,
    is_persistent: bool,
    is_head: bool,
}

/// Writes the head for `action`, which isn't [`Action::Defer`], into `out`.
#[inline(never)]
pub(super) fn plan(
    action: Action,
    request: &Request<'_>,
    path: Option<&Path<'_>>,
    moment: &Moment,
    out: &mut [u8],
) -> Plan {
    let status = match &action {
        Action::Serve(..) => Status::Ok,
        Action::NotModified(..) => Status::NotModified,
        Action::AddSlash => Status::MovedPermanently,
        Action::Options => Status::NoContent,
        Action::Reject(status, _) => *status,
        Action::Defer => Status::ServiceUnavailable,
    };
    // What comes behind a body that isn't wanted any more is not read.
    let is_too_large = matches!(
        status,
        Status::ContentTooLarge | Status::ExpectationFailed | Status::NotImplemented
    ) || matches!(request.body, Body::Length(length) if dispatch::is_too_long(length));
    let traits = Traits {
        version: request.version,
        is_persistent: request.is_persistent
            && !(is_too_large && request.body != Body::None)
            // The client may send the body that it has announced, or not.
            && !(request.expect != crate::http::request::Expect::Nothing
                && request.body != Body::None),
        is_head: request.method == Method::Head,
    };
    let (len, content) = match action {
        Action::Serve(document) => {
            let name = path.map_or(&[][..], |path| path.name);
            let is_index = path.is_some_and(|path| path.is_directory);
            let name = if is_index { INDEX } else { name };
            let len = file_head(status, &document.attributes, name, &traits, moment, out);
            (len, (!traits.is_head).then(|| Content::whole(document)))
        }
        Action::NotModified(document) => (
            file_head(status, &document.attributes, &[], &traits, moment, out),
            None,
        ),
        Action::AddSlash => {
            let location = path.map(|path| (path.name, request.target.query));
            (small(status, "", location, &traits, moment, out), None)
        }
        Action::Options => (small(status, "", None, &traits, moment, out), None),
        Action::Reject(_, detail) => (small(status, detail, None, &traits, moment, out), None),
        Action::Defer => (None, None),
    };
    let is_long = len.is_none() && status == Status::MovedPermanently;
    match len {
        Some(len) => Plan {
            status,
            len,
            content,
            is_persistent: traits.is_persistent,
            body: request.body,
        },
        // The head did not fit: only a long Location doesn't.
        None => refuse(
            if is_long {
                Status::UriTooLong
            } else {
                Status::InternalServerError
            },
            "",
            traits.is_head,
            moment,
            out,
        ),
    }
}

/// Writes a response to what could not be read as a request, after which the connection closes.
/// `is_head` says that it can be told to be a HEAD.
#[inline(never)]
pub(super) fn refuse(
    status: Status,
    detail: &str,
    is_head: bool,
    moment: &Moment,
    out: &mut [u8],
) -> Plan {
    let traits = Traits {
        version: Version::Http11,
        is_persistent: false,
        is_head,
    };
    Plan {
        status,
        len: small(status, detail, None, &traits, moment, out).unwrap_or(0),
        content: None,
        is_persistent: false,
        body: Body::None,
    }
}

/// Writes the head of a response with a file's content, or of the 304 in its place.
#[inline(never)]
fn file_head(
    status: Status,
    attributes: &Attributes,
    name: &[u8],
    traits: &Traits,
    moment: &Moment,
    out: &mut [u8],
) -> Option<usize> {
    let mut head = Head::new(out, status);
    head.server(PRODUCT);
    head.date(&moment.date);
    if status == Status::Ok {
        let media_type = media_type::of(name);
        head.content_type_with(media_type.as_bytes(), media_type::CHARSET.as_bytes());
        if media_type == media_type::UNKNOWN {
            head.nosniff();
        }
        head.content_length(attributes.size);
        head.last_modified(attributes.modified.seconds, moment.seconds);
    }
    head.etag(entity_tag(attributes).as_bytes());
    head.connection(traits.version, traits.is_persistent);
    head.finish()
}

/// Writes a response with a short content of ours, or with none.
#[inline(never)]
fn small(
    status: Status,
    detail: &str,
    location: Option<(&[u8], Option<&[u8]>)>,
    traits: &Traits,
    moment: &Moment,
    out: &mut [u8],
) -> Option<usize> {
    // The content's length is needed before it, so that it is made at the end first.
    let (out, content) = out.split_at_mut_checked(out.len().checked_sub(SMALL_LEN)?)?;
    let content_len = if status.has_content() {
        response::error_body(status, detail, content)?
    } else {
        0
    };
    let mut head = Head::new(out, status);
    head.server(PRODUCT);
    head.date(&moment.date);
    if let Some((name, query)) = location {
        head.location(name, true, query);
    }
    if matches!(status, Status::MethodNotAllowed | Status::NoContent) {
        head.allow();
    }
    if status == Status::ServiceUnavailable {
        head.retry_after(1);
    }
    if status.has_content() {
        head.content_type("text/html; charset=utf-8");
        head.content_length(content_len as u64);
    }
    head.connection(traits.version, traits.is_persistent);
    let len = head.finish()?;
    if traits.is_head {
        return Some(len);
    }
    for (to, from) in out
        .iter_mut()
        .skip(len)
        .zip(content.iter().take(content_len))
    {
        *to = *from;
    }
    len.checked_add(content_len)
}
