// SPDX-License-Identifier: GPL-2.0

//! Turns a text of seeds into files, and files into a text of seeds.
//!
//! `seeds unpack FOLDER TEXT...` writes each seed to a file of its own, as libFuzzer has them;
//! `seeds pack FOLDER` prints the files of a folder as lines, the shortest first.

use std::env;
use std::fs;

// Instrumented code asks for what is called at each branch, also where nothing is fuzzed.
use libfuzzer_sys as _;
use rust_tux_fuzz::seeds;

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    match &words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["unpack", folder, texts @ ..] => {
            let texts = texts
                .iter()
                .map(|path| fs::read_to_string(path).expect(path));
            let all: Vec<Vec<u8>> = texts.flat_map(|text| seeds::read(&text)).collect();
            for (i, octets) in all.iter().enumerate() {
                fs::write(format!("{folder}/{i:04}"), octets).expect(folder);
            }
        }
        ["pack", folder] => {
            let files = fs::read_dir(folder).expect(folder);
            let mut all: Vec<Vec<u8>> = files
                .map(|file| fs::read(file.unwrap().path()).unwrap())
                .collect();
            all.sort_by_key(|octets| (octets.len(), octets.clone()));
            for octets in all {
                println!("{}", seeds::write(&octets));
            }
        }
        _ => panic!("usage: seeds unpack FOLDER TEXT... | pack FOLDER"),
    }
}
