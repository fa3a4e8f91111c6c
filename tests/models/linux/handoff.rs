// SPDX-License-Identifier: GPL-2.0

//! In the place of `src/linux/handoff.rs`: nobody takes a connection.

use super::callbacks::Events;
use super::context::MaySleep;
use super::sock::Sock;

#[derive(Clone, Copy)]
pub(crate) enum Refused {
    NoListener,
}

impl<T: Events> Sock<T> {
    pub(crate) fn give(&self, _: u16, _: &MaySleep) -> Result<(), Refused> {
        Err(Refused::NoListener)
    }
}
