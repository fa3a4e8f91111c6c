// SPDX-License-Identifier: GPL-2.0

//! Looking up names beneath a directory.
//!
//! Permissions are those of the current task's credentials, see [`super::cred`].
//!
//! C headers: [`include/linux/namei.h`](srctree/include/linux/namei.h),
//! [`include/linux/path.h`](srctree/include/linux/path.h)

use super::bindings;
use super::context::MaySleep;
use super::directory::Directory;
use super::file::{
    self,
    File, //
};
use super::param;
use super::stat::{
    Attributes,
    Kind, //
};
use super::unlinked::put;
use core::mem::MaybeUninit;
use core::ptr::{
    addr_of,
    NonNull, //
};
use kernel::error::{
    from_err_ptr,
    to_result, //
};
use kernel::ffi::{
    c_int,
    c_ulong, //
};
use kernel::prelude::*;
use kernel::sync::rcu;

/// How often a lookup is begun again when a rename or a mount elsewhere has disturbed it.
///
/// The kernel asks for the repetition: it can't tell whether the walk left the directory then. The
/// number is the one that bounds the harm of somebody who renames in a loop.
const DISTURBED_LOOKUPS: usize = 32;

/// A directory as the root of lookups. It can't be unmounted, but renamed or removed, while held.
///
/// # Invariants
///
/// `path` owns one reference to a directory.
pub(crate) struct Root {
    pub(super) path: bindings::path,
}

// SAFETY: A `struct path` is a pair of counted references, which any thread may use and drop.
unsafe impl Send for Root {}
// SAFETY: No method changes `path`.
unsafe impl Sync for Root {}

/// May a lookup wait?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// The answer comes from the dentry cache, or not at all.
    Cached,
    /// The file system may be asked, and may wait for a disk or for another machine.
    MayBlock,
}

impl Root {
    /// Looks `name` up as the current task sees it, with its root and current directory.
    ///
    /// Fails with `ENOENT` if there is no such file, with `ENOTDIR` if it is not a directory, with
    /// `EACCES` if the way to it is barred.
    pub(crate) fn open(name: &CStr, _context: &MaySleep) -> Result<Self> {
        let flags = bindings::LOOKUP_FOLLOW | bindings::LOOKUP_DIRECTORY;
        let mut path = MaybeUninit::uninit();
        // SAFETY: `name` ends in NUL, `path` can be written to, and this may sleep.
        to_result(unsafe { bindings::kern_path(name.as_char_ptr(), flags, path.as_mut_ptr()) })?;
        // INVARIANT: `kern_path()` has checked that it is a directory, and given us the reference.
        Ok(Self {
            // SAFETY: `kern_path()` fills the path in if it succeeds.
            path: unsafe { path.assume_init() },
        })
    }

    /// Looks up `name` beneath this directory; an empty one is the directory itself.
    ///
    /// Whatever symbolic links, `..` and mounts there are, the lookup doesn't leave the directory:
    /// it is the root of the walk. Links of procfs, which jump, are refused (`ELOOP`). `None` means
    /// that [`Lookup::Cached`] can't tell without waiting.
    ///
    /// May sleep for memory in both modes. The [`Path`] must be dropped where one may sleep, too.
    pub(crate) fn lookup(
        &self,
        name: &CStr,
        mode: Lookup,
        _context: &MaySleep,
    ) -> Result<Option<Path>> {
        if name.is_empty() {
            return Ok(Some(self.to_path()));
        }

        let confined =
            bindings::LOOKUP_IN_ROOT | bindings::LOOKUP_NO_MAGICLINKS | bindings::LOOKUP_FOLLOW;
        match mode {
            Lookup::Cached => {
                // A walk that ends in the root of a mount would have the file system look at it
                // anew (NFS, 9p), and wait for that, also if it is to stay in the cache. What is
                // not waited for is not looked at, as with umount().
                let flags = confined | bindings::LOOKUP_MOUNTPOINT | bindings::LOOKUP_CACHED;
                // SAFETY: By the type invariant the path is valid; the only caller may sleep.
                unsafe { walk(&self.path, name, flags) }
            }
            Lookup::MayBlock => {
                // SAFETY: As above.
                unsafe { walk_undisturbed(&self.path, name, confined) }
            }
        }
    }
}

impl Root {
    /// Whether what is below it on the same file system comes from this machine's memory, see
    /// [`Path::is_local`].
    pub(crate) fn is_local(&self) -> bool {
        self.to_path().is_local()
    }

    /// The directory itself.
    pub(super) fn to_path(&self) -> Path {
        // SAFETY: By the type invariant the path is valid.
        unsafe { bindings::path_get(&self.path) };
        // INVARIANT: The reference was taken above. A directory in use has an inode.
        Path { path: self.path }
    }

    /// The type of its file system: "ext4", for one.
    pub(crate) fn file_system(&self) -> &CStr {
        // SAFETY: By the type invariant the dentry is valid, and keeps its super block, that its
        // type, and that its name, which ends in NUL.
        unsafe { param::text((*(*(*self.path.dentry).d_sb).s_type).name) }
    }
}

/// Walks until nobody disturbs it.
///
/// # Safety
///
/// As for [`walk`].
unsafe fn walk_undisturbed(from: &bindings::path, name: &CStr, flags: u32) -> Result<Option<Path>> {
    for _ in 0..DISTURBED_LOOKUPS {
        // SAFETY: The caller's promise.
        if let Some(path) = unsafe { walk(from, name, flags) }? {
            return Ok(Some(path));
        }
    }
    Err(EBUSY)
}

/// One walk from `from`, which is its root; `None` when the kernel asks to try again.
///
/// # Safety
///
/// `from` is valid, and the caller may sleep.
pub(super) unsafe fn walk(from: &bindings::path, name: &CStr, flags: u32) -> Result<Option<Path>> {
    let mut path = MaybeUninit::uninit();
    // SAFETY: By the safety requirements; `name` ends in NUL, and `path` can be written to.
    let result = to_result(unsafe {
        bindings::vfs_path_lookup(
            from.dentry,
            from.mnt,
            name.as_char_ptr(),
            flags,
            path.as_mut_ptr(),
        )
    });
    match result {
        // INVARIANT: The kernel has given us the reference, and finds names that exist only.
        Ok(()) => Ok(Some(Path {
            // SAFETY: The kernel fills the path in if it succeeds.
            path: unsafe { path.assume_init() },
        })),
        Err(error) if error == EAGAIN => Ok(None),
        Err(error) => Err(error),
    }
}

impl Drop for Root {
    /// May sleep, but leaves what waits for the disk to the kernel, see [`put`].
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours, and a directory has an inode.
        unsafe { put(&self.path) };
    }
}

/// What lookup has found. It must be dropped where one may sleep.
///
/// # Invariants
///
/// `path` owns one reference to a dentry that has an inode, and to its mount.
pub(crate) struct Path {
    pub(super) path: bindings::path,
}

// SAFETY: A `struct path` is a pair of counted references, which any thread may use and drop.
unsafe impl Send for Path {}
// SAFETY: No method changes `path`.
unsafe impl Sync for Path {}

impl Clone for Path {
    fn clone(&self) -> Self {
        // SAFETY: By the type invariant the path is valid.
        unsafe { bindings::path_get(&self.path) };
        // INVARIANT: The reference was taken above; there is an inode as there was before.
        Self { path: self.path }
    }
}

impl Path {
    /// Looks `name` up as the current task sees it, with its root and current directory.
    pub(crate) fn find(name: &CStr, _context: &MaySleep) -> Result<Self> {
        let mut path = MaybeUninit::uninit();
        // SAFETY: `name` ends in NUL, `path` can be written to, and this may sleep.
        to_result(unsafe {
            bindings::kern_path(
                name.as_char_ptr(),
                bindings::LOOKUP_FOLLOW,
                path.as_mut_ptr(),
            )
        })?;
        // INVARIANT: The kernel has given us the reference, and finds names that exist only.
        Ok(Self {
            // SAFETY: `kern_path()` fills the path in if it succeeds.
            path: unsafe { path.assume_init() },
        })
    }

    /// Looks up `name` beneath this directory; an empty one is the directory itself.
    ///
    /// May wait for this directory's file system, and for no other: `None` means that the way leads
    /// through a symbolic link or over a mount.
    pub(crate) fn lookup_within(&self, name: &CStr, _context: &MaySleep) -> Result<Option<Path>> {
        if name.is_empty() {
            return Ok(Some(self.clone()));
        }
        // A link at the end is to be followed, too: then it is refused.
        let flags = bindings::LOOKUP_IN_ROOT
            | bindings::LOOKUP_FOLLOW
            | bindings::LOOKUP_NO_MAGICLINKS
            | bindings::LOOKUP_NO_SYMLINKS
            | bindings::LOOKUP_NO_XDEV;
        // SAFETY: By the type invariant the path is valid; this may sleep.
        match unsafe { walk_undisturbed(&self.path, name, flags) } {
            Err(error) if error == ELOOP || error == EXDEV => Ok(None),
            found => found,
        }
    }

    /// Whether it has nothing of that `name`, a single segment, which the dentry cache doesn't know
    /// of: a file system without other memory than the machine's has all its names there. False if
    /// this isn't one, or if it can't be told.
    ///
    /// The file system isn't asked: that takes the directory's lock, which somebody may have who
    /// lists the directory into memory that is a file on FUSE.
    pub(crate) fn lacks(&self, name: &CStr, _context: &MaySleep) -> bool {
        if !self.is_in_memory() {
            return false;
        }
        if self.kind() != Kind::Directory {
            return true;
        }
        // SAFETY: By the type invariant the path is valid and has an inode.
        let may_search =
            unsafe { check_permission(&self.path, bindings::MAY_EXEC, Lookup::Cached) };
        if may_search != Ok(true) {
            return false;
        }
        // SAFETY: `name` ends in NUL, and lives until it has been looked up.
        let mut name = unsafe { bindings::QSTR(name.as_char_ptr()) };
        // SAFETY: By the type invariant the directory is valid; this may sleep.
        let found = unsafe { bindings::try_lookup_noperm(&mut name, self.path.dentry) };
        match from_err_ptr(found).map(NonNull::new) {
            Ok(Some(dentry)) => {
                // SAFETY: The reference is ours; this may sleep.
                unsafe { bindings::dput(dentry.as_ptr()) };
                false
            }
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Whether it has octets for the disk, see [`File::is_dirty`]. Only where it [`is_local`].
    ///
    /// [`is_local`]: Path::is_local
    pub(crate) fn is_dirty(&self) -> bool {
        // SAFETY: By the type invariant the dentry is valid.
        let inode = unsafe { bindings::d_backing_inode(self.path.dentry) };
        // SAFETY: By the type invariant there is an inode, and the dentry keeps it.
        unsafe {
            let mapping = addr_of!((*inode).i_mapping).read();
            bindings::mapping_tagged(mapping, bindings::PAGECACHE_TAG_DIRTY)
        }
    }

    /// The number of the device of the file system, which each that is mounted has another of.
    pub(crate) fn device(&self) -> u32 {
        // SAFETY: By the type invariant the dentry is valid. It keeps its super block, whose device
        // does not change.
        unsafe { (*(*self.path.dentry).d_sb).s_dev }
    }

    /// Asks the file system for the attributes, after the security modules.
    ///
    /// May wait for a disk or for another machine, unless [`Path::is_local`].
    pub(crate) fn attributes(&self, _context: &MaySleep) -> Result<Attributes> {
        let request = bindings::STATX_BASIC_STATS | bindings::STATX_CHANGE_COOKIE;
        let mut stat = MaybeUninit::uninit();
        // SAFETY: By the type invariant the path is valid; `stat` can be written to; this may
        // sleep.
        to_result(unsafe { bindings::vfs_getattr(&self.path, stat.as_mut_ptr(), request, 0) })?;
        // SAFETY: The kernel clears all of it before it calls the file system.
        let stat: bindings::kstat = unsafe { stat.assume_init() };
        Ok(Attributes::new(&stat))
    }

    /// Whether attributes, open, and the pages in the page cache come from this machine's memory.
    ///
    /// True of file systems with multigrain time stamps (ext4, xfs, btrfs, tmpfs), where each
    /// change after a look at the attributes shows in them, and of those that never change (erofs,
    /// squashfs), unless a name has to be revalidated. Not true of network file systems, FUSE,
    /// overlayfs, and whatever else has its pages or its truth elsewhere.
    pub(crate) fn is_local(&self) -> bool {
        // SAFETY: By the type invariant the dentry is valid. `d_flags` may change concurrently,
        // hence volatile; the flag that matters is set once, when the dentry is made.
        let d_flags = unsafe { addr_of!((*self.path.dentry).d_flags).read_volatile() };
        // SAFETY: As above. What matters never changes: only a root is its own parent.
        let parent = unsafe { addr_of!((*self.path.dentry).d_parent).read_volatile() };
        let revalidates = d_flags & bindings::dentry_flags_DCACHE_OP_REVALIDATE != 0;
        let is_root = parent == self.path.dentry;
        // SAFETY: A dentry keeps its super block, which does not change.
        let super_block = unsafe { (*self.path.dentry).d_sb };
        // SAFETY: The super block is valid while the dentry is; none of these change after mount.
        let (stack_depth, magic, file_system) = unsafe {
            (
                (*super_block).s_stack_depth,
                (*super_block).s_magic,
                (*super_block).s_type,
            )
        };
        // SAFETY: A super block keeps its type, and the type's flags do not change.
        let fs_flags = unsafe { (*file_system).fs_flags };

        let tells = fs_flags & bindings::FS_MGTIME as c_int != 0
            || magic == bindings::EROFS_SUPER_MAGIC_V1 as c_ulong
            || magic == bindings::SQUASHFS_MAGIC as c_ulong;
        tells && stack_depth == 0 && (is_root || !revalidates)
    }

    /// Opens a regular file for reading; anything else is refused unopened (`EACCES`).
    ///
    /// Checks the permission of the current credentials and asks the security modules. Does not
    /// wait for a lease: `None` means that its holder has been asked to give it up, and that the
    /// file can be opened later; or that [`Lookup::Cached`] can't do it, because an access control
    /// list may have to be read. Reading updates the access time as the mount says.
    pub(crate) fn open(&self, mode: Lookup, _context: &MaySleep) -> Result<Option<File>> {
        if self.kind() != Kind::Regular {
            return Err(EACCES);
        }
        if (mode == Lookup::Cached && self.is_slow_to_open()) || !self.may_read(mode)? {
            return Ok(None);
        }

        let Some(file) = self.open_file(0)? else {
            return Ok(None);
        };
        // SAFETY: The reference is ours. It is a regular file open for reading: an inode never
        // changes its type.
        Ok(Some(unsafe { File::from_raw(file) }))
    }

    /// Opens a directory for reading; anything else is refused unopened (`ENOTDIR`).
    ///
    /// Checks the permission of the current credentials and asks the security modules. Fails with
    /// `EAGAIN` if somebody has been asked to give up a lease.
    pub(crate) fn open_directory(&self, _context: &MaySleep) -> Result<Directory> {
        if self.kind() != Kind::Directory {
            return Err(ENOTDIR);
        }
        self.may_read(Lookup::MayBlock)?;
        let file = self.open_file(bindings::O_DIRECTORY)?.ok_or(EAGAIN)?;
        // SAFETY: Nobody else knows of the file. It is a directory open for reading: an inode
        // never changes its type.
        Ok(unsafe { Directory::from_raw(file) })
    }

    /// Opens it for reading, and gives the caller the only reference. `None` means that the holder
    /// of a lease has been asked to give it up.
    fn open_file(&self, flags: u32) -> Result<Option<NonNull<bindings::file>>> {
        // O_RDONLY is 0.
        let flags = (bindings::O_NONBLOCK | bindings::O_LARGEFILE | flags) as c_int;
        // SAFETY: By the type invariant the path is valid, and the credentials of the current task
        // live while it has them; the only callers may sleep.
        let file = from_err_ptr(unsafe {
            bindings::dentry_open(&self.path, flags, bindings::current_cred())
        });
        let file = match file {
            Ok(file) => NonNull::new(file).ok_or(EINVAL)?,
            Err(error) if error == EAGAIN => return Ok(None),
            Err(error) => return Err(error),
        };
        // SAFETY: `dentry_open()` has given us a reference.
        if let Err(error) = unsafe { file::check_opened(file) } {
            // SAFETY: As above, and the only callers may sleep.
            unsafe { file::close(file) };
            return Err(error);
        }
        Ok(Some(file))
    }

    /// Whether the current credentials may read the file, or pass through the directory.
    pub(crate) fn is_accessible(&self, _context: &MaySleep) -> bool {
        let mask = match self.kind() {
            Kind::Directory => bindings::MAY_EXEC,
            Kind::Regular | Kind::Other => bindings::MAY_READ,
        };
        // SAFETY: By the type invariant the path is valid and has an inode; this may sleep.
        to_result(unsafe { bindings::path_permission(&self.path, mask as c_int) }).is_ok()
    }

    /// Checks the permission to read. False if that can't be told without waiting.
    fn may_read(&self, mode: Lookup) -> Result<bool> {
        let mask = bindings::MAY_OPEN | bindings::MAY_READ;
        // SAFETY: By the type invariant the path is valid and has an inode; the callers may sleep,
        // as `mode` has it.
        unsafe { check_permission(&self.path, mask, mode) }
    }

    /// Whether the file system has no memory but the machine's own, so that no lookup in it waits.
    pub(crate) fn is_in_memory(&self) -> bool {
        // SAFETY: By the type invariant the dentry is valid. It keeps its super block, whose magic
        // does not change.
        let magic = unsafe { (*(*self.path.dentry).d_sb).s_magic };
        magic == bindings::TMPFS_MAGIC as c_ulong || magic == bindings::RAMFS_MAGIC as c_ulong
    }

    /// Whether an open may wait: the file system reads a key, or the root of a hash tree; or
    /// somebody watches files of this file system and has to permit it (fanotify).
    fn is_slow_to_open(&self) -> bool {
        // SAFETY: By the type invariant the dentry is valid, and keeps its super block.
        if unsafe { bindings::sb_has_permission_watchers((*self.path.dentry).d_sb) } {
            return true;
        }
        // SAFETY: By the type invariant the dentry is valid.
        let inode = unsafe { bindings::d_backing_inode(self.path.dentry) };
        // SAFETY: By the type invariant there is an inode, and the dentry keeps it. Its flags may
        // change concurrently, hence volatile.
        let flags = unsafe { addr_of!((*inode).i_flags).read_volatile() };
        flags & (bindings::S_VERITY | bindings::S_ENCRYPTED) != 0
    }

    /// The type of the file.
    pub(super) fn kind(&self) -> Kind {
        Kind::of(self.mode())
    }

    /// Type and permission bits.
    fn mode(&self) -> u16 {
        // SAFETY: By the type invariant the dentry is valid.
        let inode = unsafe { bindings::d_backing_inode(self.path.dentry) };
        // SAFETY: By the type invariant there is an inode, and the dentry keeps it. Its mode may
        // change concurrently, hence volatile; its type does not.
        unsafe { addr_of!((*inode).i_mode).read_volatile() }
    }
}

/// Checks a permission of the current credentials. False if that can't be told as `mode` has it.
///
/// # Safety
///
/// `path` is valid and has an inode. May sleep, unless `mode` is [`Lookup::Cached`].
pub(super) unsafe fn check_permission(
    path: &bindings::path,
    mask: u32,
    mode: Lookup,
) -> Result<bool> {
    let result = match mode {
        Lookup::MayBlock => {
            // SAFETY: By the safety requirements.
            to_result(unsafe { bindings::path_permission(path, mask as c_int) })
        }
        Lookup::Cached => {
            let mask = mask | bindings::MAY_NOT_BLOCK;
            let _guard = rcu::read_lock();
            // SAFETY: By the safety requirements, and as that flag demands under the lock of RCU.
            to_result(unsafe { bindings::path_permission(path, mask as c_int) })
        }
    };
    match result {
        Ok(()) => Ok(true),
        Err(error) if mode == Lookup::Cached && error == ECHILD => Ok(false),
        Err(error) => Err(error),
    }
}

impl Drop for Path {
    /// May sleep, but leaves what waits for the disk to the kernel, see [`put`].
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours, and there is an inode.
        unsafe { put(&self.path) };
    }
}
