// SPDX-License-Identifier: GPL-2.0

//! The media types of files: those of a table that was loaded, then those built in.

use super::config::{
    octets,
    Setting, //
};
use crate::http::media_type::{
    self,
    entries::BadWord,
    entries::Entries,
    EXTENSION_LEN, //
};
use crate::linux::context::MaySleep;
use crate::linux::path::{
    Lookup,
    Path, //
};
use crate::linux::stat::Kind;
use crate::linux::sysctl::Text;
use core::cmp::Ordering;
use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::str::CString;

/// The length of the longest table.
const LIMIT: usize = 1 << 20;

/// An extension in lower case, filled up with NUL, which no extension has: the order is that of the
/// extensions.
type Key = [u8; EXTENSION_LEN];

/// The media types of files, by the extensions of their names.
///
/// A table of 1 MiB may have 250000 extensions. They lie in one piece, because as a rule it is a
/// worker that drops it at last, which has other things to do than to free each by itself.
pub(crate) struct MediaTypes {
    /// The file that was loaded; empty if there is none.
    name: CString,
    /// The extensions, in the order of their octets.
    rows: KVVec<Row>,
    /// What rows are about, without anything between.
    octets: KVVec<u8>,
}

/// An extension, in lower case, and its media type.
#[derive(Clone, Copy)]
struct Row {
    extension: Place,
    media_type: Place,
}

/// A part of [`MediaTypes::octets`].
#[derive(Clone, Copy)]
struct Place {
    start: u32,
    end: u32,
}

impl MediaTypes {
    /// The media type of the file called `name`, which may have directories before it.
    pub(crate) fn of(&self, name: &[u8]) -> &[u8] {
        match self.loaded(name) {
            Some(media_type) => media_type,
            None => media_type::of(name).as_bytes(),
        }
    }

    /// The same if it is that of the table that was loaded, which is found sooner: what is built in
    /// is long.
    pub(crate) fn loaded(&self, name: &[u8]) -> Option<&[u8]> {
        if self.rows.is_empty() {
            return None;
        }
        self.look_up(media_type::extension(name)?)
    }

    /// The media type of an extension in the table that was loaded.
    fn look_up(&self, extension: &[u8]) -> Option<&[u8]> {
        let mut rows = &*self.rows;
        // (The search of slices has an index check that the compiler can't prove away.)
        loop {
            let (before, rest) = rows.split_at_checked(rows.len() >> 1)?;
            let (row, after) = rest.split_first()?;
            let wanted = extension.iter().map(u8::to_ascii_lowercase);
            rows = match wanted.cmp(self.at(row.extension)?.iter().copied()) {
                Ordering::Equal => return self.at(row.media_type),
                Ordering::Less => before,
                Ordering::Greater => after,
            };
        }
    }

    /// The octets at a place.
    fn at(&self, place: Place) -> Option<&[u8]> {
        let start = usize::try_from(place.start).ok()?;
        self.octets.get(start..usize::try_from(place.end).ok()?)
    }

    /// Reads the file called `name`; no file if that is empty. What is wrong with it goes to the
    /// kernel's log.
    pub(super) fn load(name: &CStr, context: &MaySleep) -> Result<Self> {
        if name.is_empty() {
            return Self::new(name, b"", context);
        }
        if !octets(name).starts_with(b"/") {
            pr_err!("mime_types={}: not an absolute name\n", name);
            return Err(EINVAL);
        }
        let (octets, len) = read(name, context).inspect_err(|error| {
            let why = match *error {
                error if error == ENOENT => "no such file",
                error if error == EINVAL => "not a regular file",
                error if error == EFBIG => "longer than 1 MiB",
                _ => "can't be read",
            };
            pr_err!("mime_types={}: {} ({:?})\n", name, why, error);
        })?;
        Self::new(name, octets.get(..len).ok_or(EINVAL)?, context)
    }

    /// Takes in the table that was read from the file called `name`.
    fn new(name: &CStr, table: &[u8], context: &MaySleep) -> Result<Self> {
        let mut all = Self {
            name: CString::try_from(name)?,
            rows: KVVec::new(),
            // No word is there more often than in the table.
            octets: KVVec::from_elem(0, table.len(), GFP_KERNEL)?,
        };
        let mut last = Place { start: 0, end: 0 };
        let mut end = 0;
        let mut sorted = RBTree::new();
        let mut count: usize = 0;
        for entry in Entries::new(table) {
            context.yield_now();
            let entry = entry.map_err(|bad| {
                let why = match bad.reason {
                    BadWord::MediaType => "not a media type",
                    BadWord::Extension => "not an extension",
                };
                pr_err!("mime_types={}: line {}: {}\n", name, bad.number, why);
                EINVAL
            })?;
            if all.at(last) != Some(entry.media_type) {
                last = all.add(end, entry.media_type)?;
                end = last.end;
            }
            let key = key(entry.extension).ok_or(EINVAL)?;
            let extension = key.get(..entry.extension.len()).ok_or(EINVAL)?;
            let extension = all.add(end, extension)?;
            end = extension.end;
            let row = Row {
                extension,
                media_type: last,
            };
            let before = sorted.try_create_and_insert(key, row, GFP_KERNEL)?;
            count = count.saturating_add(usize::from(before.is_none()));
        }
        all.rows = KVVec::with_capacity(count, GFP_KERNEL)?;
        for row in sorted.values() {
            all.rows.push_within_capacity(*row)?;
        }
        Ok(all)
    }

    /// Puts octets at `start`.
    fn add(&mut self, start: u32, octets: &[u8]) -> Result<Place> {
        let len = u32::try_from(octets.len())?;
        let end = start.checked_add(len).ok_or(EOVERFLOW)?;
        let room = self
            .octets
            .get_mut(usize::try_from(start)?..usize::try_from(end)?)
            .ok_or(EOVERFLOW)?;
        for (to, from) in room.iter_mut().zip(octets) {
            *to = *from;
        }
        Ok(Place { start, end })
    }
}

impl Setting for MediaTypes {
    fn parse(text: &CStr, context: &MaySleep) -> Result<Self> {
        Self::load(text, context)
    }

    fn print(&self, out: &mut Text) -> Result {
        out.push(octets(&self.name))
    }
}

/// Reads the regular file called `name`, as the current task sees it and may. Returns room for one
/// that is longer than [`LIMIT`], and how much of that is the file.
fn read(name: &CStr, context: &MaySleep) -> Result<(KVVec<u8>, usize)> {
    let path = Path::find(name, context)?;
    if path.attributes(context)?.kind != Kind::Regular {
        return Err(EINVAL);
    }
    let file = path.open(Lookup::MayBlock, context)?.ok_or(EAGAIN)?;
    let mut octets = KVVec::from_elem(0, LIMIT.saturating_add(1), GFP_KERNEL)?;
    let mut len = 0usize;
    while let Some(room) = octets.get_mut(len..).filter(|room| !room.is_empty()) {
        match file.copy(u64::try_from(len)?, room, context)? {
            0 => return Ok((octets, len)),
            count => len = len.saturating_add(count),
        }
    }
    Err(EFBIG)
}

/// The key of an extension; `None` if it is longer than any in a table.
fn key(extension: &[u8]) -> Option<Key> {
    let mut key = [0; EXTENSION_LEN];
    let room = key.get_mut(..extension.len())?;
    for (to, from) in room.iter_mut().zip(extension) {
        *to = from.to_ascii_lowercase();
    }
    Some(key)
}
