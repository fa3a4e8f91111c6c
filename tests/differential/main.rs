// SPDX-License-Identifier: GPL-2.0

//! Compares our parser with others on where a message ends.
//!
//! `scripts/differential.sh` runs this program and the parsers that are not Rust, one after the
//! other; between them are files. A file of cases is octets, each case after its length as 32 bits,
//! the lowest octet first. A file of verdicts has a line for each case:
//!
//! ```text
//! partial
//! refuse REASON
//! accept HEAD-LENGTH METHOD TARGET VERSION FRAMING END
//! ```
//!
//! TARGET is in hexadecimal; FRAMING is `none`, `chunked`, or a length that is not 0; END is where
//! the next message begins, `partial`, or `refuse:REASON`. A `?` stands for what a parser does not
//! look at.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::process::ExitCode;

#[path = "../fuzz/seeds.rs"]
#[allow(dead_code, reason = "the fuzz targets use the rest")]
mod seeds;
/// The sources, laid out as in the module.
#[allow(dead_code, reason = "the kernel side is what uses the rest")]
#[path = "../../src"]
mod src {
    pub(crate) mod http;
}

mod explained;
mod generate;
mod parsers;

use explained::Explained;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    match &words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["generate", seed, count, out, texts @ ..] => {
            let cases = generate::cases(seed.parse().unwrap(), count.parse().unwrap(), texts);
            write(out, &cases);
        }
        ["judge", "ours", cases] => judge(cases, parsers::ours),
        ["judge", "httparse", cases] => judge(cases, parsers::httparse),
        ["compare", table, cases, ours, peers @ ..] => return compare(table, cases, ours, peers),
        ["shrink", table, cases, ours, out, peers @ ..] => shrink(table, cases, ours, out, peers),
        _ => panic!(
            "usage: generate SEED COUNT OUT TEXT... | judge PARSER CASES | \
             compare TABLE CASES OURS PEER... | shrink TABLE CASES OURS OUT PEER..."
        ),
    }
    ExitCode::SUCCESS
}

/// Writes cases.
fn write(path: &str, cases: &[Vec<u8>]) {
    let mut octets = vec![];
    for case in cases {
        octets.extend(u32::try_from(case.len()).unwrap().to_le_bytes());
        octets.extend(case);
    }
    fs::write(path, octets).expect(path);
}

/// Reads cases.
fn read(path: &str) -> Vec<Vec<u8>> {
    let octets = fs::read(path).expect(path);
    let mut rest = &octets[..];
    let mut cases = vec![];
    while let Some((len, more)) = rest.split_first_chunk::<4>() {
        let (case, more) = more.split_at(u32::from_le_bytes(*len) as usize);
        cases.push(case.to_vec());
        rest = more;
    }
    cases
}

/// Prints what a parser makes of each case.
fn judge(path: &str, parser: fn(&[u8]) -> String) {
    let verdicts: Vec<String> = read(path).iter().map(|case| parser(case) + "\n").collect();
    print!("{}", verdicts.concat());
}

/// The lines of a file.
fn lines(path: &str) -> Vec<String> {
    let text = fs::read_to_string(path).expect(path);
    text.lines().map(str::to_string).collect()
}

/// Disagreements of one kind: with whom, and what each says.
type Class = (String, String, String);

/// The kind of disagreement of two verdicts; `None` if they agree as far as both look.
///
/// When one refuses, its reason and what the other does are the kind. When both accept, it is the
/// first thing that they read differently.
fn difference(ours: &str, theirs: &str, case: &[u8]) -> Option<(String, String)> {
    let words = |verdict: &str| verdict.split(' ').map(str::to_string).collect::<Vec<_>>();
    let (a, b) = (words(ours), words(theirs));
    match (&a[0][..], &b[0][..]) {
        ("refuse", "refuse") | ("partial", "partial") => None,
        ("accept", "accept") => {
            const NAMES: [&str; 7] = ["", "head", "method", "target", "version", "framing", "end"];
            let is_refused = |word: &str| word.starts_with("refuse:");
            let agree = |a: &str, b: &str| {
                a == b || a == "?" || b == "?" || (is_refused(a) && is_refused(b))
            };
            let at = (1..7).find(|&i| !agree(&a[i], &b[i]))?;
            // Offsets, methods and targets are of the example, not of the kind.
            let kind = |word: &str| match at {
                1..=3 => "other".to_string(),
                6 if word.parse::<u64>().is_ok() => "offset".to_string(),
                _ => word.to_string(),
            };
            // Of what is refused, only where its body was expected matters.
            let context = match parsers::context(case) {
                context if is_refused(&a[at]) && !context.starts_with(",connect") => String::new(),
                context => context,
            };
            let (ours, theirs) = (kind(&a[at]), kind(&b[at]));
            let name = NAMES[at];
            Some((
                format!("{name}={ours}{context}"),
                format!("{name}={theirs}"),
            ))
        }
        (x, y) => {
            let kind = |outcome: &str, words: &[String], context: String| match outcome {
                "refuse" => format!("refuse:{}", words[1]),
                outcome => outcome.to_string() + &context,
            };
            Some((
                kind(x, &a, parsers::context(case)),
                kind(y, &b, String::new()),
            ))
        }
    }
}

/// The classes of disagreements in some files, each with how many there are and the shortest.
fn classes(cases: &[Vec<u8>], ours: &str, peers: &[&str]) -> BTreeMap<Class, (usize, Vec<u8>)> {
    let ours = lines(ours);
    assert_eq!(ours.len(), cases.len());
    let mut found: BTreeMap<Class, (usize, Vec<u8>)> = BTreeMap::new();
    for peer in peers {
        let (name, path) = peer.split_once('=').expect("NAME=VERDICTS");
        let theirs = lines(path);
        assert_eq!(theirs.len(), cases.len(), "{path}");
        for ((case, ours), theirs) in cases.iter().zip(&ours).zip(&theirs) {
            let Some((ours, theirs)) = difference(ours, theirs, case) else {
                continue;
            };
            let class = (name.to_string(), ours, theirs);
            let (count, shortest) = found.entry(class).or_insert((0, case.clone()));
            *count += 1;
            if case.len() < shortest.len() {
                shortest.clone_from(case);
            }
        }
    }
    found
}

/// Prints each class of disagreement once, and what explains it; fails if something explains one
/// not.
fn compare(table: &str, cases: &str, ours: &str, peers: &[&str]) -> ExitCode {
    let table = Explained::read(&fs::read_to_string(table).expect(table));
    let cases = read(cases);
    let found = classes(&cases, ours, peers);
    let mut counts = vec![0; table.len()];
    let mut unexplained = 0;
    for ((peer, ours, theirs), (count, shortest)) in &found {
        match table.iter().position(|row| row.covers(peer, ours, theirs)) {
            Some(row) => counts[row] += count,
            None => {
                unexplained += 1;
                println!("UNEXPLAINED  {peer} ours={ours} theirs={theirs} ({count} cases)");
                println!("        {}", seeds::write(shortest));
            }
        }
    }
    for (row, count) in table.iter().zip(&counts).filter(|(_, count)| **count != 0) {
        println!("{count:8}  {} right: {}", row.right, row.title);
    }
    let total: usize = found.values().map(|(count, _)| count).sum();
    let explained = counts.iter().filter(|count| **count != 0).count();
    println!(
        "{} cases, {total} disagreements in {} classes, explained by {explained} rules; {} rules \
         had no case; {unexplained} classes unexplained",
        cases.len(),
        found.len(),
        table.len() - explained,
    );
    println!("{explained} passed, {unexplained} failed");
    ExitCode::from(u8::from(unexplained != 0))
}

/// Writes the shortest case of each class that is not explained, and what is a little shorter than
/// it, to be judged anew.
fn shrink(table: &str, cases: &str, ours: &str, out: &str, peers: &[&str]) {
    let table = Explained::read(&fs::read_to_string(table).expect(table));
    let mut shorter = vec![];
    for ((peer, ours, theirs), (_, shortest)) in classes(&read(cases), ours, peers) {
        if table.iter().any(|row| row.covers(&peer, &ours, &theirs)) {
            continue;
        }
        let len = shortest.len();
        for size in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024] {
            // Where longer pieces begin matters less.
            for at in (0..len.saturating_sub(size)).step_by(1 + size / 8) {
                shorter.push([&shortest[..at], &shortest[at + size..]].concat());
            }
        }
        shorter.push(shortest);
    }
    shorter.sort();
    shorter.dedup();
    write(out, &shorter);
}
