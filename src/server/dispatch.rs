// SPDX-License-Identifier: GPL-2.0

//! Who answers a request, and how: the only place that decides.

use super::lookup::{
    Document,
    Resolution, //
};
use crate::http::entity_tag::{
    Change,
    EntityTag, //
};
use crate::http::framing::Body;
use crate::http::precondition::{
    self,
    Validator,
    Verdict, //
};
use crate::http::request::{
    Expect,
    Method,
    Request, //
};
use crate::http::response::Status;
use crate::linux::path::Attributes;

/// The longest body of a request that is passed over: 1 MiB, as nginx's client_max_body_size. There
/// is no use for the body of a request that is served here.
const BODY_LIMIT: u64 = 1 << 20;

/// What is done with a request.
pub(super) enum Action {
    /// The file is sent.
    Serve(Document),
    /// The client has the file: 304.
    NotModified(Document),
    /// The path is sent back with a slash behind: 301.
    AddSlash,
    /// The methods are told.
    Options,
    /// Something is wrong. The text is for a person.
    Reject(Status, &'static str),
    /// This needs a context that may wait.
    Defer,
}

/// The entity tag of a file with these attributes.
pub(super) fn entity_tag(attributes: &Attributes) -> EntityTag {
    EntityTag::new(&Change {
        cookie: attributes.change_cookie,
        seconds: attributes.changed.seconds,
        nanoseconds: attributes.changed.nanoseconds,
        size: attributes.size,
        inode: attributes.inode,
    })
}

/// Evaluates the preconditions of a request, which few have.
#[inline(never)]
fn evaluate(request: &Request<'_>, attributes: &Attributes, now: i64) -> Verdict {
    if !request.is_conditional() {
        return Verdict::Proceed;
    }
    let tag = entity_tag(attributes);
    let validator = Validator {
        etag: tag.as_bytes(),
        last_modified: attributes.modified.seconds,
    };
    precondition::evaluate(request, &validator, now)
}

/// Decides. `resolve` looks the request's path up, if that matters; it returns `None` if it can't
/// tell without waiting. `now` is in seconds since the beginning of 1970.
#[inline(never)]
pub(super) fn dispatch(
    request: &Request<'_>,
    now: i64,
    resolve: impl FnOnce() -> Option<Resolution>,
) -> Action {
    match request.method {
        Method::Get | Method::Head => (),
        Method::Options => return Action::Options,
        Method::Post
        | Method::Put
        | Method::Delete
        | Method::Trace
        | Method::Connect
        | Method::Patch => {
            return Action::Reject(
                Status::MethodNotAllowed,
                "Only GET, HEAD and OPTIONS are allowed here.",
            )
        }
        Method::Other(_) => {
            return Action::Reject(Status::NotImplemented, "This method is not known here.")
        }
    }
    if request.expect == Expect::Unknown {
        return Action::Reject(
            Status::ExpectationFailed,
            "Only the expectation 100-continue is known here.",
        );
    }
    if matches!(request.body, Body::Length(length) if is_too_long(length)) {
        return Action::Reject(
            Status::ContentTooLarge,
            "This request needs no content, and none so large is read.",
        );
    }
    match resolve() {
        None => Action::Defer,
        Some(Resolution::File(document)) => match evaluate(request, &document.attributes, now) {
            Verdict::Proceed => Action::Serve(document),
            Verdict::NotModified => Action::NotModified(document),
            Verdict::Failed => Action::Reject(
                Status::PreconditionFailed,
                "The file is not the one that the request is for.",
            ),
        },
        Some(Resolution::Directory) => Action::AddSlash,
        Some(Resolution::NotFound) => Action::Reject(Status::NotFound, "There is nothing here."),
        Some(Resolution::Forbidden) => {
            Action::Reject(Status::Forbidden, "This is not for everyone to read.")
        }
        Some(Resolution::Busy) => Action::Reject(
            Status::ServiceUnavailable,
            "The server is busy. Please try again.",
        ),
        Some(Resolution::Failed) => {
            Action::Reject(Status::InternalServerError, "The file can't be read.")
        }
    }
}

/// Whether a body of this length is longer than is passed over.
pub(super) fn is_too_long(length: u64) -> bool {
    length > BODY_LIMIT
}
