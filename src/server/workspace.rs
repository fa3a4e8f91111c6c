// SPDX-License-Identifier: GPL-2.0

//! What it takes to answer requests, besides the connection: the configuration, the time, and
//! buffers. Each place where requests are answered has one of its own.

use super::config::Config;
use super::connection::Timer;
use super::content;
use super::lookup;
use super::reply::{
    self,
    Moment, //
};
use super::shared::Shared;
use crate::http::content_coding::Accepted;
use crate::http::request::Limits;
use crate::linux::fragment::Fragments;
use crate::linux::page_frag::Cache;
use crate::linux::time;
use kernel::alloc::Flags;
use kernel::prelude::*;
use kernel::sync::Arc;

/// A file that was found, and was not in the cache.
pub(super) struct Missed {
    /// Octets of its name in the workspace.
    pub(super) len: usize,
    pub(super) is_directory: bool,
    pub(super) accepted: Accepted,
}

/// A workspace.
pub(super) struct Workspace {
    pub(super) config: Arc<Config>,
    /// What `config` is of [`Shared::newer_config`].
    generation: u64,
    pub(super) limits: Limits,
    /// Where heads are sent from.
    pub(super) cache: Cache,
    /// Where a head is put together that did not come in one piece.
    pub(super) scratch: KVVec<u8>,
    /// Where a path is decoded.
    pub(super) name: KVVec<u8>,
    /// What the path that was decoded last has led to, if that could be cached.
    pub(super) missed: Option<Missed>,
    /// Where a name is put together for its lookup.
    pub(super) lookup: KVVec<u8>,
    /// Where the head of a response is composed.
    pub(super) head: KVVec<u8>,
    /// Fragments that no response uses, which are empty.
    spare: Option<Fragments>,
    /// Seconds of the monotonic clock.
    pub(super) now: u64,
    pub(super) moment: Moment,
}

impl Workspace {
    /// A workspace to answer as `config` says. Heads are sent from `cache`.
    pub(super) fn new(config: Arc<Config>, cache: Cache) -> Result<Self> {
        let limits = limits(&config);
        Ok(Self {
            cache,
            scratch: KVVec::from_elem(0, limits.head, GFP_KERNEL)?,
            name: KVVec::from_elem(0, limits.target, GFP_KERNEL)?,
            lookup: lookup_buffer(&limits)?,
            head: KVVec::from_elem(0, reply::HEAD_LEN, GFP_KERNEL)?,
            missed: None,
            spare: None,
            now: time::monotonic_seconds(),
            moment: Moment::new(time::real_seconds()),
            limits,
            config,
            generation: 0,
        })
    }

    /// Which configuration it has.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Takes the time. Any context.
    pub(super) fn take_time(&mut self) {
        self.now = time::monotonic_seconds();
        let seconds = time::real_seconds();
        if seconds != self.moment.seconds {
            self.moment = Moment::new(seconds);
        }
    }

    /// Takes the configuration, if there is a new one. Without memory for larger buffers the old
    /// one stays.
    #[inline]
    pub(super) fn take_config(&mut self, shared: &Shared) {
        if shared.generation() != self.generation {
            self.replace_config(shared);
        }
    }

    /// Takes the new configuration.
    #[inline(never)]
    fn replace_config(&mut self, shared: &Shared) {
        let mut generation = self.generation;
        let Some(config) = shared.newer_config(&mut generation) else {
            return;
        };
        let limits = limits(&config);
        let Ok(scratch) = KVVec::from_elem(0, limits.head, GFP_KERNEL) else {
            return;
        };
        let Ok(name) = KVVec::from_elem(0, limits.target, GFP_KERNEL) else {
            return;
        };
        let Ok(lookup) = lookup_buffer(&limits) else {
            return;
        };
        self.lookup = lookup;
        self.scratch = scratch;
        self.name = name;
        self.limits = limits;
        self.config = config;
        self.generation = generation;
    }

    /// Fragments for a response, empty ones: those to spare or, if a response that is still being
    /// sent has them, new ones, allocated by `flags`.
    pub(super) fn take_fragments(&mut self, flags: Flags) -> Result<Fragments> {
        match self.spare.take() {
            Some(fragments) => Ok(fragments),
            None => Fragments::new(content::FRAGMENTS, flags),
        }
    }

    /// Gives back what a response doesn't use any more.
    pub(super) fn put_spare(&mut self, mut fragments: Fragments) {
        fragments.clear();
        self.spare = Some(fragments);
    }

    /// When a deadline is that stands for `timer` and begins now.
    pub(super) fn deadline(&self, timer: Timer) -> u64 {
        let config = &self.config;
        let seconds = match timer {
            Timer::Header => config.header_timeout.into(),
            Timer::Body => config.body_timeout.into(),
            Timer::KeepAlive if config.keepalive_timeout == 0 => u64::MAX,
            Timer::KeepAlive => config.keepalive_timeout.into(),
            Timer::Send => config.send_timeout.into(),
            Timer::Memory | Timer::Backing => 0,
            Timer::Linger => config.linger_timeout.into(),
        };
        // The second that runs now is not a whole one.
        self.now.saturating_add(seconds).saturating_add(1)
    }
}

/// The limits of a head.
fn limits(config: &Config) -> Limits {
    let head = usize::try_from(config.max_header_len).unwrap_or(8192);
    Limits {
        head,
        target: config.target_limit(),
        ..Limits::default()
    }
}

/// A buffer for the longest name.
fn lookup_buffer(limits: &Limits) -> Result<KVVec<u8>> {
    let len = limits.target.saturating_add(lookup::BEYOND);
    Ok(KVVec::from_elem(0, len, GFP_KERNEL)?)
}
