// SPDX-License-Identifier: GPL-2.0

//! Which code the module runs for a peer, for a process that asks the kernel (KCOV).
//!
//! Only a build with `RUST_TUX_KCOV=y` has this file, and is instrumented. What runs for a
//! connection is a [`Section`]; its handle is `KCOV_SUBSYSTEM_COMMON` with the peer's IPv4 address
//! as its instance (127.0.0.1 is 0x7f000001). Nothing is collected unless a process has enabled
//! that handle: so each of several fuzzers that have an address of their own gets what its own
//! connections made the module do, be it in softirq, in a worker or in a work item.
//!
//! C header: [`include/linux/kcov.h`](srctree/include/linux/kcov.h)

use super::bindings;
use core::ptr::NonNull;
use kernel::task::Task;
use kernel::types::NotThreadSafe;

/// Code that runs for a connection. One within another belongs to the outer one: the kernel has
/// one section at a time in a task, and one more in the softirq that interrupts it.
pub(crate) struct Section {
    /// Whether this is the outer one.
    is_outer: bool,
    _task: NotThreadSafe,
}

impl Section {
    /// Begins a section of a callback, which is one if it runs in softirq: in process context the
    /// code belongs to the worker that has called.
    ///
    /// # Safety
    ///
    /// `sk` is alive.
    pub(super) unsafe fn in_callback(sk: *mut bindings::sock) -> Self {
        // SAFETY: This has no precondition.
        let is_outer = unsafe { bindings::in_serving_softirq() } && {
            // SAFETY: The running task is alive.
            unsafe { (*Task::current_raw()).kcov_softirq == 0 }
        };
        // SAFETY: The caller's promise; no section was begun in this softirq.
        unsafe { Self::begin(sk, is_outer) }
    }

    /// Begins a section of a kernel thread, which may sleep.
    ///
    /// # Safety
    ///
    /// `sk` is alive. The caller is a kernel thread in process context.
    pub(super) unsafe fn in_thread(sk: NonNull<bindings::sock>) -> Self {
        // A thread that is in a section is in one of a mode, and nobody else collects from it.
        //
        // SAFETY: The running task is alive.
        let is_outer = unsafe { (*Task::current_raw()).kcov_mode == 0 };
        // SAFETY: The caller's promise; no section was begun in this task.
        unsafe { Self::begin(sk.as_ptr(), is_outer) }
    }

    /// # Safety
    ///
    /// `sk` is alive. If `is_outer`, this context is in no section.
    unsafe fn begin(sk: *mut bindings::sock, is_outer: bool) -> Self {
        // SAFETY: The sock is alive; its peer stays the same.
        let peer = u32::from_be(unsafe { bindings::sk_daddr(sk) });
        let is_outer = is_outer && peer != 0;
        if is_outer {
            // SAFETY: This context is in no section, and the handle is one of the subsystem 0,
            // `KCOV_SUBSYSTEM_COMMON`.
            unsafe { bindings::kcov_remote_start(u64::from(peer)) };
        }
        Self {
            is_outer,
            _task: NotThreadSafe,
        }
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        if self.is_outer {
            // SAFETY: Stops what `begin()` has started in this context, if it has.
            unsafe { bindings::kcov_remote_stop() };
        }
    }
}
