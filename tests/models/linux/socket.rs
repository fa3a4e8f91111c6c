// SPDX-License-Identifier: GPL-2.0

//! A listening socket.

use super::address::Address;
use super::bindings;
use super::context::MaySleep;
use super::network;
use crate::server::outcome;
use core::ptr::NonNull;
use kernel::prelude::*;

pub(crate) struct Socket(NonNull<bindings::sock>);

// SAFETY: Loom runs one thread at a time.
unsafe impl Send for Socket {}
// SAFETY: As above.
unsafe impl Sync for Socket {}

impl Socket {
    pub(crate) fn new(_: &MaySleep) -> Result<Self> {
        let sk = bindings::sock::new(bindings::TCP_CLOSE);
        NonNull::new(sk).map(Self).ok_or(ENOMEM)
    }

    pub(super) fn sk(&self) -> NonNull<bindings::sock> {
        self.0
    }

    pub(crate) fn allow_others(&self) {}

    pub(crate) fn is_first(&self) -> bool {
        true
    }

    pub(crate) fn bind(&self, _: &Address, _: u16) -> Result {
        if network::listen_fails() {
            return Err(EADDRINUSE);
        }
        Ok(())
    }

    pub(crate) fn listen(&self, _: u32) -> Result {
        // SAFETY: The world keeps socks.
        unsafe { self.0.as_ref() }.state.set(bindings::TCP_LISTEN);
        network::set_listener(self.0.as_ptr());
        outcome::tell(|outcome| outcome.listening += 1);
        Ok(())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: The reference is ours.
        unsafe { bindings::sk_prot_close(self.0.as_ptr()) };
    }
}
