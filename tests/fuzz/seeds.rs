// SPDX-License-Identifier: GPL-2.0

//! Seeds as text: a line each, escaped as Rust escapes octets. Cases of the corpus are read too.

use std::string::String;
use std::vec;
use std::vec::Vec;

/// The seeds of a text, in which lines that begin with `#` are comments; or its cases, if it is one
/// of the corpus, in which lines that begin with `>` are octets.
pub fn read(text: &str) -> Vec<Vec<u8>> {
    if text.lines().any(|line| line.starts_with('>')) {
        return read_corpus(text);
    }
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(unescape).collect()
}

/// A seed as a line.
pub fn write(octets: &[u8]) -> String {
    let text: String = octets.escape_ascii().map(char::from).collect();
    // What a line begins with may mean something else.
    match text.as_bytes() {
        [b'#', ..] => String::from("\\x23") + &text[1..],
        [b'>', ..] => String::from("\\x3e") + &text[1..],
        _ => text,
    }
}

/// The octets of all cases of a text of `tests/corpus`.
fn read_corpus(text: &str) -> Vec<Vec<u8>> {
    let mut cases: Vec<Vec<u8>> = vec![];
    let mut is_open = false;
    for line in text.lines() {
        let Some(line) = line.strip_prefix('>') else {
            is_open = false;
            continue;
        };
        if !is_open {
            cases.push(vec![]);
        }
        is_open = true;
        let case = cases.last_mut().unwrap();
        let line = line.strip_prefix(' ').unwrap_or(line);
        // An escape that has nothing to escape takes the place of the CRLF.
        let backslashes = line.bytes().rev().take_while(|o| *o == b'\\').count();
        if backslashes % 2 == 1 {
            case.extend(unescape(&line[..line.len() - 1]));
        } else {
            case.extend(unescape(line));
            case.extend(b"\r\n");
        }
    }
    cases
}

/// The octets of a line, escaped as seeds and cases of the corpus are.
fn unescape(line: &str) -> Vec<u8> {
    let mut octets = vec![];
    let mut rest = line;
    while let Some(at) = rest.find('\\') {
        octets.extend(rest[..at].bytes());
        let escape = rest.as_bytes()[at + 1];
        rest = &rest[at + 2..];
        match escape {
            b'r' => octets.push(b'\r'),
            b'n' => octets.push(b'\n'),
            b't' => octets.push(b'\t'),
            b'0' => octets.push(0),
            b'\\' | b'\'' | b'"' => octets.push(escape),
            b'x' => {
                let (digits, more) = rest.split_at(2);
                octets.push(u8::from_str_radix(digits, 16).expect(line));
                rest = more;
            }
            b'{' => {
                let (repeated, more) = rest.split_once('}').expect(line);
                let (what, count) = repeated.rsplit_once('*').expect(line);
                octets.extend(unescape(what).repeat(count.parse().expect(line)));
                rest = more;
            }
            _ => panic!("no such escape: {line}"),
        }
    }
    octets.extend(rest.bytes());
    octets
}
