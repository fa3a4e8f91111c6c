// SPDX-License-Identifier: GPL-2.0

//! Lists of connections that belong to one thread.
//!
//! C header: [`include/linux/list.h`](srctree/include/linux/list.h)

use super::bindings;
use super::callbacks::Events;
use super::sock::Sock;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ptr::NonNull;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// A connection's place on one of the [`Lists`] of a thread.
#[repr(C)]
pub(super) struct Link {
    node: UnsafeCell<bindings::list_head>,
    /// The address of the heads of the lists that have `node` on one of them, or 0.
    owner: Atomic<usize>,
}

impl Link {
    /// On no list.
    pub(super) fn new() -> Self {
        Self {
            node: UnsafeCell::new(bindings::list_head::default()),
            owner: Atomic::new(0),
        }
    }
}

/// `N` lists of connections. A connection is on at most one list of at most one thread; what is on
/// a list is alive.
///
/// # Invariants
///
/// The heads are initialised, and don't move. A node is on one of the lists if and only if its
/// link's `owner` is the address of `heads`; the list then owns a reference to the [`Sock`].
pub(crate) struct Lists<T: Events, const N: usize> {
    heads: KBox<[UnsafeCell<bindings::list_head>; N]>,
    _owns: PhantomData<ARef<Sock<T>>>,
}

// SAFETY: The heads don't move when the value does, and connections may be used from any thread.
unsafe impl<T: Events, const N: usize> Send for Lists<T, N> {}

impl<T: Events, const N: usize> Lists<T, N> {
    /// Makes empty lists.
    pub(crate) fn new() -> Result<Self> {
        let heads = KBox::new(
            [const {
                UnsafeCell::new(bindings::list_head {
                    next: core::ptr::null_mut(),
                    prev: core::ptr::null_mut(),
                })
            }; N],
            GFP_KERNEL,
        )?;
        for head in heads.iter() {
            // SAFETY: The head has its final address.
            unsafe { bindings::INIT_LIST_HEAD(head.get()) };
        }
        // INVARIANT: Nothing is on a list.
        Ok(Self {
            heads,
            _owns: PhantomData,
        })
    }

    /// What marks a link as ours.
    fn owner(&self) -> usize {
        self.heads.as_ptr() as usize
    }

    /// Appends `sock` to the list number `index`, after it was removed from the one that it was
    /// on. Returns whether it was on none of these before. Does nothing if another thread has it,
    /// or there is no such list.
    pub(crate) fn insert(&mut self, index: usize, sock: ARef<Sock<T>>) -> bool {
        let is_new = self.remove(&sock).is_none();
        let Some(head) = self.heads.get(index) else {
            return false;
        };
        let link = &sock.member_link;
        if link.owner.cmpxchg(0, self.owner(), Relaxed).is_err() {
            return false;
        }
        // SAFETY: The node is on no list, and is ours since its `owner` is.
        unsafe { bindings::list_add_tail(link.node.get(), head.get()) };
        // INVARIANT: The list takes over the reference.
        let _ = ARef::into_raw(sock);
        is_new
    }

    /// Removes `sock` from its list. Returns the list's reference, if it was on one of these.
    pub(crate) fn remove(&mut self, sock: &Sock<T>) -> Option<ARef<Sock<T>>> {
        let link = &sock.member_link;
        if link.owner.load(Relaxed) != self.owner() {
            return None;
        }
        // SAFETY: By the type invariant the node is on one of our lists.
        unsafe { bindings::list_del(link.node.get()) };
        link.owner.store(0, Relaxed);
        // SAFETY: The list's reference goes to the caller.
        Some(unsafe { ARef::from_raw(NonNull::from(sock)) })
    }

    /// Whether `sock` is on one of these lists.
    pub(crate) fn has(&self, sock: &Sock<T>) -> bool {
        sock.member_link.owner.load(Relaxed) == self.owner()
    }

    /// Removes the first connection of the list number `index`.
    pub(crate) fn pop(&mut self, index: usize) -> Option<ARef<Sock<T>>> {
        let head = self.heads.get(index)?.get();
        // SAFETY: By the type invariant the head is initialised.
        let node = unsafe { (*head).next };
        if node == head {
            return None;
        }
        let link: *mut Link = node.cast();
        // SAFETY: By the type invariant the node, the first field of a link, is that of a `Sock`.
        let sock = unsafe { kernel::container_of!(link, Sock<T>, member_link) };
        // SAFETY: What is on a list is alive.
        self.remove(unsafe { &*sock })
    }
}

impl<T: Events, const N: usize> Drop for Lists<T, N> {
    fn drop(&mut self) {
        for index in 0..N {
            while let Some(sock) = self.pop(index) {
                drop(sock);
            }
        }
    }
}
