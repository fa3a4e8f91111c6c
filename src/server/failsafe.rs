// SPDX-License-Identifier: GPL-2.0

//! The fail-safe: while the server is in trouble, the backing server gets those who come.
//!
//! Trouble is a worker that somebody waits for, and that doesn't look; it is noticed when a
//! connection comes that would be that worker's. And it is memory that lacked for a connection or a
//! response. It lasts as long as there is more of it, and a moment longer. Connections that were
//! there before stay where they are: who has them is the one who can't tell.

use super::config::Config;
use super::stats::{
    Counter,
    Counters, //
};
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// Seconds that trouble lasts when there is no more of it.
const HOLD: u64 = 2;

/// Whether the server is in trouble. Any context.
pub(super) struct Failsafe {
    /// Seconds after which a worker that doesn't look is in trouble; 0 if nobody would help.
    limit: Atomic<u32>,
    /// The last second of trouble.
    until: Atomic<u64>,
    /// The port of who would help.
    port: Atomic<u32>,
}

impl Failsafe {
    /// Without trouble, and without anybody who would help.
    pub(super) fn new() -> Self {
        Self {
            limit: Atomic::new(0),
            until: Atomic::new(0),
            port: Atomic::new(0),
        }
    }

    /// Does as `config` says.
    pub(super) fn configure(&self, config: &Config) {
        let helps = config.client_port != 0;
        self.port.store(config.client_port.into(), Relaxed);
        let limit = if helps { config.failsafe_timeout } else { 0 };
        self.limit.store(limit, Relaxed);
    }

    /// Whether a worker has let others wait for too long, that they have been waiting for since the
    /// second `since`.
    pub(super) fn is_stalled(&self, since: u64, now: u64) -> bool {
        let limit = self.limit.load(Relaxed);
        limit != 0 && now.saturating_sub(since) > u64::from(limit)
    }

    /// Whether there is somebody who would help.
    pub(super) fn is_armed(&self) -> bool {
        self.limit.load(Relaxed) != 0
    }

    /// The port of who would help, if there is somebody.
    pub(super) fn port(&self) -> Option<u16> {
        let port = u16::try_from(self.port.load(Relaxed)).ok()?;
        (self.is_armed() && port != 0).then_some(port)
    }

    /// Whether the server is in trouble in the second `now`.
    #[inline]
    pub(super) fn is_on(&self, now: u64) -> bool {
        self.until.load(Relaxed) >= now && self.is_armed()
    }

    /// Takes note of trouble in the second `now`, for the reason `why`, which is counted if it
    /// begins. Returns whether this is the first of this second.
    pub(super) fn set(&self, now: u64, why: Counter, counters: &Counters) -> bool {
        if !self.is_armed() {
            return false;
        }
        let until = now.saturating_add(HOLD);
        if self.until.load(Relaxed) >= until {
            return false;
        }
        let before = self.until.xchg(until, Relaxed);
        if before < now {
            counters.count(why);
        }
        before < until
    }
}
