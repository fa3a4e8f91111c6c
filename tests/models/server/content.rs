// SPDX-License-Identifier: GPL-2.0

//! Reading: nothing in the models reads.

use crate::linux::context::MaySleep;
use crate::linux::fragment::Fragments;
use kernel::prelude::*;

/// As many as there.
pub(super) const FRAGMENTS: usize = 1;

pub(super) struct Read(Fragments);

impl Read {
    pub(super) fn run(self, _: &MaySleep) -> (Fragments, Result<usize>) {
        (self.0, Ok(0))
    }
}
