// SPDX-License-Identifier: GPL-2.0

//! A worker: a thread, its run queue, its connections, and their turns.
//!
//! A worker waits for nothing but its queue. What a turn is, is in `turn.rs`.

use super::config::Config;
use super::connection::{
    Connection,
    Timer, //
};
use super::lookup;
use super::reply::{
    self,
    Moment, //
};
use super::shared::Shared;
use super::stats::{
    Counter,
    Counters, //
};
use super::turn::{
    Next,
    Turn, //
};
use super::wheel::Wheel;
use crate::http::request::Limits;
use crate::linux::context::MaySleep;
use crate::linux::fragment::Fragments;
use crate::linux::kthread::{
    Run,
    This, //
};
use crate::linux::llist::Queue;
use crate::linux::page_frag;
use crate::linux::sock::{
    Close,
    Sock, //
};
use crate::linux::time;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::atomic::{
    Atomic,
    Full, //
};
use kernel::sync::{
    Arc,
    SetOnce, //
};
use kernel::task::Task;

/// What others see of a worker.
pub(crate) struct Worker {
    counters: Arc<Counters>,
    queue: Queue<Connection>,
    thread: SetOnce<ARef<Task>>,
    /// Whether its thread has ended.
    is_over: Atomic<i32>,
    shared: Arc<Shared>,
}

/// What a worker's thread has for itself.
pub(crate) struct Local {
    pub(super) config: Arc<Config>,
    /// What `config` is of [`Shared::newer_config`].
    generation: u64,
    /// The generation that was tried last: there may have been no memory for it.
    tried: u64,
    pub(super) limits: Limits,
    wheel: Wheel,
    pub(super) cache: page_frag::Cache,
    /// Where a head is put together that did not come in one piece.
    pub(super) scratch: KVVec<u8>,
    /// Where a path is decoded.
    pub(super) name: KVVec<u8>,
    /// Where a name is put together for its lookup.
    pub(super) lookup: KVVec<u8>,
    /// Where the head of a response is composed.
    pub(super) head: KVVec<u8>,
    /// Fragments that no response uses.
    pub(super) spare: Option<Fragments>,
    /// Seconds of the monotonic clock.
    pub(super) now: u64,
    pub(super) moment: Moment,
}

impl Local {
    /// What a thread needs to serve as `config` says.
    pub(super) fn new(config: Arc<Config>) -> Result<Self> {
        let now = time::monotonic_seconds();
        let limits = limits(&config);
        Ok(Self {
            wheel: Wheel::new(now)?,
            cache: page_frag::Cache::new(),
            scratch: KVVec::from_elem(0, limits.head, GFP_KERNEL)?,
            name: KVVec::from_elem(0, limits.target, GFP_KERNEL)?,
            lookup: lookup_buffer(&limits)?,
            head: KVVec::from_elem(0, reply::HEAD_LEN, GFP_KERNEL)?,
            spare: None,
            now,
            moment: Moment::new(time::real_seconds()),
            limits,
            config,
            generation: 0,
            tried: 0,
        })
    }

    /// Takes the time and, if there is a new one, the configuration.
    fn refresh(&mut self, shared: &Shared) {
        self.now = time::monotonic_seconds();
        let seconds = time::real_seconds();
        if seconds != self.moment.seconds {
            self.moment = Moment::new(seconds);
        }
        let mut generation = self.generation;
        let Some(config) = shared.newer_config(&mut generation) else {
            return;
        };
        self.tried = generation;
        let limits = limits(&config);
        // Without memory for larger buffers the old configuration stays until the next turn.
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

    /// When a deadline is that stands for `timer` and begins now.
    pub(super) fn deadline(&self, timer: Timer) -> u64 {
        let config = &self.config;
        let seconds = match timer {
            Timer::Header => config.header_timeout.into(),
            Timer::Body => config.body_timeout.into(),
            Timer::KeepAlive if config.keepalive_timeout == 0 => u64::MAX,
            Timer::KeepAlive => config.keepalive_timeout.into(),
            Timer::Send => config.send_timeout.into(),
            Timer::Memory => 0,
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

impl Worker {
    /// A worker without a thread.
    pub(super) fn new(counters: Arc<Counters>, shared: Arc<Shared>) -> Self {
        Self {
            counters,
            queue: Queue::new(),
            thread: SetOnce::new(),
            is_over: Atomic::new(0),
            shared,
        }
    }

    /// Says which thread is to be woken. Before connections come.
    pub(super) fn set_thread(&self, thread: ARef<Task>) {
        self.thread.populate(thread);
    }

    /// Queues `sock` for a turn. Any context.
    pub(super) fn post(&self, sock: &Sock<Connection>) {
        if self.queue.push(sock) {
            self.wake();
        }
    }

    /// Wakes the thread.
    pub(super) fn wake(&self) {
        if let Some(thread) = self.thread.as_ref() {
            thread.wake_up();
        }
    }

    /// Queues `sock` for a turn, for somebody who may outlive the thread and its connections.
    pub(super) fn post_late(&self, sock: &Sock<Connection>) {
        self.post(sock);
        // ORDERING: Full, against `drain()`: either that finds the connection, or this sees that it
        // was there.
        if self.is_over.fetch_add(0, Full) != 0 {
            drop(self.queue.take_all());
        }
    }

    /// Forgets connections that were, or are, queued after their end. The thread has ended.
    pub(super) fn drain(&self) {
        // ORDERING: Full, see `post_late()`.
        self.is_over.xchg(1, Full);
        drop(self.queue.take_all());
    }

    /// What the worker counts.
    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What the workers share.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// One turn of `sock`.
    fn turn(
        &self,
        sock: &ARef<Sock<Connection>>,
        is_late: bool,
        local: &mut Local,
        may_sleep: &MaySleep,
    ) {
        #[cfg(planted)]
        crate::linux::planted::turn(sock);
        #[cfg(kcov)]
        let _section = sock.coverage(may_sleep);
        let Some(mut locked) = sock.lock(may_sleep) else {
            return;
        };
        let before = sock.data().deadline();
        let next = Turn::new(self, sock, &mut locked, local, may_sleep).run(is_late);
        drop(locked);
        if let Next::End(how, why) = next {
            local.wheel.remove(sock);
            return self.finish(sock, how, why, may_sleep);
        }
        let deadline = sock.data().deadline();
        if deadline < before || !local.wheel.has(sock) {
            local.wheel.set(sock, deadline);
        }
        if matches!(next, Next::Again) {
            self.post(sock);
        }
    }

    /// Ends `sock`, for the reason `why`.
    fn finish(&self, sock: &Sock<Connection>, how: Close, why: Counter, may_sleep: &MaySleep) {
        if why != Counter::Closed {
            self.counters.count(why);
        }
        self.counters.count(Counter::Closed);
        sock.data().set_gone();
        sock.close(how, may_sleep);
    }

    /// Ends all connections. No new ones come.
    fn end(&self, local: &mut Local, may_sleep: &MaySleep) {
        while let Some(sock) = local.wheel.pop() {
            self.finish(&sock, Close::Orderly, Counter::Closed, may_sleep);
        }
        for sock in self.queue.take_all() {
            if sock.data().is_gone() {
                continue;
            }
            // It was not looked at yet, or it would have been on the wheel.
            self.counters.count(Counter::Accepted);
            self.finish(&sock, Close::Orderly, Counter::Closed, may_sleep);
        }
    }
}

impl Run for Worker {
    type Local = Local;

    fn run(&self, mut local: Local, this: &This) {
        let may_sleep = this.may_sleep();
        while !this.should_stop() {
            let serve = || self.serve(&mut local, this);
            self.shared.credentials().assume(serve);
            // With the thread's own credentials: to listen on a low port takes a capability.
            self.shared.attend(local.now, &self.counters, may_sleep);
            let timeout = if local.wheel.is_empty() && !self.shared.wants_attention_later() {
                None
            } else {
                Some(time::second())
            };
            this.sleep(timeout, || {
                !self.queue.is_empty()
                    || self.shared.wants_attention(local.now)
                    || self.shared.generation() != local.tried
            });
        }
        self.end(&mut local, may_sleep);
    }
}

impl Worker {
    /// Serves whoever has a turn now. Files are opened with the credentials of the caller.
    fn serve(&self, local: &mut Local, this: &This) {
        let may_sleep = this.may_sleep();
        // Taken before the configuration is: what comes after a change is served by it.
        let batch = self.queue.take_all();
        local.refresh(&self.shared);
        for sock in batch {
            self.turn(&sock, false, local, may_sleep);
            this.yield_now();
        }
        while let Some(sock) = local.wheel.expire(local.now) {
            let is_late = sock.data().deadline() <= local.now;
            if is_late {
                self.turn(&sock, true, local, may_sleep);
            } else {
                local.wheel.set(&sock, sock.data().deadline());
            }
            this.yield_now();
        }
    }
}
