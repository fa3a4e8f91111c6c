// SPDX-License-Identifier: GPL-2.0

//! Files: closing one is all that the models do with it.

use crate::linux::context::MaySleep;
use crate::server::outcome;
use loom::cell::UnsafeCell;

pub(crate) struct File {
    is_open: UnsafeCell<bool>,
    hangs: bool,
}

// SAFETY: One thread has it; loom fails if another does.
unsafe impl Send for File {}
// SAFETY: As above.
unsafe impl Sync for File {}

impl File {
    pub(crate) fn new() -> Self {
        Self {
            is_open: UnsafeCell::new(true),
            hangs: false,
        }
    }

    /// A file that can't be closed before another one is that doesn't hang.
    pub(crate) fn hanging() -> Self {
        Self {
            is_open: UnsafeCell::new(true),
            hangs: true,
        }
    }

    pub(crate) fn close(self, _: &MaySleep) {
        drop(self);
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if self.hangs {
            outcome::wait(|outcome| outcome.closed > 0);
        }
        // SAFETY: Loom fails if somebody else has it meanwhile.
        self.is_open.with_mut(|is_open| unsafe { *is_open = false });
        outcome::tell(|outcome| outcome.closed += 1);
    }
}
