// SPDX-License-Identifier: GPL-2.0

//! What holds for every Range, tried on many: selections are those of a model of their own, and
//! content of several parts is read as it was written.

use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use proptest::collection::vec as vec_of;
use proptest::prelude::*;

use crate::http::multipart;
use crate::http::multipart::Boundary;
use crate::http::multipart::Multipart;
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

/// Content of several parts, read as a strict reader of MIME does (RFC 2046 5.1.1, without a
/// preamble or an epilogue): what the fields of each part are, and its octets.
fn parts(content: &[u8], boundary: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let delimiter = [b"\r\n--", boundary].concat();
    let find =
        |octets: &[u8], what: &[u8]| octets.windows(what.len()).position(|window| window == what);
    let mut rest = content.strip_prefix(&delimiter[2..])?;
    let mut parts = vec![];
    while rest != b"--\r\n" {
        rest = rest.strip_prefix(b"\r\n")?;
        let end = find(rest, &delimiter)?;
        let (part, more) = rest.split_at(end);
        rest = &more[delimiter.len()..];
        let head = find(part, b"\r\n\r\n")?;
        let fields = String::from_utf8(part[..head].to_vec()).ok()?;
        parts.push((fields, part[head + 4..].to_vec()));
    }
    Some(parts)
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

    #[test]
    fn several_parts_are_read_as_they_were_written(
        value in near_range(),
        length in 0..50_000u64,
        pattern in vec_of(any::<u8>(), 1..40),
        boundary in any::<u64>(),
        media_type in "[a-z]{1,20}/[a-z.+-]{1,60}(; charset=utf-8)?",
    ) {
        if let Selection::Many(ranges) = range::select(value.as_bytes(), length) {
            let octets: Vec<u8> = pattern.into_iter().cycle().take(length as usize).collect();
            let boundary = Boundary::new(boundary);
            let multipart = Multipart::new(&ranges, boundary, media_type.as_bytes(), length);
            let mut content = vec![];
            let mut scratch = [0; multipart::HEAD_LEN];
            for (index, range) in ranges.as_slice().iter().enumerate() {
                let len = multipart.head(index, &mut scratch).unwrap();
                content.extend(&scratch[..len]);
                content.extend(&octets[range.first as usize..range.end as usize]);
            }
            let len = multipart.end(&mut scratch).unwrap();
            content.extend(&scratch[..len]);
            let is_shorter = content.len() < octets.len();
            prop_assert_eq!(
                multipart.content_length(),
                is_shorter.then_some(content.len() as u64)
            );
            let parts = parts(&content, boundary.as_bytes()).unwrap();
            prop_assert_eq!(parts.len(), ranges.as_slice().len());
            for ((fields, part), range) in parts.iter().zip(ranges.as_slice()) {
                let expected = format!(
                    "Content-Type: {media_type}\r\nContent-Range: bytes {}-{}/{length}",
                    range.first,
                    range.end - 1,
                );
                prop_assert_eq!(fields, &expected);
                prop_assert_eq!(&part[..], &octets[range.first as usize..range.end as usize]);
            }
        }
    }

    #[test]
    fn several_parts_are_shorter_than_the_whole(
        value in near_range(), length in near_length(), media_type in "[a-z/]{1,150}",
    ) {
        if let Selection::Many(ranges) = range::select(value.as_bytes(), length) {
            let multipart = Multipart::new(&ranges, Boundary::new(0), media_type.as_bytes(), length);
            let mut scratch = [0; 512];
            let heads: Vec<_> = (0..ranges.as_slice().len())
                .map(|index| multipart.head(index, &mut scratch).unwrap())
                .collect();
            let end = multipart.end(&mut scratch).unwrap();
            let total = heads.iter().map(|len| *len as u128).sum::<u128>()
                + ranges.as_slice().iter().map(|range| u128::from(range.len())).sum::<u128>()
                + end as u128;
            let fits = heads.iter().all(|len| *len <= multipart::HEAD_LEN);
            let is_sent = fits && total < u128::from(length);
            prop_assert_eq!(multipart.content_length().map(u128::from), is_sent.then_some(total));
        }
    }
}
