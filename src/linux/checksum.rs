// SPDX-License-Identifier: GPL-2.0

//! TCP's checksums of what is sent by a device that doesn't sum: put together of sums that were
//! kept, or made while copying.
//!
//! What the stack does for such a device is right for all pages: it copies each segment with a
//! fragment that others may write to, and sums the copy. Here the same is done with one look at the
//! octets in place of two; and with none for pieces that nobody ever writes to again, whose sums
//! were kept when they were made.
//!
//! ```text
//!   qdisc, or no queue -> validate_xmit_skb() -> sk_validate_xmit_skb
//!                                                  |
//!     each fragment is a piece with kept sums -----+---> summed by these, sent without copying
//!     anything else, several segments -------------+---> each copied and summed in one pass
//!     anything else, or what may be encapsulated --+---> left to the stack
//! ```
//!
//! The sums stand in the pages of the piece, before its octets: who holds the page has them. So
//! there is no table, nothing to look up or to lock, and nothing to free. What tells such a page
//! from another one is `page->private`, which has an address that only we know of.
//!
//! The hook runs in softirq or in process context with bottom halves off, with the sock's lock or
//! without, on any CPU. It uses nothing that belongs to the connection but fields of TCP. A sock
//! loses it before it is closed, and nobody runs in it after a grace period.
//!
//! C headers: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h),
//! [`include/net/sock.h`](srctree/include/net/sock.h)

use super::bindings;
use core::ptr::{
    addr_of,
    addr_of_mut,
    NonNull, //
};
use kernel::error::{
    from_err_ptr,
    to_result, //
};
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use kernel::sync::rcu;

mod piece;
mod sums;

use piece::Piece;
pub(super) use piece::{
    keep,
    kept_sum,
    room, //
};

/// Where a TCP header has its sequence number, its length, and its checksum.
const SEQUENCE: usize = 4;
const DATA_OFFSET: usize = 12;
const CHECK: usize = 16;

/// Octets of a TCP header without options.
const HEADER_LEN: usize = 20;

/// Sets of counters, so that CPUs don't slow each other down.
const SETS: usize = 64;

/// `sk_validate_xmit_skb`.
type Hook = unsafe extern "C" fn(
    *mut bindings::sock,
    *mut bindings::net_device,
    *mut bindings::sk_buff,
) -> *mut bindings::sk_buff;

/// Segments with content, by what became of their checksums.
#[derive(Default)]
pub(crate) struct Counts {
    /// Put together of kept sums.
    pub(crate) kept: u64,
    /// Made while copying.
    pub(crate) copied: u64,
    /// Left to the stack.
    pub(crate) left: u64,
}

/// A set of counters, in a cache line of its own.
#[repr(align(64))]
struct Counters {
    kept: Atomic<u64>,
    copied: Atomic<u64>,
    left: Atomic<u64>,
}

/// What was counted.
static COUNTERS: [Counters; SETS] = [const {
    Counters {
        kept: Atomic::new(0),
        copied: Atomic::new(0),
        left: Atomic::new(0),
    }
}; SETS];

/// What was counted of all connections since the module was loaded.
pub(crate) fn counts() -> Counts {
    let mut counts = Counts::default();
    for set in &COUNTERS {
        counts.kept = counts.kept.wrapping_add(set.kept.load(Relaxed));
        counts.copied = counts.copied.wrapping_add(set.copied.load(Relaxed));
        counts.left = counts.left.wrapping_add(set.left.load(Relaxed));
    }
    counts
}

/// Adds `segments` to what `counter` chooses.
fn count(counter: fn(&Counters) -> &Atomic<u64>, segments: u16) {
    // SAFETY: This has no precondition; another CPU's set is as good.
    let cpu = unsafe { bindings::raw_smp_processor_id() } as usize;
    if let Some(set) = COUNTERS.get(cpu % SETS) {
        counter(set).add(segments.into(), Relaxed);
    }
}

/// Installs the hook, if it `is_wanted` and the device on the way of `sk` doesn't sum; else removes
/// it.
///
/// # Safety
///
/// `sk` is a TCP sock that is alive and locked, and loses the hook before it is closed.
#[inline(never)]
pub(super) unsafe fn set(sk: NonNull<bindings::sock>, is_wanted: bool) {
    // SAFETY: The sock is alive and locked.
    if unsafe { is_set(sk) } == is_wanted {
        return;
    }
    let sk = sk.as_ptr();
    // SAFETY: The sock is alive and locked.
    let hook: Option<Hook> = if is_wanted && unsafe { is_left_to_us(sk) } {
        Some(validate)
    } else {
        None
    };
    // SAFETY: As above.
    unsafe { install(sk, hook) };
}

/// Removes the hook from `sk`, if that has it.
///
/// # Safety
///
/// `sk` is alive and locked.
pub(super) unsafe fn remove(sk: *mut bindings::sock) {
    // SAFETY: The caller's promise.
    unsafe { install(sk, None) };
}

/// Whether `sk` has the hook.
///
/// # Safety
///
/// `sk` is alive and locked.
#[inline]
pub(super) unsafe fn is_set(sk: NonNull<bindings::sock>) -> bool {
    #[cfg(CONFIG_SOCK_VALIDATE_XMIT)]
    // SAFETY: Only who has the lock writes it.
    return unsafe { (*sk.as_ptr()).sk_validate_xmit_skb.is_some() };
    #[cfg(not(CONFIG_SOCK_VALIDATE_XMIT))]
    {
        let _ = sk;
        false
    }
}

/// Makes `hook` that of `sk`, where the kernel has such hooks.
///
/// # Safety
///
/// `sk` is alive and locked.
unsafe fn install(sk: *mut bindings::sock, hook: Option<Hook>) {
    #[cfg(CONFIG_SOCK_VALIDATE_XMIT)]
    // SAFETY: The caller's promise. It is read without the lock.
    unsafe {
        addr_of_mut!((*sk).sk_validate_xmit_skb).write_volatile(hook)
    };
    #[cfg(not(CONFIG_SOCK_VALIDATE_XMIT))]
    let _ = (sk, hook);
}

/// Whether the device on the way of `sk` takes fragments, but doesn't sum.
///
/// # Safety
///
/// `sk` is alive and locked.
unsafe fn is_left_to_us(sk: *const bindings::sock) -> bool {
    let _guard = rcu::read_lock();
    // SAFETY: The sock is alive and locked.
    let dst = unsafe { bindings::__sk_dst_get(sk) };
    if dst.is_null() {
        return false;
    }
    // SAFETY: The route lives until a grace period after it was taken from the sock, and so does
    // its device.
    let features = unsafe {
        let dev = bindings::dst_dev_rcu(dst);
        addr_of!((*dev).features).read_volatile()
    };
    sums_nothing(features)
}

/// Whether a device of these `features` takes fragments, but doesn't sum.
fn sums_nothing(features: bindings::netdev_features_t) -> bool {
    features & (bindings::NETIF_F_CSUM_MASK | bindings::NETIF_F_SG) == bindings::NETIF_F_SG
}

/// # Safety
///
/// Called by the kernel only, as `sk_validate_xmit_skb` of a sock that has it from [`set`]: `skb`
/// is the caller's alone, and about to be given to `dev`. What is returned takes its place.
unsafe extern "C" fn validate(
    sk: *mut bindings::sock,
    _dev: *mut bindings::net_device,
    skb: *mut bindings::sk_buff,
) -> *mut bindings::sk_buff {
    // SAFETY: The caller's promise.
    unsafe { take(sk, skb) }.unwrap_or(skb)
}

/// Sees to the checksum of `skb`. Returns the skb, or the list of segments, to be sent in its
/// place; `None`, with the skb as it was, if the stack has to.
///
/// # Safety
///
/// `sk` is alive, and `skb` the caller's.
unsafe fn take(
    sk: *const bindings::sock,
    skb: *mut bindings::sk_buff,
) -> Option<*mut bindings::sk_buff> {
    // SAFETY: By the safety requirements.
    let header = unsafe { Header::of(skb) }?;
    // SAFETY: As above.
    let features = unsafe { bindings::netif_skb_features(skb) };
    if !sums_nothing(features) {
        return None;
    }
    // SAFETY: As above.
    let (is_gso, segments) = unsafe {
        let shared = bindings::skb_shinfo(skb);
        ((*shared).gso_size != 0, (*shared).gso_segs.max(1))
    };
    // SAFETY: As above.
    let piece = unsafe { first_piece(skb).filter(|_| !was_sent(sk, header.sequence)) };
    let is_kept = piece.is_some();
    let features = features & !(bindings::NETIF_F_GSO_MASK | bindings::NETIF_F_CSUM_MASK);
    // SAFETY: As above.
    let list = unsafe {
        match (is_kept, is_gso) {
            (true, true) => segment(skb, features | bindings::NETIF_F_HW_CSUM),
            (true, false) => {
                let end = header.start.saturating_add(HEADER_LEN);
                let end = u32::try_from(end).ok()?;
                let is_writable = to_result(bindings::skb_ensure_writable(skb, end)).is_ok();
                is_writable.then_some(skb)
            }
            // Without fragments each segment is a copy, which is summed while it is made.
            (false, true) => segment(skb, features & !bindings::NETIF_F_SG),
            (false, false) => None,
        }
    };
    match (list, piece) {
        (Some(list), Some(mut piece)) => {
            let mut next = list;
            while !next.is_null() {
                // SAFETY: The segments are the caller's. Each has a header of its own, and the
                // fragments of `skb` that it needs.
                next = unsafe {
                    write_sum(next, &mut piece);
                    bindings::skb_next(next)
                };
            }
            count(|set| &set.kept, segments);
        }
        (Some(_), None) => count(|set| &set.copied, segments),
        (None, _) => count(|set| &set.left, segments),
    }
    list
}

/// What has to be known of the TCP header of an skb.
struct Header {
    /// Where it begins in the skb.
    start: usize,
    sequence: u32,
}

impl Header {
    /// The header of `skb`, if that is a segment with content which could be summed here.
    ///
    /// # Safety
    ///
    /// `skb` is valid.
    unsafe fn of(skb: *mut bindings::sk_buff) -> Option<Self> {
        // SAFETY: By the safety requirements.
        let is_plain = unsafe {
            bindings::skb_ip_summed(skb) == bindings::CHECKSUM_PARTIAL
                && bindings::skb_next(skb).is_null()
                && !bindings::skb_encapsulation(skb)
                && bindings::secpath_exists(skb) == 0
                && !bindings::skb_has_frag_list(skb)
                && bindings::skb_frags_readable(skb)
                && bindings::skb_csum_offset(skb) as usize == CHECK
        };
        if !is_plain {
            return None;
        }
        // SAFETY: As above.
        let (linear, len) = unsafe { (linear(skb), (*skb).len as usize) };
        // SAFETY: As above.
        let start = usize::try_from(unsafe { bindings::skb_checksum_start_offset(skb) }).ok()?;
        let header = linear.get(start..)?;
        let sequence = header.get(SEQUENCE..)?.first_chunk()?;
        let words = header.get(DATA_OFFSET)? >> 4;
        let content = start.checked_add(usize::from(words).checked_mul(4)?)?;
        (header.len() >= HEADER_LEN && content < len).then_some(Self {
            start,
            sequence: u32::from_be_bytes(*sequence),
        })
    }
}

/// The linear part of `skb`.
///
/// # Safety
///
/// `skb` is valid, and is not changed for `'a`.
unsafe fn linear<'a>(skb: *const bindings::sk_buff) -> &'a [u8] {
    // SAFETY: By the safety requirements.
    let len = unsafe { (*skb).len.saturating_sub((*skb).data_len) };
    // SAFETY: The linear part has so many octets.
    unsafe { core::slice::from_raw_parts((*skb).data, len as usize) }
}

/// The fragments of `skb`.
///
/// # Safety
///
/// `skb` is valid, and is not changed for `'a`.
unsafe fn fragments<'a>(skb: *const bindings::sk_buff) -> &'a [bindings::skb_frag_t] {
    // SAFETY: By the safety requirements.
    let shared = unsafe { &*bindings::skb_shinfo(skb) };
    shared.frags.get(..shared.nr_frags.into()).unwrap_or(&[])
}

/// The piece that the first fragment of `skb` is of, if all fragments are of such whose sums were
/// kept.
///
/// # Safety
///
/// `skb` is valid and keeps its fragments, which are in memory, for `'a`.
unsafe fn first_piece<'a>(skb: *const bindings::sk_buff) -> Option<Piece<'a>> {
    let mut first: Option<Piece<'a>> = None;
    let mut last = None;
    // SAFETY: By the safety requirements.
    for fragment in unsafe { fragments(skb) } {
        let len = fragment.len as usize;
        // SAFETY: As above.
        let address = NonNull::new(unsafe { bindings::skb_frag_address_of(fragment) }.cast())?;
        let is_same = |piece: &Piece<'a>| piece.place(address, len).is_some();
        if !last.as_ref().is_some_and(is_same) {
            // SAFETY: The skb holds the page; those of the network are in the direct map.
            let piece = unsafe { Piece::of(address) }.filter(is_same)?;
            first = first.or(Some(piece));
            last = Some(piece);
        }
    }
    first
}

/// Whether `sequence` may have been sent before: what is sent again is left to the stack. So,
/// whatever is wrong with a sum, a connection that meets it goes on.
///
/// # Safety
///
/// `sk` is a TCP sock that is alive.
unsafe fn was_sent(sk: *const bindings::sock, sequence: u32) -> bool {
    let tp: *const bindings::tcp_sock = sk.cast();
    // A segment is counted before it is sent again. Without a queue in between, what is sent for
    // the first time is not counted as sent until then.
    //
    // SAFETY: By the safety requirements.
    unsafe {
        addr_of!((*tp).total_retrans).read_volatile() != 0
            && is_before(sequence, addr_of!((*tp).snd_nxt).read_volatile())
    }
}

/// Whether `one` comes before `other` in sequence.
fn is_before(one: u32, other: u32) -> bool {
    one.wrapping_sub(other) > u32::MAX / 2
}

/// Makes a list of segments of `skb`, as for a device of those `features`; `None`, with the skb as
/// it was, if that fails.
///
/// # Safety
///
/// `skb` is a GSO skb, and the caller's.
unsafe fn segment(
    skb: *mut bindings::sk_buff,
    features: bindings::netdev_features_t,
) -> Option<*mut bindings::sk_buff> {
    // SAFETY: By the safety requirements. The first segment's `prev` is the last one, which is what
    // the caller of the hook goes by.
    let list = from_err_ptr(unsafe { bindings::__skb_gso_segment(skb, features, true) });
    let list = NonNull::new(list.ok()?)?;
    // SAFETY: The segments take its place.
    unsafe { bindings::consume_skb(skb) };
    Some(list.as_ptr())
}

/// Writes the checksum of `skb`. `piece` is one that it may have octets of.
///
/// # Safety
///
/// `skb` is the caller's, its header is writable, and all its fragments are of pieces whose sums
/// were kept.
unsafe fn write_sum(skb: *mut bindings::sk_buff, piece: &mut Piece<'_>) {
    // Not where the skb had it before it was cut: what makes that longer than IPv6 allows is left
    // out of its segments.
    //
    // SAFETY: By the safety requirements.
    let start = usize::try_from(unsafe { bindings::skb_checksum_start_offset(skb) }).unwrap_or(0);
    let mut sum = sums::Sum::new();
    // The field has the sum of the pseudo-header.
    //
    // SAFETY: By the safety requirements.
    let header = unsafe { linear(skb) }.get(start..).unwrap_or(&[]);
    sum.append(sums::of(header), header.len());
    // SAFETY: As above.
    for fragment in unsafe { fragments(skb) } {
        let len = fragment.len as usize;
        // SAFETY: As above.
        let address = NonNull::new(unsafe { bindings::skb_frag_address_of(fragment) }.cast());
        let Some(address) = address else {
            continue;
        };
        let mut place = piece.place(address, len);
        if place.is_none() {
            // SAFETY: The skb holds the page.
            if let Some(other) = unsafe { Piece::of(address) } {
                *piece = other;
                place = piece.place(address, len);
            }
        }
        let kept = place.and_then(|(first, end)| piece.sum(first, end));
        // SAFETY: The octets are those of a piece, to which nobody writes any more.
        let octets = || unsafe { core::slice::from_raw_parts(address.as_ptr(), len) };
        sum.append(kept.unwrap_or_else(|| sums::of(octets())), len);
    }
    // As the stack has it.
    let check = match !sum.get() {
        0 => u16::MAX,
        check => check,
    };
    // SAFETY: The field is in the header, which is writable.
    unsafe {
        let field = (*skb).data.add(start.saturating_add(CHECK));
        field.cast::<u16>().write_unaligned(check);
        bindings::skb_set_checksum_none(skb);
    }
}
