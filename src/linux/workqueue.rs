// SPDX-License-Identifier: GPL-2.0

//! A work queue of our own, where the kernel crate offers the system's only.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use super::bindings;
use core::ops::Deref;
use core::ptr::NonNull;
use kernel::prelude::*;
use kernel::workqueue::Queue;

/// A work queue whose items may run on each CPU, and may wait long.
///
/// It has no rescuer: nothing that memory reclaim waits for runs on it, and its items may wait for
/// work of queues that have none either.
///
/// Dropping it waits until all of its items have run, and the items that they have queued. It must
/// not be dropped by one of its own items.
///
/// # Invariants
///
/// `queue` is valid, and ours to destroy.
pub(crate) struct OwnedQueue {
    queue: NonNull<bindings::workqueue_struct>,
}

// SAFETY: Work queues may be used and destroyed by any thread.
unsafe impl Send for OwnedQueue {}
// SAFETY: As above; queueing is synchronized by the kernel.
unsafe impl Sync for OwnedQueue {}

impl OwnedQueue {
    /// Makes a queue that runs up to `max_active` items at a time (the kernel bounds it by 2048).
    pub(crate) fn new(name: &CStr, max_active: u16) -> Result<Self> {
        // SAFETY: `name` ends in NUL, and is copied.
        let queue =
            unsafe { bindings::alloc_workqueue_unbound(name.as_char_ptr(), i32::from(max_active)) };
        // INVARIANT: It was just made for us.
        Ok(Self {
            queue: NonNull::new(queue).ok_or(ENOMEM)?,
        })
    }
}

impl Deref for OwnedQueue {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        // SAFETY: By the type invariant the queue is valid while `self` is.
        // CAST: Both are `struct workqueue_struct`.
        unsafe { Queue::from_raw(self.queue.as_ptr().cast()) }
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the queue is ours, and who could queue borrows `self`.
        unsafe { bindings::destroy_workqueue(self.queue.as_ptr()) };
    }
}
