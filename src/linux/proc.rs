// SPDX-License-Identifier: GPL-2.0

//! Read-only files under `/proc/net`, shown by safe code and removed by `Drop`.
//!
//! C headers: [`include/linux/proc_fs.h`](srctree/include/linux/proc_fs.h),
//! [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h)

use super::bindings;
use super::context::MaySleep;
use core::marker::PhantomData;
use core::ptr::{
    addr_of_mut,
    NonNull, //
};
use kernel::ffi::{
    c_int,
    c_void, //
};
use kernel::prelude::*;
use kernel::seq_file::SeqFile;
use kernel::sync::Arc;

/// What a file shows.
pub(crate) trait Show: Send + Sync + 'static {
    /// Prints the whole content. Several tasks may call it at a time; it may sleep. It is called
    /// again if what it printed did not fit, so printing must have no effect of its own.
    fn show(&self, out: &SeqFile);
}

/// A directory of `/proc/net` in the initial network namespace.
///
/// # Invariants
///
/// `entry` is registered, and ours to remove.
pub(crate) struct Directory {
    entry: NonNull<bindings::proc_dir_entry>,
}

// SAFETY: Any thread may remove an entry.
unsafe impl Send for Directory {}
// SAFETY: Entries may be added by several threads at a time; procfs has its own lock.
unsafe impl Sync for Directory {}

impl Directory {
    /// Makes a directory. Fails with `ENOMEM`, which is also all that the kernel says if there is
    /// one of that name.
    pub(crate) fn new(name: &CStr, _context: &MaySleep) -> Result<Self> {
        // SAFETY: `init_net` and its `proc_net` live for ever.
        let parent = unsafe { (*addr_of_mut!(bindings::init_net)).proc_net };
        // SAFETY: `name` ends in NUL, and is copied; the parent is a directory; this may sleep.
        let entry = unsafe {
            bindings::proc_net_mkdir(addr_of_mut!(bindings::init_net), name.as_char_ptr(), parent)
        };
        // INVARIANT: It was registered just now.
        Ok(Self {
            entry: NonNull::new(entry).ok_or(ENOMEM)?,
        })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the entry is ours. Each file in it keeps the directory, so
        // that there is none left.
        unsafe { bindings::proc_remove(self.entry.as_ptr()) };
    }
}

/// A file in a [`Directory`].
///
/// Dropping it waits for those who read it; none does afterwards. So it must not be dropped by its
/// own [`Show::show`].
///
/// # Invariants
///
/// `entry` is registered, ours to remove, and its data is `content`.
pub(crate) struct File<T: Show> {
    entry: NonNull<bindings::proc_dir_entry>,
    /// Released after `drop()` has removed the file.
    _content: Arc<T>,
    /// Released after `drop()` has removed the file.
    _directory: Arc<Directory>,
}

// SAFETY: Any thread may remove an entry; `T` is `Send` and `Sync`.
unsafe impl<T: Show> Send for File<T> {}
// SAFETY: There are no methods; `T` is `Sync`.
unsafe impl<T: Show> Sync for File<T> {}

impl<T: Show> File<T> {
    /// Makes a file that everybody can read.
    pub(crate) fn new(
        directory: Arc<Directory>,
        name: &CStr,
        content: Arc<T>,
        _context: &MaySleep,
    ) -> Result<Self> {
        // SAFETY: `name` ends in NUL, and is copied. The directory is registered by its type
        // invariant. The content lives until the file is removed. This may sleep.
        let entry = unsafe {
            bindings::proc_create_single_data(
                name.as_char_ptr(),
                0o444,
                directory.entry.as_ptr(),
                Some(Shower::<T>::show),
                Arc::as_ptr(&content).cast_mut().cast(),
            )
        };
        // INVARIANT: It was registered just now, with that data.
        Ok(Self {
            entry: NonNull::new(entry).ok_or(ENOMEM)?,
            _content: content,
            _directory: directory,
        })
    }
}

impl<T: Show> Drop for File<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the entry is ours. This waits for its readers.
        unsafe { bindings::proc_remove(self.entry.as_ptr()) };
    }
}

/// What the kernel calls for a [`File<T>`].
struct Shower<T: Show>(PhantomData<T>);

impl<T: Show> Shower<T> {
    /// Shows the content.
    ///
    /// # Safety
    ///
    /// Called by seq_file for a [`File<T>`]: `seq` is valid, and this task's alone.
    unsafe extern "C" fn show(seq: *mut bindings::seq_file, _: *mut c_void) -> c_int {
        // SAFETY: `proc_single_open()` puts the entry's data here; by the invariants of `File` it
        // is its content, which lives while we run: removing the file waits for us.
        let content = unsafe { &*(*seq).private.cast::<T>() };
        // SAFETY: By the safety requirements.
        // CAST: Both are `struct seq_file`.
        let out = unsafe { SeqFile::from_raw(seq.cast()) };
        content.show(out);
        0
    }
}
