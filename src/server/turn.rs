// SPDX-License-Identifier: GPL-2.0

//! One turn of a connection: what can be done at once, bounded.
//!
//! A turn has the connection's lock. It goes from step to step until it has to wait for an event,
//! has had its share, or has reached the connection's end.

mod deadline;
mod handover;
mod leave;

use super::connection::{
    Connection,
    Phase,
    Purpose,
    State,
    Timer, //
};
use super::dispatch::{
    self,
    Action,
    Decision,
    Opened,
    Reason, //
};
use super::flight::{
    Key,
    Part, //
};
use super::job::{
    Output,
    Pending,
    Task, //
};
use super::lookup::{
    self,
    Query,
    Resolution, //
};
use super::reply::{
    Plan,
    Reply, //
};
use super::response::{
    Progress,
    Reading,
    Response, //
};
use super::stats::{
    Counter,
    Event, //
};
use super::storage::{
    Place,
    Refused, //
};
use super::worker::Worker;
use super::workspace::{
    Missed,
    Workspace, //
};
use crate::http::bad_request::BadRequest;
use crate::http::framing::{
    Body,
    Drain, //
};
use crate::http::handoff;
use crate::http::request::{
    self,
    Method,
    Request, //
};
use crate::http::status::Status;
use crate::http::target;
use crate::linux::context::MaySleep;
use crate::linux::sock::{
    Close,
    Locked,
    Sock, //
};
use crate::linux::stream::Stream;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;

/// The path of the document root.
const ROOT: target::Path<'_> = target::Path {
    name: &[],
    is_directory: true,
};

/// Requests that a connection may have answered in one turn.
const REQUESTS: usize = 16;

/// Octets that a connection may send in one turn.
const OCTETS: usize = 1 << 20;

/// What comes next for a connection.
pub(super) enum Next {
    /// The next step of the same turn.
    Go,
    /// An event, or its deadline.
    Wait,
    /// Another turn, behind those of others.
    Again,
    /// Another turn, in a tick.
    Later,
    /// It is to be handed over, for that reason.
    HandOver(handoff::Reason),
    /// Its end, and why.
    End(Close, Counter),
}

/// A turn.
pub(super) struct Turn<'a> {
    worker: &'a Worker,
    sock: &'a Sock<Connection>,
    state: &'a mut State,
    stream: Stream<'a>,
    local: &'a mut Workspace,
    may_sleep: &'a MaySleep,
    /// Octets that may still be sent.
    budget: usize,
    /// Whether the request has waited for a file to be opened for another one.
    has_waited: bool,
}

impl<'a> Turn<'a> {
    /// A turn of `sock`, which is `locked`.
    pub(super) fn new(
        worker: &'a Worker,
        sock: &'a Sock<Connection>,
        locked: &'a mut Locked<'_, Connection, MaySleep>,
        local: &'a mut Workspace,
        may_sleep: &'a MaySleep,
    ) -> Self {
        let (state, stream) = locked.parts();
        Self {
            worker,
            sock,
            state,
            stream,
            local,
            may_sleep,
            budget: OCTETS,
            has_waited: false,
        }
    }

    /// Takes the turn. `is_late` says that the connection's deadline has passed.
    #[inline(never)]
    pub(super) fn run(mut self, is_late: bool) -> Next {
        let next = self.steps(is_late);
        self.cache_missed();
        next
    }

    /// Caches what was found for the request that was answered last, whose name is still here.
    fn cache_missed(&mut self) {
        if let Some(missed) = self.local.missed.take() {
            self.cache(&missed);
        }
    }

    /// Caches what was found.
    #[inline(never)]
    fn cache(&mut self, missed: &Missed) {
        let local = &mut *self.local;
        let Some(name) = local.name.get(..missed.len) else {
            return;
        };
        let query = Query {
            path: target::Path {
                name,
                is_directory: missed.is_directory,
            },
            accepted: missed.accepted,
            listing: None,
        };
        let buffer = &mut local.lookup;
        lookup::cache(&local.config, &query, buffer, self.worker, self.may_sleep);
    }

    /// Goes from step to step.
    #[inline(never)]
    fn steps(&mut self, is_late: bool) -> Next {
        // Its first requests may have been answered in softirq.
        if self.sock.data().is_first_look() && self.state.requests == 0 {
            self.wait(Timer::Header);
        }
        if self.stream.is_closed() {
            let has_failed = self.stream.has_failed();
            let why = if has_failed {
                Counter::Reset
            } else {
                Counter::Closed
            };
            return Next::End(Close::Orderly, why);
        }
        if is_late {
            match self.late() {
                Next::Go => (),
                next => return next,
            }
        }
        let mut answered: usize = 0;
        while answered < REQUESTS {
            match self.step() {
                Next::Go => (),
                next => return next,
            }
            // A response has ended when the next request is waited for.
            let is_answered = matches!(self.state.phase, Phase::Receiving);
            answered = answered.saturating_add(usize::from(is_answered));
        }
        Next::Again
    }

    /// Counts one.
    fn count(&self, event: impl Into<Event>) {
        self.worker.counters().count(event);
    }

    /// One step.
    fn step(&mut self) -> Next {
        match &mut self.state.phase {
            Phase::Receiving => match self.leave() {
                Some(next) => next,
                None => self.receive(None, true),
            },
            Phase::Opening(job, purpose) => {
                let Some(Output::Opened(resolution)) = job.result() else {
                    return Next::Wait;
                };
                let purpose = *purpose;
                self.state.phase = Phase::Receiving;
                self.opened(resolution, purpose)
            }
            Phase::Waiting(wait) => {
                if !wait.is_over() {
                    return Next::Wait;
                }
                self.state.phase = Phase::Receiving;
                self.has_waited = true;
                let next = self.receive(None, true);
                self.has_waited = false;
                next
            }
            Phase::Refused(purpose) => {
                let purpose = *purpose;
                self.state.phase = Phase::Receiving;
                self.opened(Resolution::Busy, purpose)
            }
            Phase::Sending(response) => match response.finish_reading() {
                Reading::Ready => self.send(),
                Reading::Pending => Next::Wait,
                Reading::Truncated => Next::End(Close::Abort, Counter::Truncated),
                Reading::Failed(error) => {
                    let is_untouched = response.is_untouched();
                    self.was_not_read(is_untouched, error)
                }
            },
            Phase::HandingOver(why, _) => {
                let why = *why;
                self.hand_over(why)
            }
            Phase::Ending => self.begin_linger(),
            Phase::Draining(_) => self.drain(),
            Phase::Lingering => self.linger(),
        }
    }

    /// Ends a response, or begins another one in its place if it `is_untouched`, because no more of
    /// the file can be read.
    #[inline(never)]
    fn was_not_read(&mut self, is_untouched: bool, error: Error) -> Next {
        let (counter, reason) = if error == ENOMEM {
            self.worker.lacks_memory(self.local.now);
            (Counter::OutOfMemory, dispatch::busy())
        } else {
            let detail = "The file can't be read.";
            let reason = Reason::new(Status::InternalServerError, detail);
            (Counter::ReadErrors, reason)
        };
        if !is_untouched {
            return Next::End(Close::Abort, counter);
        }
        // The response says so where memory lacked; that counter is for connections.
        if counter == Counter::ReadErrors {
            self.count(counter);
        }
        // Without an error page: it may be what can't be read, which would begin this anew. The
        // content of a HEAD is not read.
        self.conclude(Action::Reject(reason), false)
    }

    /// Ends a response, or begins another one in its place if it `is_untouched`, because nobody
    /// reads more of the file.
    #[inline(never)]
    fn is_not_read(&mut self, is_untouched: bool, refused: Refused) -> Next {
        let counter = match refused {
            Refused::NoMemory => return Next::End(Close::Abort, Counter::OutOfMemory),
            Refused::Silent => Counter::StorageRefused,
        };
        if !is_untouched {
            return Next::End(Close::Abort, counter);
        }
        self.count(counter);
        self.conclude(Action::Reject(dispatch::busy()), false)
    }

    /// Reads a request, and begins its response. `opened` is what was opened for it before. Unless
    /// it `may_leave`, it is answered here that it can't be handed over.
    #[inline(never)]
    fn receive(&mut self, opened: Option<Opened>, may_leave: bool) -> Next {
        self.cache_missed();
        // What is read of the request came before: a configuration that is older than it is seen.
        self.local.take_config(self.worker.shared());
        // What is malformed in a head that will never be whole is refused, whatever its pieces
        // were.
        let is_over = self.stream.is_read_closed();
        let octets = self.stream.peek(&mut self.local.scratch);
        let len = octets.len();
        let is_same = self.state.scanned > 0
            && len < self.local.limits.head
            && !is_over
            && !request::has_new_line(octets, self.state.scanned);
        let mut request = Request::new();
        let read = if octets.is_empty() || is_same {
            Ok(None)
        } else {
            request.read(octets, &self.local.limits)
        };
        let head_len = match read {
            Ok(Some(len)) => len,
            Ok(None) => return self.incomplete(len),
            Err(bad) => {
                let is_head = request::is_head(octets);
                return self.bad(bad, is_head);
            }
        };
        // What has come of the body with its head is looked at before the request is answered.
        if request.body == Body::Chunked {
            let rest = octets.get(head_len..).unwrap_or(&[]);
            if let Err(bad) = Drain::new(request.body).consume(rest) {
                let is_head = request.method == Method::Head;
                return self.bad(bad, is_head);
            }
        }
        let config = &self.local.config;
        let moment = &self.local.moment;
        let path = if request.target.path.is_empty() {
            // The server as a whole (`*`), or another one: no path is looked up for these.
            Ok(ROOT)
        } else {
            target::normalize(request.target.path, &mut self.local.name)
        };
        let (buffer, may_sleep) = (&mut self.local.lookup, self.may_sleep);
        let (sock, has_waited) = (self.sock, self.has_waited);
        let missed = &mut self.local.missed;
        let asked = path.ok().map(|path| path.name);
        let resolve = |query: &Query<'_>| {
            let found = lookup::find(config, query, has_waited, buffer, sock, may_sleep);
            let (found, is_cached) = found?;
            let is_asked = asked.is_some_and(|name| core::ptr::eq(name, query.path.name));
            let may_keep = match &found {
                Resolution::File(document) => config.keeps(document.attributes.size),
                _ => false,
            };
            if may_keep && !is_cached && is_asked {
                *missed = Some(Missed {
                    len: query.path.name.len(),
                    is_directory: query.path.is_directory,
                    accepted: query.accepted,
                });
            }
            Some(found)
        };
        let decision = if may_leave {
            dispatch::decide(&request, path, config, moment.seconds, opened, resolve)
        } else {
            dispatch::refuse(dispatch::busy(), config, resolve)
        };
        let action = match decision {
            Decision::HandOver(why) => return self.begin_handover(why),
            Decision::Answer(action) => action,
            Decision::Open(query, reason) => {
                let root = config.document_root.root();
                let buffer = &mut self.local.lookup;
                let (place, is_local) = lookup::place(root, &query, buffer, may_sleep);
                let hasher = self.worker.store().cache().hasher();
                let is_shared = config.single_flight != 0 && is_local && reason.is_none();
                let key = is_shared.then(|| hasher.query(&query).key());
                let task = lookup::Open::new(&config.document_root, &query, place);
                let purpose = reason.map_or(Purpose::Answer, Purpose::Page);
                let opening = self.open(task, place, purpose, key);
                return opening.unwrap_or(Next::End(Close::Abort, Counter::OutOfMemory));
            }
        };
        if let Err(bad) = path {
            self.worker.counters().count(bad);
        }
        let answered = self.state.requests.saturating_add(1);
        let limit = u64::from(config.keepalive_requests);
        let is_last = config.is_last || (limit != 0 && answered >= limit);
        let reply = Reply::new(&request, is_last, config, moment);
        let path = path.ok().map(|path| (path, request.target.query));
        let plan = reply.plan(action, path, &mut self.local.head);
        self.stream.consume(head_len);
        self.count(Counter::Requests);
        self.state.requests = answered;
        self.respond(plan)
    }

    /// Waits for the rest of a head, of which there are `len` octets.
    fn incomplete(&mut self, len: usize) -> Next {
        let was_empty = self.state.scanned == 0;
        self.state.scanned = len;
        if self.stream.is_read_closed() {
            let why = match len {
                0 => Counter::Closed,
                _ => Counter::Incomplete,
            };
            return Next::End(Close::Orderly, why);
        }
        // The time for the first head runs from the begin of the connection, for others from
        // their first octet.
        if self.state.requests > 0 {
            if len == 0 && self.state.timer != Timer::KeepAlive {
                self.wait(Timer::KeepAlive);
            } else if len > 0 && was_empty && self.state.timer != Timer::Header {
                self.wait(Timer::Header);
            }
        }
        Next::Wait
    }

    /// Goes on with what was opened for that purpose.
    fn opened(&mut self, resolution: Resolution, purpose: Purpose) -> Next {
        let reason = match purpose {
            Purpose::Answer => None,
            Purpose::Page(reason) => Some(reason),
            Purpose::Refusal(reason, is_head) => {
                return self.conclude_with(reason, resolution, is_head)
            }
        };
        self.receive(Some((resolution, reason)), true)
    }

    /// Begins a response that is the last of the connection, with `page` if that is a file.
    #[inline(never)]
    fn conclude_with(&mut self, reason: Reason, page: Resolution, is_head: bool) -> Next {
        self.conclude(dispatch::with_page(reason, page), is_head)
    }

    /// Opens a file in a work item, or waits for one that does so for another one with that `key`.
    /// Fails if there is no memory for that.
    #[inline(never)]
    fn open(
        &mut self,
        task: Result<lookup::Open>,
        place: Place,
        purpose: Purpose,
        key: Option<Key>,
    ) -> Result<Next> {
        let (shared, limit) = (self.worker.shared(), self.local.config.max_connect);
        let task = Task::Open(task?);
        let (flights, was_in_vain) = (shared.flights(), self.has_waited);
        let join = |key| flights.join(key, was_in_vain, place, self.sock, limit);
        let begun = key.map_or(Ok(Part::Alone), join).and_then(|part| {
            let flight = match part {
                Part::Other(wait) => return Ok(Phase::Waiting(wait)),
                Part::First(flight) => Some(flight),
                Part::Alone => None,
            };
            let job = Pending::start(task, place, flight, self.sock, shared, limit)?;
            Ok(Phase::Opening(job, purpose))
        });
        match begun {
            Ok(phase) => {
                let is_primary = matches!(purpose, Purpose::Answer) && !self.has_waited;
                let counter = match phase {
                    Phase::Waiting(_) => Counter::CacheMissesSecondary,
                    _ => Counter::DeferredLookup,
                };
                if is_primary && counter == Counter::DeferredLookup {
                    self.count(Counter::CacheMissesPrimary);
                }
                self.state.phase = phase;
                Ok(self.deferred(counter))
            }
            Err(Refused::Silent) => {
                self.count(Counter::StorageRefused);
                self.state.phase = Phase::Refused(purpose);
                Ok(Next::Go)
            }
            Err(Refused::NoMemory) => Err(ENOMEM),
        }
    }

    /// Waits for a work item.
    fn deferred(&mut self, counter: Counter) -> Next {
        self.count(counter);
        self.wait(Timer::Send);
        Next::Wait
    }

    /// Refuses what is no request.
    fn bad(&mut self, bad: BadRequest, is_head: bool) -> Next {
        self.count(bad);
        self.count(Counter::Requests);
        self.refuse(Reason::new(bad.status(), bad.name()), is_head)
    }

    /// Refuses what is no request, or is one that came too late.
    #[inline(never)]
    fn refuse(&mut self, reason: Reason, is_head: bool) -> Next {
        let local = &mut *self.local;
        let (buffer, may_sleep) = (&mut local.lookup, self.may_sleep);
        let root = local.config.document_root.root();
        let (config, sock) = (&local.config, self.sock);
        let decision = dispatch::refuse(reason, config, |query| {
            lookup::find(config, query, false, buffer, sock, may_sleep).map(|(found, _)| found)
        });
        let (task, place) = match decision {
            Decision::Answer(action) => return self.conclude(action, is_head),
            // Only a request that was read is handed over.
            Decision::HandOver(_) => return self.conclude(Action::Reject(reason), is_head),
            Decision::Open(query, _) => {
                let (place, _) = lookup::place(root, &query, &mut local.lookup, may_sleep);
                let task = lookup::Open::new(&local.config.document_root, &query, place);
                (task, place)
            }
        };
        let opening = self.open(task, place, Purpose::Refusal(reason, is_head), None);
        // Without memory it is refused without the page.
        opening.unwrap_or_else(|_| self.conclude(Action::Reject(reason), is_head))
    }

    /// Begins a response that is the last of the connection. What has come is not read.
    fn conclude(&mut self, action: Action, is_head: bool) -> Next {
        let local = &mut *self.local;
        let reply = Reply::refusal(is_head, &local.config, &local.moment);
        let plan = reply.plan(action, None, &mut local.head);
        let unread = self.stream.unread();
        self.stream.consume(unread);
        self.respond(plan)
    }

    /// Begins a response as it was planned. Its head is in `local.head`.
    #[inline(never)]
    fn respond(&mut self, plan: Plan) -> Next {
        self.state.scanned = 0;
        self.wait(Timer::Send);
        let fragments = self.local.take_fragments(GFP_KERNEL);
        let head = self.local.head.get(..plan.len).unwrap_or(&[]);
        let cache = &mut self.local.cache;
        let fragments = fragments.and_then(|mut fragments| {
            for piece in head.chunks(PAGE_SIZE) {
                cache.append(piece, &mut fragments)?;
            }
            Ok(fragments)
        });
        let Ok(fragments) = fragments else {
            return Next::End(Close::Abort, Counter::OutOfMemory);
        };
        self.state.phase = Phase::Sending(Response::new(plan, fragments));
        Next::Go
    }

    /// Goes on with a response.
    #[inline(never)]
    fn send(&mut self) -> Next {
        if self.stream.is_send_queue_empty() {
            self.begin_pace();
        }
        let Phase::Sending(response) = &mut self.state.phase else {
            return Next::Go;
        };
        let mut sent = 0;
        self.stream.set_summing(self.local.config.checksums != 0);
        self.stream.set_manner(self.local.config.manner());
        let progress = response.send(
            &mut self.stream,
            &mut self.local.cache,
            self.budget,
            &mut sent,
            self.local.now,
            self.may_sleep,
        );
        self.budget = self.budget.saturating_sub(sent);
        let counters = self.worker.counters();
        if let Some(status) = response.status_sent() {
            counters.count(status);
        }
        let mut awaited = Counter::DeferredRead;
        if progress == Progress::Cold {
            if response.is_untouched() && !response.has_waited() {
                counters.count(Counter::CacheMissesContent);
            }
            let (shared, limit) = (self.worker.shared(), self.local.config.max_connect);
            let hasher = self.worker.store().cache().hasher();
            let hasher = (self.local.config.single_flight != 0).then_some(hasher);
            match response.read(self.sock, shared, hasher, limit) {
                Ok(true) => (),
                Ok(false) => awaited = Counter::DeferredReadShared,
                Err(refused) => {
                    let is_untouched = response.is_untouched();
                    return self.is_not_read(is_untouched, refused);
                }
            }
        }
        if sent > 0 {
            counters.add(Counter::OctetsSent, sent as u64);
            self.wait(Timer::Send);
        }
        match progress {
            Progress::Done => self.sent(),
            Progress::Full => {
                if self.stream.is_send_queue_empty() {
                    self.worker.lacks_memory(self.local.now);
                    self.wait(Timer::Memory);
                }
                Next::Wait
            }
            Progress::Enough => Next::Again,
            Progress::Cold => self.deferred(awaited),
            Progress::NoMemory => Next::End(Close::Abort, Counter::OutOfMemory),
            Progress::Lost => Next::End(Close::Abort, Counter::Reset),
        }
    }

    /// Goes on behind a response that was sent.
    #[inline(never)]
    fn sent(&mut self) -> Next {
        let Phase::Sending(mut response) = core::mem::take(&mut self.state.phase) else {
            return Next::Go;
        };
        if let Some(fragments) = response.take_fragments() {
            self.local.put_spare(fragments);
        }
        if !response.is_persistent() {
            return self.begin_linger();
        }
        let drain = response.into_drain();
        if !drain.is_done() {
            self.state.drained = 0;
            self.state.phase = Phase::Draining(drain);
            self.wait(Timer::Body);
        }
        Next::Go
    }

    /// Ends what is sent, and waits for the peer to do so.
    fn begin_linger(&mut self) -> Next {
        if !self.stream.finish() && self.stream.shut_down_send().is_err() {
            return Next::End(Close::Abort, Counter::OutOfMemory);
        }
        self.state.begin_linger(self.local);
        self.wait(Timer::Linger);
        Next::Go
    }

    /// Throws away what is there of a request's body. The request was answered; if it can't be told
    /// where the body ends, nothing else is.
    #[inline(never)]
    fn drain(&mut self) -> Next {
        let Phase::Draining(drain) = &mut self.state.phase else {
            return Next::Go;
        };
        let octets = self.stream.peek(&mut self.local.scratch);
        if octets.is_empty() {
            if self.stream.is_read_closed() {
                return Next::End(Close::Orderly, Counter::Incomplete);
            }
            return Next::Wait;
        }
        let progress = match drain.consume(octets) {
            Ok(progress) => progress,
            Err(bad) => {
                self.count(bad);
                return self.begin_linger();
            }
        };
        self.stream.consume(progress.consumed);
        let drained = progress.consumed as u64;
        self.worker.counters().add(Counter::OctetsDrained, drained);
        self.state.drained = self.state.drained.saturating_add(drained);
        if progress.is_done {
            self.state.phase = Phase::Receiving;
        } else if dispatch::is_too_long(Body::Length(self.state.drained)) {
            self.count(Counter::LimitBody);
            return self.begin_linger();
        }
        Next::Go
    }

    /// Throws away what still comes.
    fn linger(&mut self) -> Next {
        // The server may have been stopped meanwhile.
        if self.state.timer_until > self.local.deadline(Timer::Linger) {
            self.wait(Timer::Linger);
        }
        let unread = self.stream.unread();
        if unread > 0 {
            self.stream.consume(unread);
            self.state.discarded = self.state.discarded.saturating_add(unread as u64);
            self.wait(Timer::Linger);
        }
        if self.stream.is_read_closed() {
            return Next::End(Close::Orderly, Counter::Closed);
        }
        if self.state.discarded > u64::from(self.local.config.linger_limit) {
            return Next::End(Close::Orderly, Counter::LimitLinger);
        }
        Next::Wait
    }
}
