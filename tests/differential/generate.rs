// SPDX-License-Identifier: GPL-2.0

//! Cases: those of some texts, and what comes of changing them a little.

use std::fs;

use crate::seeds;

/// The longest case.
const LONGEST: usize = 1500;

/// What is put into cases.
const WORDS: [&[u8]; 68] = [
    b"\r\n",
    b"\r",
    b"\n",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"\0",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\x0b",
    b"\x0c",
    b"\x1f",
    b"#",
    b"?",
    b"%",
    b"/",
    b"=",
    b"\"",
    b"0",
    b"1",
    b"a",
    b"+",
    b"-",
    b"0x",
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"OPTIONS * ",
    b"CONNECT a:1 ",
    b"PRI ",
    b"get ",
    b" HTTP/1.0\r\n",
    b" HTTP/1.1\r\n",
    b" HTTP/1.2\r\n",
    b" HTTP/2.0\r\n",
    b" HTTP/0.9\r\n",
    b"Host: a\r\n",
    b"Host:\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: +3\r\n",
    b"Content-Length: 3, 3\r\n",
    b"Content-Length: 18446744073709551615\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: upgrade\r\nUpgrade: x\r\n",
    b"Expect: 100-continue\r\n",
    b" folded\r\n",
    b"X: y\r\n",
    b"X : y\r\n",
    b"Transfer-Encoding: chunked\t\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n",
    b"Content-Length:3\t\r\n",
    b"; \ta = \"\\\"\"",
    b"3\r\nabc\r\n",
    b"0\r\n\r\n",
    b"3;a=b\r\nabc\r\n",
    b"0\r\nX: y\r\n\r\n",
    b"GET /next HTTP/1.1\r\nHost: b\r\n\r\n",
];

/// Numbers that one seed decides (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    /// Neighbouring seeds are not neighbours for long.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        random.below(1);
        random
    }

    /// A number less than `bound`, or 0.
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        number as usize % bound.max(1)
    }
}

/// `count` cases: what the texts have, then changes of it.
pub(crate) fn cases(seed: u64, count: usize, texts: &[&str]) -> Vec<Vec<u8>> {
    let mut cases: Vec<Vec<u8>> = vec![];
    for path in texts {
        let text = fs::read_to_string(path).expect(path);
        cases.extend(seeds::read(&text));
    }
    cases.retain(|case| (1..=LONGEST).contains(&case.len()));
    cases.sort();
    cases.dedup();
    let bases = cases.len();
    assert!(bases > 300, "only {bases} cases to begin with");
    let mut random = Random::new(seed);
    while cases.len() < count {
        let mut case = cases[random.below(bases)].clone();
        if random.below(4) == 0 {
            let other = &cases[random.below(bases)];
            let (at, from) = (random.below(case.len()), random.below(other.len()));
            case.truncate(at);
            case.extend(&other[from..]);
        }
        for _ in 0..1 + random.below(3) {
            change(&mut case, &mut random);
        }
        case.truncate(LONGEST);
        // To have nothing is to be at the end, for some.
        if !case.is_empty() {
            cases.push(case);
        }
    }
    cases.truncate(count);
    cases
}

/// Changes a case at one place.
pub(crate) fn change(case: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(case.len() + 1);
    let len = (case.len() - at).min(1 + random.below(8));
    let word = WORDS[random.below(WORDS.len())];
    match random.below(12) {
        0 => drop(case.splice(at..at, [random.below(256) as u8])),
        1 | 2 => drop(case.drain(at..at + len)),
        3..=5 => drop(case.splice(at..at, word.iter().copied())),
        6 => drop(case.splice(at..at + len, word.iter().copied())),
        7 => {
            let again = case[at..at + len].to_vec();
            drop(case.splice(at..at, again));
        }
        8 => case
            .get_mut(at)
            .into_iter()
            .for_each(|o| *o ^= 1 << random.below(8)),
        9 => case.extend(word),
        // A line twice, a line elsewhere, a line less, or words before a line.
        kind => {
            let mut lines: Vec<Vec<u8>> = case
                .split_inclusive(|o| *o == b'\n')
                .map(<[u8]>::to_vec)
                .collect();
            let (from, to) = (random.below(lines.len()), random.below(lines.len() + 1));
            match (lines.get(from).cloned(), kind) {
                (None, _) => {}
                (Some(line), 10) => lines.insert(to, line),
                (Some(_), _) if random.below(2) == 0 => drop(lines.remove(from)),
                (Some(_), _) => lines.insert(to.max(1), word.to_vec()),
            }
            *case = lines.concat();
        }
    }
}
