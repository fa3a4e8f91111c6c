// SPDX-License-Identifier: GPL-2.0

//! A worker: a thread, its run queue, its connections, and their turns.
//!
//! A worker waits for nothing but its queue. A turn takes the connection's lock, does what can be
//! done at once, bounded, and says what comes next: an event, the tail of the queue, or the end.

use super::config::Config;
use super::connection::{
    Connection,
    Phase,
    State,
    Timer, //
};
use super::dispatch::{
    self,
    Action, //
};
use super::job::{
    Job,
    Task, //
};
use super::lookup::{
    self,
    Resolution, //
};
use super::reply::{
    self,
    Moment,
    Plan,
    Progress,
    Response, //
};
use super::stats::{
    Counter,
    Counters, //
};
use super::wheel::Wheel;
use super::shared::Shared;
use crate::http::bad_request::BadRequest;
use crate::http::framing::Drain;
use crate::http::request::{
    self,
    Limits, //
};
use crate::http::response::Status;
use crate::http::target;
use crate::linux::context::MaySleep;
use crate::linux::fragment::Fragments;
use crate::linux::kthread::{
    Run,
    This, //
};
use crate::linux::llist::Queue;
use crate::linux::page_frag;
use crate::linux::path::Lookup;
use crate::linux::sock::{
    Close,
    Locked,
    Sock, //
};
use crate::linux::stream::Stream;
use crate::linux::time;
use crate::linux::workqueue::OwnedQueue;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::{
    Arc,
    SetOnce, //
};
use kernel::task::Task as Thread;

/// Requests that a connection may have answered in one turn.
const TURN_REQUESTS: usize = 16;

/// Octets that a connection may send, or throw away, in one turn.
const TURN_OCTETS: usize = 256 << 10;

/// How many times as long as without an octet of the peer a connection lingers in all.
const LINGER_TIMES: u64 = 6;

/// What others see of a worker.
pub(crate) struct Worker {
    counters: Arc<Counters>,
    queue: Queue<Connection>,
    thread: SetOnce<ARef<Thread>>,
    shared: Arc<Shared>,
}

/// What a worker's thread has for itself.
pub(crate) struct Local {
    config: Arc<Config>,
    /// What `config` is of [`Shared::newer_config`].
    generation: u64,
    io: Arc<OwnedQueue>,
    limits: Limits,
    wheel: Wheel,
    cache: page_frag::Cache,
    /// Where a head is put together that did not come in one piece.
    scratch: KVVec<u8>,
    /// Where a path is decoded.
    name: KVVec<u8>,
    /// Where a name is put together for its lookup.
    lookup: KVVec<u8>,
    /// Where the head of a response is composed.
    head: KVVec<u8>,
    /// Fragments that no response uses.
    spare: Option<Fragments>,
    /// Seconds of the monotonic clock.
    now: u64,
    moment: Moment,
}

impl Local {
    /// What a thread needs to serve as `config` says.
    pub(super) fn new(config: Arc<Config>, io: Arc<OwnedQueue>) -> Result<Self> {
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
            io,
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

    /// Sets what `state` waits for, and until when.
    fn wait(&self, sock: &Sock<Connection>, state: &mut State, timer: Timer) {
        let seconds = match timer {
            Timer::Header => u64::from(self.config.header_timeout),
            Timer::KeepAlive => match self.config.keepalive_timeout {
                0 => u64::MAX,
                seconds => u64::from(seconds),
            },
            Timer::Send => u64::from(self.config.send_timeout),
            Timer::Body => u64::from(self.config.header_timeout),
            Timer::Linger => u64::from(self.config.linger_timeout),
        };
        let mut deadline = self.now.saturating_add(seconds);
        if timer == Timer::Linger {
            deadline = deadline.min(state.linger_until);
        }
        state.timer = timer;
        sock.data().set_deadline(deadline);
    }
}

/// The limits of a head.
fn limits(config: &Config) -> Limits {
    let head = usize::try_from(config.max_header_len).unwrap_or(8192);
    Limits {
        head,
        target: head.min(4096),
        ..Limits::default()
    }
}

/// A buffer for the longest name.
fn lookup_buffer(limits: &Limits) -> Result<KVVec<u8>> {
    let len = limits.target.saturating_add(lookup::BEYOND);
    Ok(KVVec::from_elem(0, len, GFP_KERNEL)?)
}

/// What comes next for a connection.
enum Next {
    /// The next step of the same turn.
    Go,
    /// An event, or its deadline.
    Wait,
    /// Another turn, behind those of others.
    Again,
    /// Its end.
    End(Close, Counter),
}

impl Worker {
    /// A worker without a thread.
    pub(super) fn new(counters: Arc<Counters>, shared: Arc<Shared>) -> Self {
        Self {
            counters,
            queue: Queue::new(),
            thread: SetOnce::new(),
            shared,
        }
    }

    /// Says which thread is to be woken. Before connections come.
    pub(super) fn set_thread(&self, thread: ARef<Thread>) {
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

    /// Forgets connections that were queued after their end.
    pub(super) fn drain(&self) {
        drop(self.queue.take_all());
    }

    /// What the worker counts.
    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Counts `amount`.
    fn count(&self, counter: Counter, amount: usize) {
        self.counters.add(counter, amount as u64);
    }

    /// One turn of `sock`.
    fn turn(
        &self,
        sock: &ARef<Sock<Connection>>,
        is_late: bool,
        local: &mut Local,
        may_sleep: &MaySleep,
    ) {
        let Some(mut locked) = sock.lock(may_sleep) else {
            return;
        };
        if sock.data().is_first_look() {
            self.count(Counter::Accepted, 1);
            local.wait(sock, locked.state(), Timer::Header);
        }
        let before = if is_late { None } else { Some(sock.data().deadline()) };
        let next = self.steps(sock, is_late, &mut locked, local, may_sleep);
        drop(locked);
        match next {
            Next::End(how, counter) => {
                local.wheel.remove(sock);
                if counter != Counter::Closed {
                    self.count(counter, 1);
                }
                self.count(Counter::Closed, 1);
                sock.close(how, may_sleep);
            }
            Next::Go | Next::Wait | Next::Again => {
                let deadline = sock.data().deadline();
                if before.is_none_or(|before| before > deadline) || !local.wheel.has(sock) {
                    local.wheel.set(sock, deadline);
                }
                if !matches!(next, Next::Wait) {
                    self.post(sock);
                }
            }
        }
    }

    /// The steps of a turn.
    fn steps(
        &self,
        sock: &Sock<Connection>,
        is_late: bool,
        locked: &mut Locked<'_, Connection>,
        local: &mut Local,
        may_sleep: &MaySleep,
    ) -> Next {
        let (state, stream) = locked.parts();
        if stream.is_closed() {
            return Next::End(Close::Orderly, Counter::Reset);
        }
        if is_late {
            match self.late(sock, state, stream, local) {
                Next::Go => (),
                next => return next,
            }
        }
        let mut budget = TURN_OCTETS;
        for _ in 0..TURN_REQUESTS {
            let next = loop {
                // The phase is put back by whoever does not end it.
                let next = match core::mem::take(&mut state.phase) {
                    Phase::Receiving => {
                        self.receive(sock, state, stream, None, local, may_sleep)
                    }
                    Phase::Opening(job) => match job.result() {
                        Some(Task::Opened(resolution)) => {
                            self.receive(sock, state, stream, Some(resolution), local, may_sleep)
                        }
                        _ => {
                            state.phase = Phase::Opening(job);
                            Next::Wait
                        }
                    },
                    Phase::Reading(mut response, job) => match job.result() {
                        Some(Task::WasRead(fragments, Ok(octets))) => {
                            if response.was_read(fragments, octets) {
                                state.phase = Phase::Sending(response);
                                Next::Go
                            } else {
                                Next::End(Close::Abort, Counter::Truncated)
                            }
                        }
                        Some(Task::WasRead(_, Err(_))) => {
                            Next::End(Close::Abort, Counter::ReadErrors)
                        }
                        _ => {
                            state.phase = Phase::Reading(response, job);
                            Next::Wait
                        }
                    },
                    Phase::Sending(response) => {
                        let next = self.send(sock, state, stream, response, &mut budget, local);
                        if matches!(next, Next::Go) && matches!(state.phase, Phase::Receiving) {
                            // A request was answered.
                            break next;
                        }
                        next
                    }
                    Phase::Draining(drain) => self.drain_body(state, stream, drain, local),
                    Phase::Lingering => self.linger(sock, state, stream, local),
                };
                if !matches!(next, Next::Go) {
                    break next;
                }
            };
            if !matches!(next, Next::Go) {
                return next;
            }
        }
        Next::Again
    }

    /// Does what is to be done when a deadline has passed.
    fn late(
        &self,
        sock: &Sock<Connection>,
        state: &mut State,
        stream: &mut Stream<'_>,
        local: &mut Local,
    ) -> Next {
        let counter = state.timer.counter();
        match state.timer {
            // Whoever has begun a request is told; RFC 9110 15.5.9.
            Timer::Header if stream.unread() > 0 => {
                self.count(counter, 1);
                self.refuse(state, stream, Status::RequestTimeout, "The request took too long.", local);
                local.wait(sock, state, Timer::Send);
                Next::Go
            }
            Timer::Header | Timer::KeepAlive | Timer::Linger => Next::End(Close::Orderly, counter),
            Timer::Send | Timer::Body => Next::End(Close::Abort, counter),
        }
    }

    /// Reads a request, and begins its response. `resolution` is that of its path, if it was asked
    /// for before.
    fn receive(
        &self,
        sock: &Sock<Connection>,
        state: &mut State,
        stream: &mut Stream<'_>,
        resolution: Option<Resolution>,
        local: &mut Local,
        may_sleep: &MaySleep,
    ) -> Next {
        let octets = stream.peek(&mut local.scratch);
        let (is_empty, len) = (octets.is_empty(), octets.len());
        let is_known_partial = state.scanned > 0
            && len < local.limits.head
            && request::head_end(octets, state.scanned).is_none();
        let parsed = if is_empty || is_known_partial {
            Ok(None)
        } else {
            request::parse(octets, &local.limits)
        };
        let (request, len) = match parsed {
            Ok(Some(parsed)) => parsed,
            Ok(None) => {
                let was_empty = state.scanned == 0;
                state.scanned = len;
                if stream.is_read_closed() {
                    return Next::End(
                        Close::Orderly,
                        if is_empty {
                            Counter::Closed
                        } else {
                            Counter::Incomplete
                        },
                    );
                }
                if is_empty && state.requests > 0 {
                    if state.timer != Timer::KeepAlive {
                        local.wait(sock, state, Timer::KeepAlive);
                    }
                } else if was_empty && state.requests > 0 {
                    // The first octets after a pause.
                    local.wait(sock, state, Timer::Header);
                }
                return Next::Wait;
            }
            Err(bad) => {
                self.counters.count(bad);
                self.refuse(state, stream, bad.status(), explain(bad), local);
                local.wait(sock, state, Timer::Send);
                return Next::Go;
            }
        };
        let path = target::normalize(request.target.path, &mut local.name);
        let action = match &path {
            Err(bad) => {
                self.counters.count(*bad);
                Action::Reject(bad.status(), explain(*bad))
            }
            Ok(path) => dispatch::dispatch(&request, local.moment.seconds, || {
                resolution.or_else(|| {
                    let root = local.config.document_root.root();
                    let (name, buffer) = (path.name, &mut local.lookup);
                    let mode = Lookup::Cached;
                    lookup::resolve(root, name, path.is_directory, mode, buffer, may_sleep)
                })
            }),
        };
        let path = path.ok();
        if matches!(action, Action::Defer) {
            self.count(Counter::DeferredLookup, 1);
            let path = path.unwrap_or(target::Path {
                name: &[],
                is_directory: true,
            });
            return match self.open(sock, &path, &local.config, &local.io) {
                Ok(job) => {
                    state.phase = Phase::Opening(job);
                    local.wait(sock, state, Timer::Send);
                    Next::Wait
                }
                Err(_) => Next::End(Close::Abort, Counter::OutOfMemory),
            };
        }
        let plan = reply::plan(
            action,
            &request,
            path.as_ref(),
            &local.moment,
            &mut local.head,
        );
        stream.consume(len);
        self.count(Counter::Requests, 1);
        state.scanned = 0;
        state.requests = state.requests.saturating_add(1);
        local.wait(sock, state, Timer::Send);
        self.respond(state, plan, local)
    }

    /// Has a work item look a path up.
    fn open(
        &self,
        sock: &Sock<Connection>,
        path: &target::Path<'_>,
        config: &Config,
        io: &OwnedQueue,
    ) -> Result<Arc<Job>> {
        let mut name = KVVec::from_elem(0, path.name.len(), GFP_KERNEL)?;
        for (to, from) in name.iter_mut().zip(path.name) {
            *to = *from;
        }
        let task = Task::Open {
            root: config.document_root.clone(),
            name,
            is_directory: path.is_directory,
        };
        Job::start(task, sock, &self.shared, io)
    }

    /// Begins a response as it was planned. Its head is in `local.head`.
    fn respond(&self, state: &mut State, plan: Plan, local: &mut Local) -> Next {
        let spare = local.spare.take().map(Ok);
        let fragments = spare.unwrap_or_else(|| Fragments::new(reply::FRAGMENTS));
        let head = local.head.get(..plan.len).unwrap_or(&[]);
        let fragments = fragments.and_then(|mut fragments| {
            local.cache.append(head, &mut fragments)?;
            Ok(fragments)
        });
        match fragments {
            Ok(fragments) => {
                self.counters.count(plan.status);
                state.phase = Phase::Sending(Response::new(plan, fragments));
                Next::Go
            }
            Err(_) => Next::End(Close::Abort, Counter::OutOfMemory),
        }
    }

    /// Begins the response to what is not a request that can be read; the last of the connection.
    fn refuse(
        &self,
        state: &mut State,
        stream: &mut Stream<'_>,
        status: Status,
        detail: &str,
        local: &mut Local,
    ) {
        let plan = reply::refuse(status, detail, &local.moment, &mut local.head);
        stream.consume(stream.unread());
        if let Next::End(..) = self.respond(state, plan, local) {
            state.phase = Phase::Lingering;
        }
    }

    /// Goes on with a response.
    fn send(
        &self,
        sock: &Sock<Connection>,
        state: &mut State,
        stream: &mut Stream<'_>,
        mut response: Response,
        budget: &mut usize,
        local: &mut Local,
    ) -> Next {
        let before = *budget;
        let progress = response.send(stream, budget);
        let sent = before.saturating_sub(*budget);
        if sent > 0 {
            self.count(Counter::OctetsSent, sent);
            local.wait(sock, state, Timer::Send);
        }
        match progress {
            Progress::Done => {
                let (fragments, is_persistent, drain) = response.finish();
                local.spare = fragments;
                if !is_persistent {
                    self.begin_linger(sock, state, stream, local);
                } else if drain.is_done() {
                    // A new request may lie there already.
                    state.timer = Timer::Send;
                    state.phase = Phase::Receiving;
                } else {
                    state.phase = Phase::Draining(drain);
                    local.wait(sock, state, Timer::Body);
                }
                Next::Go
            }
            Progress::Full => {
                state.phase = Phase::Sending(response);
                Next::Wait
            }
            Progress::Enough => {
                state.phase = Phase::Sending(response);
                Next::Again
            }
            Progress::Cold(task) => {
                self.count(Counter::DeferredRead, 1);
                match Job::start(task, sock, &self.shared, &local.io) {
                    Ok(job) => {
                        state.phase = Phase::Reading(response, job);
                        Next::Wait
                    }
                    Err(_) => Next::End(Close::Abort, Counter::OutOfMemory),
                }
            }
            Progress::Lost => Next::End(Close::Abort, Counter::Reset),
        }
    }

    /// Throws away what is there of a request's body.
    fn drain_body(
        &self,
        state: &mut State,
        stream: &mut Stream<'_>,
        mut drain: Drain,
        local: &mut Local,
    ) -> Next {
        let octets = stream.peek(&mut local.scratch);
        if octets.is_empty() {
            if stream.is_read_closed() {
                return Next::End(Close::Orderly, Counter::Incomplete);
            }
            state.phase = Phase::Draining(drain);
            return Next::Wait;
        }
        match drain.consume(octets) {
            Ok(progress) => {
                stream.consume(progress.consumed);
                self.count(Counter::OctetsDrained, progress.consumed);
                state.drained = state.drained.saturating_add(progress.consumed as u64);
                if progress.is_done {
                    state.drained = 0;
                    state.timer = Timer::Send;
                } else if dispatch::is_too_long(state.drained) {
                    return Next::End(Close::Abort, Counter::LimitBody);
                } else {
                    state.phase = Phase::Draining(drain);
                }
                Next::Go
            }
            Err(bad) => {
                self.counters.count(bad);
                self.refuse(state, stream, bad.status(), explain(bad), local);
                Next::Go
            }
        }
    }

    /// Ends what is sent, and waits for the peer to do so.
    fn begin_linger(
        &self,
        sock: &Sock<Connection>,
        state: &mut State,
        stream: &mut Stream<'_>,
        local: &mut Local,
    ) {
        stream.shut_down_send();
        let longest = u64::from(local.config.linger_timeout).saturating_mul(LINGER_TIMES);
        state.linger_until = local.now.saturating_add(longest);
        state.phase = Phase::Lingering;
        local.wait(sock, state, Timer::Linger);
    }

    /// Throws away what still comes.
    fn linger(
        &self,
        sock: &Sock<Connection>,
        state: &mut State,
        stream: &mut Stream<'_>,
        local: &mut Local,
    ) -> Next {
        let unread = stream.unread();
        if unread > 0 {
            stream.consume(unread);
            state.discarded = state.discarded.saturating_add(unread);
            local.wait(sock, state, Timer::Linger);
        }
        if stream.is_read_closed() {
            return Next::End(Close::Orderly, Counter::Closed);
        }
        if state.discarded > local.config.linger_limit as usize {
            return Next::End(Close::Orderly, Counter::LimitLinger);
        }
        state.phase = Phase::Lingering;
        Next::Wait
    }

    /// Ends all connections.
    fn end(&self, local: &mut Local, may_sleep: &MaySleep) {
        loop {
            let mut count: usize = 0;
            while let Some(sock) = local.wheel.pop() {
                self.count(Counter::Closed, 1);
                sock.close(Close::Orderly, may_sleep);
                count = count.saturating_add(1);
            }
            for sock in self.queue.take_all() {
                // Of those that were not looked at yet, this is the first that we hear.
                if sock.data().is_first_look() {
                    self.count(Counter::Accepted, 1);
                    self.count(Counter::Closed, 1);
                }
                sock.close(Close::Orderly, may_sleep);
                count = count.saturating_add(1);
            }
            if count == 0 {
                break;
            }
        }
    }
}

/// What a person may need to know of a refusal.
fn explain(bad: BadRequest) -> &'static str {
    bad.name()
}

impl Run for Worker {
    type Local = Local;

    fn run(&self, mut local: Local, this: &This) {
        let shared = self.shared.clone();
        let serve = || self.serve(&mut local, this);
        shared.credentials().assume(serve);
        self.end(&mut local, this.may_sleep());
    }
}

impl Worker {
    /// Serves until the thread should stop.
    fn serve(&self, local: &mut Local, this: &This) {
        let may_sleep = this.may_sleep();
        while !this.should_stop() {
            local.refresh(&self.shared);
            for sock in self.queue.take_all() {
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
            self.shared.attend(local.now, &self.counters, may_sleep);
            let timeout = if local.wheel.is_empty() {
                None
            } else {
                Some(time::second())
            };
            this.sleep(timeout, || {
                !self.queue.is_empty() || self.shared.wants_attention(local.now)
            });
        }
    }
}
