// SPDX-License-Identifier: GPL-2.0

//! A lock that nobody waits for.
//!
//! It is for what callbacks in softirq share with threads of the same CPU, where each side has
//! something else to do when the other one is there. So it needs no bottom halves switched off, and
//! can't deadlock, whoever holds it when an interrupt comes.

use core::cell::UnsafeCell;
use core::ops::{
    Deref,
    DerefMut, //
};
use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Relaxed,
    Release, //
};
use kernel::types::NotThreadSafe;

/// A value behind such a lock.
///
/// # Invariants
///
/// `value` is only touched by the owner of the one [`Guard`] that there is while `taken` is 1.
pub(crate) struct TryLock<T> {
    taken: Atomic<i32>,
    value: UnsafeCell<T>,
}

// SAFETY: One thread at a time reaches the value.
unsafe impl<T: Send> Sync for TryLock<T> {}

impl<T> TryLock<T> {
    /// Nobody has the lock.
    pub(crate) fn new(value: T) -> Self {
        Self {
            taken: Atomic::new(0),
            value: UnsafeCell::new(value),
        }
    }

    /// Takes the lock, unless somebody has it. Any context.
    pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
        // A look first: whoever comes in vain doesn't take the cache line away.
        if self.taken.load(Relaxed) != 0 || self.taken.cmpxchg(0, 1, Acquire).is_err() {
            return None;
        }
        // INVARIANT: It was 0, and is 1 until the guard is dropped.
        Some(Guard {
            lock: self,
            _not_send: NotThreadSafe,
        })
    }
}

/// The lock, taken.
pub(crate) struct Guard<'a, T> {
    lock: &'a TryLock<T>,
    _not_send: NotThreadSafe,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the invariant of the lock this guard is the only one.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: As above, and it is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // ORDERING: Release: who takes the lock next sees what was done.
        self.lock.taken.store(0, Release);
    }
}
