// SPDX-License-Identifier: GPL-2.0

//! What holds for all octets and their kept checksums, tried on many: the sum is that of somebody
//! who adds one word after the other, whatever pieces it is put together of.

use std::vec;
use std::vec::Vec;

use proptest::collection::vec as vec_of;
use proptest::prelude::*;

use crate::sums;

/// The sum, as RFC 1071 defines it: word by word, most significant octet first.
fn naive(octets: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for word in octets.chunks(2) {
        sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::from_be_bytes((sum as u16).to_ne_bytes())
}

/// Whether two sums mean the same.
fn is_same(one: u16, other: u16) -> bool {
    one % 0xffff == other % 0xffff
}

/// Octets, often many of them extreme.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    let octet = prop_oneof![
        2 => any::<u8>(),
        1 => prop::sample::select(vec![0, 1, 0x7f, 0x80, 0xfe, 0xff]),
    ];
    prop_oneof![
        4 => vec_of(octet.clone(), 0..300),
        4 => vec_of(octet, 0..6000),
        1 => (any::<bool>(), 0..3000usize).prop_map(|(bit, len)| vec![if bit { 0xff } else { 0 }; len]),
    ]
}

/// The kept sums of `octets`.
fn kept(octets: &[u8]) -> Vec<u16> {
    let mut kept = vec![0; sums::count(octets.len())];
    sums::keep(octets, &mut kept);
    kept
}

proptest! {
    #[test]
    fn sum_is_that_of_all_words(octets in octets()) {
        prop_assert_eq!(sums::fold(sums::of(&octets)), naive(&octets));
    }

    #[test]
    fn part_has_the_sum_of_its_octets(octets in octets(), one in any::<prop::sample::Index>(), other in any::<prop::sample::Index>()) {
        let places = octets.len() + 1;
        let (one, other) = (one.index(places), other.index(places));
        let (first, end) = (one.min(other), one.max(other));
        let sum = sums::of_part(&octets, &kept(&octets), first, end).unwrap();
        prop_assert!(is_same(sums::fold(sum), naive(&octets[first..end])));
    }

    #[test]
    fn pieces_of_several_have_the_sum_of_all(
        parts in vec_of((octets(), any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..6),
    ) {
        let (mut sum, mut all) = (sums::Sum::new(), Vec::new());
        for (octets, one, other) in &parts {
            let places = octets.len() + 1;
            let (one, other) = (one.index(places), other.index(places));
            let (first, end) = (one.min(other), one.max(other));
            let part = sums::of_part(octets, &kept(octets), first, end).unwrap();
            sum.append(part, end - first);
            all.extend_from_slice(&octets[first..end]);
        }
        prop_assert!(is_same(sum.get(), naive(&all)));
        // A receiver adds the complement to what it adds up.
        let mut with_check = all.clone();
        if with_check.len() % 2 != 0 {
            with_check.push(0);
        }
        with_check.extend((!sum.get()).to_ne_bytes());
        prop_assert!(is_same(naive(&with_check), 0));
    }

    #[test]
    fn another_octet_makes_another_sum(octets in octets(), at in any::<prop::sample::Index>(), flip in 1..=255u8) {
        prop_assume!(!octets.is_empty());
        let mut other = octets.clone();
        other[at.index(octets.len())] ^= flip;
        prop_assert!(!is_same(sums::fold(sums::of(&octets)), sums::fold(sums::of(&other))));
    }
}
