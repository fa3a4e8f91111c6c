// SPDX-License-Identifier: GPL-2.0

//! The chunked transfer coding.
//!
//! The octets are a body, and what follows it. They are passed over whole, in pieces, and by a
//! model that has all of them before it.

use crate::common::hash;
use crate::common::is_field;
use crate::common::is_token;
use crate::http::bad_request::BadRequest;
use crate::http::framing::Body;
use crate::http::framing::Drain;
use crate::http::framing::CHUNK_LINE_LEN;

/// Checks `octets`.
pub fn run(octets: &[u8]) {
    let whole = drain(Body::Chunked, octets, octets.len().max(1));
    for size in [1, 1 + hash(octets) % 16] {
        assert_eq!(drain(Body::Chunked, octets, size), whole);
    }
    // The model knows no limits.
    if octets.len() < CHUNK_LINE_LEN as usize {
        let model = match model(octets) {
            Ok(len) => Ok((true, len)),
            Err(Stop::Partial) => Ok((false, octets.len())),
            Err(Stop::Bad) => Err(()),
        };
        assert_eq!(whole.map_err(|_| ()), model, "{}", octets.escape_ascii());
    }
    if let Ok((true, len)) = whole {
        // Nothing that follows makes a difference, and without its last octet it is not whole.
        assert_eq!(drain(Body::Chunked, &octets[..len], len), whole);
        assert_eq!(
            drain(Body::Chunked, &octets[..len - 1], len),
            Ok((false, len - 1))
        );
    }

    let length = hash(octets) % 64;
    let consumed = octets.len().min(length);
    for size in [1, 7, 64] {
        let body = drain(Body::Length(length as u64), octets, size);
        assert_eq!(body, Ok((length == consumed, consumed)));
    }
}

/// What comes of passing over a body in pieces of `size`: whether it ends, and how long it is.
fn drain(body: Body, octets: &[u8], size: usize) -> Result<(bool, usize), BadRequest> {
    let mut drain = Drain::new(body);
    let mut consumed = 0;
    for piece in octets.chunks(size) {
        if drain.is_done() {
            break;
        }
        let least = drain.at_least();
        let progress = drain.consume(piece)?;
        assert!(progress.consumed <= piece.len());
        assert!(progress.consumed == piece.len() || progress.is_done);
        assert!(!progress.is_done || progress.consumed as u64 >= least);
        assert_eq!(progress.is_done, drain.is_done());
        assert_eq!(drain.is_done(), drain.at_least() == 0);
        consumed += progress.consumed;
    }
    if drain.is_done() {
        let progress = drain.consume(octets).unwrap();
        assert!(progress.is_done && progress.consumed == 0);
    }
    Ok((drain.is_done(), consumed))
}

/// Why the model did not come to the end.
enum Stop {
    /// The octets are too few.
    Partial,
    /// They can't be a body, whatever follows.
    Bad,
}

/// A model of RFC 9112 7.1: a function for each rule of its grammar.
struct Model<'a> {
    /// All octets.
    octets: &'a [u8],
    /// How many of them are read.
    at: usize,
}

/// The length of a body.
fn model(octets: &[u8]) -> Result<usize, Stop> {
    let mut model = Model { octets, at: 0 };
    while model.chunk()? {}
    while model.trailer()? {}
    Ok(model.at)
}

impl Model<'_> {
    /// The next octet, which stays.
    fn next(&self) -> Result<u8, Stop> {
        self.octets.get(self.at).copied().ok_or(Stop::Partial)
    }

    /// Takes `expected`.
    fn take(&mut self, expected: &[u8]) -> Result<(), Stop> {
        for octet in expected {
            if self.next()? != *octet {
                return Err(Stop::Bad);
            }
            self.at += 1;
        }
        Ok(())
    }

    /// Takes all octets of a class, and says how many there were.
    fn run(&mut self, class: impl Fn(u8) -> bool) -> Result<usize, Stop> {
        let begin = self.at;
        while class(self.next()?) {
            self.at += 1;
        }
        Ok(self.at - begin)
    }

    /// Takes some octets of a class.
    fn some(&mut self, class: impl Fn(u8) -> bool) -> Result<(), Stop> {
        match self.run(class)? {
            0 => Err(Stop::Bad),
            _ => Ok(()),
        }
    }

    /// Takes bad white space.
    fn space(&mut self) -> Result<usize, Stop> {
        self.run(|octet| b" \t".contains(&octet))
    }

    /// `chunk / last-chunk`; whether it is not the last.
    fn chunk(&mut self) -> Result<bool, Stop> {
        let mut size = 0u64;
        let mut digits = 0;
        while let Some(digit) = char::from(self.next()?).to_digit(16) {
            size = size.checked_mul(16).ok_or(Stop::Bad)? + u64::from(digit);
            digits += 1;
            self.at += 1;
        }
        if digits == 0 {
            return Err(Stop::Bad);
        }
        self.extensions()?;
        self.take(b"\r\n")?;
        if size == 0 {
            return Ok(false);
        }
        let left = self.octets.len() - self.at;
        self.at += usize::try_from(size).map_or(left, |size| size.min(left));
        if size > left as u64 {
            return Err(Stop::Partial);
        }
        self.take(b"\r\n")?;
        Ok(true)
    }

    /// `chunk-ext`
    fn extensions(&mut self) -> Result<(), Stop> {
        loop {
            let space = self.space()?;
            if self.next()? != b';' {
                return if space == 0 { Ok(()) } else { Err(Stop::Bad) };
            }
            self.at += 1;
            self.space()?;
            self.some(is_token)?;
            let begin = self.at;
            self.space()?;
            if self.next()? != b'=' {
                if self.next()? != b';' {
                    // White space is part of an extension only if something follows it.
                    return if self.at == begin {
                        Ok(())
                    } else {
                        Err(Stop::Bad)
                    };
                }
                continue;
            }
            self.at += 1;
            self.space()?;
            if self.next()? == b'"' {
                self.quoted()?;
            } else {
                self.some(is_token)?;
            }
        }
    }

    /// `quoted-string`
    fn quoted(&mut self) -> Result<(), Stop> {
        self.take(b"\"")?;
        loop {
            let octet = self.next()?;
            self.at += 1;
            match octet {
                b'"' => return Ok(()),
                b'\\' => {
                    if !is_field(self.next()?) {
                        return Err(Stop::Bad);
                    }
                    self.at += 1;
                }
                _ if is_field(octet) => {}
                _ => return Err(Stop::Bad),
            }
        }
    }

    /// A line of `trailer-section`; false is the empty line.
    fn trailer(&mut self) -> Result<bool, Stop> {
        if self.next()? == b'\r' {
            self.take(b"\r\n")?;
            return Ok(false);
        }
        self.some(is_token)?;
        self.take(b":")?;
        self.run(is_field)?;
        self.take(b"\r\n")?;
        Ok(true)
    }
}
