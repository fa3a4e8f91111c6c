// SPDX-License-Identifier: GPL-2.0

//! The table of explained disagreements, `explained.txt`.

/// A class of disagreements, and who is right.
pub(crate) struct Explained {
    /// What it is about, with the section that decides.
    pub(crate) title: String,
    /// Who is right: ours, theirs, or either.
    pub(crate) right: String,
    /// What it covers: peer, ours, theirs, each a pattern.
    patterns: Vec<[String; 3]>,
}

impl Explained {
    /// Reads a table; its head says how.
    pub(crate) fn read(text: &str) -> Vec<Self> {
        let mut table: Vec<Self> = vec![];
        for block in text.split("\n\n") {
            let mut lines = block.lines().filter(|line| !line.starts_with('#'));
            let Some(title) = lines.next() else {
                continue;
            };
            assert!(title.ends_with(')'), "{title}: no section");
            let mut row = Self {
                title: title.to_string(),
                right: String::new(),
                patterns: vec![],
            };
            for line in lines {
                if let Some(pattern) = line.strip_prefix("< ") {
                    let words: Vec<String> = pattern.split(' ').map(str::to_string).collect();
                    row.patterns.push(words.try_into().expect(line));
                } else if let Some(right) = line.strip_prefix("= ") {
                    let (right, _) = right.split_once(':').expect(line);
                    assert!(["ours", "theirs", "either"].contains(&right), "{line}");
                    row.right = right.to_string();
                } else {
                    assert!(line.starts_with("  "), "{line}");
                }
            }
            assert!(!row.right.is_empty() && !row.patterns.is_empty(), "{title}");
            table.push(row);
        }
        table
    }

    /// Whether a class is one of these.
    pub(crate) fn covers(&self, peer: &str, ours: &str, theirs: &str) -> bool {
        let matches = |pattern: &[String; 3]| {
            let words = pattern.iter().zip([peer, ours, theirs]);
            words
                .into_iter()
                .all(|(pattern, word)| is_like(word, pattern))
        };
        self.patterns.iter().any(matches)
    }
}

/// Whether `word` is like one of the patterns that `|` divides, where `*` is any text.
fn is_like(word: &str, patterns: &str) -> bool {
    patterns.split('|').any(|pattern| {
        let mut pieces = pattern.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = word.strip_prefix(first) else {
            return false;
        };
        let mut last = None;
        for piece in pieces {
            let Some(at) = rest.find(piece) else {
                return false;
            };
            rest = &rest[at + piece.len()..];
            last = Some(piece);
        }
        rest.is_empty() || last.is_some_and(|piece| word.ends_with(piece))
    })
}
