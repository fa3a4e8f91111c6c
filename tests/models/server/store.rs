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

    /// Always.
    pub(super) fn is_empty(&self) -> bool {
        true
    }

    /// There is nothing to throw out.
    pub(super) fn sweep(&self, _: u64, _: u64, _: &Config, _: &Shared, _: &MaySleep) {}

    /// There is nothing to throw out.
    pub(super) fn clear(&self, _: &Shared, _: &MaySleep) {}
}
