// SPDX-License-Identifier: GPL-2.0

//! A cursor over octets to be written.

/// Writes into a slice, in order, and remembers when something did not fit.
///
/// Nothing is written after the first thing that did not fit, so that what there is is a prefix of
/// what was meant; [`Writer::finish`] then says `None`.
#[derive(Debug)]
pub(crate) struct Writer<'b> {
    /// What is not written yet.
    rest: &'b mut [u8],
    /// How many octets are written.
    len: usize,
    /// Whether something did not fit, or was not fit to be written.
    failed: bool,
}

impl<'b> Writer<'b> {
    /// A writer that begins at the start of `out`.
    pub(crate) fn new(out: &'b mut [u8]) -> Self {
        Self {
            rest: out,
            len: 0,
            failed: false,
        }
    }

    /// Writes `octets`.
    #[inline]
    pub(crate) fn put(&mut self, octets: &[u8]) {
        // What does not fit leaves no room for anything after it.
        match core::mem::take(&mut self.rest).split_at_mut_checked(octets.len()) {
            Some((out, rest)) => {
                for (to, from) in out.iter_mut().zip(octets) {
                    *to = *from;
                }
                self.rest = rest;
                self.len = self.len.wrapping_add(octets.len());
            }
            None => self.failed = true,
        }
    }

    /// Writes `value` in decimal.
    pub(crate) fn decimal(&mut self, value: u64) {
        let mut digits = [b'0'; 20];
        let mut value = value;
        let mut count = 0usize;
        for digit in digits.iter_mut().rev() {
            *digit = digit_of(value % 10);
            value /= 10;
            count = count.wrapping_add(1);
            if value == 0 {
                break;
            }
        }
        self.put_last(&digits, count);
    }

    /// Writes `value` in lower-case hexadecimal, without leading zeros.
    pub(crate) fn hex(&mut self, value: u64) {
        let mut digits = [b'0'; 16];
        let mut value = value;
        let mut count = 0usize;
        for digit in digits.iter_mut().rev() {
            *digit = digit_of(value & 15);
            value >>= 4;
            count = count.wrapping_add(1);
            if value == 0 {
                break;
            }
        }
        self.put_last(&digits, count);
    }

    /// Writes `octet` as a percent-encoded triplet (RFC 3986 2.1).
    pub(crate) fn percent(&mut self, octet: u8) {
        let upper = |digit: u8| digit_of(u64::from(digit)).to_ascii_uppercase();
        self.put(&[b'%', upper(octet >> 4), upper(octet & 15)]);
    }

    /// Makes [`Writer::finish`] fail: something was asked for that must not be written.
    pub(crate) fn fail(&mut self) {
        self.failed = true;
    }

    /// Whether something did not fit so far, or was not fit to be written.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// How many octets still fit.
    pub(crate) fn room(&self) -> usize {
        self.rest.len()
    }

    /// How many octets are written so far.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many octets were written, if all was.
    pub(crate) fn finish(self) -> Option<usize> {
        (!self.failed).then_some(self.len)
    }

    /// Writes the last `count` octets of `digits`.
    fn put_last(&mut self, digits: &[u8], count: usize) {
        let skip = digits.len().saturating_sub(count);
        self.put(digits.get(skip..).unwrap_or_default());
    }
}

/// The digit of a number less than 16.
#[inline]
fn digit_of(value: u64) -> u8 {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    usize::try_from(value)
        .ok()
        .and_then(|value| DIGITS.get(value))
        .copied()
        .unwrap_or(b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written() {
        for value in [
            0,
            1,
            9,
            10,
            15,
            16,
            99,
            100,
            255,
            256,
            u64::MAX - 1,
            u64::MAX,
        ] {
            let mut octets = [0; 40];
            let mut out = Writer::new(&mut octets);
            out.decimal(value);
            out.put(b" ");
            out.hex(value);
            let len = out.finish().unwrap();
            assert_eq!(octets[..len], *std::format!("{value} {value:x}").as_bytes());
        }
    }

    #[test]
    fn nothing_is_written_after_what_did_not_fit() {
        let mut octets = [b'-'; 4];
        let mut out = Writer::new(&mut octets);
        out.put(b"ab");
        assert!(!out.has_failed());
        assert_eq!(out.room(), 2);
        out.put(b"cde");
        out.put(b"f");
        assert_eq!(out.len(), 2);
        assert!(out.has_failed());
        assert_eq!(out.finish(), None);
        assert_eq!(&octets, b"ab--");
    }
}
