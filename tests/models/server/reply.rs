// SPDX-License-Identifier: GPL-2.0

//! Heads of responses: nothing in the models writes any.

pub(super) const HEAD_LEN: usize = 8;

pub(crate) struct Moment {
    pub(super) seconds: i64,
}

impl Moment {
    pub(super) fn new(seconds: i64) -> Self {
        Self { seconds }
    }
}
