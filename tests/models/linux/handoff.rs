// SPDX-License-Identifier: GPL-2.0

//! In the place of `src/linux/handoff.rs`: nobody takes a connection.

use super::bindings::sock;
use super::callbacks::Events;
use super::context::MaySleep;
use super::sock::Sock;
use core::ptr::NonNull;

#[derive(Clone, Copy)]
pub(crate) enum Refused {
    NoListener,
}

impl<T: Events> Sock<T> {
    pub(crate) fn give(&self, _: u16, _: &MaySleep) -> Result<(), Refused> {
        Err(Refused::NoListener)
    }
}

pub(super) unsafe fn pass_on(_: NonNull<sock>, _: NonNull<sock>, _: u16) -> Result<(), Refused> {
    Err(Refused::NoListener)
}
