// SPDX-License-Identifier: GPL-2.0

//! Who answers a request, and how: the only place that decides.

use super::config::Config;
use super::directory::Text;
use super::lookup::{
    Document,
    Listing,
    Query,
    Resolution, //
};
use super::reply;
use crate::http::bad_request::BadRequest;
use crate::http::content_coding::{
    Accepted,
    Coding, //
};
use crate::http::entity_tag::{
    Change,
    EntityTag, //
};
use crate::http::framing::Body;
use crate::http::handoff;
use crate::http::listing::Format;
use crate::http::media_type;
use crate::http::precondition::{
    self,
    Validator,
    Verdict, //
};
use crate::http::range::{
    self,
    ByteRange,
    Ranges,
    Selection, //
};
use crate::http::request::{
    Expect,
    Method,
    Request, //
};
use crate::http::status::Status;
use crate::http::target::{
    self,
    Path, //
};
use kernel::prelude::*;

/// The longest body of a request that is passed over: 1 MiB, as nginx's client_max_body_size. There
/// is no use for the body of a request that is served here.
const BODY_LIMIT: u64 = 1 << 20;

/// What is done with a request.
pub(super) enum Action {
    /// The file is sent, or a part of it.
    Serve(Document, Extent),
    /// A listing is sent.
    List(Text, Format),
    /// The client has the file: 304.
    NotModified(Document),
    /// The client wants a listing only if there is none: 304.
    ListingExists,
    /// The path is sent back with a slash behind: 301.
    AddSlash,
    /// The methods are told.
    Options,
    /// Something is wrong.
    Reject(Reason),
    /// The same, with the file of an error page in the place of the text.
    ErrorPage(Reason, Document),
}

/// What is to be done next for a request.
pub(super) enum Decision<'a> {
    /// It is answered.
    Answer(Action),
    /// A file is opened in a context that may wait; or the error page for that reason.
    Open(Query<'a>, Option<Reason>),
    /// The connection is handed over, with the request unread.
    HandOver(handoff::Reason),
}

/// Why a request is refused.
#[derive(Clone, Copy)]
pub(super) struct Reason {
    /// The status.
    pub(super) status: Status,
    /// A text for a person.
    pub(super) detail: &'static str,
    /// For a 416, how many octets the file has.
    pub(super) length: Option<u64>,
}

impl Reason {
    /// A status that needs no more than a text.
    pub(super) fn new(status: Status, detail: &'static str) -> Self {
        Self {
            status,
            detail,
            length: None,
        }
    }
}

/// Why a request is refused that would be answered later.
pub(super) fn busy() -> Reason {
    let detail = "The server is busy. Please try again.";
    Reason::new(Status::ServiceUnavailable, detail)
}

/// What a [`Decision::Open`] has led to.
pub(super) type Opened = (Resolution, Option<Reason>);

/// What of a file is sent.
pub(super) enum Extent {
    /// All of it: 200.
    Whole,
    /// One range of it: 206.
    One(ByteRange),
    /// Several ranges of it: 206, or 200 if that is shorter.
    Many(KBox<Ranges>),
}

/// The entity tag of a file.
pub(super) fn entity_tag(document: &Document) -> EntityTag {
    let attributes = &document.attributes;
    EntityTag::new(&Change {
        cookie: attributes.change_cookie,
        seconds: attributes.changed.seconds,
        nanoseconds: attributes.changed.nanoseconds,
        size: attributes.size,
        inode: attributes.inode,
        coding: document.coding,
    })
}

/// What a request selects of a document.
pub(super) enum Selected {
    /// This of it.
    Extent(Extent),
    /// Nothing: the client has it.
    NotModified,
    /// Nothing, for that reason.
    Rejected(Reason),
}

/// What `request` selects of `document`. Allocates memory only for several ranges.
pub(super) fn select(
    request: &Request<'_>,
    document: &Document,
    config: &Config,
    now: i64,
) -> Selected {
    if request.is_conditional() {
        match evaluate(request, document, config, now) {
            Verdict::Proceed => (),
            Verdict::NotModified => return Selected::NotModified,
            Verdict::Failed => {
                let detail = "The file is not the one that the request is for.";
                return Selected::Rejected(Reason::new(Status::PreconditionFailed, detail));
            }
        }
    }
    if request.range().is_none() {
        return Selected::Extent(Extent::Whole);
    }
    match extent(request, document, config, now) {
        Some(extent) => Selected::Extent(extent),
        None => Selected::Rejected(Reason {
            length: Some(document.attributes.size),
            ..Reason::new(Status::RangeNotSatisfiable, "The file has no such octets.")
        }),
    }
}

/// What is done with a request for a listing, which has no validators.
fn list(request: &Request<'_>, text: Text, format: Format, now: i64) -> Action {
    match precondition::evaluate(request, &Validator::NONE, now) {
        Verdict::Proceed => Action::List(text, format),
        Verdict::NotModified => Action::ListingExists,
        Verdict::Failed => reject(
            Status::PreconditionFailed,
            "A list of files has no entity tag.",
        ),
    }
}

/// The validators that responses with `document` have, whose entity tag is `tag`. One that they
/// don't have is none: a client can't have it from here.
fn validator<'a>(document: &Document, tag: &'a EntityTag, config: &Config) -> Validator<'a> {
    let (has_tag, has_date) = (config.generate_etags != 0, config.generate_last_mod != 0);
    Validator {
        etag: if has_tag { tag.as_bytes() } else { b"" },
        last_modified: has_date.then_some(document.attributes.modified.seconds),
    }
}

/// Evaluates the preconditions of a request, which few have.
#[inline(never)]
fn evaluate(request: &Request<'_>, document: &Document, config: &Config, now: i64) -> Verdict {
    let tag = entity_tag(document);
    precondition::evaluate(request, &validator(document, &tag, config), now)
}

/// What a Range selects of a file; `None` if that is nothing.
#[inline(never)]
fn extent(request: &Request<'_>, document: &Document, config: &Config, now: i64) -> Option<Extent> {
    let Some(value) = range_of(request, document, config, now) else {
        return Some(Extent::Whole);
    };
    match range::select(value, document.attributes.size) {
        Selection::Whole => Some(Extent::Whole),
        Selection::One(range) => Some(Extent::One(range)),
        // A Content-Encoding in the head would be taken for that of the parts and their heads
        // together (RFC 9110 15.3.7).
        Selection::Many(_) if document.coding != Coding::Identity => Some(Extent::Whole),
        Selection::Many(ranges) => Some(several(&ranges)),
        Selection::Unsatisfiable => None,
    }
}

/// The Range of a request, if it is not to be ignored. (A function of its own: the stack of a
/// softirq need not have the entity tag beside ranges.)
#[inline(never)]
fn range_of<'a>(
    request: &Request<'a>,
    document: &Document,
    config: &Config,
    now: i64,
) -> Option<&'a [u8]> {
    let tag = entity_tag(document);
    range::of(request, &validator(document, &tag, config), now)
}

/// These ranges, or without memory for them the whole.
#[inline(never)]
fn several(ranges: &Ranges) -> Extent {
    KBox::new(ranges.clone(), GFP_KERNEL).map_or(Extent::Whole, Extent::Many)
}

/// Decides. `path` is that of the request; `opened` is what was opened for it before. `resolve`
/// looks something up, and returns `None` if it can't tell without waiting. `now` is in seconds
/// since the beginning of 1970.
#[inline(never)]
pub(super) fn decide<'a>(
    request: &Request<'_>,
    path: Result<Path<'a>, BadRequest>,
    config: &'a Config,
    now: i64,
    opened: Option<Opened>,
    mut resolve: impl FnMut(&Query<'_>) -> Option<Resolution>,
) -> Decision<'a> {
    let found = match opened {
        Some((page, Some(reason))) => return Decision::Answer(with_page(reason, page)),
        Some((found, None)) => Some(found),
        None => None,
    };
    let action = match path {
        Err(bad) => reject(bad.status(), bad.name()),
        Ok(path) => {
            if let Some(why) = hand_over(request, &path, config) {
                return Decision::HandOver(why);
            }
            let query = query(request, path, config);
            let resolve = || {
                let withheld = is_withheld(&path, config).then_some(Resolution::Forbidden);
                withheld.or(found).or_else(|| resolve(&query))
            };
            match dispatch(request, config, now, resolve) {
                Some(Action::AddSlash) if !can_be_told(&path, request, config) => reject(
                    Status::UriTooLong,
                    "With a slash behind its path the target would be too long.",
                ),
                Some(action) => action,
                None => return Decision::Open(query, None),
            }
        }
    };
    match action {
        Action::Reject(reason) => match hand_over_instead(reason.status, config) {
            Some(why) => Decision::HandOver(why),
            None => refuse(reason, config, resolve),
        },
        action => Decision::Answer(action),
    }
}

/// Why a request is for the backing server, if there is one, whatever is at its `path`.
#[inline(never)]
pub(super) fn hand_over(
    request: &Request<'_>,
    path: &Path<'_>,
    config: &Config,
) -> Option<handoff::Reason> {
    if !config.has_backing_server() {
        return None;
    }
    let media_type = reply::loaded_media_type_of(config, path);
    let rules = handoff::Rules {
        ignores_query: config.ignore_query != 0,
        dynamic: config.dynamic.texts(),
    };
    handoff::reason(request, path, media_type, &rules)
}

/// Whether what is at `path` is for the backing server alone, and there is none: the source of a
/// script, which nobody should read because a setting is not there yet.
#[inline(never)]
pub(super) fn is_withheld(path: &Path<'_>, config: &Config) -> bool {
    !config.has_backing_server()
        && reply::loaded_media_type_of(config, path).is_some_and(handoff::is_redirected)
}

/// Why a request is for the backing server, if there is one, that would be refused with `status`
/// for what is at its path.
fn hand_over_instead(status: Status, config: &Config) -> Option<handoff::Reason> {
    match status {
        _ if !config.has_backing_server() => None,
        Status::NotFound if config.handoff_not_found != 0 => Some(handoff::Reason::NotFound),
        Status::Forbidden if config.handoff_forbidden != 0 => Some(handoff::Reason::Forbidden),
        _ => None,
    }
}

/// Refuses a request, with an error page if there is one.
pub(super) fn refuse(
    reason: Reason,
    config: &Config,
    mut resolve: impl FnMut(&Query<'_>) -> Option<Resolution>,
) -> Decision<'_> {
    let Some(name) = config.error_pages.page(reason.status) else {
        return Decision::Answer(Action::Reject(reason));
    };
    let query = Query {
        path: Path {
            name,
            is_directory: false,
        },
        accepted: Accepted::IDENTITY,
        listing: None,
    };
    match resolve(&query) {
        Some(page) => Decision::Answer(with_page(reason, page)),
        None => Decision::Open(query, Some(reason)),
    }
}

/// The answer for `reason` with `page`, or without if that is no file.
pub(super) fn with_page(reason: Reason, page: Resolution) -> Action {
    match page {
        Resolution::File(document) => Action::ErrorPage(reason, document),
        Resolution::Listing(..)
        | Resolution::Directory
        | Resolution::NotFound
        | Resolution::Forbidden
        | Resolution::Busy
        | Resolution::Failed => Action::Reject(reason),
    }
}

/// Whether a client that follows the Location with a slash behind `path` can be answered: that may
/// be thrice as long as the target was, and is the target of the next request.
#[inline(never)]
fn can_be_told(path: &Path<'_>, request: &Request<'_>, config: &Config) -> bool {
    let len = target::reference_len(path.name, true, request.target.query);
    len <= config.target_limit()
}

/// The answer that something is wrong.
fn reject(status: Status, detail: &'static str) -> Action {
    Action::Reject(Reason::new(status, detail))
}

/// What is looked for to answer a request for `path`.
pub(super) fn query<'a>(request: &Request<'_>, path: Path<'a>, config: &Config) -> Query<'a> {
    let accepted = match request.accept_encoding() {
        Some(lines) if config.compression != 0 => Accepted::new(Some(lines)),
        _ => Accepted::IDENTITY,
    };
    let is_useless =
        || accepted.is_identity() || media_type::is_compressed(reply::media_type_of(config, &path));
    Query {
        path,
        accepted: if is_useless() {
            Accepted::IDENTITY
        } else {
            accepted
        },
        listing: (config.http_dir_indexing != 0 && path.is_directory).then(|| Listing {
            format: Format::preferred(request),
            hides_unreadable: config.hide_unreadable != 0,
        }),
    }
}

/// Says what is done with a request. `resolve` looks its path up, if that matters.
fn dispatch(
    request: &Request<'_>,
    config: &Config,
    now: i64,
    resolve: impl FnOnce() -> Option<Resolution>,
) -> Option<Action> {
    match request.method {
        Method::Get | Method::Head => (),
        Method::Options => return Some(Action::Options),
        Method::Post
        | Method::Put
        | Method::Delete
        | Method::Trace
        | Method::Connect
        | Method::Patch => {
            return Some(reject(
                Status::MethodNotAllowed,
                "Only GET, HEAD and OPTIONS are allowed here.",
            ))
        }
        Method::Other(_) => {
            let detail = "This method is not known here.";
            return Some(reject(Status::NotImplemented, detail));
        }
    }
    if request.expect == Expect::Unknown {
        return Some(reject(
            Status::ExpectationFailed,
            "Only the expectation 100-continue is known here.",
        ));
    }
    if is_too_long(request.body) {
        return Some(reject(
            Status::ContentTooLarge,
            "This request needs no content, and none so large is read.",
        ));
    }
    Some(match resolve()? {
        Resolution::File(document) => match select(request, &document, config, now) {
            Selected::Extent(extent) => Action::Serve(document, extent),
            Selected::NotModified => Action::NotModified(document),
            Selected::Rejected(reason) => Action::Reject(reason),
        },
        Resolution::Listing(text, format) => list(request, text, format, now),
        Resolution::Directory => Action::AddSlash,
        Resolution::NotFound => reject(Status::NotFound, "There is nothing here."),
        Resolution::Forbidden => reject(Status::Forbidden, "This is not for everyone to read."),
        Resolution::Busy => Action::Reject(busy()),
        Resolution::Failed => reject(Status::InternalServerError, "The file can't be read."),
    })
}

/// Whether a body is known to be longer than is passed over.
pub(super) fn is_too_long(body: Body) -> bool {
    matches!(body, Body::Length(length) if length > BODY_LIMIT)
}
