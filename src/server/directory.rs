// SPDX-License-Identifier: GPL-2.0

//! The listing of a directory that has no index.
//!
//! ```text
//!   names        as the directory has them, without those that begin with a dot
//!     |  each is looked up, as a request for it would be
//!   entries      files and directories, in the order in which they are shown
//!     |
//!   text         HTML or JSON
//! ```
//!
//! All three are limited, so that nobody makes a directory that takes all memory or all time; a
//! listing that isn't complete says so. What all listings take together is limited, too: those who
//! ask for many, and read slowly, get no more of them. So the text is in pieces, which are given
//! back as they are sent, and nothing is done for a client that has gone.

use super::config::{
    copy,
    TARGET_LEN, //
};
use super::job::IsWanted;
use crate::http::listing::{
    self,
    Entry,
    Format,
    Listing, //
};
use crate::http::writer::Writer;
use crate::linux::context::MaySleep;
use crate::linux::path::{
    Lookup,
    Path,
    Root, //
};
use crate::linux::stat::{
    Attributes,
    Kind, //
};
use core::cmp::Ordering;
use core::ops::ControlFlow;
use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::str::CStr;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use kernel::sync::Arc;

/// Entries of a directory that are looked up and shown.
const ENTRIES: usize = 10_000;

/// Entries of a directory that are looked at, with those that are hidden.
const SEEN: usize = 4 * ENTRIES;

/// Octets of a listing.
const TEXT_LEN: usize = 4 << 20;

/// Octets of all listings that are being made or sent.
const MEMORY: usize = 64 << 20;

/// Octets of the text that are written, and given back, in one piece: more than twice what a
/// beginning, an entry and an end need.
const PIECE_LEN: usize = 128 << 10;

const _: () = {
    let beginning = listing::begin_bound(TARGET_LEN) + listing::entry_bound(NAME_MAX);
    assert!(2 * (beginning + listing::END_BOUND) < PIECE_LEN);
};

/// Octets of the memory of an entry: a node of the tree.
const ENTRY_LEN: usize = 64;

/// Octets of the buffer for names when it is made.
const NAMES_LEN: usize = 4096;

/// Octets of the longest name in a directory.
const NAME_MAX: usize = u8::MAX as usize;

/// Permission bit of others to read a file, or to list a directory.
const MODE_READ: u16 = 0o004;

/// Permission bit of others to pass through a directory.
const MODE_SEARCH: u16 = 0o001;

/// What makes listings, with the credentials of the caller.
pub(super) struct Lister<'a> {
    /// What directories are below.
    pub(super) root: &'a Root,
    /// Where memory comes from.
    pub(super) memory: &'a Arc<Memory>,
    /// When this says no, it gives up: the client has gone.
    pub(super) is_wanted: &'a IsWanted<'a>,
    /// A file system may take as long as it likes.
    pub(super) context: &'a MaySleep,
}

impl Lister<'_> {
    /// Lists the directory `name`, which is a [`Path::name`](crate::http::target::Path).
    ///
    /// Left out are names that begin with a dot, what is neither a file nor a directory, and what
    /// can't be looked up; with `hide_unreadable` also what others may not read or, if it is a
    /// directory, pass through. Directories come first, then files, each in the order of their
    /// octets.
    ///
    /// Fails with `ENOTDIR` if it isn't a directory, with `EACCES` if others may not list it, with
    /// `ENOMEM` also if the memory for listings is in use, with `ECANCELED` if it isn't wanted any
    /// more, and as lookups do.
    pub(super) fn list(&self, name: &[u8], format: Format, hide_unreadable: bool) -> Result<Text> {
        let mut place = Place::new(self.root, name)?;
        let found = place.find(&[], self.context)?;
        let attributes = found.attributes(self.context)?;
        if attributes.kind != Kind::Directory {
            return Err(ENOTDIR);
        }
        if attributes.mode & MODE_READ == 0 {
            return Err(EACCES);
        }
        let names = Names::collect(&found, self)?;
        let entries = look_up(&mut place, &names, hide_unreadable, self)?;
        write(format, name, &entries, names.is_truncated, self)
    }

    /// A share of the memory, of which nothing is taken yet.
    fn share(&self) -> Share {
        Share {
            memory: self.memory.clone(),
            octets: 0,
        }
    }

    /// Lets others run; fails if the listing isn't wanted any more.
    fn go_on(&self) -> Result {
        self.context.yield_now();
        if (self.is_wanted)() {
            Ok(())
        } else {
            Err(ECANCELED)
        }
    }
}

/// The memory that all listings take together, as far as it is in use.
pub(super) struct Memory(Atomic<usize>);

impl Memory {
    /// Nothing is in use.
    pub(super) fn new() -> Self {
        Self(Atomic::new(0))
    }
}

/// What one part of one listing has of the memory.
struct Share {
    memory: Arc<Memory>,
    octets: usize,
}

impl Share {
    /// Takes more.
    fn take(&mut self, octets: usize) -> Result {
        let before = self.memory.0.fetch_add(octets, Relaxed);
        self.octets = self.octets.saturating_add(octets);
        if before.saturating_add(octets) > MEMORY {
            return Err(ENOMEM);
        }
        Ok(())
    }

    /// Gives back what is more than `octets`.
    fn shrink(&mut self, octets: usize) {
        let back = self.octets.saturating_sub(octets);
        self.memory.0.fetch_sub(back, Relaxed);
        self.octets = self.octets.min(octets);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

/// The text of a listing, in pieces that are given back as they are consumed.
pub(super) struct Text {
    /// Those that were consumed are empty.
    pieces: KVec<KVVec<u8>>,
    /// The piece that is being consumed.
    next: usize,
    /// Octets of it that were consumed.
    offset: usize,
    /// Octets of all that was written.
    len: usize,
    share: Share,
}

impl Text {
    /// How long it is.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// What comes next: one octet at least, unless it is at its end, and at most `max`.
    pub(super) fn next(&self, max: usize) -> &[u8] {
        let piece = self.pieces.get(self.next);
        let rest = piece.and_then(|piece| piece.get(self.offset..));
        let rest = rest.unwrap_or_default();
        rest.get(..max).unwrap_or(rest)
    }

    /// Takes note that `octets` of [`Self::next`] are consumed.
    pub(super) fn consume(&mut self, octets: usize) {
        self.offset = self.offset.saturating_add(octets);
        let Some(piece) = self.pieces.get_mut(self.next) else {
            return;
        };
        if self.offset >= piece.len() {
            let rest = self.share.octets.saturating_sub(piece.len());
            self.share.shrink(rest);
            *piece = KVVec::new();
            self.next = self.next.saturating_add(1);
            self.offset = 0;
        }
    }

    /// Adds a piece, for which there is room.
    fn push(&mut self, octets: &[u8]) -> Result {
        self.share.take(octets.len())?;
        self.pieces.push_within_capacity(copy(octets)?)?;
        self.len = self.len.saturating_add(octets.len());
        Ok(())
    }
}

/// Where names are looked up.
struct Place<'a> {
    root: &'a Root,
    /// The name of the directory and a slash, with room for a name and NUL.
    buffer: KVVec<u8>,
    /// Octets of the former.
    prefix: usize,
}

impl<'a> Place<'a> {
    /// The directory `name` below `root`.
    fn new(root: &'a Root, name: &[u8]) -> Result<Self> {
        let slash: &[u8] = if name.is_empty() { b"" } else { b"/" };
        let prefix = name.len().saturating_add(slash.len());
        let len = prefix.saturating_add(NAME_MAX + 1);
        let mut buffer = KVVec::from_elem(0, len, GFP_KERNEL)?;
        for (to, from) in buffer.iter_mut().zip([name, slash].into_iter().flatten()) {
            *to = *from;
        }
        Ok(Self {
            root,
            buffer,
            prefix,
        })
    }

    /// Looks up an entry of the directory; an empty name is the directory itself.
    fn find(&mut self, entry: &[u8], context: &MaySleep) -> Result<Path> {
        let rest = self.buffer.get_mut(self.prefix..).unwrap_or_default();
        for (to, from) in rest.iter_mut().zip([entry, b"\0"].into_iter().flatten()) {
            *to = *from;
        }
        let len = self.prefix.saturating_add(entry.len()).saturating_add(1);
        let name = self.buffer.get(..len).ok_or(ENAMETOOLONG)?;
        let name = CStr::from_bytes_with_nul(name).map_err(|_| ENOENT)?;
        self.root
            .lookup(name, Lookup::MayBlock, context)?
            .ok_or(EBUSY)
    }
}

/// Names of the entries of a directory.
struct Names {
    /// All of them, each behind an octet that is its length.
    octets: KVVec<u8>,
    /// How many.
    count: usize,
    /// Whether there are more.
    is_truncated: bool,
    share: Share,
}

impl Names {
    /// Reads a directory.
    fn collect(directory: &Path, lister: &Lister<'_>) -> Result<Self> {
        let mut names = Self {
            octets: KVVec::with_capacity(NAMES_LEN, GFP_KERNEL)?,
            count: 0,
            is_truncated: false,
            share: lister.share(),
        };
        let mut seen: usize = 0;
        let mut result = Ok(());
        let mut directory = directory.open_directory(lister.context)?;
        directory.entries(
            &mut |name, kind| {
                seen = seen.saturating_add(1);
                let is_shown = is_shown(name) && kind != Some(Kind::Other);
                if seen > SEEN || (is_shown && names.count >= ENTRIES) {
                    names.is_truncated = true;
                    return ControlFlow::Break(());
                }
                if !(lister.is_wanted)() {
                    result = Err(ECANCELED);
                } else if is_shown {
                    result = names.add(name);
                }
                match result {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            },
            lister.context,
        )?;
        result?;
        Ok(names)
    }

    /// Adds a name.
    fn add(&mut self, name: &[u8]) -> Result {
        let needed = name.len().saturating_add(1);
        let free = self.octets.capacity().saturating_sub(self.octets.len());
        if free < needed {
            let capacity = self.octets.capacity().saturating_mul(2).max(needed);
            self.share.take(capacity)?;
            let mut octets = KVVec::with_capacity(capacity, GFP_KERNEL)?;
            append(&mut octets, &self.octets)?;
            self.octets = octets;
            self.share.shrink(capacity);
        }
        append(&mut self.octets, &[u8::try_from(name.len())?])?;
        append(&mut self.octets, name)?;
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// The names.
    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.octets;
        core::iter::from_fn(move || {
            let (len, behind) = rest.split_first()?;
            let (name, behind) = behind.split_at_checked(usize::from(*len))?;
            rest = behind;
            Some(name)
        })
    }
}

/// Whether an entry of this name is shown: it isn't hidden, and can be asked for.
fn is_shown(name: &[u8]) -> bool {
    let is_hidden = name.first().is_none_or(|first| *first == b'.');
    let is_odd = name.iter().any(|octet| matches!(octet, b'/' | b'\0'));
    !is_hidden && !is_odd && name.len() <= NAME_MAX
}

/// Adds octets for which there is room.
fn append(octets: &mut KVVec<u8>, more: &[u8]) -> Result {
    for octet in more {
        octets.push_within_capacity(*octet)?;
    }
    Ok(())
}

/// What entries are sorted by.
#[derive(PartialEq, Eq)]
struct Key<'a> {
    is_file: bool,
    name: &'a [u8],
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        // False comes first. (The order of slices has an overflow check that the compiler can't
        // prove away.)
        let by_kind = self.is_file.cmp(&other.is_file);
        by_kind.then_with(|| self.name.iter().cmp(other.name))
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What is shown of an entry.
struct Properties {
    size: u64,
    /// In seconds.
    modified: i64,
}

/// The entries of a directory, in the order in which they are shown.
struct Entries<'a> {
    tree: RBTree<Key<'a>, Properties>,
    share: Share,
}

/// Looks names up.
fn look_up<'a>(
    place: &mut Place<'_>,
    names: &'a Names,
    hide_unreadable: bool,
    lister: &Lister<'_>,
) -> Result<Entries<'a>> {
    let context = lister.context;
    let mut entries = Entries {
        tree: RBTree::new(),
        share: lister.share(),
    };
    for name in names.iter() {
        lister.go_on()?;
        let found = place.find(name, context);
        let attributes = found.and_then(|found| {
            let attributes = found.attributes(context)?;
            let is_seen = !hide_unreadable || is_open(&attributes, &found, context);
            Ok(is_seen.then_some(attributes))
        });
        let attributes = match attributes {
            Ok(Some(attributes)) if attributes.kind != Kind::Other => attributes,
            Err(error) if error == ENOMEM => return Err(error),
            // It can't be asked for either.
            Ok(_) | Err(_) => continue,
        };
        let is_file = attributes.kind == Kind::Regular;
        let properties = Properties {
            size: attributes.size,
            modified: attributes.modified.seconds,
        };
        entries.share.take(ENTRY_LEN)?;
        let tree = &mut entries.tree;
        tree.try_create_and_insert(Key { is_file, name }, properties, GFP_KERNEL)?;
    }
    Ok(entries)
}

/// Whether everybody may read a file, or pass through a directory, and the server, too.
fn is_open(attributes: &Attributes, found: &Path, context: &MaySleep) -> bool {
    let needed = match attributes.kind {
        Kind::Directory => MODE_SEARCH,
        Kind::Regular | Kind::Other => MODE_READ,
    };
    attributes.mode & needed != 0 && found.is_accessible(context)
}

/// Writes the listing of the directory `name`.
fn write(
    format: Format,
    name: &[u8],
    entries: &Entries<'_>,
    is_truncated: bool,
    lister: &Lister<'_>,
) -> Result<Text> {
    let bound = entries
        .tree
        .keys()
        .map(|key| listing::entry_bound(key.name.len()))
        .fold(listing::begin_bound(name.len()), usize::saturating_add)
        .saturating_add(listing::END_BOUND)
        .min(TEXT_LEN);
    // All but the last are more than half full.
    let pieces = (bound / (PIECE_LEN / 2)).saturating_add(1);
    let mut text = Text {
        pieces: KVec::with_capacity(pieces, GFP_KERNEL)?,
        next: 0,
        offset: 0,
        len: 0,
        share: lister.share(),
    };
    let mut room = KVVec::from_elem(0, PIECE_LEN, GFP_KERNEL)?;
    let mut is_truncated = is_truncated;
    let mut rest = entries.tree.iter();
    let mut entry = rest.next();
    let mut begun = None;
    loop {
        let mut out = Writer::new(&mut room);
        let mut listing = begun.unwrap_or_else(|| Listing::begin(format, name, &mut out));
        while let Some((key, properties)) = entry {
            lister.go_on()?;
            let needed = listing::entry_bound(key.name.len()).saturating_add(listing::END_BOUND);
            let len = text.len.saturating_add(out.len());
            if TEXT_LEN.saturating_sub(len) < needed {
                is_truncated = true;
                entry = None;
                break;
            }
            if out.room() < needed {
                break;
            }
            let one = Entry {
                name: key.name,
                is_directory: !key.is_file,
                size: properties.size,
                modified: properties.modified,
            };
            listing.entry(&one, &mut out);
            entry = rest.next();
        }
        let is_last = entry.is_none();
        if is_last {
            listing.end(is_truncated, &mut out);
        }
        let len = out.finish().ok_or(EINVAL)?;
        text.push(room.get(..len).ok_or(EINVAL)?)?;
        if is_last {
            return Ok(text);
        }
        begun = Some(listing);
    }
}
