// SPDX-License-Identifier: GPL-2.0

//! Layer 1, the protocol: HTTP/1.x messages as pure functions of octets.
//!
//! Nothing here knows the kernel, allocates, waits or reads a clock. Octets come in as `&[u8]`,
//! values go out, and what is written is written into a `&mut [u8]` of the caller. No code path can
//! panic.
//!
//! # The dialect
//!
//! What is ambiguous is refused and the connection closed; nothing is repaired. Where RFC 9112 lets
//! a recipient choose between leniency and refusal, the choice made here is:
//!
//! | matter | choice | RFC 9112 |
//! |---|---|---|
//! | empty lines before a request | up to [`request::LEADING_EMPTY_LINES`], each a CRLF | 2.2 |
//! | a line that ends in LF alone; CR without LF | refused | 2.2 |
//! | white space before the first field line | refused | 2.2 |
//! | separators of the request line | exactly one SP each | 3 |
//! | a method longer than [`request::METHOD_LEN`] | 501 | 3 |
//! | octets of a target | any VCHAR but `#`; obs-text is refused | 3.2 |
//! | HTTP/0.9 | refused | 2.3, C.1 |
//! | `HTTP/1.2` to `HTTP/1.9` | treated as 1.1; other major versions are 505 | 2.3 |
//! | white space before the colon, obs-fold, control octets | refused | 5.1, 5.2, 5.5 of 9110 |
//! | several Content-Length lines or values, even when equal | refused | 6.3 |
//! | Transfer-Encoding in HTTP/1.0, or with Content-Length | refused | 6.1 |
//! | empty elements in Transfer-Encoding | refused | 6.1 |
//! | `chunked` that is not last, or has parameters | refused | 6.1, 7.1 |
//! | white space after a chunk size without an extension | refused | 7.1.1 |
//! | trailer fields | checked, then ignored | 7.1.2 |
//! | a Range that is not valid, or of an empty representation | ignored | 14.2 of 9110 |
//! | a Range of many specs or parts ([`range`]) | ignored | 14.2, 17.15 of 9110 |
//! | ranges that are near each other ([`range::GAP`]) | made one | 15.3.7.2 of 9110 |
//! | what follows CONNECT | not read: the connection closes | 9.3.6 of 9110 |
//!
//! # Limits
//!
//! The length of a head, of its target and the number of its fields are the caller's
//! ([`request::Limits`]); the length of a chunk's line and of a trailer section are constants of
//! [`framing`], the number of ranges those of [`range`]. Lengths of bodies and of representations
//! are 64 bits wide.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

mod accept;
mod media_range;
mod scan;
mod token;
mod weight;

pub(crate) mod bad_request;
pub(crate) mod cache_control;
pub(crate) mod content_coding;
pub(crate) mod date;
pub(crate) mod entity_tag;
pub(crate) mod extra_fields;
pub(crate) mod framing;
pub(crate) mod handoff;
pub(crate) mod listing;
pub(crate) mod media_type;
pub(crate) mod multipart;
pub(crate) mod precondition;
pub(crate) mod range;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod status;
pub(crate) mod target;
pub(crate) mod writer;
