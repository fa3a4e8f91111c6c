// SPDX-License-Identifier: GPL-2.0

//! Credentials: nothing in the models asks for them.

use super::context::MaySleep;
use kernel::prelude::*;

pub(crate) struct Credentials;

impl Credentials {
    pub(crate) fn unprivileged(_: u32, _: &MaySleep) -> Result<Self> {
        Ok(Self)
    }

    pub(crate) fn assume<T>(&self, work: impl FnOnce() -> T) -> T {
        work()
    }
}
