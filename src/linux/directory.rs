// SPDX-License-Identifier: GPL-2.0

//! An open directory, and the names in it.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use super::bindings;
use super::context::MaySleep;
use super::stat::Kind;
use core::ops::ControlFlow;
use core::ptr::{
    addr_of_mut,
    NonNull, //
};
use core::slice;
use kernel::error::to_result;
use kernel::ffi::{
    c_char,
    c_int,
    c_uint, //
};
use kernel::prelude::*;

/// What is done with an entry: its name, and its type, unless the directory doesn't know that or
/// the entry is a symbolic link.
pub(crate) type Visit<'a> = dyn FnMut(&[u8], Option<Kind>) -> ControlFlow<()> + 'a;

/// A directory, open for reading.
///
/// # Invariants
///
/// `file` owns the only reference to a directory that is open for reading.
pub(crate) struct Directory {
    file: NonNull<bindings::file>,
}

impl Directory {
    /// Takes over an open directory.
    ///
    /// # Safety
    ///
    /// `file` is a directory open for reading, and the caller gives up the only reference to it.
    pub(super) unsafe fn from_raw(file: NonNull<bindings::file>) -> Self {
        // INVARIANT: By the safety requirements.
        Self { file }
    }

    /// Shows each entry to `visit`, `.` and `..` among them, until it breaks off. They come in no
    /// order. One that is made or removed meanwhile may or may not be seen, and an entry may be
    /// seen twice. Goes on where the last call has left off.
    ///
    /// May wait for a disk or for another machine, and updates the access time as the mount says.
    /// The directory is locked while `visit` runs: it may allocate memory, but must not look
    /// anything up.
    pub(crate) fn entries(&mut self, visit: &mut Visit<'_>, _context: &MaySleep) -> Result {
        loop {
            let mut walk = Walk {
                context: bindings::dir_context {
                    actor: Some(Walk::visit),
                    count: c_int::MAX,
                    ..Default::default()
                },
                visit: &mut *visit,
                has_visited: false,
                is_over: false,
            };
            let this = core::ptr::from_mut(&mut walk);
            // SAFETY: By the type invariant the file is valid, and nobody else uses its position;
            // this may sleep. The context is that of a `Walk`, which outlives the call.
            let result = to_result(unsafe {
                bindings::iterate_dir(self.file.as_ptr(), addr_of_mut!((*this).context))
            });
            if walk.is_over {
                return Ok(());
            }
            result?;
            // A file system may end a call where it likes: the end is a call without an entry.
            if !walk.has_visited {
                return Ok(());
            }
        }
    }
}

impl Drop for Directory {
    /// Waits for the disk, as reading it does, if it was deleted meanwhile.
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours; this may sleep.
        unsafe { bindings::__fput_sync(self.file.as_ptr()) };
    }
}

/// What one call of `iterate_dir()` has in hand.
#[repr(C)]
struct Walk<'a> {
    /// What the file system sees; the first field.
    context: bindings::dir_context,
    visit: &'a mut Visit<'a>,
    /// Whether there was an entry.
    has_visited: bool,
    /// Whether `visit` has broken off.
    is_over: bool,
}

impl Walk<'_> {
    /// Hands one entry on. Returns whether the next one is wanted.
    ///
    /// # Safety
    ///
    /// Called by `iterate_dir()` for [`Directory::entries`]: `context` is that of a [`Walk`] which
    /// nobody else uses now, and `name` points at `len` octets.
    unsafe extern "C" fn visit(
        context: *mut bindings::dir_context,
        name: *const c_char,
        len: c_int,
        _position: bindings::loff_t,
        _inode: u64,
        kind: c_uint,
    ) -> bool {
        // SAFETY: By the safety requirements; the pointer was made from one to the whole.
        // CAST: The context is the first field.
        let walk = unsafe { &mut *context.cast::<Walk<'_>>() };
        walk.has_visited = true;
        let len = usize::try_from(len).unwrap_or(0);
        // SAFETY: By the safety requirements.
        let name = unsafe { slice::from_raw_parts(name.cast::<u8>(), len) };
        let kind = match kind {
            bindings::DT_REG => Some(Kind::Regular),
            bindings::DT_DIR => Some(Kind::Directory),
            bindings::DT_UNKNOWN | bindings::DT_LNK => None,
            _ => Some(Kind::Other),
        };
        walk.is_over = (walk.visit)(name, kind).is_break();
        !walk.is_over
    }
}
