// SPDX-License-Identifier: GPL-2.0

//! In the place of `src/server/store.rs`: nothing is found twice.

use super::config::Config;
use super::shared::Shared;
use super::stats::Kept;
use crate::linux::context::MaySleep;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::Arc;
use kernel::task::Task;

/// Nothing.
pub(super) struct Store;

impl Store {
    /// Nothing.
    pub(super) fn new(_: &Arc<Config>, _: &Arc<Kept>) -> Result<Arc<Self>> {
        Ok(Arc::new(Self, GFP_KERNEL)?)
    }

    /// Always.
    pub(super) fn is_empty(&self) -> bool {
        true
    }

    /// Nobody has to be woken.
    pub(super) fn set_thread(&self, _: ARef<Task>) {}

    /// Never.
    pub(super) fn wants_sweep(&self) -> bool {
        false
    }

    /// There is nothing to throw out.
    pub(super) fn sweep(&self, _: u64, _: u64, _: &Config, _: &Shared, _: &MaySleep) -> u64 {
        0
    }

    /// There is nothing to throw out.
    pub(super) fn clear(&self, _: &Shared, _: &MaySleep) {}
}
