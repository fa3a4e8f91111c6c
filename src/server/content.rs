// SPDX-License-Identifier: GPL-2.0

//! The content of a response that doesn't fit behind its head: octets of a file.

use super::job::Task;
use super::lookup::Document;
use crate::linux::context::MaySleep;
use crate::linux::file::File;
use crate::linux::fragment::Fragments;
use kernel::prelude::*;
use kernel::sync::Arc;

/// Octets that are handed to the stack in one call.
const WINDOW: usize = 128 << 10;

/// Fragments that are handed to the stack in one call: a head, and a window of single pages.
pub(super) const FRAGMENTS: usize = 1 + WINDOW / kernel::page::PAGE_SIZE;

/// Content that comes from a file, as far as it is not in fragments yet.
pub(super) struct Content {
    file: Arc<File>,
    is_local: bool,
    /// The next octet.
    offset: u64,
    /// The end of the content.
    end: u64,
}

/// What [`Content::fill`] has found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// Octets, or the end.
    Filled,
    /// What comes next has to be read.
    Cold,
}

impl Content {
    /// The whole of a file.
    pub(super) fn whole(document: Document) -> Self {
        Self {
            file: document.file,
            is_local: document.is_local,
            offset: 0,
            end: document.attributes.size,
        }
    }

    /// Whether all of it is in fragments.
    pub(super) fn is_empty(&self) -> bool {
        self.offset >= self.end
    }

    /// Adds what comes next, as far as it is in memory.
    pub(super) fn fill(&mut self, fragments: &mut Fragments) -> Fill {
        if self.is_empty() {
            return Fill::Filled;
        }
        if !self.is_local {
            return Fill::Cold;
        }
        let octets = self.file.resident(self.offset, self.window(), fragments);
        self.advance(octets);
        if octets == 0 {
            Fill::Cold
        } else {
            Fill::Filled
        }
    }

    /// Takes note of `octets` more in fragments.
    pub(super) fn advance(&mut self, octets: usize) {
        self.offset = self.offset.saturating_add(octets as u64);
    }

    /// How many octets are to be added next.
    fn window(&self) -> usize {
        let left = self.end.saturating_sub(self.offset);
        usize::try_from(left).map_or(WINDOW, |left| left.min(WINDOW))
    }

    /// The reading of what comes next, into `fragments`.
    pub(super) fn read(&self, fragments: Fragments) -> Read {
        Read {
            file: self.file.clone(),
            offset: self.offset,
            len: self.window(),
            fragments,
        }
    }
}

/// Reads octets of a file.
pub(super) struct Read {
    file: Arc<File>,
    offset: u64,
    len: usize,
    fragments: Fragments,
}

impl Task for Read {
    /// The fragments, and how many octets more are in them.
    type Output = (Fragments, Result<usize>);

    fn run(mut self, may_sleep: &MaySleep) -> Self::Output {
        let result = self
            .file
            .read(self.offset, self.len, &mut self.fragments, may_sleep);
        (self.fragments, result)
    }
}
