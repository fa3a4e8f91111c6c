// SPDX-License-Identifier: GPL-2.0

//! Range (RFC 9110 14.1, 14.2): which octets of a representation a request asks for.
//!
//! # Valid, satisfiable, served
//!
//! A Range that is not valid is ignored, which is what 14.2 lets a server do with it: the answer is
//! the whole representation. It is not valid if any part of it isn't (14.1.1): an element that is
//! neither `first-pos "-" [ last-pos ]` nor `"-" suffix-length` (byte ranges don't use
//! `other-range`, 14.1.2), a last-pos less than its first-pos, or no element at all. What follows
//! `bytes=` may begin with white space, as in an example of 14.1.2; empty elements, and white space
//! around the commas, are passed over (5.6.1). Numbers have no greatest length: one that is more
//! than 64 bits wide is past the end of any representation.
//!
//! Of what is valid, only what is satisfiable is sent; if nothing is, the answer is 416 (15.5.17).
//! All of this is ignored (14.2) for a unit that is not `bytes`, for another method than GET (a
//! HEAD is answered with the head of the whole, as range handling is defined for GET alone), and
//! for an empty representation, of which no range could be written in a Content-Range.
//!
//! # Against amplification
//!
//! A request must not cost much more than its octets (17.15), nor its answer be longer than that to
//! a request without Range. So
//!
//! * at most [`MAX_SPECS`] specs are read, and at most [`MAX_PARTS`] ranges kept at a time, in a
//!   fixed array; what asks for more is ignored;
//! * ranges that overlap, touch, or have less than [`GAP`] octets between them are made one, as
//!   15.3.7.2 allows, whatever their order; so the ranges that remain are disjoint, and together
//!   not longer than the representation;
//! * one range that remains is sent as a single part, and several only where that is shorter than
//!   the whole ([`super::multipart`]).
//!
//! Parts are sent in the order in which they were asked for (15.3.7.2: SHOULD), those that were
//! made one in the place of the first of them.
//!
//! nginx takes any number of ranges (`max_ranges`), as they are, and ignores Range when together
//! they are longer than the file. Apache httpd joins neighbours that overlap or touch, and ignores
//! Range with more than 200 (`MaxRanges`), 20 joined (`MaxRangeOverlaps`), or 20 that go backwards
//! (`MaxRangeReversals`). To join all that is near makes the last two needless here, and the first
//! can be less: clients that want hundreds of ranges halve their number when they are answered with
//! the whole.

use super::precondition;
use super::precondition::Validator;
use super::request::Method;
use super::request::Request;
use super::scan;
use super::token;
use super::token::NotDecimal;

/// How many range-specs are read of one Range; empty elements don't count.
pub(crate) const MAX_SPECS: usize = 64;

/// How many ranges are kept, and sent.
pub(crate) const MAX_PARTS: usize = 16;

/// Ranges with fewer octets between them are made one: what a part costs at least (RFC 9110
/// 15.3.7.2).
pub(crate) const GAP: u64 = 80;

/// Octets of a representation, one at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ByteRange {
    /// Where the first is.
    pub(crate) first: u64,
    /// Where the first is that follows, at most the length of the representation.
    pub(crate) end: u64,
}

impl ByteRange {
    /// How many octets there are.
    pub(crate) fn len(self) -> u64 {
        self.end.saturating_sub(self.first)
    }

    /// Where the last octet is.
    pub(crate) fn last(self) -> u64 {
        self.end.saturating_sub(1)
    }

    /// Whether less than [`GAP`] octets are between the two.
    fn is_near(self, other: Self) -> bool {
        // One of the two is 0, or both when they overlap.
        let before = other.first.saturating_sub(self.end);
        let after = self.first.saturating_sub(other.end);
        before < GAP && after < GAP
    }

    /// The two, and what is between them.
    fn joined(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            end: self.end.max(other.end),
        }
    }
}

/// Ranges of one representation: disjoint, at least [`GAP`] octets apart, in the order in which
/// they were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    /// The ranges, then what is none.
    ranges: [ByteRange; MAX_PARTS],
    /// How many there are.
    len: usize,
}

impl Ranges {
    /// The ranges.
    pub(crate) fn as_slice(&self) -> &[ByteRange] {
        self.ranges.get(..self.len).unwrap_or_default()
    }

    /// Adds a range, joined with those near it, in the place of the first of them; false if there
    /// is no room.
    fn add(&mut self, range: ByteRange) -> bool {
        let mut range = range;
        let mut place = self.len;
        // Each that is joined may make it near to another.
        while let Some(near) = self.near(range) {
            range = range.joined(self.remove(near));
            place = place.min(near);
        }
        self.insert(place, range)
    }

    /// The place of the first range that is near `range`.
    fn near(&self, range: ByteRange) -> Option<usize> {
        let mut place = 0usize;
        for other in self.as_slice() {
            if range.is_near(*other) {
                return Some(place);
            }
            place = place.wrapping_add(1);
        }
        None
    }

    /// Removes the range at `place`, and says which it was.
    fn remove(&mut self, place: usize) -> ByteRange {
        let mut carried = ByteRange::default();
        let after = self.ranges.get_mut(place..self.len).unwrap_or_default();
        for range in after.iter_mut().rev() {
            core::mem::swap(range, &mut carried);
        }
        self.len = self.len.saturating_sub(1);
        carried
    }

    /// Inserts a range at `place`; false if there is no room.
    fn insert(&mut self, place: usize, range: ByteRange) -> bool {
        let Some(after) = self.ranges.get_mut(place..=self.len) else {
            return false;
        };
        let mut carried = range;
        for range in after {
            core::mem::swap(range, &mut carried);
        }
        self.len = self.len.saturating_add(1);
        true
    }
}

/// What is to be sent of a representation.
#[expect(
    clippy::large_enum_variant,
    reason = "nothing is allocated here; who keeps many ranges boxes them"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All of it: 200.
    Whole,
    /// One range: 206 with a Content-Range.
    One(ByteRange),
    /// Two ranges or more: 206 with `multipart/byteranges`; or all of it.
    Many(Ranges),
    /// None of it: 416 with the length in a Content-Range.
    Unsatisfiable,
}

/// The Range of `request` for a representation that has `validator`, if it is not to be ignored.
///
/// This is asked after the preconditions, if they lead to
/// [`Verdict::Proceed`](precondition::Verdict), and if the answer would be 200 (RFC 9110 14.2).
/// `now` is the time in seconds.
pub(crate) fn of<'a>(
    request: &Request<'a>,
    validator: &Validator<'_>,
    now: i64,
) -> Option<&'a [u8]> {
    request.range().filter(|_| {
        request.method == Method::Get && precondition::range_applies(request, validator, now)
    })
}

/// What `value`, that of Range, asks for of a representation of `length` octets.
#[inline(never)]
pub(crate) fn select(value: &[u8], length: u64) -> Selection {
    let Some(set) = byte_range_set(value).filter(|_| length != 0) else {
        return Selection::Whole;
    };
    let mut ranges = Ranges::default();
    let mut count = 0usize;
    for element in set.split(|&octet| octet == b',') {
        let spec = token::trim(element);
        if spec.is_empty() {
            continue;
        }
        if count == MAX_SPECS {
            return Selection::Whole;
        }
        count = count.wrapping_add(1);
        match resolve(spec, length) {
            None => return Selection::Whole,
            Some(None) => {}
            Some(Some(range)) => {
                if !ranges.add(range) {
                    return Selection::Whole;
                }
            }
        }
    }
    match ranges.as_slice() {
        [] if count == 0 => Selection::Whole,
        [] => Selection::Unsatisfiable,
        [range] => Selection::One(*range),
        _ => Selection::Many(ranges),
    }
}

/// What follows `bytes=` in either case (RFC 9110 14.1); `None` for another unit.
fn byte_range_set(value: &[u8]) -> Option<&[u8]> {
    let (unit, set) = value.split_at_checked(scan::find(value, b'=')?)?;
    if !scan::is_named(unit, b"bytes") {
        return None;
    }
    set.strip_prefix(b"=")
}

/// The octets that a range-spec stands for: `None` if it is not valid, `Some(None)` if it is not
/// satisfiable (RFC 9110 14.1.1, 14.1.2). `length` is not 0.
fn resolve(spec: &[u8], length: u64) -> Option<Option<ByteRange>> {
    let (first, rest) = spec.split_at_checked(scan::find(spec, b'-')?)?;
    let range = match (first, rest.strip_prefix(b"-")?) {
        ([], suffix) => ByteRange {
            first: length.saturating_sub(number(suffix)?),
            end: length,
        },
        (first, []) => ByteRange {
            first: number(first)?,
            end: length,
        },
        (first, last) => {
            let range = ByteRange {
                first: number(first)?,
                end: number(last)?.saturating_add(1).min(length),
            };
            if magnitude(last) < magnitude(first) {
                return None;
            }
            range
        }
    };
    Some((range.first < range.end).then_some(range))
}

/// The value of a decimal number, or the nearest there is; `None` if it is none.
fn number(digits: &[u8]) -> Option<u64> {
    match token::decimal(digits) {
        Ok(value) => Some(value),
        Err(NotDecimal::TooLarge) => Some(u64::MAX),
        Err(NotDecimal::Syntax) => None,
    }
}

/// What orders decimal numbers of any length.
fn magnitude(mut digits: &[u8]) -> (usize, &[u8]) {
    while let [b'0', rest @ ..] = digits {
        digits = rest;
    }
    (digits.len(), digits)
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    /// What is kept of ranges that are added in this order.
    fn kept(ranges: &[(u64, u64)]) -> Option<Vec<(u64, u64)>> {
        let mut kept = Ranges::default();
        for &(first, end) in ranges {
            if !kept.add(ByteRange { first, end }) {
                return None;
            }
        }
        Some(kept.as_slice().iter().map(|r| (r.first, r.end)).collect())
    }

    #[test]
    fn a_range_that_fills_a_gap_joins_all_in_the_first_place() {
        assert_eq!(
            kept(&[
                (5000, 5001),
                (2000, 2100),
                (9000, 9001),
                (1000, 1100),
                (1150, 1950)
            ]),
            Some(vec![(5000, 5001), (1000, 2100), (9000, 9001)])
        );
        assert_eq!(
            kept(&[
                (1000, 1100),
                (9000, 9001),
                (2000, 2100),
                (7000, 7001),
                (0, 3000)
            ]),
            Some(vec![(0, 3000), (9000, 9001), (7000, 7001)])
        );
    }

    #[test]
    fn a_gap_is_closed_up_to_what_a_part_costs() {
        assert_eq!(kept(&[(0, 10), (10 + GAP - 1, 200)]), Some(vec![(0, 200)]));
        assert_eq!(kept(&[(10 + GAP - 1, 200), (0, 10)]), Some(vec![(0, 200)]));
        assert_eq!(
            kept(&[(0, 10), (10 + GAP, 200)]),
            Some(vec![(0, 10), (10 + GAP, 200)])
        );
    }

    #[test]
    fn there_is_room_for_so_many() {
        let apart: Vec<_> = (0..MAX_PARTS as u64 + 1)
            .rev()
            .map(|i| (i * 1000, i * 1000 + 1))
            .collect();
        let (_, fits) = apart.split_first().unwrap();
        assert_eq!(kept(fits).as_deref(), Some(fits));
        assert_eq!(kept(&apart), None);
        // What is near one of them needs no room.
        let joined = [fits, &[(1, 2)]].concat();
        assert_eq!(kept(&joined).unwrap().last(), Some(&(0, 2)));
    }

    #[test]
    fn a_selection_is_small() {
        assert!(core::mem::size_of::<Selection>() <= 16 * MAX_PARTS + 16);
        assert!(core::mem::size_of::<Ranges>() <= 16 * MAX_PARTS + 8);
    }
}
