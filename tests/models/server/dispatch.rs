// SPDX-License-Identifier: GPL-2.0

//! Decisions: nothing in the models makes any.

#[derive(Clone, Copy)]
pub(crate) struct Reason;
