// SPDX-License-Identifier: GPL-2.0

//! Accept-Encoding.
//!
//! The octets are its value, each line of them that of a field line. A model gives each coding its
//! weight, and sorts them.

use std::vec;
use std::vec::Vec;

use crate::common::trim;
use crate::http::content_coding::Accepted;
use crate::http::content_coding::Coding;
use crate::http::request;
use crate::http::request::Limits;

/// Checks `octets`.
pub fn run(octets: &[u8]) {
    let mut head = b"GET / HTTP/1.0\r\n".to_vec();
    let lines: Vec<&[u8]> = octets.split(|o| *o == b'\n').collect();
    for line in &lines {
        head.extend([b"Accept-Encoding:", *line, b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    let Ok(Some((request, len))) = request::parse(&head, &Limits::default()) else {
        return;
    };
    assert_eq!(len, head.len());
    let accepted = Accepted::new(request.accept_encoding());
    let order: Vec<Coding> = accepted.into_iter().collect();
    assert_eq!(order, model(&lines), "{}", octets.escape_ascii());
    assert!(order.contains(&Coding::Identity));
    assert_eq!(accepted.is_identity(), order[0] == Coding::Identity);
    assert_eq!(Accepted::new(None), Accepted::IDENTITY);
}

/// The codings that are accepted, by weight, then as we prefer them.
fn model(lines: &[&[u8]]) -> Vec<Coding> {
    let mut weights: Vec<(Vec<u8>, u32)> = vec![];
    for element in lines.iter().flat_map(|line| line.split(|o| *o == b',')) {
        let text = trim(element).to_ascii_lowercase();
        let (name, parameter) = match text.iter().position(|o| *o == b';') {
            Some(at) => (&text[..at], Some(trim(&text[at + 1..]))),
            None => (&text[..], None),
        };
        let weight = match parameter {
            None => Some(1000),
            Some(parameter) => parameter.strip_prefix(b"q=").and_then(weight),
        };
        let name = match trim(name) {
            b"x-gzip" => b"gzip",
            name => name,
        };
        weights.extend(weight.map(|weight| (name.to_vec(), weight)));
    }
    let least = |name: &str| {
        let named = weights.iter().filter(|weight| weight.0 == name.as_bytes());
        named.map(|weight| weight.1).min()
    };
    let mut order: Vec<(u32, Coding)> = vec![];
    for (name, coding) in [
        ("br", Coding::Brotli),
        ("zstd", Coding::Zstd),
        ("gzip", Coding::Gzip),
        ("identity", Coding::Identity),
    ] {
        let weight = least(name).or(least("*")).unwrap_or(0);
        if weight > 0 || coding == Coding::Identity {
            order.push((weight, coding));
        }
    }
    order.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    order.iter().map(|(_, coding)| *coding).collect()
}

/// A `qvalue` in thousandths (RFC 9110 12.4.2).
fn weight(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = fraction.len() <= 3 && fraction.bytes().all(|o| o.is_ascii_digit());
    if !is_number || !["0", "1"].contains(&whole) {
        return None;
    }
    let weight = std::format!("{whole}{fraction:0<3}").parse().ok()?;
    Some(weight).filter(|weight| *weight <= 1000)
}
