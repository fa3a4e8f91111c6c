// SPDX-License-Identifier: GPL-2.0

//! The settings that decide when something is done.

use super::outcome;
use crate::linux::address::Address;

pub(crate) struct Config {
    pub(crate) address: Address,
    pub(crate) server_port: u16,
    pub(crate) takeover: u32,
    pub(crate) client_port: u16,
    pub(crate) failsafe_timeout: u32,
    pub(crate) max_backlog: u32,
    pub(crate) threads: u32,
    pub(crate) max_connect: u32,
    pub(crate) fast_accept: u32,
    pub(crate) ack_pingpong: u32,
    pub(crate) max_header_len: u32,
    pub(crate) header_timeout: u32,
    pub(crate) body_timeout: u32,
    pub(crate) keepalive_timeout: u32,
    pub(crate) send_timeout: u32,
    pub(crate) linger_timeout: u32,
    pub(crate) drain_timeout: u32,
    pub(crate) is_last: bool,
    /// Written once, before others see it.
    pub(crate) value: loom::cell::UnsafeCell<u32>,
}

// SAFETY: Loom fails if `value` is written while somebody reads it.
unsafe impl Sync for Config {}

impl Config {
    pub(crate) fn new(max_connect: u32, threads: u32) -> Self {
        let config = Self {
            address: Address::ANY,
            server_port: 80,
            takeover: 0,
            client_port: 0,
            failsafe_timeout: 0,
            max_backlog: 16,
            threads,
            max_connect,
            fast_accept: 1,
            ack_pingpong: 1,
            max_header_len: 8,
            header_timeout: 5,
            body_timeout: 5,
            keepalive_timeout: 5,
            send_timeout: 5,
            linger_timeout: 5,
            drain_timeout: 5,
            is_last: false,
            value: loom::cell::UnsafeCell::new(0),
        };
        // SAFETY: Nobody else has it.
        config
            .value
            .with_mut(|value| unsafe { *value = max_connect });
        config
    }

    /// For a server that is stopped.
    pub(crate) fn last(&self) -> Self {
        let mut config = Self::new(self.max_connect, self.threads);
        config.is_last = true;
        config
    }

    /// The longest target.
    pub(crate) fn target_limit(&self) -> usize {
        8
    }

    /// Reads what was written.
    pub(crate) fn check(&self) {
        // SAFETY: Loom fails if it is written meanwhile.
        let value = self.value.with(|value| unsafe { *value });
        assert_eq!(value, self.max_connect);
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        // SAFETY: Loom fails if somebody reads meanwhile.
        self.value.with_mut(|value| unsafe { *value = u32::MAX });
        outcome::tell(|outcome| outcome.dropped += 1);
    }
}
