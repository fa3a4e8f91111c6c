// SPDX-License-Identifier: GPL-2.0

//! Accept (RFC 9110 12.5.1): how much a client likes a media type.

use super::media_range::MediaRange;
use super::media_range::Specificity;
use super::scan;
use super::token;
use super::weight;
use super::weight::Weight;

/// How much a media type is liked: by weight, then by how closely it is described. Who writes
/// `application/json, */*` wants the former, although both have the same weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Liking {
    /// The weight.
    weight: Weight,
    /// How specific the media range is that gives it.
    specificity: Specificity,
    /// Whether that has parameters, which the media type has too.
    has_parameters: bool,
}

/// How much `media_type`, in UTF-8, is liked according to the lines of Accept; all are equally if
/// there are none.
///
/// An element that breaks the grammar is ignored (RFC 9110 2.4), and so is one that asks for a
/// parameter: there is none but `charset`.
pub(super) fn liking<'a>(lines: impl Iterator<Item = &'a [u8]>, media_type: &[u8]) -> Liking {
    let mut best: Option<Liking> = None;
    let mut is_any = true;
    let media_type = MediaRange::parse(media_type);
    for line in lines {
        is_any = false;
        let mut rest = Some(line);
        while let Some(list) = rest {
            let (element, more) = split(list, b',');
            rest = more;
            let Some(liking) = media_type.and_then(|media_type| element_of(element, media_type))
            else {
                continue;
            };
            // The most specific counts, and the heavier of two that are equally so.
            let key = |liking: Liking| (liking.specificity, liking.has_parameters, liking.weight);
            if best.is_none_or(|best| key(best) < key(liking)) {
                best = Some(liking);
            }
        }
    }
    best.unwrap_or(Liking {
        weight: if is_any { weight::FULL } else { 0 },
        specificity: Specificity::Any,
        has_parameters: false,
    })
}

/// What an element of Accept, `media-range [ weight ]`, says of `media_type`, if it matches.
fn element_of(element: &[u8], media_type: MediaRange<'_>) -> Option<Liking> {
    let (range, mut rest) = split(element, b';');
    let mut liking = Liking {
        weight: weight::FULL,
        specificity: MediaRange::parse(token::trim(range))?.matches(media_type)?,
        has_parameters: false,
    };
    while let Some(parameters) = rest {
        let (parameter, more) = split(parameters, b';');
        rest = more;
        let parameter = token::trim(parameter);
        if let [b'q' | b'Q', b'=', ..] = parameter {
            // What follows is no part of the media range (an extension of earlier standards).
            liking.weight = weight::parameter(parameter)?;
            return Some(liking);
        }
        let (name, value) = parameter.split_at_checked(scan::token_len(parameter))?;
        // RFC 9110 5.6.6: there may be nothing between two semicolons.
        if !parameter.is_empty() {
            if !name.eq_ignore_ascii_case(b"charset") {
                return None;
            }
            let value = value.strip_prefix(b"=")?;
            let inner = value
                .strip_prefix(b"\"")
                .and_then(|v| v.strip_suffix(b"\""));
            if !inner.unwrap_or(value).eq_ignore_ascii_case(b"utf-8") {
                return None;
            }
            liking.has_parameters = true;
        }
    }
    Some(liking)
}

/// What is before the first `separator` that is not in a quoted string, and what is behind it.
fn split(octets: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    let mut is_quoted = false;
    let mut is_escaped = false;
    let mut rest = octets;
    while let Some((&octet, more)) = rest.split_first() {
        match octet {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            octet if octet == separator && !is_quoted => {
                let len = octets.len().saturating_sub(rest.len());
                return (octets.get(..len).unwrap_or_default(), Some(more));
            }
            _ => {}
        }
        rest = more;
    }
    (octets, None)
}
