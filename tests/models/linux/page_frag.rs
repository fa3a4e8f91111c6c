// SPDX-License-Identifier: GPL-2.0

//! Page fragments: nothing in the models needs any.

pub(crate) struct Cache;

impl Cache {
    pub(crate) fn new() -> Self {
        Self
    }
}
