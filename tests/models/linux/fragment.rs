// SPDX-License-Identifier: GPL-2.0

//! Page fragments: nothing in the models sends any.

use kernel::alloc::Flags;
use kernel::prelude::*;

pub(crate) struct Fragments;

impl Fragments {
    /// Nothing.
    pub(crate) fn new(_: usize, _: Flags) -> Result<Self> {
        Ok(Self)
    }

    /// There is nothing to remove.
    pub(crate) fn clear(&mut self) {}
}
