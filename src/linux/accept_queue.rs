// SPDX-License-Identifier: GPL-2.0

//! A listening socket's accept queue: established connections that nobody has accepted yet.
//!
//! `inet_csk_accept()` isn't exported; what it does with the queue is done here with the queue's
//! own lock. Its lock order, child's slock before `rskq_lock`, is the stack's.
//!
//! C header: [`include/net/request_sock.h`](srctree/include/net/request_sock.h)

use super::bindings;
use super::callbacks;
use core::ptr::{
    addr_of_mut,
    NonNull, //
};

/// How many entries [`take`] looks at. A child is put at the tail in the softirq that takes it, so
/// that a longer queue means that a thread has to catch up anyway.
const WALK: usize = 8;

/// A connection that was taken off an accept queue, with the reference that the queue had to it.
///
/// # Invariants
///
/// Owns one reference to the sock, which isn't on an accept queue.
pub(super) struct Child(NonNull<bindings::sock>);

impl Child {
    /// The sock.
    pub(super) fn as_raw(&self) -> NonNull<bindings::sock> {
        self.0
    }

    /// The sock, whose reference goes to the caller.
    pub(super) fn into_raw(self) -> NonNull<bindings::sock> {
        let sk = self.0;
        core::mem::forget(self);
        sk
    }
}

impl Drop for Child {
    /// Closes a connection that nobody wanted. May sleep: only [`take_first`]'s are dropped.
    fn drop(&mut self) {
        let sk = self.0.as_ptr();
        // SAFETY: By the type invariant the sock is alive.
        unsafe { bindings::lock_sock(sk) };
        // SAFETY: The sock is locked, and has the callbacks of its listener.
        unsafe { callbacks::restore(sk) };
        // SAFETY: It was locked above.
        unsafe { bindings::release_sock(sk) };
        // SAFETY: This drops the reference that is ours.
        unsafe { bindings::sk_prot_close(sk) };
    }
}

/// The queue of the listening socket `listener`.
///
/// # Safety
///
/// `listener` is a TCP sock that is alive.
pub(super) unsafe fn queue_of(
    listener: NonNull<bindings::sock>,
) -> *mut bindings::request_sock_queue {
    let icsk: *mut bindings::inet_connection_sock = listener.as_ptr().cast();
    // SAFETY: A TCP sock is an `inet_connection_sock`.
    unsafe { addr_of_mut!((*icsk).icsk_accept_queue) }
}

/// Drops the queue's reference to `request`: `reqsk_put()`, whose other half isn't exported.
///
/// # Safety
///
/// The caller owns a reference to `request`.
unsafe fn put(request: NonNull<bindings::request_sock>) {
    let request = request.as_ptr();
    // SAFETY: The request is alive.
    if !unsafe { bindings::reqsk_dec_and_test(request) } {
        return;
    }
    // SAFETY: That was the last reference, and `rsk_ops` outlives its requests.
    let operations = unsafe { (*request).rsk_ops };
    // SAFETY: As above.
    if let Some(destructor) = unsafe { (*operations).destructor } {
        // SAFETY: As `__reqsk_free()` does.
        unsafe { destructor(request) };
    }
    // SAFETY: The request is still readable.
    let listener = unsafe { bindings::reqsk_listener(request) };
    if !listener.is_null() {
        // SAFETY: The request owned a reference to its listener.
        unsafe { bindings::sock_put(listener) };
    }
    // SAFETY: `saved_syn` is NULL or from `kmalloc()`.
    unsafe { bindings::kfree((*request).saved_syn.cast()) };
    // SAFETY: The request came from this cache.
    unsafe { bindings::kmem_cache_free((*operations).slab, request.cast()) };
}

/// Whether the accept queue of `listener` is empty. Another CPU may change that at once.
///
/// # Safety
///
/// `listener` is a TCP sock that is alive.
pub(super) unsafe fn is_empty(listener: NonNull<bindings::sock>) -> bool {
    // SAFETY: The caller's promise.
    let queue = unsafe { queue_of(listener) };
    // SAFETY: The queue is alive.
    unsafe { bindings::reqsk_queue_empty(queue) }
}

/// Takes the first connection off the accept queue of `listener`.
///
/// # Safety
///
/// `listener` is a TCP sock that is alive, and has no requests of TCP Fast Open.
pub(super) unsafe fn take_first(listener: NonNull<bindings::sock>) -> Option<Child> {
    // SAFETY: The caller's promise.
    let queue = unsafe { queue_of(listener) };
    // SAFETY: As above.
    let request = unsafe { bindings::reqsk_queue_remove(queue, listener.as_ptr()) };
    let request = NonNull::new(request)?;
    // SAFETY: The queue's reference to the request is ours now.
    let sk = unsafe { request.as_ref().sk };
    // SAFETY: As above.
    unsafe { put(request) };
    // INVARIANT: The reference that the request had to its child is the one that `accept()` gets.
    NonNull::new(sk).map(Child)
}

/// Takes `child` off the accept queue of `listener`, if it is among the first [`WALK`] on it and
/// `claim` says so, which is called then, with the queue's lock held.
///
/// # Safety
///
/// `listener` is a TCP sock that is alive; `child` is one of its children, whose lock is held.
pub(super) unsafe fn take(
    listener: NonNull<bindings::sock>,
    child: NonNull<bindings::sock>,
    claim: impl FnOnce() -> bool,
) -> Option<Child> {
    // SAFETY: The caller's promise.
    let queue = unsafe { queue_of(listener) };
    // SAFETY: The queue is alive.
    unsafe { bindings::reqsk_queue_lock(queue) };
    // SAFETY: The queue's lock is held.
    let request = unsafe { unlink(queue, child, claim) };
    if request.is_some() {
        // SAFETY: The queue's lock is held.
        unsafe { bindings::sk_acceptq_removed(listener.as_ptr()) };
    }
    // SAFETY: It was taken above.
    unsafe { bindings::reqsk_queue_unlock(queue) };
    // SAFETY: The queue's reference to the request is ours now.
    unsafe { put(request?) };
    // INVARIANT: As in `take_first()`.
    Some(Child(child))
}

/// Unlinks the request of `child` from `queue`, if it is there and `claim` says so.
///
/// # Safety
///
/// The lock of `queue` is held.
unsafe fn unlink(
    queue: *mut bindings::request_sock_queue,
    child: NonNull<bindings::sock>,
    claim: impl FnOnce() -> bool,
) -> Option<NonNull<bindings::request_sock>> {
    let mut previous: *mut bindings::request_sock = core::ptr::null_mut();
    // SAFETY: The queue's lock is held.
    let mut next = unsafe { (*queue).rskq_accept_head };
    for _ in 0..WALK {
        let request = NonNull::new(next)?;
        // SAFETY: What is on the queue is alive while its lock is held.
        let (sk, behind) = unsafe { (request.as_ref().sk, request.as_ref().dl_next) };
        if sk != child.as_ptr() {
            previous = request.as_ptr();
            next = behind;
            continue;
        }
        if !claim() {
            return None;
        }
        if previous.is_null() {
            // SAFETY: The lock is held; `reqsk_queue_empty()` reads the head without it.
            unsafe { addr_of_mut!((*queue).rskq_accept_head).write_volatile(behind) };
        } else {
            // SAFETY: The lock is held, and `previous` is on the queue.
            unsafe { (*previous).dl_next = behind };
        }
        if behind.is_null() {
            // SAFETY: The lock is held. The stack, too, leaves no tail on an empty queue.
            unsafe { (*queue).rskq_accept_tail = previous };
        }
        return Some(request);
    }
    None
}
