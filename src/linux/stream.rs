// SPDX-License-Identifier: GPL-2.0

//! The two streams of octets of a locked TCP sock.
//!
//! Octets are read where the network left them, and stay unread until they are consumed. What is
//! sent are page fragments, which the stack takes by reference.
//!
//! C header: [`include/net/tcp.h`](srctree/include/net/tcp.h)

use super::bindings;
use super::checksum;
use super::fragment::Fragments;
use super::send::{
    self,
    Manner, //
};
use core::marker::PhantomData;
use core::ptr::{
    addr_of,
    addr_of_mut,
    NonNull, //
};
use kernel::error::to_result;
use kernel::prelude::*;

/// The streams of a TCP sock.
///
/// # Invariants
///
/// The sock is alive, and locked by the holder of the value, for `'a`.
pub(crate) struct Stream<'a> {
    sk: NonNull<bindings::sock>,
    manner: Manner,
    _locked: PhantomData<&'a mut bindings::sock>,
}

impl Stream<'_> {
    /// # Safety
    ///
    /// `sk` is a TCP sock that is alive and locked for as long as the value lives, and is used
    /// through nothing else in that time.
    pub(super) unsafe fn from_raw(sk: NonNull<bindings::sock>) -> Self {
        // INVARIANT: The caller's promise.
        Self {
            sk,
            manner: Manner::default(),
            _locked: PhantomData,
        }
    }

    /// Says how octets are sent through this value.
    #[inline]
    pub(crate) fn set_manner(&mut self, manner: Manner) {
        self.manner = manner;
    }

    /// Whether the last octets of a response may wait for what follows: the next one, or a FIN.
    #[inline]
    pub(crate) fn may_hold_back(&self) -> bool {
        !self.manner.push_all
    }

    /// Whether nothing that was sent is on its way: no acknowledgement will tell of room.
    pub(crate) fn is_send_queue_empty(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { (*self.sk.as_ptr()).sk_wmem_queued == 0 }
    }

    /// Asks for a [`WriteSpace`](super::callbacks::Event::WriteSpace) with the next
    /// acknowledgement.
    pub(crate) fn await_acknowledgement(&mut self) {
        // SAFETY: By the type invariant; a connection of ours has a socket.
        unsafe { bindings::sk_set_nospace(self.sk.as_ptr()) };
    }

    /// Octets that the send buffer has room for. The stack takes as many, and up to a segment more.
    pub(crate) fn send_room(&self) -> usize {
        let sk = self.sk.as_ptr();
        // SAFETY: By the type invariant. The size may be changed without the lock.
        let (size, queued) = unsafe {
            (
                addr_of!((*sk).sk_sndbuf).read_volatile(),
                addr_of!((*sk).sk_wmem_queued).read_volatile(),
            )
        };
        usize::try_from(size.saturating_sub(queued)).unwrap_or(0)
    }

    /// Octets that have come and were not consumed.
    pub(crate) fn unread(&self) -> usize {
        // SAFETY: By the type invariant.
        let octets = unsafe { bindings::tcp_inq(self.sk.as_ptr()) };
        usize::try_from(octets).unwrap_or(0)
    }

    /// Whether TCP has more memory than it may. As long as it does, no more octets come than are
    /// unread.
    pub(crate) fn is_over_memory_limit(&self) -> bool {
        // SAFETY: By the type invariant.
        let pages = unsafe { bindings::sk_memory_allocated(self.sk.as_ptr()) };
        // The last of the three numbers of `tcp_mem`.
        //
        // SAFETY: By the type invariant.
        pages > unsafe { bindings::sk_prot_mem_limits(self.sk.as_ptr(), 2) }
    }

    /// Whether the peer has sent its FIN: nothing will come behind what is unread.
    pub(crate) fn is_read_closed(&self) -> bool {
        // SAFETY: By the type invariant.
        let shutdown = unsafe { (*self.sk.as_ptr()).sk_shutdown };
        u32::from(shutdown) & bindings::RCV_SHUTDOWN != 0
    }

    /// Whether the connection is gone: reset, aborted or timed out.
    pub(crate) fn is_closed(&self) -> bool {
        // SAFETY: By the type invariant.
        let state = unsafe { bindings::inet_sk_state_load(self.sk.as_ptr()) };
        u32::try_from(state) == Ok(bindings::TCP_CLOSE)
    }

    /// Whether an error has ended the connection: a reset by the peer or by the administrator, or
    /// a time-out of TCP.
    pub(crate) fn has_failed(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { (*self.sk.as_ptr()).sk_err != 0 }
    }

    /// How many octets the peer has acknowledged since the connection's begin.
    pub(crate) fn acknowledged(&self) -> u64 {
        let tp: *const bindings::tcp_sock = self.sk.as_ptr().cast();
        // SAFETY: By the type invariant; a TCP sock is a `tcp_sock`.
        unsafe { (*tp).bytes_acked }
    }

    /// The sequence number of the next octet to consume.
    fn copied_seq(&self) -> u32 {
        let tp: *const bindings::tcp_sock = self.sk.as_ptr().cast();
        // SAFETY: By the type invariant; a TCP sock is a `tcp_sock`.
        unsafe { (*tp).copied_seq }
    }

    /// The unread octets, without consuming them. As a rule they lie in one piece, and are
    /// returned where they lie; else as many as fit are put together in `scratch`.
    #[inline]
    pub(crate) fn peek<'b>(&'b mut self, scratch: &'b mut [u8]) -> &'b [u8] {
        let unread = self.unread();
        self.peek_unread(unread, scratch)
    }

    /// As [`Self::peek`], for who knows that [`Self::unread`] is `unread`.
    pub(crate) fn peek_unread<'b>(&'b mut self, unread: usize, scratch: &'b mut [u8]) -> &'b [u8] {
        let seq = self.copied_seq();
        let mut offset = 0;
        // SAFETY: By the type invariant.
        let skb = unsafe { bindings::tcp_recv_skb(self.sk.as_ptr(), seq, &mut offset) };
        let Some(skb) = NonNull::new(skb) else {
            return &[];
        };
        // SAFETY: The skb is on the receive queue, which doesn't change while `self` is borrowed.
        let piece: &'b [u8] = unsafe { contiguous(skb, offset) };
        if piece.len() >= unread {
            return piece.get(..unread).unwrap_or(piece);
        }
        // SAFETY: As above.
        let copied = unsafe { self.gather(skb, seq, unread, scratch) };
        scratch.get(..copied).unwrap_or(&[])
    }

    /// Copies up to `unread` octets, from sequence number `seq` on, which is in `skb`, into
    /// `scratch`. Returns how many.
    ///
    /// # Safety
    ///
    /// `skb` is on the receive queue of the sock, and holds `seq`.
    unsafe fn gather(
        &self,
        skb: NonNull<bindings::sk_buff>,
        mut seq: u32,
        unread: usize,
        scratch: &mut [u8],
    ) -> usize {
        let wanted = unread.min(scratch.len());
        let mut copied: usize = 0;
        let mut next = Some(skb);
        while let Some(skb) = next {
            let left = wanted.saturating_sub(copied);
            if left == 0 {
                break;
            }
            let raw = skb.as_ptr();
            // SAFETY: The skb is on the receive queue.
            let (first, len) = unsafe { (bindings::tcp_skb_seq(raw), (*raw).len) };
            // An skb may begin with octets that were consumed already.
            let offset = seq.wrapping_sub(first);
            let octets = len
                .saturating_sub(offset)
                .min(u32::try_from(left).unwrap_or(u32::MAX));
            let Some(to) = scratch.get_mut(copied..) else {
                break;
            };
            if octets > 0 {
                // SAFETY: `octets` fit into `to`, and are within the skb.
                let result = to_result(unsafe {
                    bindings::skb_copy_bits(
                        raw,
                        offset as c_int,
                        to.as_mut_ptr().cast(),
                        octets as c_int,
                    )
                });
                if result.is_err() {
                    break;
                }
                copied = copied.saturating_add(octets as usize);
                seq = seq.wrapping_add(octets);
            }
            // SAFETY: The skb is on this queue.
            next = NonNull::new(unsafe {
                bindings::skb_peek_next(raw, &(*self.sk.as_ptr()).sk_receive_queue)
            });
        }
        copied
    }

    /// Consumes `octets` unread octets: the peer may send as many more.
    pub(crate) fn consume(&mut self, octets: usize) {
        // SAFETY: By the type invariant.
        unsafe { bindings::tcp_read_done(self.sk.as_ptr(), octets) };
    }

    /// Sends `fragments`, without waiting. What the stack has taken is gone from them; returns how
    /// many octets, none if the send buffer is full. Then the owner gets
    /// [`WriteSpace`](super::callbacks::Event::WriteSpace) when there is room, unless
    /// [`Self::is_send_queue_empty`]: then there is no memory. `more` says that more follows at
    /// once.
    ///
    /// The stack holds references to the pages until the peer has acknowledged them. `EPIPE` or
    /// `ECONNRESET`: the connection can't be sent to any more.
    #[inline]
    pub(crate) fn send(&mut self, fragments: &mut Fragments, more: bool) -> Result<usize> {
        if fragments.len() == 0 {
            return Ok(0);
        }
        // SAFETY: By the type invariant the sock is locked.
        unsafe { send::send(self.sk, fragments, more, self.manner.way) }
    }

    /// Sees to the checksums of what is sent, or leaves that to the stack: see [`checksum`].
    #[inline]
    pub(crate) fn set_summing(&mut self, is_wanted: bool) {
        if is_wanted || self.is_summing() {
            // SAFETY: The sock is locked by the type invariant.
            unsafe { checksum::set(self.sk, is_wanted) };
        }
    }

    /// Whether that is so: if it is wanted, and the device sums nothing.
    #[inline]
    pub(crate) fn is_summing(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { checksum::is_set(self.sk) }
    }

    /// Sends a FIN in the segment of the last octets, if those were sent with `more`, and are still
    /// here. Returns whether they were: a FIN of its own takes memory, see
    /// [`Self::shut_down_send`]. Octets of the peer can still be read.
    pub(crate) fn finish(&mut self) -> bool {
        // SAFETY: By the type invariant.
        if unsafe { bindings::tcp_send_head(self.sk.as_ptr()) }.is_null() {
            return false;
        }
        self.shut_down();
        true
    }

    /// Sends a FIN behind what was sent; with `more` before, in the same segment as the last
    /// octets. Octets of the peer can still be read.
    ///
    /// `ENOMEM`: there was no memory for the FIN, which the stack won't send any more. So the peer
    /// will never know of the end, unless the connection is aborted.
    pub(crate) fn shut_down_send(&mut self) -> Result {
        let before = self.write_seq();
        // SAFETY: By the type invariant.
        let state = unsafe { bindings::inet_sk_state_load(self.sk.as_ptr()) };
        self.shut_down();
        let is_open = matches!(
            u32::try_from(state),
            Ok(bindings::TCP_ESTABLISHED | bindings::TCP_CLOSE_WAIT)
        );
        // A FIN is one octet in sequence.
        if is_open && self.write_seq() == before {
            return Err(ENOMEM);
        }
        Ok(())
    }

    /// The sequence number behind what was sent.
    fn write_seq(&self) -> u32 {
        let tp: *const bindings::tcp_sock = self.sk.as_ptr().cast();
        // SAFETY: By the type invariant.
        unsafe { (*tp).write_seq }
    }

    /// Does what `shutdown(SHUT_WR)` does, and tells nobody.
    fn shut_down(&mut self) {
        let sk = self.sk.as_ptr();
        // SAFETY: By the type invariant.
        let shutdown = unsafe { (*sk).sk_shutdown } | bindings::SEND_SHUTDOWN as u8;
        // Others look at it without the lock.
        //
        // SAFETY: By the type invariant.
        unsafe { addr_of_mut!((*sk).sk_shutdown).write_volatile(shutdown) };
        // SAFETY: The sock is locked. This doesn't sleep.
        unsafe { bindings::sk_prot_shutdown(sk, bindings::SEND_SHUTDOWN as c_int) };
    }
}

/// The octets of `skb` from `offset` on that lie in one piece.
///
/// # Safety
///
/// `skb` is alive, and is not changed for `'a`.
unsafe fn contiguous<'a>(skb: NonNull<bindings::sk_buff>, offset: u32) -> &'a [u8] {
    let skb = skb.as_ptr();
    // SAFETY: The skb is alive.
    let head = unsafe { bindings::skb_headlen(skb) };
    let (start, octets) = match head.checked_sub(offset) {
        Some(octets) if octets > 0 => {
            // SAFETY: The linear part has `head` octets.
            (unsafe { (*skb).data.add(offset as usize) }, octets)
        }
        _ => {
            let offset = offset.wrapping_sub(head);
            // A local peer that splices can still write the pages of a shared fragment: what is to
            // be looked at twice is copied.
            //
            // SAFETY: The skb is alive.
            let is_ours = unsafe {
                bindings::skb_nr_frags(skb) > 0
                    && bindings::skb_frags_readable(skb)
                    && !bindings::skb_has_shared_frag(skb)
            };
            if !is_ours {
                return &[];
            }
            // SAFETY: There is a first fragment.
            let Some(octets) = unsafe { bindings::skb_frag_size(skb) }.checked_sub(offset) else {
                return &[];
            };
            // SAFETY: Pages of the network are in the direct map on 64-bit machines, and the
            // fragment is longer than `offset`.
            let start = unsafe {
                bindings::skb_frag_address(skb)
                    .cast::<u8>()
                    .add(offset as usize)
            };
            (start, octets)
        }
    };
    // SAFETY: The octets are within the skb, which isn't changed for `'a`.
    unsafe { core::slice::from_raw_parts(start, octets as usize) }
}
