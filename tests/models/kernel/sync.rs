// SPDX-License-Identifier: GPL-2.0

//! Locks and references.

pub use crate::atomic;
pub use crate::{
    new_mutex,
    new_spinlock, //
};
use std::cell::{
    Cell,
    OnceCell, //
};
use std::ops::Deref;

use crate::alloc::{
    AllocError,
    Flags, //
};
use crate::world::{
    try_world,
    world, //
};

/// A value that is counted until the end of the execution.
struct Counted<T: ?Sized> {
    value: T,
}

/// A reference to a value that is shared.
pub struct Arc<T: ?Sized>(std::sync::Arc<Counted<T>>);

impl<T> Counted<T> {
    fn new(value: T) -> Self {
        let world = world();
        world.arcs.set(world.arcs.get() + 1);
        Self { value }
    }
}

impl<T: ?Sized> Drop for Counted<T> {
    fn drop(&mut self) {
        if let Some(world) = try_world() {
            world.arcs.set(world.arcs.get().saturating_sub(1));
        }
    }
}

impl<T> Arc<T> {
    pub fn new(value: T, _: Flags) -> Result<Self, AllocError> {
        Ok(Self(std::sync::Arc::new(Counted::new(value))))
    }

    pub fn pin_init(value: T, _: Flags) -> crate::error::Result<Self> {
        Ok(Self(std::sync::Arc::new(Counted::new(value))))
    }
}

impl<T: ?Sized> Clone for Arc<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: ?Sized> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

/// A lock.
pub struct Mutex<T>(loom::sync::Mutex<T>);

/// A lock that spins.
pub type SpinLock<T> = Mutex<T>;

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }
}

/// Makes a [`Mutex`].
#[macro_export]
macro_rules! new_mutex {
    ($value:expr, $name:literal) => {
        $crate::sync::Mutex::new($value)
    };
}

/// Makes a [`SpinLock`].
#[macro_export]
macro_rules! new_spinlock {
    ($value:expr, $name:literal) => {
        $crate::sync::Mutex::new($value)
    };
}

/// What is waited for once.
pub struct Completion {
    is_done: loom::sync::Mutex<bool>,
    waiter: loom::sync::Condvar,
}

impl Completion {
    pub fn new() -> Self {
        Self {
            is_done: loom::sync::Mutex::new(false),
            waiter: loom::sync::Condvar::new(),
        }
    }

    pub fn complete_all(&self) {
        *self.is_done.lock().unwrap() = true;
        self.waiter.notify_all();
    }

    pub fn wait_for_completion(&self) {
        let mut is_done = self.is_done.lock().unwrap();
        while !*is_done {
            is_done = self.waiter.wait(is_done).unwrap();
        }
    }
}

/// What is set once, before others look.
pub struct SetOnce<T>(OnceCell<T>);

// SAFETY: Loom runs one thread at a time. In a static it has pointers to functions only.
unsafe impl<T> Sync for SetOnce<T> {}

impl<T> SetOnce<T> {
    pub const fn new() -> Self {
        Self(OnceCell::new())
    }

    pub fn as_ref(&self) -> Option<&T> {
        self.0.get()
    }

    pub fn populate(&self, value: T) -> bool {
        self.0.set(value).is_ok()
    }
}

/// A count of references.
pub struct Refcount(Cell<i32>);

// SAFETY: Loom runs one thread at a time.
unsafe impl Sync for Refcount {}

impl Refcount {
    pub fn new(count: i32) -> Self {
        Self(Cell::new(count))
    }

    pub fn inc(&self) {
        assert!(self.0.get() > 0, "a reference to what was freed");
        self.0.set(self.0.get() + 1);
    }

    pub fn as_atomic(&self) -> &Self {
        self
    }

    pub fn load(&self, _: atomic::Relaxed) -> i32 {
        self.0.get()
    }

    pub fn cmpxchg(&self, old: i32, new: i32, _: atomic::Relaxed) -> Result<i32, i32> {
        let count = self.0.get();
        if count != old {
            return Err(count);
        }
        self.0.set(new);
        Ok(count)
    }

    pub fn dec_and_test(&self) -> bool {
        assert!(self.0.get() > 0, "a reference that nobody had");
        self.0.set(self.0.get() - 1);
        self.0.get() == 0
    }
}

/// References to what counts itself.
pub mod aref {
    use std::marker::PhantomData;
    use std::ops::Deref;
    use std::ptr::NonNull;

    pub unsafe trait AlwaysRefCounted {
        fn inc_ref(&self);
        unsafe fn dec_ref(this: NonNull<Self>);
    }

    pub struct ARef<T: AlwaysRefCounted> {
        pointer: NonNull<T>,
        _owns: PhantomData<T>,
    }

    // SAFETY: Loom runs one thread at a time.
    unsafe impl<T: AlwaysRefCounted> Send for ARef<T> {}
    // SAFETY: As above.
    unsafe impl<T: AlwaysRefCounted> Sync for ARef<T> {}

    impl<T: AlwaysRefCounted> ARef<T> {
        pub unsafe fn from_raw(pointer: NonNull<T>) -> Self {
            Self {
                pointer,
                _owns: PhantomData,
            }
        }

        pub fn into_raw(this: Self) -> NonNull<T> {
            let pointer = this.pointer;
            std::mem::forget(this);
            pointer
        }
    }

    impl<T: AlwaysRefCounted> Clone for ARef<T> {
        fn clone(&self) -> Self {
            self.inc_ref();
            // SAFETY: The reference was just made.
            unsafe { Self::from_raw(self.pointer) }
        }
    }

    impl<T: AlwaysRefCounted> Deref for ARef<T> {
        type Target = T;

        fn deref(&self) -> &T {
            // SAFETY: The reference keeps it alive.
            unsafe { self.pointer.as_ref() }
        }
    }

    impl<T: AlwaysRefCounted> From<&T> for ARef<T> {
        fn from(value: &T) -> Self {
            value.inc_ref();
            // SAFETY: The reference was just made.
            unsafe { Self::from_raw(NonNull::from(value)) }
        }
    }

    impl<T: AlwaysRefCounted> Drop for ARef<T> {
        fn drop(&mut self) {
            // SAFETY: The reference is ours.
            unsafe { T::dec_ref(self.pointer) };
        }
    }
}

/// RCU, as far as somebody waits for readers.
pub mod rcu {
    use crate::world::world;
    use loom::sync::{
        Condvar,
        Mutex, //
    };

    /// The readers of an execution.
    struct Readers {
        count: Mutex<usize>,
        gone: Condvar,
    }

    loom::lazy_static! {
        static ref READERS: Readers = Readers {
            count: Mutex::new(0),
            gone: Condvar::new(),
        };
    }

    /// A reader.
    pub struct Guard(bool);

    pub fn read_lock() -> Guard {
        // Where nobody waits, a lock would order what nothing orders.
        let is_waited_for = world().waits_for_readers.get();
        let id = loom::thread::current().id();
        world().readers.borrow_mut().entry(id).or_default().0 += 1;
        if is_waited_for {
            *READERS.count.lock().unwrap() += 1;
        }
        Guard(is_waited_for)
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            let id = loom::thread::current().id();
            if let Some((depth, found)) = world().readers.borrow_mut().get_mut(&id) {
                *depth -= 1;
                if *depth == 0 {
                    found.clear();
                }
            }
            if self.0 {
                *READERS.count.lock().unwrap() -= 1;
                READERS.gone.notify_all();
            }
        }
    }

    /// A reader has found `pointer`, which must not be freed before it is gone.
    pub fn found(pointer: *const u8) {
        let id = loom::thread::current().id();
        if let Some((_, found)) = world().readers.borrow_mut().get_mut(&id) {
            found.push(pointer as usize);
        }
    }

    /// Waits until those are gone that read now.
    pub fn synchronize() {
        if !world().waits_for_readers.get() {
            return;
        }
        let mut count = READERS.count.lock().unwrap();
        while *count > 0 {
            count = READERS.gone.wait(count).unwrap();
        }
    }
}
