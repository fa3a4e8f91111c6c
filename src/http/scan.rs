// SPDX-License-Identifier: GPL-2.0

//! Scans over octets of one class, and comparisons of names, which take eight octets at a time
//! where they can.
//!
//! A head is mostly field values, and the cost of a request is mostly the cost of looking at each
//! of their octets once.

use super::token::is_field;
use super::token::is_target;
use super::token::is_token;

/// The highest bit of each octet of a word.
const HIGH: u64 = repeat(0x80);

/// A word of which each octet is `octet`.
#[inline(always)]
const fn repeat(octet: u8) -> u64 {
    u64::from_ne_bytes([octet; 8])
}

/// Marks the octets of `word` that are less than `bound`, at most 0x80, by their highest bit.
///
/// Only the lowest mark is exact: the borrow of an octet so marked may mark the ones above it.
#[inline(always)]
fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(repeat(bound)) & !word & HIGH
}

/// Marks the octets of `word` that are equal to `octet`; only the lowest mark is exact.
#[inline(always)]
fn equal(word: u64, octet: u8) -> u64 {
    below(word ^ repeat(octet), 1)
}

/// Marks the octets of `word` that are neither ASCII letters nor `-`; only the lowest mark is
/// exact.
#[inline(always)]
fn rare(word: u64) -> u64 {
    // Up to the lowest octet that is marked, none is above 0x7f and no sum reaches 0x100.
    let lower = word | repeat(0x20);
    let from_a = lower.wrapping_add(repeat(0x80 - b'a'));
    let past_z = lower.wrapping_add(repeat(0x7f - b'z'));
    let dash = HIGH.wrapping_sub(word ^ repeat(b'-'));
    (!((from_a & !past_z) | dash) | word) & HIGH
}

/// Marks the control octets of `word`; what is marked above the lowest mark, or above an octet of
/// 0xff, may be none.
#[inline(always)]
fn control(word: u64) -> u64 {
    let below_space = word.wrapping_sub(repeat(0x20));
    let delete = word.wrapping_add(repeat(1));
    (below_space | delete) & !word & HIGH
}

/// The offset of the lowest mark of `marks`, which has one.
#[inline(always)]
fn first(marks: u64) -> usize {
    usize::try_from(marks.trailing_zeros() / 8).unwrap_or(0)
}

/// Sixteen octets as two words.
#[inline(always)]
fn words(octets: &[u8; 16]) -> [u64; 2] {
    // CAST: One half each is meant.
    let words = u128::from_le_bytes(*octets);
    [words as u64, (words >> 64) as u64]
}

/// The length of the longest prefix of `octets` of which `class` is true.
///
/// `marks` marks what `class` refuses, and perhaps more. From the first mark on it goes by octets:
/// mostly the prefix ends there, and if not, no octet costs more than any other.
#[inline(always)]
fn prefix(octets: &[u8], marks: impl Fn(u64) -> u64, class: impl Fn(u8) -> bool) -> usize {
    let mut rest = octets;
    while let Some((word, more)) = rest.split_first_chunk::<8>() {
        let marked = marks(u64::from_le_bytes(*word));
        if marked != 0 {
            rest = rest.get(first(marked)..).unwrap_or(rest);
            break;
        }
        rest = more;
    }
    while let [octet, more @ ..] = rest {
        if !class(*octet) {
            break;
        }
        rest = more;
    }
    octets.len().wrapping_sub(rest.len())
}

/// The length of the token that `octets` begins with; 0 if there is none.
#[inline]
pub(super) fn token_len(octets: &[u8]) -> usize {
    prefix(octets, rare, is_token)
}

/// The length of the run of octets that may stand in a field value.
#[inline]
pub(super) fn field_len(octets: &[u8]) -> usize {
    prefix(octets, control, is_field)
}

/// Skips a line that is nothing but visible ASCII and SP, and its CRLF.
///
/// If it is not that, or less than 16 octets follow it, `Err` is where it has to be read with more
/// care: all octets before are visible ASCII or SP.
#[inline(always)]
pub(super) fn skip_line(octets: &[u8]) -> Result<&[u8], &[u8]> {
    // Most lines end soon: apart from the others, they need fewer registers.
    let mut rest = match skip_words(octets) {
        Skipped::Words(rest) => rest,
        Skipped::Line(rest) => return Ok(rest),
        Skipped::Nothing => return Err(octets),
    };
    loop {
        match skip_words(rest) {
            Skipped::Words(more) => rest = more,
            Skipped::Line(rest) => return Ok(rest),
            Skipped::Nothing => return Err(rest),
        }
    }
}

/// What was skipped, and what follows it.
enum Skipped<'a> {
    /// Two words of a line.
    Words(&'a [u8]),
    /// The rest of a line, with its CRLF.
    Line(&'a [u8]),
    /// Nothing: there is something else before the CRLF, or there are no 18 octets.
    Nothing,
}

/// Skips two words, or what is left of a line if it ends there.
#[inline(always)]
fn skip_words(octets: &[u8]) -> Skipped<'_> {
    let skipped = octets.first_chunk::<18>().and_then(|start| {
        let Some(end) = plain_len(words(start.first_chunk()?)) else {
            return octets.get(16..).map(Skipped::Words);
        };
        let after = end.wrapping_add(2);
        let is_end = start.get(end..after)? == b"\r\n";
        octets.get(after..).filter(|_| is_end).map(Skipped::Line)
    });
    skipped.unwrap_or(Skipped::Nothing)
}

/// How many octets of two words are visible ASCII or SP, if not all.
#[inline(always)]
fn plain_len(words: [u64; 2]) -> Option<usize> {
    /// Marks other octets by the highest bit; the other bits mean nothing, and only the lowest mark
    /// is exact.
    #[inline(always)]
    fn marks(word: u64) -> u64 {
        word.wrapping_sub(repeat(0x20)) | word.wrapping_add(repeat(1))
    }

    let [low, high] = words.map(marks);
    if (low | high) & HIGH == 0 {
        return None;
    }
    Some(match low & HIGH {
        0 => first(high & HIGH).wrapping_add(8),
        low => first(low),
    })
}

/// The length of the run of octets that may stand in a request target.
#[inline]
pub(super) fn target_len(octets: &[u8]) -> usize {
    prefix(octets, not_target, is_target)
}

/// The length of the run of octets that may stand in a request target, as far as its first `?`.
#[inline(never)]
pub(super) fn path_len(octets: &[u8]) -> usize {
    prefix(
        octets,
        |word| not_target(word) | equal(word, b'?'),
        |octet| is_target(octet) && octet != b'?',
    )
}

/// Marks the octets of `word` that may not stand in a request target; only the lowest mark is
/// exact.
#[inline(always)]
fn not_target(word: u64) -> u64 {
    let past_tilde = word.wrapping_add(repeat(1)) | word;
    below(word, 0x21) | equal(word, b'#') | (past_tilde & HIGH)
}

/// Whether `octets` are nothing but lower case letters, digits, `-` and `.`, at least eight of
/// them.
///
/// That is how nearly all hosts are written; of another host nothing is said.
#[inline]
pub(super) fn is_domain(octets: &[u8]) -> bool {
    let (Some((first, mut rest)), Some(last)) =
        (octets.split_first_chunk::<8>(), octets.last_chunk::<8>())
    else {
        return false;
    };
    let mut marks = not_domain(first) | not_domain(last);
    while let Some((word, more)) = rest.split_first_chunk::<8>() {
        marks |= not_domain(word);
        rest = more;
    }
    marks & HIGH == 0
}

/// Marks the octets of `word` that are not lower case letters, digits, `-` or `.` by the highest
/// bit; the other bits mean nothing, and only the lowest mark is exact.
#[inline(always)]
fn not_domain(word: &[u8; 8]) -> u64 {
    let word = u64::from_le_bytes(*word);
    let from = |octet| word.wrapping_add(repeat(0x80u8.wrapping_sub(octet)));
    // The first sum that reaches 0x100 is of an octet above 0x7f, which is marked.
    let domain = (from(b'-') & !from(b'9' + 1)) | (from(b'a') & !from(b'z' + 1));
    !domain | word | (word ^ repeat(b'/')).wrapping_sub(repeat(1))
}

/// Where `needle` is in `octets` for the first time.
#[inline]
pub(super) fn find(octets: &[u8], needle: u8) -> Option<usize> {
    let at = prefix(octets, |word| equal(word, needle), |octet| octet != needle);
    (at < octets.len()).then_some(at)
}

/// Whether `name` is `canonical` in either case; `canonical` has at least four octets, at most 24,
/// and is made of letters and `-`.
#[inline(always)]
pub(super) fn is_named<const N: usize>(name: &[u8], canonical: &[u8; N]) -> bool {
    <&[u8; N]>::try_from(name).is_ok_and(|name| {
        let ([a, b, c], [d, e, f]) = (fold(name), fold(canonical));
        (a ^ d) | (b ^ e) | (c ^ f) == 0
    })
}

/// The octets of `name` as words without regard to case.
///
/// Setting the bit that tells the cases apart makes no other token octet equal to a letter or to
/// `-`.
#[inline(always)]
fn fold<const N: usize>(name: &[u8; N]) -> [u64; 3] {
    const CASE: u64 = repeat(0x20);
    let word = |octets: &[u8; 8]| u64::from_le_bytes(*octets) | CASE;
    let half = |octets: &[u8; 4]| u64::from(u32::from_le_bytes(*octets)) | CASE;
    match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            let middle = name.get(8..16).and_then(|middle| middle.try_into().ok());
            [word(first), middle.map_or(0, word), word(last)]
        }
        _ => match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (Some(first), Some(last)) => [half(first), half(last), 0],
            _ => [0; 3],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The length of the longest prefix of `octets` of which `class` is true.
    fn slow(octets: &[u8], class: impl Fn(u8) -> bool) -> usize {
        octets.iter().take_while(|octet| class(**octet)).count()
    }

    #[test]
    fn words_and_single_octets_agree() {
        // Two octets of any kind among plain ones, at any place of a word and across words.
        for first in 0..=255 {
            for second in 0..=255 {
                for place in 0..10 {
                    let mut octets = [b'a'; 19];
                    octets[place] = first;
                    octets[place + 1 + usize::from(first ^ second) % 8] = second;
                    assert_eq!(token_len(&octets), slow(&octets, is_token));
                    assert_eq!(field_len(&octets), slow(&octets, is_field));
                    assert_eq!(target_len(&octets), slow(&octets, is_target));
                    assert_eq!(
                        path_len(&octets),
                        slow(&octets, |octet| is_target(octet) && octet != b'?')
                    );
                    assert_eq!(
                        find(&octets, second),
                        octets.iter().position(|octet| *octet == second)
                    );
                    assert!(!is_domain(&octets) || slow(&octets, is_domain_octet) == 19);
                }
            }
        }
    }

    /// Whether `octet` is one of those that [`is_domain`] is about.
    fn is_domain_octet(octet: u8) -> bool {
        octet.is_ascii_lowercase() || octet.is_ascii_digit() || matches!(octet, b'-' | b'.')
    }

    #[test]
    fn a_domain_has_eight_octets_of_its_kind() {
        for len in 0..20 {
            let domain = &b"www.example-07.test."[..len];
            assert_eq!(is_domain(domain), len >= 8);
            for place in 0..len {
                for octet in 0..=255 {
                    let mut other = domain.to_vec();
                    other[place] = octet;
                    assert_eq!(is_domain(&other), len >= 8 && is_domain_octet(octet));
                }
            }
        }
    }

    #[test]
    fn a_line_is_skipped_if_it_is_plain() {
        let rest = b"0123456789abcdef";
        for len in 0..40 {
            let line = [&b" ~".repeat(20)[..len], b"\r\n", rest].concat();
            assert_eq!(skip_line(&line), Ok(&rest[..]));
            for place in 0..len + 2 {
                for octet in (0..=255).filter(|octet| *octet != line[place]) {
                    let mut other = line.clone();
                    other[place] = octet;
                    match skip_line(&other) {
                        Ok(after) => {
                            assert_eq!(after, rest);
                            assert!(place < len && is_plain(octet));
                        }
                        Err(unread) => {
                            assert!(place >= len || !is_plain(octet));
                            assert!(other.ends_with(unread));
                            let read = &other[..other.len() - unread.len()];
                            assert!(read.iter().all(|octet| is_plain(*octet)));
                        }
                    }
                }
            }
            // Cut anywhere, it is not whole, or too little follows.
            for cut in 0..line.len() {
                if let Ok(after) = skip_line(&line[..cut]) {
                    assert_eq!(after, &line[len + 2..cut]);
                }
            }
        }
    }

    /// Whether `octet` is visible ASCII or SP.
    fn is_plain(octet: u8) -> bool {
        (0x20..0x7f).contains(&octet)
    }

    /// Tries `is_named` with every single octet of a name changed to every other token octet.
    fn try_name<const N: usize>(canonical: &[u8; N]) {
        for place in 0..N {
            for octet in (0..=255).filter(|octet| is_token(*octet)) {
                let mut name = *canonical;
                name[place] = octet;
                assert_eq!(
                    is_named(&name, canonical),
                    name.eq_ignore_ascii_case(canonical)
                );
            }
        }
        assert!(!is_named(&canonical[1..], canonical));
        assert!(!is_named(&[&canonical[..], b"a"].concat(), canonical));
        assert!(is_named(&canonical.to_ascii_uppercase(), canonical));
        assert!(is_named(&canonical.to_ascii_lowercase(), canonical));
    }

    #[test]
    fn names_are_compared_without_regard_to_case() {
        try_name(b"Host");
        try_name(b"close");
        try_name(b"Expect");
        try_name(b"Upgrade");
        try_name(b"If-Match");
        try_name(b"Connection");
        try_name(b"If-None-Match");
        try_name(b"Content-Length");
        try_name(b"Accept-Encoding");
        try_name(b"Sixteen-Octets-x");
        try_name(b"Transfer-Encoding");
        try_name(b"If-Unmodified-Since");
        try_name(b"Twenty-Four-Octets-of-it");
    }
}
