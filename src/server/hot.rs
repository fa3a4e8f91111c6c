// SPDX-License-Identifier: GPL-2.0

//! Requests that are answered where they come in: in softirq, by what the shelf of the CPU has.
//!
//! ```text
//!   octets --the same as before----------------------------> ready -------.
//!     |                                                        ^          v
//!     '--parse--> document on the shelf --decide--> form ------'      fragments --> sent
//!           |              |                   |      '-----> compose ----^
//!           '--------------+-------------------+----------------'
//!                          '--> a worker looks at the connection
//! ```
//!
//! What decides and what writes the head is what workers use, so that answers are the same. Until
//! the first octet is sent nothing is changed: a worker begins the request anew. Nothing here
//! waits, and nothing allocates but from what may be had at once.

use super::cache::{
    Hash,
    Hasher, //
};
use super::connection::{
    Connection,
    Phase,
    State,
    Timer, //
};
use super::content::{
    self,
    Content, //
};
use super::dispatch;
use super::held::Held;
use super::reply::{
    PlanAtOnce,
    Reply, //
};
use super::response::Response;
use super::shelf::{
    Documents,
    Key,
    Ready,
    Responses,
    Shelf,
    REQUEST_LEN, //
};
use super::stats::Counter;
use super::worker::Worker;
use super::workspace::Workspace;
use crate::http::framing::Body;
use crate::http::range::ByteRange;
use crate::http::request::{
    self,
    Expect,
    Method,
    Request, //
};
use crate::http::status::Status;
use crate::http::target;
use crate::linux::context::Softirq;
use crate::linux::fragment::Fragments;
use crate::linux::sock::{
    Locked,
    Sock, //
};
use crate::linux::stream::Stream;
use kernel::prelude::*;
use kernel::sync::Arc;

/// Requests that a connection may have answered at a time.
const REQUESTS: u64 = 16;

/// Octets of content that are sent from here for one request; a worker sends what is left.
const CONTENT: usize = 128 << 10;

/// Octets of the longest response that is made ready with its content.
const READY_LEN: u64 = 16 << 10;

/// Octets that a connection may send at a time.
const OCTETS: usize = 64 << 10;

/// [`ready_responses`](super::config::Config) if responses are found by their form.
const BY_FORM: u32 = 1;

/// The same if they are found by the octets of requests, too.
const BY_REQUEST: u32 = 2;

/// What has become of a request.
enum Step {
    /// It was answered.
    Answered,
    /// It was answered, and is the last.
    Last,
    /// It was answered, and a worker has to go on: the rest must be sent, or the connection ended.
    Begun,
    /// A worker has to answer it.
    Defer,
}

/// Requests whose responses are sent together.
struct Batch {
    /// What they are answered with.
    status: Status,
    /// How many there are.
    count: u64,
    /// Octets of all of them.
    octets: usize,
    /// Whether the connection stays open behind them.
    is_persistent: bool,
}

impl Batch {
    /// Whether the response `ready` can be added: if it is like the first one, and short.
    fn takes(&self, ready: &Ready) -> bool {
        self.status == ready.form.status && ready.content.len() <= READY_LEN
    }
}

/// What the connection, which is locked in softirq, has to be served with.
struct Hot<'a, 'b> {
    worker: &'a Worker,
    state: &'a mut State,
    stream: &'a mut Stream<'b>,
    workspace: &'a mut Workspace,
    documents: &'a Documents,
    responses: &'a mut Responses,
    hasher: Hasher,
    /// Octets that have come and were not consumed.
    unread: usize,
    /// Requests that were answered.
    answered: u64,
    /// Octets that were sent.
    sent: usize,
    /// Whether the shelf has not what was asked for last.
    is_missing: bool,
}

/// Answers the requests that have come. Returns whether that is all that there is to do; if not, a
/// worker has to look at the connection.
#[inline(never)]
pub(super) fn serve(sock: &Sock<Connection>, locked: &mut Locked<'_, Connection, Softirq>) -> bool {
    let worker = sock.data().worker();
    let shared = worker.shared();
    let Some((cpu, mut shelf)) = worker.store().shelf() else {
        return false;
    };
    let Shelf {
        workspace,
        documents,
        responses,
    } = &mut *shelf;
    let config = &workspace.config;
    let is_current = workspace.generation() == shared.generation();
    if !is_current || !config.answers_at_once() {
        return false;
    }
    workspace.take_time();
    let (state, mut stream) = locked.parts();
    // A head that comes in pieces is not read anew with each of them: the worker looks at those.
    if state.scanned > 0 {
        return false;
    }
    // A worker hands it over, if it can.
    let is_new = state.requests == 0;
    if is_new && shared.failsafe().is_on(workspace.now) && !worker.is_stalled(workspace.now) {
        return false;
    }
    stream.set_summing(workspace.config.checksums != 0);
    stream.set_manner(workspace.config.manner());
    let was_idle = stream.is_send_queue_empty();
    let mut hot = Hot {
        worker,
        state,
        stream: &mut stream,
        workspace,
        documents,
        responses,
        hasher: worker.store().cache().hasher(),
        unread: 0,
        answered: 0,
        sent: 0,
        is_missing: false,
    };
    let is_all = hot.run();
    let (answered, sent) = (hot.answered, hot.sent);
    if hot.is_missing {
        sock.data().set_deferred_on(cpu);
    }
    if answered == 0 {
        return is_all;
    }
    let counters = worker.counters();
    counters.add(Counter::Requests, answered);
    counters.add(Counter::AnsweredAtOnce, answered);
    counters.add(Counter::OctetsSent, sent as u64);
    if was_idle {
        state.begin_pace(&stream, workspace);
    }
    let timer = match state.phase {
        Phase::Receiving => Timer::KeepAlive,
        Phase::Lingering => Timer::Linger,
        _ => Timer::Send,
    };
    state.wait(timer, workspace);
    let deadline = state.deadline(&stream);
    sock.data().set_deadline(deadline);
    // One before the worker's next look has to be told to it.
    is_all && sock.data().placed() <= deadline
}

impl Hot<'_, '_> {
    /// Answers requests. Returns whether that is all that there is to do.
    fn run(&mut self) -> bool {
        if self.stream.is_closed() || self.stream.is_read_closed() {
            return false;
        }
        loop {
            self.unread = self.stream.unread();
            if self.unread == 0 {
                return true;
            }
            if self.answered >= REQUESTS || self.sent >= OCTETS {
                return false;
            }
            match self.step() {
                Step::Answered => (),
                Step::Last => return true,
                Step::Begun | Step::Defer => return false,
            }
        }
    }

    /// Answers one request, of which there are octets, and those that follow if their responses are
    /// ready and short: all in one send.
    fn step(&mut self) -> Step {
        let Ok(mut fragments) = self.workspace.take_fragments(GFP_ATOMIC | __GFP_NOWARN) else {
            return Step::Defer;
        };
        let mut rest = None;
        let Some(filled) = self.fill(&mut fragments, &mut rest) else {
            self.workspace.put_spare(fragments);
            return Step::Defer;
        };
        let (mut octets, mut count) = (filled.request_len, 1);
        let mut is_persistent = filled.is_persistent;
        let may_wait = self.stream.may_hold_back();
        if octets < self.unread && is_persistent && rest.is_none() && may_wait {
            let batch = self.add_more(&filled, &mut fragments);
            (octets, count, is_persistent) = (batch.octets, batch.count, batch.is_persistent);
        }
        let has_more = rest.is_some() || (!is_persistent && may_wait);
        let sent = match self.stream.send(&mut fragments, has_more) {
            Ok(sent) if sent > 0 => sent,
            Ok(_) | Err(_) => {
                self.workspace.put_spare(fragments);
                return Step::Defer;
            }
        };
        self.stream.consume(octets);
        self.worker.counters().add(filled.status, count);
        self.answered = self.answered.saturating_add(count);
        self.sent = self.sent.saturating_add(sent);
        self.state.requests = self.state.requests.saturating_add(count);
        if fragments.len() > 0 || rest.is_some() {
            return self.leave(fragments, rest, is_persistent);
        }
        self.workspace.put_spare(fragments);
        if is_persistent {
            Step::Answered
        } else {
            self.end()
        }
    }

    /// Leaves to a worker what was not sent.
    #[inline(never)]
    fn leave(&mut self, fragments: Fragments, rest: Option<Content>, is_persistent: bool) -> Step {
        let response = Response::resume(fragments, rest, is_persistent);
        self.leave_receiving(Phase::Sending(response));
        Step::Begun
    }

    /// Ends the connection: the FIN goes with the last octets, which were held back for it.
    #[inline(never)]
    fn end(&mut self) -> Step {
        if !self.stream.finish() {
            self.leave_receiving(Phase::Ending);
            return Step::Begun;
        }
        self.state.limit_linger(self.workspace);
        self.leave_receiving(Phase::Lingering);
        Step::Last
    }

    /// Puts `phase` in the place of `Receiving`, which has nothing that is to be dropped: the
    /// compiler doesn't know that, and all that it might be would be called on the stack of a
    /// softirq.
    fn leave_receiving(&mut self, phase: Phase) {
        core::mem::forget(core::mem::replace(&mut self.state.phase, phase));
    }

    /// Adds the responses to the requests behind `first` to `fragments`, as long as they are ready.
    /// Returns the requests.
    #[inline(never)]
    fn add_more(&mut self, first: &Filled, fragments: &mut Fragments) -> Batch {
        let mut batch = Batch {
            status: first.status,
            count: 1,
            octets: first.request_len,
            is_persistent: true,
        };
        while batch.is_persistent
            && batch.octets < self.unread
            && self.answered.saturating_add(batch.count) < REQUESTS
            && self.sent.saturating_add(fragments.len()) < OCTETS
        {
            let Some(filled) = self.fill_more(&batch, fragments) else {
                break;
            };
            batch.count = batch.count.saturating_add(1);
            batch.octets = batch.octets.saturating_add(filled.request_len);
            batch.is_persistent = filled.is_persistent;
        }
        batch
    }

    /// Puts the response to the request behind `batch` into `fragments`; `None` if it isn't ready.
    fn fill_more(&mut self, batch: &Batch, fragments: &mut Fragments) -> Option<Filled> {
        if self.is_last(batch.count) || self.workspace.config.ready_responses < BY_REQUEST {
            return None;
        }
        let octets = self
            .stream
            .peek_unread(self.unread, &mut self.workspace.scratch);
        let octets = octets.get(batch.octets..)?;
        let len = request::up_to_empty_line(octets)?;
        let octets = octets.get(..len)?;
        let hash = self.hasher.octets(octets);
        let second = self.workspace.moment.seconds;
        let ready = self.responses.find(hash, Key::Request(octets), second);
        let ready = ready.filter(|ready| batch.takes(ready))?;
        let entry = ready.entry(self.documents)?;
        let before = fragments.len();
        ready.fragments.share(fragments);
        let content = ready.content;
        let content_len = usize::try_from(content.len()).ok()?;
        if content_len != 0 {
            let file = &entry.document().file;
            file.resident(content.first, content_len, fragments, None);
        }
        let added = fragments.len().saturating_sub(before);
        if added != ready.fragments.len().saturating_add(content_len) {
            // There is no room for more, or its content isn't in memory.
            fragments.shorten(added);
            return None;
        }
        entry.use_at(self.workspace.now);
        Some(Filled::new(ready, len))
    }

    /// Puts the response to the first request into `fragments`, and what they don't have of its
    /// content into `rest`; `None` if a worker has to answer.
    fn fill(&mut self, fragments: &mut Fragments, rest: &mut Option<Content>) -> Option<Filled> {
        let is_last = self.is_last(0);
        let octets = self
            .stream
            .peek_unread(self.unread, &mut self.workspace.scratch);
        let len = octets.len();
        // What is the last response of this connection is none of another's.
        let may_be_ready = self.workspace.config.ready_responses >= BY_REQUEST;
        if len > REQUEST_LEN || is_last || !may_be_ready {
            let (filled, left) = self.answer(None, is_last, fragments)?;
            *rest = left;
            return Some(filled);
        }
        let hash = self.hasher.octets(octets);
        let second = self.workspace.moment.seconds;
        let ready = self.responses.find(hash, Key::Request(octets), second);
        if let Some((ready, entry)) =
            ready.and_then(|ready| Some((ready, ready.entry(self.documents)?)))
        {
            entry.use_at(self.workspace.now);
            ready.fragments.share(fragments);
            if ready.content.len() > 0 {
                let room = self.stream.send_room();
                *rest = begin(&entry.document().file, ready.content, room, fragments)?;
            }
            return Some(Filled::new(ready, len));
        }
        let (filled, left) = self.answer(Some(hash), is_last, fragments)?;
        *rest = left;
        Some(filled)
    }

    /// Whether the response behind `count` others is the last one that the connection may have.
    fn is_last(&self, count: u64) -> bool {
        let limit = u64::from(self.workspace.config.keepalive_requests);
        let before = self.state.requests.saturating_add(count);
        limit != 0 && before.saturating_add(1) >= limit
    }

    /// As [`Self::fill`], by reading the request and deciding; returns what goes into `rest`, too.
    /// `hash` is that of all octets that have come, if they are few; `is_last` says that the
    /// connection may have no other response.
    #[inline(never)]
    fn answer(
        &mut self,
        hash: Option<Hash>,
        is_last: bool,
        fragments: &mut Fragments,
    ) -> Option<(Filled, Option<Content>)> {
        let keeps_sums = self.stream.is_summing();
        let workspace = &mut *self.workspace;
        let room = self.stream.send_room();
        let octets = self.stream.peek_unread(self.unread, &mut workspace.scratch);
        let mut request = Request::new();
        let head_len = request.read(octets, &workspace.limits).ok()??;
        if !matches!(request.method, Method::Get | Method::Head)
            || request.body != Body::None
            || request.expect != Expect::Nothing
            || request.range().is_some_and(|range| range.contains(&b','))
        {
            return None;
        }
        let path = target::normalize(request.target.path, &mut workspace.name).ok()?;
        let (config, moment) = (&workspace.config, &workspace.moment);
        let is_ours = if config.has_backing_server() {
            dispatch::hand_over(&request, &path, config).is_none()
        } else {
            !dispatch::is_withheld(&path, config)
        };
        if !is_ours {
            return None;
        }
        let query = dispatch::query(&request, path, config);
        let wanted = self.hasher.query(&query);
        let root = &config.document_root;
        let found = self.documents.find(wanted, root, &query);
        let Some((place, entry)) = found.filter(|(_, entry)| entry.holds()) else {
            self.is_missing = true;
            return None;
        };
        entry.use_at(workspace.now);
        let document = entry.document();
        let selected = dispatch::select(&request, document, config, moment.seconds);
        let reply = Reply::new(&request, is_last, config, moment);
        let second = moment.seconds;
        let form = reply.form(&selected);
        let form = form.filter(|_| config.ready_responses >= BY_FORM);
        let by_form = form.map(|form| {
            let number = entry.number();
            (self.hasher.form(number, form), Key::Form(number, form))
        });
        let ready = by_form.and_then(|(hash, key)| self.responses.find(hash, key, second));
        let head = octets.get(..head_len)?;
        let finds_requests = config.ready_responses >= BY_REQUEST;
        let may_be_kept = finds_requests && head_len <= REQUEST_LEN && !is_last;
        let by_request = may_be_kept.then(|| {
            let is_alone = head_len == octets.len();
            let hash = hash.filter(|_| is_alone);
            let hash = hash.unwrap_or_else(|| self.hasher.octets(head));
            (hash, Key::Request(head))
        });
        let is_ready = ready.is_some();
        let planned = if let Some(ready) = ready {
            ready.fragments.share(fragments);
            PlanAtOnce {
                status: ready.form.status,
                is_persistent: ready.form.is_persistent,
                len: ready.fragments.len(),
                content: ready.content,
            }
        } else {
            let plan = reply.plan_at_once(&selected, document, &path, &mut workspace.head)?;
            let head = workspace.head.get(..plan.len)?;
            workspace.cache.append(head, fragments).ok()?;
            plan
        };
        let mut len = planned.len;
        let mut content = planned.content;
        let rest = begin(&document.file, content, room, fragments)?;
        // A short response is ready with its content, where copies are allowed.
        let is_short = fragments.len() as u64 <= READY_LEN && rest.is_none();
        if is_short && entry.allows_copies() {
            len = fragments.len();
            content = ByteRange::default();
        }
        // How much of the content a response that is ready now has, besides one that was.
        let copied = len.saturating_sub(planned.len) as u64;
        let is_whole = copied != 0 && copied == document.attributes.size;
        if let Some(form) = form {
            let of = (place, &**entry);
            let response = (&*fragments, len, content);
            for key in [by_request, by_form.filter(|_| !is_ready)] {
                let kept = self
                    .responses
                    .keep(key, of, second, response, form, keeps_sums);
                // Without memory it isn't made ready.
                let ready = kept.ok().flatten().filter(|_| is_whole);
                let sum = ready.and_then(|ready| ready.fragments.kept_sum(planned.len));
                if sum.is_some_and(|sum| !entry.agrees(sum)) {
                    // The next request for it finds that it doesn't hold.
                    self.worker.counters().count(Counter::CacheMismatched);
                }
            }
        }
        let filled = Filled {
            request_len: head_len,
            status: planned.status,
            is_persistent: planned.is_persistent,
        };
        Some((filled, rest))
    }
}

/// Adds what comes first of `range` of `file` to `fragments`, as much as is to be sent from here
/// when the send buffer has that `room`. Returns what is left; `None` if nothing of it is in
/// memory.
fn begin(
    file: &Arc<Held>,
    range: ByteRange,
    room: usize,
    fragments: &mut Fragments,
) -> Option<Option<Content>> {
    if range.len() == 0 {
        return Some(None);
    }
    let most = content::window(room).min(CONTENT);
    let len = usize::try_from(range.len()).map_or(most, |len| len.min(most));
    let added = file.resident(range.first, len, fragments, None);
    if added == 0 {
        return None;
    }
    let rest = ByteRange {
        first: range.first.saturating_add(added as u64),
        end: range.end,
    };
    Some((rest.len() > 0).then(|| Content::file(file.clone(), rest)))
}

/// What is to be known of a response that is in fragments.
struct Filled {
    /// Octets of the request.
    request_len: usize,
    status: Status,
    is_persistent: bool,
}

impl Filled {
    /// The response `ready`, to a request of `request_len` octets.
    fn new(ready: &Ready, request_len: usize) -> Self {
        Self {
            request_len,
            status: ready.form.status,
            is_persistent: ready.form.is_persistent,
        }
    }
}
