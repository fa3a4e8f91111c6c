// SPDX-License-Identifier: GPL-2.0

//! Entry points of layer 1, compiled as the kernel compiles them, for `no_panic.sh` to look at.
//!
//! Each is there so that the optimizer keeps what it calls; none is ever run.

#![no_std]
#![allow(dead_code)]

/// The sources, laid out as in the module.
#[path = "../src"]
mod src {
    pub(crate) mod http;
}

use src::http;

use http::date;
use http::entity_tag::Change;
use http::entity_tag::EntityTag;
use http::framing::Body;
use http::framing::Drain;
use http::media_type;
use http::precondition;
use http::precondition::Validator;
use http::request;
use http::request::Limits;
use http::request::Version;
use http::response;
use http::response::Head;
use http::response::Status;
use http::target;

/// Heads, their fields and their preconditions.
#[inline(never)]
pub fn head(octets: &[u8], etag: &[u8], limits: [usize; 3], now: i64) -> u64 {
    let limits = Limits {
        head: limits[0],
        target: limits[1],
        fields: limits[2],
    };
    let Ok(Some((request, len))) = request::parse(octets, &limits) else {
        return 0;
    };
    let validator = Validator {
        etag,
        last_modified: now,
    };
    let verdict = precondition::evaluate(&request, &validator, now) as u64;
    let range = precondition::range_applies(&request, &validator, now) as u64;
    let fields = request
        .fields()
        .fold(0, |len, field| len ^ field.value.len());
    let agent = request.value(b"User-Agent").map_or(0, <[u8]>::len);
    let codings = request
        .accept_encoding()
        .map_or(0, |lines| lines.fold(0, |len, line| len ^ line.len()));
    let host = request.host().map_or(0, <[u8]>::len);
    verdict ^ range ^ (len ^ fields ^ agent ^ codings ^ host ^ request.method.name().len()) as u64
}

/// A head, as it is.
#[inline(never)]
pub fn parse<'a>(octets: &'a [u8], head: usize, out: &mut Option<(&'a [u8], usize)>) -> u64 {
    let limits = Limits {
        head,
        ..Limits::default()
    };
    match request::parse(octets, &limits) {
        Ok(Some((request, len))) => {
            *out = Some((request.target.path, len));
            1
        }
        Ok(None) => 0,
        Err(bad) => bad.index() as u64 ^ u64::from(bad.status().code()),
    }
}

/// Whether another line has ended.
#[inline(never)]
pub fn has_new_line(octets: &[u8], len: usize) -> bool {
    request::has_new_line(octets, len)
}

/// Names of files.
#[inline(never)]
pub fn normalize<'b>(path: &[u8], out: &'b mut [u8]) -> Option<(&'b [u8], &'static str)> {
    let path = target::normalize(path, out).ok()?;
    Some((path.name, media_type::of(path.name)))
}

/// Bodies.
#[inline(never)]
pub fn drain(octets: &[u8], length: u64) -> u64 {
    let mut drain = Drain::new(if length == 0 {
        Body::Chunked
    } else {
        Body::Length(length)
    });
    match drain.consume(octets) {
        Ok(progress) => progress.consumed as u64 ^ drain.at_least(),
        Err(bad) => bad.name().len() as u64,
    }
}

/// Dates, read.
#[inline(never)]
pub fn date_parse(octets: &[u8], now: i64) -> Option<i64> {
    date::parse(octets, now)
}

/// Dates, written.
#[inline(never)]
pub fn date_write(time: i64) -> [u8; 29] {
    date::write(time)
}

/// Heads of responses.
#[inline(never)]
pub fn response(
    out: &mut [u8],
    status: usize,
    octets: &[u8],
    text: &str,
    number: u64,
    change: &[u64; 4],
) -> Option<usize> {
    let status = *Status::ALL.get(status)?;
    let tag = EntityTag::new(&Change {
        cookie: Some(change[0]).filter(|cookie| *cookie != 0),
        seconds: change[1] as i64,
        nanoseconds: number as u32,
        size: change[2],
        inode: change[3],
    });
    let mut head = Head::new(out, status);
    head.date(&date::write(number as i64));
    head.server(octets);
    head.last_modified(number as i64, change[0] as i64);
    head.etag(tag.as_bytes());
    head.content_type(text);
    head.content_length(number);
    head.location(octets, number == 1, Some(octets));
    head.allow();
    head.accept_ranges();
    head.nosniff();
    head.retry_after(number as u32);
    head.lines(octets);
    head.connection(
        if number == 2 {
            Version::Http10
        } else {
            Version::Http11
        },
        status.has_content(),
    );
    head.finish()
}

/// Bodies of errors.
#[inline(never)]
pub fn error_body(out: &mut [u8], status: usize, detail: &str) -> Option<usize> {
    response::error_body(*Status::ALL.get(status)?, detail, out)
}
