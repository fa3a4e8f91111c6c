// SPDX-License-Identifier: GPL-2.0

//! The streams of a sock: octets are a number.

use super::bindings;
use core::marker::PhantomData;
use core::ptr::NonNull;
use kernel::prelude::*;

pub(crate) struct Stream<'a> {
    sk: NonNull<bindings::sock>,
    _locked: PhantomData<&'a mut bindings::sock>,
}

impl Stream<'_> {
    pub(super) unsafe fn from_raw(sk: NonNull<bindings::sock>) -> Self {
        Self {
            sk,
            _locked: PhantomData,
        }
    }

    fn sk(&self) -> &bindings::sock {
        // SAFETY: The world keeps socks.
        unsafe { self.sk.as_ref() }
    }

    pub(crate) fn unread(&self) -> usize {
        // SAFETY: Loom fails if somebody writes meanwhile.
        self.sk()
            .received
            .with(|received| unsafe { (*received).unread })
    }

    pub(crate) fn consume(&mut self, octets: usize) {
        // SAFETY: Loom fails if somebody reads or writes meanwhile.
        self.sk()
            .received
            .with_mut(|received| unsafe { (*received).unread -= octets });
    }

    pub(crate) fn is_read_closed(&self) -> bool {
        // SAFETY: Loom fails if somebody writes meanwhile.
        self.sk()
            .received
            .with(|received| unsafe { (*received).is_ended })
    }

    /// There is always memory for a FIN.
    pub(crate) fn shut_down_send(&mut self) -> Result {
        Ok(())
    }

    /// Nothing is on its way for long.
    pub(crate) fn is_send_queue_empty(&self) -> bool {
        true
    }

    /// Nobody counts.
    pub(crate) fn acknowledged(&self) -> u64 {
        0
    }

    /// All is acknowledged at once.
    pub(crate) fn await_acknowledgement(&mut self) {}

    pub(crate) fn is_closed(&self) -> bool {
        self.sk().state.get() == bindings::TCP_CLOSE
    }

    /// Sends, for which the stack finds room at once, and says so. It also receives what waits.
    pub(crate) fn send(&mut self) {
        // SAFETY: The sock is owned.
        unsafe { bindings::sk_flush_backlog(self.sk.as_ptr()) };
        if let Some(write_space) = self.sk().sk_write_space {
            // SAFETY: The sock is owned.
            unsafe { write_space(self.sk.as_ptr()) };
        }
    }
}
