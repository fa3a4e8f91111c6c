// SPDX-License-Identifier: GPL-2.0

//! The CPUs of the machine.
//!
//! C header: [`include/linux/cpumask.h`](srctree/include/linux/cpumask.h)

use super::bindings;
use kernel::cpu::nr_cpu_ids;

/// The numbers of the CPUs that are online; they need not be contiguous, and may change meanwhile.
pub(crate) fn online() -> impl Iterator<Item = u32> {
    let mut next = 0;
    core::iter::from_fn(move || {
        while next < nr_cpu_ids() {
            let cpu = next;
            next = next.saturating_add(1);
            // SAFETY: The number is less than `nr_cpu_ids`.
            if unsafe { bindings::cpu_online(cpu) } {
                return Some(cpu);
            }
        }
        None
    })
}
