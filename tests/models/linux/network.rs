// SPDX-License-Identifier: GPL-2.0

//! What the network and the administrator do to a TCP sock.

use super::bindings::{
    self,
    inet_connection_sock,
    sock,
    Segment, //
};
use kernel::sync::rcu;
use loom::sync::atomic::{
    AtomicUsize,
    Ordering::{
        Acquire,
        Relaxed,
        Release, //
    }, //
};
use std::cell::Cell;
use std::ptr::null_mut;

/// The peer's end of a connection. It has a reference, so that what comes after a close has a place
/// to go to.
#[derive(Clone, Copy)]
pub(crate) struct Peer(*mut sock);

// SAFETY: Loom runs one thread at a time.
unsafe impl Send for Peer {}

loom::lazy_static! {
    /// The listening sock, as the stack finds it by its port.
    static ref LISTENER: AtomicUsize = AtomicUsize::new(0);
}

thread_local! {
    /// How often listening shall still fail.
    static FAILURES: Cell<u32> = const { Cell::new(0) };
}

/// Says where connections go to.
pub(super) fn set_listener(sk: *mut sock) {
    LISTENER.swap(sk as usize, Release);
}

/// Lets nobody find `sk` any more.
pub(super) fn forget_listener(sk: *mut sock) {
    if LISTENER.load(Acquire) == sk as usize {
        LISTENER.swap(0, Release);
    }
}

/// Calls one of the callbacks of `sk`.
unsafe fn call(sk: *mut sock, callback: bindings::Callback) {
    if let Some(callback) = callback {
        // SAFETY: The caller has the lock that it is called with.
        unsafe { callback(sk) };
    }
}

/// Does what `segment` leads to, with `sk` locked.
pub(super) unsafe fn receive(sk: *mut sock, segment: Segment) {
    // SAFETY: The sock is locked.
    unsafe {
        if (*sk).state.get() == bindings::TCP_CLOSE {
            return;
        }
        (*sk).received.with_mut(|received| match segment {
            Segment::Octet => (*received).unread += 1,
            Segment::Fin => (*received).is_ended = true,
            Segment::Reset => (*sk).state.set(bindings::TCP_CLOSE),
        });
        match segment {
            Segment::Octet => call(sk, (*sk).sk_data_ready),
            Segment::Fin => call(sk, (*sk).sk_state_change),
            Segment::Reset => {
                call(sk, (*sk).sk_error_report);
                call(sk, (*sk).sk_state_change);
            }
        }
    }
}

// SAFETY: Loom runs one thread at a time.
unsafe impl Send for Handshake {}

/// The socket that listens.
fn find_listener() -> Option<*mut sock> {
    let listener = LISTENER.load(Acquire) as *mut sock;
    if listener.is_null() {
        return None;
    }
    // SAFETY: The world keeps socks.
    let state = unsafe { (*listener).state.get() };
    (state == bindings::TCP_LISTEN).then_some(listener)
}

/// A handshake: its SYN was answered, and the listening socket counts it. It has a reference to
/// that.
pub(crate) struct Handshake(*mut sock);

impl Handshake {
    /// A SYN comes. `None` if nobody listens. In softirq.
    pub(crate) fn begin() -> Option<Self> {
        let _softirq = rcu::read_lock();
        let listener = find_listener()?;
        // SAFETY: The world keeps socks.
        unsafe {
            bindings::sock_hold(listener);
            bindings::reqsk_queue_added(listener);
        }
        Some(Self(listener))
    }

    /// The last ACK comes, with `segments`. `None` if nobody listens any more. In softirq.
    pub(crate) fn complete(self, segments: &[Segment]) -> Option<Peer> {
        let _softirq = rcu::read_lock();
        let listener = self.0;
        // SAFETY: The reference to the listening sock is ours.
        unsafe {
            let peer = Peer::establish(listener, segments, || {
                bindings::reqsk_queue_removed(listener);
            });
            bindings::sock_put(listener);
            peer
        }
    }
}

impl Peer {
    /// A connection whose handshake is over: `None` if nobody listens. In softirq.
    pub(crate) fn connect() -> Option<Self> {
        Self::connect_with(&[])
    }

    /// The same, with segments that come with the last ACK.
    pub(crate) fn connect_with(segments: &[Segment]) -> Option<Self> {
        let _softirq = rcu::read_lock();
        let listener = find_listener()?;
        // SAFETY: The world keeps socks.
        unsafe { Self::establish(listener, segments, || ()) }
    }

    /// The end of a handshake with `listener`, which calls `counted` when the child is made and not
    /// on the queue.
    unsafe fn establish(
        listener: *mut sock,
        segments: &[Segment],
        counted: impl FnOnce(),
    ) -> Option<Self> {
        // SAFETY: The world keeps socks.
        unsafe {
            let child = sock::new(bindings::TCP_ESTABLISHED);
            bindings::sock_hold(child);
            let guard = (*child).bh_lock();
            (*child).sk_state_change = (*listener).sk_state_change;
            (*child).sk_data_ready = (*listener).sk_data_ready;
            (*child).sk_write_space = (*listener).sk_write_space;
            (*child).sk_error_report = (*listener).sk_error_report;
            let data = (*listener).user_data.load(Acquire);
            (*child).user_data.store(data, Relaxed);
            counted();
            if !bindings::reqsk_queue_add(listener, child) {
                (*child).state.set(bindings::TCP_CLOSE);
                (*child).user_data.store(0, Relaxed);
                bindings::sock_put(child);
                drop(guard);
                bindings::sock_put(child);
                return None;
            }
            call(child, (*child).sk_state_change);
            for segment in segments {
                receive(child, *segment);
            }
            call(listener, (*listener).sk_data_ready);
            drop(guard);
            Some(Self(child))
        }
    }

    /// A segment comes. In softirq.
    pub(crate) fn send(&self, segment: Segment) {
        let _softirq = rcu::read_lock();
        // SAFETY: We have a reference.
        let sk = unsafe { &*self.0 };
        let guard = sk.bh_lock();
        if sk.is_owned.get() {
            sk.backlog.borrow_mut().push(segment);
        } else {
            // SAFETY: The slock is held.
            unsafe { receive(self.0, segment) };
        }
        drop(guard);
    }

    /// Something is put on the error queue, which is said without the lock. In softirq.
    pub(crate) fn report_error(&self) {
        let _softirq = rcu::read_lock();
        // SAFETY: We have a reference.
        unsafe { call(self.0, (*self.0).sk_error_report) };
    }

    /// Whether the server has forgotten the connection.
    pub(crate) fn is_alone(&self) -> bool {
        // SAFETY: We have a reference.
        unsafe { (*self.0).is_last() }
    }

    /// Forgets the connection.
    pub(crate) fn forget(self) {
        // SAFETY: The reference is ours.
        unsafe { bindings::sock_put(self.0) };
    }
}

/// Ends what waits on the accept queue of `sk`, as the stack does when it is closed.
pub(super) unsafe fn end_listening(sk: *mut sock) {
    // SAFETY: The sock is owned.
    unsafe {
        if (*sk).state.get() != bindings::TCP_LISTEN {
            return;
        }
        (*sk).state.set(bindings::TCP_CLOSE);
        forget_listener(sk);
        let icsk: *mut inet_connection_sock = sk.cast();
        let queue = &raw mut (*icsk).icsk_accept_queue;
        loop {
            let request = bindings::reqsk_queue_remove(queue, sk);
            if request.is_null() {
                return;
            }
            let child = (*request).sk;
            bindings::kmem_cache_free(null_mut(), request.cast());
            let guard = (*child).bh_lock();
            (*child).state.set(bindings::TCP_CLOSE);
            // sock_orphan() takes the child from its callbacks' reach.
            (*child).user_data.store(0, Release);
            drop(guard);
            bindings::sock_put(child);
        }
    }
}

/// Closes the listening socket behind the server's back, as `ss -K` does.
pub(crate) fn abort_listener() {
    let listener = LISTENER.load(Acquire) as *mut sock;
    // SAFETY: The world keeps socks.
    unsafe {
        if listener.is_null() || (*listener).is_gone() {
            return;
        }
        bindings::sock_hold(listener);
        bindings::lock_sock(listener);
        if (*listener).state.get() == bindings::TCP_LISTEN {
            end_listening(listener);
            call(listener, (*listener).sk_state_change);
        }
        bindings::release_sock(listener);
        bindings::sock_put(listener);
    }
}

/// How often listening shall fail.
pub(crate) fn fail_listen(times: u32) {
    FAILURES.set(times);
}

/// Whether listening fails this time.
pub(super) fn listen_fails() -> bool {
    let left = FAILURES.get();
    FAILURES.set(left.saturating_sub(1));
    left > 0
}
