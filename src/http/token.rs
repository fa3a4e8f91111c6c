// SPDX-License-Identifier: GPL-2.0

//! Character classes (RFC 9110 5.6, RFC 3986 2) as constant tables.

/// Class bit: `tchar` (RFC 9110 5.6.2).
const TOKEN: u8 = 1;
/// Class bit: `unreserved` or `sub-delims` (RFC 3986 2.2, 2.3), what a reg-name is made of.
const NAME: u8 = 1 << 1;
/// Class bit: `pchar` without `pct-encoded`, or `/` (RFC 3986 3.3): stands for itself in a path.
const PATH: u8 = 1 << 2;
/// Class bit: what may follow `?` unencoded, `%` included (RFC 3986 3.4).
const QUERY: u8 = 1 << 3;
/// Class bit: `etagc` (RFC 9110 8.8.3).
const ETAGC: u8 = 1 << 4;
/// Class bit: `field-vchar`, SP or HTAB (RFC 9110 5.5).
const FIELD: u8 = 1 << 5;
/// Class bit: VCHAR other than `#`, the octets accepted in a request target.
const TARGET: u8 = 1 << 6;

/// The classes of each octet.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut rest: &mut [u8] = &mut classes;
    let mut octet = 0u8;
    while let [class, more @ ..] = rest {
        *class = class_of(octet);
        octet = octet.wrapping_add(1);
        rest = more;
    }
    classes
};

/// The classes of `octet`, worked out.
const fn class_of(octet: u8) -> u8 {
    let alphanumeric = octet.is_ascii_alphanumeric();
    let name = alphanumeric
        || matches!(octet, b'-' | b'.' | b'_' | b'~')
        || matches!(octet, b'!' | b'$' | b'&'..=b',' | b';' | b'=');
    let path = name || matches!(octet, b':' | b'@' | b'/');
    let mut class = 0;
    if alphanumeric
        || matches!(octet, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.')
        || matches!(octet, b'^'..=b'`' | b'|' | b'~')
    {
        class |= TOKEN;
    }
    if name {
        class |= NAME;
    }
    if path {
        class |= PATH;
    }
    if path || matches!(octet, b'?' | b'%') {
        class |= QUERY;
    }
    if octet == 0x21 || (octet >= 0x23 && octet != 0x7f) {
        class |= ETAGC;
    }
    if octet == b'\t' || (octet >= 0x20 && octet != 0x7f) {
        class |= FIELD;
    }
    if octet.is_ascii_graphic() && octet != b'#' {
        class |= TARGET;
    }
    class
}

/// Whether `octet` has one of the class bits `class`.
#[inline(always)]
fn is(octet: u8, class: u8) -> bool {
    CLASSES
        .get(usize::from(octet))
        .is_some_and(|classes| classes & class != 0)
}

/// Whether `octet` is a `tchar`.
#[inline]
pub(super) fn is_token(octet: u8) -> bool {
    is(octet, TOKEN)
}

/// Whether `octet` is `unreserved` or one of `sub-delims`.
#[inline]
pub(super) fn is_name(octet: u8) -> bool {
    is(octet, NAME)
}

/// Whether `octet` stands for itself in a path, `/` included.
#[inline]
pub(super) fn is_path(octet: u8) -> bool {
    is(octet, PATH)
}

/// Whether `octet` stands for itself in a query, `%` included.
#[inline]
pub(super) fn is_query(octet: u8) -> bool {
    is(octet, QUERY)
}

/// Whether `octet` may stand between the quotes of an entity tag.
#[inline]
pub(super) fn is_etagc(octet: u8) -> bool {
    is(octet, ETAGC)
}

/// Whether `octet` may stand in a field value: visible, SP, HTAB or obs-text.
#[inline]
pub(super) fn is_field(octet: u8) -> bool {
    is(octet, FIELD)
}

/// Whether `octet` may stand in a request target.
#[inline]
pub(super) fn is_target(octet: u8) -> bool {
    is(octet, TARGET)
}

/// Whether `octet` is optional white space (RFC 9110 5.6.3).
#[inline]
pub(super) fn is_space(octet: u8) -> bool {
    octet == b' ' || octet == b'\t'
}

/// `octets` without optional white space at either end.
#[inline(always)]
pub(super) fn trim(octets: &[u8]) -> &[u8] {
    // As nearly all field values are written.
    if let [b' ', value @ ..] = octets {
        if let ([first, ..], [.., last]) = (value, value) {
            // What is above SP is no white space.
            if *first > b' ' && *last > b' ' {
                return value;
            }
        }
    }
    trim_more(octets)
}

/// [`trim`] for any number of white space.
#[inline(never)]
fn trim_more(mut octets: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = octets {
        octets = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = octets {
        octets = rest;
    }
    octets
}

/// The value of a hexadecimal digit.
#[inline]
pub(super) fn hex(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(octet.wrapping_sub(b'a' - 10)),
        b'A'..=b'F' => Some(octet.wrapping_sub(b'A' - 10)),
        _ => None,
    }
}

/// The value of a run of decimal digits, one at least; `None` also if it is greater than `u64`.
pub(super) fn decimal(octets: &[u8]) -> Result<u64, NotDecimal> {
    if octets.is_empty() {
        return Err(NotDecimal::Syntax);
    }
    let mut value = Some(0u64);
    for &octet in octets {
        let digit = octet.wrapping_sub(b'0');
        if digit > 9 {
            return Err(NotDecimal::Syntax);
        }
        value = value
            .and_then(|value| value.checked_mul(10))
            .and_then(|value| value.checked_add(u64::from(digit)));
    }
    value.ok_or(NotDecimal::TooLarge)
}

/// Why octets are not a decimal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotDecimal {
    /// There is no digit, or something that is none.
    Syntax,
    /// It does not fit in 64 bits.
    TooLarge,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_trimmed() {
        for value in [&b""[..], b"a", b"ab", b"a b", b"a\tb"] {
            for before in [&b""[..], b" ", b"\t", b"  ", b" \t "] {
                for after in [&b""[..], b" ", b"\t", b" \t"] {
                    assert_eq!(trim(&[before, value, after].concat()), value);
                }
            }
        }
    }

    #[test]
    fn classes_are_as_the_grammar_says() {
        for octet in 0..=255u8 {
            let visible = (0x21..=0x7e).contains(&octet);
            assert_eq!(
                is_token(octet),
                visible && !b"\"(),/:;<=>?@[\\]{}".contains(&octet)
            );
            assert_eq!(
                is_name(octet),
                octet.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&octet)
            );
            assert_eq!(is_path(octet), is_name(octet) || b":@/".contains(&octet));
            assert_eq!(is_query(octet), is_path(octet) || b"?%".contains(&octet));
            assert_eq!(is_etagc(octet), (visible && octet != b'"') || octet >= 0x80);
            assert_eq!(
                is_field(octet),
                visible || octet >= 0x80 || octet == b' ' || octet == b'\t'
            );
            assert_eq!(is_target(octet), visible && octet != b'#');
            assert_eq!(
                hex(octet).map(u32::from),
                char::from(octet).to_digit(16).filter(|_| octet < 0x80)
            );
        }
    }

    #[test]
    fn numbers_are_decimal() {
        assert_eq!(decimal(b"0"), Ok(0));
        assert_eq!(decimal(b"18446744073709551615"), Ok(u64::MAX));
        assert_eq!(decimal(b"18446744073709551616"), Err(NotDecimal::TooLarge));
        assert_eq!(
            decimal(b"99999999999999999999999"),
            Err(NotDecimal::TooLarge)
        );
        assert_eq!(
            decimal(b"99999999999999999999999x"),
            Err(NotDecimal::Syntax)
        );
        for octets in [&b""[..], b"-1", b"+1", b"1 ", b"/", b":"] {
            assert_eq!(decimal(octets), Err(NotDecimal::Syntax));
        }
    }
}
