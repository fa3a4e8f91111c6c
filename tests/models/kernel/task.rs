// SPDX-License-Identifier: GPL-2.0

//! Threads, and how they sleep and are woken.

use crate::sync::aref::AlwaysRefCounted;
use crate::world::world;
use core::ffi::{
    c_int,
    c_long,
    c_void, //
};
use loom::sync::atomic::{
    fence,
    AtomicBool,
    Ordering::{
        Relaxed,
        SeqCst, //
    }, //
};
use std::cell::{
    Cell,
    RefCell, //
};
use std::collections::HashMap;
use std::ptr::NonNull;
use std::rc::Rc;

/// The shortest timeout.
const TICK: c_long = 1;

/// A thread's function and its argument.
type Start = (unsafe extern "C" fn(*mut c_void) -> c_int, *mut c_void);

/// A kernel thread.
pub struct Task {
    /// `TASK_IDLE`, else it runs.
    is_idle: AtomicBool,
    should_stop: AtomicBool,
    /// Stands for the locks of the scheduler.
    lock: loom::sync::Mutex<()>,
    woken: loom::sync::Condvar,
    start: Cell<Option<Start>>,
    thread: RefCell<Option<loom::thread::JoinHandle<()>>>,
}

thread_local! {
    /// The tasks of the threads of loom.
    static TASKS: RefCell<HashMap<loom::thread::ThreadId, Rc<Task>>> = RefCell::default();
}

/// Forgets the tasks.
pub fn forget() {
    TASKS.take();
}

/// The task that runs, if it is a kernel thread.
fn try_current() -> Option<Rc<Task>> {
    let id = loom::thread::current().id();
    TASKS.with_borrow(|tasks| tasks.get(&id).cloned())
}

/// The kernel thread that runs.
fn current() -> Rc<Task> {
    try_current().expect("a kernel thread")
}

pub fn might_sleep() {}

// SAFETY: The world keeps a task until its end.
unsafe impl AlwaysRefCounted for Task {
    fn inc_ref(&self) {}
    unsafe fn dec_ref(_: NonNull<Self>) {}
}

impl Task {
    pub fn as_ptr(&self) -> *mut Task {
        std::ptr::from_ref(self).cast_mut()
    }

    /// `wake_up_process()`.
    pub fn wake_up(&self) {
        if let Some((function, argument)) = self.start.take() {
            let this = self.as_ptr();
            let thread = loom::thread::spawn(move || {
                // SAFETY: The world keeps the task, by an `Rc`.
                let task = unsafe {
                    Rc::increment_strong_count(this);
                    Rc::from_raw(this)
                };
                let id = loom::thread::current().id();
                TASKS.with_borrow_mut(|tasks| tasks.insert(id, task));
                // SAFETY: As `kthread_create()` was told.
                unsafe { function(argument) };
            });
            self.thread.replace(Some(thread));
            return;
        }
        let guard = self.lock.lock().unwrap();
        // smp_mb__after_spinlock() of try_to_wake_up().
        fence(SeqCst);
        if self.is_idle.load(Relaxed) {
            self.is_idle.swap(false, Relaxed);
            self.woken.notify_all();
        }
        drop(guard);
    }
}

/// `kthread_create()`. The thread begins with its first wake-up.
pub unsafe fn kthread_create(
    function: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
    argument: *mut c_void,
    _number: c_int,
) -> *mut Task {
    let task = Rc::new(Task {
        is_idle: AtomicBool::new(false),
        should_stop: AtomicBool::new(false),
        lock: loom::sync::Mutex::new(()),
        woken: loom::sync::Condvar::new(),
        start: Cell::new(function.map(|function| (function, argument))),
        thread: RefCell::new(None),
    });
    let pointer = task.as_ptr();
    world().kept.borrow_mut().push(Box::new(task));
    pointer
}

/// `kthread_stop()`.
pub unsafe fn kthread_stop(task: *mut Task) {
    // SAFETY: The world keeps the task.
    let task = unsafe { &*task };
    task.should_stop.store(true, Relaxed);
    task.wake_up();
    let thread = task.thread.take().expect("a thread that runs");
    thread.join().expect("no panic");
}

pub unsafe fn kthread_should_stop() -> bool {
    current().should_stop.load(Relaxed)
}

/// `set_current_state(TASK_IDLE)`, which is a store and a full barrier.
pub unsafe fn set_current_state_idle() {
    if let Some(task) = try_current() {
        task.is_idle.swap(true, Relaxed);
        fence(SeqCst);
    }
}

pub unsafe fn set_current_state_running() {
    current().is_idle.swap(false, Relaxed);
}

/// `schedule_timeout()`. The clock wakes a kernel thread that sleeps for a tick, unless the model
/// says otherwise, and one that sleeps for longer only as often as the model says. Anybody
/// else lets others run until they wait, too, so that what it looks for must have come soon.
pub unsafe fn schedule_timeout(timeout: c_long) -> c_long {
    let world = world();
    let Some(task) = try_current() else {
        world.pauses.set(world.pauses.get() + 1);
        assert!(world.pauses.get() < 100, "what is waited for never comes");
        loom::thread::yield_now();
        return 0;
    };
    let mut guard = task.lock.lock().unwrap();
    while task.is_idle.load(Relaxed) {
        if timeout == TICK && !world.is_tickless.get() {
            break;
        }
        if timeout != c_long::MAX && world.ticks.get() > 0 {
            world.ticks.set(world.ticks.get() - 1);
            world.now.set(world.now.get() + 1);
            break;
        }
        guard = task.woken.wait(guard).unwrap();
    }
    drop(guard);
    0
}
