// SPDX-License-Identifier: GPL-2.0

//! Content of type `multipart/byteranges` (RFC 9110 14.6): several ranges of one representation.
//!
//! ```text
//! --range-8f14e45fceea167a          head of part 0
//! Content-Type: text/plain
//! Content-Range: bytes 0-0/9000
//!
//! a                                 ranges[0]
//! --range-8f14e45fceea167a          head of part 1
//! Content-Type: text/plain
//! Content-Range: bytes 8000-8001/9000
//!
//! bc                                ranges[1]
//! --range-8f14e45fceea167a--        end
//! ```
//!
//! Each line ends in CRLF. The CRLF before a delimiter belongs to it, not to the part before (RFC
//! 2046 5.1.1): it is written with the delimiter. The first delimiter has none before it, so that
//! there is no preamble.
//!
//! The delimiter must not occur in a part. The parts are not searched for it: the caller gives 63
//! random bits, which whoever wrote the content can't have known.
//!
//! A representation with a content coding is better sent whole: its Content-Encoding must be in the
//! head of the response (RFC 9110 15.3.7), where clients take it for that of all the content, and
//! not of each part.

use super::range::ByteRange;
use super::range::Ranges;
use super::response::Head;
use super::writer::Writer;

/// Room for the head of any part, and for the end.
pub(crate) const HEAD_LEN: usize = 256;

/// What separates the parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Boundary {
    /// A token, which needs no quotes as a parameter.
    octets: [u8; Self::LEN],
}

impl Boundary {
    /// The length of each: `range-` and 16 digits.
    const LEN: usize = 22;

    /// The boundary of a random number, whose highest bit doesn't matter.
    pub(crate) fn new(random: u64) -> Self {
        let mut octets = [0; Self::LEN];
        let mut out = Writer::new(&mut octets);
        out.put(b"range-");
        // With that bit it always has as many digits.
        out.hex(random | (1 << 63));
        Self { octets }
    }

    /// The boundary as it is written.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.octets
    }
}

/// Content of several parts, seen from what it is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Multipart<'a> {
    /// The ranges, in order.
    pub(crate) ranges: &'a [ByteRange],
    /// What separates them.
    pub(crate) boundary: Boundary,
    /// The Content-Type of the representation.
    pub(crate) media_type: &'a [u8],
    /// The length of the representation.
    pub(crate) length: u64,
}

impl<'a> Multipart<'a> {
    /// The parts of a representation of `length` octets.
    pub(crate) fn new(
        ranges: &'a Ranges,
        boundary: Boundary,
        media_type: &'a [u8],
        length: u64,
    ) -> Self {
        Self {
            ranges: ranges.as_slice(),
            boundary,
            media_type,
            length,
        }
    }

    /// The length of the content; `None` if that is not less than the length of the representation,
    /// or if a head has no room in [`HEAD_LEN`] octets: then the whole is to be sent.
    pub(crate) fn content_length(&self) -> Option<u64> {
        let mut scratch = [0; HEAD_LEN];
        let mut total = u64::try_from(self.end(&mut scratch)?).ok()?;
        let mut index = 0usize;
        for range in self.ranges {
            let head = self.head(index, &mut scratch)?;
            total = total
                .checked_add(u64::try_from(head).ok()?)?
                .checked_add(range.len())?;
            index = index.wrapping_add(1);
        }
        (total < self.length).then_some(total)
    }

    /// Writes what comes before range `index`: the delimiter and the fields of its part; `None` if
    /// there is no such range, or no room.
    pub(crate) fn head(&self, index: usize, out: &mut [u8]) -> Option<usize> {
        let range = self.ranges.get(index)?;
        let mut head = Head::part(out);
        if index != 0 {
            head.lines(b"\r\n");
        }
        head.lines(b"--");
        head.lines(self.boundary.as_bytes());
        head.lines(b"\r\n");
        head.field("Content-Type", self.media_type);
        head.content_range(*range, self.length);
        head.finish()
    }

    /// Writes what comes after the last range; `None` if there is no room.
    pub(crate) fn end(&self, out: &mut [u8]) -> Option<usize> {
        let mut out = Writer::new(out);
        out.put(b"\r\n--");
        out.put(self.boundary.as_bytes());
        out.put(b"--\r\n");
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    use super::super::range::GAP;
    use super::*;

    /// The content of the parts of `whole`.
    fn content(multipart: &Multipart<'_>, whole: &[u8]) -> Vec<u8> {
        let mut content = vec![];
        let mut octets = [0; HEAD_LEN];
        for (index, range) in multipart.ranges.iter().enumerate() {
            let len = multipart.head(index, &mut octets).unwrap();
            content.extend_from_slice(&octets[..len]);
            content.extend_from_slice(&whole[range.first as usize..range.end as usize]);
        }
        let len = multipart.end(&mut octets).unwrap();
        content.extend_from_slice(&octets[..len]);
        content
    }

    #[test]
    fn parts_are_delimited() {
        let whole: Vec<u8> = (b'a'..=b'z').cycle().take(1000).collect();
        let multipart = Multipart {
            ranges: &[
                ByteRange {
                    first: 900,
                    end: 902,
                },
                ByteRange { first: 0, end: 1 },
            ],
            boundary: Boundary::new(0x1234),
            media_type: b"text/plain; charset=utf-8",
            length: 1000,
        };
        let content = content(&multipart, &whole);
        assert_eq!(
            String::from_utf8(content.clone()).unwrap(),
            "--range-8000000000001234\r\n\
            Content-Type: text/plain; charset=utf-8\r\n\
            Content-Range: bytes 900-901/1000\r\n\
            \r\n\
            qr\r\n\
            --range-8000000000001234\r\n\
            Content-Type: text/plain; charset=utf-8\r\n\
            Content-Range: bytes 0-0/1000\r\n\
            \r\n\
            a\r\n\
            --range-8000000000001234--\r\n"
        );
        assert_eq!(multipart.content_length(), Some(content.len() as u64));
        assert_eq!(multipart.head(2, &mut [0; HEAD_LEN]), None);
        assert_eq!(multipart.head(0, &mut [0; 60]), None);
        assert_eq!(multipart.end(&mut [0; 20]), None);
    }

    #[test]
    fn parts_are_not_longer_than_the_whole() {
        let parts = |length| {
            let ranges = [
                ByteRange { first: 0, end: 1 },
                ByteRange {
                    first: length - 1,
                    end: length,
                },
            ];
            let multipart = Multipart {
                ranges: &ranges,
                boundary: Boundary::new(0),
                media_type: b"text/css",
                length,
            };
            multipart.content_length()
        };
        // A delimiter of 26 octets, fields of 24 and 30, an empty line, and the octet; then 2, 26,
        // 24, 34, 2 and 1; and 30 for the end.
        assert_eq!(parts(83 + 89 + 30), None);
        assert_eq!(parts(83 + 89 + 31), Some(83 + 89 + 30));
    }

    #[test]
    fn lengths_are_64_bits_wide() {
        let parts = |first, end| {
            let ranges = [ByteRange { first: 0, end: 1 }, ByteRange { first, end }];
            let multipart = Multipart {
                ranges: &ranges,
                boundary: Boundary::new(u64::MAX),
                media_type: b"application/octet-stream",
                length: u64::MAX,
            };
            multipart.content_length()
        };
        // A head of 115 octets and one octet; a head of as many as there are digits; an end of 30.
        assert_eq!(parts(100, u64::MAX), None);
        assert_eq!(
            parts(1000, u64::MAX - 1000),
            Some(116 + (2 + 26 + 40 + 69 + 2) + (u64::MAX - 2000) + 30)
        );
        assert_eq!(
            parts(u64::MAX - 2, u64::MAX),
            Some(116 + (2 + 26 + 40 + 85 + 2 + 2) + 30)
        );
    }

    #[test]
    fn the_longest_head_fits_with_a_long_media_type() {
        let ranges = [ByteRange {
            first: u64::MAX - 2,
            end: u64::MAX - 1,
        }; 2];
        let fits = |media_type: &[u8]| {
            let multipart = Multipart {
                ranges: &ranges,
                boundary: Boundary::new(7),
                media_type,
                length: u64::MAX,
            };
            (
                multipart.head(1, &mut [0; HEAD_LEN]).is_some(),
                multipart.content_length().is_some(),
            )
        };
        let long = [b'a'; 130];
        assert_eq!(fits(&long[..120]), (true, true));
        assert_eq!(fits(&long), (false, false));
        // Nothing but a value can be written there.
        assert_eq!(fits(b"a\r\n\r\nb"), (false, false));
    }

    #[test]
    fn no_part_costs_less_than_the_gap_that_is_closed() {
        // The first position of a second part is after the first part and the gap.
        let ranges = [
            ByteRange { first: 0, end: 1 },
            ByteRange {
                first: 1 + GAP,
                end: 2 + GAP,
            },
        ];
        let multipart = Multipart {
            ranges: &ranges,
            boundary: Boundary::new(0),
            media_type: b"a/b",
            length: 2 + GAP,
        };
        let cost = multipart.head(1, &mut [0; HEAD_LEN]).unwrap();
        assert!(cost as u64 >= GAP, "{cost}");
    }
}
