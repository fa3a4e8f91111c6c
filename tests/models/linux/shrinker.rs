// SPDX-License-Identifier: GPL-2.0

//! In the place of `src/linux/shrinker.rs`: no memory lacks.

use super::context::MaySleep;
use kernel::prelude::*;
use kernel::sync::Arc;

/// Nothing.
pub(crate) struct Shrinker<T>(Arc<T>);

impl<T> Shrinker<T> {
    /// Holds the objects, as the kernel does.
    pub(crate) fn new(_: &'static CStr, objects: Arc<T>, _: &MaySleep) -> Result<Self> {
        Ok(Self(objects))
    }
}

impl<T> Drop for Shrinker<T> {
    fn drop(&mut self) {
        let _ = &self.0;
    }
}
