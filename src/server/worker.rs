// SPDX-License-Identifier: GPL-2.0

//! A worker: a thread, its run queue, its connections, and their turns.
//!
//! A worker waits for nothing but its queue. What a turn is, is in `turn.rs`.

use super::config::Config;
use super::connection::{
    Connection,
    Phase, //
};
use super::shared::Shared;
use super::stats::{
    Counter,
    Counters, //
};
use super::store::Store;
use super::turn::{
    Next,
    Turn, //
};
use super::wheel::Wheel;
use super::workspace::Workspace;
use crate::http::handoff::Reason;
use crate::linux::context::MaySleep;
use crate::linux::kthread::{
    Run,
    This, //
};
use crate::linux::llist::Queue;
use crate::linux::page_frag::Cache;
use crate::linux::sock::{
    Close,
    Locked,
    Sock, //
};
use crate::linux::time;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Full,
    Relaxed, //
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
    /// Whether somebody on the queue has asked for a turn at once.
    is_wanted: Atomic<i32>,
    /// Since which second that is so.
    wanted_since: Atomic<u64>,
    /// Whether the thread looks at its queue within a tick, without being woken.
    is_near: Atomic<i32>,
    thread: SetOnce<ARef<Task>>,
    /// Whether its thread has ended.
    is_over: Atomic<i32>,
    shared: Arc<Shared>,
    store: Arc<Store>,
}

/// What a worker's thread has for itself.
pub(crate) struct Local {
    pub(super) workspace: Workspace,
    /// The generation of the configuration that was tried last: there may have been no memory for
    /// it.
    tried: u64,
    wheel: Wheel,
    /// Whether all connections were told that the server is stopped.
    have_been_told: bool,
}

impl Local {
    /// What a thread needs to serve as `config` says.
    pub(super) fn new(config: Arc<Config>) -> Result<Self> {
        let workspace = Workspace::new(config, Cache::new())?;
        Ok(Self {
            tried: 0,
            wheel: Wheel::new(workspace.now)?,
            have_been_told: false,
            workspace,
        })
    }

    /// Takes the time and, if there is a new one, the configuration.
    fn refresh(&mut self, shared: &Shared) {
        self.workspace.take_time();
        self.tried = shared.generation();
        self.workspace.take_config(shared);
    }
}

impl Worker {
    /// A worker without a thread.
    pub(super) fn new(counters: Arc<Counters>, shared: Arc<Shared>, store: Arc<Store>) -> Self {
        Self {
            counters,
            queue: Queue::new(),
            is_wanted: Atomic::new(0),
            wanted_since: Atomic::new(0),
            is_near: Atomic::new(0),
            thread: SetOnce::new(),
            is_over: Atomic::new(0),
            shared,
            store,
        }
    }

    /// Says which thread is to be woken. Before connections come.
    pub(super) fn set_thread(&self, thread: ARef<Task>) {
        self.thread.populate(thread);
    }

    /// Queues `sock` for a turn. Any context.
    pub(super) fn post(&self, sock: &Sock<Connection>) {
        // It may be there already, for a turn that can wait.
        self.queue.push(sock);
        self.want();
    }

    /// Queues `sock` for a turn within a tick: whoever comes next, or the clock, wakes the thread.
    /// Any context.
    pub(super) fn post_lazily(&self, sock: &Sock<Connection>) {
        self.queue.push(sock);
        // ORDERING: Behind a full barrier of `push()`, against `run()`: either that finds the
        // connection on the queue, or this sees that the thread sleeps for long.
        if self.is_near.load(Relaxed) == 0 {
            self.want();
        }
    }

    /// Wakes the thread for what was queued, unless somebody else does. Any context.
    pub(super) fn want(&self) {
        // ORDERING: Full, against `serve()`: whoever finds this set leaves what it has queued to
        // the one who has woken the thread, which takes the queue after it has cleared this. To
        // find it set a load is enough, behind a full barrier of `push()`.
        if self.is_wanted.load(Relaxed) == 0 {
            self.wanted_since.store(time::monotonic_seconds(), Relaxed);
            if self.is_wanted.xchg(1, Full) == 0 {
                self.wake();
            }
        }
    }

    /// Whether the thread has let those who want it wait for too long, now that it is the second
    /// `now`.
    pub(super) fn is_stalled(&self, now: u64) -> bool {
        // ORDERING: Acquire, against `want()`: who finds that it is wanted finds since when, and
        // not when it was wanted before.
        let is_wanted = self.is_wanted.load(Acquire) != 0;
        let since = self.wanted_since.load(Relaxed);
        is_wanted && self.shared.failsafe().is_stalled(since, now)
    }

    /// Takes note that memory lacked in the second `now`.
    pub(super) fn lacks_memory(&self, now: u64) {
        let failsafe = self.shared.failsafe();
        failsafe.set(now, Counter::FailsafeMemory, &self.counters);
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

    /// What was found before.
    pub(super) fn store(&self) -> &Store {
        &self.store
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
        let workspace = &mut local.workspace;
        let next = Turn::new(self, sock, &mut locked, workspace, may_sleep).run(is_late);
        let next = match next {
            Next::HandOver(why) => {
                drop(locked);
                let Some((next, again)) = self.hand_over(sock, why, workspace, may_sleep) else {
                    self.count_drained(local);
                    return local.wheel.remove(sock);
                };
                locked = again;
                next
            }
            next => next,
        };
        if let Next::End(how, why) = next {
            let phase = &mut locked.state().phase;
            if phase.is_unread() {
                // As in `part_with()`: nothing is begun that would be cut short.
                *phase = Phase::Ending;
            }
            drop(locked);
            local.wheel.remove(sock);
            self.count_drained(local);
            if why == Counter::OutOfMemory {
                self.lacks_memory(local.workspace.now);
            }
            return self.finish(sock, how, why, may_sleep);
        }
        // What was set in softirq may be earlier than what the wheel was told.
        if sock.data().deadline() < sock.data().placed() || !local.wheel.has(sock) {
            Self::place(sock, &locked, local);
        }
        drop(locked);
        match next {
            Next::Again => self.post(sock),
            Next::Later => self.post_lazily(sock),
            _ => (),
        }
    }

    /// Hands `sock`, which nobody has locked, over to the backing server for the reason `why`. If
    /// that doesn't take it, returns what comes next for it, and the lock.
    #[inline(never)]
    fn hand_over<'a>(
        &self,
        sock: &'a Sock<Connection>,
        why: Reason,
        workspace: &mut Workspace,
        may_sleep: &'a MaySleep,
    ) -> Option<(Next, Locked<'a, Connection, MaySleep>)> {
        let refused = match sock.give(workspace.config.client_port, may_sleep) {
            Ok(()) => {
                self.count_handover(why);
                sock.data().set_gone();
                return None;
            }
            Err(refused) => refused,
        };
        let mut locked = sock.lock(may_sleep)?;
        let turn = Turn::new(self, sock, &mut locked, workspace, may_sleep);
        let next = turn.not_handed_over(refused);
        Some((next, locked))
    }

    /// Puts `sock`, which is locked so that nobody moves its deadline meanwhile, where it is looked
    /// at again at its deadline.
    fn place(
        sock: &ARef<Sock<Connection>>,
        _: &Locked<'_, Connection, MaySleep>,
        local: &mut Local,
    ) {
        let deadline = sock.data().deadline();
        sock.data().set_placed(deadline);
        local.wheel.set(sock, deadline);
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

    /// Counts an end of a connection, if the server is stopped that has come to it by itself.
    fn count_drained(&self, local: &Local) {
        if local.workspace.config.is_last {
            self.counters.count(Counter::Drained);
        }
    }

    /// Ends all connections. No new ones come. Those that wait for a request go to the backing
    /// server, if there is one.
    fn end(&self, local: &mut Local, may_sleep: &MaySleep) {
        while let Some(sock) = local.wheel.pop() {
            self.part_with(&sock, local, may_sleep);
        }
        for sock in self.queue.take_all() {
            if sock.data().is_gone() {
                continue;
            }
            // It was not looked at yet, or it would have been on the wheel.
            self.part_with(&sock, local, may_sleep);
        }
    }

    /// Hands `sock` over, or ends it.
    fn part_with(&self, sock: &Sock<Connection>, local: &Local, may_sleep: &MaySleep) {
        let port = local.workspace.config.client_port;
        let (is_unread, is_under_way) = match sock.lock(may_sleep) {
            Some(mut locked) => {
                let (state, stream) = locked.parts();
                let is_unread = state.phase.is_unread();
                let is_under_way = state.phase.is_under_way(&stream);
                if is_unread {
                    // What comes from here on stays unread: softirq might begin to answer it.
                    state.phase = Phase::HandingOver(Reason::Idle, None);
                }
                (is_unread, is_under_way)
            }
            None => (false, false),
        };
        if port != 0 && is_unread && sock.give(port, may_sleep).is_ok() {
            sock.data().set_gone();
            return self.count_handover(Reason::Idle);
        }
        if is_under_way {
            self.counters.count(Counter::CutOff);
        }
        self.finish(sock, Close::Orderly, Counter::Closed, may_sleep);
    }

    /// Counts that a connection was handed over for the reason `why`.
    pub(super) fn count_handover(&self, why: Reason) {
        self.counters.count(why);
        self.counters.count(Counter::Handoffs);
        self.counters.count(Counter::Closed);
    }
}

impl Run for Worker {
    type Local = Local;

    fn run(&self, mut local: Local, this: &This) {
        let may_sleep = this.may_sleep();
        while !this.should_stop() {
            self.is_near.store(1, Relaxed);
            let serve = || self.serve(&mut local, this);
            let is_idle = !self.shared.credentials().assume(serve);
            // With the thread's own credentials: to listen on a low port takes a capability.
            self.shared
                .attend(local.workspace.now, &self.counters, may_sleep);
            self.sweep(&local, may_sleep);
            let is_quiet = local.wheel.is_empty()
                && !self.shared.wants_attention_later()
                && self.store.is_empty();
            let timeout = (!is_quiet).then(time::second);
            let is_awaited = || {
                self.is_wanted.load(Relaxed) != 0
                    || self.shared.wants_attention(local.workspace.now)
                    || self.shared.generation() != local.tried
                    || self.store.wants_sweep()
            };
            if !is_idle {
                // More will come soon, as a rule, of which some can wait until then.
                this.sleep(Some(time::TICK), is_awaited);
                continue;
            }
            // ORDERING: Full, see `post_lazily()`.
            self.is_near.xchg(0, Full);
            this.sleep(timeout, || !self.queue.is_empty() || is_awaited());
        }
        self.end(&mut local, may_sleep);
    }
}

impl Worker {
    /// Gives each connection a turn: those that wait have no other reason to hear that the server
    /// is stopped.
    #[inline(never)]
    fn tell_all(&self, local: &mut Local) {
        while let Some(sock) = local.wheel.pop() {
            self.post(&sock);
        }
    }

    /// Throws out what must not be answered any more, once in a second and after each change of the
    /// configuration.
    #[inline(never)]
    fn sweep(&self, local: &Local, may_sleep: &MaySleep) {
        let workspace = &local.workspace;
        let (now, generation) = (workspace.now, workspace.generation());
        let (config, shared) = (&workspace.config, &self.shared);
        let shed = self.store.sweep(now, generation, config, shared, may_sleep);
        self.counters.add(Counter::CacheShrunk, shed);
    }

    /// Serves whoever has a turn now. Files are opened with the credentials of the caller.
    /// Returns whether there was somebody.
    fn serve(&self, local: &mut Local, this: &This) -> bool {
        let may_sleep = this.may_sleep();
        // ORDERING: Full, see `want()`.
        self.is_wanted.xchg(0, Full);
        let mut has_served = false;
        // Taken before the configuration is: what comes after a change is served by it.
        let batch = self.queue.take_all();
        local.refresh(&self.shared);
        if local.workspace.config.is_last && !local.have_been_told {
            local.have_been_told = true;
            self.tell_all(local);
        }
        for sock in batch {
            self.turn(&sock, false, local, may_sleep);
            has_served = true;
            this.yield_now();
        }
        while let Some(sock) = local.wheel.expire(local.workspace.now) {
            let is_late = sock.data().deadline() <= local.workspace.now;
            if is_late {
                self.turn(&sock, true, local, may_sleep);
            } else if let Some(locked) = sock.lock(may_sleep) {
                Self::place(&sock, &locked, local);
            }
            this.yield_now();
        }
        has_served
    }
}
