// SPDX-License-Identifier: GPL-2.0

//! Counters of what the server did and why it refused, for `/proc/net/http/stat`.
//!
//! Each worker counts in memory of its own, so that workers don't slow each other down; who reads
//! adds up. The sums are those of no single moment, and each of them only grows, as long as the
//! module is loaded.

use super::failsafe::Failsafe;
use super::storage::Storage;
use crate::http::bad_request::BadRequest;
use crate::http::handoff;
use crate::http::status::Status;
use crate::linux::checksum;
use crate::linux::proc::Show;
use crate::linux::time;
use kernel::prelude::*;
use kernel::seq_file::SeqFile;
use kernel::seq_print;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use kernel::sync::Arc;

/// Defines [`Counter`] and the names of its variants.
macro_rules! counters {
    ($($(#[$doc:meta])* $variant:ident => $name:literal;)*) => {
        /// What is counted, besides responses by status and bad requests by reason.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Counter {
            $($(#[$doc])* $variant,)*
        }

        impl Counter {
            /// Every counter, in the order of the declaration.
            const ALL: &'static [Counter] = &[$(Counter::$variant,)*];

            /// How many counters there are.
            const COUNT: usize = Counter::ALL.len();

            /// The name in the file.
            fn name(self) -> &'static str {
                match self {
                    $(Counter::$variant => $name,)*
                }
            }
        }
    };
}

counters! {
    /// Requests, good or bad, of which enough was read to answer or refuse them.
    Requests => "requests";
    /// Requests that were answered in softirq.
    AnsweredAtOnce => "fastpath_answered";
    /// Requests whose document was cached, of those that a worker has answered.
    CacheHits => "cache_hits";
    /// Requests whose document was not cached.
    CacheMisses => "cache_misses";
    /// Requests of those for whose document a work item was begun.
    CacheMissesPrimary => "cache_misses_primary";
    /// Requests of those that waited for the work item of another one for the same document.
    CacheMissesSecondary => "cache_misses_secondary";
    /// Requests whose document was found, and whose content was not in memory when it was to be
    /// sent.
    CacheMissesContent => "cache_misses_content";
    /// Requests whose cached document was not true any more.
    CacheStale => "cache_stale";
    /// Documents that were thrown out of the cache to make room.
    CacheEvicted => "cache_evicted";
    /// Documents that were thrown out of the cache because the machine lacked memory.
    CacheShrunk => "cache_shrunk";
    /// Cached documents whose content had changed, though the file system said nothing of it.
    CacheMismatched => "cache_mismatched";
    /// Octets of responses that the socket has taken, heads included.
    OctetsSent => "octets_sent";
    /// Connections accepted.
    Accepted => "connections_accepted";
    /// Connections accepted by a worker, because the socket's callback could not.
    AcceptedByWorker => "connections_accepted_by_worker";
    /// Connections that are gone, for whatever reason.
    Closed => "connections_closed";
    /// Connections that a server that was stopped has brought to their end, or handed over.
    Drained => "connections_drained";
    /// Connections in the middle of a request or a response when a server that was stopped ended
    /// them.
    CutOff => "connections_cut_off";
    /// Connections closed because the peer reset them, or the network failed.
    Reset => "connections_reset";
    /// Times that connections were left waiting, because there were `max_connect`.
    Delayed => "connections_delayed";
    /// Connections closed because there was no memory.
    OutOfMemory => "connections_out_of_memory";
    /// Connections that ended before the request did that had begun.
    Incomplete => "requests_incomplete";
    /// Requests that waited for a look-up, because it could sleep.
    DeferredLookup => "deferred_lookup";
    /// Times that a response waited for a file to be read.
    DeferredRead => "deferred_read";
    /// Times that a response waited for what was read of the same file for another one.
    DeferredReadShared => "deferred_read_shared";
    /// Requests refused, and connections closed in the middle of a response, because a file system
    /// did not answer others before.
    StorageRefused => "storage_refused";
    /// Connections closed because no request came.
    TimeoutKeepalive => "timeout_keepalive";
    /// Connections closed because a head did not end.
    TimeoutHeader => "timeout_header";
    /// Connections closed because the body of a request did not end.
    TimeoutBody => "timeout_body";
    /// Connections closed because the peer took nothing of a response, or a file system did not
    /// answer.
    TimeoutSend => "timeout_send";
    /// Connections closed because the peer did not, after their last response.
    TimeoutLinger => "timeout_linger";
    /// Connections closed because the peer sent too much after their last response.
    LimitLinger => "limit_linger";
    /// Connections closed because the body of a request was too long to be passed over.
    LimitBody => "limit_body";
    /// Octets of requests' bodies that were read and thrown away.
    OctetsDrained => "octets_drained";
    /// Files that could not be read: the response was cut off, or a 500 sent in its place.
    ReadErrors => "read_errors";
    /// Responses cut off because the file had become shorter.
    Truncated => "files_truncated";
    /// Connections that were handed over to the backing server.
    Handoffs => "handoffs";
    /// Requests that had to wait for the backing server, or for room on its accept queue.
    HandoffWaited => "handoff_waited";
    /// Requests that have waited for it in vain.
    HandoffFailed => "handoff_failed";
    /// Times that the backing server began to get those who come, because memory was short.
    FailsafeMemory => "failsafe_out_of_memory";
    /// Times that it did because a worker did not look after those who waited.
    FailsafeStalled => "failsafe_stalled_worker";
    /// Listening sockets that somebody closed under us, and that were made anew.
    ListenerRepairs => "listener_repairs";
    /// Times that this could not be done.
    ListenerRepairsFailed => "listener_repairs_failed";
}

/// Something to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// One of our own counters.
    Counter(Counter),
    /// A response.
    Response(Status),
    /// A request that is refused for what it is.
    BadRequest(BadRequest),
    /// A connection that was handed over, and why.
    Handoff(handoff::Reason),
}

impl Event {
    /// How many events there are.
    const COUNT: usize =
        Counter::COUNT + Status::COUNT + BadRequest::COUNT + handoff::Reason::COUNT;

    /// The place among the numbers of [`Counters`].
    fn index(self) -> usize {
        match self {
            // CAST: A variant without fields is its place in the declaration.
            Event::Counter(counter) => counter as usize,
            Event::Response(status) => status.index().saturating_add(Counter::COUNT),
            Event::BadRequest(reason) => reason
                .index()
                .saturating_add(Counter::COUNT + Status::COUNT),
            Event::Handoff(reason) => reason
                .index()
                .saturating_add(Counter::COUNT + Status::COUNT + BadRequest::COUNT),
        }
    }
}

impl From<Counter> for Event {
    fn from(counter: Counter) -> Self {
        Event::Counter(counter)
    }
}

impl From<Status> for Event {
    fn from(status: Status) -> Self {
        Event::Response(status)
    }
}

impl From<BadRequest> for Event {
    fn from(reason: BadRequest) -> Self {
        Event::BadRequest(reason)
    }
}

impl From<handoff::Reason> for Event {
    fn from(reason: handoff::Reason) -> Self {
        Event::Handoff(reason)
    }
}

/// The counters of one worker. They lie in an allocation of their own, thus in their own cache
/// lines.
pub(crate) struct Counters {
    numbers: KVec<Atomic<u64>>,
}

impl Counters {
    /// Counters that are all 0.
    fn new() -> Result<Self> {
        let mut numbers = KVec::with_capacity(Event::COUNT, GFP_KERNEL)?;
        while numbers.len() < Event::COUNT {
            numbers
                .push_within_capacity(Atomic::new(0))
                .map_err(|_| EINVAL)?;
        }
        Ok(Self { numbers })
    }

    /// Counts one event. Any context.
    pub(crate) fn count(&self, event: impl Into<Event>) {
        self.add(event, 1);
    }

    /// Adds to a counter, which wraps around. Any context.
    pub(crate) fn add(&self, event: impl Into<Event>, number: u64) {
        if let Some(counter) = self.numbers.get(event.into().index()) {
            // ORDERING: A count tells of nothing but itself.
            counter.add(number, Relaxed);
        }
    }

    /// The number of `event`.
    fn number(&self, event: Event) -> u64 {
        match self.numbers.get(event.index()) {
            // ORDERING: As above.
            Some(counter) => counter.load(Relaxed),
            None => 0,
        }
    }
}

/// How much is kept of what was found before.
pub(super) struct Kept {
    documents: Atomic<u64>,
    octets: Atomic<u64>,
}

impl Kept {
    /// Nothing is.
    fn new() -> Self {
        Self {
            documents: Atomic::new(0),
            octets: Atomic::new(0),
        }
    }

    /// Takes note that so much is.
    pub(super) fn set(&self, documents: u64, octets: u64) {
        self.documents.store(documents, Relaxed);
        self.octets.store(octets, Relaxed);
    }

    /// Documents that are.
    pub(super) fn documents(&self) -> u64 {
        self.documents.load(Relaxed)
    }

    /// Octets of memory for them.
    fn octets(&self) -> u64 {
        self.octets.load(Relaxed)
    }
}

/// The counters of all workers. They stay when the server is stopped and started.
pub(crate) struct Statistics {
    workers: KVec<Arc<Counters>>,
    storage: Arc<Storage>,
    kept: Arc<Kept>,
    failsafe: Arc<Failsafe>,
}

impl Statistics {
    /// Makes counters for `workers` workers; with more of them some count together.
    pub(super) fn new(workers: usize, storage: Arc<Storage>) -> Result<Self> {
        let workers_or_one = workers.max(1);
        let mut workers = KVec::with_capacity(workers_or_one, GFP_KERNEL)?;
        while workers.len() < workers_or_one {
            let counters = Arc::new(Counters::new()?, GFP_KERNEL)?;
            workers.push_within_capacity(counters).map_err(|_| EINVAL)?;
        }
        let kept = Arc::new(Kept::new(), GFP_KERNEL)?;
        let failsafe = Arc::new(Failsafe::new(), GFP_KERNEL)?;
        Ok(Self {
            workers,
            storage,
            kept,
            failsafe,
        })
    }

    /// The counters of the worker of that number.
    pub(crate) fn worker(&self, number: usize) -> Option<Arc<Counters>> {
        let number = number.checked_rem(self.workers.len())?;
        self.workers.get(number).cloned()
    }

    /// How much is kept.
    pub(super) fn kept(&self) -> &Arc<Kept> {
        &self.kept
    }

    /// Whether the server is in trouble.
    pub(super) fn failsafe(&self) -> &Arc<Failsafe> {
        &self.failsafe
    }

    /// The sum over the workers.
    pub(super) fn sum(&self, event: impl Into<Event>) -> u64 {
        let event = event.into();
        let numbers = self.workers.iter().map(|worker| worker.number(event));
        numbers.fold(0, u64::wrapping_add)
    }
}

impl Show for Statistics {
    /// A line `name value` for each counter, those that are 0 too: so the lines are always the
    /// same, whatever the workers have met.
    fn show(&self, out: &SeqFile) {
        // Closed first: so a connection that comes and goes meanwhile counts as open, not as -1.
        let closed = self.sum(Counter::Closed);
        let open = self.sum(Counter::Accepted).saturating_sub(closed);
        seq_print!(out, "connections_open {}\n", open);
        let storage = self.storage.numbers();
        seq_print!(out, "storage_running {}\n", storage.running);
        seq_print!(out, "storage_waiting {}\n", storage.waiting);
        seq_print!(out, "storage_abandoned {}\n", storage.abandoned);
        let is_failsafe = self.failsafe.is_on(time::monotonic_seconds());
        seq_print!(out, "failsafe {}\n", u32::from(is_failsafe));
        seq_print!(out, "cached_documents {}\n", self.kept.documents());
        seq_print!(out, "cached_octets {}\n", self.kept.octets());
        let sums = checksum::counts();
        seq_print!(out, "checksums_kept {}\n", sums.kept);
        seq_print!(out, "checksums_copied {}\n", sums.copied);
        seq_print!(out, "checksums_left {}\n", sums.left);
        for counter in Counter::ALL {
            seq_print!(out, "{} {}\n", counter.name(), self.sum(*counter));
        }
        for status in Status::ALL {
            seq_print!(out, "responses_{} {}\n", status.code(), self.sum(*status));
        }
        for reason in BadRequest::ALL {
            seq_print!(out, "bad_request_{} {}\n", reason.name(), self.sum(*reason));
        }
        for reason in handoff::Reason::ALL {
            seq_print!(out, "handoff_{} {}\n", reason.name(), self.sum(*reason));
        }
    }
}
