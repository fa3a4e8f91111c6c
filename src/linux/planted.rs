// SPDX-License-Identifier: GPL-2.0

//! Faults planted on purpose, for scripts/plant.sh: each is there to be found by a test.
//!
//! Only a build with `RUST_TUX_PLANTED=y` has this file. The module's parameter `planted` names the
//! fault, which is committed once, at its place.

use super::bindings;
use super::callbacks::Events;
use super::param::Charp;
use super::sock::Sock;
use core::cell::UnsafeCell;
use core::hint::black_box;
use core::ptr::NonNull;
use kernel::alloc::Flags;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use kernel::sync::{
    new_mutex,
    new_spinlock,
    Arc,
    Completion,
    Mutex,
    Refcount,
    SpinLock, //
};
use kernel::workqueue;

/// What can be wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    // While the module is loaded, in process context.
    LeakedObject,
    LockInversion,
    HeldMutex,
    RefcountUnderflow,
    DataRace,
    // When the module is removed.
    LostListener,
    // In a worker, before it locks the connection.
    UseAfterFree,
    DoubleFree,
    BoundsPanic,
    OverflowPanic,
    StackOverflow,
    SoftLockup,
    HungTask,
    HeldSpinlock,
    UnprotectedRcu,
    LostConnection,
    // In softirq, when a connection is made; its sock is locked.
    OutOfBounds,
    SleepInAtomic,
    ListCorruption,
    LostSock,
}

/// The names that the parameter takes.
const NAMES: [(&CStr, Fault); 20] = [
    (c"leaked_object", Fault::LeakedObject),
    (c"lock_inversion", Fault::LockInversion),
    (c"held_mutex", Fault::HeldMutex),
    (c"refcount_underflow", Fault::RefcountUnderflow),
    (c"data_race", Fault::DataRace),
    (c"lost_listener", Fault::LostListener),
    (c"use_after_free", Fault::UseAfterFree),
    (c"double_free", Fault::DoubleFree),
    (c"bounds_panic", Fault::BoundsPanic),
    (c"overflow_panic", Fault::OverflowPanic),
    (c"stack_overflow", Fault::StackOverflow),
    (c"soft_lockup", Fault::SoftLockup),
    (c"hung_task", Fault::HungTask),
    (c"held_spinlock", Fault::HeldSpinlock),
    (c"unprotected_rcu", Fault::UnprotectedRcu),
    (c"lost_connection", Fault::LostConnection),
    (c"out_of_bounds", Fault::OutOfBounds),
    (c"sleep_in_atomic", Fault::SleepInAtomic),
    (c"list_corruption", Fault::ListCorruption),
    (c"lost_sock", Fault::LostSock),
];

/// The fault that is still to be committed: its place in [`NAMES`] and one, or 0.
static AWAITED: Atomic<i32> = Atomic::new(0);

/// Says which fault is wanted, and commits it if its place is here.
pub(crate) fn load(parameter: &'static Charp) -> Result {
    let Some(wanted) = parameter.value() else {
        return Ok(());
    };
    let mut number = 0;
    for (name, _) in NAMES {
        number += 1;
        if name == wanted {
            AWAITED.store(number, Relaxed);
        }
    }
    if AWAITED.load(Relaxed) == 0 {
        return Err(EINVAL);
    }
    if is_due(Fault::LeakedObject) {
        let _ = KBox::into_raw(object(GFP_KERNEL));
    }
    if is_due(Fault::LockInversion) {
        invert_locks()?;
    }
    if is_due(Fault::HeldMutex) {
        let mutex = Arc::pin_init(new_mutex!((), "rust_tux::planted"), GFP_KERNEL)?;
        core::mem::forget(mutex.lock());
        core::mem::forget(mutex.clone());
    }
    if is_due(Fault::RefcountUnderflow) {
        let count = Refcount::new(1);
        black_box(count.dec_and_test());
        black_box(count.dec_and_test());
    }
    if is_due(Fault::DataRace) {
        race()?;
    }
    Ok(())
}

/// Whether a listening socket is to be forgotten.
pub(super) fn forgets_listener() -> bool {
    is_due(Fault::LostListener)
}

/// Commits what is to happen in a worker, before it locks `sock`.
pub(crate) fn turn<T: Events>(sock: &ARef<Sock<T>>) {
    if is_due(Fault::UseAfterFree) {
        let raw = KBox::into_raw(object(GFP_KERNEL));
        // SAFETY: The box is ours.
        drop(unsafe { KBox::from_raw(raw) });
        // SAFETY: Not given: the fault.
        black_box(unsafe { raw.cast::<u8>().read_volatile() });
    }
    if is_due(Fault::DoubleFree) {
        let raw = KBox::into_raw(object(GFP_KERNEL));
        for _ in 0..2 {
            // SAFETY: Not given the second time: the fault.
            drop(unsafe { KBox::from_raw(raw) });
        }
    }
    if is_due(Fault::BoundsPanic) {
        let octets = [0_u8; 4];
        black_box(octets[black_box(4)]);
    }
    if is_due(Fault::OverflowPanic) {
        black_box(black_box(usize::MAX) + 1);
    }
    if is_due(Fault::StackOverflow) {
        black_box(recurse(1));
    }
    if is_due(Fault::SoftLockup) {
        let lock = KBox::pin_init(new_spinlock!((), "rust_tux::planted"), GFP_KERNEL);
        if let Ok(lock) = lock {
            spin(&lock);
        }
    }
    if is_due(Fault::HungTask) {
        // SAFETY: A worker may sleep; this is the sleep that no signal ends.
        unsafe { bindings::msleep(20_000) };
    }
    if is_due(Fault::HeldSpinlock) {
        if let Ok(lock) = Arc::pin_init(new_spinlock!((), "rust_tux::planted"), GFP_KERNEL) {
            core::mem::forget(lock.lock());
            core::mem::forget(lock.clone());
        }
    }
    if is_due(Fault::UnprotectedRcu) {
        // SAFETY: The sock is alive. Not given: a lock, or a read-side critical section.
        black_box(unsafe { bindings::rcu_dereference_sk_user_data(sock.as_raw()) });
    }
    if is_due(Fault::LostConnection) {
        core::mem::forget(sock.clone());
    }
}

/// Commits what is to happen in softirq when `child` is made a connection.
///
/// # Safety
///
/// `child` is alive.
pub(super) unsafe fn established(child: NonNull<bindings::sock>) {
    if is_due(Fault::OutOfBounds) {
        let object = object(GFP_ATOMIC);
        // SAFETY: Not given: the fault.
        black_box(unsafe { object.as_ptr().add(object.len()).read_volatile() });
    }
    if is_due(Fault::SleepInAtomic) {
        drop(object(GFP_KERNEL));
    }
    if is_due(Fault::ListCorruption) {
        corrupt_list();
    }
    if is_due(Fault::LostSock) {
        // SAFETY: The caller's promise.
        unsafe { bindings::sock_hold(child.as_ptr()) };
    }
}

/// Whether `fault` is wanted. True once.
fn is_due(fault: Fault) -> bool {
    let awaited = AWAITED.load(Relaxed);
    let is_awaited = awaited > 0 && NAMES[awaited as usize - 1].1 == fault;
    is_awaited && AWAITED.cmpxchg(awaited, 0, Relaxed).is_ok()
}

/// Some memory, of a size that nothing else of the module has.
#[inline(never)]
fn object(flags: Flags) -> KBox<[u8; 72]> {
    match KBox::new([7; 72], flags) {
        Ok(object) => object,
        Err(_) => panic!("no memory to plant a fault in"),
    }
}

/// Two locks that are taken in both orders.
#[pin_data]
struct Pair {
    #[pin]
    first: Mutex<()>,
    #[pin]
    second: Mutex<()>,
}

/// Takes two locks in both orders.
fn invert_locks() -> Result {
    let pair = KBox::pin_init(
        pin_init!(Pair {
            first <- new_mutex!((), "rust_tux::planted::first"),
            second <- new_mutex!((), "rust_tux::planted::second"),
        }),
        GFP_KERNEL,
    )?;
    let first = pair.first.lock();
    drop(pair.second.lock());
    drop(first);
    let second = pair.second.lock();
    drop(pair.first.lock());
    drop(second);
    Ok(())
}

/// A number without a lock.
struct Unprotected(UnsafeCell<u64>);

// SAFETY: Not given: the fault.
unsafe impl Sync for Unprotected {}

/// Counts on two CPUs at once, for some seconds each.
fn race() -> Result {
    let number = Arc::new(Unprotected(UnsafeCell::new(0)), GFP_KERNEL)?;
    let done = Arc::pin_init(Completion::new(), GFP_KERNEL)?;
    let (other_number, other_done) = (number.clone(), done.clone());
    workqueue::system_unbound().try_spawn(GFP_KERNEL, move || {
        count_for_now(&other_number);
        other_done.complete_all();
    })?;
    count_for_now(&number);
    done.wait_for_completion();
    Ok(())
}

/// Counts without a lock.
#[inline(never)]
fn count_for_now(number: &Unprotected) {
    // SAFETY: This has no precondition.
    let end = unsafe { bindings::ktime_get_seconds() } + 5;
    // SAFETY: As above.
    while unsafe { bindings::ktime_get_seconds() } < end {
        for _ in 0..1000 {
            // SAFETY: Not given: the fault.
            unsafe { *black_box(number.0.get()) += 1 };
        }
        // SAFETY: Who loads the module may sleep, and so may a work item.
        unsafe { bindings::msleep(1) };
    }
}

/// Goes deeper until there is no stack.
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let octets = black_box([depth; 64]);
    if depth == 0 {
        return 0;
    }
    recurse(depth + 1) + octets[(depth % 64) as usize]
}

/// Keeps a CPU for a quarter of a minute.
fn spin(lock: &SpinLock<()>) {
    let _guard = lock.lock();
    // SAFETY: This has no precondition.
    let end = unsafe { bindings::ktime_get_seconds() } + 15;
    // SAFETY: As above.
    while unsafe { bindings::ktime_get_seconds() } < end {
        core::hint::spin_loop();
    }
}

/// Takes a node off a list twice.
fn corrupt_list() {
    let node = || UnsafeCell::new(bindings::list_head::default());
    let (head, node) = (node(), node());
    // SAFETY: The head stays where it is.
    unsafe { bindings::INIT_LIST_HEAD(head.get()) };
    // SAFETY: The head was initialised, and the node is on no list.
    unsafe { bindings::list_add_tail(node.get(), head.get()) };
    for _ in 0..2 {
        // SAFETY: Not given the second time: the fault.
        unsafe { bindings::list_del(node.get()) };
    }
}
