// SPDX-License-Identifier: GPL-2.0

//! An established TCP sock that the module owns.
//!
//! A [`Sock`] is made when a connection leaves its listener's accept queue. From then on the
//! socket's callbacks find it in `sk_user_data`, until [`Sock::close`].
//!
//! ```text
//!                 state_change in softirq, or a thread
//!   accept queue --------------------------------------> attached --close()--> detached
//!                                                           '------give()-----> detached, and on
//!                                                                    another accept queue
//! ```
//!
//! What a connection is in between, its owner keeps in `T::State`, behind the socket's own lock:
//! only a [`Locked`] reaches it.
//!
//! C header: [`include/net/sock.h`](srctree/include/net/sock.h)

use super::accept_queue::Child;
use super::bindings;
use super::callbacks::{
    self,
    Events,
    Kind, //
};
use super::context::{
    Context,
    MaySleep,
    Softirq, //
};
use super::slab::Cache;
use super::stream::Stream;
use super::{
    list,
    llist, //
};
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ptr::{
    addr_of_mut,
    NonNull, //
};
use kernel::prelude::*;
use kernel::sync::aref::{
    ARef,
    AlwaysRefCounted, //
};
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use kernel::sync::Refcount;
use kernel::types::NotThreadSafe;

/// Where the memory of connections comes from. It must outlive them; so it is dropped last.
pub(crate) struct Memory<T: Events>(Cache<Sock<T>>);

impl<T: Events> Memory<T> {
    /// Makes the slab cache, called `name`.
    pub(crate) fn new(name: &'static CStr) -> Result<Self> {
        Cache::new(name).map(Self)
    }
}

/// An established TCP connection, with what its owner keeps with it.
///
/// Reference-counted: `sk_user_data` owns one reference while the connection is attached, each
/// queue or list that it is on another. What `T` and its state drop with the last reference may
/// sleep; only one that isn't attached, whose state is empty, is dropped in softirq. The memory is
/// freed after a grace period, because `sk_wq` points into it, and callbacks that run without the
/// sock's lock may have found it.
///
/// # Invariants
///
/// - `kind` is [`Kind::Connection`], and is the first word.
/// - `sk` is a TCP sock to which the object owns a reference.
/// - `state` is only touched, and `attached` only changed, with the sock locked, or by whoever has
///   the only reference. `attached` says whether the sock's callbacks and `sk_user_data` are ours.
/// - `busy` is only changed with the sock locked. It is set exactly while there is a [`Locked`].
#[repr(C)]
pub(crate) struct Sock<T: Events> {
    kind: Kind,
    pub(super) sk: NonNull<bindings::sock>,
    pub(super) run_link: llist::Link,
    pub(super) member_link: list::Link,
    rcu: UnsafeCell<bindings::kvfree_rcu_head>,
    // Begins a cache line: what is before it fills one.
    socket: UnsafeCell<bindings::socket>,
    refs: Refcount,
    attached: Atomic<i32>,
    /// Whether `state` is borrowed. What the borrower does with the sock calls back.
    busy: Atomic<i32>,
    state: UnsafeCell<T::State>,
    data: T,
}

// SAFETY: `T` is `Send + Sync` and `T::State` is `Send` by their trait bounds; the latter and the
// other cells are behind the socket's lock. All else is atomic, or belongs to the list that holds
// the object.
unsafe impl<T: Events> Send for Sock<T> {}

// SAFETY: As above.
unsafe impl<T: Events> Sync for Sock<T> {}

// SAFETY: `refs` counts, and the object lives until it is zero.
unsafe impl<T: Events> AlwaysRefCounted for Sock<T> {
    fn inc_ref(&self) {
        self.refs.inc();
    }

    unsafe fn dec_ref(this: NonNull<Self>) {
        // SAFETY: The caller owns a reference, so that the object is alive.
        if !unsafe { this.as_ref() }.refs.dec_and_test() {
            return;
        }
        let this = this.as_ptr();
        // SAFETY: That was the last reference: nobody else reads or writes the fields any more.
        // An RCU reader may still look at `socket.wq`, `kind` and `refs`, which stay as they are.
        unsafe { core::ptr::drop_in_place(addr_of_mut!((*this).data)) };
        // SAFETY: As above.
        unsafe { core::ptr::drop_in_place((*this).state.get()) };
        // SAFETY: By the type invariant the object owned a reference to the sock.
        unsafe { bindings::sock_put((*this).sk.as_ptr()) };
        // SAFETY: The memory came from a slab cache, and `rcu` is part of it.
        unsafe { bindings::kvfree_call_rcu((*this).rcu.get(), this.cast()) };
    }
}

impl<T: Events> Sock<T> {
    /// Makes the object for `sk`, not yet attached. Does not sleep if `flags` don't.
    ///
    /// # Safety
    ///
    /// `sk` is a TCP sock that is alive.
    #[inline(never)]
    pub(super) unsafe fn new(
        sk: NonNull<bindings::sock>,
        data: T,
        memory: &Memory<T>,
        flags: bindings::gfp_t,
    ) -> Result<ARef<Self>> {
        // Written where it stays: the stack of a softirq is what others have left of it.
        let this = memory.0.alloc(flags)?;
        // INVARIANT: The reference to the sock is added below; nobody else knows the object.
        let object = init!(Self {
            kind: Kind::Connection,
            sk,
            run_link: llist::Link::new(),
            member_link: list::Link::new(),
            rcu <- pin_init::init_zeroed(),
            socket <- pin_init::init_zeroed(),
            refs: Refcount::new(1),
            attached: Atomic::new(0),
            busy: Atomic::new(0),
            state: UnsafeCell::new(T::State::default()),
            data,
        });
        // SAFETY: The memory is for this; there is nothing in it that can fail.
        unsafe { object.__init(this.as_ptr()) }.unwrap_or_else(|never| match never {});
        // SAFETY: The caller says that `sk` is alive.
        unsafe { bindings::sock_hold(sk.as_ptr()) };
        // SAFETY: The head has its final address, and nobody else has it.
        unsafe {
            bindings::init_waitqueue_head(addr_of_mut!((*(*this.as_ptr()).socket.get()).wq.wait))
        };
        // SAFETY: The count is one, and that reference is the caller's from here on.
        Ok(unsafe { ARef::from_raw(this) })
    }

    /// Makes `child` a connection of ours. Its reference to the sock stays with the connection
    /// until [`Self::close`]. `responds` says that what is sent on it is responses.
    ///
    /// # Safety
    ///
    /// `self` came from [`Self::new`] for the sock of `child`, and was not attached before. That
    /// sock is locked, and has the callbacks of [`callbacks`] for `T`.
    pub(super) unsafe fn attach(&self, child: Child, responds: bool) {
        let sk = child.into_raw().as_ptr();
        let socket = self.socket.get();
        // SAFETY: Nobody else knows the socket yet.
        unsafe {
            (*socket).state = bindings::socket_state_SS_CONNECTED;
            (*socket).type_ = bindings::sock_type_SOCK_STREAM as i16;
            (*socket).sk = sk;
        }
        // Sending must neither sleep nor use the page fragments of whatever task is current.
        //
        // SAFETY: The sock is locked by the caller.
        unsafe {
            (*sk).sk_allocation = bindings::GFP_ATOMIC | bindings::__GFP_NOWARN;
            (*sk).sk_use_task_frag = false;
        }
        // A request is acknowledged by its response. As long as the stack takes a connection for
        // one-way traffic it sends an acknowledgement of its own for each of the first segments.
        // (If no response follows, because a part of the head is missing, one goes out after 40 ms
        // at the latest, and the stack goes back to that.)
        //
        if responds {
            // SAFETY: The sock is locked by the caller.
            unsafe { bindings::inet_csk_enter_pingpong_mode(sk) };
        }
        // `sk_user_data` owns a reference.
        self.inc_ref();
        // SAFETY: The sock is locked by the caller, for which this is the lock behind.
        unsafe { bindings::sk_callback_lock(sk) };
        // SAFETY: The lock is held. The socket lives until a grace period after `sock_orphan()`.
        unsafe { bindings::sk_set_bare_socket(sk, socket) };
        let this: *const Self = self;
        // SAFETY: The lock is held. The object is aligned to 8 octets, and lives until `close()`.
        unsafe { bindings::rcu_assign_sk_user_data(sk, this.cast_mut().cast()) };
        // SAFETY: It was taken above.
        unsafe { bindings::sk_callback_unlock(sk) };
        self.attached.store(1, Relaxed);
    }

    /// Takes what is ours out of the sock but for the socket: its callbacks and `sk_user_data`,
    /// whose reference is the caller's from here on.
    ///
    /// # Safety
    ///
    /// The sock is locked by the caller, and attached.
    pub(super) unsafe fn detach(&self) {
        // SAFETY: The caller's promise.
        unsafe { callbacks::restore(self.sk.as_ptr()) };
        self.attached.store(0, Relaxed);
    }

    /// Takes the state out.
    ///
    /// # Safety
    ///
    /// The sock is locked by the caller, and nobody has borrowed the state.
    pub(super) unsafe fn take_state(&self) -> T::State {
        // SAFETY: The caller's promise.
        core::mem::take(unsafe { &mut *self.state.get() })
    }

    /// The sock, which is alive.
    #[cfg(planted)]
    pub(super) fn as_raw(&self) -> *mut bindings::sock {
        self.sk.as_ptr()
    }

    /// Begins a section of code that runs for the connection.
    #[cfg(kcov)]
    pub(crate) fn coverage(&self, _: &MaySleep) -> super::coverage::Section {
        // SAFETY: By the type invariant the sock is alive. Only workers and work items, which are
        // kernel threads, call this.
        unsafe { super::coverage::Section::in_thread(self.sk) }
    }

    /// A reference, unless the last one is gone: for who has found the connection under RCU,
    /// without the sock's lock, so that it may just be closed.
    pub(super) fn get(&self) -> Option<ARef<Self>> {
        let refs = self.refs.as_atomic();
        let mut count = refs.load(Relaxed);
        while count > 0 {
            match refs.cmpxchg(count, count.saturating_add(1), Relaxed) {
                // SAFETY: The reference was just made, when there was another.
                Ok(_) => return Some(unsafe { ARef::from_raw(NonNull::from(self)) }),
                Err(other) => count = other,
            }
        }
        None
    }

    /// What the owner keeps with the connection and reads without the socket's lock.
    pub(crate) fn data(&self) -> &T {
        &self.data
    }

    /// Whether the state is borrowed. Only in the sock's callbacks.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Relaxed) != 0
    }

    /// Takes note that the owner knows of the room in the send buffer. Only in `sk_write_space`.
    pub(super) fn clear_nospace(&self) {
        // SAFETY: The socket is part of the object; the bit is atomic.
        unsafe { bindings::sock_clear_nospace(self.socket.get()) };
    }

    /// Takes the socket's lock. Returns `None` if the connection is no longer attached.
    pub(crate) fn lock<'a>(&'a self, _: &'a MaySleep) -> Option<Locked<'a, T, MaySleep>> {
        // One that was given away must not be owned by us any more, not even for a moment: whoever
        // stops to listen takes it for granted that nobody owns what is on the accept queue.
        //
        // ORDERING: Only the thread that gives a connection away locks it.
        if self.attached.load(Relaxed) == 0 {
            return None;
        }
        // SAFETY: By the type invariant the sock is alive; the token says that we may sleep.
        unsafe { bindings::lock_sock(self.sk.as_ptr()) };
        // SAFETY: The sock is owned, and whoever borrowed the state has given the sock up.
        let locked = unsafe { Locked::new(self) };
        (self.attached.load(Relaxed) != 0).then_some(locked)
    }

    /// Closes the connection. With [`Close::Orderly`] what was sent still goes out, then a FIN;
    /// unread octets are thrown away. [`Close::Abort`] sends a RST, and gives all memory back at
    /// once; so does an orderly end if there is no memory for the FIN. The state is dropped. Does
    /// nothing if the connection isn't attached.
    pub(crate) fn close(&self, how: Close, may_sleep: &MaySleep) {
        let Some(mut locked) = self.lock(may_sleep) else {
            return;
        };
        // What is still to be sent, a FIN or a RST, is not tried again if there is no memory.
        //
        // SAFETY: The sock is locked. We may sleep.
        unsafe { (*self.sk.as_ptr()).sk_allocation = bindings::GFP_KERNEL };
        if how == Close::Abort || Self::end(&mut locked).is_err() {
            // SAFETY: The sock is locked; this is what `SO_LINGER` with a time of 0 does.
            unsafe { bindings::sk_set_linger_zero(self.sk.as_ptr()) };
        }
        let state = core::mem::take(locked.state());
        // SAFETY: The sock is locked, and ours until now.
        unsafe { self.detach() };
        drop(locked);
        drop(state);
        // SAFETY: The sock is alive, and no lock is held. This drops the reference that came from
        // the accept queue. The address of `close` is the same for the life of a sock.
        unsafe { bindings::sk_prot_close(self.sk.as_ptr()) };
        // SAFETY: `restore()` has removed `sk_user_data`, so that its reference is ours to drop.
        unsafe { Self::dec_ref(NonNull::from(self)) };
    }

    /// Ends an orderly connection, so that `tcp_close()` has nothing left to say. `ENOMEM`: the
    /// peer will not hear of the end.
    fn end(locked: &mut Locked<'_, T, MaySleep>) -> Result {
        let (_, mut stream) = locked.parts();
        // Unread octets would make `tcp_close()` send a RST in place of the FIN, which may overtake
        // the response at the peer.
        let unread = stream.unread();
        stream.consume(unread);
        // `tcp_close()` doesn't say that it had no memory for a FIN.
        stream.shut_down_send()
    }
}

/// How a connection is closed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    /// What was sent still goes out.
    Orderly,
    /// What the peer has not got yet is thrown away.
    Abort,
}

/// A connection during one of its sock's callbacks.
///
/// # Invariants
///
/// The sock is locked: its slock is held by the caller of the callback, or it is owned by it.
pub(crate) struct Callback<'a, T: Events>(&'a Sock<T>);

impl<'a, T: Events> Callback<'a, T> {
    /// # Safety
    ///
    /// The kernel has called a callback of `sock`, with its slock held or as its owner.
    pub(super) unsafe fn new(sock: &'a Sock<T>) -> Self {
        // INVARIANT: The caller's promise.
        Self(sock)
    }

    /// The connection.
    pub(crate) fn sock(&self) -> &'a Sock<T> {
        self.0
    }

    /// Borrows the state under the slock, unless somebody else uses it: then there is nothing to
    /// do here but to queue the connection.
    pub(crate) fn try_lock(&mut self) -> Option<Locked<'_, T, Softirq>> {
        // SAFETY: By the type invariant the sock is alive and locked.
        let is_owned = unsafe { bindings::sock_owned_by_user_nocheck(self.0.sk.as_ptr()) };
        if is_owned || self.0.is_busy() {
            return None;
        }
        // SAFETY: By the type invariant the slock is held, because nobody owns the sock. Nobody
        // has borrowed the state; `self` is borrowed exclusively.
        Some(unsafe { Locked::new(self.0) })
    }
}

/// A connection whose sock is locked, and whose state is borrowed.
///
/// # Invariants
///
/// The sock is owned through `lock_sock()` if `C::OWNS`, else its slock is held. There is no other
/// value for the same sock.
pub(crate) struct Locked<'a, T: Events, C: Context> {
    sock: &'a Sock<T>,
    /// The lock is given back where it was taken.
    _context: PhantomData<(C, NotThreadSafe)>,
}

impl<'a, T: Events, C: Context> Locked<'a, T, C> {
    /// # Safety
    ///
    /// The sock is locked as the type invariant says, and its state isn't borrowed.
    unsafe fn new(sock: &'a Sock<T>) -> Self {
        sock.busy.store(1, Relaxed);
        // INVARIANT: The caller's promise.
        Self {
            sock,
            _context: PhantomData,
        }
    }

    /// The state that the lock guards.
    pub(crate) fn state(&mut self) -> &mut T::State {
        // SAFETY: The lock is held, and `self` is borrowed exclusively.
        unsafe { &mut *self.sock.state.get() }
    }

    /// The state and the stream, to use both at once.
    pub(crate) fn parts(&mut self) -> (&mut T::State, Stream<'_>) {
        // SAFETY: As in [`Self::state`].
        let state = unsafe { &mut *self.sock.state.get() };
        // SAFETY: The sock is locked for as long as `self` is borrowed.
        let stream = unsafe { Stream::from_raw(self.sock.sk) };
        (state, stream)
    }
}

impl<T: Events, C: Context> Drop for Locked<'_, T, C> {
    fn drop(&mut self) {
        self.sock.busy.store(0, Relaxed);
        if C::OWNS {
            // SAFETY: By the type invariant we own the sock.
            unsafe { bindings::release_sock(self.sock.sk.as_ptr()) };
        }
    }
}
