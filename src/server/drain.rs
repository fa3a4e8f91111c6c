// SPDX-License-Identifier: GPL-2.0

//! The end of a server that takes its time.
//!
//! ```text
//!   hide         nobody finds the listening socket any more; who has begun to connect comes
//!                through
//!   last config  each connection has a turn, in which it leaves or goes on; the next response is
//!                the last of its connection
//!   wait         until there is no connection, and nobody connects;
//!                or the limit has passed, or somebody doesn't want to wait
//! ```
//!
//! A handshake that nobody ends, as those of a flood of SYNs, is not waited for to the limit. A
//! file system that doesn't answer is: it may only be slow.
//!
//! What is left then is ended by [`Running`]'s `Drop`.

use super::config::Config;
use super::running::Running;
use super::stats::{
    Counter,
    Statistics, //
};
use crate::linux::context::MaySleep;
use crate::linux::time;
use kernel::prelude::*;
use kernel::sync::Arc;

/// Seconds for which handshakes are waited for. Of one that takes longer, segments were lost three
/// times in a row, or nobody is there who would end it.
const HANDSHAKES: u64 = 10;

/// What a server has counted of those that it waited for.
pub(super) struct Outcome {
    drained: u64,
    cut_off: u64,
}

impl Outcome {
    /// What was counted until now.
    pub(super) fn new(statistics: &Statistics) -> Self {
        Self {
            drained: statistics.sum(Counter::Drained),
            cut_off: statistics.sum(Counter::CutOff),
        }
    }

    /// Says what was counted since, if anything.
    #[inline(never)]
    pub(super) fn announce(&self, statistics: &Statistics) {
        let now = Self::new(statistics);
        let drained = now.drained.wrapping_sub(self.drained);
        let cut_off = now.cut_off.wrapping_sub(self.cut_off);
        if drained != 0 || cut_off != 0 {
            pr_info!("stopped: {drained} connections drained, {cut_off} cut off\n");
        }
    }
}

/// Lets what is under way in `running` come to its end, as long as `config` says, and `is_hurried`
/// doesn't say that somebody waits. Without memory for that nothing is waited for.
pub(super) fn drain(
    running: &Running,
    config: &Config,
    is_hurried: impl Fn() -> bool,
    may_sleep: &MaySleep,
) {
    let seconds = u64::from(config.drain_timeout);
    if seconds == 0 {
        return;
    }
    let Ok(last) = Arc::new(config.last(), GFP_KERNEL) else {
        return;
    };
    let shared = running.shared();
    shared.hide(may_sleep);
    shared.configure(&last);
    drop(last);
    for worker in running.workers() {
        worker.wake();
    }
    // The second that runs now is not a whole one.
    let begin = time::monotonic_seconds().saturating_add(1);
    let until = begin.saturating_add(seconds);
    let patience = begin.saturating_add(HANDSHAKES);
    while !shared.is_done(time::monotonic_seconds() < patience, may_sleep)
        && time::monotonic_seconds() < until
        && !is_hurried()
        && !may_sleep.has_signal()
    {
        may_sleep.pause(time::TICK);
    }
}
