// SPDX-License-Identifier: GPL-2.0

//! The kernel's atomics, over loom's.

use crate::world::world;
use loom::sync::atomic::{
    fence,
    AtomicU64,
    Ordering as Order, //
};
use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;

/// No order.
pub struct Relaxed;
/// What comes behind stays behind.
pub struct Acquire;
/// What was before stays before.
pub struct Release;
/// As if between two full barriers.
pub struct Full;

/// An order, as loom has it.
pub trait Ordering {
    const ORDER: Order;
    const IS_FULL: bool = false;
}

impl Ordering for Relaxed {
    const ORDER: Order = Order::Relaxed;
}

impl Ordering for Acquire {
    const ORDER: Order = Order::Acquire;
}

impl Ordering for Release {
    const ORDER: Order = Order::Release;
}

impl Ordering for Full {
    const ORDER: Order = Order::AcqRel;
    const IS_FULL: bool = true;
}

/// A number that is held in 64 bits.
pub trait Number: Copy {
    fn widen(self) -> u64;
    fn narrow(number: u64) -> Self;
}

macro_rules! numbers {
    ($($type:ty)*) => { $(
        impl Number for $type {
            fn widen(self) -> u64 {
                self as u64
            }

            fn narrow(number: u64) -> Self {
                number as Self
            }
        }
    )* };
}

numbers!(i32 i64 u32 u64 usize);

/// An atomic number.
pub struct Atomic<T> {
    /// Never dropped, as loom knows nothing of the references that were counted before.
    number: ManuallyDrop<AtomicU64>,
    /// What was added by [`Self::add`], unless the model is about that.
    added: Cell<u64>,
    _number: PhantomData<T>,
}

// SAFETY: Loom runs one thread at a time.
unsafe impl<T> Sync for Atomic<T> {}

impl<T: Number> Atomic<T> {
    pub fn new(number: T) -> Self {
        Self {
            number: ManuallyDrop::new(AtomicU64::new(number.widen())),
            added: Cell::new(0),
            _number: PhantomData,
        }
    }

    fn update<O: Ordering>(&self, change: impl FnOnce(Order) -> u64) -> T {
        if O::IS_FULL {
            fence(Order::SeqCst);
        }
        let before = change(O::ORDER);
        if O::IS_FULL {
            fence(Order::SeqCst);
        }
        T::narrow(before)
    }

    pub fn load<O: Ordering>(&self, _: O) -> T {
        if self.added.get() != 0 {
            return T::narrow(self.added.get());
        }
        T::narrow(self.number.load(O::ORDER))
    }

    /// A store that reads before. Loom would let one that doesn't come, in the order of what is
    /// written to this, before an exchange that it overtakes in time.
    pub fn store<O: Ordering>(&self, number: T, _: O) {
        self.number.swap(number.widen(), O::ORDER);
    }

    pub fn xchg<O: Ordering>(&self, number: T, _: O) -> T {
        self.update::<O>(|order| self.number.swap(number.widen(), order))
    }

    pub fn cmpxchg<O: Ordering>(&self, old: T, new: T, _: O) -> Result<T, T> {
        assert!(!O::IS_FULL, "not needed yet");
        self.number
            .compare_exchange(old.widen(), new.widen(), O::ORDER, Order::Relaxed)
            .map(T::narrow)
            .map_err(T::narrow)
    }

    pub fn fetch_add<O: Ordering>(&self, number: T, _: O) -> T {
        self.update::<O>(|order| self.number.fetch_add(number.widen(), order))
    }

    pub fn fetch_sub<O: Ordering>(&self, number: T, _: O) -> T {
        self.update::<O>(|order| self.number.fetch_sub(number.widen(), order))
    }

    /// Only counters are added to in this way: they have no part in what happens, so that what
    /// happens between two of them need not be tried, unless the model is about that.
    pub fn add(&self, number: T, _: Relaxed) {
        if world().counts.get() {
            self.number.fetch_add(number.widen(), Order::Relaxed);
        } else {
            self.added
                .set(self.added.get().wrapping_add(number.widen()));
        }
    }
}
