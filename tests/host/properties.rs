// SPDX-License-Identifier: GPL-2.0

//! What holds for all input, tried on much of it.

use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use proptest::collection::vec as vec_of;
use proptest::prelude::*;

use crate::http::bad_request::BadRequest;
use crate::http::cache_control;
use crate::http::cache_control::Policy;
use crate::http::cache_control::Rule;
use crate::http::content_coding::Accepted;
use crate::http::content_coding::Coding;
use crate::http::date;
use crate::http::entity_tag::Change;
use crate::http::entity_tag::EntityTag;
use crate::http::extra_fields;
use crate::http::framing::Body;
use crate::http::framing::Drain;
use crate::http::listing;
use crate::http::listing::Entry;
use crate::http::listing::Format;
use crate::http::listing::Listing;
use crate::http::media_type;
use crate::http::precondition;
use crate::http::precondition::Validator;
use crate::http::precondition::Verdict;
use crate::http::range;
use crate::http::request;
use crate::http::request::Limits;
use crate::http::request::Version;
use crate::http::response;
use crate::http::response::Head;
use crate::http::status::Status;
use crate::http::target;
use crate::http::writer::Writer;

/// Limits that are soon reached.
const LIMITS: Limits = Limits {
    head: 200,
    target: 40,
    fields: 8,
};

/// Octets that are often near a head: pieces of one, in any order, and some that are not.
fn near_head() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => Just(b"GET / HTTP/1.1\r\n".to_vec()),
        8 => Just(b"Host: a\r\n".to_vec()),
        4 => Just(b"\r\n".to_vec()),
        2 => prop::sample::select(vec![
            &b"POST "[..], b"OPTIONS ", b"CONNECT ", b"/a?b", b"http://a:1/", b"*", b"a:1", b" ",
            b"HTTP/1.0\r\n", b"HTTP/2.0\r\n", b"Connection: close, keep-alive\r\n",
            b"Content-Length: 10\r\n", b"Transfer-Encoding: chunked\r\n", b"X: y\r\n", b"X", b":",
            b"\r", b"\n", b"\t", b"\0", b"#", b"\x80", b"\x7f", b"Expect: 100-continue\r\n",
            b"If-None-Match: \"a\", W/\"b\"\r\n", b"[::1]", b"Range: bytes=0-\r\n",
            b"a: b\r\n c\r\n",
        ]).prop_map(<[u8]>::to_vec),
        1 => vec_of(any::<u8>(), 0..20),
    ];
    vec_of(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Octets that are often near a chunked body.
fn near_chunked() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => Just(b"3\r\nabc\r\n".to_vec()),
        3 => Just(b"0\r\n".to_vec()),
        3 => Just(b"\r\n".to_vec()),
        2 => prop::sample::select(vec![
            &b"1;a=\"b\\\"\" ; c\r\nx\r\n"[..], b"ffffffffffffffff\r\n", b"X: y\r\n",
            b" ", b";", b"\"", b"\n", b"\r", b"=", b"a", b"\0", b":",
        ]).prop_map(<[u8]>::to_vec),
        1 => vec_of(any::<u8>(), 0..8),
    ];
    vec_of(piece, 0..10).prop_map(|pieces| pieces.concat())
}

/// Paths that are often worth normalizing.
fn near_path() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"/"[..],
        b"/",
        b"/",
        b".",
        b"..",
        b"a",
        b"b.html",
        b"%2e",
        b"%2E%2e",
        b"%2f",
        b"%00",
        b"%",
        b"%4",
        b"%41",
        b"\\",
        b"%5c",
        b"%252e",
        b"\xff",
        b"%ff",
        b"...",
        b"+",
        b"%0a",
    ]);
    vec_of(piece, 0..12).prop_map(|pieces| [&b"/"[..], &pieces.concat()].concat())
}

/// What comes of passing over a body in pieces of `size`.
fn drain(body: Body, octets: &[u8], size: usize) -> Result<(bool, usize), BadRequest> {
    let mut drain = Drain::new(body);
    let mut consumed = 0;
    for piece in octets.chunks(size) {
        if drain.is_done() {
            break;
        }
        let progress = drain.consume(piece)?;
        assert!(progress.consumed == piece.len() || progress.is_done);
        assert_eq!(progress.is_done, drain.is_done());
        assert_eq!(drain.is_done(), drain.at_least() == 0);
        consumed += progress.consumed;
    }
    Ok((drain.is_done(), consumed))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_cut_head_is_partial_or_as_it_is_whole(octets in near_head()) {
        let whole = request::parse(&octets, &LIMITS).map(|head| head.map(|(_, len)| len));
        let mut now = Ok(None);
        for at in 0..=octets.len() {
            let cut = request::parse(&octets[..at], &LIMITS).map(|head| head.map(|(_, len)| len));
            if now == Ok(None) {
                now = cut;
            }
            // Once decided, it stays so.
            prop_assert_eq!(cut, now);
        }
        prop_assert_eq!(now, whole);
    }

    #[test]
    fn a_request_ends_where_its_empty_line_does(octets in near_head()) {
        if let Ok(Some((request, len))) = request::parse(&octets, &LIMITS) {
            prop_assert!(len <= LIMITS.head);
            prop_assert!(octets[..len].ends_with(b"\r\n\r\n"));
            // There may be empty lines before it, which are octets of it.
            let before = octets.chunks(2).take_while(|line| *line == b"\r\n").count() * 2;
            let up_to = request::up_to_empty_line(&octets[before..len]);
            prop_assert_eq!(up_to, Some(len - before));
            for cut in 0..len {
                prop_assert!(request::has_new_line(&octets, cut));
            }
            prop_assert!(request.fields().count() <= LIMITS.fields);
            for field in request.fields() {
                prop_assert!(!field.name.is_empty());
                prop_assert!(!field.value.iter().any(|o| matches!(o, b'\r' | b'\n' | b'\0')));
            }
            prop_assert!(request.target.raw.len() <= LIMITS.target);
            prop_assert!(request.target.path.is_empty() || request.target.path[0] == b'/');
            prop_assert!(request.version == Version::Http10 || request.value(b"host").is_some());
        }
    }

    #[test]
    fn a_request_is_read_as_it_was_written(
        method in "[A-Z]{1,10}",
        path in "(/[a-z0-9.~_-]{0,8}){1,4}",
        query in proptest::option::of("[a-z=&?/]{0,10}"),
        minor in 0..2,
        fields in vec_of(("[a-z-]{1,24}x", "[!-~\u{a0}-\u{ff}]([ -~\t]{0,30}[!-~])?"), 0..6),
        space in "[ \t]{0,3}",
        rest in vec_of(any::<u8>(), 0..10),
    ) {
        prop_assume!(method != "CONNECT");
        let query = query.map_or(String::new(), |query| format!("?{query}"));
        let line = format!("{method} {path}{query} HTTP/1.{minor}\r\nHost: a\r\n");
        let mut octets = line.into_bytes();
        for (name, value) in &fields {
            octets.extend(format!("{name}:{space}{value}{space}\r\n").bytes());
        }
        octets.extend(b"\r\n");
        let end = octets.len();
        octets.extend(&rest);
        let (request, len) = request::parse(&octets, &Limits::default()).unwrap().unwrap();
        prop_assert_eq!(len, end);
        prop_assert_eq!(request.method.name(), method.as_bytes());
        prop_assert_eq!(request.target.path, path.as_bytes());
        prop_assert_eq!(request.target.query, query.strip_prefix('?').map(str::as_bytes));
        prop_assert_eq!(request.version == Version::Http11, minor == 1);
        let read: Vec<_> = request.fields().skip(1).collect();
        prop_assert_eq!(read.len(), fields.len());
        for (field, (name, value)) in read.iter().zip(&fields) {
            prop_assert_eq!(field.name, name.as_bytes());
            prop_assert_eq!(field.value, value.as_bytes());
        }
    }

    #[test]
    fn a_chunked_body_is_the_same_in_any_pieces(octets in near_chunked()) {
        let whole = drain(Body::Chunked, &octets, octets.len().max(1));
        for size in 1..=octets.len() {
            prop_assert_eq!(drain(Body::Chunked, &octets, size), whole);
        }
    }

    #[test]
    fn a_chunked_body_ends_where_it_was_ended(
        chunks in vec_of(
            (vec_of(any::<u8>(), 1..40), "(;[a-z]{1,5}(=[a-z]{1,5}|=\"[ -!#-Z]{0,5}\")?)?"),
            0..6,
        ),
        trailers in vec_of("[a-z]{1,5}:[ -~]{0,10}\r\n", 0..3),
        rest in vec_of(any::<u8>(), 0..10),
        size in 1..50usize,
    ) {
        let mut octets = vec![];
        for (data, extension) in &chunks {
            octets.extend(format!("{:x}{extension}\r\n", data.len()).bytes());
            octets.extend(data);
            octets.extend(b"\r\n");
        }
        octets.extend(format!("0\r\n{}\r\n", trailers.concat()).bytes());
        let end = octets.len();
        octets.extend(&rest);
        prop_assert_eq!(drain(Body::Chunked, &octets, size), Ok((true, end)));
        for at in 0..end {
            prop_assert_eq!(drain(Body::Chunked, &octets[..at], size), Ok((false, at)));
        }
    }

    #[test]
    fn a_body_of_a_length_has_that_length(
        length in 0..100u64, octets in vec_of(any::<u8>(), 0..100), size in 1..50usize,
    ) {
        let consumed = octets.len().min(length as usize);
        prop_assert_eq!(
            drain(Body::Length(length), &octets, size),
            Ok((consumed as u64 == length, consumed))
        );
    }

    #[test]
    fn a_normalized_path_never_climbs(path in near_path()) {
        let mut out = vec![0xaa; path.len()];
        if let Ok(found) = target::normalize(&path, &mut out) {
            let name = found.name;
            prop_assert!(!name.contains(&0));
            let is_plain = |segment: &[u8]| !matches!(segment, b"" | b"." | b"..");
            prop_assert!(name.is_empty() || name.split(|o| *o == b'/').all(is_plain));
            prop_assert!(!name.is_empty() || found.is_directory);
            let (name, is_directory) = (name.to_vec(), found.is_directory);
            // What it is redirected to is the same again, and on this host.
            let mut octets = [0; 400];
            let mut head = Head::part(&mut octets);
            head.location(&name, is_directory, None);
            let len = head.finish_part().unwrap();
            let reference = octets[..len].strip_prefix(b"Location: ").unwrap();
            let reference = reference.strip_suffix(b"\r\n").unwrap();
            prop_assert!(reference.starts_with(b"/") && !reference.starts_with(b"//"));
            prop_assert!(reference.iter().all(u8::is_ascii_graphic));
            let mut again = [0; 400];
            let again = target::normalize(reference, &mut again).unwrap();
            prop_assert_eq!(again.name, &name[..]);
            prop_assert_eq!(again.is_directory, is_directory);
        }
    }

    #[test]
    fn a_path_needs_no_more_room_than_it_has_octets(path in near_path(), room in 0..30usize) {
        let mut out = vec![0; path.len()];
        let wide = target::normalize(&path, &mut out);
        let mut out = vec![0; room];
        match target::normalize(&path, &mut out) {
            Err(BadRequest::PathTooLong) => prop_assert!(room < path.len()),
            narrow => prop_assert_eq!(narrow, wide),
        }
    }

    #[test]
    fn octets_without_meaning_do_no_harm(
        octets in vec_of(any::<u8>(), 0..300), number in any::<i64>(),
    ) {
        let _ = request::parse(&octets, &LIMITS);
        let _ = request::has_new_line(&octets, number as usize);
        let _ = request::up_to_empty_line(&octets);
        let _ = date::parse(&octets, number);
        let _ = date::write(number);
        let _ = media_type::of(&octets);
        let _ = range::select(&octets, number as u64);
        let _ = range::select(&[b"bytes=", &octets[..]].concat(), number as u64);
        let _ = media_type::takes_charset(&octets);
        let mut rules = [Rule::NONE; cache_control::RULES];
        if let Ok(count) = cache_control::read(&octets, &mut rules) {
            let _ = Policy::new(&octets, &rules[..count]).freshness(&octets);
        }
        prop_assert!(media_type::entries::Entries::new(&octets).count() <= octets.len());
        let mut out = [0; 64];
        let _ = target::normalize(&octets, &mut out);
        let _ = drain(Body::Chunked, &octets, 7);
    }

    #[test]
    fn fields_that_are_added_are_read_as_they_were_meant(
        lines in vec_of(
            prop_oneof![
                4 => "[a-z!-]{1,8}:[ \t]{0,2}[!-~]{0,8}[ \t]?\r?".prop_map(String::into_bytes),
                1 => vec_of(prop::sample::select(b"aX-: \t\r\0\x7f\xff".to_vec()), 0..9),
            ],
            0..6,
        ),
    ) {
        let mut out = [0; 400];
        if let Ok(len) = extra_fields::write(&lines.join(&b'\n'), &mut out) {
            let octets = [b"GET / HTTP/1.0\r\n", &out[..len], b"\r\n"].concat();
            let (request, end) = request::parse(&octets, &Limits::default()).unwrap().unwrap();
            prop_assert_eq!(end, octets.len());
            let is_blank = |line: &&Vec<u8>| line.iter().all(|o| b" \t\r".contains(o));
            let meant: Vec<_> = lines.iter().filter(|line| !is_blank(line)).collect();
            prop_assert_eq!(request.fields().count(), meant.len());
            for (field, line) in request.fields().zip(meant) {
                prop_assert!(line.starts_with(field.name) && line[field.name.len()] == b':');
                let value = core::str::from_utf8(field.value);
                let line = core::str::from_utf8(&line[field.name.len() + 1..]);
                prop_assert_eq!(value.ok(), line.ok().map(str::trim));
            }
        }
    }

    #[test]
    fn an_entry_names_its_file_and_nothing_else(
        name in vec_of(
            prop_oneof![
                any::<u8>(),
                prop::sample::select(b"<>&\"'\\%?#:;. \r\n\x1b\xc3\xa9\xe2\x80\xae".to_vec()),
            ],
            1..60,
        ),
        is_directory in any::<bool>(), size in any::<u64>(), modified in any::<i64>(),
        json in any::<bool>(),
    ) {
        prop_assume!(!name.contains(&b'/') && !name.contains(&0) && name != b"." && name != b"..");
        let format = if json { Format::Json } else { Format::Html };
        let mut octets = [0; 4000];
        let mut out = Writer::new(&mut octets);
        let mut listing = Listing::begin(format, &name, &mut out);
        let start = out.len();
        prop_assert!(start <= listing::begin_bound(name.len()));
        listing.entry(&Entry { name: &name, is_directory, size, modified }, &mut out);
        let len = out.finish().unwrap();
        prop_assert!(len - start <= listing::entry_bound(name.len()));
        let text = core::str::from_utf8(&octets[start..len]).unwrap();
        // The reference leads to the file.
        let (_, href) = text.split_once(if json { "\"href\":\"." } else { "href=\"." }).unwrap();
        let (href, _) = href.split_once('"').unwrap();
        let mut out = [0; 100];
        let path = target::normalize(href.as_bytes(), &mut out).unwrap();
        prop_assert_eq!(path.name, &name[..]);
        prop_assert_eq!(path.is_directory, is_directory);
        // No octet of the name is markup.
        if json {
            let quotes = text.replace("\\\\", "").replace("\\\"", "").matches('"').count();
            prop_assert_eq!(quotes, if is_directory { 16 } else { 18 });
            prop_assert!(!text[1..].trim_start().contains(char::is_control));
        } else {
            prop_assert_eq!(text.matches('<').count(), 14);
            prop_assert_eq!(text.matches('>').count(), 14);
            prop_assert_eq!(text.matches('"').count(), 4);
            prop_assert!(!text.trim_end().contains(char::is_control));
        }
    }

    #[test]
    fn a_field_of_any_octets_does_no_harm(
        name in prop::sample::select(vec![
            "Host", "Connection", "Content-Length", "Transfer-Encoding", "Expect", "If-Match",
            "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range",
            "Accept-Encoding", "Accept",
        ]),
        value in vec_of(
            prop_oneof![any::<u8>(), prop::sample::select(b"\",*W/: []%;=0".to_vec())],
            0..30,
        ),
    ) {
        let octets = [b"GET / HTTP/1.0\r\n", name.as_bytes(), b":", &value, b"\r\n\r\n"].concat();
        if let Ok(Some((request, _))) = request::parse(&octets, &LIMITS) {
            let validator = Validator { etag: b"\"a\"", last_modified: Some(0) };
            let _ = precondition::evaluate(&request, &validator, 0);
            let _ = precondition::range_applies(&request, &validator, 0);
            let _ = range::of(&request, &validator, 0).map(|value| range::select(value, 1000));
            let _ = Format::preferred(&request);
            let accepted = Accepted::new(request.accept_encoding());
            prop_assert!(accepted.into_iter().any(|coding| coding == Coding::Identity));
        }
    }

    #[test]
    fn a_date_is_read_as_it_was_written(
        time in -62_167_219_200..=253_402_300_799i64, now in any::<i64>(),
    ) {
        prop_assert_eq!(date::parse(&date::write(time), now), Some(time));
    }

    #[test]
    fn a_date_with_one_octet_changed_is_read_or_not(
        time in 0..4_000_000_000i64, at in 0..29usize, octet in any::<u8>(),
    ) {
        let mut octets = date::write(time);
        octets[at] = octet;
        if let Some(read) = date::parse(&octets, time) {
            // The name of a day may be another; the rest is read as it is.
            let again = date::write(read);
            prop_assert!(again[5..] == octets[5..] || &octets[23..25] == b"60");
        }
    }

    #[test]
    fn different_changes_have_different_tags(
        a in (
            proptest::option::of(any::<u64>()),
            any::<i64>(),
            0..1_000_000_000u32,
            any::<u64>(),
            any::<u64>(),
        ),
        b in (proptest::option::of(0..3u64), 0..3i64, 0..3u32, 0..3u64, 0..3u64),
        c in (proptest::option::of(0..3u64), 0..3i64, 0..3u32, 0..3u64, 0..3u64),
        coding in prop::sample::select(Coding::ALL.to_vec()),
    ) {
        let tag = |(cookie, seconds, nanoseconds, size, inode)| {
            EntityTag::new(&Change { cookie, seconds, nanoseconds, size, inode, coding })
        };
        prop_assert_eq!(tag(b).as_bytes() == tag(c).as_bytes(), b == c);
        let tag = tag(a);
        prop_assert!(tag.as_bytes().len() > 2 && tag.as_bytes().ends_with(b"\""));
        // A client that gives it back has what it had.
        let line = b"GET / HTTP/1.0\r\nIf-None-Match: W/\"x\", ";
        let octets = [&line[..], tag.as_bytes(), b"\r\n\r\n"].concat();
        let (request, _) = request::parse(&octets, &Limits::default()).unwrap().unwrap();
        let validator = Validator { etag: tag.as_bytes(), last_modified: Some(0) };
        prop_assert_eq!(precondition::evaluate(&request, &validator, 0), Verdict::NotModified);
    }

    #[test]
    fn a_head_that_does_not_fit_is_not_written(
        room in 0..400usize, length in any::<u64>(), status in 0..Status::COUNT,
    ) {
        let status = Status::ALL[status];
        let write = |out: &mut [u8]| {
            let mut head = Head::new(out, status);
            head.date(&date::write(0));
            head.content_length(length);
            head.etag(b"\"a\"");
            head.connection(Version::Http10, true);
            head.finish()
        };
        let mut whole = [0; 400];
        let len = write(&mut whole).unwrap();
        let mut out = vec![0; room];
        let written = write(&mut out);
        prop_assert_eq!(written, (room >= len).then_some(len));
        let common = room.min(len);
        // What is written is a prefix of what was meant.
        let kept = out[..common].iter().zip(&whole[..common]).take_while(|(a, b)| a == b).count();
        prop_assert!(out[kept..].iter().all(|octet| *octet == 0));
        let text = core::str::from_utf8(&whole[..len]).unwrap();
        let expected = format!("HTTP/1.1 {} {}\r\n", status.code(), status.reason());
        prop_assert!(text.starts_with(&expected));
        let expected = format!("\r\nContent-Length: {length}\r\n");
        prop_assert!(text.contains(&expected));
        let mut body = [0; 512];
        prop_assert!(response::error_body(status, "<&\">", &mut body).is_some());
    }
}
