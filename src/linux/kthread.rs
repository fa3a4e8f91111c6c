// SPDX-License-Identifier: GPL-2.0

//! A kernel thread bound to a CPU, stopped and joined by `Drop`.
//!
//! C header: [`include/linux/kthread.h`](srctree/include/linux/kthread.h)

use super::bindings;
use super::context::MaySleep;
use kernel::error::from_err_ptr;
use kernel::prelude::*;
use kernel::sync::{
    aref::ARef,
    Arc,
    Completion, //
};
use kernel::task::Task;
use kernel::time::Jiffies;

/// What a thread does.
pub(crate) trait Run: Send + Sync + 'static {
    /// What belongs to the thread alone.
    type Local: Send;

    /// Runs in the thread, until [`This::should_stop`] says so.
    fn run(&self, local: Self::Local, this: &This);
}

/// The calling kernel thread.
pub(crate) struct This {
    may_sleep: MaySleep,
}

impl This {
    /// A thread may sleep.
    pub(crate) fn may_sleep(&self) -> &MaySleep {
        &self.may_sleep
    }

    /// Whether the thread's owner waits for its end.
    pub(crate) fn should_stop(&self) -> bool {
        // SAFETY: The caller is a kernel thread, since only that has a `This`.
        unsafe { bindings::kthread_should_stop() }
    }

    /// Sleeps until it is woken, `timeout` has passed, or the thread should stop; not at all if
    /// `is_ready`. A waker that makes `is_ready` true and then wakes is never missed.
    pub(crate) fn sleep(&self, timeout: Option<Jiffies>, is_ready: impl FnOnce() -> bool) {
        // The largest number is MAX_SCHEDULE_TIMEOUT, which is without end.
        let timeout = timeout.and_then(|timeout| c_long::try_from(timeout).ok());
        let timeout = timeout.unwrap_or(c_long::MAX);
        // The state comes first, so that a waker that comes between it and `schedule()` undoes it.
        //
        // SAFETY: This has no precondition.
        unsafe { bindings::set_current_state_idle() };
        if !is_ready() && !self.should_stop() {
            // SAFETY: The thread may sleep.
            unsafe { bindings::schedule_timeout(timeout) };
        }
        // SAFETY: This has no precondition.
        unsafe { bindings::set_current_state_running() };
    }

    /// Lets others run, if they should.
    pub(crate) fn yield_now(&self) {
        // SAFETY: The thread may sleep.
        unsafe { bindings::cond_resched() };
    }
}

/// What the new thread gets: it lives in the frame of [`Thread::spawn`] until `started`.
struct Start<R: Run> {
    body: Arc<R>,
    local: R::Local,
    started: Arc<Started>,
}

/// Says that a thread runs.
#[pin_data]
struct Started {
    #[pin]
    completion: Completion,
}

/// A running kernel thread.
///
/// # Invariants
///
/// `task` is a kernel thread that was made here, and whose function has begun. `body` is what
/// that function runs.
pub(crate) struct Thread<R: Run> {
    task: ARef<Task>,
    body: Arc<R>,
}

impl<R: Run> Thread<R> {
    /// Starts a thread called `rust_tux/NUMBER` that runs `body` on the CPU `cpu`, and waits until
    /// it runs: what comes after can rely on it. (`kthread_stop()` before a thread's first turn
    /// means that its function is never called.)
    pub(crate) fn spawn(
        body: Arc<R>,
        local: R::Local,
        number: u32,
        cpu: u32,
        _: &MaySleep,
    ) -> Result<Self> {
        let started = Arc::pin_init(
            pin_init!(Started {
                completion <- Completion::new(),
            }),
            GFP_KERNEL,
        )?;
        let start = KBox::new(
            Start {
                body: body.clone(),
                local,
                started: started.clone(),
            },
            GFP_KERNEL,
        )?;
        let argument = KBox::into_raw(start);
        // SAFETY: The function takes the box that `argument` is, once.
        let task = from_err_ptr(unsafe {
            bindings::kthread_create(Some(thread::<R>), argument.cast(), number as c_int)
        });
        let task = match task {
            Ok(task) => task,
            Err(error) => {
                // SAFETY: No thread was made, so that the box is still ours.
                drop(unsafe { KBox::from_raw(argument) });
                return Err(error);
            }
        };
        // SAFETY: The thread was made, and has not run yet.
        unsafe { bindings::kthread_bind(task, cpu) };
        // SAFETY: The thread is alive, as it waits for its first wake-up.
        let task = unsafe { &*task.cast::<Task>() };
        // INVARIANT: Its function has begun when the completion says so.
        let thread = Self {
            task: task.into(),
            body,
        };
        thread.task.wake_up();
        started.completion.wait_for_completion();
        Ok(thread)
    }

    /// What the thread runs.
    pub(crate) fn body(&self) -> &Arc<R> {
        &self.body
    }

    /// The thread, to wake it up. The reference may outlive the thread.
    pub(crate) fn task(&self) -> ARef<Task> {
        self.task.clone()
    }
}

impl<R: Run> Drop for Thread<R> {
    /// Waits for the end of the thread.
    fn drop(&mut self) {
        // SAFETY: By the type invariant the thread's function has begun; it doesn't return before
        // this.
        unsafe { bindings::kthread_stop(self.task.as_ptr().cast()) };
    }
}

/// The function of a thread.
///
/// # Safety
///
/// Called once, by the thread made in [`Thread::spawn`], with the box made there.
unsafe extern "C" fn thread<R: Run>(argument: *mut c_void) -> c_int {
    // SAFETY: The caller's promise.
    let start: KBox<Start<R>> = unsafe { KBox::from_raw(argument.cast()) };
    let Start {
        body,
        local,
        started,
    } = KBox::into_inner(start);
    started.completion.complete_all();
    drop(started);
    let this = This {
        may_sleep: MaySleep::begin(),
    };
    body.run(local, &this);
    drop(body);
    while !this.should_stop() {
        // The task must not go before `kthread_stop()`.
        this.sleep(None, || false);
    }
    0
}
