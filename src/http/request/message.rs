// SPDX-License-Identifier: GPL-2.0

//! What field lines say of their message: its framing, and whether the connection persists (RFC
//! 9112 6, 9).

use super::super::bad_request::BadRequest;
use super::super::framing::Body;
use super::super::scan;
use super::super::target;
use super::super::token;
use super::super::token::NotDecimal;
use super::name::Name;
use super::Expect;
use super::Method;
use super::Request;
use super::Version;

/// What the field lines say of the message, until all of them are seen.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// Content-Length.
    content_length: Option<u64>,
    /// Whether there is a Transfer-Encoding.
    transfer_encoding: bool,
    /// Whether its last coding so far is `chunked`.
    chunked: bool,
    /// Whether it has a coding that is not known.
    unknown_coding: bool,
    /// Whether Connection has `close`.
    close: bool,
    /// Whether Connection has `keep-alive`.
    keep_alive: bool,
}

impl Message {
    /// Notes a field line whose name is not [`Name::Other`]; its value is trimmed.
    #[inline(always)]
    pub(super) fn note<'a>(
        &mut self,
        request: &mut Request<'a>,
        name: Name,
        value: &'a [u8],
    ) -> Result<(), BadRequest> {
        // Those that nearly every request has.
        match name {
            Name::Host => host(request, value),
            Name::AcceptEncoding => {
                request.accept_encoding.add(value);
                Ok(())
            }
            Name::Connection if scan::is_named(value, b"keep-alive") => {
                self.keep_alive = true;
                Ok(())
            }
            name => self.note_other(request, name, value),
        }
    }

    /// [`Message::note`] for the other fields.
    #[inline(never)]
    fn note_other<'a>(
        &mut self,
        request: &mut Request<'a>,
        name: Name,
        value: &'a [u8],
    ) -> Result<(), BadRequest> {
        match name {
            Name::Other | Name::Host | Name::AcceptEncoding => {}
            Name::Connection => self.connection(value),
            Name::IfNoneMatch => request.if_none_match.add(value),
            Name::IfModifiedSince => request.if_modified_since.add(value),
            Name::Range => request.range.add(value),
            Name::IfRange => request.if_range.add(value),
            Name::IfMatch => request.if_match.add(value),
            Name::IfUnmodifiedSince => request.if_unmodified_since.add(value),
            Name::Upgrade => request.upgrade = true,
            Name::Expect => expect(request, value),
            Name::ContentLength => return self.content_length(value),
            Name::TransferEncoding => return self.transfer_encoding(value),
        }
        Ok(())
    }

    /// Notes Connection (RFC 9110 7.6.1).
    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|&octet| octet == b',') {
            let option = token::trim(option);
            match option.len() {
                5 if scan::is_named(option, b"close") => self.close = true,
                10 if scan::is_named(option, b"keep-alive") => self.keep_alive = true,
                _ => {}
            }
        }
    }

    /// Notes Content-Length (RFC 9110 8.6).
    fn content_length(&mut self, value: &[u8]) -> Result<(), BadRequest> {
        let length = token::decimal(value).map_err(|not| match not {
            NotDecimal::Syntax => BadRequest::InvalidContentLength,
            NotDecimal::TooLarge => BadRequest::ContentLengthTooLarge,
        })?;
        if self.content_length.replace(length).is_some() {
            return Err(BadRequest::DuplicateContentLength);
        }
        Ok(())
    }

    /// Notes Transfer-Encoding (RFC 9112 6.1, RFC 9110 10.1.4).
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), BadRequest> {
        self.transfer_encoding = true;
        for coding in value.split(|&octet| octet == b',') {
            let coding = token::trim(coding);
            let (name, parameters) = coding
                .split_at_checked(scan::token_len(coding))
                .unwrap_or((coding, b""));
            if name.is_empty() || !matches!(token::trim(parameters), [] | [b';', ..]) {
                return Err(BadRequest::InvalidTransferEncoding);
            }
            if self.chunked {
                return Err(BadRequest::ChunkedNotLast);
            }
            if name.eq_ignore_ascii_case(b"chunked") {
                // RFC 9112 7.1: parameters of chunked are an error.
                if !parameters.is_empty() {
                    return Err(BadRequest::InvalidTransferEncoding);
                }
                self.chunked = true;
            } else {
                self.unknown_coding = true;
            }
        }
        Ok(())
    }

    /// Checks what can be checked only when all field lines are seen.
    #[inline]
    pub(super) fn finish(&self, request: &mut Request<'_>) -> Result<(), BadRequest> {
        if request.host.is_none() && request.version == Version::Http11 {
            return Err(BadRequest::NoHost);
        }
        if self.transfer_encoding {
            if self.content_length.is_some() {
                return Err(BadRequest::TwoLengths);
            }
            if request.version == Version::Http10 {
                return Err(BadRequest::TransferEncodingInHttp10);
            }
            if !self.chunked {
                return Err(BadRequest::NotChunkedLast);
            }
            if self.unknown_coding {
                return Err(BadRequest::UnknownTransferCoding);
            }
            request.body = Body::Chunked;
        } else if let Some(length) = self.content_length.filter(|&length| length != 0) {
            request.body = Body::Length(length);
        }
        if request.version == Version::Http10 {
            request.is_persistent = self.keep_alive;
            // RFC 9110 10.1.1: an HTTP/1.0 client can't mean it.
            if request.expect == Expect::Continue {
                request.expect = Expect::Nothing;
            }
        }
        // RFC 9110 9.3.6: CONNECT has no content, so that some pass over what its fields call its
        // length, and some don't. Nothing is read after it.
        if self.close || request.method == Method::Connect {
            request.is_persistent = false;
        }
        Ok(())
    }
}

/// Notes Host (RFC 9110 7.2).
#[inline]
fn host<'a>(request: &mut Request<'a>, value: &'a [u8]) -> Result<(), BadRequest> {
    if request.host.is_some() {
        return Err(BadRequest::DuplicateHost);
    }
    if !value.is_empty() && !target::is_authority(value) {
        return Err(BadRequest::InvalidHost);
    }
    request.host = Some(value);
    Ok(())
}

/// Notes Expect (RFC 9110 10.1.1).
fn expect(request: &mut Request<'_>, value: &[u8]) {
    for expectation in value.split(|&octet| octet == b',') {
        let expectation = token::trim(expectation);
        if expectation.eq_ignore_ascii_case(b"100-continue") {
            if request.expect == Expect::Nothing {
                request.expect = Expect::Continue;
            }
        } else if !expectation.is_empty() {
            request.expect = Expect::Unknown;
        }
    }
}
