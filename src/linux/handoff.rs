// SPDX-License-Identifier: GPL-2.0

//! Giving a connection to another server: to its accept queue, with all that is unread.
//!
//! For the other server, and for the stack, it is then a connection that nobody has accepted yet.
//! Nothing of the module is left in the sock; so the module may go while the other server has it.
//!
//! ```text
//!   find()          look the listening socket up, by the address that the peer has connected to
//!   same_family()   an IPv4 connection of an IPv6 socket becomes one of IPv4, where that listens
//!   Request::new()  a request_sock of the kernel's own slab cache      (these three may sleep)
//!   commit()        slock of the connection, not owned                 (bottom halves off)
//!     | can it be given away?
//!     | rskq_lock of the other socket
//!     |   does it listen, and is there room?
//!     |   callbacks, sk_user_data, sk_socket: as in a sock that nobody has accepted
//!     |   at the tail of the queue
//!   sk_data_ready of the other socket, which wakes its server
//! ```
//!
//! The sock is not owned then (`lock_sock()`), because who stops to listen takes the slock of what
//! is on its queue, and destroys it: `inet_csk_listen_stop()`. Nor may it be owned later. Until the
//! slock is given back, whoever accepts the connection waits for it.
//!
//! Where no thread is there to do this, [`pass_on`] does it in softirq, for a connection that has
//! just come and is on the accept queue of ours: nobody can own that, and its slock is held. The
//! locks of both queues are, so that it is always on one of them.
//!
//! Nothing that was sent may be on its way (`sk_wmem_queued`): `accept()` charges a connection to
//! the memory cgroup of who accepts it, but not what is queued to be sent, for which it is
//! uncharged all the same when that is acknowledged.
//!
//! C headers: [`include/net/inet_hashtables.h`](srctree/include/net/inet_hashtables.h),
//! [`include/net/request_sock.h`](srctree/include/net/request_sock.h)

mod request;

use super::accept_queue;
use super::bindings;
use super::callbacks::{
    self,
    Events, //
};
use super::context::MaySleep;
use super::sock::Sock;
use core::ptr::{
    addr_of,
    NonNull, //
};
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::sync::aref::AlwaysRefCounted;
use kernel::sync::rcu;
use request::Request;

/// Why a connection was not given away. It is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Nobody listens on the port who can have it.
    NoListener,
    /// There is no room on the accept queue.
    Full,
    /// There is no memory.
    NoMemory,
    /// It has changed meanwhile: it must be looked at once more.
    Changed,
}

/// A listening socket.
///
/// # Invariants
///
/// Owns a reference to the sock, which is a TCP sock that listened when it was found.
struct Listening(NonNull<bindings::sock>);

impl Listening {
    /// Whether it takes one more. Who stops to listen says so before it empties the queue, with the
    /// queue's lock: with that held this holds.
    fn has_room(&self) -> Result<(), Refused> {
        // SAFETY: By the type invariant the sock is alive.
        let state = unsafe { bindings::inet_sk_state_load(self.0.as_ptr()) };
        if u32::try_from(state) != Ok(bindings::TCP_LISTEN) {
            return Err(Refused::NoListener);
        }
        // SAFETY: As above.
        if unsafe { bindings::sk_acceptq_is_full(self.0.as_ptr()) } {
            return Err(Refused::Full);
        }
        Ok(())
    }

    /// Wakes its server for what is on the queue.
    fn wake(&self) {
        let _guard = rcu::read_lock();
        // SAFETY: By the type invariant the sock is alive.
        let data_ready = unsafe { addr_of!((*self.0.as_ptr()).sk_data_ready).read_volatile() };
        if let Some(data_ready) = data_ready {
            // SAFETY: That is how the stack calls it for a new connection: without the sock's lock.
            unsafe { data_ready(self.0.as_ptr()) };
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours.
        unsafe { bindings::sock_put(self.0.as_ptr()) };
    }
}

/// The address family of `sk`, which is alive.
fn family(sk: NonNull<bindings::sock>) -> u32 {
    // SAFETY: The sock is alive.
    u32::from(unsafe {
        addr_of!((*sk.as_ptr()).__sk_common.skc_family).read_volatile() //
    })
}

/// Whether the peer of `sk`, a TCP sock that is alive and connected, is at an IPv4 address.
fn is_ipv4(sk: NonNull<bindings::sock>) -> bool {
    if family(sk) == bindings::AF_INET {
        return true;
    }
    // SAFETY: The sock is alive, and of AF_INET6; its addresses don't change.
    let octets = unsafe { (*sk.as_ptr()).__sk_common.skc_v6_daddr.in6_u.u6_addr8 };
    octets.starts_with(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff])
}

/// The address that the peer of a connection has connected to, or loopback in its place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Address {
    OfConnection,
    Loopback,
}

/// Looks up who listens on `port` for the peer of `sk`, and can have the connection.
///
/// `sk` is a TCP sock that is alive and connected.
fn find(sk: NonNull<bindings::sock>, port: u16) -> Option<Listening> {
    // Whoever listens on loopback only is found by that address alone.
    find_at(sk, port, Address::OfConnection).or_else(|| find_at(sk, port, Address::Loopback))
}

/// Looks up who listens on `port` of that address for the peer of `sk`.
fn find_at(sk: NonNull<bindings::sock>, port: u16, address: Address) -> Option<Listening> {
    let _guard = rcu::read_lock();
    // SAFETY: The sock is alive.
    let common = unsafe { &(*sk.as_ptr()).__sk_common };
    // SAFETY: The sock is alive.
    let net = unsafe { bindings::sock_net(sk.as_ptr()) };
    let loopback = address == Address::Loopback;
    let device = match common.skc_bound_dev_if {
        _ if loopback => bindings::LOOPBACK_IFINDEX as c_int,
        // SAFETY: The sock is alive; this is the device that it was heard on last.
        0 => unsafe { addr_of!((*sk.as_ptr()).sk_rx_dst_ifindex).read_volatile() },
        bound => bound,
    };
    // SAFETY: A connected sock has a port in each of these, in the order of the network and of the
    // machine.
    let from = unsafe { common.__bindgen_anon_3.__bindgen_anon_1.skc_dport };
    let found = if is_ipv4(sk) {
        // SAFETY: A sock of AF_INET6 that has an IPv4 peer has these, too.
        let mut pair = unsafe { common.__bindgen_anon_1.__bindgen_anon_1 };
        if loopback {
            pair.skc_rcv_saddr = u32::from_ne_bytes([127, 0, 0, 1]);
        }
        // SAFETY: We are an RCU reader. Without an skb nothing looks at one.
        unsafe {
            bindings::__inet_lookup_listener(
                net,
                core::ptr::null_mut(),
                0,
                pair.skc_daddr,
                from,
                pair.skc_rcv_saddr,
                port,
                device,
                0,
            )
        }
    } else {
        let mut local = common.skc_v6_rcv_saddr;
        if loopback {
            local.in6_u.u6_addr8 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        }
        // SAFETY: We are an RCU reader. Without an skb nothing looks at one.
        unsafe {
            bindings::inet6_lookup_listener(
                net,
                core::ptr::null_mut(),
                0,
                &common.skc_v6_daddr,
                from,
                &local,
                port,
                device,
                0,
            )
        }
    };
    let found = NonNull::new(found)?;
    // SAFETY: A listening sock lives for a grace period after the last reference is gone.
    if !unsafe { bindings::sock_hold_not_zero(found.as_ptr()) } {
        return None;
    }
    // INVARIANT: The reference was just taken.
    let found = Listening(found);
    // A socket that something of the kernel has made its own is no server: our own one, for one.
    //
    // SAFETY: The sock is alive.
    let owner = unsafe { addr_of!((*found.0.as_ptr()).sk_user_data).read_volatile() };
    (owner.is_null() && can_have(found.0, sk)).then_some(found)
}

/// Whether `listener` can have `sk`: what is accepted from an AF_INET6 socket is closed as one of
/// that family, which an AF_INET sock would not survive. And IPv6 is nothing for an AF_INET socket.
fn can_have(listener: NonNull<bindings::sock>, sk: NonNull<bindings::sock>) -> bool {
    match family(listener) {
        bindings::AF_INET => is_ipv4(sk),
        bindings::AF_INET6 => family(sk) == bindings::AF_INET6,
        _ => false,
    }
}

/// Makes an AF_INET sock of `sk` if `listener` is one and the peer is at an IPv4 address, so that
/// its server finds the family that it expects. May sleep.
///
/// One that can't be converted, because the peer has sent its FIN, is as good but for `SO_DOMAIN`.
fn same_family(listener: &Listening, sk: NonNull<bindings::sock>, _: &MaySleep) {
    if family(listener.0) == bindings::AF_INET && family(sk) == bindings::AF_INET6 {
        // SAFETY: The sock is alive, not locked by us, and has a socket.
        let converted = to_result(unsafe { bindings::sk_prot_addrform_inet(sk.as_ptr()) });
        // See above.
        let _ = converted;
    }
}

/// Gives `sk` what its server has set on `listener` for the connections to inherit, in the place of
/// what ours has.
///
/// # Safety
///
/// Both are TCP socks that are alive; the slock of `sk` is held.
unsafe fn inherit(listener: *mut bindings::sock, sk: *mut bindings::sock) {
    let (from, to): (*mut bindings::tcp_sock, *mut bindings::tcp_sock) =
        (listener.cast(), sk.cast());
    // SAFETY: The caller's promise; a TCP sock is a `tcp_sock`.
    unsafe {
        (*to).set_nonagle((*from).nonagle());
        (*to).keepalive_time = (*from).keepalive_time;
        (*to).keepalive_intvl = (*from).keepalive_intvl;
        (*to).keepalive_probes = (*from).keepalive_probes;
        (*to).linger2 = (*from).linger2;
        (*to).notsent_lowat = (*from).notsent_lowat;
        (*to).inet_conn.icsk_user_timeout = (*from).inet_conn.icsk_user_timeout;
    }
    // SAFETY: The caller's promise.
    let keeps_alive = unsafe { bindings::sock_flag(listener, bindings::sock_flags_SOCK_KEEPOPEN) };
    // SAFETY: The caller's promise; this sets or stops a timer.
    unsafe { bindings::sk_prot_keepalive(sk, keeps_alive.into()) };
    // The other server has to read the octets that were read here: without SO_OOBINLINE an urgent
    // one would be missing from the request.
    //
    // SAFETY: The caller's promise.
    let keeps_urgent = unsafe {
        (*to).urg_data != 0 && (*to).urg_seq.wrapping_sub((*to).copied_seq) <= u32::MAX / 2
    };
    for flag in [
        bindings::sock_flags_SOCK_KEEPOPEN,
        bindings::sock_flags_SOCK_URGINLINE,
        bindings::sock_flags_SOCK_LINGER,
    ] {
        let is_kept = keeps_urgent && flag == bindings::sock_flags_SOCK_URGINLINE;
        // SAFETY: The caller's promise.
        let value = is_kept || unsafe { bindings::sock_flag(listener, flag) };
        // SAFETY: As above.
        unsafe { bindings::sock_valbool_flag(sk, flag, value) };
    }
    // SAFETY: The caller's promise.
    unsafe {
        (*sk).sk_lingertime = (*listener).sk_lingertime;
        (*sk).sk_rcvtimeo = (*listener).sk_rcvtimeo;
        (*sk).sk_sndtimeo = (*listener).sk_sndtimeo;
        (*sk).sk_rcvlowat = (*listener).sk_rcvlowat;
        // As in a sock that was just made.
        (*sk).sk_allocation = bindings::GFP_KERNEL;
        (*sk).sk_use_task_frag = true;
    }
}

impl<T: Events> Sock<T> {
    /// Gives the connection, with all that is unread, to whoever listens on `port` of this machine
    /// where its peer has connected to, or on loopback. The state is dropped. Only for the thread
    /// that locks the connection, which it must not have locked now.
    ///
    /// Nothing that was sent may be on its way: else, and if it is closed, it is
    /// [`Refused::Changed`].
    pub(crate) fn give(&self, port: u16, may_sleep: &MaySleep) -> Result<(), Refused> {
        let listener = find(self.sk, port).ok_or(Refused::NoListener)?;
        // SAFETY: By the type invariant the sock is alive.
        if unsafe { bindings::sk_acceptq_is_full(listener.0.as_ptr()) } {
            return Err(Refused::Full);
        }
        same_family(&listener, self.sk, may_sleep);
        let request = Request::new(self.sk, bindings::GFP_KERNEL);
        let request = request.map_err(|_| Refused::NoMemory)?;
        let state = self.commit(&listener, request)?;
        drop(state);
        // SAFETY: `detach()` has removed `sk_user_data`, so that its reference is ours to drop.
        unsafe { Self::dec_ref(NonNull::from(self)) };
        Ok(())
    }

    /// Puts the connection on the accept queue of `listener`. Returns its state.
    fn commit(&self, listener: &Listening, request: Request) -> Result<T::State, Refused> {
        let sk = self.sk.as_ptr();
        // SAFETY: By the type invariant the sock is alive. No lock is held.
        unsafe { bindings::bh_lock_sock(sk) };
        // SAFETY: The slock is held.
        let result = unsafe { self.commit_locked(listener, request) };
        // SAFETY: It was taken above. (Bottom halves are off until all is done.)
        unsafe { bindings::bh_unlock_sock(sk) };
        if result.is_ok() {
            listener.wake();
        }
        result
    }

    /// The part of [`Self::commit`] with the lock.
    ///
    /// # Safety
    ///
    /// The slock is held.
    unsafe fn commit_locked(
        &self,
        listener: &Listening,
        request: Request,
    ) -> Result<T::State, Refused> {
        let sk = self.sk.as_ptr();
        // SAFETY: The slock is held.
        let is_owned = unsafe { bindings::sock_owned_by_user_nocheck(sk) };
        // SAFETY: As above.
        let tcp_state = unsafe { bindings::inet_sk_state_load(sk) };
        // SAFETY: As above.
        let is_idle = unsafe { (*sk).sk_wmem_queued == 0 };
        let is_open = matches!(
            u32::try_from(tcp_state),
            Ok(bindings::TCP_ESTABLISHED | bindings::TCP_CLOSE_WAIT)
        );
        if is_owned || !is_open || !is_idle {
            return Err(Refused::Changed);
        }
        if !can_have(listener.0, self.sk) {
            return Err(Refused::NoListener);
        }
        // SAFETY: The listener is alive.
        let queue = unsafe { accept_queue::queue_of(listener.0) };
        // SAFETY: The queue is alive. The order of the locks is that of the stack.
        unsafe { bindings::reqsk_queue_lock(queue) };
        // SAFETY: The queue's lock is held, and the slock.
        let result = unsafe { self.append(listener, queue, request) };
        // SAFETY: It was taken above.
        unsafe { bindings::reqsk_queue_unlock(queue) };
        result
    }

    /// The part of [`Self::commit`] with the lock of the `queue`.
    ///
    /// # Safety
    ///
    /// The slock is held, nobody owns the sock, and the lock of `queue`, which is that of
    /// `listener`, is held.
    unsafe fn append(
        &self,
        listener: &Listening,
        queue: *mut bindings::request_sock_queue,
        request: Request,
    ) -> Result<T::State, Refused> {
        let (sk, to) = (self.sk.as_ptr(), listener.0.as_ptr());
        listener.has_room()?;
        // SAFETY: Nobody has borrowed the state: who owns the sock would, or a callback, which the
        // slock keeps away.
        let state = unsafe { self.take_state() };
        // SAFETY: The slock is held.
        unsafe { self.detach() };
        // SAFETY: The slock is held.
        unsafe { bindings::sk_callback_lock(sk) };
        // SAFETY: The lock is held. Readers without it may see our socket until a grace period, and
        // so it is there.
        unsafe { bindings::sk_set_no_socket(sk) };
        // SAFETY: It was taken above.
        unsafe { bindings::sk_callback_unlock(sk) };
        // SAFETY: Both are alive; the slock is held.
        unsafe { inherit(to, sk) };
        // The reference that came from our accept queue goes to the other one.
        //
        // SAFETY: The lock of `queue` is held.
        unsafe { request.link(listener.0, queue, self.sk) };
        Ok(state)
    }
}

/// Gives `child`, which is on the accept queue of `ours` and which nobody has taken, to whoever
/// listens on `port` of this machine where its peer has connected to, or on loopback. In softirq.
///
/// It stays of its family: where that is AF_INET6 and the other socket's isn't, only `SO_DOMAIN` is
/// wrong.
///
/// # Safety
///
/// `ours` is a listening TCP sock that is alive, and `child` one of its children, established, with
/// its callbacks, of which nothing was sent. The slock of `child` is held, and nobody owns it.
#[cold]
#[inline(never)]
pub(super) unsafe fn pass_on(
    ours: NonNull<bindings::sock>,
    child: NonNull<bindings::sock>,
    port: u16,
) -> Result<(), Refused> {
    let listener = find(child, port).ok_or(Refused::NoListener)?;
    listener.has_room()?;
    let request = Request::new(child, bindings::GFP_ATOMIC | bindings::__GFP_NOWARN);
    let request = request.map_err(|_| Refused::NoMemory)?;
    // SAFETY: The listener is alive.
    let queue = unsafe { accept_queue::queue_of(listener.0) };
    let mut result = Err(Refused::Changed);
    let append = || {
        // One of ours is never `listener`'s, which has no owner in the kernel; nobody else takes
        // the locks of two queues.
        //
        // SAFETY: The queue is alive.
        unsafe { bindings::reqsk_queue_lock_nested(queue) };
        result = listener.has_room();
        if result.is_ok() {
            // SAFETY: The slock is held, and the sock has the callbacks of its listener.
            unsafe { callbacks::restore(child.as_ptr()) };
            // SAFETY: Both are alive; the slock is held.
            unsafe { inherit(listener.0.as_ptr(), child.as_ptr()) };
            // SAFETY: The lock of `queue` is held.
            unsafe { request.link(listener.0, queue, child) };
        }
        // SAFETY: It was taken above.
        unsafe { bindings::reqsk_queue_unlock(queue) };
        result.is_ok()
    };
    // SAFETY: By the safety requirements.
    let taken = unsafe { accept_queue::take(ours, child, append) };
    if let Some(taken) = taken {
        // The reference that came from our accept queue has gone to the other one.
        taken.into_raw();
        listener.wake();
    }
    result
}
