// SPDX-License-Identifier: GPL-2.0

//! Handing fragments to TCP.
//!
//! There are two ways besides having it copy them. *Splicing* (`MSG_SPLICE_PAGES`) has TCP take the
//! fragments apart into pages, put those on lists of eight, and add one after the other: some 200
//! instructions a page. *Filling* has it call [`fill`] for each segment, which adds the fragments
//! as they are, and their references with them. This is the way of `io_uring`
//! (`io_sg_from_iter()`), but for its account of who uses the pages: each fragment of an skb has a
//! reference to its page, as if it was spliced. What becomes of the two is the same: the skb is
//! none of `MSG_ZEROCOPY`, so nobody is told when it is freed, and nobody copies it on its way.
//!
//! C headers: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h),
//! [`include/linux/socket.h`](srctree/include/linux/socket.h),
//! [`include/net/tcp.h`](srctree/include/net/tcp.h)

use super::bindings;
use super::fragment::Fragments;
use core::ptr::{
    addr_of,
    addr_of_mut,
    NonNull, //
};
use kernel::error::to_result;
use kernel::ffi::{
    c_int,
    c_ulong, //
};
use kernel::prelude::*;

/// What TCP would do for those who want to know when it doesn't use their pages any more: nothing.
#[repr(transparent)]
struct Operations(bindings::ubuf_info_ops);

// SAFETY: Nobody writes to it.
unsafe impl Sync for Operations {}

static OPERATIONS: Operations = Operations(bindings::ubuf_info_ops {
    complete: None,
    link_skb: None,
});

/// How octets come to the stack, as this module's head says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// They are copied.
    Copy,
    /// Their pages are spliced.
    Splice,
    /// Segments are filled with their pages.
    Fill,
}

/// How responses are sent.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    /// How octets come to the stack.
    pub(crate) way: Way,
    /// Whether each response ends with a segment.
    pub(crate) push_all: bool,
}

impl Default for Manner {
    /// The cheapest.
    fn default() -> Self {
        Self {
            way: Way::Fill,
            push_all: false,
        }
    }
}

/// A call of `tcp_sendmsg_locked()` that [fills](fill).
#[repr(C)]
struct Call {
    message: bindings::msghdr,
    /// TCP wants one for what isn't copied, counts who uses it, and leaves a pointer to it in each
    /// skb. As this has no `SKBFL_ZEROCOPY_ENABLE`, the skb hasn't either: nobody follows that.
    ubuf: bindings::ubuf_info,
    sk: NonNull<bindings::sock>,
    /// Octets that were added with their references. The others were copied: to a device that takes
    /// an skb in one piece.
    given: usize,
}

/// Sends `fragments`, of which there is one at least, without waiting, in that `way`. What the
/// stack has taken is gone from them; returns how many octets, none if the send buffer is full.
/// `more` says that more follows at once.
///
/// # Safety
///
/// `sk` is a TCP sock that is alive, and locked by the caller.
pub(super) unsafe fn send(
    sk: NonNull<bindings::sock>,
    fragments: &mut Fragments,
    more: bool,
    way: Way,
) -> Result<usize> {
    let flags = if more { bindings::MSG_MORE } else { 0 };
    if way != Way::Fill {
        // SAFETY: By the safety requirements.
        return unsafe { send_simply(sk, fragments, flags, way) };
    }
    let mut call = Call {
        message: message(fragments, flags | bindings::MSG_ZEROCOPY),
        ubuf: bindings::ubuf_info {
            ops: addr_of!(OPERATIONS.0),
            refcnt: bindings::refcount_t {
                refs: bindings::atomic_t { counter: 1 },
            },
            flags: 0,
        },
        sk,
        given: 0,
    };
    call.message.msg_ubuf = addr_of_mut!(call.ubuf);
    call.message.sg_from_iter = Some(fill);
    let len = fragments.len();
    // SAFETY: The sock is locked. This neither sleeps nor keeps `message`, whose fragments stay
    // where they are meanwhile.
    let sent = unsafe { bindings::tcp_sendmsg_locked(sk.as_ptr(), &mut call.message, len) };
    if sent == EFAULT.to_errno() {
        // Memory is short. TCP knows what to do then, if it adds the pages.
        //
        // SAFETY: By the safety requirements.
        return unsafe { send_simply(sk, fragments, flags, Way::Splice) };
    }
    let sent = taken(sent)?;
    // SAFETY: With so many octets, `fill()` has given the references of those fragments of which it
    // has added the end.
    unsafe { fragments.consume(sent, call.given == sent) };
    Ok(sent)
}

/// As [`send`], by splicing or copying.
///
/// # Safety
///
/// That of [`send`].
#[cold]
#[inline(never)]
unsafe fn send_simply(
    sk: NonNull<bindings::sock>,
    fragments: &mut Fragments,
    flags: u32,
    way: Way,
) -> Result<usize> {
    let splice = match way {
        Way::Copy => 0,
        Way::Splice | Way::Fill => bindings::MSG_SPLICE_PAGES,
    };
    let mut message = message(fragments, flags | splice);
    let len = fragments.len();
    // SAFETY: The sock is locked. This neither sleeps nor keeps `message`, whose fragments stay
    // where they are meanwhile.
    let sent = taken(unsafe { bindings::tcp_sendmsg_locked(sk.as_ptr(), &mut message, len) })?;
    // SAFETY: The stack has taken references of its own, or needs none.
    unsafe { fragments.consume(sent, false) };
    Ok(sent)
}

/// A message of `fragments`, to be used while they are as they are.
fn message(fragments: &Fragments, flags: u32) -> bindings::msghdr {
    let mut message = bindings::msghdr {
        // Without MSG_NOSIGNAL an error would send SIGPIPE to whatever task is current.
        msg_flags: bindings::MSG_DONTWAIT | bindings::MSG_NOSIGNAL | flags,
        ..Default::default()
    };
    let slice = fragments.as_slice();
    // SAFETY: The slice has that many elements.
    unsafe {
        bindings::iov_iter_bvec(
            &mut message.msg_iter,
            bindings::ITER_SOURCE,
            slice.as_ptr(),
            slice.len(),
            fragments.len(),
        )
    };
    message
}

/// What `tcp_sendmsg_locked()` has returned, as [`send`] does.
fn taken(sent: c_int) -> Result<usize> {
    if sent == EAGAIN.to_errno() {
        return Ok(0);
    }
    to_result(sent.min(0))?;
    Ok(usize::try_from(sent).unwrap_or(0))
}

/// Adds up to `length` octets from where `from` is to `skb`, and advances `from`.
///
/// `EMSGSIZE`: there was no room for all of them in the skb. `EFAULT`: there is no memory to
/// account for them, and nothing was done.
///
/// # Safety
///
/// Called by `tcp_sendmsg_locked()` for [`send`]: `from` is the iterator of a [`Call`], whose sock
/// is locked, and `skb` the last one of its write queue, which nobody else has.
unsafe extern "C" fn fill(
    skb: *mut bindings::sk_buff,
    from: *mut bindings::iov_iter,
    length: usize,
) -> c_int {
    // SAFETY: By the safety requirements.
    let shared = unsafe { &mut *bindings::skb_shinfo(skb) };
    // SAFETY: By the safety requirements.
    let (sk, given) = unsafe {
        let message = kernel::container_of!(from, bindings::msghdr, msg_iter);
        let call = kernel::container_of!(message, Call, message);
        ((*call).sk.as_ptr(), &mut (*call).given)
    };
    if u32::from(shared.flags) & bindings::SKBFL_PURE_ZEROCOPY != 0 {
        // TCP wouldn't count the octets of a new skb towards the memory that it may use.
        //
        // SAFETY: By the safety requirements.
        let is_free = unsafe {
            bindings::sk_wmem_schedule(sk, c_int::try_from(length).unwrap_or(c_int::MAX))
        };
        if !is_free {
            return EFAULT.to_errno();
        }
        shared.flags &= !(bindings::SKBFL_PURE_ZEROCOPY as u8);
    }
    // SAFETY: This has no precondition.
    let limit = unsafe { bindings::max_skb_frags() }.min(shared.frags.len());
    // SAFETY: By the safety requirements.
    let from = unsafe { &mut *from };
    // SAFETY: The iterator is one of fragments.
    let place = unsafe { from.__bindgen_anon_1.__bindgen_anon_1.as_mut() };
    // SAFETY: As above.
    let first = unsafe { place.__bindgen_anon_1.bvec };
    let (mut next, mut skip) = (first, from.iov_offset);
    let wanted = length.min(place.count);
    let mut left = wanted;
    let before = usize::from(shared.nr_frags);
    let places = shared.frags.get_mut(..limit).unwrap_or(&mut []);
    for place in places.iter_mut().skip(before) {
        if left == 0 {
            break;
        }
        // SAFETY: There are fragments for all octets of the iterator.
        let bvec = unsafe { &*next };
        let whole = (bvec.bv_len as usize).wrapping_sub(skip);
        let octets = whole.min(left);
        if octets < whole {
            // SAFETY: The fragment has a reference to its page, which goes with its end.
            unsafe { bindings::get_page(bvec.bv_page) };
        }
        *place = bindings::skb_frag_t {
            netmem: bvec.bv_page.addr() as bindings::netmem_ref,
            len: octets as u32,
            offset: bvec.bv_offset.wrapping_add(skip as u32),
        };
        shared.nr_frags = shared.nr_frags.wrapping_add(1);
        left = left.wrapping_sub(octets);
        if octets < whole {
            skip = skip.wrapping_add(octets);
            break;
        }
        skip = 0;
        next = next.wrapping_add(1);
    }
    // The pages are the page cache's: others may write to them.
    shared.flags |= bindings::SKBFL_SHARED_FRAG as u8;
    let added = wanted.wrapping_sub(left);
    *given = given.wrapping_add(added);
    place.__bindgen_anon_1.bvec = next;
    place.count = place.count.wrapping_sub(added);
    from.iov_offset = skip;
    let octets = next.addr().wrapping_sub(first.addr());
    let segments = (octets / core::mem::size_of::<bindings::bio_vec>()) as c_ulong;
    // SAFETY: The iterator is one of fragments.
    unsafe {
        let before = from.__bindgen_anon_2.nr_segs;
        from.__bindgen_anon_2.nr_segs = before.wrapping_sub(segments);
    }
    // SAFETY: By the safety requirements.
    let skb = unsafe { &mut *skb };
    skb.len = skb.len.wrapping_add(added as u32);
    skb.data_len = skb.data_len.wrapping_add(added as u32);
    skb.truesize = skb.truesize.wrapping_add(added as u32);
    match left {
        0 => 0,
        _ => EMSGSIZE.to_errno(),
    }
}
