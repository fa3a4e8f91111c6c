// SPDX-License-Identifier: GPL-2.0

//! Compares the built-in media types to `/etc/mime.types`, where that is: package `media-types` of
//! Debian.

use std::collections::BTreeMap;
use std::eprintln;
use std::format;
use std::fs;
use std::string::String;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

use crate::http::media_type;
use crate::http::media_type::entries::Entries;

/// What is different on purpose, and why.
const DIFFERENT: &[(&str, &str)] = &[
    // In use on the web, and not there.
    ("3g2", "video/3gpp2"),
    ("3gp", "video/3gpp"),
    ("br", "application/x-brotli"),
    ("bz2", "application/x-bzip2"),
    ("conf", "text/plain"),
    ("crx", "application/x-chrome-extension"),
    ("cur", "image/vnd.microsoft.icon"),
    ("gpx", "application/gpx+xml"),
    ("img", "application/octet-stream"),
    ("log", "text/plain"),
    ("lz", "application/x-lzip"),
    ("lzma", "application/x-lzma"),
    ("m4b", "audio/mp4"),
    ("map", "application/json"),
    ("midi", "audio/midi"),
    ("mobi", "application/x-mobipocket-ebook"),
    ("pbf", "application/x-protobuf"),
    ("weba", "audio/webm"),
    ("xsd", "application/xml"),
    // On the web the extension means something else: plain text that is armoured (RFC 9580 6.2) or
    // source, help, slides, a segment of a stream (RFC 8216 3.2), music.
    ("asc", "text/plain"),
    ("chm", "application/vnd.ms-htmlhelp"),
    ("gsm", "audio/x-gsm"),
    ("key", "application/vnd.apple.keynote"),
    ("mid", "audio/midi"),
    ("rs", "text/plain"),
    ("ts", "video/mp2t"),
    // The name that is registered, or that browsers and feed readers know.
    ("dll", "application/vnd.microsoft.portable-executable"),
    ("exe", "application/vnd.microsoft.portable-executable"),
    ("rss", "application/rss+xml"),
    ("tgz", "application/gzip"),
    ("wav", "audio/wav"),
];

/// The FNV-1a hash of the file in version 13.0.0 of the package, from which the table was made.
const KNOWN: u64 = 0xa0ac_a7b3_6271_7acf;

/// How much may be different in other versions: types come, go, and are renamed.
const TOLERANCE: usize = 40;

#[test]
fn the_table_is_that_of_debian_but_for_what_is_listed() {
    let Ok(text) = fs::read("/etc/mime.types") else {
        eprintln!("skipped: there is no /etc/mime.types");
        return;
    };
    let mut debian: BTreeMap<String, String> = BTreeMap::new();
    for entry in Entries::new(&text) {
        let entry = entry.unwrap();
        let extension = entry.extension.to_ascii_lowercase();
        let word = |octets: &[u8]| core::str::from_utf8(octets).unwrap().to_string();
        // The last one counts.
        debian.insert(word(&extension), word(entry.media_type));
    }
    assert!(debian.len() > 1000, "only {} extensions", debian.len());
    for (extension, media_type) in DIFFERENT {
        assert_eq!(media_type::look_up(extension.as_bytes()), Some(*media_type));
    }
    let mut differences: Vec<String> = vec![];
    for (extension, media_type) in &debian {
        if extension.contains('.') || DIFFERENT.iter().any(|(other, _)| other == extension) {
            continue;
        }
        let ours = media_type::look_up(extension.as_bytes());
        if ours != Some(media_type) {
            differences.push(format!("{extension}: {ours:?}, there {media_type}"));
        }
    }
    let hash = text.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x100_0000_01b3)
    });
    let tolerance = if hash == KNOWN { 0 } else { TOLERANCE };
    assert!(differences.len() <= tolerance, "{differences:#?}");
}
