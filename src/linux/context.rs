// SPDX-License-Identifier: GPL-2.0

//! The context that code runs in, as a type.

use super::bindings;
use core::marker::PhantomData;
use kernel::{
    ffi::c_long,
    task,
    time::Jiffies,
    types::NotThreadSafe, //
};

/// A proof that the caller runs in a context that may sleep.
///
/// Operations that may sleep take a reference to one. The places where such a context begins make
/// it: the module's init and exit, a kernel thread, a work item, a handler of a sysctl. A socket
/// callback has no way to one that a reviewer would not see.
pub(crate) struct MaySleep(PhantomData<NotThreadSafe>);

impl MaySleep {
    /// Begins a context that may sleep. A kernel with `CONFIG_DEBUG_ATOMIC_SLEEP` checks it.
    #[track_caller]
    pub(crate) fn begin() -> Self {
        task::might_sleep();
        Self(PhantomData)
    }

    /// Lets others run, if they should.
    pub(crate) fn yield_now(&self) {
        // SAFETY: This may sleep, as `self` shows.
        unsafe { bindings::cond_resched() };
    }

    /// Whether the task has a signal that it has not dealt with: somebody wants it to come back.
    pub(crate) fn has_signal(&self) -> bool {
        // SAFETY: This has no precondition.
        unsafe { bindings::signal_pending() }
    }

    /// Sleeps for that long, whatever signals come. Nobody takes it for a task that hangs.
    pub(crate) fn pause(&self, time: Jiffies) {
        let time = c_long::try_from(time).unwrap_or(c_long::MAX);
        // SAFETY: This has no precondition.
        unsafe { bindings::set_current_state_idle() };
        // SAFETY: This may sleep, as `self` shows.
        unsafe { bindings::schedule_timeout(time) };
    }
}

/// The context of a socket's callback: it must not sleep.
pub(crate) enum Softirq {}

/// A context in which a connection's state may be used, see
/// [`Locked`](super::sock::Locked).
pub(crate) trait Context {
    /// Whether the sock is owned, and its input thus waits in the backlog; else its slock is held.
    const OWNS: bool;
}

impl Context for MaySleep {
    const OWNS: bool = true;
}

impl Context for Softirq {
    const OWNS: bool = false;
}
