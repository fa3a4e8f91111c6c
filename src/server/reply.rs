// SPDX-License-Identifier: GPL-2.0

//! Responses: their heads, and how they are sent.

use super::dispatch::{
    self,
    entity_tag,
    Action, //
};
use super::job::Task;
use super::lookup::INDEX;
use crate::http::date;
use crate::http::framing::{
    Body,
    Drain, //
};
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
use crate::linux::file::File;
use crate::linux::fragment::Fragments;
use crate::linux::path::Attributes;
use crate::linux::stream::Stream;
use kernel::sync::Arc;

/// Octets of the buffer in which a head, or a small response, is composed. The longest are those
/// with the path of the request in them, which is as long as a target may be, and thrice that when
/// each octet is percent-encoded; a Location that doesn't fit makes the response a 414.
pub(super) const HEAD_LEN: usize = 4096;

/// Octets that are handed to the stack in one call.
const WINDOW: usize = 128 << 10;

/// Fragments that are handed to the stack in one call: a head, and a window of single pages.
pub(super) const FRAGMENTS: usize = 1 + WINDOW / kernel::page::PAGE_SIZE;

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

/// Content that comes from a file.
pub(super) struct Content {
    file: Arc<File>,
    is_local: bool,
    /// The next octet to add to the fragments.
    offset: u64,
    /// The end of the content.
    end: u64,
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
            let content = Content {
                end: document.attributes.size,
                file: document.file,
                is_local: document.is_local,
                offset: 0,
            };
            (len, (!traits.is_head).then_some(content))
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
            moment,
            out,
        ),
    }
}

/// Writes a response to what could not be read as a request, after which the connection closes.
#[inline(never)]
pub(super) fn refuse(status: Status, detail: &str, moment: &Moment, out: &mut [u8]) -> Plan {
    let traits = Traits {
        version: Version::Http11,
        is_persistent: false,
        is_head: false,
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
        head.content_type(media_type);
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
    let mut content = [0; 400];
    let content = if status.has_content() {
        let len = response::error_body(status, detail, &mut content)?;
        content.get(..len)?
    } else {
        &[]
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
        head.content_length(content.len() as u64);
    }
    head.connection(traits.version, traits.is_persistent);
    let len = head.finish()?;
    if traits.is_head {
        return Some(len);
    }
    let end = len.checked_add(content.len())?;
    let behind = out.get_mut(len..end)?;
    for (to, from) in behind.iter_mut().zip(content) {
        *to = *from;
    }
    Some(end)
}

/// How far sending has come.
pub(super) enum Progress {
    /// All was handed to the stack.
    Done,
    /// The send buffer is full.
    Full,
    /// Enough was sent for one turn.
    Enough,
    /// The next octets must be read by a work item.
    Cold(Task),
    /// The peer is gone.
    Lost,
}

/// A response that is being sent.
pub(super) struct Response {
    /// What is handed to the stack next. With a work item while it reads.
    fragments: Option<Fragments>,
    /// The status, until the first octet was sent.
    status: Option<Status>,
    /// Whether anything was sent.
    is_touched: bool,
    /// Whether the fragments have what comes next of the content.
    is_filled: bool,
    /// How many octets of the fragments the stack has.
    sent: usize,
    /// What comes behind.
    content: Option<Content>,
    /// Whether the connection stays.
    is_persistent: bool,
    /// What is left of the request's body.
    drain: Drain,
}

impl Response {
    /// A response whose head is in `fragments`.
    pub(super) fn new(plan: Plan, fragments: Fragments) -> Self {
        Self {
            fragments: Some(fragments),
            status: Some(plan.status),
            is_touched: false,
            is_filled: false,
            sent: 0,
            content: plan.content.filter(|content| content.offset < content.end),
            is_persistent: plan.is_persistent,
            drain: Drain::new(plan.body),
        }
    }

    /// Takes back what a work item has read: `octets` more in `fragments`. False if the file ends
    /// before the content does.
    pub(super) fn was_read(&mut self, fragments: Fragments, octets: usize) -> bool {
        self.fragments = Some(fragments);
        self.is_filled = true;
        self.advance(octets);
        octets > 0
    }

    /// Whether nothing of the response was sent, so that another one can be.
    pub(super) fn is_untouched(&self) -> bool {
        !self.is_touched
    }

    /// The status, once, when the response has begun to be sent.
    pub(super) fn status_sent(&mut self) -> Option<Status> {
        self.status.take_if(|_| self.is_touched)
    }

    /// Takes note of `octets` more of the content in the fragments.
    fn advance(&mut self, octets: usize) {
        if let Some(content) = &mut self.content {
            content.offset = content.offset.saturating_add(octets as u64);
            if content.offset >= content.end {
                self.content = None;
            }
        }
    }

    /// Adds what comes next of the content, as far as it is in memory.
    fn fill(&mut self) -> usize {
        let (Some(content), Some(fragments)) = (&self.content, &mut self.fragments) else {
            return 0;
        };
        if !content.is_local {
            return 0;
        }
        let octets = content
            .file
            .resident(content.offset, content.window(), fragments);
        self.advance(octets);
        octets
    }

    /// Hands octets to the stack, about `budget` of them at most, until something has to be waited
    /// for. Adds to `taken` how many were handed over.
    pub(super) fn send(
        &mut self,
        stream: &mut Stream<'_>,
        budget: usize,
        taken: &mut usize,
    ) -> Progress {
        loop {
            if !self.is_filled && self.content.is_some() && self.fill() == 0 {
                return match self.cold() {
                    Some(task) => Progress::Cold(task),
                    None => Progress::Lost,
                };
            }
            self.is_filled = true;
            let Some(fragments) = &mut self.fragments else {
                return Progress::Lost;
            };
            let left = fragments.len().saturating_sub(self.sent);
            if left == 0 {
                return Progress::Done;
            }
            // The last octets of a connection go with its FIN.
            let has_more = self.content.is_some() || !self.is_persistent;
            let Ok(sent) = stream.send(fragments, self.sent, has_more) else {
                return Progress::Lost;
            };
            if sent == 0 {
                return Progress::Full;
            }
            self.is_touched = true;
            *taken = taken.saturating_add(sent);
            if sent < left {
                // Once more: that tells why.
                self.sent = self.sent.saturating_add(sent);
                continue;
            }
            fragments.clear();
            self.sent = 0;
            self.is_filled = false;
            if self.content.is_none() {
                return Progress::Done;
            }
            if *taken >= budget {
                return Progress::Enough;
            }
        }
    }

    /// The reading of what comes next.
    fn cold(&mut self) -> Option<Task> {
        let content = self.content.as_ref()?;
        Some(Task::Read {
            file: content.file.clone(),
            offset: content.offset,
            len: content.window(),
            fragments: self.fragments.take()?,
        })
    }

    /// The fragments, for another response; whether the connection stays; and the request's body.
    pub(super) fn finish(self) -> (Option<Fragments>, bool, Drain) {
        (self.fragments, self.is_persistent, self.drain)
    }
}

impl Content {
    /// How many octets are to be added next.
    fn window(&self) -> usize {
        let left = self.end.saturating_sub(self.offset);
        usize::try_from(left).map_or(WINDOW, |left| left.min(WINDOW))
    }
}
