// SPDX-License-Identifier: GPL-2.0

//! From a path below the document root to what is there.

use super::cache::{
    Entry,
    Found, //
};
use super::config::{
    copy,
    Config,
    DocumentRoot, //
};
use super::connection::Connection;
use super::directory;
use super::held::Held;
use super::job::{
    Closing,
    IsWanted,
    Task, //
};
use super::shared::Shared;
use super::stats::Counter;
use super::storage::Place;
use super::worker::Worker;
use crate::http::content_coding::{
    Accepted,
    Coding, //
};
use crate::http::listing::Format;
use crate::http::target;
use crate::linux::context::MaySleep;
use crate::linux::path::{
    Lookup,
    Path,
    Root, //
};
use crate::linux::sock::Sock;
use crate::linux::stat::{
    Attributes,
    Kind, //
};
use crate::linux::witness::Witness;
use core::ops::Range;
use kernel::prelude::*;
use kernel::str::CStr;
use kernel::sync::Arc;

/// What is served for a directory.
pub(super) const INDEX: &[u8] = b"index.html";

/// Octets that a buffer for names needs beyond the longest name: a slash, the index, the suffix of
/// a content coding, and NUL.
pub(super) const BEYOND: usize = 1 + INDEX.len() + 4 + 1;

/// Permission bits of which a file must have one to be served: others may read it.
const MODE_ALLOWED: u16 = 0o004;

/// What is looked for.
#[derive(Clone, Copy)]
pub(super) struct Query<'a> {
    /// The path.
    pub(super) path: target::Path<'a>,
    /// The content codings in which a file will do.
    pub(super) accepted: Accepted,
    /// How a directory without an index is listed, if it is.
    pub(super) listing: Option<Listing>,
}

/// How a directory is listed.
#[derive(Clone, Copy)]
pub(super) struct Listing {
    /// The format that the client prefers.
    pub(super) format: Format,
    /// Whether what may not be read is left out.
    pub(super) hides_unreadable: bool,
}

/// What a path leads to.
pub(super) enum Resolution {
    /// A file that may be served.
    File(Document),
    /// The text of a directory's listing.
    Listing(directory::Text, Format),
    /// A directory, whose path was written as that of a file.
    Directory,
    /// Nothing.
    NotFound,
    /// Something that must not be served.
    Forbidden,
    /// Something that can't be opened now, but may be later.
    Busy,
    /// The file system has failed.
    Failed,
}

/// An open file and its attributes.
#[derive(Clone)]
pub(super) struct Document {
    /// The file.
    pub(super) file: Arc<Held>,
    /// What was true of it when it was opened.
    pub(super) attributes: Attributes,
    /// The coding of its octets.
    pub(super) coding: Coding,
}

/// How far a look-up may reach.
#[derive(Clone, Copy)]
pub(super) enum Reach<'a> {
    /// To what is cached.
    Cached,
    /// To what that directory's file system has. So many octets of the name lead to it.
    Within(&'a Path, usize),
    /// To all that there is. Only then are directories listed, as long as that is wanted.
    Anywhere(&'a IsWanted<'a>),
}

impl Reach<'_> {
    /// How names are looked up and files opened.
    fn mode(self) -> Lookup {
        match self {
            Reach::Cached => Lookup::Cached,
            Reach::Within(..) | Reach::Anywhere(_) => Lookup::MayBlock,
        }
    }
}

/// Looks a name up and opens the file, however long that takes.
pub(super) struct Open {
    root: Arc<DocumentRoot>,
    /// The name, decoded and normalized.
    name: KVVec<u8>,
    /// Whether the name is of a directory.
    is_directory: bool,
    accepted: Accepted,
    listing: Option<Listing>,
    place: Place,
}

impl Open {
    /// To look up below `root` what `query` asks for, touching no more than `place`.
    pub(super) fn new(root: &Arc<DocumentRoot>, query: &Query<'_>, place: Place) -> Result<Self> {
        Ok(Self {
            root: root.clone(),
            name: copy(query.path.name)?,
            is_directory: query.path.is_directory,
            accepted: query.accepted,
            listing: query.listing,
            place,
        })
    }

    /// Does it. If it leads elsewhere, the rest is given back, which may touch any file system.
    pub(super) fn run(
        mut self,
        shared: &Arc<Shared>,
        is_wanted: &IsWanted<'_>,
        may_sleep: &MaySleep,
    ) -> Result<Resolution, Self> {
        let query = Query {
            path: target::Path {
                name: &self.name,
                is_directory: self.is_directory,
            },
            accepted: self.accepted,
            listing: self.listing,
        };
        let len = self.name.len().saturating_add(BEYOND);
        let Ok(mut buffer) = KVVec::from_elem(0, len, GFP_KERNEL) else {
            return Ok(Resolution::Busy);
        };
        let root = self.root.root();
        let Place::Device(device) = self.place else {
            let reach = Reach::Anywhere(is_wanted);
            let found = resolve(root, &query, reach, &mut buffer, shared, may_sleep);
            return Ok(found.unwrap_or(Resolution::Busy));
        };
        // What is cached may have changed since it was decided which file system is touched.
        if let Some((base, prefix)) = deepest(root, &query, &mut buffer, may_sleep) {
            if base.device() == device {
                let reach = Reach::Within(&base, prefix);
                if let Some(found) = resolve(root, &query, reach, &mut buffer, shared, may_sleep) {
                    return Ok(found);
                }
            }
        }
        self.place = Place::Anywhere;
        Err(self)
    }
}

/// Tells which file system has to be asked for `query`: that of the last directory on the way that
/// is cached, unless a symbolic link or a mount is met behind that; and whether what it says will
/// be in memory for others. `buffer` is that of [`resolve`].
#[inline(never)]
pub(super) fn place(
    root: &Root,
    query: &Query<'_>,
    buffer: &mut [u8],
    may_sleep: &MaySleep,
) -> (Place, bool) {
    match deepest(root, query, buffer, may_sleep) {
        Some((base, _)) => (Place::Device(base.device()), base.is_local()),
        None => (Place::Anywhere, false),
    }
}

/// Finds the last directory on the way to what `query` asks for that is cached, and the length of
/// its name. By halves: a name may have thousands of segments.
fn deepest(
    root: &Root,
    query: &Query<'_>,
    buffer: &mut [u8],
    may_sleep: &MaySleep,
) -> Option<(Path, usize)> {
    let name = query.path.name;
    let mut best = root.lookup(c"", Lookup::Cached, may_sleep).ok()??;
    let mut prefix = 0;
    // The directories whose number is less than `low` are cached, and that of `high` isn't.
    let mut low: usize = 0;
    let is_slash = |octet: &&u8| **octet == b'/';
    let slashes = name.iter().filter(is_slash);
    let mut high = slashes.fold(0, |count: usize, _| count.saturating_add(1));
    if query.path.is_directory && !name.is_empty() {
        high = high.saturating_add(1);
    }
    while low < high {
        let middle = low.midpoint(high);
        let end = segments(name, middle.saturating_add(1));
        let segment = name.get(..end)?;
        for (to, from) in buffer
            .iter_mut()
            .zip([segment, b"\0"].into_iter().flatten())
        {
            *to = *from;
        }
        let cached = buffer.get(..end.saturating_add(1))?;
        let cached = CStr::from_bytes_with_nul(cached).ok()?;
        match root.lookup(cached, Lookup::Cached, may_sleep) {
            Ok(Some(found)) => {
                (best, prefix) = (found, end);
                low = middle.saturating_add(1);
            }
            Ok(None) | Err(_) => high = middle,
        }
    }
    Some((best, prefix))
}

/// Looks up what `query` asks for, with the credentials of the caller. For a directory that is
/// written as one, its index is looked up. `buffer` has [`BEYOND`] octets more than the name.
///
/// `None` means that this can't be told within `reach`.
pub(super) fn resolve(
    root: &Root,
    query: &Query<'_>,
    reach: Reach<'_>,
    buffer: &mut [u8],
    shared: &Arc<Shared>,
    may_sleep: &MaySleep,
) -> Option<Resolution> {
    let names = Names::<false> {
        root,
        trace: None,
        reach,
        buffer,
        shared,
        may_sleep,
    };
    names.resolve(query).0
}

/// Finds what `query` asks for, as far as it is cached, by us or by the kernel, and says whether it
/// is by us. `None` means that this can't be told without waiting. `is_again` says that it was not
/// found before for the same request.
#[inline(never)]
pub(super) fn find(
    config: &Config,
    query: &Query<'_>,
    is_again: bool,
    buffer: &mut [u8],
    sock: &Sock<Connection>,
    may_sleep: &MaySleep,
) -> Option<(Resolution, bool)> {
    let worker = sock.data().worker();
    let (shared, counters) = (worker.shared(), worker.counters());
    let (cache, root) = (worker.store().cache(), &config.document_root);
    let hash = cache.hasher().query(query);
    match cache.find(hash, root, query) {
        Found::Entry(entry) => {
            if !is_again {
                counters.count(Counter::CacheHits);
            }
            let document = entry.document().clone();
            if let Some(cpu) = sock.data().take_deferred_on() {
                worker.store().shelve(cpu, entry, may_sleep);
            }
            return Some((Resolution::File(document), true));
        }
        Found::Missing => (),
        Found::Stale => counters.count(Counter::CacheStale),
    }
    if !is_again {
        counters.count(Counter::CacheMisses);
    }
    let root = root.root();
    let found = resolve(root, query, Reach::Cached, buffer, shared, may_sleep);
    let found = found.or_else(|| absent(root, query, buffer, may_sleep))?;
    Some((found, false))
}

/// Tells that there is nothing of the name that `query` asks for, where that needs no waiting
/// though it isn't cached: tmpfs doesn't keep in mind which names there are not. `buffer` is that
/// of [`resolve`].
#[inline(never)]
fn absent(
    root: &Root,
    query: &Query<'_>,
    buffer: &mut [u8],
    may_sleep: &MaySleep,
) -> Option<Resolution> {
    let top = root.lookup(c"", Lookup::Cached, may_sleep).ok()??;
    if !top.is_in_memory() {
        return None;
    }
    let (base, prefix) = deepest(root, query, buffer, may_sleep)?;
    let rest = query.path.name.get(prefix..)?;
    let rest = rest.strip_prefix(b"/").unwrap_or(rest);
    let segment = rest.split(|octet| *octet == b'/').next()?;
    if segment.is_empty() {
        return None;
    }
    let octets = [segment, b"\0"].into_iter().flatten();
    for (to, from) in buffer.iter_mut().zip(octets) {
        *to = *from;
    }
    let segment = buffer.get(..segment.len().saturating_add(1))?;
    let segment = CStr::from_bytes_with_nul(segment).ok()?;
    base.lacks(segment, may_sleep)
        .then_some(Resolution::NotFound)
}

/// Looks up once more what `query` has led to, and caches it, if it can be told how long that will
/// be true.
#[inline(never)]
pub(super) fn cache(
    config: &Config,
    query: &Query<'_>,
    buffer: &mut [u8],
    worker: &Worker,
    may_sleep: &MaySleep,
) {
    let root = &config.document_root;
    let names = Names::<true> {
        root: root.root(),
        trace: None,
        reach: Reach::Cached,
        buffer,
        shared: worker.shared(),
        may_sleep,
    };
    if let (Some(Resolution::File(document)), Some(trace)) = names.resolve(query) {
        keep(config, query, document, trace, worker);
    }
}

/// Caches `document`. Without memory it isn't.
#[inline(never)]
fn keep(config: &Config, query: &Query<'_>, document: Document, trace: Trace, worker: &Worker) {
    let cache = worker.store().cache();
    let hash = cache.hasher().query(query);
    let entry = Entry::new(hash, &config.document_root, query, document, trace);
    let Ok(entry) = entry.and_then(|entry| Ok(Arc::new(entry, GFP_KERNEL)?)) else {
        return;
    };
    if entry.holds() && entry.is_to_be_kept(config) {
        // Without memory it isn't kept.
        let evicted = cache.insert(&entry, config).unwrap_or(0);
        worker.counters().add(Counter::CacheEvicted, evicted);
    }
}

/// Witnesses of what a look-up has depended on.
pub(super) struct Trace {
    /// Of the file that was asked for.
    pub(super) witness: KBox<Witness>,
    /// Of the one that is served in its place.
    pub(super) sibling: Option<KBox<Witness>>,
    shared: Arc<Shared>,
}

impl Drop for Trace {
    /// May sleep. What was deleted is given up in a work item.
    fn drop(&mut self) {
        let sibling = self.sibling.as_deref_mut();
        for witness in Iterator::chain([&mut *self.witness].into_iter(), sibling) {
            let Some(chain) = witness.take_deleted() else {
                continue;
            };
            // Without memory for that it is left to the kernel.
            if let Ok(closing) = Closing::new(Place::Freeing(chain.device()), &self.shared) {
                closing.start(Task::Forget(chain));
            }
        }
    }
}

impl Trace {
    /// Of memory for it.
    pub(super) fn octets(&self) -> usize {
        let sibling = self.sibling.as_ref();
        let sibling = sibling.map_or(0, |sibling| sibling.octets());
        self.witness.octets().saturating_add(sibling)
    }
}

impl<const TRACED: bool> Names<'_, TRACED> {
    /// Looks up what `query` asks for, and says what that has depended on, if that is known.
    #[inline(never)]
    fn resolve(mut self, query: &Query<'_>) -> (Option<Resolution>, Option<Trace>) {
        let name = query.path.name;
        let result = if query.path.is_directory {
            let slash: &[u8] = if name.is_empty() { b"" } else { b"/" };
            match self.file(&[name, slash, INDEX], query.accepted) {
                Err(error) if error == ENOENT => self.directory(&[name, slash], query),
                // To add a slash would not help.
                Ok(Some(Resolution::Directory)) => Ok(Some(Resolution::Forbidden)),
                result => result,
            }
        } else {
            self.file(&[name], query.accepted)
        };
        let found = result.unwrap_or_else(|error| Some(refusal(error)));
        (found, self.trace)
    }
}

/// The length of the first `count` segments of `name`.
fn segments(name: &[u8], count: usize) -> usize {
    let mut len: usize = 0;
    let mut seen: usize = 0;
    for octet in name {
        seen = seen.saturating_add(usize::from(*octet == b'/'));
        if seen == count {
            break;
        }
        len = len.saturating_add(1);
    }
    len
}

/// What an error of a lookup means for the client.
fn refusal(error: Error) -> Resolution {
    if error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG || error == ELOOP {
        Resolution::NotFound
    } else if error == EACCES || error == EPERM {
        Resolution::Forbidden
    } else if [ENOMEM, EAGAIN, EBUSY, ENFILE, EMFILE].contains(&error) {
        Resolution::Busy
    } else {
        Resolution::Failed
    }
}

/// Looks names up, which are put together from parts. `None` means, for all of its methods, that
/// something can't be told within its reach.
struct Names<'a, const TRACED: bool> {
    root: &'a Root,
    /// What the look-up has depended on, if that is to be told and known.
    trace: Option<Trace>,
    reach: Reach<'a>,
    /// Where the names are put together.
    buffer: &'a mut [u8],
    shared: &'a Arc<Shared>,
    may_sleep: &'a MaySleep,
}

impl<const TRACED: bool> Names<'_, TRACED> {
    /// Looks up the file of that name, or the sibling of it that is the best of those accepted.
    fn file(&mut self, parts: &[&[u8]], accepted: Accepted) -> Result<Option<Resolution>> {
        let Some((found, attributes)) = self.base(parts)? else {
            return Ok(None);
        };
        match attributes.kind {
            Kind::Regular if attributes.mode & MODE_ALLOWED != 0 => (),
            Kind::Directory => return Ok(Some(Resolution::Directory)),
            Kind::Regular | Kind::Other => return Ok(Some(Resolution::Forbidden)),
        }
        for coding in accepted {
            if coding == Coding::Identity {
                break;
            }
            match self.sibling(parts, coding, &found, &attributes) {
                // None, or none that may be served now: the client gets what there is.
                Err(error) if TRACED && error == ENOENT => self.note_absent(),
                Err(_) | Ok(Some(Resolution::Busy)) => self.trace = None,
                found => return found,
            }
        }
        self.open(&found, attributes, Coding::Identity)
    }

    /// Looks up the file of that name, and begins to trace the look-up.
    #[inline(never)]
    fn base(&mut self, parts: &[&[u8]]) -> Result<Option<(Path, Attributes)>> {
        if TRACED {
            let (root, mode, may_sleep) = (self.root, self.reach.mode(), self.may_sleep);
            let name = self.name(parts, Coding::Identity)?;
            let traced = root.witness(name, mode, may_sleep)?;
            if let Some((witness, found, attributes)) = traced {
                self.trace = Some(Trace {
                    witness: KBox::new(witness, GFP_KERNEL)?,
                    sibling: None,
                    shared: self.shared.clone(),
                });
                return Ok(Some((found, attributes)));
            }
            // What can't be traced is not kept.
            return Ok(None);
        }
        let Some(found) = self.find(parts, Coding::Identity)? else {
            return Ok(None);
        };
        let attributes = found.attributes(self.may_sleep)?;
        Ok(Some((found, attributes)))
    }

    /// Where in the buffer the last segment is of the name that was looked up last, with its NUL.
    fn last_segment(&self) -> Range<usize> {
        let name = self.buffer.split(|octet| *octet == 0).next().unwrap_or(&[]);
        let segment = name.rsplit(|octet| *octet == b'/').next().unwrap_or(&[]);
        let start = name.len().saturating_sub(segment.len());
        start..name.len().saturating_add(1)
    }

    /// Whether there is no file of the name that was looked up last, beside `file`, and was not in
    /// the dentry cache. tmpfs doesn't keep in mind which names there are not.
    #[inline(never)]
    fn is_absent(&mut self, file: &Path) -> bool {
        if !matches!(self.reach, Reach::Cached) || !file.is_in_memory() {
            return false;
        }
        let Range { start, end } = self.last_segment();
        let slash = start.checked_sub(1);
        let directory = match slash {
            Some(slash) => {
                if let Some(octet) = self.buffer.get_mut(slash) {
                    *octet = 0;
                }
                let name = self.buffer.get(..start).unwrap_or(b"\0");
                CStr::from_bytes_with_nul(name).unwrap_or(c"")
            }
            None => c"",
        };
        // The file may have been found by a link: it is the directory of the name that counts.
        let directory = self.root.lookup(directory, Lookup::Cached, self.may_sleep);
        let segment = self.buffer.get(start..end).unwrap_or(&[]);
        let segment = CStr::from_bytes_with_nul(segment);
        let is_absent = match (directory, segment) {
            (Ok(Some(directory)), Ok(segment)) => directory.lacks(segment, self.may_sleep),
            _ => false,
        };
        if let Some(octet) = slash.and_then(|slash| self.buffer.get_mut(slash)) {
            *octet = b'/';
        }
        is_absent
    }

    /// Takes note that there is no file of the name that was looked up last.
    #[inline(never)]
    fn note_absent(&mut self) {
        let segment = self.last_segment();
        let mode = self.reach.mode();
        let Some(trace) = &mut self.trace else {
            return;
        };
        let segment = self.buffer.get(segment).unwrap_or(&[]);
        let is_noted = CStr::from_bytes_with_nul(segment)
            .is_ok_and(|name| trace.witness.add_absent(name, mode, self.may_sleep) == Ok(true));
        if !is_noted {
            self.trace = None;
        }
    }

    /// Looks up the sibling of a file that has its octets in `coding`. One that is older than the
    /// file is stale, and is as good as none: `ESTALE`.
    #[inline(never)]
    fn sibling(
        &mut self,
        parts: &[&[u8]],
        coding: Coding,
        file: &Path,
        of_file: &Attributes,
    ) -> Result<Option<Resolution>> {
        let Some(found) = self.find(parts, coding)? else {
            return if self.is_absent(file) {
                Err(ENOENT)
            } else {
                Ok(None)
            };
        };
        let (found, attributes) = if TRACED {
            self.trace_sibling(found)?
        } else {
            let attributes = found.attributes(self.may_sleep)?;
            (found, attributes)
        };
        if attributes.kind != Kind::Regular || attributes.mode & MODE_ALLOWED == 0 {
            return Err(EACCES);
        }
        if attributes.modified < of_file.modified {
            return Err(ESTALE);
        }
        self.open(&found, attributes, coding)
    }

    /// Traces the look-up of the sibling that was `found`.
    #[inline(never)]
    fn trace_sibling(&mut self, found: Path) -> Result<(Path, Attributes)> {
        if let Some(trace) = &mut self.trace {
            let name = CStr::from_bytes_until_nul(self.buffer).map_err(|_| ENAMETOOLONG)?;
            let traced = self.root.witness(name, self.reach.mode(), self.may_sleep)?;
            if let Some((witness, found, attributes)) = traced {
                trace.sibling = Some(KBox::new(witness, GFP_KERNEL)?);
                return Ok((found, attributes));
            }
            self.trace = None;
        }
        let attributes = found.attributes(self.may_sleep)?;
        Ok((found, attributes))
    }

    /// Looks up a directory that has no index, and lists it if it is to be.
    #[inline(never)]
    fn directory(&mut self, parts: &[&[u8]], query: &Query<'_>) -> Result<Option<Resolution>> {
        let Some(found) = self.find(parts, Coding::Identity)? else {
            return Ok(None);
        };
        let Some(listing) = query.listing else {
            return Ok(Some(Resolution::Forbidden));
        };
        let Reach::Anywhere(is_wanted) = self.reach else {
            return Ok(None);
        };
        drop(found);
        let lister = directory::Lister {
            root: self.root,
            memory: self.shared.listings(),
            is_wanted,
            context: self.may_sleep,
        };
        let text = lister.list(query.path.name, listing.format, listing.hides_unreadable)?;
        Ok(Some(Resolution::Listing(text, listing.format)))
    }

    /// Puts the name together that `parts` make, with the suffix of `coding`.
    fn name(&mut self, parts: &[&[u8]], coding: Coding) -> Result<&CStr> {
        let mut len: usize = 0;
        let mut rest = self.buffer.iter_mut();
        let mut put = |octets: &[u8]| {
            // In this order: it takes no place that it has nothing for.
            for (from, to) in octets.iter().zip(rest.by_ref()) {
                *to = *from;
                len = len.saturating_add(1);
            }
        };
        parts.iter().copied().for_each(&mut put);
        put(coding.suffix().as_bytes());
        put(b"\0");
        let name = self.buffer.get(..len).ok_or(ENAMETOOLONG)?;
        CStr::from_bytes_with_nul(name).map_err(|_| ENAMETOOLONG)
    }

    /// Looks up the name that `parts` make, with the suffix of `coding`.
    fn find(&mut self, parts: &[&[u8]], coding: Coding) -> Result<Option<Path>> {
        let (root, reach, may_sleep) = (self.root, self.reach, self.may_sleep);
        let mode = reach.mode();
        let name = self.name(parts, coding)?;
        match reach {
            // A file whose attributes may have to be asked for elsewhere is as good as not cached.
            Reach::Cached => {
                let found = root.lookup(name, mode, may_sleep)?;
                Ok(found.filter(|found| found.is_local()))
            }
            Reach::Within(base, prefix) => {
                let rest = name.to_bytes_with_nul().get(prefix..).ok_or(EINVAL)?;
                let rest = rest.strip_prefix(b"/").unwrap_or(rest);
                let rest = CStr::from_bytes_with_nul(rest).map_err(|_| EINVAL)?;
                base.lookup_within(rest, may_sleep)
            }
            Reach::Anywhere(_) => root.lookup(name, mode, may_sleep),
        }
    }

    /// Opens what was found, and may be served.
    fn open(
        &self,
        found: &Path,
        attributes: Attributes,
        coding: Coding,
    ) -> Result<Option<Resolution>> {
        // Whoever asks once more would leave one more to be closed.
        let is_jammed = || self.shared.storage().is_jammed(found.device());
        if found.is_local() && found.is_dirty() && is_jammed() {
            return Ok(Some(Resolution::Busy));
        }
        let mode = self.reach.mode();
        let Some(file) = found.open(mode, self.may_sleep)? else {
            return Ok((mode == Lookup::MayBlock).then_some(Resolution::Busy));
        };
        let file = Held::new(file, found, attributes.inode, self.shared)?;
        Ok(Some(Resolution::File(Document {
            file: Arc::new(file, GFP_KERNEL)?,
            attributes,
            coding,
        })))
    }
}
