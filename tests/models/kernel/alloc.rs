// SPDX-License-Identifier: GPL-2.0

//! Memory, which lacks when the model says so.

use crate::world::world;
use std::alloc::Layout;
use std::ops::{
    Deref,
    DerefMut, //
};
use std::ptr::NonNull;

/// Flags of an allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Flags(pub u32);

impl std::ops::BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The flags.
pub mod flags {
    use super::Flags;

    pub const GFP_KERNEL: Flags = Flags(1);
    pub const GFP_ATOMIC: Flags = Flags(2);
    pub const __GFP_NOWARN: Flags = Flags(4);
}

/// There is no memory.
#[derive(Debug)]
pub struct AllocError;

/// There is no room.
#[derive(Debug)]
pub struct PushError<T>(pub T);

/// A box. Its memory is kept until the end of the execution.
pub struct KBox<T>(NonNull<T>);

// SAFETY: The value is the box's alone.
unsafe impl<T: Send> Send for KBox<T> {}
// SAFETY: As above.
unsafe impl<T: Sync> Sync for KBox<T> {}

impl<T> KBox<T> {
    pub fn new(value: T, flags: Flags) -> Result<Self, AllocError> {
        let memory: NonNull<T> = allocate(Layout::new::<T>(), flags)?.cast();
        // SAFETY: The memory is for a `T`.
        unsafe { memory.write(value) };
        Ok(Self(memory))
    }

    pub fn into_raw(boxed: Self) -> *mut T {
        let pointer = boxed.0.as_ptr();
        std::mem::forget(boxed);
        pointer
    }

    pub unsafe fn from_raw(pointer: *mut T) -> Self {
        Self(NonNull::new(pointer).expect("a box"))
    }

    pub fn into_inner(boxed: Self) -> T {
        let pointer = Self::into_raw(boxed);
        // SAFETY: The value moves out of the box, whose memory is given back.
        let value = unsafe { pointer.read() };
        free(pointer.cast());
        value
    }
}

/// Memory for a value.
pub fn allocate(layout: Layout, flags: Flags) -> Result<NonNull<u8>, AllocError> {
    let world = world();
    if flags.0 & flags::GFP_ATOMIC.0 != 0 && world.failures.get() > 0 {
        world.failures.set(world.failures.get() - 1);
        return Err(AllocError);
    }
    assert_ne!(layout.size(), 0);
    // SAFETY: The size is not 0.
    let memory = NonNull::new(unsafe { std::alloc::alloc(layout) }).expect("memory");
    let address = memory.as_ptr() as usize;
    world.memory.borrow_mut().insert(address, layout);
    Ok(memory)
}

/// Gives back memory whose value is gone, and which no reader of RCU has found.
fn free(pointer: *mut u8) {
    for (_, found) in world().readers.borrow().values() {
        let is_found = found.contains(&(pointer as usize));
        assert!(!is_found, "memory is freed that a reader has found");
    }
    world().gone.borrow_mut().insert(pointer as usize);
    free_rcu(pointer);
}

/// Gives back memory when its readers are gone.
pub fn free_rcu(pointer: *mut u8) {
    let world = world();
    let layout = world.memory.borrow_mut().remove(&(pointer as usize));
    let layout = layout.expect("memory that is freed was allocated, and not freed before");
    world.freed.borrow_mut().insert(pointer as usize, layout);
}

/// Fails if `pointer`, which a reader of RCU has found, is to memory that was freed without regard
/// to readers.
pub fn assert_alive(pointer: *const u8) {
    let is_gone = world().gone.borrow().contains(&(pointer as usize));
    assert!(!is_gone, "memory is used that was freed");
}

impl<T> Drop for KBox<T> {
    fn drop(&mut self) {
        // SAFETY: The value is the box's.
        unsafe { self.0.drop_in_place() };
        free(self.0.as_ptr().cast());
    }
}

impl<T> Deref for KBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The value is the box's.
        unsafe { self.0.as_ref() }
    }
}

impl<T> DerefMut for KBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The value is the box's.
        unsafe { self.0.as_mut() }
    }
}

/// A vector.
pub struct KVec<T>(Vec<T>);

/// The same, of many pages.
pub type KVVec<T> = KVec<T>;

impl<T> KVec<T> {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    pub fn with_capacity(capacity: usize, _: Flags) -> Result<Self, AllocError> {
        Ok(Self(Vec::with_capacity(capacity)))
    }

    pub fn from_elem(value: T, count: usize, _: Flags) -> Result<Self, AllocError>
    where
        T: Clone,
    {
        Ok(Self(vec![value; count]))
    }

    pub fn push_within_capacity(&mut self, value: T) -> Result<(), PushError<T>> {
        if self.0.len() == self.0.capacity() {
            return Err(PushError(value));
        }
        self.0.push(value);
        Ok(())
    }
}

impl<T> Deref for KVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for KVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T> Default for KVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> IntoIterator for KVec<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a KVec<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
