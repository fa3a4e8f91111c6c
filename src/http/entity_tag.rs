// SPDX-License-Identifier: GPL-2.0

//! Entity tags (RFC 9110 8.8.3): how ours are made, and how a client's are read.

use super::content_coding::Coding;
use super::token;
use super::writer::Writer;

/// The length of the longest tag that is made: quotes, five numbers, a coding and five dashes.
const LEN: usize = 88;

/// What is known of a file that changes whenever its content does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    /// The inode change cookie, where the file system has one.
    pub(crate) cookie: Option<u64>,
    /// Seconds of the change time. Unlike the modification time it can't be set.
    pub(crate) seconds: i64,
    /// Nanoseconds of the change time.
    pub(crate) nanoseconds: u32,
    /// Length in octets.
    pub(crate) size: u64,
    /// Number of the inode: another file under the same name is another representation.
    pub(crate) inode: u64,
    /// The coding of the content: one file may be given in two codings by its names.
    pub(crate) coding: Coding,
}

/// A strong entity tag, quotes included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntityTag {
    /// The tag, then what is not of it.
    octets: [u8; LEN],
    /// The length of the tag.
    len: usize,
}

impl EntityTag {
    /// The tag of a file. Different changes have different tags.
    pub(crate) fn new(change: &Change) -> Self {
        let mut octets = [0; LEN];
        let mut out = Writer::new(&mut octets);
        out.put(b"\"");
        out.hex(u64::from_ne_bytes(change.seconds.to_ne_bytes()));
        out.put(b"-");
        out.hex(u64::from(change.nanoseconds));
        out.put(b"-");
        if let Some(cookie) = change.cookie {
            // Not alone: a new file may begin with the cookie, and the inode, of one that is gone.
            out.hex(cookie);
            out.put(b"-");
        }
        out.hex(change.size);
        out.put(b"-");
        out.hex(change.inode);
        if change.coding != Coding::Identity {
            out.put(b"-");
            out.put(change.coding.name().as_bytes());
        }
        out.put(b"\"");
        let len = out.len();
        Self { octets, len }
    }

    /// The tag as it is written in a field.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

/// A list of entity tags as a client wrote it, `1#entity-tag`.
///
/// Yields whether each is weak, and its opaque tag with the quotes; ends at the first thing that is
/// not an entity tag. Empty elements are passed over (RFC 9110 5.6.1.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Tags<'a> {
    /// What is not read yet.
    rest: &'a [u8],
}

impl<'a> Tags<'a> {
    /// The tags of a field value.
    pub(super) fn new(value: &'a [u8]) -> Self {
        Self { rest: value }
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = (bool, &'a [u8]);

    fn next(&mut self) -> Option<(bool, &'a [u8])> {
        let mut rest = core::mem::take(&mut self.rest);
        while let [b' ' | b'\t' | b',', more @ ..] = rest {
            rest = more;
        }
        let (weak, tag) = match rest {
            [b'W', b'/', tag @ ..] => (true, tag),
            tag => (false, tag),
        };
        let inner = tag.strip_prefix(b"\"")?;
        let len = inner.iter().position(|&octet| !token::is_etagc(octet))?;
        let (tag, after) = tag.split_at_checked(len.checked_add(2)?)?;
        if !tag.ends_with(b"\"") {
            return None;
        }
        // Between two tags there is a comma.
        let after = token::trim(after);
        match after {
            [] | [b',', ..] => {
                self.rest = after;
                Some((weak, tag))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_says_what_may_change() {
        let mut change = Change {
            cookie: None,
            seconds: 0x6543_21ff,
            nanoseconds: 999_999_999,
            size: 0x1_0000_0000,
            inode: 42,
            coding: Coding::Identity,
        };
        let tag = EntityTag::new(&change);
        assert_eq!(tag.as_bytes(), b"\"654321ff-3b9ac9ff-100000000-2a\"");
        change.coding = Coding::Gzip;
        let tag = EntityTag::new(&change);
        assert_eq!(tag.as_bytes(), b"\"654321ff-3b9ac9ff-100000000-2a-gzip\"");
        change.coding = Coding::Identity;
        change.cookie = Some(7);
        let tag = EntityTag::new(&change);
        assert_eq!(tag.as_bytes(), b"\"654321ff-3b9ac9ff-7-100000000-2a\"");
    }

    #[test]
    fn the_longest_tag_fits() {
        let tag = EntityTag::new(&Change {
            cookie: Some(u64::MAX),
            seconds: -1,
            nanoseconds: u32::MAX,
            size: u64::MAX,
            inode: u64::MAX,
            coding: Coding::Gzip,
        });
        assert!(tag.as_bytes().ends_with(b"-ffffffffffffffff-gzip\""));
        assert!(tag.as_bytes().len() < LEN);
    }
}
