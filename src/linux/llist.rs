// SPDX-License-Identifier: GPL-2.0

//! A queue of connections that softirq can add to: no lock, and each connection at most once.
//!
//! C header: [`include/linux/llist.h`](srctree/include/linux/llist.h)

use super::bindings;
use super::callbacks::Events;
use super::sock::Sock;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ptr::{
    NonNull, //
};
use kernel::sync::aref::{
    ARef,
    AlwaysRefCounted, //
};
use kernel::sync::atomic::{
    Atomic,
    Full,
    Release, //
};

/// A connection's place on a [`Queue`].
#[repr(C)]
pub(super) struct Link {
    node: UnsafeCell<bindings::llist_node>,
    queued: Atomic<i32>,
}

impl Link {
    /// On no queue.
    pub(super) fn new() -> Self {
        Self {
            node: UnsafeCell::new(bindings::llist_node::default()),
            queued: Atomic::new(0),
        }
    }
}

/// The queue. What is on it is alive: the queue has a reference.
///
/// # Invariants
///
/// Each node on `head` is the `run_link.node` of a [`Sock<T>`] whose `queued` is 1, and to which
/// the queue owns a reference.
pub(crate) struct Queue<T: Events> {
    head: UnsafeCell<bindings::llist_head>,
    _owns: PhantomData<ARef<Sock<T>>>,
}

// SAFETY: The list is lock-free, and its elements may be used from any thread.
unsafe impl<T: Events> Send for Queue<T> {}

// SAFETY: As above.
unsafe impl<T: Events> Sync for Queue<T> {}

impl<T: Events> Queue<T> {
    /// An empty queue.
    pub(crate) fn new() -> Self {
        Self {
            head: UnsafeCell::new(bindings::llist_head::default()),
            _owns: PhantomData,
        }
    }

    /// Adds `sock`, unless it is on a queue already. A full barrier. Any context.
    pub(crate) fn push(&self, sock: &Sock<T>) {
        // ORDERING: Full, so that what the caller did before is seen by the reader that takes the
        // connection, be it by this `push()` or by one before.
        if sock.run_link.queued.xchg(1, Full) != 0 {
            return;
        }
        sock.inc_ref();
        // ORDERING: This is a full barrier, too.
        //
        // SAFETY: `queued` was 0, so that the node is on no list, and is ours to add.
        unsafe { bindings::llist_add(sock.run_link.node.get(), self.head.get()) };
    }

    /// Whether nothing is on the queue.
    pub(crate) fn is_empty(&self) -> bool {
        // SAFETY: The head is alive.
        unsafe { bindings::llist_empty(self.head.get()) }
    }

    /// Takes all that is on the queue, first in, first out.
    pub(crate) fn take_all(&self) -> Batch<T> {
        // SAFETY: The head is alive.
        let newest = unsafe { bindings::llist_del_all(self.head.get()) };
        // SAFETY: The chain is ours now. It is newest first.
        let first = unsafe { bindings::llist_reverse_order(newest) };
        // INVARIANT: By the invariant of the queue.
        Batch {
            next: first,
            _owns: PhantomData,
        }
    }
}

impl<T: Events> Drop for Queue<T> {
    fn drop(&mut self) {
        drop(self.take_all());
    }
}

/// Connections that were taken off a [`Queue`].
///
/// # Invariants
///
/// As that of the queue, for the nodes from `next` on.
pub(crate) struct Batch<T: Events> {
    next: *mut bindings::llist_node,
    _owns: PhantomData<ARef<Sock<T>>>,
}

impl<T: Events> Iterator for Batch<T> {
    type Item = ARef<Sock<T>>;

    /// The next connection. From here on it can be queued again.
    fn next(&mut self) -> Option<ARef<Sock<T>>> {
        let node = NonNull::new(self.next)?;
        // SAFETY: By the type invariant the node is alive.
        self.next = unsafe { node.as_ref().next };
        let link: *mut Link = node.as_ptr().cast();
        // SAFETY: By the type invariant the node, the first field of a link, is that of a `Sock`.
        let sock = unsafe { kernel::container_of!(link, Sock<T>, run_link) };
        // ORDERING: Release: the node was read before another CPU may write it. What comes with
        // the next `push()` is seen because that one reads the 0 with full ordering.
        //
        // SAFETY: We have the queue's reference.
        unsafe { (*sock).run_link.queued.store(0, Release) };
        // SAFETY: The queue's reference goes to the caller.
        NonNull::new(sock).map(|sock| unsafe { ARef::from_raw(sock) })
    }
}

impl<T: Events> Drop for Batch<T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}
