// SPDX-License-Identifier: GPL-2.0

//! A look-up that waits. What it leads to is watched by loom.

use super::job::IsWanted;
use super::outcome;
use super::shared::Shared;
use crate::linux::context::MaySleep;
use kernel::sync::Arc;
use loom::cell::UnsafeCell;

pub(super) const BEYOND: usize = 8;

/// The task.
pub(crate) struct Open {
    asked: UnsafeCell<u32>,
    /// Whether it may go anywhere.
    is_free: bool,
}

/// What a look-up comes to.
pub(super) enum Resolution {
    /// A file.
    Opened(Opened),
    /// There is no memory.
    Busy,
}

/// What a task leads to, made by another thread than reads it.
pub(crate) struct Opened {
    found: UnsafeCell<u32>,
}

impl Open {
    pub(super) fn new() -> Self {
        let open = Self {
            asked: UnsafeCell::new(0),
            is_free: false,
        };
        // SAFETY: Nobody else has it.
        open.asked.with_mut(|asked| unsafe { *asked = 7 });
        open
    }

    /// Looks up.
    pub(super) fn run(
        mut self,
        _: &Arc<Shared>,
        _: &IsWanted<'_>,
        _: &MaySleep,
    ) -> Result<Resolution, Self> {
        outcome::tell(|outcome| outcome.begun += 1);
        if outcome::hangs() {
            outcome::wait(|outcome| outcome.goes_on);
        }
        if outcome::wanders() && !self.is_free {
            self.is_free = true;
            return Err(self);
        }
        // SAFETY: Loom fails if somebody writes meanwhile.
        let asked = self.asked.with(|asked| unsafe { *asked });
        let opened = Opened {
            found: UnsafeCell::new(0),
        };
        // SAFETY: Nobody else has it.
        opened.found.with_mut(|found| unsafe { *found = asked });
        Ok(Resolution::Opened(opened))
    }
}

impl Opened {
    /// Reads what was found.
    pub(super) fn check(&self) {
        // SAFETY: Loom fails if somebody writes meanwhile.
        let found = self.found.with(|found| unsafe { *found });
        assert_eq!(found, 7);
    }
}
