// SPDX-License-Identifier: GPL-2.0

//! What gives memory back when the machine lacks it.
//!
//! C header: [`include/linux/shrinker.h`](srctree/include/linux/shrinker.h)

use super::bindings;
use super::context::MaySleep;
use core::marker::PhantomData;
use core::ptr::NonNull;
use kernel::ffi::c_ulong;
use kernel::prelude::*;
use kernel::sync::Arc;

/// Objects that are kept, and can be let go.
///
/// Both methods are called by whoever lacks memory, in the middle of what it does, with locks of
/// its own: they must neither sleep nor allocate, nor take a lock with which anybody allocates.
pub(crate) trait Shrink: Send + Sync + 'static {
    /// How many objects can be let go.
    fn count(&self) -> usize;

    /// Sees to it that up to `most` objects are let go soon. Returns how many.
    fn shrink(&self, most: usize) -> usize;
}

/// The registration of a `T`.
///
/// Dropping it waits for the methods that run; none does afterwards. So it must not be dropped by
/// one of them.
///
/// # Invariants
///
/// `shrinker` is registered, ours to free, and its data is `_objects`.
pub(crate) struct Shrinker<T: Shrink> {
    shrinker: NonNull<bindings::shrinker>,
    /// Released after `drop()` has taken the registration back.
    _objects: Arc<T>,
}

// SAFETY: Any thread may free a shrinker; `T` is `Send` and `Sync`.
unsafe impl<T: Shrink> Send for Shrinker<T> {}
// SAFETY: There are no methods; `T` is `Sync`.
unsafe impl<T: Shrink> Sync for Shrinker<T> {}

impl<T: Shrink> Shrinker<T> {
    /// Registers `objects` under that name.
    ///
    /// The methods may be called before this returns.
    pub(crate) fn new(name: &'static CStr, objects: Arc<T>, _context: &MaySleep) -> Result<Self> {
        // SAFETY: `name` ends in NUL, as the format demands, and is copied; this may sleep.
        let shrinker =
            unsafe { bindings::shrinker_alloc(0, c"%s".as_char_ptr(), name.as_char_ptr()) };
        let shrinker = NonNull::new(shrinker).ok_or(ENOMEM)?;
        let raw = shrinker.as_ptr();
        // SAFETY: It was allocated just now, and nobody else knows of it.
        unsafe {
            (*raw).count_objects = Some(Callbacks::<T>::count);
            (*raw).scan_objects = Some(Callbacks::<T>::scan);
            (*raw).private_data = Arc::as_ptr(&objects).cast_mut().cast();
        }
        // SAFETY: It is complete, and its data lives until it is freed; this may sleep.
        unsafe { bindings::shrinker_register(raw) };
        // INVARIANT: It was registered just now, with that data.
        Ok(Self {
            shrinker,
            _objects: objects,
        })
    }
}

impl<T: Shrink> Drop for Shrinker<T> {
    /// May sleep.
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is ours. This waits for its functions.
        unsafe { bindings::shrinker_free(self.shrinker.as_ptr()) };
    }
}

/// What the kernel calls for a [`Shrinker<T>`].
struct Callbacks<T: Shrink>(PhantomData<T>);

impl<T: Shrink> Callbacks<T> {
    /// The objects.
    ///
    /// # Safety
    ///
    /// `shrinker` is that of a [`Shrinker<T>`], and not freed for as long as the result is used.
    unsafe fn objects<'a>(shrinker: *mut bindings::shrinker) -> &'a T {
        // SAFETY: By the safety requirements the data is a `T`, which outlives the registration.
        unsafe { &*(*shrinker).private_data.cast::<T>() }
    }

    /// Counts the objects.
    ///
    /// # Safety
    ///
    /// Called by `do_shrink_slab()` for a [`Shrinker<T>`], which is not freed meanwhile.
    unsafe extern "C" fn count(
        shrinker: *mut bindings::shrinker,
        _: *mut bindings::shrink_control,
    ) -> c_ulong {
        // SAFETY: By the safety requirements.
        unsafe { Self::objects(shrinker) }.count()
    }

    /// Lets objects go.
    ///
    /// # Safety
    ///
    /// As for [`Self::count`]; `control` is valid.
    unsafe extern "C" fn scan(
        shrinker: *mut bindings::shrinker,
        control: *mut bindings::shrink_control,
    ) -> c_ulong {
        // SAFETY: By the safety requirements.
        let most = unsafe { (*control).nr_to_scan };
        // SAFETY: By the safety requirements.
        unsafe { Self::objects(shrinker) }.shrink(most)
    }
}
