// SPDX-License-Identifier: GPL-2.0

//! The Internet checksum (RFC 1071) of octets, and of parts of octets whose sums were kept.
//!
//! Pure: it uses `core` only, and is tested on any machine.
//!
//! A sum is that of 16-bit words in the order of the machine, the carries added, and not
//! complemented. Here it has 64 bits, with the words one above the other, until [`fold`] makes it
//! one word: each carry of 64 bits is one of 16, too. 0 and all ones mean the same.

/// Octets between two kept sums: whole words.
const BLOCK: usize = 32;

/// Octets that are added at a time.
const WORD: usize = 8;

/// How many sums are kept of `len` octets.
pub(super) const fn count(len: usize) -> usize {
    len / BLOCK
}

/// Adds two sums.
fn add(one: u64, other: u64) -> u64 {
    let (sum, carry) = one.overflowing_add(other);
    // With a carry there is room for it.
    sum.wrapping_add(u64::from(carry))
}

/// The sum of `octets`.
pub(super) fn of(octets: &[u8]) -> u64 {
    let mut words = octets.chunks_exact(WORD);
    let mut sum = 0;
    for word in words.by_ref() {
        let word = <[u8; WORD]>::try_from(word).map_or(0, u64::from_ne_bytes);
        sum = add(sum, word);
    }
    let rest = words.remainder();
    if rest.is_empty() {
        return sum;
    }
    let mut last = [0; WORD];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    add(sum, u64::from_ne_bytes(last))
}

/// Makes one word of `sum`.
pub(super) fn fold(mut sum: u64) -> u16 {
    for _ in 0..4 {
        sum = (sum & 0xffff).wrapping_add(sum >> 16);
    }
    // CAST: What is more was added, the carries of that too.
    sum as u16
}

/// Writes into `sums`, for the end of each block, the sum of all `octets` before it.
pub(super) fn keep(octets: &[u8], sums: &mut [u16]) {
    let mut sum = 0;
    for (block, kept) in octets.chunks_exact(BLOCK).zip(sums) {
        sum = add(sum, of(block));
        *kept = fold(sum);
    }
}

/// The sum of the octets before `place`, with the `sums` that were kept.
fn before(octets: &[u8], sums: &[u16], place: usize) -> Option<u64> {
    let block = place / BLOCK;
    let mut sum = match block.checked_sub(1) {
        Some(last) => u64::from(*sums.get(last)?),
        None => 0,
    };
    let mut rest = octets.get(block.checked_mul(BLOCK)?..)?;
    for _ in 0..place % BLOCK / WORD {
        let (word, behind) = rest.split_first_chunk()?;
        sum = add(sum, u64::from_ne_bytes(*word));
        rest = behind;
    }
    let left = place % WORD;
    if left == 0 {
        return Some(sum);
    }
    let Some(word) = rest.first_chunk() else {
        return Some(add(sum, of(rest.get(..left)?)));
    };
    let bits = left.wrapping_mul(8) as u32;
    let mask = if cfg!(target_endian = "little") {
        u64::MAX.checked_shl(bits)?
    } else {
        u64::MAX.checked_shr(bits)?
    };
    Some(add(sum, u64::from_ne_bytes(*word) & !mask))
}

/// The sum of the octets from `first` to `end` of `octets`, whose `sums` were kept. `None` if there
/// are no such octets.
pub(super) fn of_part(octets: &[u8], sums: &[u16], first: usize, end: usize) -> Option<u64> {
    if first > end || end > octets.len() {
        return None;
    }
    let sum = add(before(octets, sums, end)?, !before(octets, sums, first)?);
    Some(if first % 2 == 0 { sum } else { swap(sum) })
}

/// The sum of the same octets, if the first one of each word becomes the second one of another.
fn swap(sum: u64) -> u64 {
    sum.rotate_left(8)
}

/// The sum of pieces, one after the other.
#[derive(Clone, Copy)]
pub(super) struct Sum {
    sum: u64,
    /// Whether the next octet is the second one of its word.
    is_odd: bool,
}

impl Sum {
    /// The sum of nothing.
    pub(super) fn new() -> Self {
        Self {
            sum: 0,
            is_odd: false,
        }
    }

    /// Appends `len` octets, of which this is the `sum`.
    pub(super) fn append(&mut self, sum: u64, len: usize) {
        let sum = if self.is_odd { swap(sum) } else { sum };
        self.sum = add(self.sum, sum);
        self.is_odd ^= len % 2 != 0;
    }

    /// The sum of all.
    pub(super) fn get(self) -> u16 {
        fold(self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        add,
        count,
        fold,
        keep,
        of,
        of_part,
        Sum, //
    };
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn sum_is_that_of_rfc_1071() {
        // Its example, section 3: 0001 f203 f4f5 f6f7, whose sum is ddf2.
        let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(u16::from_be_bytes(fold(of(&octets)).to_ne_bytes()), 0xddf2);
    }

    #[test]
    fn nothing_has_no_sum() {
        assert_eq!(of(&[]), 0);
        assert_eq!(
            of_part(&[1, 2, 3], &[], 2, 2).map(|sum| fold(sum) % 0xffff),
            Some(0)
        );
        assert_eq!(Sum::new().get(), 0);
    }

    #[test]
    fn last_octet_is_the_first_of_a_word() {
        assert_eq!(fold(of(&[1, 2, 3])), fold(of(&[1, 2, 3, 0])));
    }

    #[test]
    fn carries_are_added() {
        assert_eq!(add(u64::MAX, u64::MAX), u64::MAX);
        assert_eq!(add(1 << 63, 1 << 63), 1);
        assert_eq!(fold(u64::MAX), 0xffff);
        assert_eq!(fold(0xffff_0000_0000_0001), 1);
        assert_eq!(fold(0x8000_8000_8000_8000), 2);
        assert_eq!(fold(of(&[0xff; 1000])), 0xffff);
    }

    #[test]
    fn octets_that_are_not_there_have_no_sum() {
        let octets = [1; 256];
        let mut sums = [0; count(256)];
        keep(&octets, &mut sums);
        assert_eq!(of_part(&octets, &sums, 0, 257), None);
        assert_eq!(of_part(&octets, &sums, 2, 1), None);
        assert_eq!(of_part(&octets, &sums, usize::MAX, usize::MAX), None);
        assert_eq!(of_part(&octets, &[], 0, 256), None);
    }

    #[test]
    fn every_part_has_its_sum() {
        for len in [0, 1, 7, 31, 32, 33, 64, 200, 389] {
            let octets: Vec<u8> = (0..len).map(|n: u32| (n * n / 7) as u8).collect();
            let mut sums = vec![0; count(octets.len())];
            keep(&octets, &mut sums);
            for first in 0..=octets.len() {
                for end in first..=octets.len() {
                    let sum = fold(of_part(&octets, &sums, first, end).unwrap());
                    let wanted = fold(of(&octets[first..end]));
                    assert_eq!(sum % 0xffff, wanted % 0xffff, "{first} to {end} of {len}");
                }
            }
        }
    }
}
