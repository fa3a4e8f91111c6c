// SPDX-License-Identifier: GPL-2.0

//! The content of a response that doesn't fit behind its head: octets of a file, or of memory, or
//! several ranges of a file with the heads of their parts between them.

use super::cache::Hasher;
use super::directory::Text;
use super::flight::Key;
use super::held::Held;
use super::lookup::Document;
use super::storage::Place;
use crate::http::multipart::{
    Boundary,
    Multipart, //
};
use crate::http::range::{
    ByteRange,
    Ranges, //
};
use crate::linux::context::MaySleep;
use crate::linux::fragment::Fragments;
use crate::linux::page_frag::Cache;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use kernel::sync::Arc;

/// Octets that are read in one piece, a power of two.
const READ: usize = 128 << 10;

/// Fragments that are handed to the stack in one call: as many as fit into a page.
pub(super) const FRAGMENTS: usize = 256;

/// Octets that are handed to the stack in one call: the more, the less does one cost.
const WINDOW: usize = FRAGMENTS * PAGE_SIZE;

/// Octets that are handed to the stack beyond the room in the send buffer: a segment.
const BEYOND: usize = 64 << 10;

/// Content, as far as it is not in fragments yet.
pub(super) struct Content {
    source: Source,
    /// The next octet.
    offset: u64,
    /// The end of the content, or of the range that is being sent.
    end: u64,
    /// What is sent behind that, if there are several ranges.
    parts: Option<KBox<Parts>>,
}

/// Where content comes from.
enum Source {
    /// A file.
    File(Arc<Held>),
    /// Memory.
    Memory(Text),
}

/// Several ranges of a file.
pub(super) struct Parts {
    ranges: Ranges,
    boundary: Boundary,
    /// The Content-Type of the whole.
    media_type: KVVec<u8>,
    /// The length of the whole.
    length: u64,
    /// The range whose head comes next; behind the last one, the end does.
    next: usize,
}

/// What [`Content::fill`] has found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// Octets, or the end.
    Filled,
    /// What comes next has to be read.
    Cold,
}

/// Octets that are to be handed to the stack when the send buffer has that `room`.
pub(super) fn window(room: usize) -> usize {
    room.saturating_add(BEYOND).min(WINDOW)
}

impl Parts {
    /// Parts of content of `length` octets.
    pub(super) fn new(
        ranges: Ranges,
        boundary: Boundary,
        media_type: KVVec<u8>,
        length: u64,
    ) -> Self {
        Self {
            ranges,
            boundary,
            media_type,
            length,
            next: 0,
        }
    }

    /// The parts as they are written.
    pub(super) fn multipart(&self) -> Multipart<'_> {
        Multipart::new(&self.ranges, self.boundary, &self.media_type, self.length)
    }

    /// What separates them.
    pub(super) fn boundary(&self) -> &[u8] {
        self.boundary.as_bytes()
    }

    /// Whether the end was written.
    fn is_done(&self) -> bool {
        self.next > self.ranges.as_slice().len()
    }

    /// Adds what comes before the next range, and returns that; behind the last one, adds the end.
    #[inline(never)]
    fn advance(&mut self, fragments: &mut Fragments, cache: &mut Cache) -> Result<ByteRange> {
        let mut octets = [0; crate::http::multipart::HEAD_LEN];
        let multipart = self.multipart();
        let range = multipart.ranges.get(self.next).copied();
        let len = match range {
            Some(_) => multipart.head(self.next, &mut octets),
            None => multipart.end(&mut octets),
        };
        let octets = octets.get(..len.ok_or(EINVAL)?).ok_or(EINVAL)?;
        cache.append(octets, fragments)?;
        self.next = self.next.saturating_add(1);
        Ok(range.unwrap_or_default())
    }
}

impl Content {
    /// The whole of a file.
    pub(super) fn whole(document: Document) -> Self {
        let range = ByteRange {
            first: 0,
            end: document.attributes.size,
        };
        Self::range(document, range)
    }

    /// A range of a file.
    pub(super) fn range(document: Document, range: ByteRange) -> Self {
        Self::file(document.file, range)
    }

    /// As [`Self::range`], of the document's file.
    pub(super) fn file(file: Arc<Held>, range: ByteRange) -> Self {
        Self {
            source: Source::File(file),
            offset: range.first,
            end: range.end,
            parts: None,
        }
    }

    /// Several ranges of a file.
    pub(super) fn parts(document: Document, parts: KBox<Parts>) -> Self {
        Self {
            parts: Some(parts),
            ..Self::range(document, ByteRange::default())
        }
    }

    /// Octets in memory, none of which was consumed.
    pub(super) fn memory(text: Text) -> Self {
        Self {
            offset: 0,
            end: text.len() as u64,
            source: Source::Memory(text),
            parts: None,
        }
    }

    /// Whether all of it is in fragments.
    pub(super) fn is_empty(&self) -> bool {
        self.offset >= self.end && self.parts.as_ref().is_none_or(|parts| parts.is_done())
    }

    /// Adds what comes next, as far as it is in memory: as much as the stack is going to take
    /// when the send buffer has that `room`. `now` is the second of the monotonic clock.
    ///
    /// Pages of a file that are sent again and again are marked as used once a second: for the page
    /// cache that is often.
    ///
    /// `ENOMEM`: there is no memory for what is written between ranges.
    pub(super) fn fill(
        &mut self,
        fragments: &mut Fragments,
        cache: &mut Cache,
        room: usize,
        now: u64,
        may_sleep: &MaySleep,
    ) -> Result<Fill> {
        let mut filled: usize = 0;
        let window = window(room);
        while !self.is_empty() && filled < window && !fragments.is_full() {
            if self.offset >= self.end {
                if let Some(parts) = &mut self.parts {
                    let range = parts.advance(fragments, cache)?;
                    (self.offset, self.end) = (range.first, range.end);
                }
                continue;
            }
            let octets = self.add(fragments, cache, window, now, may_sleep)?;
            if octets == 0 {
                return Ok(if filled == 0 {
                    Fill::Cold
                } else {
                    Fill::Filled
                });
            }
            self.advance(octets);
            filled = filled.saturating_add(octets);
        }
        Ok(Fill::Filled)
    }

    /// Adds octets of the source, and returns how many.
    fn add(
        &self,
        fragments: &mut Fragments,
        cache: &mut Cache,
        window: usize,
        now: u64,
        may_sleep: &MaySleep,
    ) -> Result<usize> {
        match &self.source {
            Source::File(file) => {
                let used = file.is_used_first(self.offset, now).then_some(may_sleep);
                Ok(file.resident(self.offset, self.next(window), fragments, used))
            }
            Source::Memory(text) => {
                let octets = text.next(PAGE_SIZE);
                cache.append(octets, fragments)?;
                Ok(octets.len())
            }
        }
    }

    /// Takes note of `octets` more in fragments.
    pub(super) fn advance(&mut self, octets: usize) {
        self.offset = self.offset.saturating_add(octets as u64);
        if let Source::Memory(text) = &mut self.source {
            text.consume(octets);
        }
    }

    /// How many octets come next, up to `most`.
    fn next(&self, most: usize) -> usize {
        let left = self.end.saturating_sub(self.offset);
        usize::try_from(left).map_or(most, |left| left.min(most))
    }

    /// What those have in common who read what comes next, if it will be in memory for all of them;
    /// and what is asked for it.
    pub(super) fn key(&self, hasher: Hasher) -> Option<(Key, Place)> {
        match &self.source {
            Source::File(file) => {
                let (place, inode) = (file.place(), file.shared_inode()?);
                let piece = self.offset >> READ.trailing_zeros();
                Some((hasher.piece(place, inode, piece).key(), place))
            }
            Source::Memory(_) => None,
        }
    }

    /// The reading of what comes next, into `fragments`; `None` if it comes from memory.
    pub(super) fn read(&self, fragments: Fragments) -> Option<(Read, Place)> {
        match &self.source {
            Source::File(file) => {
                let read = Read {
                    file: file.clone(),
                    offset: self.offset,
                    len: self.next(READ),
                    fragments,
                };
                Some((read, file.place()))
            }
            Source::Memory(_) => None,
        }
    }
}

/// The reading of octets of a file.
pub(super) struct Read {
    file: Arc<Held>,
    offset: u64,
    len: usize,
    fragments: Fragments,
}

impl Read {
    /// Does it. Returns the fragments, and how many octets more are in them.
    pub(super) fn run(mut self, may_sleep: &MaySleep) -> (Fragments, Result<usize>) {
        let result = self
            .file
            .read(self.offset, self.len, &mut self.fragments, may_sleep);
        (self.fragments, result)
    }
}
