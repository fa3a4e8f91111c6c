// SPDX-License-Identifier: GPL-2.0

//! What the targets share.

/// A number that the octets decide, and that tells one input from another: where to cut them.
pub(crate) fn hash(octets: &[u8]) -> usize {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for &octet in octets {
        hash = (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
    }
    (hash >> 16) as usize
}

/// Whether `part` lies within `whole`, or is empty.
pub(crate) fn is_inside(part: &[u8], whole: &[u8]) -> bool {
    let (part, whole) = (part.as_ptr_range(), whole.as_ptr_range());
    part.is_empty() || (whole.start <= part.start && part.end <= whole.end)
}

/// Whether `octet` is a `tchar` (RFC 9110 5.6.2).
pub(crate) fn is_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet)
}

/// Whether `octet` may stand in a field value (RFC 9110 5.5).
pub(crate) fn is_field(octet: u8) -> bool {
    octet == b'\t' || (octet >= b' ' && octet != 0x7f)
}

/// `octets` without SP and HTAB at either end.
pub(crate) fn trim(octets: &[u8]) -> &[u8] {
    let is_text = |octet: &u8| !b" \t".contains(octet);
    let Some(begin) = octets.iter().position(is_text) else {
        return b"";
    };
    let end = octets.iter().rposition(is_text).unwrap_or(begin);
    &octets[begin..=end]
}
