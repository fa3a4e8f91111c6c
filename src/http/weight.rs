// SPDX-License-Identifier: GPL-2.0

//! Weights, or quality values (RFC 9110 12.4.2): how much a client prefers what it lists.

use super::token;

/// How much something is preferred, in thousandths; 0 says that it is not acceptable.
pub(super) type Weight = u16;

/// The weight of what is listed without one, and the greatest.
pub(super) const FULL: Weight = 1000;

/// Reads a `qvalue`.
pub(super) fn parse(octets: &[u8]) -> Option<Weight> {
    let (first, fraction) = match octets {
        [first] => (first, &[][..]),
        [first, b'.', fraction @ ..] => (first, fraction),
        _ => return None,
    };
    let mut weight = match first {
        b'0' => 0,
        b'1' => 1,
        _ => return None,
    };
    let mut digits = fraction.iter();
    for _ in 0..3 {
        let digit = digits.next().copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        // At most 1999, so that nothing wraps.
        let digit = u16::from(digit.wrapping_sub(b'0'));
        weight = u16::wrapping_mul(weight, 10).wrapping_add(digit);
    }
    (digits.next().is_none() && weight <= FULL).then_some(weight)
}

/// Reads a parameter called `q`; `None` says that it is another, or that its value is no weight.
///
/// There is no white space around the `=` (RFC 9110 5.6.6); the case of names makes no difference.
pub(super) fn parameter(octets: &[u8]) -> Option<Weight> {
    match token::trim(octets) {
        [b'q' | b'Q', b'=', value @ ..] => parse(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read() {
        for (octets, weight) in [
            ("0", 0),
            ("0.", 0),
            ("0.0", 0),
            ("0.000", 0),
            ("0.001", 1),
            ("0.01", 10),
            ("0.1", 100),
            ("0.5", 500),
            ("0.25", 250),
            ("0.999", 999),
            ("1", 1000),
            ("1.", 1000),
            ("1.0", 1000),
            ("1.000", 1000),
        ] {
            assert_eq!(parse(octets.as_bytes()), Some(weight), "{octets}");
        }
    }

    #[test]
    fn what_is_no_weight_is_not_read() {
        for octets in [
            "", ".", ".5", "5", "2", "00", "01", "10", "-0", "+1", "1.001", "1.1", "1.0000",
            "0.0000", "0.5000", "0,5", "0.5 ", " 0.5", "0.a", "0.5a", "0.-1", "0..5", "1e0", "0x1",
            "\"1\"", "1.0.0", "00.5", "9.999",
        ] {
            assert_eq!(parse(octets.as_bytes()), None, "{octets}");
        }
    }

    #[test]
    fn a_parameter_is_named_q() {
        for octets in ["q=0.5", "Q=0.5", " q=0.5\t"] {
            assert_eq!(parameter(octets.as_bytes()), Some(500));
        }
        for octets in ["", "q", "q=", "=1", "q =1", "q= 1", "qs=1", "p=1", "q:1"] {
            assert_eq!(parameter(octets.as_bytes()), None, "{octets}");
        }
    }
}
