// SPDX-License-Identifier: GPL-2.0

//! A response that is being sent, and how far that has come.

use super::cache::Hasher;
use super::connection::Connection;
use super::content::{
    Content,
    Fill, //
};
use super::flight::{
    Part,
    Wait, //
};
use super::job::{
    Output,
    Pending,
    Task, //
};
use super::reply::Plan;
use super::shared::Shared;
use super::storage::Refused;
use crate::http::framing::{
    Body,
    Drain, //
};
use crate::http::status::Status;
use crate::linux::context::MaySleep;
use crate::linux::fragment::Fragments;
use crate::linux::page_frag::Cache;
use crate::linux::sock::Sock;
use crate::linux::stream::Stream;
use kernel::prelude::*;
use kernel::sync::Arc;

/// How far sending has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// All was handed to the stack.
    Done,
    /// The send buffer is full.
    Full,
    /// Enough was sent for one turn.
    Enough,
    /// The next octets must be read by a work item.
    Cold,
    /// There is no memory.
    NoMemory,
    /// The peer is gone.
    Lost,
}

/// What became of the reading of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// There is none, or it has ended well.
    Ready,
    /// It has not ended yet.
    Pending,
    /// The file ends before the content does.
    Truncated,
    /// The file can't be read.
    Failed(Error),
}

/// A response that is being sent.
pub(super) struct Response {
    /// What is handed to the stack next. With the work item while there is one.
    fragments: Option<Fragments>,
    /// The work item that reads what comes next.
    job: Option<Pending>,
    /// Another one's work item that does.
    wait: Option<KBox<Wait>>,
    /// Whether that was waited for, and nothing more was found in memory since.
    has_waited: bool,
    /// The status, until the first octet was sent.
    status: Option<Status>,
    /// Whether anything was sent.
    is_touched: bool,
    /// Whether the fragments have what comes next of the content.
    is_filled: bool,
    /// What comes behind.
    content: Option<Content>,
    /// Whether the connection stays.
    is_persistent: bool,
    /// What is left of the request's body.
    drain: Drain,
}

impl Response {
    /// A response whose head is in `fragments`.
    pub(super) fn new(plan: Plan, fragments: Fragments) -> Self {
        Self {
            fragments: Some(fragments),
            job: None,
            wait: None,
            has_waited: false,
            status: Some(plan.status),
            is_touched: false,
            is_filled: false,
            content: plan.content.filter(|content| !content.is_empty()),
            is_persistent: plan.is_persistent,
            drain: Drain::new(plan.body),
        }
    }

    /// A response that was begun, and counted. `fragments` have what comes next; `content` comes
    /// behind.
    pub(super) fn resume(
        fragments: Fragments,
        content: Option<Content>,
        is_persistent: bool,
    ) -> Self {
        Self {
            fragments: Some(fragments),
            job: None,
            wait: None,
            has_waited: false,
            status: None,
            is_touched: true,
            is_filled: true,
            content,
            is_persistent,
            drain: Drain::new(Body::None),
        }
    }

    /// Whether a work item reads what comes next.
    pub(super) fn is_reading(&self) -> bool {
        self.job.is_some() || self.wait.is_some()
    }

    /// Whether another one's work item was waited for in vain.
    pub(super) fn has_waited(&self) -> bool {
        self.has_waited
    }

    /// Takes back what a work item has read.
    #[inline(never)]
    pub(super) fn finish_reading(&mut self) -> Reading {
        if let Some(wait) = &self.wait {
            if !wait.is_over() {
                return Reading::Pending;
            }
            self.wait = None;
            self.has_waited = true;
        }
        let Some(job) = &self.job else {
            return Reading::Ready;
        };
        let Some(Output::Read(fragments, result)) = job.result() else {
            return Reading::Pending;
        };
        self.job = None;
        self.fragments = Some(fragments);
        self.is_filled = true;
        match result {
            Ok(0) => Reading::Truncated,
            Ok(octets) => {
                self.advance(octets);
                Reading::Ready
            }
            Err(error) => Reading::Failed(error),
        }
    }

    /// Begins to read what comes next in a work item, which wakes `sock`, or waits for one that
    /// does so for another one, if there is a `hasher` for what that is. Returns whether it is its
    /// own. `limit` is how many connections there may be. There is no other way on when this fails.
    pub(super) fn read(
        &mut self,
        sock: &Sock<Connection>,
        shared: &Arc<Shared>,
        hasher: Option<Hasher>,
        limit: u32,
    ) -> Result<bool, Refused> {
        let content = self.content.as_ref().ok_or(Refused::NoMemory)?;
        let (flights, was_in_vain) = (shared.flights(), self.has_waited);
        let join = |(key, place)| flights.join(key, was_in_vain, place, sock, limit);
        let key = hasher.and_then(|hasher| content.key(hasher));
        let flight = match key.map_or(Ok(Part::Alone), join)? {
            Part::Other(wait) => {
                self.wait = Some(wait);
                return Ok(false);
            }
            Part::First(flight) => Some(flight),
            Part::Alone => None,
        };
        let fragments = self.fragments.take();
        let read = fragments.and_then(|fragments| content.read(fragments));
        let (read, place) = read.ok_or(Refused::NoMemory)?;
        let task = Task::Read(read);
        self.job = Some(Pending::start(task, place, flight, sock, shared, limit)?);
        self.has_waited = false;
        Ok(true)
    }

    /// Whether nothing of the response was sent, so that another one can be.
    pub(super) fn is_untouched(&self) -> bool {
        !self.is_touched
    }

    /// The status, once, when the response has begun to be sent.
    pub(super) fn status_sent(&mut self) -> Option<Status> {
        self.status.take_if(|_| self.is_touched)
    }

    /// Takes note of `octets` more of the content in the fragments.
    fn advance(&mut self, octets: usize) {
        if let Some(content) = &mut self.content {
            content.advance(octets);
        }
        self.content.take_if(|content| content.is_empty());
    }

    /// Hands octets to the stack, about `budget` of them at most, until something has to be waited
    /// for. Adds to `taken` how many were handed over. `now` is the second of the monotonic clock.
    pub(super) fn send(
        &mut self,
        stream: &mut Stream<'_>,
        cache: &mut Cache,
        budget: usize,
        taken: &mut usize,
        now: u64,
        may_sleep: &MaySleep,
    ) -> Progress {
        let Some(fragments) = &mut self.fragments else {
            return Progress::Lost;
        };
        loop {
            if !self.is_filled {
                if let Some(content) = &mut self.content {
                    match content.fill(fragments, cache, stream.send_room(), now, may_sleep) {
                        Ok(Fill::Filled) => self.has_waited = false,
                        Ok(Fill::Cold) => return Progress::Cold,
                        Err(_) => return Progress::NoMemory,
                    }
                }
                self.content.take_if(|content| content.is_empty());
                self.is_filled = true;
            }
            if fragments.len() > 0 {
                // The last octets of a connection go with its FIN.
                let is_last = !self.is_persistent && stream.may_hold_back();
                let has_more = self.content.is_some() || is_last;
                let Ok(sent) = stream.send(fragments, has_more) else {
                    return Progress::Lost;
                };
                if sent == 0 {
                    return Progress::Full;
                }
                self.is_touched = true;
                *taken = taken.saturating_add(sent);
                if fragments.len() > 0 {
                    // Once more: that tells why.
                    continue;
                }
            }
            self.is_filled = false;
            if self.content.is_none() {
                return Progress::Done;
            }
            if *taken >= budget {
                return Progress::Enough;
            }
        }
    }

    /// The fragments, for another response.
    pub(super) fn take_fragments(&mut self) -> Option<Fragments> {
        self.fragments.take()
    }

    /// Whether the connection stays.
    pub(super) fn is_persistent(&self) -> bool {
        self.is_persistent
    }

    /// What is left of the request's body.
    pub(super) fn into_drain(self) -> Drain {
        self.drain
    }
}
