// SPDX-License-Identifier: GPL-2.0

//! Requests that are answered where they come in: in softirq, by what the shelf of the CPU has.
//!
//! ```text
//!   octets --the same as before--------------------------> ready ----.
//!     |                                                              v
//!     '---parse--> a document on the shelf --decide--> plan --> fragments --> sent
//!           |              |                   |        |          |
//!           '--------------+---------> a worker looks at the connection
//! ```
//!
//! What decides and what writes the head is what workers use, so that answers are the same. Until
//! the first octet is sent nothing is changed: a worker begins the request anew. Nothing here waits,
//! and nothing allocates but from what may be had at once.

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
use super::dispatch;
use super::reply::Reply;
use super::response::Response;
use super::shelf::{
    Documents,
    Ready,
    Responses,
    Shelf,
    REQUEST_LEN, //
};
use super::stats::Counter;
use super::worker::Worker;
use super::workspace::Workspace;
use crate::http::framing::Body;
use crate::http::request::{
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

/// Requests that a connection may have answered at a time.
const REQUESTS: u64 = 16;

/// Octets of the longest content that is sent from here. The time that a thread needs to begin is
/// little beside that for more.
const CONTENT: u64 = 32 << 10;

/// Octets of the longest response that is made ready.
const READY_LEN: usize = 16 << 10;

/// Octets that a connection may send at a time.
const OCTETS: usize = 64 << 10;

/// What has become of a request.
enum Step {
    /// It was answered.
    Answered,
    /// It was answered, and is the last.
    Last,
    /// It was answered, and a worker has to go on: the rest must be sent, or the connection ended.
    Begun,
    /// There is none.
    Nothing,
    /// A worker has to answer it.
    Defer,
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
    if !is_current || config.fastpath == 0 || config.max_cached_documents == 0 {
        return false;
    }
    workspace.take_time();
    let (state, mut stream) = locked.parts();
    // A head that comes in pieces is not read anew with each of them: the worker looks at those.
    if state.scanned > 0 {
        return false;
    }
    let was_idle = stream.is_send_queue_empty();
    let mut hot = Hot {
        worker,
        state,
        stream: &mut stream,
        workspace,
        documents,
        responses,
        hasher: worker.store().cache().hasher(),
        sent: 0,
        is_missing: false,
    };
    let (answered, is_all) = hot.run();
    let sent = hot.sent;
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
    /// Answers requests. Returns how many, and whether that is all that there is to do.
    fn run(&mut self) -> (u64, bool) {
        let mut answered: u64 = 0;
        if self.stream.is_closed() || self.stream.is_read_closed() {
            return (0, false);
        }
        while answered < REQUESTS && self.sent < OCTETS {
            match self.step() {
                Step::Answered => answered = answered.saturating_add(1),
                Step::Nothing => return (answered, true),
                Step::Last => return (answered.saturating_add(1), true),
                Step::Begun => return (answered.saturating_add(1), false),
                Step::Defer => return (answered, false),
            }
            if self.stream.unread() == 0 {
                return (answered, true);
            }
        }
        (answered, false)
    }

    /// Answers one request.
    fn step(&mut self) -> Step {
        let is_last = self.is_last();
        let octets = self.stream.peek(&mut self.workspace.scratch);
        let len = octets.len();
        if len == 0 {
            return Step::Nothing;
        }
        // What is the last response of this connection is none of another's.
        if len > REQUEST_LEN || is_last {
            return self.answer(None, is_last);
        }
        let hash = self.hasher.octets(octets);
        let time = (self.workspace.moment.seconds, self.workspace.now);
        let documents = self.documents;
        let Some(ready) = self.responses.find(hash, octets, time, documents) else {
            return self.answer(Some(hash), is_last);
        };
        // What the rest would be in: it must not lack when something was sent.
        let flags = GFP_ATOMIC | __GFP_NOWARN;
        let Ok(mut rest) = self.workspace.take_fragments(flags) else {
            return Step::Defer;
        };
        let (is_persistent, status) = (ready.is_persistent, ready.status);
        let whole = ready.fragments.len();
        let sent = match self.stream.send(&ready.fragments, 0, !is_persistent) {
            Ok(sent) if sent > 0 => sent,
            Ok(_) | Err(_) => {
                self.workspace.put_spare(rest);
                return Step::Defer;
            }
        };
        if sent < whole {
            ready.fragments.share(&mut rest);
        }
        self.stream.consume(len);
        self.count(status, sent);
        if sent < whole {
            return self.go_on(Response::resume(rest, sent, is_persistent));
        }
        self.workspace.put_spare(rest);
        self.end(is_persistent)
    }

    /// Whether the next response is the last one that the connection may have.
    fn is_last(&self) -> bool {
        let limit = u64::from(self.workspace.config.keepalive_requests);
        limit != 0 && self.state.requests.saturating_add(1) >= limit
    }

    /// Answers one request by a document that is here. `hash` is that of all octets that have come,
    /// if they are few; `is_last` says that the connection may have no other response.
    #[inline(never)]
    fn answer(&mut self, hash: Option<Hash>, is_last: bool) -> Step {
        let Ok(mut fragments) = self.workspace.take_fragments(GFP_ATOMIC | __GFP_NOWARN) else {
            return Step::Defer;
        };
        let planned = self.plan(hash, is_last, &mut fragments);
        let Some(planned) = planned else {
            self.workspace.put_spare(fragments);
            return Step::Defer;
        };
        let whole = fragments.len();
        let is_persistent = planned.is_persistent;
        let sent = match self.stream.send(&fragments, 0, !is_persistent) {
            Ok(sent) if sent > 0 => sent,
            Ok(_) | Err(_) => {
                self.workspace.put_spare(fragments);
                return Step::Defer;
            }
        };
        self.stream.consume(planned.head_len);
        self.count(planned.status, sent);
        if sent < whole {
            return self.go_on(Response::resume(fragments, sent, is_persistent));
        }
        self.workspace.put_spare(fragments);
        self.end(is_persistent)
    }

    /// Reads a request, decides, and puts the response into `fragments`; `None` if a worker has to.
    #[inline(never)]
    fn plan(
        &mut self,
        hash: Option<Hash>,
        is_last: bool,
        fragments: &mut Fragments,
    ) -> Option<Planned> {
        let workspace = &mut *self.workspace;
        let octets = self.stream.peek(&mut workspace.scratch);
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
        let content = reply.content_at_once(&selected, document)?;
        if content.len() > CONTENT {
            return None;
        }
        let plan = reply.plan_at_once(&selected, document, &path, &mut workspace.head)?;
        let head = workspace.head.get(..plan.len)?;
        workspace.cache.append(head, fragments).ok()?;
        let len = usize::try_from(content.len()).ok()?;
        let filled = document
            .file
            .resident_at_once(content.first, len, fragments);
        if filled != len {
            return None;
        }
        if let Some(hash) = hash.filter(|_| head_len == octets.len()) {
            if self.responses.is_repeated(hash)
                && entry.allows_copies()
                && fragments.len() <= READY_LEN
            {
                // Without memory it isn't made ready.
                let how = (plan.status, plan.is_persistent);
                let second = moment.seconds;
                let ready = Ready::new(hash, octets, (place, entry), second, fragments, how);
                if let Ok(ready) = ready {
                    self.responses.put(ready);
                }
            }
        }
        Some(Planned {
            head_len,
            status: plan.status,
            is_persistent: plan.is_persistent,
        })
    }

    /// Counts a response of which `sent` octets were sent.
    fn count(&mut self, status: Status, sent: usize) {
        self.worker.counters().count(status);
        self.sent = self.sent.saturating_add(sent);
        self.state.requests = self.state.requests.saturating_add(1);
    }

    /// Leaves the rest of a response to a worker.
    fn go_on(&mut self, response: Response) -> Step {
        self.state.phase = Phase::Sending(response);
        Step::Begun
    }

    /// Ends a response of which all was sent.
    fn end(&mut self, is_persistent: bool) -> Step {
        if is_persistent {
            return Step::Answered;
        }
        // The FIN goes with the last octets, which were held back for it.
        if self.stream.finish() {
            self.state.begin_linger(self.workspace);
            return Step::Last;
        }
        self.state.phase = Phase::Ending;
        Step::Begun
    }
}

/// A response that is in fragments.
struct Planned {
    /// Octets of the request's head.
    head_len: usize,
    status: Status,
    is_persistent: bool,
}
