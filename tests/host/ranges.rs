// SPDX-License-Identifier: GPL-2.0

//! What holds for every Range, tried on many: selections are those of a model that finds
//! them another way.

use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use proptest::collection::vec as vec_of;
use proptest::prelude::*;

use crate::http::range;
use crate::http::range::ByteRange;
use crate::http::range::Selection;

/// Numbers of any length, often small, often near what 64 bits can hold.
fn near_number() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (0..100u64).prop_map(|number| format!("{number}")),
        4 => (0..40_000u64).prop_map(|number| format!("{number}")),
        2 => (0..4u128).prop_map(|less| format!("{}", u128::from(u64::MAX) + 2 - less)),
        1 => any::<u64>().prop_map(|number| format!("{number}")),
        1 => "0{0,3}[0-9]{1,30}",
    ]
}

/// Values of Range that are often valid.
fn near_range() -> impl Strategy<Value = String> {
    let spec = prop_oneof![
        20 => (near_number(), 0..300u64).prop_map(|(first, len)| {
            let last = first.parse::<u128>().unwrap() + u128::from(len);
            format!("{first}-{last}")
        }),
        1 => near_number().prop_map(|first| format!("{first}-")),
        2 => near_number().prop_map(|suffix| format!("-{suffix}")),
        2 => Just(String::new()),
        1 => "[ \t]{0,2}0-1[ \t]{0,2}",
    ];
    let wrong = prop_oneof![
        20 => Just(String::new()),
        1 => (near_number(), near_number()).prop_map(|(first, last)| format!(",{first}-{last}")),
        1 => "[-0-9 a-z+;]{0,5}",
    ];
    let unit = prop_oneof![
        20 => Just("bytes="),
        2 => prop::sample::select(vec!["Bytes= ", "bytes =", "byte=", "bytes", "items="]),
    ];
    let specs = prop_oneof![8 => 0..6usize, 4 => 0..30usize, 1 => 0..90usize];
    (
        unit,
        specs.prop_flat_map(move |count| vec_of(spec.clone(), count)),
        wrong,
    )
        .prop_map(|(unit, specs, wrong)| format!("{unit}{}{wrong}", specs.join(",")))
}

/// Lengths of representations, often near what the numbers of [`near_range`] are near.
fn near_length() -> impl Strategy<Value = u64> {
    prop_oneof![
        1 => 0..3u64,
        2 => 0..500u64,
        6 => 0..50_000u64,
        1 => Just(u64::MAX),
        1 => Just(u64::MAX - 1),
        1 => any::<u64>(),
    ]
}

/// What a Range selects, worked out in another way: numbers are 128 bits wide, and what is near is
/// found by sorting. `None` is the whole; no range is what can't be satisfied.
fn model_of_range(value: &[u8], length: u64) -> Option<Vec<(u64, u64)>> {
    let value = std::str::from_utf8(value).ok()?;
    let (unit, set) = value.split_once('=')?;
    if unit.to_ascii_lowercase() != "bytes" || length == 0 {
        return None;
    }
    let specs: Vec<&str> = set
        .split(',')
        .map(|spec| spec.trim_matches([' ', '\t']))
        .filter(|spec| !spec.is_empty())
        .collect();
    if specs.is_empty() || specs.len() > range::MAX_SPECS {
        return None;
    }
    let number = |digits: &str| {
        let is_decimal = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
        is_decimal.then(|| digits.parse::<u128>().unwrap())
    };
    let mut asked: Vec<(u128, u128)> = vec![];
    let length = u128::from(length);
    let mut is_too_much = false;
    for spec in specs {
        let (first, last) = spec.split_once('-')?;
        let (begin, end) = match (first, last) {
            ("", suffix) => (length - number(suffix)?.min(length), length),
            (first, "") => (number(first)?, length),
            (first, last) if number(last)? < number(first)? => return None,
            (first, last) => (number(first)?, (number(last)? + 1).min(length)),
        };
        if begin >= length || begin == end {
            continue;
        }
        asked.push((begin, end));
        is_too_much |= joined(&asked).len() > range::MAX_PARTS;
    }
    if is_too_much {
        return None;
    }
    let narrow = |number: u128| u64::try_from(number).unwrap();
    Some(
        joined(&asked)
            .into_iter()
            .map(|(a, b)| (narrow(a), narrow(b)))
            .collect(),
    )
}

/// Ranges with what is near each other made one, in the order of the first of each.
fn joined(asked: &[(u128, u128)]) -> Vec<(u128, u128)> {
    let mut sorted: Vec<(u128, u128, usize)> = vec![];
    sorted.extend(
        asked
            .iter()
            .enumerate()
            .map(|(place, &(begin, end))| (begin, end, place)),
    );
    sorted.sort();
    let mut joined: Vec<(u128, u128, usize)> = vec![];
    for (begin, end, place) in sorted {
        match joined.last_mut() {
            Some(last) if begin < last.1 + u128::from(range::GAP) => {
                last.1 = last.1.max(end);
                last.2 = last.2.min(place);
            }
            _ => joined.push((begin, end, place)),
        }
    }
    joined.sort_by_key(|&(_, _, place)| place);
    joined
        .into_iter()
        .map(|(begin, end, _)| (begin, end))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_range_selects_what_the_model_says(value in near_range(), length in near_length()) {
        let selected = range::select(value.as_bytes(), length);
        let expected = match model_of_range(value.as_bytes(), length).as_deref() {
            None => Selection::Whole,
            Some([]) => Selection::Unsatisfiable,
            Some([(first, end)]) => Selection::One(ByteRange { first: *first, end: *end }),
            Some(expected) => {
                let Selection::Many(ranges) = &selected else {
                    return Err(TestCaseError::fail(format!("{selected:?}, not {expected:?}")));
                };
                let ranges: Vec<_> = ranges.as_slice().iter().map(|r| (r.first, r.end)).collect();
                prop_assert_eq!(&ranges[..], expected);
                return Ok(());
            }
        };
        prop_assert_eq!(selected, expected);
    }

    #[test]
    fn what_is_selected_is_within_and_apart(value in near_range(), length in near_length()) {
        match range::select(value.as_bytes(), length) {
            Selection::Whole | Selection::Unsatisfiable => {}
            Selection::One(range) => {
                prop_assert!(range.first < range.end && range.end <= length);
            }
            Selection::Many(ranges) => {
                let mut ranges = ranges.as_slice().to_vec();
                prop_assert!((2..=range::MAX_PARTS).contains(&ranges.len()));
                ranges.sort_by_key(|range| range.first);
                prop_assert!(ranges.iter().all(|range| range.first < range.end));
                prop_assert!(ranges.last().unwrap().end <= length);
                for pair in ranges.windows(2) {
                    prop_assert!(pair[1].first - pair[0].end >= range::GAP);
                }
                let sum: u64 = ranges.iter().map(|range| range.len()).sum();
                prop_assert!(sum < length);
            }
        }
    }
}
