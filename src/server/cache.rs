// SPDX-License-Identifier: GPL-2.0

//! Documents that were found before, by the name and the codings that they were asked for with.
//!
//! What is here is never stale: each entry has witnesses of all that its look-up depended on, and
//! is used only if they hold. The octets are in the page cache; an entry has an open file.
//!
//! Workers come here for what their shelf hasn't. What doesn't hold any more is thrown out when it
//! is met, and by a sweep in each second, which one of the workers does: an entry keeps a file that
//! was deleted on its disk.

use super::config::{
    copy,
    Config,
    DocumentRoot, //
};
use super::flight::Key;
use super::held::Held;
use super::lookup::{
    Document,
    Query,
    Trace, //
};
use super::reply::Form;
use super::stats::Kept;
use super::storage;
use crate::http::content_coding::Accepted;
use crate::linux::{
    random,
    time, //
};
use core::mem::size_of;
use kernel::prelude::*;
use kernel::rbtree::{
    RBTree,
    RBTreeNode,
    RBTreeNodeReservation, //
};
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use kernel::sync::{
    new_spinlock,
    Arc,
    SpinLock, //
};

/// Entries that a sweep looks at.
const SWEEP: usize = 4096;

/// Entries that are looked at without letting others to the table.
const BATCH: usize = 32;

/// Entries of which the one that was used the longest time ago makes room for another one.
const SAMPLE: usize = 8;

/// Octets of a place in the table: three pointers, and what is there.
const NODE: usize = 3 * size_of::<usize>() + size_of::<(Hash, Arc<Entry>)>();

/// Octets that each entry takes at least: its own, its place in the table, and its open file.
const OCTETS: usize = size_of::<Entry>() + NODE + Held::OCTETS;

/// What a name and the codings that are accepted make; different ones may make the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hash(u64);

impl Hash {
    /// The number, for tables.
    pub(super) fn number(self) -> usize {
        // The upper half depends on all octets.
        usize::try_from(self.0 >> 32).unwrap_or(0)
    }

    /// What those have in common who ask for it.
    pub(super) fn key(self) -> Key {
        self.0
    }
}

/// Makes hashes that nobody can foresee.
#[derive(Clone, Copy)]
pub(super) struct Hasher(u64);

impl Hasher {
    /// Another one each time.
    pub(super) fn new() -> Self {
        Self(random::u64())
    }

    /// One step.
    fn mix(self, hash: u64, word: u64) -> u64 {
        // All of the product, whose lower half alone has the uppermost bit of a word in one place:
        // the next word could take that back, whatever the number is that nobody knows. Odd, so
        // that the lower half has all bits.
        let product = u128::from(hash ^ word).wrapping_mul(u128::from(self.0 | 1));
        // CAST: Its two halves.
        (product as u64) ^ ((product >> 64) as u64)
    }

    /// The hash of octets.
    pub(super) fn octets(self, octets: &[u8]) -> Hash {
        let mut words = octets.chunks_exact(8);
        let mut hash = self.mix(self.0, octets.len() as u64);
        for word in words.by_ref() {
            let word = <[u8; 8]>::try_from(word).map_or(0, u64::from_le_bytes);
            hash = self.mix(hash, word);
        }
        let last = words.remainder().iter();
        let last = last.fold(0, |word: u64, octet| (word << 8) | u64::from(*octet));
        Hash(self.mix(hash, last))
    }

    /// The hash of what is asked for.
    pub(super) fn query(self, query: &Query<'_>) -> Hash {
        let Hash(mut hash) = self.octets(query.path.name);
        if query.path.is_directory {
            hash = self.mix(hash, 1);
        }
        if !query.accepted.is_identity() {
            for coding in query.accepted {
                hash = self.mix(hash, 2 | (coding as u64) << 2);
            }
        }
        Hash(hash)
    }

    /// The hash of a piece of the file that has that `inode` in `place`.
    pub(super) fn piece(self, place: storage::Place, inode: u64, piece: u64) -> Hash {
        let device = place.device().map_or(u64::MAX, u64::from);
        Hash(self.mix(self.mix(self.mix(self.0, device), inode), piece))
    }

    /// The hash of a response of that `form` with the document `number`.
    pub(super) fn form(self, number: u64, form: Form) -> Hash {
        Hash(self.mix(self.mix(self.0, number), form.number()))
    }
}

/// A document, and what it depends on.
pub(super) struct Entry {
    /// Another one for each entry.
    number: u64,
    /// Of memory, less what the kernel has for its inode.
    octets: u64,
    hash: Hash,
    root: Arc<DocumentRoot>,
    name: KVVec<u8>,
    is_directory: bool,
    accepted: Accepted,
    /// What tells whether it is still what is asked for. Dropped before the file, which is closed
    /// elsewhere if it was deleted: the last reference to it must not be one of these.
    trace: Trace,
    document: Document,
    /// The second of the monotonic clock in which it was last in use.
    used: Atomic<u64>,
    /// Whether it is in the cache. Written with the lock of that.
    cached: Atomic<i32>,
    /// [`SUM`] and the checksum of the content, once that is known, or [`MISMATCHED`].
    sum: Atomic<u32>,
}

/// There is a checksum.
const SUM: u32 = 1 << 16;

/// The content has had two of them.
const MISMATCHED: u32 = 1 << 17;

impl Entry {
    /// `document` is what `query` has led to below `root`.
    pub(super) fn new(
        hash: Hash,
        root: &Arc<DocumentRoot>,
        query: &Query<'_>,
        document: Document,
        trace: Trace,
    ) -> Result<Self> {
        static NEXT: Atomic<u64> = Atomic::new(1);
        let name = copy(query.path.name)?;
        let octets = OCTETS
            .saturating_add(name.capacity())
            .saturating_add(trace.octets());
        Ok(Self {
            number: NEXT.fetch_add(1, Relaxed),
            octets: octets as u64,
            hash,
            root: root.clone(),
            name,
            is_directory: query.path.is_directory,
            accepted: query.accepted,
            document,
            trace,
            used: Atomic::new(time::monotonic_seconds()),
            cached: Atomic::new(0),
            sum: Atomic::new(0),
        })
    }

    /// Whether it is what `query` asks for below `root`.
    pub(super) fn is_for(&self, root: &Arc<DocumentRoot>, query: &Query<'_>) -> bool {
        Arc::ptr_eq(&self.root, root)
            && self.is_directory == query.path.is_directory
            && self.accepted == query.accepted
            && is_same(&self.name, query.path.name)
    }

    /// Whether it may be kept as `config` says.
    pub(super) fn is_to_be_kept(&self, config: &Config) -> bool {
        Arc::ptr_eq(&self.root, &config.document_root)
            && config.keeps(self.document.attributes.size)
    }

    /// Whether all is as it was. Any context.
    pub(super) fn holds(&self) -> bool {
        self.is_unchanged() && self.sum.load(Relaxed) != MISMATCHED
    }

    /// Whether all is as it was, as far as the file system can say. Any context.
    pub(super) fn is_unchanged(&self) -> bool {
        let sibling = self.trace.sibling.as_ref();
        self.trace.witness.holds() && sibling.is_none_or(|sibling| sibling.holds())
    }

    /// Whether `sum`, the checksum of content that was just read, is that of what was read before.
    /// If not, though all is as it was, the content has changed unseen, and this doesn't hold any
    /// more. Any context.
    pub(super) fn agrees(&self, sum: u16) -> bool {
        // What was read while the file changed says nothing.
        if !self.holds() {
            return true;
        }
        // 0 and 0xffff mean the same.
        let sum = SUM | u32::from(if sum == u16::MAX { 0 } else { sum });
        match self.sum.cmpxchg(0, sum, Relaxed) {
            Err(known) if known != sum => {
                self.sum.store(MISMATCHED, Relaxed);
                false
            }
            _ => true,
        }
    }

    /// Whether octets of it may be kept elsewhere as long as it holds.
    pub(super) fn allows_copies(&self) -> bool {
        let trace = &self.trace;
        let witness = trace.sibling.as_ref().unwrap_or(&trace.witness);
        witness.allows_copies()
    }

    /// The document.
    pub(super) fn document(&self) -> &Document {
        &self.document
    }

    /// What it is found by.
    pub(super) fn hash(&self) -> Hash {
        self.hash
    }

    /// What no other entry has.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whether it is in the cache.
    pub(super) fn is_cached(&self) -> bool {
        self.cached.load(Relaxed) != 0
    }

    /// Takes note that it was in use at the second `now`.
    pub(super) fn use_at(&self, now: u64) {
        // Written once in a second, so that CPUs don't take the line from each other.
        if self.used.load(Relaxed) != now {
            self.used.store(now, Relaxed);
        }
    }
}

/// Whether two names are the same. (The comparison of slices is a call of `memcmp()`.)
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && {
        let mut ours = one.chunks_exact(8);
        let mut theirs = other.chunks_exact(8);
        let word = |chunk: &[u8]| <[u8; 8]>::try_from(chunk).map_or(0, u64::from_ne_bytes);
        ours.by_ref()
            .zip(theirs.by_ref())
            .all(|(ours, theirs)| word(ours) == word(theirs))
            && ours
                .remainder()
                .iter()
                .zip(theirs.remainder())
                .all(|(ours, theirs)| ours == theirs)
    }
}

/// What the lock of the cache guards.
struct Table {
    entries: RBTree<Hash, Arc<Entry>>,
    count: u32,
    /// Octets of all entries.
    octets: u64,
    /// What others are told of that.
    kept: Arc<Kept>,
    /// Where the next sweep, and the next search for room, begins.
    hand: Hash,
}

/// The last sweep. Any worker may do the next.
pub(super) struct Swept {
    second: Atomic<u64>,
    generation: Atomic<u64>,
}

impl Swept {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            second: Atomic::new(0),
            generation: Atomic::new(0),
        }
    }

    /// Whether there has been none in the second `now`, unless `is_empty`, or none for that
    /// `generation` of the configuration.
    pub(super) fn is_due(&self, now: u64, generation: u64, is_empty: bool) -> bool {
        (!is_empty && self.second.load(Relaxed) < now) || self.generation.load(Relaxed) < generation
    }

    /// Takes note of one.
    pub(super) fn set(&self, now: u64, generation: u64) {
        self.second.store(now, Relaxed);
        self.generation.store(generation, Relaxed);
    }
}

/// What has become of an entry.
pub(super) enum Found {
    /// It holds.
    Entry(Arc<Entry>),
    /// There is none.
    Missing,
    /// It held no more, and is gone.
    Stale,
}

/// The cache. For where one may sleep.
#[pin_data]
pub(super) struct Cache {
    hasher: Hasher,
    #[pin]
    table: SpinLock<Table>,
    swept: Swept,
}

impl Cache {
    /// An empty cache, which says by `kept` how much there is.
    pub(super) fn new(kept: Arc<Kept>) -> impl PinInit<Self> {
        let hasher = Hasher::new();
        pin_init!(Self {
            hasher,
            table <- new_spinlock!(
                Table {
                    entries: RBTree::new(),
                    count: 0,
                    octets: 0,
                    kept,
                    hand: Hash(0),
                },
                "rust_tux::Cache::table"
            ),
            swept: Swept::new(),
        })
    }

    /// What makes its hashes.
    pub(super) fn hasher(&self) -> Hasher {
        self.hasher
    }

    /// How many entries there are.
    pub(super) fn count(&self) -> u32 {
        self.table.lock().count
    }

    /// Finds what `query` asks for below `root`.
    pub(super) fn find(&self, hash: Hash, root: &Arc<DocumentRoot>, query: &Query<'_>) -> Found {
        let found = self.table.lock().entries.get(&hash).cloned();
        match found {
            Some(entry) if !entry.is_for(root, query) => Found::Missing,
            Some(entry) if entry.holds() => {
                entry.use_at(time::monotonic_seconds());
                Found::Entry(entry)
            }
            Some(entry) => {
                self.remove(&entry);
                Found::Stale
            }
            None => Found::Missing,
        }
    }

    /// Removes `entry`, if it is still there.
    fn remove(&self, entry: &Arc<Entry>) {
        let mut table = self.table.lock();
        let is_there = |there: &Arc<Entry>| Arc::ptr_eq(there, entry);
        if !table.entries.get(&entry.hash).is_some_and(is_there) {
            return;
        }
        let node = table.take(&entry.hash);
        drop(table);
        drop(node);
    }

    /// Adds an entry, as far as `config` has room for it. Returns how many others had to go.
    pub(super) fn insert(&self, entry: &Arc<Entry>, config: &Config) -> Result<u64> {
        let most = u64::from(config.max_cached_memory);
        if most != 0 && entry.octets > most {
            // It has no room alone: nothing need go for it.
            return Ok(0);
        }
        let node = RBTreeNodeReservation::new(GFP_KERNEL)?;
        let node = node.into_node(entry.hash, entry.clone());
        let mut evicted: u64 = 0;
        let mut table = self.table.lock();
        let replaced = table.take(&entry.hash);
        while !table.has_room(1, entry.octets, config) {
            let oldest = table.take_oldest();
            drop(table);
            if oldest.is_none() {
                // There is room for none.
                drop((node, replaced));
                return Ok(evicted);
            }
            // Its file is closed here, which may sleep.
            drop(oldest);
            evicted = evicted.saturating_add(1);
            table = self.table.lock();
        }
        // Another one may have been faster.
        let other = table.take(&entry.hash);
        table.put(entry, node);
        drop(table);
        drop((replaced, other));
        Ok(evicted)
    }

    /// Throws out what doesn't hold any more, or may not be kept as `config` says, which is of that
    /// `generation`; unless somebody has done so in the second `now`.
    pub(super) fn sweep(&self, now: u64, generation: u64, config: &Config) {
        if !self.swept.is_due(now, generation, false) {
            return;
        }
        // With another configuration nothing may be there any more.
        let is_new = self.swept.is_due(0, generation, true);
        self.swept.set(now, generation);
        loop {
            let mut table = self.table.lock();
            if table.has_room(0, 0, config) {
                break;
            }
            let oldest = table.take_oldest();
            drop(table);
            drop(oldest);
        }
        let most = if is_new { usize::MAX } else { SWEEP };
        self.sweep_for(Some(config), most);
    }

    /// Throws out what doesn't hold any more, or isn't to be kept as `config` says; without one,
    /// everything. Looks at `most` entries.
    fn sweep_for(&self, config: Option<&Config>, most: usize) {
        let mut left = most.min(self.count() as usize);
        while left > 0 {
            let mut stale = None;
            let mut table = self.table.lock();
            for _ in 0..BATCH {
                let Some(entry) = table.next().filter(|_| left > 0) else {
                    break;
                };
                left = left.saturating_sub(1);
                if config.is_none_or(|config| !entry.is_to_be_kept(config)) || !entry.holds() {
                    stale = Some((table.take(&entry.hash), entry));
                    break;
                }
            }
            let is_empty = table.count == 0;
            drop(table);
            // Its file is closed here.
            drop(stale);
            if is_empty {
                break;
            }
        }
    }

    /// Throws `count` of the entries out that were not used for long. Returns how many there were.
    pub(super) fn shed(&self, count: u64) -> u64 {
        let mut shed: u64 = 0;
        while shed < count {
            let oldest = self.table.lock().take_oldest();
            if oldest.is_none() {
                break;
            }
            // Its file is closed here.
            drop(oldest);
            shed = shed.saturating_add(1);
        }
        shed
    }

    /// Throws out everything.
    pub(super) fn clear(&self) {
        while self.count() != 0 {
            self.sweep_for(None, SWEEP);
        }
    }
}

impl Table {
    /// The entry at the hand, which moves behind it.
    fn next(&mut self) -> Option<Arc<Entry>> {
        let entry = match self.entries.cursor_lower_bound(&self.hand) {
            Some(cursor) => cursor.current().1.clone(),
            None => self.entries.cursor_front()?.current().1.clone(),
        };
        self.hand = Hash(entry.hash.0.wrapping_add(1));
        Some(entry)
    }

    /// Whether `count` entries more, of so many `octets`, have room as `config` says.
    fn has_room(&self, count: u32, octets: u64, config: &Config) -> bool {
        let most = u64::from(config.max_cached_memory);
        self.count.saturating_add(count) <= config.max_cached_documents
            && (most == 0 || self.octets.saturating_add(octets) <= most)
    }

    /// Puts an entry in.
    fn put(&mut self, entry: &Entry, node: RBTreeNode<Hash, Arc<Entry>>) {
        entry.cached.store(1, Relaxed);
        self.count = self.count.saturating_add(1);
        self.octets = self.octets.saturating_add(entry.octets);
        self.entries.insert(node);
        self.tell();
    }

    /// Takes an entry out.
    fn take(&mut self, hash: &Hash) -> Option<RBTreeNode<Hash, Arc<Entry>>> {
        let entry = self.entries.get(hash)?;
        entry.cached.store(0, Relaxed);
        self.count = self.count.saturating_sub(1);
        self.octets = self.octets.saturating_sub(entry.octets);
        let node = self.entries.remove_node(hash)?;
        self.tell();
        Some(node)
    }

    /// Tells others how much there is.
    fn tell(&self) {
        self.kept.set(self.count.into(), self.octets);
    }

    /// Takes one of the entries out that were not used for long.
    fn take_oldest(&mut self) -> Option<RBTreeNode<Hash, Arc<Entry>>> {
        let mut oldest: Option<(u64, Hash)> = None;
        for _ in 0..SAMPLE {
            let entry = self.next()?;
            let used = entry.used.load(Relaxed);
            if oldest.is_none_or(|(second, _)| used < second) {
                oldest = Some((used, entry.hash));
            }
        }
        let (_, hash) = oldest?;
        self.take(&hash)
    }
}
