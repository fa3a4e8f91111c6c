// SPDX-License-Identifier: GPL-2.0

//! Clocks that count seconds, and cost nothing to read.
//!
//! C header: [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h)

use super::bindings;
use kernel::time::{
    msecs_to_jiffies,
    Jiffies, //
};

/// Seconds since the system was started, without those that it was suspended for.
pub(crate) fn monotonic_seconds() -> u64 {
    // SAFETY: This has no precondition.
    u64::try_from(unsafe { bindings::ktime_get_seconds() }).unwrap_or(0)
}

/// Seconds since the beginning of 1970, UTC.
pub(crate) fn real_seconds() -> i64 {
    // SAFETY: This has no precondition.
    unsafe { bindings::ktime_get_real_seconds() }
}

/// The shortest timeout: until the next tick of the clock.
pub(crate) const TICK: Jiffies = 1;

/// A second, as a timeout.
pub(crate) fn second() -> Jiffies {
    milliseconds(1000)
}

/// So many milliseconds, as a timeout.
pub(crate) fn milliseconds(number: u32) -> Jiffies {
    msecs_to_jiffies(number)
}
