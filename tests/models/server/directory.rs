// SPDX-License-Identifier: GPL-2.0

//! Listings, of which no model makes any.

/// What they would take their memory from.
pub(super) struct Memory(());

impl Memory {
    pub(super) fn new() -> Self {
        Self(())
    }
}
