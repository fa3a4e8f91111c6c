// SPDX-License-Identifier: GPL-2.0

//! The length of a message body, and how its octets are passed over (RFC 9112 6, 7).
//!
//! A static server has no use for the body of a request, but must know where it ends: [`Drain`]
//! says so. Nothing is stored of a body; a chunked one is checked as strictly as a head is.
//!
//! ```text
//!            +------------------------------------------------+
//!            v                                                |
//!   Size --+-------------> SizeLf --(size > 0)--> Data -> DataCr -> DataLf
//!          |               ^  |
//!          +-> extension --+  +-----(size = 0)--> TrailerStart --> EndLf -> Done
//!                                                  ^         |
//!                              TrailerLf <- TrailerValue <- TrailerName
//! ```

use super::bad_request::BadRequest;
use super::token;

/// The length of the longest chunk size with its extensions, without CRLF (RFC 9112 7.1.1).
pub(crate) const CHUNK_LINE_LEN: u32 = 1024;

/// The length of the longest trailer section (RFC 9112 7.1.2).
pub(crate) const TRAILERS_LEN: u32 = 8192;

/// How the length of a request's body is found (RFC 9112 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// There is none.
    None,
    /// It is so many octets, more than 0.
    Length(u64),
    /// It ends where the chunked coding says.
    Chunked,
}

/// How far some octets led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// How many of the octets belong to the body.
    pub(crate) consumed: usize,
    /// Whether the body is at its end: the next octet is of the next request.
    pub(crate) is_done: bool,
}

/// Passes over a body, in whatever pieces it comes.
#[derive(Debug)]
pub(crate) enum Drain {
    /// So many octets are left.
    Length(u64),
    /// A chunked body is left.
    Chunked(Chunked),
}

impl Drain {
    /// What has to be passed over for `body`.
    pub(crate) fn new(body: Body) -> Self {
        match body {
            Body::None => Drain::Length(0),
            Body::Length(length) => Drain::Length(length),
            Body::Chunked => Drain::Chunked(Chunked::new()),
        }
    }

    /// Whether the body is at its end.
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Drain::Length(left) => *left == 0,
            Drain::Chunked(chunked) => chunked.is_done(),
        }
    }

    /// How many octets the body still has at least; what is known before they are there.
    pub(crate) fn at_least(&self) -> u64 {
        match self {
            Drain::Length(left) => *left,
            Drain::Chunked(chunked) if chunked.is_done() => 0,
            Drain::Chunked(chunked) => chunked.left.max(1),
        }
    }

    /// Passes over those of `octets` that belong to the body.
    pub(crate) fn consume(&mut self, octets: &[u8]) -> Result<Progress, BadRequest> {
        match self {
            Drain::Length(left) => {
                let consumed = take(left, octets.len());
                Ok(Progress {
                    consumed,
                    is_done: *left == 0,
                })
            }
            Drain::Chunked(chunked) => chunked.consume(octets),
        }
    }
}

/// Takes up to `available` from `left`, and says how much.
#[inline]
fn take(left: &mut u64, available: usize) -> usize {
    // What does not fit in `usize` is more than `available`.
    let taken = usize::try_from(*left).map_or(available, |left| left.min(available));
    *left = left.saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX));
    taken
}

/// What is expected next of a chunked body (RFC 9112 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first digit of a chunk size.
    SizeStart,
    /// Another digit, an extension, or CR.
    Size,
    /// White space between a size or an extension and `;`.
    BeforeExtension,
    /// White space after `;`, or the start of an extension's name.
    ExtensionStart,
    /// More of an extension's name.
    ExtensionName,
    /// White space after an extension's name.
    AfterExtensionName,
    /// White space after `=`, or the start of an extension's value.
    ValueStart,
    /// More of a value that is a token.
    ValueToken,
    /// More of a value that is a quoted string.
    ValueQuoted,
    /// What is quoted by a backslash.
    ValueEscaped,
    /// `;` or CR after a quoted string.
    AfterQuoted,
    /// LF after a chunk size.
    SizeLf,
    /// Data.
    Data,
    /// CR after data.
    DataCr,
    /// LF after data.
    DataLf,
    /// A trailer field, or CR.
    TrailerStart,
    /// More of a trailer field's name.
    TrailerName,
    /// More of a trailer field's value.
    TrailerValue,
    /// LF after a trailer field.
    TrailerLf,
    /// The last LF.
    EndLf,
    /// Nothing.
    Done,
}

/// A decoder of the chunked transfer coding that keeps its place, and nothing else.
#[derive(Debug)]
pub(crate) struct Chunked {
    /// What is expected next.
    state: State,
    /// The size of the chunk while it is read, then what is left of its data; 0 between chunks.
    left: u64,
    /// The length of the chunk's line, or of the trailer section, so far; 0 between them.
    line: u32,
}

impl Chunked {
    /// A decoder at the start of a body.
    pub(crate) fn new() -> Self {
        Self {
            state: State::SizeStart,
            left: 0,
            line: 0,
        }
    }

    /// Whether the body is at its end.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Passes over those of `octets` that belong to the body.
    ///
    /// After an error the decoder is of no more use: where the body ends is not known.
    pub(crate) fn consume(&mut self, octets: &[u8]) -> Result<Progress, BadRequest> {
        let mut rest = octets;
        while self.state != State::Done {
            if self.state == State::Data {
                rest = rest
                    .get(take(&mut self.left, rest.len())..)
                    .unwrap_or_default();
                if self.left == 0 {
                    self.state = State::DataCr;
                }
            }
            let Some((&octet, more)) = rest.split_first() else {
                break;
            };
            self.state = self.step(octet)?;
            rest = more;
        }
        Ok(Progress {
            consumed: octets.len().wrapping_sub(rest.len()),
            is_done: self.is_done(),
        })
    }

    /// The state after `octet`.
    #[inline]
    fn step(&mut self, octet: u8) -> Result<State, BadRequest> {
        match self.state {
            State::SizeStart => self.digit(octet),
            State::Size => match octet {
                b'\r' => Ok(State::SizeLf),
                b';' => self.extension(State::ExtensionStart),
                b' ' | b'\t' => self.extension(State::BeforeExtension),
                _ => self.digit(octet),
            },
            State::BeforeExtension => match octet {
                b';' => self.extension(State::ExtensionStart),
                b' ' | b'\t' => self.extension(State::BeforeExtension),
                _ => Err(BadRequest::InvalidChunkExtension),
            },
            State::ExtensionStart => match octet {
                b' ' | b'\t' => self.extension(State::ExtensionStart),
                _ if token::is_token(octet) => self.extension(State::ExtensionName),
                _ => Err(BadRequest::InvalidChunkExtension),
            },
            State::ExtensionName => match octet {
                b'\r' => Ok(State::SizeLf),
                b';' => self.extension(State::ExtensionStart),
                b'=' => self.extension(State::ValueStart),
                b' ' | b'\t' => self.extension(State::AfterExtensionName),
                _ if token::is_token(octet) => self.extension(State::ExtensionName),
                _ => Err(BadRequest::InvalidChunkExtension),
            },
            State::AfterExtensionName => match octet {
                b';' => self.extension(State::ExtensionStart),
                b'=' => self.extension(State::ValueStart),
                b' ' | b'\t' => self.extension(State::AfterExtensionName),
                _ => Err(BadRequest::InvalidChunkExtension),
            },
            State::ValueStart => match octet {
                b' ' | b'\t' => self.extension(State::ValueStart),
                b'"' => self.extension(State::ValueQuoted),
                _ if token::is_token(octet) => self.extension(State::ValueToken),
                _ => Err(BadRequest::InvalidChunkExtension),
            },
            State::ValueToken => match octet {
                b'\r' => Ok(State::SizeLf),
                b';' => self.extension(State::ExtensionStart),
                b' ' | b'\t' => self.extension(State::BeforeExtension),
                _ if token::is_token(octet) => self.extension(State::ValueToken),
                _ => Err(BadRequest::InvalidChunkExtension),
            },
            State::ValueQuoted => match octet {
                b'"' => self.extension(State::AfterQuoted),
                b'\\' => self.extension(State::ValueEscaped),
                _ if token::is_field(octet) => self.extension(State::ValueQuoted),
                _ => Err(BadRequest::InvalidChunkExtension),
            },
            State::ValueEscaped => match octet {
                _ if token::is_field(octet) => self.extension(State::ValueQuoted),
                _ => Err(BadRequest::InvalidChunkExtension),
            },
            State::AfterQuoted => match octet {
                b'\r' => Ok(State::SizeLf),
                b';' => self.extension(State::ExtensionStart),
                b' ' | b'\t' => self.extension(State::BeforeExtension),
                _ => Err(BadRequest::InvalidChunkExtension),
            },
            State::SizeLf => {
                self.line = 0;
                match octet {
                    b'\n' if self.left == 0 => Ok(State::TrailerStart),
                    b'\n' => Ok(State::Data),
                    _ => Err(BadRequest::BareCr),
                }
            }
            State::Data | State::DataCr => match octet {
                b'\r' => Ok(State::DataLf),
                _ => Err(BadRequest::NoChunkEnd),
            },
            State::DataLf => match octet {
                b'\n' => Ok(State::SizeStart),
                _ => Err(BadRequest::NoChunkEnd),
            },
            State::TrailerStart => match octet {
                b'\r' => Ok(State::EndLf),
                b'\n' => Err(BadRequest::BareLf),
                b':' => Err(BadRequest::EmptyFieldName),
                b' ' | b'\t' => Err(BadRequest::ObsFold),
                _ if token::is_token(octet) => self.trailer(State::TrailerName),
                _ => Err(BadRequest::InvalidFieldName),
            },
            State::TrailerName => match octet {
                b':' => self.trailer(State::TrailerValue),
                b'\r' | b'\n' => Err(BadRequest::NoColon),
                b' ' | b'\t' => Err(BadRequest::SpaceBeforeColon),
                _ if token::is_token(octet) => self.trailer(State::TrailerName),
                _ => Err(BadRequest::InvalidFieldName),
            },
            State::TrailerValue => match octet {
                b'\r' => self.trailer(State::TrailerLf),
                b'\n' => Err(BadRequest::BareLf),
                _ if token::is_field(octet) => self.trailer(State::TrailerValue),
                _ => Err(BadRequest::InvalidFieldValue),
            },
            State::TrailerLf => match octet {
                b'\n' => self.trailer(State::TrailerStart),
                _ => Err(BadRequest::BareCr),
            },
            State::EndLf => match octet {
                b'\n' => Ok(State::Done),
                _ => Err(BadRequest::BareCr),
            },
            State::Done => Ok(State::Done),
        }
    }

    /// Adds a digit to the chunk size.
    #[inline]
    fn digit(&mut self, octet: u8) -> Result<State, BadRequest> {
        let digit = match token::hex(octet) {
            Some(digit) => digit,
            None if octet == b'\n' => return Err(BadRequest::BareLf),
            None => return Err(BadRequest::InvalidChunkSize),
        };
        self.left = self
            .left
            .checked_mul(16)
            .ok_or(BadRequest::ChunkTooLarge)?
            .wrapping_add(u64::from(digit));
        self.extension(State::Size)
    }

    /// Counts an octet of a chunk's line; `state` comes after it.
    #[inline]
    fn extension(&mut self, state: State) -> Result<State, BadRequest> {
        self.line = self.line.saturating_add(1);
        if self.line > CHUNK_LINE_LEN {
            return Err(BadRequest::ChunkLineTooLong);
        }
        Ok(state)
    }

    /// Counts an octet of the trailer section; `state` comes after it.
    #[inline]
    fn trailer(&mut self, state: State) -> Result<State, BadRequest> {
        self.line = self.line.saturating_add(1);
        if self.line > TRAILERS_LEN {
            return Err(BadRequest::TrailersTooLong);
        }
        Ok(state)
    }
}
