// SPDX-License-Identifier: GPL-2.0

//! In the place of `src/server/store.rs`: nothing is found twice.

use super::config::Config;
use super::shared::Shared;
use crate::linux::context::MaySleep;
use kernel::prelude::*;
use kernel::sync::Arc;

/// Nothing.
pub(super) struct Store;

impl Store {
    /// Nothing.
    pub(super) fn new(_: &Arc<Config>) -> Result<Arc<Self>> {
        Ok(Arc::new(Self, GFP_KERNEL)?)
    }

    /// Itself.
    pub(super) fn cache(&self) -> &Self {
        self
    }

    /// None.
    pub(super) fn count(&self) -> u32 {
        0
    }

    /// There is nothing to throw out.
    pub(super) fn sweep(&self, _: usize, _: usize, _: &Config, _: &Shared, _: &MaySleep) {}

    /// There is nothing to throw out.
    pub(super) fn clear(&self, _: &Shared, _: &MaySleep) {}
}
