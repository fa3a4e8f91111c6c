// SPDX-License-Identifier: GPL-2.0

//! Whether a name below a directory still leads to the same file, unchanged: told by loads alone,
//! in any context.
//!
//! Whoever keeps what a look-up has found, and asks the [`Witness`] before each use, never uses
//! what an ordinary look-up begun at that moment would not have found. What it rests on:
//!
//! - *The name.* Each dentry from the file up to the root of the look-up is held, and the sequence
//!   number of each is noted. Rename, exchange, unlink, and whatever else takes a dentry out of its
//!   place or puts another there, change it before they return; so does what makes a name of one
//!   that there was not. A mount on the way shows in the flags. A look-up made after that was
//!   noted, without symbolic links and mounts, has found the same dentry: so these are the names.
//! - *The permission.* Owner, group, mode and access control list of each inode are noted, and the
//!   permission is checked, while the inode's lock is held: `chmod()` there and back is not missed.
//!   The list is held, so that no other takes its place in memory.
//! - *The content.* Time of change, version and size are noted, after a look at the attributes has
//!   told the file system that the next change must show. A change of the time takes the mark of
//!   that look away, which is noted, too. It can show before the content changes, or (a mapping)
//!   not at all any more after its first store; but whoever changes content has the file open for
//!   writing until then, a request in flight and a mapping included, and that shows in the count of
//!   writers.
//!
//! None of this is written by who asks, and nothing is waited for: a sequence number that is odd is
//! another one. What a system call has changed is seen by whoever has learnt that it has returned.
//!
//! Changes that do not show: by file handles that hide them (`XFS_IOC_OPEN_BY_HANDLE`); by
//! `XFS_IOC_SWAPEXT`, which is there to defragment, and lets whoever may write to two files of one
//! size exchange their content without a change of time; on the block device; and of what security
//! modules think of a directory.
//!
//! C headers: [`include/linux/dcache.h`](srctree/include/linux/dcache.h),
//! [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/iversion.h`](srctree/include/linux/iversion.h),
//! [`include/linux/posix_acl.h`](srctree/include/linux/posix_acl.h)

use super::bindings;
use super::context::MaySleep;
use super::path::{
    walk,
    Lookup,
    Path,
    Root, //
};
use super::stat::{
    Attributes,
    Kind, //
};
use super::unlinked::Leftover;
use content::Content;
use core::mem::size_of;
use core::ptr::{
    addr_of,
    NonNull, //
};
use core::sync::atomic::{
    fence,
    Ordering, //
};
use kernel::error::from_err_ptr;
use kernel::prelude::*;
use name::{
    Name,
    ROOT_DEPENDS, //
};
use permission::{
    FileSystem,
    Permissions, //
};

/// A field of a C struct as it is now, whoever changes it meanwhile.
macro_rules! now {
    ($pointer:expr, $($field:tt)+) => {
        addr_of!((*$pointer).$($field)+).read_volatile()
    };
}
use now;

mod content;
mod name;
mod permission;

/// Segments that a name may have: each is looked at each time.
const MOST_SEGMENTS: usize = 16;

/// Names of which a witness can tell that there is nothing.
const MOST_ABSENT: usize = 4;

/// What tells that a name below a [`Root`] still leads to the same regular file, that the file is
/// unchanged, and that those who asked may read it. It must be dropped where one may sleep.
///
/// It keeps the mount busy, and the space of a file that was deleted: it is to be dropped soon
/// after it has ceased to hold.
///
/// # Invariants
///
/// The inodes in `permissions` and `content` are those of dentries in `chain`, if it has any names,
/// and that of its root. So is `directory` one of those.
pub(crate) struct Witness {
    /// Those for the file and for the directories above it, the root included.
    permissions: Permissions,
    content: Content,
    file_system: FileSystem,
    /// The directory that the file lies in.
    directory: NonNull<bindings::dentry>,
    /// Whether the file system has no memory but the machine's own.
    is_in_memory: bool,
    /// Dropped last: it keeps the file system.
    chain: Chain,
}

// SAFETY: All that it points at is counted, and any thread may use and drop a reference.
unsafe impl Send for Witness {}
// SAFETY: What can be called with a shared reference only reads fields of C structs, as they are
// now, and those of `self`.
unsafe impl Sync for Witness {}

impl Root {
    /// Looks `name` up as [`Root::lookup`] does, and takes note of all that this depended on, and
    /// of the attributes.
    ///
    /// `None` means that it can't be told in a way that could be verified later: there is a
    /// symbolic link or a mount on the way, the file system may change without a trace here,
    /// somebody is writing to the file, something has just changed, it is not a regular file, the
    /// name is long; or that [`Lookup::Cached`] can't tell. Then the ordinary way may lead
    /// somewhere.
    ///
    /// The file can be opened, and its content read, after that: what was read is the file's if the
    /// witness holds afterwards. Fails if the file may not be read.
    pub(crate) fn witness(
        &self,
        name: &CStr,
        mode: Lookup,
        context: &MaySleep,
    ) -> Result<Option<(Witness, Path, Attributes)>> {
        let Some(depth) = segments(name) else {
            return Ok(None);
        };
        let Some(first) = self.walk_straight(name, mode)? else {
            return Ok(None);
        };
        if first.kind() != Kind::Regular || !first.is_local() {
            return Ok(None);
        }
        let Some((chain, directory)) = self.chain(&first, depth)? else {
            return Ok(None);
        };

        // That the same dentry is found now is what makes its names the ones that lead to it.
        let Some(path) = self.walk_straight(name, mode)? else {
            return Ok(None);
        };
        if path.path.dentry != first.path.dentry || path.path.mnt != self.path.mnt {
            return Ok(None);
        }
        drop(first);

        let dentries = chain.names.iter().map(|name| name.dentry.as_ptr());
        let dentries = Iterator::chain(dentries, [self.path.dentry]);
        let mut permissions = Permissions::new()?;
        for dentry in dentries {
            let at = bindings::path {
                mnt: self.path.mnt,
                dentry,
            };
            // SAFETY: Dentry and mount are held by `chain`, and will be by the witness.
            if !unsafe { permissions.add(&at, mode) }? {
                return Ok(None);
            }
        }

        let attributes = path.attributes(context)?;
        // SAFETY: The dentry of the path is held and has an inode, and will be held by the witness.
        let (content, file_system) = unsafe {
            let inode = inode_of(path.path.dentry);
            (Content::new(inode, &attributes), FileSystem::new(inode))
        };
        let Some(content) = content else {
            return Ok(None);
        };

        // INVARIANT: The inodes are those of all names, and of the root, in this order.
        let witness = Witness {
            permissions,
            content,
            file_system,
            directory,
            is_in_memory: path.is_in_memory(),
            chain,
        };
        Ok(witness.holds().then_some((witness, path, attributes)))
    }

    /// Looks up `name` without passing through a symbolic link or a mount; `None` if one is met, or
    /// if the look-up is disturbed.
    fn walk_straight(&self, name: &CStr, mode: Lookup) -> Result<Option<Path>> {
        let straight = bindings::LOOKUP_IN_ROOT
            | bindings::LOOKUP_NO_MAGICLINKS
            | bindings::LOOKUP_NO_SYMLINKS
            | bindings::LOOKUP_NO_XDEV
            | bindings::LOOKUP_MOUNTPOINT;
        let flags = match mode {
            Lookup::Cached => straight | bindings::LOOKUP_CACHED,
            Lookup::MayBlock => straight,
        };
        // SAFETY: The path of a root is valid; the only caller may sleep.
        match unsafe { walk(&self.path, name, flags) } {
            Err(error) if error == ELOOP || error == EXDEV => Ok(None),
            found => found,
        }
    }

    /// The names from `leaf` upwards, of which there are `depth` below this root, and the directory
    /// that the leaf lies in. `None` if they are others, or can't be relied on.
    fn chain(
        &self,
        leaf: &Path,
        depth: usize,
    ) -> Result<Option<(Chain, NonNull<bindings::dentry>)>> {
        let names = KVec::with_capacity(depth.saturating_add(MOST_ABSENT), GFP_KERNEL)?;
        // INVARIANT: The walk that has found `leaf` did not leave the mount.
        let mut chain = Chain {
            names,
            root: self.to_path(),
        };
        let mut directory = None;
        // SAFETY: `leaf` holds its dentry.
        let mut dentry = unsafe { bindings::dget(leaf.path.dentry) };
        for _ in 0..depth {
            // SAFETY: The reference is ours, and is given up; `leaf` and `self` hold the mount.
            let name = NonNull::new(dentry).and_then(|dentry| unsafe { Name::new(dentry) });
            let Some(name) = name.filter(|name| !name.is_absent()) else {
                return Ok(None);
            };
            // SAFETY: `name` holds the dentry.
            dentry = unsafe { bindings::dget_parent(name.dentry.as_ptr()) };
            directory = directory.or(NonNull::new(dentry));
            chain.names.push_within_capacity(name)?;
        }
        // SAFETY: The dentry is held.
        let depends = unsafe { now!(dentry, d_flags) } & ROOT_DEPENDS != 0;
        // SAFETY: The reference is ours. The directories above the leaf are held by their names,
        // and the root by `self`.
        unsafe { bindings::dput(dentry) };
        // A name with `..` in it, or that was moved elsewhere meanwhile, ends elsewhere.
        let is_below = dentry == self.path.dentry && !depends;
        Ok(directory
            .filter(|_| is_below)
            .map(|directory| (chain, directory)))
    }
}

impl Witness {
    /// Takes note that nothing has that `name`, a single segment, in the directory of the file.
    ///
    /// False if there is something, if the file system doesn't keep in mind that there isn't, or if
    /// [`Lookup::Cached`] can't tell.
    pub(crate) fn add_absent(
        &mut self,
        name: &CStr,
        mode: Lookup,
        _context: &MaySleep,
    ) -> Result<bool> {
        if self.chain.names.is_empty() {
            return Ok(false);
        }
        let directory = self.directory.as_ptr();
        // SAFETY: `name` ends in NUL, and lives until it has been looked up.
        let mut name = unsafe { bindings::QSTR(name.as_char_ptr()) };
        let dentry = match mode {
            Lookup::MayBlock => {
                // SAFETY: By the type invariant the directory is held; this may sleep.
                unsafe { bindings::lookup_noperm_unlocked(&mut name, directory) }
            }
            Lookup::Cached if self.is_in_memory => {
                // What there isn't is not in the dentry cache there. To put it there takes the
                // lock, which isn't waited for: see `Path::lacks()`.
                //
                // SAFETY: As above.
                let inode = unsafe { inode_of(directory) };
                // SAFETY: The dentry keeps the inode.
                if unsafe { bindings::inode_trylock_shared(inode.as_ptr()) } == 0 {
                    return Ok(false);
                }
                // SAFETY: As above, and the lock was taken.
                let dentry = unsafe { bindings::lookup_noperm(&mut name, directory) };
                // SAFETY: As above.
                unsafe { bindings::inode_unlock_shared(inode.as_ptr()) };
                dentry
            }
            Lookup::Cached => {
                // SAFETY: By the type invariant the directory is held; this may sleep.
                unsafe { bindings::try_lookup_noperm(&mut name, directory) }
            }
        };
        let Some(dentry) = NonNull::new(from_err_ptr(dentry)?) else {
            return Ok(false);
        };
        // SAFETY: The reference is ours and is given up; `self` holds the mount.
        let Some(name) = (unsafe { Name::new(dentry) }) else {
            return Ok(false);
        };
        // One that leads to nothing now did so since it was held, and such are not moved.
        Ok(name.is_absent() && self.chain.names.push_within_capacity(name).is_ok())
    }

    /// Whether all is as it was. May be asked in any context.
    #[inline]
    pub(crate) fn holds(&self) -> bool {
        // ORDERING: What was read of the file before is not read after this. The other way round
        // needs none: who asks after a change was told of it by somebody.
        fence(Ordering::Acquire);
        !self.chain.names.is_empty()
            && self.chain.names.iter().all(Name::holds)
            // SAFETY: By the type invariant the dentries keep the inodes.
            && unsafe { self.permissions.hold() }
            // SAFETY: As above.
            && unsafe { self.content.holds() }
            // SAFETY: The mount of `chain` keeps the super block.
            && unsafe { self.file_system.holds() }
    }

    /// Takes what it has held, if something of it was deleted. It holds no more then.
    pub(crate) fn take_deleted(&mut self) -> Option<Chain> {
        if !self.chain.names.iter().any(Name::is_deleted) {
            return None;
        }
        let nothing = Chain {
            names: KVec::new(),
            root: self.chain.root.clone(),
        };
        Some(core::mem::replace(&mut self.chain, nothing))
    }

    /// Octets of memory for it.
    pub(crate) fn octets(&self) -> usize {
        let names = &self.chain.names;
        let names = names.capacity().saturating_mul(size_of::<Name>());
        let others = size_of::<Self>().saturating_add(Permissions::OCTETS);
        others.saturating_add(names)
    }

    /// Whether octets of the file may be kept, in place of references to its pages.
    ///
    /// Not so in tmpfs: what is stored through a mapping need not change the time there, so that it
    /// is missed once the mapping is gone. Elsewhere a page may only be copied while no device
    /// writes to it, which `folio_maybe_dma_pinned()` tells: that outlives the mapping.
    pub(crate) fn allows_copies(&self) -> bool {
        !self.is_in_memory
    }
}

/// The names that a look-up went through. What was deleted of that, the file, a directory that it
/// was in, or what was made for a while where there was nothing, nobody else may have.
///
/// # Invariants
///
/// The mount of `root` keeps the super block of all dentries in `names`, whose inodes stay with
/// them.
pub(crate) struct Chain {
    /// Those of the file and of the directories above it, less the root, from the file upwards;
    /// then those of nothing.
    names: KVec<Name>,
    /// Dropped last: it keeps the file system.
    root: Path,
}

// SAFETY: All that it points at is counted, and any thread may drop a reference.
unsafe impl Send for Chain {}

impl Chain {
    /// The device of its file system.
    pub(crate) fn device(&self) -> u32 {
        self.root.device()
    }

    /// Gives it up. Waits for the disk if blocks have to be freed.
    pub(crate) fn give_up(mut self, _context: &MaySleep) {
        // From the end: what leads to nothing is not the last that holds its directory.
        while let Some(name) = self.names.pop() {
            drop(name);
        }
    }
}

impl Drop for Chain {
    /// May sleep, but leaves what waits for the disk to the kernel.
    fn drop(&mut self) {
        while let Some(name) = self.names.pop() {
            if !name.is_deleted() {
                continue;
            }
            let path = bindings::path {
                mnt: self.root.path.mnt,
                dentry: name.dentry.as_ptr(),
            };
            // SAFETY: By the type invariants `name` holds the dentry, which has an inode, and
            // `root` the mount.
            let leftover = unsafe { Leftover::new(&path) };
            // Without memory for that, or with as many files open as there may be, the last
            // reference may be dropped here.
            drop(name);
            drop(leftover);
        }
    }
}

/// The inode of a dentry.
///
/// # Safety
///
/// `dentry` is valid, and has one.
unsafe fn inode_of(dentry: *mut bindings::dentry) -> NonNull<bindings::inode> {
    // SAFETY: By the safety requirements.
    unsafe { NonNull::new_unchecked(bindings::d_backing_inode(dentry)) }
}

/// The number of segments in `name`; `None` if there are none, or too many.
fn segments(name: &CStr) -> Option<usize> {
    let is_slash = |octet: &&u8| **octet == b'/';
    let slashes = name.to_bytes_with_nul().iter().filter(is_slash);
    let count = slashes.fold(1, |count: usize, _| count.saturating_add(1));
    (!name.is_empty() && count <= MOST_SEGMENTS).then_some(count)
}
