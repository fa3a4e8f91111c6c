// SPDX-License-Identifier: GPL-2.0

//! A listening socket whose connections are taken in softirq.
//!
//! A connection leaves the accept queue in its own `sk_state_change`, as soon as it is
//! established: no thread is woken for that, and no `struct file` or inode made. What can't be
//! taken there (no memory, not admitted, a long queue) waits on the queue for [`Listener::accept`].
//! Whoever unlinks a connection from the queue has it; so the two never take the same.

use super::accept_queue;
use super::address::Address;
use super::bindings;
use super::callbacks::{
    self,
    Accept,
    Events,
    Kind, //
};
use super::context::MaySleep;
use super::handoff;
use super::sock::{
    Memory,
    Sock, //
};
use super::socket::Socket;
use core::ptr::NonNull;
use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Full,
    Relaxed, //
};
use kernel::sync::Arc;

/// A listening socket and its owner.
///
/// # Invariants
///
/// `kind` is [`Kind::Listener`], and is the first word.
#[repr(C, align(8))]
pub(crate) struct Listener<A: Accept> {
    kind: Kind,
    socket: Socket,
    /// Whether connections were left on the accept queue for a thread.
    left: Atomic<i32>,
    memory: Arc<Memory<A::Connection>>,
    owner: A,
}

impl<A: Accept> Listener<A> {
    /// Binds and listens. Connections may come before this returns.
    ///
    /// If it `takes_over`, another socket may listen there, which gets no connections as long as
    /// this one does; if it can't be kept from that, this is `EADDRINUSE`, too.
    pub(crate) fn open(
        (address, port): (&Address, u16),
        backlog: u32,
        takes_over: bool,
        owner: A,
        memory: Arc<Memory<A::Connection>>,
        may_sleep: &MaySleep,
    ) -> Result<KBox<Self>> {
        let socket = Socket::new(may_sleep)?;
        if takes_over {
            socket.allow_others();
        }
        socket.bind(address, port)?;
        // INVARIANT: By construction.
        let this = KBox::new(
            Self {
                kind: Kind::Listener,
                socket,
                left: Atomic::new(0),
                memory,
                owner,
            },
            GFP_KERNEL,
        )?;
        // SAFETY: The sock was just made; `Drop` undoes this before the object goes.
        unsafe { callbacks::install(this.sk().as_ptr(), &*this) };
        this.socket.listen(backlog)?;
        if takes_over && !this.socket.is_first() {
            return Err(EADDRINUSE);
        }
        Ok(this)
    }

    /// The owner.
    pub(crate) fn owner(&self) -> &A {
        &self.owner
    }

    /// The listening sock.
    fn sk(&self) -> NonNull<bindings::sock> {
        self.socket.sk()
    }

    /// Whether `sk` is the listening sock itself, and not a child that was not taken.
    pub(super) fn is_socket(&self, sk: *mut bindings::sock) -> bool {
        self.sk().as_ptr() == sk
    }

    /// Leaves a connection on the accept queue for a thread.
    fn leave(&self) {
        self.left.store(1, Relaxed);
    }

    /// Takes `child`, which has just been established.
    ///
    /// # Safety
    ///
    /// `child` is a child of this listener that was not taken, in its own state change.
    pub(super) unsafe fn established(&self, child: NonNull<bindings::sock>) {
        // SAFETY: The child is alive and locked during its callback.
        if unsafe { bindings::sock_owned_by_user_nocheck(child.as_ptr()) } {
            // Process context: what follows is made for the slock.
            return self.leave();
        }
        if let Some(port) = self.owner.elsewhere() {
            // SAFETY: The listener is alive while one of its children finds it. The child is
            // untaken, and its slock is held.
            let result = unsafe { handoff::pass_on(self.sk(), child, port) };
            if result.is_ok() {
                return self.owner.passed_on();
            }
        }
        if self.left.load(Relaxed) != 0 {
            // Others were first.
            return;
        }
        if !self.owner.takes_at_once() {
            return self.leave();
        }
        #[cfg(planted)]
        // SAFETY: The child is alive.
        unsafe {
            super::planted::established(child)
        };
        let Some(connection) = self.owner.admit() else {
            return self.leave();
        };
        let flags = bindings::GFP_ATOMIC | bindings::__GFP_NOWARN;
        // SAFETY: As above.
        let Ok(sock) = (unsafe { Sock::new(child, connection, &self.memory, flags) }) else {
            return self.leave();
        };
        // SAFETY: The listener is alive while one of its children finds it, and the child's slock
        // is held.
        let Some(child) = (unsafe { accept_queue::take(self.sk(), child, || true) }) else {
            // A thread was first, or the queue is long. Nobody else has seen `sock`.
            return self.leave();
        };
        // SAFETY: The sock was made for this child, whose slock is held.
        unsafe { sock.attach(child, self.owner.responds()) };
        A::Connection::begin(&sock, false);
    }

    /// Called as `sk_data_ready` of the listening sock, without its lock.
    pub(super) fn data_ready(&self) {
        if self.left.load(Relaxed) != 0 {
            self.owner.pending();
        }
    }

    /// Hides from those who connect: the next one is another's who listens on the same port, or
    /// nobody's. Whoever has begun to connect still comes to the end of it, and here.
    ///
    /// The socket keeps its port, and listens as far as the handshakes that are under way can tell;
    /// it can't be found any more. For [`Self::is_deserted`] to become true takes no longer than
    /// the stack tries them.
    pub(crate) fn hide(&self, _: &MaySleep) {
        let sk = self.sk().as_ptr();
        // SAFETY: The sock is alive, and this context may sleep.
        unsafe { bindings::lock_sock(sk) };
        // SAFETY: The sock is locked. What the stack does again when it is closed: the second time
        // finds it done.
        unsafe { bindings::sk_prot_unhash(sk) };
        // SAFETY: It was locked above.
        unsafe { bindings::release_sock(sk) };
        // A softirq that has found it may still have to count its handshake.
        //
        // SAFETY: No lock is held that a softirq may wait for, and we may sleep.
        unsafe { bindings::synchronize_net() };
    }

    /// Whether nobody waits on the accept queue and, if it `awaits_handshakes`, nobody is
    /// connecting.
    pub(crate) fn is_deserted(&self, awaits_handshakes: bool) -> bool {
        // Who has just come through is in neither place for a moment, of a softirq that goes on to
        // take it from the queue: `Drop` waits for that.
        //
        // SAFETY: The listening sock is alive.
        let is_connecting = unsafe { bindings::inet_csk_reqsk_queue_len(self.sk().as_ptr()) } != 0;
        // SAFETY: As above.
        !(is_connecting && awaits_handshakes) && unsafe { accept_queue::is_empty(self.sk()) }
    }

    /// Takes what was left on the accept queue, `limit` connections at most. Returns how many, and
    /// whether some are left.
    pub(crate) fn accept(&self, limit: usize, may_sleep: &MaySleep) -> (usize, bool) {
        // ORDERING: Full, so that what is left from here on is seen below.
        self.left.xchg(0, Full);
        let mut taken: usize = 0;
        // SAFETY: The listening sock is alive.
        while taken < limit && !unsafe { accept_queue::is_empty(self.sk()) } {
            let Some(connection) = self.owner.admit() else {
                break;
            };
            if self.accept_one(connection, may_sleep).is_none() {
                break;
            }
            taken = taken.saturating_add(1);
        }
        // SAFETY: As above.
        let is_left = !unsafe { accept_queue::is_empty(self.sk()) };
        if is_left {
            self.leave();
        }
        (taken, is_left)
    }

    /// Takes the first connection off the queue, for `connection`.
    fn accept_one(&self, connection: A::Connection, _: &MaySleep) -> Option<()> {
        // SAFETY: The listening sock is alive, and has no TCP Fast Open.
        let child = unsafe { accept_queue::take_first(self.sk()) }?;
        let sk = child.as_raw();
        #[cfg(kcov)]
        // SAFETY: The child is alive. Workers call this.
        let _section = unsafe { super::coverage::Section::in_thread(sk) };
        // SAFETY: The child is alive. If there is no memory, it is closed.
        let sock = unsafe { Sock::new(sk, connection, &self.memory, bindings::GFP_KERNEL) }.ok()?;
        // SAFETY: The child is alive, and this thread may sleep.
        unsafe { bindings::lock_sock(sk.as_ptr()) };
        // SAFETY: The sock was made for this child, which is locked.
        unsafe { sock.attach(child, self.owner.responds()) };
        // SAFETY: It was locked above. The sock is alive: `sock` has a reference.
        unsafe { bindings::release_sock(sk.as_ptr()) };
        A::Connection::begin(&sock, true);
        Some(())
    }
}

/// Waits until no callback of a sock that has lost its owner runs any more: those of a listening
/// socket run without its lock.
pub(crate) fn wait_for_callbacks(_: &MaySleep) {
    // SAFETY: No lock is held that a softirq may wait for, and we may sleep.
    unsafe { bindings::synchronize_net() };
}

impl<A: Accept> Drop for Listener<A> {
    /// Stops listening. May sleep. Connections that nobody took are closed.
    fn drop(&mut self) {
        let sk = self.sk();
        // SAFETY: The sock is alive, and this context may sleep.
        unsafe { bindings::lock_sock(sk.as_ptr()) };
        // SAFETY: The sock is locked, and has our callbacks. (If `install()` was never called,
        // there is nothing to change.)
        unsafe { callbacks::restore(sk.as_ptr()) };
        // SAFETY: It was locked above.
        unsafe { bindings::release_sock(sk.as_ptr()) };
        // From here on no child gets a pointer to us; those that have one are in a softirq that
        // has begun, or on the queue.
        //
        // SAFETY: No lock is held.
        unsafe { bindings::synchronize_net() };
        // `sock_release()` might move what is on the queue to another listener of a reuseport
        // group, with our callbacks.
        //
        // SAFETY: The listening sock is alive, and has no TCP Fast Open.
        while let Some(child) = unsafe { accept_queue::take_first(sk) } {
            drop(child);
        }
    }
}
