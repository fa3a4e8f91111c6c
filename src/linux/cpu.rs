// SPDX-License-Identifier: GPL-2.0

//! The CPUs of the machine.
//!
//! C header: [`include/linux/cpumask.h`](srctree/include/linux/cpumask.h)

use super::bindings;
use kernel::cpu::nr_cpu_ids;

/// The numbers of the CPUs that are online now; they need not be contiguous, and may change.
pub(crate) fn online() -> impl Iterator<Item = u32> {
    // SAFETY: The number is less than `nr_cpu_ids`.
    (0..nr_cpu_ids()).filter(|cpu| unsafe { bindings::cpu_online(*cpu) })
}
