// SPDX-License-Identifier: GPL-2.0

//! Runs what the fuzzer checks over its seeds, and over the corpus.

use std::fs;
use std::path::Path;
use std::vec::Vec;

use crate::fuzz::authority;
use crate::fuzz::chunked;
use crate::fuzz::coding;
use crate::fuzz::condition;
use crate::fuzz::date;
use crate::fuzz::head;
use crate::fuzz::range;
use crate::fuzz::seeds;
use crate::fuzz::target;

/// A target, and its name.
type Target = (&'static str, fn(&[u8]));

/// All targets.
const TARGETS: &[Target] = &[
    ("authority", authority::run),
    ("chunked", chunked::run),
    ("coding", coding::run),
    ("condition", condition::run),
    ("date", date::run),
    ("head", head::run),
    ("range", range::run),
    ("target", target::run),
];

/// What a folder of `tests` has of texts with seeds.
fn texts(folder: &str) -> Vec<std::path::PathBuf> {
    // The tests run where they were compiled, so the path of this file holds.
    let tests = Path::new(file!()).ancestors().nth(2).unwrap();
    let files = fs::read_dir(tests.join(folder)).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .collect()
}

#[test]
fn what_the_fuzzer_checks_holds_for_its_seeds() {
    let texts = texts("fuzz/seeds");
    assert_eq!(texts.len(), TARGETS.len());
    for path in texts {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (_, run) = TARGETS.iter().find(|target| target.0 == name).unwrap();
        let seeds = seeds::read(&fs::read_to_string(&path).unwrap());
        assert!(seeds.len() > 10, "{name}");
        for octets in seeds {
            assert_eq!(seeds::read(&seeds::write(&octets)), [&octets[..]]);
            run(&octets);
        }
    }
}

#[test]
fn what_the_fuzzer_checks_holds_for_the_corpus() {
    for path in texts("corpus") {
        for octets in seeds::read(&fs::read_to_string(&path).unwrap()) {
            for (_, run) in TARGETS {
                run(&octets);
            }
        }
    }
}
