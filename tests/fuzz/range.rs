// SPDX-License-Identifier: GPL-2.0

//! Range.
//!
//! The octets are its value. A model selects by sets of ranges, without a place to keep them in.

use std::vec;
use std::vec::Vec;

use crate::common::trim;
use crate::http::range;
use crate::http::range::Selection;
use crate::http::range::GAP;
use crate::http::range::MAX_PARTS;
use crate::http::range::MAX_SPECS;

/// Checks `octets`.
pub fn run(octets: &[u8]) {
    for length in [0, 1, 2, 100, 1000, 100_000, u64::MAX] {
        let selection = range::select(octets, length);
        let kept: Option<Vec<(u64, u64)>> = match &selection {
            Selection::Whole => None,
            Selection::One(range) => Some(vec![(range.first, range.end)]),
            Selection::Many(ranges) => {
                let ranges = ranges.as_slice();
                assert!(ranges.len() > 1);
                Some(
                    ranges
                        .iter()
                        .map(|range| (range.first, range.end))
                        .collect(),
                )
            }
            Selection::Unsatisfiable => Some(vec![]),
        };
        assert_eq!(
            kept,
            model(octets, length),
            "{} of {length}",
            octets.escape_ascii()
        );
        // Nothing is sent twice, and nothing that isn't there.
        let mut kept = kept.unwrap_or_default();
        kept.sort();
        assert!(kept
            .iter()
            .all(|(first, end)| first < end && *end <= length));
        assert!(kept.windows(2).all(|pair| pair[1].0 - pair[0].1 >= GAP));
    }
}

/// The ranges to be sent, none if the Range is not satisfiable; `None` if all is to be sent.
fn model(value: &[u8], length: u64) -> Option<Vec<(u64, u64)>> {
    let value = std::str::from_utf8(value).ok()?;
    let (unit, set) = value.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") || length == 0 {
        return None;
    }
    let specs = set.split(',').map(|spec| trim(spec.as_bytes()));
    let specs: Vec<&[u8]> = specs.filter(|spec| !spec.is_empty()).collect();
    if specs.is_empty() || specs.len() > MAX_SPECS {
        return None;
    }
    let mut asked = vec![];
    let mut most = 0;
    for spec in specs {
        let (first, last) = std::str::from_utf8(spec).ok()?.split_once('-')?;
        let is_number = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
        if !is_number(first) || !is_number(last) || (first.is_empty() && last.is_empty()) {
            return None;
        }
        let value = |text: &str| text.parse().unwrap_or(u64::MAX);
        let (begin, end) = if first.is_empty() {
            (length - value(last).min(length), length)
        } else if last.is_empty() {
            (value(first), length)
        } else {
            // As numbers of any length: without leading zeros the longer is the greater.
            let (a, b) = (first.trim_start_matches('0'), last.trim_start_matches('0'));
            if (a.len(), a) > (b.len(), b) {
                return None;
            }
            (value(first), value(last).saturating_add(1).min(length))
        };
        if begin < end {
            asked.push((begin, end));
            most = most.max(joined(&asked).len());
        }
    }
    // There was no room for them, if only for a while.
    Some(joined(&asked)).filter(|_| most <= MAX_PARTS)
}

/// Ranges, those that are near joined, each in the place of the first that is in it.
fn joined(asked: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut sorted: Vec<(u64, u64, usize)> = vec![];
    for (place, (begin, end)) in asked.iter().enumerate() {
        sorted.push((*begin, *end, place));
    }
    sorted.sort();
    let mut joined: Vec<(u64, u64, usize)> = vec![];
    for (begin, end, place) in sorted {
        match joined.last_mut() {
            Some(last) if begin < last.1.saturating_add(GAP) => {
                last.1 = last.1.max(end);
                last.2 = last.2.min(place);
            }
            _ => joined.push((begin, end, place)),
        }
    }
    joined.sort_by_key(|range| range.2);
    joined.iter().map(|range| (range.0, range.1)).collect()
}
