// SPDX-License-Identifier: GPL-2.0

//! A work queue of our own, where the kernel crate offers the system's only.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use super::bindings;
use core::ptr::NonNull;
use kernel::prelude::*;
use kernel::sync::{
    new_spinlock,
    Arc,
    SpinLock, //
};
use kernel::workqueue::{
    Queue,
    RawWorkItem, //
};

/// A work queue, and whether it still takes items.
///
/// # Invariants
///
/// `queue` is valid while `is_open`, whose lock is held to queue.
#[pin_data]
struct Inner {
    queue: NonNull<bindings::workqueue_struct>,
    #[pin]
    is_open: SpinLock<bool>,
}

// SAFETY: Work queues may be used and destroyed by any thread.
unsafe impl Send for Inner {}
// SAFETY: As above; queueing is synchronized by the kernel.
unsafe impl Sync for Inner {}

/// A work queue whose items may run on each CPU, and may wait long.
///
/// It has no rescuer: nothing that memory reclaim waits for runs on it, and its items may wait for
/// work of queues that have none either.
///
/// Dropping it waits until all of its items have run. It must not be dropped by one of its own
/// items, which have a [`Handle`] for that reason.
///
/// # Invariants
///
/// The queue is valid, and ours to destroy.
pub(crate) struct OwnedQueue {
    inner: Arc<Inner>,
}

/// The way to an [`OwnedQueue`] for those who don't own it. It may outlive the queue.
#[derive(Clone)]
pub(crate) struct Handle {
    inner: Arc<Inner>,
}

impl OwnedQueue {
    /// Makes a queue that runs up to `max_active` items at a time (the kernel bounds it by 2048,
    /// and gives each NUMA node its part).
    pub(crate) fn new(name: &CStr, max_active: u16) -> Result<Self> {
        // SAFETY: `name` ends in NUL, and is copied.
        let queue =
            unsafe { bindings::alloc_workqueue_unbound(name.as_char_ptr(), i32::from(max_active)) };
        let queue = NonNull::new(queue).ok_or(ENOMEM)?;
        // INVARIANT: It was just made for us.
        let inner = Arc::pin_init(
            pin_init!(Inner {
                queue,
                is_open <- new_spinlock!(true, "rust_tux::OwnedQueue"),
            }),
            GFP_KERNEL,
        );
        // INVARIANT: As above.
        let inner = inner.inspect_err(|_| {
            // SAFETY: Nobody else knows of it.
            unsafe { bindings::destroy_workqueue(queue.as_ptr()) };
        })?;
        Ok(Self { inner })
    }

    /// A way to the queue.
    pub(crate) fn handle(&self) -> Handle {
        Handle {
            inner: self.inner.clone(),
        }
    }
}

impl Handle {
    /// Queues `item`. If the queue is gone, the item is dropped, and `None` is returned.
    pub(crate) fn enqueue<W>(&self, item: W) -> Option<W::EnqueueOutput>
    where
        W: RawWorkItem<0> + Send + 'static,
    {
        let is_open = self.inner.is_open.lock();
        if !*is_open {
            drop(is_open);
            return None;
        }
        // SAFETY: By the type invariant the queue is valid while the lock is held.
        // CAST: Both are `struct workqueue_struct`.
        let queue = unsafe { Queue::from_raw(self.inner.queue.as_ptr().cast()) };
        Some(queue.enqueue(item))
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        *self.inner.is_open.lock() = false;
        // SAFETY: By the type invariant the queue is ours, and nobody queues any more.
        unsafe { bindings::destroy_workqueue(self.inner.queue.as_ptr()) };
    }
}
