// SPDX-License-Identifier: GPL-2.0

//! A TCP socket of the kernel's own.
//!
//! C headers: [`include/linux/net.h`](srctree/include/linux/net.h),
//! [`include/net/sock.h`](srctree/include/net/sock.h)

use super::address::Address;
use super::bindings;
use super::context::MaySleep;
use core::mem::size_of;
use core::ptr::{
    addr_of_mut,
    NonNull, //
};
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::sync::rcu;

/// A TCP socket in the initial network namespace, of address family `AF_INET6`, or `AF_INET` where
/// the machine has no IPv6. Released by `Drop`, which may sleep.
///
/// # Invariants
///
/// The pointer is to a socket that the object owns, which has a TCP sock.
pub(crate) struct Socket(NonNull<bindings::socket>);

// SAFETY: A socket may be used from any thread; its sock has locks of its own.
unsafe impl Send for Socket {}

// SAFETY: As above.
unsafe impl Sync for Socket {}

impl Socket {
    /// Makes a socket. Its children will send without Nagle's delay, see urgent octets in their
    /// place in the stream, and ask from time to time whether the peer is still there.
    pub(crate) fn new(_: &MaySleep) -> Result<Self> {
        let socket = match Self::create(bindings::AF_INET6) {
            Err(error) if error == EAFNOSUPPORT => Self::create(bindings::AF_INET)?,
            other => other?,
        };
        let sk = socket.sk().as_ptr();
        // A kernel socket that doesn't hold its network namespace has its timers stopped by
        // `tcp_close()`, its children too: data and FIN would never be sent again.
        //
        // SAFETY: The sock is alive, and was just made.
        unsafe { bindings::sk_net_refcnt_upgrade(sk) };
        // SAFETY: As above.
        unsafe { bindings::sock_set_reuseaddr(sk) };
        // SAFETY: As above.
        unsafe { bindings::tcp_sock_set_nodelay(sk) };
        // SAFETY: As above.
        unsafe { bindings::sock_set_urginline(sk) };
        // So that a peer that has vanished doesn't keep its connection for ever.
        //
        // SAFETY: As above.
        unsafe { bindings::sock_set_keepalive(sk) };
        if socket.is_ipv6() {
            // net.ipv6.bindv6only may say otherwise.
            socket.set_option(
                bindings::IPPROTO_IPV6 as c_int,
                bindings::IPV6_V6ONLY as c_int,
                0,
            )?;
        }
        Ok(socket)
    }

    /// Makes a socket of `family`.
    fn create(family: u32) -> Result<Self> {
        let mut socket = core::ptr::null_mut();
        // SAFETY: `init_net` lives for ever, and `socket` is a valid place for the result.
        to_result(unsafe {
            bindings::sock_create_kern(
                addr_of_mut!(bindings::init_net),
                family as c_int,
                bindings::sock_type_SOCK_STREAM as c_int,
                bindings::IPPROTO_TCP as c_int,
                &mut socket,
            )
        })?;
        // INVARIANT: A socket was made, and is ours.
        NonNull::new(socket).map(Self).ok_or(ENOMEM)
    }

    /// Its sock.
    pub(super) fn sk(&self) -> NonNull<bindings::sock> {
        // SAFETY: By the type invariant the socket has a sock, and is alive.
        unsafe { NonNull::new_unchecked((*self.0.as_ptr()).sk) }
    }

    /// Whether the address family is `AF_INET6`.
    fn is_ipv6(&self) -> bool {
        // SAFETY: The sock is alive; a listener's family doesn't change.
        unsafe { u32::from((*self.sk().as_ptr()).__sk_common.skc_family) == bindings::AF_INET6 }
    }

    /// Sets a socket option that is an integer.
    fn set_option(&self, level: c_int, name: c_int, value: c_int) -> Result {
        // SAFETY: By the type invariant.
        to_result(unsafe { bindings::sock_set_int_option(self.0.as_ptr(), level, name, value) })
    }

    /// Lets the socket be bound, and listen, where another one does already: see
    /// [`Self::is_first`]. Before it is bound.
    pub(crate) fn allow_others(&self) {
        // What whoever restores sockets from a file may ask for, too (TCP_REPAIR).
        //
        // SAFETY: By the type invariant.
        unsafe { bindings::sk_set_reuse(self.sk().as_ptr(), bindings::SK_FORCE_REUSE as u8) };
    }

    /// Whether connections to its address come to this socket, which listens, and not to another
    /// one.
    ///
    /// Of those that fit equally well, the one that has begun last to listen is found first; unless
    /// it is in a group of SO_REUSEPORT, which this never is. One of IPv4 fits that better than one
    /// of both versions.
    pub(crate) fn is_first(&self) -> bool {
        let _guard = rcu::read_lock();
        let sk = self.sk().as_ptr();
        // SAFETY: By the type invariant.
        let common = unsafe { &(*sk).__sk_common };
        // SAFETY: As above.
        let net = unsafe { bindings::sock_net(sk) };
        // SAFETY: A sock that is bound has these.
        let address = unsafe { common.__bindgen_anon_1.__bindgen_anon_1.skc_rcv_saddr };
        // SAFETY: As above.
        let port = unsafe { common.__bindgen_anon_3.__bindgen_anon_1.skc_num };
        let (no_one, nobody) = (core::ptr::null_mut(), Default::default());
        let ipv6 = &common.skc_v6_rcv_saddr;
        // SAFETY: By the variant of the address that is written.
        let octets = unsafe { ipv6.in6_u.u6_addr8 };
        let is_ipv4 = !self.is_ipv6() || octets == [0; 16] || is_mapped(&octets);
        let find_ipv4 = || {
            // SAFETY: We are an RCU reader. Without an skb nothing looks at one.
            unsafe { bindings::__inet_lookup_listener(net, no_one, 0, 0, 0, address, port, 0, 0) }
        };
        let find_ipv6 = || {
            // SAFETY: As above.
            unsafe { bindings::inet6_lookup_listener(net, no_one, 0, &nobody, 0, ipv6, port, 0, 0) }
        };
        let is_ipv6 = self.is_ipv6() && !is_mapped(&octets);
        (!is_ipv4 || find_ipv4() == sk) && (!is_ipv6 || find_ipv6() == sk)
    }

    /// Binds to a local address and port. `EADDRINUSE`: another socket listens there;
    /// `EADDRNOTAVAIL`: no interface has the address.
    pub(crate) fn bind(&self, address: &Address, port: u16) -> Result {
        if self.is_ipv6() {
            let mut to = bindings::sockaddr_in6 {
                sin6_family: bindings::AF_INET6 as u16,
                sin6_port: port.to_be(),
                ..Default::default()
            };
            to.sin6_addr.in6_u.u6_addr8 = *address.octets();
            // SAFETY: The socket is alive, and `to` is an address of the given length.
            return to_result(unsafe {
                bindings::kernel_bind(
                    self.0.as_ptr(),
                    addr_of_mut!(to).cast(),
                    size_of::<bindings::sockaddr_in6>() as c_int,
                )
            });
        }
        let mut to = bindings::sockaddr_in {
            sin_family: bindings::AF_INET as u16,
            sin_port: port.to_be(),
            ..Default::default()
        };
        if !address.is_any() {
            to.sin_addr.s_addr = u32::from_ne_bytes(address.ipv4().ok_or(EAFNOSUPPORT)?);
        }
        // SAFETY: The socket is alive, and `to` is an address of the given length.
        to_result(unsafe {
            bindings::kernel_bind(
                self.0.as_ptr(),
                addr_of_mut!(to).cast(),
                size_of::<bindings::sockaddr_in>() as c_int,
            )
        })
    }

    /// Listens, with room for `backlog` connections (less, if net.core.somaxconn is less).
    ///
    /// Without TCP Fast Open, whose connections are handed out before they are established. And in
    /// no reuseport group, as a BPF program that is called for each bind may want it: members get
    /// each other's connections when one is closed, so that ours would keep our callbacks where we
    /// are not asked, and those of others would have none.
    pub(crate) fn listen(&self, backlog: u32) -> Result {
        let backlog = c_int::try_from(backlog).map_err(|_| EINVAL)?;
        // net.ipv4.tcp_fastopen may switch it on for every listener that has not chosen: a queue
        // with room for less than none is a choice.
        //
        // SAFETY: By the type invariant.
        unsafe { bindings::sk_set_fastopen_max_qlen(self.sk().as_ptr(), -1) };
        // SAFETY: By the type invariant; the socket doesn't listen yet, so that it is in no group.
        unsafe { bindings::sk_clear_reuseport(self.sk().as_ptr()) };
        // SAFETY: By the type invariant.
        let somaxconn = unsafe { bindings::sock_somaxconn(self.sk().as_ptr()) };
        // SAFETY: By the type invariant.
        to_result(unsafe { bindings::kernel_listen(self.0.as_ptr(), backlog.min(somaxconn)) })?;
        // What `allow_others()` has allowed is not for connections to inherit.
        //
        // SAFETY: By the type invariant.
        unsafe { bindings::sk_set_reuse(self.sk().as_ptr(), bindings::SK_CAN_REUSE as u8) };
        Ok(())
    }
}

/// Whether these are the octets of an IPv4 address, as IPv6 maps it.
fn is_mapped(octets: &[u8; 16]) -> bool {
    octets.starts_with(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff])
}

impl Drop for Socket {
    fn drop(&mut self) {
        #[cfg(planted)]
        if super::planted::forgets_listener() {
            return;
        }
        // SAFETY: By the type invariant the socket is ours.
        unsafe { bindings::sock_release(self.0.as_ptr()) };
    }
}
