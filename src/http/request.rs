// SPDX-License-Identifier: GPL-2.0

//! The head of a request: request line and field lines (RFC 9112 3, 5).
//!
//! [`Request::read`] goes over the octets once. It checks each of them, notes the fields that a
//! static server acts upon, and leaves the others to be found by [`Request::fields`]. Octets that
//! are the start of a head which may yet become whole are not an error: the answer is `None`, until
//! either the head is whole or some octet has broken a rule. The answer is the same however the
//! octets arrive.
//!
//! What nearly all clients write is read by words and whole names, in a few instructions
//! (`line::usual_start`, `name::usual`, `scan::skip_line`); these never refuse. What they leave is
//! read, and perhaps refused, by code that goes by octets and has all the rules.

mod line;
mod message;
mod name;

use super::bad_request::BadRequest;
use super::framing::Body;
use super::scan;
use super::target::Target;
use super::token;

use message::Message;
use name::Name;

/// How many empty lines before a request line are ignored (RFC 9112 2.2).
pub(crate) const LEADING_EMPTY_LINES: usize = 4;

/// The length of the longest method that is not refused unseen (RFC 9112 3).
pub(crate) const METHOD_LEN: usize = 32;

/// What a head may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Octets of a head, from the first of the request line (or of an empty line before it) to the
    /// last of its empty line.
    pub(crate) head: usize,
    /// Octets of a request target.
    pub(crate) target: usize,
    /// Field lines.
    pub(crate) fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 8192,
            target: 4096,
            fields: 100,
        }
    }
}

/// A request method (RFC 9110 9, RFC 5789).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method<'a> {
    /// Transfer a representation.
    Get,
    /// As GET, without content.
    Head,
    /// Describe the communication options.
    Options,
    /// Known, not ours.
    Post,
    /// Known, not ours.
    Put,
    /// Known, not ours.
    Delete,
    /// Known, not ours.
    Trace,
    /// Known, not ours.
    Connect,
    /// Known, not ours.
    Patch,
    /// Not known: 501 is the answer (RFC 9110 9.1).
    Other(&'a [u8]),
}

impl<'a> Method<'a> {
    /// The method of a token; methods are case-sensitive.
    #[inline]
    fn of(token: &'a [u8]) -> Self {
        match token {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"OPTIONS" => Method::Options,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"TRACE" => Method::Trace,
            b"CONNECT" => Method::Connect,
            b"PATCH" => Method::Patch,
            other => Method::Other(other),
        }
    }

    /// The token of the method.
    pub(crate) fn name(self) -> &'a [u8] {
        match self {
            Method::Get => b"GET",
            Method::Head => b"HEAD",
            Method::Options => b"OPTIONS",
            Method::Post => b"POST",
            Method::Put => b"PUT",
            Method::Delete => b"DELETE",
            Method::Trace => b"TRACE",
            Method::Connect => b"CONNECT",
            Method::Patch => b"PATCH",
            Method::Other(name) => name,
        }
    }
}

/// The version of a request, as far as it makes a difference (RFC 9112 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1, or a later minor version.
    Http11,
}

/// What the Expect field asks for (RFC 9110 10.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Nothing; also whatever an HTTP/1.0 client writes for 100-continue.
    Nothing,
    /// A 100 (Continue) before the body is sent.
    Continue,
    /// Something that is not known: 417 is the answer.
    Unknown,
}

/// A field line (RFC 9112 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    /// The field name, as it was written.
    pub(crate) name: &'a [u8],
    /// The field value, without white space around it.
    pub(crate) value: &'a [u8],
}

/// The field lines of a request, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    /// Field lines that are known to be well-formed, each with its CRLF.
    octets: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let (name, rest) = self
            .octets
            .split_at_checked(scan::find(self.octets, b':')?)?;
        let rest = rest.strip_prefix(b":")?;
        let (value, rest) = rest.split_at_checked(scan::field_len(rest))?;
        self.octets = rest.strip_prefix(b"\r\n")?;
        Some(Field {
            name,
            value: token::trim(value),
        })
    }
}

/// A field that may be given once: how often it was, and the value of its first line.
#[derive(Clone, Copy, Debug)]
enum Note<'a> {
    /// There is no line.
    Absent,
    /// There is one line.
    Once(&'a [u8]),
    /// There are more lines.
    Repeated(&'a [u8]),
}

impl<'a> Note<'a> {
    /// Notes one more line.
    #[inline]
    fn add(&mut self, value: &'a [u8]) {
        *self = match *self {
            Note::Absent => Note::Once(value),
            Note::Once(first) | Note::Repeated(first) => Note::Repeated(first),
        }
    }

    /// The value of the first line.
    #[inline]
    fn first(&self) -> Option<&'a [u8]> {
        match *self {
            Note::Absent => None,
            Note::Once(first) | Note::Repeated(first) => Some(first),
        }
    }

    /// The value, if there is exactly one line.
    #[inline]
    fn once(&self) -> Option<&'a [u8]> {
        match *self {
            Note::Once(value) => Some(value),
            Note::Absent | Note::Repeated(_) => None,
        }
    }
}

/// The head of a request, borrowed from the octets that it was read from.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    /// The method.
    pub(crate) method: Method<'a>,
    /// The target.
    pub(crate) target: Target<'a>,
    /// The version.
    pub(crate) version: Version,
    /// How the length of the body is found.
    pub(crate) body: Body,
    /// Whether the connection may persist after the response (RFC 9112 9.3).
    pub(crate) is_persistent: bool,
    /// What is expected before the body is sent.
    pub(crate) expect: Expect,
    /// Whether the client offers to change the protocol (RFC 9110 7.8).
    pub(crate) upgrade: bool,
    /// The value of Host, which may be empty.
    host: Option<&'a [u8]>,
    /// Accept-Encoding.
    accept_encoding: Note<'a>,
    /// If-Match.
    if_match: Note<'a>,
    /// If-None-Match.
    if_none_match: Note<'a>,
    /// If-Modified-Since.
    if_modified_since: Note<'a>,
    /// If-Unmodified-Since.
    if_unmodified_since: Note<'a>,
    /// If-Range.
    if_range: Note<'a>,
    /// Range.
    range: Note<'a>,
    /// All field lines.
    fields: Fields<'a>,
}

impl<'a> Request<'a> {
    /// A request of which nothing is read yet.
    #[inline]
    pub(crate) fn new() -> Self {
        Self {
            method: Method::Get,
            target: Target::EMPTY,
            version: Version::Http11,
            body: Body::None,
            is_persistent: true,
            expect: Expect::Nothing,
            upgrade: false,
            host: None,
            accept_encoding: Note::Absent,
            if_match: Note::Absent,
            if_none_match: Note::Absent,
            if_modified_since: Note::Absent,
            if_unmodified_since: Note::Absent,
            if_range: Note::Absent,
            range: Note::Absent,
            fields: Fields { octets: b"" },
        }
    }

    /// Reads the head of a request from the start of `octets` into a [new](Request::new) request.
    ///
    /// Returns the number of octets of the head, empty lines before it included; `None` if it is
    /// not whole yet. The request is good for nothing then, nor after an error.
    #[inline]
    pub(crate) fn read(
        &mut self,
        octets: &'a [u8],
        limits: &Limits,
    ) -> Result<Option<usize>, BadRequest> {
        let within = octets.get(..limits.head).unwrap_or(octets);
        match head(within, limits, self) {
            Ok(len) => Ok(Some(len)),
            Err(Stop::Bad(bad)) => Err(bad),
            Err(Stop::Partial) if octets.len() < limits.head => Ok(None),
            Err(Stop::Partial) => Err(too_long(within)),
        }
    }

    /// The host that the target is on: an absolute form's authority, else Host (RFC 9112 3.2.2).
    ///
    /// Empty or `None` if the client gave none.
    pub(crate) fn host(&self) -> Option<&'a [u8]> {
        self.target.authority.or(self.host)
    }

    /// All field lines, in order.
    pub(crate) fn fields(&self) -> Fields<'a> {
        self.fields
    }

    /// The values of the field lines called `name`, in order.
    pub(crate) fn values(&self, name: &'static [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.fields
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    }

    /// The value of the first field line called `name`.
    pub(crate) fn value(&self, name: &'static [u8]) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// Whether there is a precondition (RFC 9110 13.1).
    pub(crate) fn is_conditional(&self) -> bool {
        self.if_match.first().is_some()
            || self.if_none_match.first().is_some()
            || self.if_modified_since.first().is_some()
            || self.if_unmodified_since.first().is_some()
    }

    /// The lines of Accept-Encoding; `None` if there is none.
    pub(crate) fn accept_encoding(&self) -> Option<Lines<'a>> {
        self.lines(&self.accept_encoding, b"Accept-Encoding")
    }

    /// The lines of If-Match; `None` if there is none.
    pub(crate) fn if_match(&self) -> Option<Lines<'a>> {
        self.lines(&self.if_match, b"If-Match")
    }

    /// The lines of If-None-Match; `None` if there is none.
    pub(crate) fn if_none_match(&self) -> Option<Lines<'a>> {
        self.lines(&self.if_none_match, b"If-None-Match")
    }

    /// If-Modified-Since; `None` also if it is repeated, which makes it invalid (RFC 9110 13.1.3).
    pub(crate) fn if_modified_since(&self) -> Option<&'a [u8]> {
        self.if_modified_since.once()
    }

    /// If-Unmodified-Since; `None` also if it is repeated, which makes it invalid (RFC 9110
    /// 13.1.4).
    pub(crate) fn if_unmodified_since(&self) -> Option<&'a [u8]> {
        self.if_unmodified_since.once()
    }

    /// If-Range: `None` if there is none, `Some(None)` if it is repeated, which makes it invalid.
    pub(crate) fn if_range(&self) -> Option<Option<&'a [u8]>> {
        self.if_range.first().map(|_| self.if_range.once())
    }

    /// Range; `None` also if it is repeated, which makes it invalid (RFC 9110 14.2).
    pub(crate) fn range(&self) -> Option<&'a [u8]> {
        self.range.once()
    }

    /// The lines of the field noted in `note`, called `name`.
    fn lines(&self, note: &Note<'a>, name: &'static [u8]) -> Option<Lines<'a>> {
        let first = Some(note.first()?);
        let rest = note.once().is_none().then_some(self.fields);
        Some(Lines { first, name, rest })
    }
}

/// The values of a field that is a list and may have several lines.
#[derive(Clone, Debug)]
pub(crate) struct Lines<'a> {
    /// The value of the first line, if there is but one.
    first: Option<&'a [u8]>,
    /// The field name.
    name: &'static [u8],
    /// Where to look for the lines, if there are several.
    rest: Option<Fields<'a>>,
}

impl Lines<'_> {
    /// Whether there are several lines.
    pub(crate) fn is_repeated(&self) -> bool {
        self.rest.is_some()
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        match &mut self.rest {
            None => self.first.take(),
            Some(rest) => rest
                .find(|field| field.name.eq_ignore_ascii_case(self.name))
                .map(|field| field.value),
        }
    }
}

/// Why a head was not read to its end.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// There are no more octets.
    Partial,
    /// A rule is broken.
    Bad(BadRequest),
}

impl From<BadRequest> for Stop {
    fn from(bad: BadRequest) -> Self {
        Stop::Bad(bad)
    }
}

/// As [`Request::read`], for those who don't mind that a request is copied.
pub(crate) fn parse<'a>(
    octets: &'a [u8],
    limits: &Limits,
) -> Result<Option<(Request<'a>, usize)>, BadRequest> {
    let mut request = Request::new();
    let len = request.read(octets, limits)?;
    Ok(len.map(|len| (request, len)))
}

/// Which limit a head breaks that begins with `octets` and is longer: without a single line whole,
/// it is the target that is too long.
#[cold]
fn too_long(octets: &[u8]) -> BadRequest {
    let line = octets
        .iter()
        .position(|octet| !matches!(octet, b'\r' | b'\n'))
        .and_then(|begin| octets.get(begin..))
        .unwrap_or_default();
    match scan::find(line, b'\n') {
        Some(_) => BadRequest::HeadTooLong,
        None => BadRequest::TargetTooLong,
    }
}

/// Whether what begins with `octets` says that it is a HEAD request, be it refused or not whole:
/// its response has no content (RFC 9110 9.3.2).
#[cold]
pub(crate) fn is_head(octets: &[u8]) -> bool {
    line::skip_empty(octets).is_ok_and(|rest| rest.starts_with(b"HEAD "))
}

/// Whether it is worth to read again a head that was not whole when it had `len` octets: whether
/// another line has ended.
pub(crate) fn has_new_line(octets: &[u8], len: usize) -> bool {
    octets
        .get(len..)
        .is_some_and(|new| scan::find(new, b'\n').is_some())
}

/// How many octets come to an end with the first empty line that ends in CRLF: the head of a
/// request without empty lines before it, unless it is malformed.
pub(crate) fn up_to_empty_line(octets: &[u8]) -> Option<usize> {
    let mut len = 0usize;
    loop {
        let line = scan::find(octets.get(len..)?, b'\n')?;
        len = len.checked_add(line)?.checked_add(1)?;
        if line == 1 && octets.get(..len)?.ends_with(b"\r\n") {
            return Some(len);
        }
    }
}

/// Reads a head into `request`, and says how many octets it has.
#[inline]
fn head<'a>(octets: &'a [u8], limits: &Limits, request: &mut Request<'a>) -> Result<usize, Stop> {
    let fields = match line::usual_start(octets, limits.target, request) {
        Some(rest) => rest,
        None => line::start(octets, limits.target, request)?,
    };
    let mut message = Message::default();
    let rest = field_lines(fields, limits.fields, request, &mut message)?;
    message.finish(request)?;
    let field_lines = fields.len().wrapping_sub(rest.len());
    request.fields.octets = fields.get(..field_lines).unwrap_or_default();
    // `rest` still has the empty line, a CRLF.
    Ok(octets.len().wrapping_sub(rest.len()).wrapping_add(2))
}

/// Reads field lines, and returns what follows them: the empty line.
#[inline(never)]
fn field_lines<'a>(
    octets: &'a [u8],
    limit: usize,
    request: &mut Request<'a>,
    message: &mut Message,
) -> Result<&'a [u8], Stop> {
    let mut rest = octets;
    let mut count = 0usize;
    loop {
        // Most lines are passed over in here, without a call: what they need stays in registers.
        let usual = loop {
            match line::usual_field(rest) {
                Some((Name::Other, _, Ok(after))) => {
                    rest = after;
                    count = count.wrapping_add(1);
                }
                usual => break usual,
            }
        };
        // Nothing of what was passed over is noted or refused: it is early enough to count it now.
        if count > limit {
            return Err(BadRequest::TooManyFields.into());
        }
        let (name, value, end) = match usual {
            Some(usual) => usual,
            None if rest.starts_with(b"\r\n") => return Ok(rest),
            None => line::field(rest)?,
        };
        rest = match end {
            Ok(after) => after,
            Err(unread) => line::end_of_value(unread)?,
        };
        count = count.wrapping_add(1);
        if count > limit {
            return Err(BadRequest::TooManyFields.into());
        }
        if name != Name::Other {
            // The value still has its CRLF.
            let len = value.len().wrapping_sub(rest.len()).wrapping_sub(2);
            let value = token::trim(value.get(..len).unwrap_or_default());
            message.note(request, name, value)?;
        }
    }
}
