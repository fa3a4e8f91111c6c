// SPDX-License-Identifier: GPL-2.0

//! An open regular file, and two ways to its pages: those that are in the page cache now, and those
//! that the file system has to bring.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/splice.h`](srctree/include/linux/splice.h)

use super::bindings;
use super::context::MaySleep;
use super::fragment::Fragments;
use super::page_cache;
use super::unlinked::is_unlinked;
use core::mem::size_of;
use core::ptr::{
    addr_of,
    NonNull, //
};
use kernel::error::to_result;
use kernel::ffi::c_int;
use kernel::prelude::*;

/// A regular file, open for reading.
///
/// Dropping it may sleep: it is closed there and then, unless that may be to wait for the disk.
///
/// # Invariants
///
/// `file` owns one reference to a regular file that is open for reading.
pub(crate) struct File {
    file: NonNull<bindings::file>,
}

// SAFETY: `struct file` is counted, any thread may use and drop a reference.
unsafe impl Send for File {}
// SAFETY: The methods read at offsets of their own and leave the file position alone; the fields
// that they look at are set when the file is opened.
unsafe impl Sync for File {}

impl File {
    /// Of memory for one that is open, less its inode.
    pub(crate) const OCTETS: usize = size_of::<bindings::file>();

    /// Takes over a reference to an open file.
    ///
    /// # Safety
    ///
    /// `file` is a regular file open for reading, and the caller gives up one reference to it.
    pub(super) unsafe fn from_raw(file: NonNull<bindings::file>) -> Self {
        // INVARIANT: By the safety requirements.
        Self { file }
    }

    /// Adds what is in the page cache now: up to `len` octets from `offset` on. Returns how many.
    ///
    /// Ends early at the first page that is not there or not up to date, at the end of the file,
    /// and when `out` is full. Never waits, starts no reading, and leaves the access time alone.
    /// With `used`, the folios are marked as used; without, this is for any context.
    ///
    /// Right only for files of which [`Path::is_local`](super::path::Path::is_local) is true:
    /// others have their pages elsewhere (overlayfs, DAX), or pages that must be validated before
    /// use (NFS, FUSE). There, and behind a short answer, [`File::read`] is the way.
    pub(crate) fn resident(
        &self,
        offset: u64,
        len: usize,
        out: &mut Fragments,
        used: Option<&MaySleep>,
    ) -> usize {
        // SAFETY: By the type invariant the file is valid; its mapping is set when it is opened.
        let mapping = unsafe { addr_of!((*self.file.as_ptr()).f_mapping).read() };
        // SAFETY: The mapping lives as long as the file, whose file system the caller vouches for.
        unsafe { page_cache::add(mapping, offset, len, out, used) }
    }

    /// Adds up to `len` octets from `offset` on, as the file system reads them. Returns how many;
    /// 0 is the end of the file (or a full `out`).
    ///
    /// Waits for the disk, or for another machine. Fewer octets than `len` were added if the file
    /// ends there, `out` is full, or an error came after the first octet: read again to know. What
    /// `out` holds when this fails stays as it was.
    ///
    /// The way is that of `nfsd_splice_read()`: the pages go through a pipe which the task keeps.
    /// It works on each file system that `sendfile()` works on, with its own locking, validation
    /// and read-ahead, and updates the access time as the mount says. It is left to the file
    /// system's read-ahead to ask for much at a time: that makes large folios, thus few fragments,
    /// which `POSIX_FADV_WILLNEED` does not.
    pub(crate) fn read(
        &self,
        offset: u64,
        len: usize,
        out: &mut Fragments,
        _context: &MaySleep,
    ) -> Result<usize> {
        let offset = i64::try_from(offset)?;
        let room = usize::try_from(i64::MAX.saturating_sub(offset))?;
        let len = len.min(room);
        let file = self.file.as_ptr();
        // SAFETY: By the type invariant the file is valid; this may sleep.
        to_result(unsafe {
            bindings::rw_verify_area(bindings::READ as c_int, file, &offset, len)
        })?;

        let mut request = bindings::splice_desc {
            total_len: len,
            pos: offset,
            ..Default::default()
        };
        request.u.data = core::ptr::from_mut(out).cast();
        // SAFETY: By the type invariant the file is valid; this may sleep. The cookie of `request`
        // is an exclusive reference to the fragments, as `splice_buffer()` needs it, and both
        // outlive the call.
        let count =
            unsafe { bindings::splice_direct_to_actor(file, &mut request, Some(splice_pipe)) };
        if count < 0 {
            to_result(c_int::try_from(count)?)?;
        }
        Ok(usize::try_from(count)?)
    }

    /// Copies octets from `offset` on. Returns how many; 0 is the end of the file.
    ///
    /// Waits for the disk, or for another machine.
    pub(crate) fn copy(&self, offset: u64, out: &mut [u8], _context: &MaySleep) -> Result<usize> {
        let mut offset = i64::try_from(offset)?;
        // SAFETY: By the type invariant the file is valid and open for reading; so much can be
        // written to `out`; this may sleep.
        let count = unsafe {
            bindings::kernel_read(
                self.file.as_ptr(),
                out.as_mut_ptr().cast(),
                out.len(),
                &mut offset,
            )
        };
        if count < 0 {
            to_result(c_int::try_from(count)?)?;
        }
        Ok(usize::try_from(count)?)
    }

    /// Whether it has octets for the disk. ext4, xfs and btrfs have whoever is the first to close a
    /// file after it was truncated write them out, be he only a reader.
    pub(crate) fn is_dirty(&self) -> bool {
        // SAFETY: By the type invariant the file is valid; its mapping is set when it is opened.
        unsafe {
            let mapping = addr_of!((*self.file.as_ptr()).f_mapping).read();
            bindings::mapping_tagged(mapping, bindings::PAGECACHE_TAG_DIRTY)
        }
    }

    /// Whether it was deleted, so that to close it may be to free its blocks.
    pub(crate) fn is_deleted(&self) -> bool {
        // SAFETY: By the type invariant the file is valid.
        unsafe { is_deleted(self.file) }
    }

    /// Closes it, however long that takes.
    pub(crate) fn close(self, _context: &MaySleep) {
        let file = self.file.as_ptr();
        core::mem::forget(self);
        // SAFETY: The reference was ours, and nobody drops it any more; this may sleep.
        unsafe { bindings::__fput_sync(file) };
    }
}

impl Drop for File {
    /// May sleep, but leaves what may wait for the disk to the kernel, as far as that can be told.
    fn drop(&mut self) {
        if self.is_dirty() {
            // SAFETY: By the type invariant the reference is ours.
            unsafe { bindings::fput(self.file.as_ptr()) };
        } else {
            // SAFETY: As above.
            unsafe { close(self.file) };
        }
    }
}

/// Gives up a reference to an open file.
///
/// From a kernel thread `fput()` leaves the work to one work item of the whole system, which closed
/// files could pile up behind. What was deleted is left to it all the same: its blocks may have to
/// be freed.
///
/// # Safety
///
/// The caller gives up one reference to `file`, and may sleep.
pub(super) unsafe fn close(file: NonNull<bindings::file>) {
    // SAFETY: By the safety requirements the file is valid.
    if unsafe { is_deleted(file) } {
        // SAFETY: By the safety requirements the reference is ours.
        unsafe { bindings::fput(file.as_ptr()) };
    } else {
        // SAFETY: As above; this may sleep.
        unsafe { bindings::__fput_sync(file.as_ptr()) };
    }
}

/// Whether `file` was deleted, or only its name: then nobody else may have the directory above it,
/// which may have been deleted, too.
///
/// # Safety
///
/// `file` is valid.
unsafe fn is_deleted(file: NonNull<bindings::file>) -> bool {
    let file = file.as_ptr();
    // SAFETY: By the safety requirements; an open file has an inode and a dentry.
    unsafe {
        let links = addr_of!((*(*file).f_inode).__bindgen_anon_1.i_nlink).read_volatile();
        let dentry = addr_of!((*file).__bindgen_anon_1.f_path.dentry).read();
        links == 0 || is_unlinked(dentry)
    }
}

/// Asks the security modules once more, now that `file` is open, as `open()` does.
///
/// # Safety
///
/// `file` is valid.
pub(super) unsafe fn check_opened(file: NonNull<bindings::file>) -> Result {
    let mask = bindings::MAY_READ as c_int;
    // SAFETY: By the safety requirements.
    to_result(unsafe { bindings::security_file_post_open(file.as_ptr(), mask) })
}

/// Takes what has been read out of the pipe.
///
/// # Safety
///
/// Called by `splice_direct_to_actor()` for [`File::read`].
unsafe extern "C" fn splice_pipe(
    pipe: *mut bindings::pipe_inode_info,
    request: *mut bindings::splice_desc,
) -> c_int {
    // SAFETY: Pipe and request are handed through.
    let count = unsafe { bindings::__splice_from_pipe(pipe, request, Some(splice_buffer)) };
    // A pipe holds less than `c_int` can tell.
    c_int::try_from(count).unwrap_or(c_int::MIN)
}

/// Takes one buffer out of the pipe; 0 if there is no room.
///
/// # Safety
///
/// Called by `__splice_from_pipe()` for [`splice_pipe`]: `buffer` is valid and confirmed, and the
/// cookie of `request` is an exclusive reference to [`Fragments`].
unsafe extern "C" fn splice_buffer(
    _pipe: *mut bindings::pipe_inode_info,
    buffer: *mut bindings::pipe_buffer,
    request: *mut bindings::splice_desc,
) -> c_int {
    // SAFETY: By the safety requirements.
    let (page, offset) = unsafe { ((*buffer).page, (*buffer).offset) };
    // SAFETY: By the safety requirements.
    let (out, len) = unsafe { ((*request).u.data.cast::<Fragments>(), (*request).len) };
    // SAFETY: By the safety requirements.
    let out = unsafe { &mut *out };

    let shift = usize::try_from(offset >> bindings::PAGE_SHIFT).unwrap_or(0);
    // A compound page may be given by its head.
    let page = page.wrapping_add(shift);
    let in_page = offset % (1 << bindings::PAGE_SHIFT);
    let (Some(page), Ok(count)) = (NonNull::new(page), c_int::try_from(len)) else {
        return EINVAL.to_errno();
    };
    // SAFETY: The buffer keeps the page.
    if !unsafe { bindings::sendpage_ok(page.as_ptr()) } {
        return EIO.to_errno();
    }
    // SAFETY: The buffer keeps the page.
    unsafe { bindings::get_page(page.as_ptr()) };
    // SAFETY: The reference is the one that was taken above, and the page can be sent.
    if unsafe { out.push_page(page, in_page, len) } {
        count
    } else {
        // SAFETY: The reference was not given away.
        unsafe { bindings::put_page(page.as_ptr()) };
        0
    }
}
