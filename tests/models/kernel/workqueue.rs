// SPDX-License-Identifier: GPL-2.0

//! Work queues: each item has a thread of its own.

use crate::sync::Arc;
pub use crate::{
    impl_has_work,
    new_work, //
};
use loom::sync::atomic::{
    AtomicUsize,
    Ordering::AcqRel, //
};
use std::cell::{
    Cell,
    RefCell, //
};
use std::mem::ManuallyDrop;
use std::rc::Rc;

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

/// What can be queued.
pub trait RawWorkItem<const ID: u64>: Sized {
    type EnqueueOutput;

    fn enqueue(self, queue: &Queue) -> Self::EnqueueOutput;
}

/// An item that has its part which belongs to its queue.
pub trait HasWork: Sized {
    fn work(&self) -> &Work<Self>;
}

/// Bits of [`State::bits`].
const PENDING: usize = 1;
const RUNNING: usize = 2;

/// Where an item is. It outlives the item, as what the kernel has for the same purpose does.
struct State<T> {
    /// Never dropped, as loom knows nothing of the references that were counted before.
    bits: ManuallyDrop<AtomicUsize>,
    /// The reference of the queue, while the item is pending.
    item: Cell<Option<Arc<T>>>,
}

/// The part of an item that belongs to its queue.
pub struct Work<T>(Rc<State<T>>);

// SAFETY: Loom runs one thread at a time.
unsafe impl<T> Send for Work<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for Work<T> {}

impl<T> Work<T> {
    pub fn new() -> Self {
        Self(Rc::new(State {
            bits: ManuallyDrop::new(AtomicUsize::new(0)),
            item: Cell::new(None),
        }))
    }
}

impl<T: WorkItem<Pointer = Arc<T>> + HasWork + 'static> RawWorkItem<0> for Arc<T> {
    type EnqueueOutput = Result<(), Self>;

    /// An item that runs is run again when it has ended, by the same thread: the kernel lets none
    /// run twice at a time.
    fn enqueue(self, queue: &Queue) -> Result<(), Self> {
        let state = self.work().0.clone();
        let before = state.bits.fetch_or(PENDING, AcqRel);
        if before & PENDING != 0 {
            return Err(self);
        }
        state.item.set(Some(self));
        if before & RUNNING != 0 {
            return Ok(());
        }
        let thread = loom::thread::spawn(move || loop {
            state.bits.swap(RUNNING, AcqRel);
            T::run(state.item.take().expect("an item"));
            if state.bits.fetch_and(!RUNNING, AcqRel) & PENDING == 0 {
                break;
            }
        });
        queue.threads.borrow_mut().push(thread);
        Ok(())
    }
}

impl Queue {
    pub unsafe fn from_raw<'a>(pointer: *const Queue) -> &'a Self {
        // SAFETY: The caller's promise.
        unsafe { &*pointer }
    }

    /// Queues `item`.
    pub fn enqueue<W: RawWorkItem<0>>(&self, item: W) -> W::EnqueueOutput {
        item.enqueue(self)
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
    (impl HasWork<Self> for $type:ty { self.$field:ident }) => {
        impl $crate::workqueue::HasWork for $type {
            fn work(&self) -> &$crate::workqueue::Work<Self> {
                &self.$field
            }
        }
    };
}
