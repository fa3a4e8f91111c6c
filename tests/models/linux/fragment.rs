// SPDX-License-Identifier: GPL-2.0

//! Page fragments: nothing in the models sends any.

pub(crate) struct Fragments;
