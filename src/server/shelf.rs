// SPDX-License-Identifier: GPL-2.0

//! What a CPU has at hand to answer in softirq: documents that were asked for here, and whole
//! responses.
//!
//! Workers put documents here, and take them away: the last reference to one must not be dropped
//! where one can't sleep. Softirq looks at them, and makes responses ready: the octets of one that
//! were sent twice in a second, to be sent again as long as that second runs, the configuration
//! stays, and the document holds. Of a long one the head is ready. One is found by the octets of
//! the request, before anything is read; or, behind what decides, by its document and its [`Form`],
//! whatever else the request says.

use super::cache::{
    is_same,
    Entry,
    Hash,
    Swept, //
};
use super::config::{
    Config,
    DocumentRoot, //
};
use super::lookup::Query;
use super::reply::Form;
use super::shared::Shared;
use super::workspace::Workspace;
use crate::http::range::ByteRange;
use crate::linux::fragment::Fragments;
use crate::linux::page_frag::Cache;
use crate::linux::try_lock::{
    Guard,
    TryLock, //
};
use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use kernel::sync::Arc;

/// Documents on a shelf, a power of two.
const DOCUMENTS: usize = 1024;

/// Responses that are ready, a power of two.
const READY: usize = 512;

/// Octets of the longest request whose response is made ready.
pub(super) const REQUEST_LEN: usize = 1024;

/// What a response that is ready is found by.
#[derive(Clone, Copy)]
pub(super) enum Key<'a> {
    /// The octets of the request.
    Request(&'a [u8]),
    /// The number of the document, and the form.
    Form(u64, Form),
}

/// A response that was sent, and can be sent again for the same request.
pub(super) struct Ready {
    hash: Hash,
    /// The octets of the request, if that is what it is found by.
    request: Option<KVec<u8>>,
    /// Where its document is, and which that is.
    place: usize,
    number: u64,
    /// The second in which the response is true, since the beginning of 1970.
    second: i64,
    /// The response, or its head, in one piece.
    pub(super) fragments: Fragments,
    /// What of the document comes behind that.
    pub(super) content: ByteRange,
    /// Its form.
    pub(super) form: Form,
}

impl Ready {
    /// A response of that `form` for `key` and its `hash`: `fragments`, which is one piece, and
    /// behind it `content` of the document `entry`, which is at `place`. Any context.
    fn new(
        (hash, key): (Hash, Key<'_>),
        (place, entry): (usize, &Entry),
        second: i64,
        (fragments, content): (Fragments, ByteRange),
        form: Form,
    ) -> Result<Self> {
        let request = match key {
            Key::Request(octets) => {
                let mut copy = KVec::with_capacity(octets.len(), GFP_ATOMIC | __GFP_NOWARN)?;
                for octet in octets {
                    copy.push_within_capacity(*octet)?;
                }
                Some(copy)
            }
            Key::Form(..) => None,
        };
        Ok(Self {
            hash,
            request,
            place,
            number: entry.number(),
            second,
            fragments,
            content,
            form,
        })
    }

    /// Whether it is found by `key`.
    fn is_for(&self, key: Key<'_>) -> bool {
        match (key, &self.request) {
            (Key::Request(octets), Some(request)) => is_same(request, octets),
            (Key::Form(number, form), None) => self.number == number && self.form == form,
            _ => false,
        }
    }

    /// The document in it, if that is unchanged. (What has [another sum](Entry::agrees) is not made
    /// ready any more, and what is goes with its second.) Any context.
    pub(super) fn entry<'a>(&self, documents: &'a Documents) -> Option<&'a Entry> {
        let entry = documents.at(self.place)?;
        (entry.number() == self.number && entry.is_unchanged()).then_some(entry)
    }
}

/// A shelf.
pub(super) struct Shelf {
    pub(super) workspace: Workspace,
    pub(super) documents: Documents,
    pub(super) responses: Responses,
}

/// The documents on a shelf. Each may be at two places.
pub(super) struct Documents {
    places: KVVec<Option<Arc<Entry>>>,
    count: usize,
}

/// The responses that are ready.
pub(super) struct Responses {
    places: KVVec<Option<Ready>>,
    /// For each place the hash of the request that came last.
    last: KVVec<Option<Hash>>,
}

/// An empty table.
fn table<T>(len: usize) -> Result<KVVec<Option<T>>> {
    let mut table = KVVec::with_capacity(len, GFP_KERNEL)?;
    for _ in 0..len {
        table.push_within_capacity(None)?;
    }
    Ok(table)
}

/// The place of a shelf.
pub(super) struct Place {
    shelf: TryLock<Shelf>,
    /// Whether there may be something on the shelf. Written with the lock.
    is_used: Atomic<i32>,
    swept: Swept,
}

impl Place {
    /// The place of an empty shelf, to answer as `config` says.
    pub(super) fn new(config: Arc<Config>) -> Result<Self> {
        Ok(Self {
            shelf: TryLock::new(Shelf::new(config)?),
            is_used: Atomic::new(0),
            swept: Swept::new(),
        })
    }

    /// The shelf, unless somebody is there. Any context.
    pub(super) fn shelf(&self) -> Option<Guard<'_, Shelf>> {
        self.shelf.try_lock()
    }

    /// Whether there is nothing on the shelf.
    pub(super) fn is_empty(&self) -> bool {
        self.is_used.load(Relaxed) == 0
    }

    /// Puts `entry` on the shelf, unless somebody is there, or the configuration that the shelf has
    /// doesn't let it be kept. For where one may sleep.
    pub(super) fn put(&self, entry: Arc<Entry>) {
        let is_kept = |shelf: &Guard<'_, Shelf>| entry.is_to_be_kept(&shelf.workspace.config);
        let before = match self.shelf.try_lock().filter(is_kept) {
            Some(mut shelf) => {
                self.is_used.store(1, Relaxed);
                shelf.documents.put(entry)
            }
            None => Some(entry),
        };
        // Its file may be closed here.
        drop(before);
    }

    /// Throws out what must not be answered any more, unless somebody has done so in the second
    /// `now` for that `generation` of the configuration; in any case if it is `urgent`. For where
    /// one may sleep.
    pub(super) fn sweep(&self, now: u64, generation: u64, shared: &Shared, urgent: bool) {
        let is_due = urgent || self.swept.is_due(now, generation, self.is_empty());
        if is_due && self.sweep_all(shared, false) {
            self.swept.set(now, generation);
        }
    }

    /// Throws out everything. For where one may sleep.
    pub(super) fn clear(&self, shared: &Shared) {
        // Whoever is there is gone at once.
        while !self.sweep_all(shared, true) {}
    }

    /// Throws out what doesn't hold any more, is cached no longer, or isn't to be kept as the
    /// configuration says that there is; or everything, if `is_over`. Returns whether all is done:
    /// not so if somebody was there, or if there was no memory for a new configuration.
    fn sweep_all(&self, shared: &Shared, is_over: bool) -> bool {
        let mut place = 0;
        let mut is_current = is_over;
        loop {
            let Some(mut guard) = self.shelf.try_lock() else {
                return false;
            };
            let shelf = &mut *guard;
            if place == 0 {
                is_current |= shelf.refresh(shared);
                shelf.responses.sweep(shelf.workspace.moment.seconds);
            }
            let config = (!is_over).then_some(&*shelf.workspace.config);
            let mut stale = None;
            while place < DOCUMENTS && stale.is_none() && shelf.documents.count() != 0 {
                stale = shelf.documents.take_stale(place, config);
                place = place.saturating_add(1);
            }
            let is_empty = shelf.documents.count() == 0;
            if is_empty {
                shelf.responses.clear();
                self.is_used.store(0, Relaxed);
            }
            drop(guard);
            // Its file is closed here.
            drop(stale);
            if is_empty || place >= DOCUMENTS {
                return is_current;
            }
        }
    }
}

impl Shelf {
    /// An empty shelf, to answer as `config` says.
    fn new(config: Arc<Config>) -> Result<Self> {
        Ok(Self {
            workspace: Workspace::new(config, Cache::atomic())?,
            documents: Documents {
                places: table(DOCUMENTS)?,
                count: 0,
            },
            responses: Responses {
                places: table(READY)?,
                last: table(READY)?,
            },
        })
    }

    /// Takes the time and, if there is a new one, the configuration. Nothing that is ready was made
    /// for that. Returns whether it has the one that there is.
    fn refresh(&mut self, shared: &Shared) -> bool {
        let current = shared.generation();
        let before = self.workspace.generation();
        self.workspace.take_config(shared);
        if self.workspace.generation() != before {
            self.responses.clear();
        }
        self.workspace.take_time();
        self.workspace.generation() >= current
    }
}

impl Documents {
    /// The two places for a hash.
    fn places_of(hash: Hash) -> [usize; 2] {
        let first = hash.number() & (DOCUMENTS - 1);
        [first, first ^ 1]
    }

    /// Finds what `query` asks for below `root`, and its place. Any context.
    pub(super) fn find(
        &self,
        hash: Hash,
        root: &Arc<DocumentRoot>,
        query: &Query<'_>,
    ) -> Option<(usize, &Arc<Entry>)> {
        for place in Self::places_of(hash) {
            if let Some(entry) = self.at(place) {
                if entry.hash() == hash && entry.is_for(root, query) {
                    return Some((place, entry));
                }
            }
        }
        None
    }

    /// What is at `place`.
    fn at(&self, place: usize) -> Option<&Arc<Entry>> {
        self.places.get(place)?.as_ref()
    }

    /// Puts `entry` here, and returns what had to go for it: that is dropped where one may sleep,
    /// when the shelf isn't locked.
    fn put(&mut self, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        let [first, second] = Self::places_of(entry.hash());
        // What asks for the same goes first; else what is not in use, else what was put there
        // first.
        let is_free = |place: usize| {
            let there = self.places.get(place).and_then(Option::as_ref);
            there.is_none_or(|there| there.hash() == entry.hash())
        };
        let place = if !is_free(first) && is_free(second) {
            second
        } else {
            first
        };
        if let Some(there) = self.places.get_mut(place) {
            let before = there.replace(entry);
            if before.is_none() {
                self.count = self.count.saturating_add(1);
            }
            return before;
        }
        Some(entry)
    }

    /// How many there are.
    fn count(&self) -> usize {
        self.count
    }

    /// Takes what is at `place` if it doesn't hold any more, is cached no longer, or isn't to be
    /// kept as `config` says; without one, whatever is there.
    fn take_stale(&mut self, place: usize, config: Option<&Config>) -> Option<Arc<Entry>> {
        let there = self.places.get_mut(place)?;
        let entry = there.as_ref()?;
        let is_kept = config.is_some_and(|config| entry.is_to_be_kept(config));
        if is_kept && entry.is_cached() && entry.holds() {
            return None;
        }
        self.count = self.count.saturating_sub(1);
        there.take()
    }
}

impl Responses {
    /// The place for a hash.
    fn place_of(hash: Hash) -> usize {
        hash.number() & (READY - 1)
    }

    /// Finds the response for `key` in that `second`. Its document may not hold any more. Any
    /// context.
    pub(super) fn find(&self, hash: Hash, key: Key<'_>, second: i64) -> Option<&Ready> {
        let ready = self.places.get(Self::place_of(hash))?.as_ref()?;
        let is_found = ready.hash == hash && ready.second == second && ready.is_for(key);
        is_found.then_some(ready)
    }

    /// Whether `hash` is that of the key that came before to its place, which it is from now
    /// on: whether it pays to make the response ready.
    fn is_repeated(&mut self, hash: Hash) -> bool {
        let Some(last) = self.last.get_mut(Self::place_of(hash)) else {
            return false;
        };
        last.replace(hash) == Some(hash)
    }

    /// Makes a response ready for a key and its hash, if that came before: the first `len` octets
    /// of `fragments`, with their checksums if `keeps_sums`, and behind them `content` of the
    /// document. Returns it. Any context.
    pub(super) fn keep(
        &mut self,
        key: Option<(Hash, Key<'_>)>,
        document: (usize, &Entry),
        second: i64,
        (fragments, len, content): (&Fragments, usize, ByteRange),
        form: Form,
        keeps_sums: bool,
    ) -> Result<Option<&Ready>> {
        let Some((hash, key)) = key.filter(|(hash, _)| self.is_repeated(*hash)) else {
            return Ok(None);
        };
        let response = (fragments.in_one_piece(len, keeps_sums)?, content);
        let ready = Ready::new((hash, key), document, second, response, form)?;
        let there = self.places.get_mut(Self::place_of(hash));
        Ok(there.map(|there| &*there.insert(ready)))
    }

    /// Removes all.
    fn clear(&mut self) {
        for there in self.places.iter_mut() {
            *there = None;
        }
        for there in self.last.iter_mut() {
            *there = None;
        }
    }

    /// Removes what isn't true any more in that `second`.
    fn sweep(&mut self, second: i64) {
        for there in self.places.iter_mut() {
            if there.as_ref().is_some_and(|ready| ready.second < second) {
                *there = None;
            }
        }
    }
}
