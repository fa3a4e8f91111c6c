// SPDX-License-Identifier: GPL-2.0

//! The callbacks of a sock, and what their owners see of them.
//!
//! A listening socket and its children share one set of callbacks: the kernel copies a listener's
//! pointers, `sk_user_data` among them, into each child. So the first word of what `sk_user_data`
//! points to says what it is, and a child that still points to its listener is a connection that
//! nobody has taken yet.
//!
//! ```text
//!   three-way handshake done: child made, put on the listener's accept queue
//!     -> state_change(child)      child becomes a connection of ours   (softirq, child locked)
//!     -> data_ready(child)        if octets came with the last ACK
//!     -> data_ready(listener)     wakes a thread, if a child was left on the queue
//! ```
//!
//! A callback runs in softirq with the sock's slock held; or in process context, from
//! `release_sock()`, with the sock owned; or, from `tcp_abort()`, both. None may sleep, print, or
//! take another connection's lock. The listener's `data_ready` runs without any lock.
//!
//! C header: [`include/net/sock.h`](srctree/include/net/sock.h)

use super::bindings;
use super::checksum;
use super::listener::Listener;
use super::sock::{
    Callback,
    Sock, //
};
use core::ptr::{
    addr_of_mut,
    NonNull, //
};
use kernel::sync::{
    rcu,
    SetOnce, //
};

/// What `sk_user_data` points to: the first word of it.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Kind {
    /// A [`Listener`].
    Listener = 0x7478_6c73_7400_0001,
    /// A [`Sock`].
    Connection = 0x7478_636f_6e00_0002,
}

/// What has happened to a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// Octets, or a FIN, have come.
    DataReady,
    /// There is room in the send buffer again.
    WriteSpace,
    /// The TCP state has changed, or there was an error.
    StateChange,
}

/// The owner of connections.
pub(crate) trait Events: Sized + Send + Sync + 'static {
    /// What a connection is in between: behind the socket's lock.
    type State: Default + Send;

    /// Tells the owner of an event. Called as the module's documentation says: must not sleep,
    /// print, or take another connection's lock.
    fn event(callback: Callback<'_, Self>, event: Event);

    /// Tells the owner that the connection was taken from its listener. If `has_waited`, octets may
    /// have come before. Called in softirq or in process context: must
    /// not sleep, print, or take a connection's lock.
    fn begin(sock: &Sock<Self>, has_waited: bool);

    /// Tells the owner to look at the connection: it has an error. Called in any context, with or
    /// without the lock: must not sleep, print, or take a connection's lock.
    fn look(sock: &Sock<Self>);
}

/// The owner of a listening socket.
pub(crate) trait Accept: Sized + Send + Sync + 'static {
    /// The owner of the connections that it accepts.
    type Connection: Events;

    /// The port of somebody on this machine who gets a connection in the owner's place, which can't
    /// serve it. Called in softirq with the connection's lock held; must not sleep.
    fn elsewhere(&self) -> Option<u16>;

    /// A connection went there. Called as [`Self::elsewhere`].
    fn passed_on(&self);

    /// Admits one more connection, or leaves it on the accept queue. Called with the connection's
    /// lock held, in softirq or in process context; must not sleep.
    fn admit(&self) -> Option<Self::Connection>;

    /// Whether connections are to be taken as soon as they are established, or all left on the
    /// accept queue. Called in any context; must not sleep.
    fn takes_at_once(&self) -> bool;

    /// Whether what is sent on a new connection is taken for responses, which acknowledge requests.
    /// Called in any context; must not sleep.
    fn responds(&self) -> bool;

    /// Connections were left on the accept queue: a thread should call [`Listener::accept`].
    /// Called in softirq; must not sleep.
    fn pending(&self);

    /// Somebody else has closed the listening socket (`ss -K`, BPF). Called in any context; must
    /// not sleep.
    fn aborted(&self);
}

/// The callbacks that a TCP sock is made with.
#[derive(Clone, Copy)]
struct Originals {
    state_change: Option<unsafe extern "C" fn(*mut bindings::sock)>,
    data_ready: Option<unsafe extern "C" fn(*mut bindings::sock)>,
    write_space: Option<unsafe extern "C" fn(*mut bindings::sock)>,
    error_report: Option<unsafe extern "C" fn(*mut bindings::sock)>,
}

/// The callbacks that every new TCP sock has; the kernel doesn't export them by name. They outlive
/// every listener, because a child may have our callbacks and no `sk_user_data`.
static ORIGINALS: SetOnce<Originals> = SetOnce::new();

/// Puts our callbacks and `data` into the listening socket `sk`.
///
/// # Safety
///
/// `sk` is a TCP sock that was just made, alive, and not locked. `data` lives until a grace
/// period, and the emptying of the accept queue, after [`restore`].
pub(super) unsafe fn install<A: Accept>(sk: *mut bindings::sock, data: &Listener<A>) {
    let data: *const Listener<A> = data;
    // SAFETY: The sock is alive and isn't locked by us.
    unsafe { bindings::lock_sock(sk) };
    // SAFETY: The sock is alive.
    unsafe { bindings::sk_callback_lock(sk) };
    // SAFETY: The lock that guards the callbacks is held.
    unsafe {
        ORIGINALS.populate(Originals {
            state_change: (*sk).sk_state_change,
            data_ready: (*sk).sk_data_ready,
            write_space: (*sk).sk_write_space,
            error_report: (*sk).sk_error_report,
        });
        bindings::rcu_assign_sk_user_data(sk, data.cast_mut().cast());
        addr_of_mut!((*sk).sk_state_change).write_volatile(Some(state_change::<A>));
        addr_of_mut!((*sk).sk_data_ready).write_volatile(Some(data_ready::<A>));
        addr_of_mut!((*sk).sk_write_space).write_volatile(Some(write_space::<A>));
        addr_of_mut!((*sk).sk_error_report).write_volatile(Some(error_report::<A>));
    }
    // SAFETY: It was taken above.
    unsafe { bindings::sk_callback_unlock(sk) };
    // SAFETY: It was taken above.
    unsafe { bindings::release_sock(sk) };
}

/// Puts the kernel's own callbacks back into `sk`.
///
/// # Safety
///
/// `sk` is alive, locked by the caller, and has our callbacks.
pub(super) unsafe fn restore(sk: *mut bindings::sock) {
    let Some(originals) = ORIGINALS.as_ref() else {
        return;
    };
    // SAFETY: The sock is alive.
    unsafe { bindings::sk_callback_lock(sk) };
    // SAFETY: The lock that guards the callbacks is held.
    unsafe {
        addr_of_mut!((*sk).sk_state_change).write_volatile(originals.state_change);
        addr_of_mut!((*sk).sk_data_ready).write_volatile(originals.data_ready);
        addr_of_mut!((*sk).sk_write_space).write_volatile(originals.write_space);
        addr_of_mut!((*sk).sk_error_report).write_volatile(originals.error_report);
        bindings::rcu_assign_sk_user_data(sk, core::ptr::null_mut());
    }
    // SAFETY: It was taken above.
    unsafe { bindings::sk_callback_unlock(sk) };
    // SAFETY: The sock is alive and locked.
    unsafe { checksum::remove(sk) };
}

/// What a callback finds in `sk_user_data`.
enum Owner<'a, A: Accept> {
    Listener(&'a Listener<A>),
    Connection(&'a Sock<A::Connection>),
}

/// Calls `found` with the owner of `sk`, or `original` if it has none.
///
/// # Safety
///
/// The kernel calls one of the callbacks of `sk`, which were installed for `A`.
unsafe fn with_owner<A: Accept>(
    sk: *mut bindings::sock,
    found: impl FnOnce(Owner<'_, A>),
    original: impl FnOnce(&Originals) -> Option<unsafe extern "C" fn(*mut bindings::sock)>,
) {
    let _guard = rcu::read_lock();
    #[cfg(kcov)]
    // SAFETY: The sock is alive during its callbacks.
    let _section = unsafe { super::coverage::Section::in_callback(sk) };
    // SAFETY: The sock is alive during its callbacks.
    let data = unsafe { bindings::rcu_dereference_sk_user_data(sk) };
    let Some(data) = NonNull::new(data) else {
        if let Some(Some(callback)) = ORIGINALS.as_ref().map(original) {
            // SAFETY: It is what the kernel would have called in our place.
            unsafe { callback(sk) };
        }
        return;
    };
    // SAFETY: Both types begin with their kind, and live for a grace period at least after
    // `sk_user_data` has lost them.
    let kind = unsafe { data.cast::<Kind>().read() };
    found(match kind {
        // SAFETY: By its kind.
        Kind::Listener => Owner::Listener(unsafe { data.cast().as_ref() }),
        // SAFETY: By its kind, and because a listener's children are of its type.
        Kind::Connection => Owner::Connection(unsafe { data.cast().as_ref() }),
    });
}

/// # Safety
///
/// Called by the kernel only, as `sk_state_change` of a sock that has it from [`install`].
unsafe extern "C" fn state_change<A: Accept>(sk: *mut bindings::sock) {
    let found = |owner: Owner<'_, A>| match owner {
        Owner::Connection(sock) => {
            // SAFETY: The kernel calls `sk_state_change` of a connection with its lock.
            let callback = unsafe { Callback::new(sock) };
            A::Connection::event(callback, Event::StateChange)
        }
        // SAFETY: The sock is alive during its callbacks.
        Owner::Listener(listener) => match unsafe { bindings::inet_sk_state_load(sk) } as u32 {
            bindings::TCP_ESTABLISHED => {
                if let Some(child) = NonNull::new(sk) {
                    // SAFETY: This is the state change of an untaken child of this listener; its
                    // slock is held, or it is owned.
                    unsafe { listener.established(child) };
                }
            }
            bindings::TCP_CLOSE if listener.is_socket(sk) => listener.owner().aborted(),
            _ => (),
        },
    };
    // SAFETY: The caller's promise.
    unsafe { with_owner(sk, found, |originals| originals.state_change) };
}

/// # Safety
///
/// Called by the kernel only, as `sk_data_ready` of a sock that has it from [`install`].
unsafe extern "C" fn data_ready<A: Accept>(sk: *mut bindings::sock) {
    let found = |owner: Owner<'_, A>| match owner {
        Owner::Connection(sock) => {
            // SAFETY: The kernel calls `sk_data_ready` of a connection with its lock.
            let callback = unsafe { Callback::new(sock) };
            A::Connection::event(callback, Event::DataReady)
        }
        // An untaken child's octets wait until it is taken.
        Owner::Listener(listener) => {
            if listener.is_socket(sk) {
                listener.data_ready();
            }
        }
    };
    // SAFETY: The caller's promise.
    unsafe { with_owner(sk, found, |originals| originals.data_ready) };
}

/// # Safety
///
/// Called by the kernel only, as `sk_write_space` of a sock that has it from [`install`].
unsafe extern "C" fn write_space<A: Accept>(sk: *mut bindings::sock) {
    let found = |owner: Owner<'_, A>| {
        let Owner::Connection(sock) = owner else {
            return;
        };
        // Without memory, and with nothing on its way, the stack calls this from within a send: the
        // owner would try again at once, and for ever.
        if sock.is_busy() {
            return;
        }
        // The same threshold as `sk_stream_write_space()`: a third of the buffer is free.
        //
        // SAFETY: The sock is alive during its callbacks.
        if unsafe { bindings::sk_stream_is_writeable(sk) } {
            sock.clear_nospace();
            // SAFETY: The kernel calls `sk_write_space` with the lock of the connection.
            A::Connection::event(unsafe { Callback::new(sock) }, Event::WriteSpace);
        }
    };
    // SAFETY: The caller's promise.
    unsafe { with_owner(sk, found, |originals| originals.write_space) };
}

/// # Safety
///
/// Called by the kernel only, as `sk_error_report` of a sock that has it from [`install`].
unsafe extern "C" fn error_report<A: Accept>(sk: *mut bindings::sock) {
    let found = |owner: Owner<'_, A>| {
        // The kernel calls this without the lock, too: for what is on the error queue. Then the
        // connection may be closed meanwhile.
        if let Owner::Connection(sock) = owner {
            if let Some(sock) = sock.get() {
                A::Connection::look(&sock);
            }
        }
    };
    // SAFETY: The caller's promise.
    unsafe { with_owner(sk, found, |originals| originals.error_report) };
}
