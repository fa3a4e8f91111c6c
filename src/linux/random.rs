// SPDX-License-Identifier: GPL-2.0

//! Random numbers.
//!
//! C header: [`include/linux/random.h`](srctree/include/linux/random.h)

use super::bindings;

/// A number that nobody can foresee. Any context.
pub(crate) fn u64() -> u64 {
    // SAFETY: This has no precondition.
    unsafe { bindings::get_random_u64() }
}
