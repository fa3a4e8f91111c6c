// SPDX-License-Identifier: GPL-2.0

//! Work queues: each item has a thread of its own.

use crate::sync::Arc;
pub use crate::{
    impl_has_work,
    new_work, //
};
use std::cell::RefCell;
use std::marker::PhantomData;

/// A work queue.
#[derive(Default)]
pub struct Queue {
    threads: RefCell<Vec<loom::thread::JoinHandle<()>>>,
}

/// What is done.
pub trait WorkItem: Sized {
    type Pointer;

    fn run(this: Self::Pointer);
}

/// The part of an item that belongs to its queue.
pub struct Work<T>(PhantomData<T>);

// SAFETY: There is nothing in it.
unsafe impl<T> Send for Work<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for Work<T> {}

impl<T> Work<T> {
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl Queue {
    pub unsafe fn from_raw<'a>(pointer: *const Queue) -> &'a Self {
        // SAFETY: The caller's promise.
        unsafe { &*pointer }
    }

    /// Queues `item`.
    pub fn enqueue<T: WorkItem<Pointer = Arc<T>> + 'static>(
        &self,
        item: Arc<T>,
    ) -> Result<(), Arc<T>> {
        let thread = loom::thread::spawn(move || T::run(item));
        self.threads.borrow_mut().push(thread);
        Ok(())
    }

    /// Waits for all items.
    pub fn drain(&self) {
        loop {
            let Some(thread) = self.threads.borrow_mut().pop() else {
                break;
            };
            thread.join().expect("no panic");
        }
    }
}

/// Makes a [`Work`].
#[macro_export]
macro_rules! new_work {
    ($name:literal) => {
        $crate::workqueue::Work::new()
    };
}

/// Says where an item has its [`Work`].
#[macro_export]
macro_rules! impl_has_work {
    ($($tokens:tt)*) => {};
}
