// SPDX-License-Identifier: GPL-2.0

//! What stands for a connection on the accept queue of another server's socket.
//!
//! C header: [`include/net/request_sock.h`](srctree/include/net/request_sock.h)

use super::super::bindings;
use core::mem::size_of;
use core::ptr::{
    addr_of,
    addr_of_mut,
    NonNull, //
};
use kernel::prelude::*;

/// A `request_sock` that nobody else knows, as `inet_reqsk_alloc()` makes it, which isn't exported.
///
/// # Invariants
///
/// `request` came from the slab cache of `operations`. It has no references, and refers to nothing.
pub(super) struct Request {
    request: NonNull<bindings::request_sock>,
    operations: NonNull<bindings::request_sock_ops>,
}

impl Request {
    /// Allocates the request of the connection `sk`, which is alive. It is one of the kernel's own:
    /// it may be destroyed when there is no module any more. Does not sleep if `flags` don't.
    pub(super) fn new(sk: NonNull<bindings::sock>, flags: bindings::gfp_t) -> Result<Self> {
        // SAFETY: The sock is alive, and its operations live for ever.
        let prot = unsafe { addr_of!((*sk.as_ptr()).__sk_common.skc_prot).read_volatile() };
        // SAFETY: As above.
        let operations = NonNull::new(unsafe { (*prot).rsk_prot }).ok_or(EINVAL)?;
        // SAFETY: As above. The memory is for a `request_sock` with what its protocol adds.
        let (slab, size) = unsafe { (operations.as_ref().slab, operations.as_ref().obj_size) };
        // SAFETY: The slab cache lives for ever.
        let memory = unsafe { bindings::kmem_cache_alloc(slab, flags) };
        let request: NonNull<bindings::request_sock> = NonNull::new(memory.cast()).ok_or(ENOMEM)?;
        let raw = request.as_ptr();
        // Whoever looks a request up that was freed from this memory, without a lock, may still
        // walk over it: so the link of the node stays as it is. Without a reference it looks no
        // further; nor does it take this for what it looks for, with addresses and ports of zero.
        //
        // SAFETY: The memory is a `request_sock`, and `sk` is alive.
        unsafe {
            let common = addr_of_mut!((*raw).__req_common);
            (*common).__bindgen_anon_1.skc_addrpair = 0;
            (*common).__bindgen_anon_2.skc_hash = 0;
            (*common).__bindgen_anon_3.skc_portpair = 0;
            (*common).skc_family = (*sk.as_ptr()).__sk_common.skc_family;
            (*common).skc_state = bindings::TCP_NEW_SYN_RECV as u8;
            (*common).skc_bound_dev_if = 0;
            (*common).skc_prot = prot;
            (*common).skc_net = (*sk.as_ptr()).__sk_common.skc_net;
            (*common).skc_v6_daddr = Default::default();
            (*common).skc_v6_rcv_saddr = Default::default();
            (*common).skc_cookie = Default::default();
            (*common).__bindgen_anon_5.skc_listener = core::ptr::null_mut();
            (*common).__bindgen_anon_6.skc_node.pprev = core::ptr::null_mut();
            (*common).skc_refcnt = Default::default();
        }
        let rest = (size as usize).saturating_sub(size_of::<bindings::sock_common>());
        // SAFETY: What is behind the common part is of `rest` octets, and nobody else looks at it.
        unsafe {
            raw.cast::<u8>()
                .add(size_of::<bindings::sock_common>())
                .write_bytes(0, rest)
        };
        // SAFETY: As above; this is the begin of a sock.
        unsafe { bindings::sk_tx_queue_clear(raw.cast()) };
        // SAFETY: As above.
        unsafe { (*raw).rsk_ops = operations.as_ptr() };
        // INVARIANT: It was just allocated and cleared.
        Ok(Self {
            request,
            operations,
        })
    }

    /// Makes it the request of `sk` at `listener`. The caller's reference to `sk` goes with it, and
    /// so does that of the result, which the queue owns.
    fn publish(
        self,
        listener: NonNull<bindings::sock>,
        sk: NonNull<bindings::sock>,
    ) -> *mut bindings::request_sock {
        let raw = self.request.as_ptr();
        core::mem::forget(self);
        // SAFETY: The listener is alive; the request gives this reference back when it is freed.
        unsafe { bindings::sock_hold(listener.as_ptr()) };
        // SAFETY: Nobody else writes the request.
        unsafe {
            (*raw).__req_common.__bindgen_anon_5.skc_listener = listener.as_ptr();
            (*raw).sk = sk.as_ptr();
        }
        // SAFETY: As above; all else of it is written.
        unsafe { bindings::reqsk_set_one(raw) };
        raw
    }

    /// Makes it the request of `sk` at the tail of `queue`, which is that of `listener`. The
    /// caller's reference to `sk` goes with it.
    ///
    /// # Safety
    ///
    /// `listener` is a TCP sock that is alive, and the lock of `queue` is held.
    pub(super) unsafe fn link(
        self,
        listener: NonNull<bindings::sock>,
        queue: *mut bindings::request_sock_queue,
        sk: NonNull<bindings::sock>,
    ) {
        let request = self.publish(listener, sk);
        // SAFETY: The queue's lock is held.
        unsafe {
            if (*queue).rskq_accept_head.is_null() {
                // `reqsk_queue_empty()` reads it without the lock.
                addr_of_mut!((*queue).rskq_accept_head).write_volatile(request);
            } else {
                (*(*queue).rskq_accept_tail).dl_next = request;
            }
            (*queue).rskq_accept_tail = request;
        }
        // SAFETY: The queue's lock is held.
        unsafe { bindings::sk_acceptq_added(listener.as_ptr()) };
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe {
            bindings::kmem_cache_free(self.operations.as_ref().slab, self.request.as_ptr().cast())
        };
    }
}
