// SPDX-License-Identifier: GPL-2.0

//! A response: while it is sent, loom watches that nobody else looks at it.

use crate::linux::stream::Stream;
use loom::cell::UnsafeCell;

pub(crate) struct Response {
    sent: UnsafeCell<u32>,
}

// SAFETY: It is behind the socket's lock; loom fails if it is not.
unsafe impl Send for Response {}

impl Response {
    pub(super) fn new() -> Self {
        Self {
            sent: UnsafeCell::new(0),
        }
    }

    /// Whether it waits for a file.
    pub(super) fn is_reading(&self) -> bool {
        // SAFETY: Loom fails if somebody writes meanwhile.
        self.sent.with(|sent| unsafe { *sent }) > 1
    }

    /// Sends; the stack calls back from within.
    pub(super) fn send(&mut self, stream: &mut Stream<'_>) {
        self.sent.with_mut(|sent| {
            // SAFETY: Loom fails if somebody reads or writes meanwhile.
            unsafe { *sent = 1 };
            stream.send();
        });
    }
}
