// SPDX-License-Identifier: GPL-2.0

//! The state machine of one connection.
//!
//! ```text
//!              +---------------------------------------------------+
//!              v                                                   |
//!   accepted -> Receiving -> Opening -> Sending                    |
//!                |  |  ^        |          |                       |
//!       Waiting <-'  |  |        +----------+--> Draining ----------+
//!          '---------|--+- 408                       |
//!                   |-------------------------------+--> Lingering -> closed
//!                   +--> HandingOver -> the backing server's
//! ```
//!
//! `Opening` waits for a work item, because the file system may have to wait for the lookup of a
//! name; so may `Sending`, for octets of the file. While a connection is `Opening`, its request is
//! still unread in the socket, and is parsed again when the file is there. `Waiting` is the same
//! for the work item of another connection that asks for the same; and then it begins anew, since
//! the file should be in memory. `Draining` passes over the request's body. `Lingering` has sent
//! the last octets and a FIN, and throws away what still comes, so that no RST overtakes the
//! response (RFC 9112 9.6).
//!
//! While it is `HandingOver`, its request is unread, too; and what was sent before is on its way,
//! or the backing server is waited for. If that is in vain, it is `Receiving` again, and refused.
//!
//! What is answered in softirq stays in `Receiving`, or goes on in `Sending` or `Lingering`; in
//! `Ending` a worker has to send the FIN.

use super::dispatch::Reason;
use super::flight::Wait;
use super::hot;
use super::job::Pending;
use super::response::Response;
use super::stats::Counter;
use super::worker::Worker;
use super::workspace::Workspace;
use crate::http::framing::Drain;
use crate::http::handoff;
use crate::linux::callbacks::{
    Event,
    Events, //
};
use crate::linux::sock::{
    Callback,
    Sock, //
};
use crate::linux::stream::Stream;
use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use kernel::sync::Arc;

/// How many times as long as without an octet of the peer a connection lingers in all.
const LINGER_TIMES: u64 = 6;

/// What is known of a connection without its lock.
pub(crate) struct Connection {
    admission: Admission,
    /// When it must be looked at again, in seconds of the monotonic clock.
    deadline: Atomic<u64>,
    /// The deadline by which its worker looks at it, whatever that is meanwhile.
    placed: Atomic<u64>,
    /// Whether it was looked at before.
    seen: Atomic<i32>,
    /// Whether it has ended.
    gone: Atomic<i32>,
    /// The CPU whose shelf had not what was asked for, and 1; 0 if it was another reason why a
    /// worker looks at it.
    deferred_on: Atomic<u32>,
}

// An octet more, and each connection would take an object of 1024. (The locks of a kernel that
// checks them are larger.)
#[cfg(all(CONFIG_64BIT, not(CONFIG_DEBUG_SPINLOCK)))]
const _: () = assert!(core::mem::size_of::<Sock<Connection>>() <= 512);

impl Connection {
    /// A connection that was admitted.
    pub(super) fn new(admission: Admission) -> Self {
        Self {
            admission,
            deadline: Atomic::new(0),
            placed: Atomic::new(0),
            seen: Atomic::new(0),
            gone: Atomic::new(0),
            deferred_on: Atomic::new(0),
        }
    }

    /// Takes note that it was not served from the shelf of `cpu`.
    pub(super) fn set_deferred_on(&self, cpu: u32) {
        self.deferred_on.store(cpu.saturating_add(1), Relaxed);
    }

    /// The CPU on whose shelf it would be good to have what it asks for, once.
    pub(super) fn take_deferred_on(&self) -> Option<u32> {
        let cpu = self.deferred_on.load(Relaxed).checked_sub(1)?;
        self.deferred_on.store(0, Relaxed);
        Some(cpu)
    }

    /// The worker that serves it.
    pub(super) fn worker(&self) -> &Worker {
        &self.admission.0
    }

    /// Whether it has ended: nobody waits for what is done for it.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Relaxed) != 0
    }

    /// Says that it has ended.
    pub(super) fn set_gone(&self) {
        self.gone.store(1, Relaxed);
    }

    /// When it must be looked at again.
    pub(super) fn deadline(&self) -> u64 {
        self.deadline.load(Relaxed)
    }

    /// Says when it must be looked at again.
    pub(super) fn set_deadline(&self, second: u64) {
        self.deadline.store(second, Relaxed);
    }

    /// The deadline by which its worker will look at it.
    pub(super) fn placed(&self) -> u64 {
        self.placed.load(Relaxed)
    }

    /// Says by which deadline it will be looked at. Only for its worker.
    pub(super) fn set_placed(&self, second: u64) {
        self.placed.store(second, Relaxed);
    }

    /// Whether this is the first look at it. Only for its worker.
    pub(super) fn is_first_look(&self) -> bool {
        let seen = self.seen.load(Relaxed);
        self.seen.store(1, Relaxed);
        seen == 0
    }
}

impl Events for Connection {
    type State = State;

    fn event(mut callback: Callback<'_, Self>, event: Event) {
        let sock = callback.sock();
        let is_awaited = match callback.try_lock() {
            Some(mut locked) => {
                let (state, mut stream) = locked.parts();
                // Nobody waits for the end of a connection that is gone.
                if stream.is_closed() && state.phase.keeps_nothing() {
                    return sock.data().worker().post_lazily(sock);
                }
                let may_be_hot =
                    event == Event::DataReady && matches!(state.phase, Phase::Receiving);
                let is_awaited = state.phase.awaits(event, &mut stream);
                is_awaited && !(may_be_hot && hot::serve(sock, &mut locked))
            }
            // Its worker has it, and may have seen this or not.
            None => true,
        };
        if is_awaited {
            Self::look(sock);
        }
    }

    fn begin(sock: &Sock<Self>, has_waited: bool) {
        sock.data().worker().counters().count(Counter::Accepted);
        if has_waited {
            Self::look(sock);
        } else {
            // Its first octets tell when they come. Its time begins within a tick.
            sock.data().worker().post_lazily(sock);
        }
    }

    fn look(sock: &Sock<Self>) {
        sock.data().worker().post(sock);
    }
}

/// The right to exist of one connection of at most `max_connect`, with the worker that serves it.
pub(super) struct Admission(Arc<Worker>);

impl Admission {
    /// Counts one more connection, unless there are as many as may be. Any context.
    pub(super) fn new(worker: &Arc<Worker>) -> Option<Self> {
        worker.shared().enter().then(|| Self(worker.clone()))
    }
}

impl Drop for Admission {
    /// Counts one connection less. Any context.
    fn drop(&mut self) {
        if self.0.shared().leave() {
            self.0.wake();
        }
    }
}

/// What a connection is waiting for.
#[derive(Default)]
pub(super) enum Phase {
    /// For the head of a request.
    #[default]
    Receiving,
    /// For a file to be opened.
    Opening(Pending, Purpose),
    /// For a file to be opened for another connection.
    Waiting(KBox<Wait>),
    /// For nothing: the file can't be opened, because its file system doesn't answer others.
    Refused(Purpose),
    /// For what was sent to be acknowledged, and then, until that second, for the backing server,
    /// which gets the connection for that reason.
    HandingOver(handoff::Reason, Option<u64>),
    /// For room in the send buffer, or for octets of a file.
    Sending(Response),
    /// For nothing: a worker has to send the FIN, after a response that was sent in softirq, or
    /// because no further request has come.
    Ending,
    /// For the rest of the request's body, after the response.
    Draining(Drain),
    /// For the peer's FIN, after ours.
    Lingering,
}

impl Phase {
    /// Whether it is the peer who has to do something for a response to go on.
    pub(super) fn is_up_to_peer(&self) -> bool {
        match self {
            Phase::Sending(response) => !response.is_reading(),
            Phase::HandingOver(..) => true,
            _ => false,
        }
    }

    /// Whether all that the peer has sent since the last response is unread.
    pub(super) fn is_unread(&self) -> bool {
        matches!(self, Phase::Receiving | Phase::HandingOver(..))
    }

    /// Whether the peer would miss something if the connection ended now.
    pub(super) fn is_under_way(&self, stream: &Stream<'_>) -> bool {
        match self {
            Phase::Receiving | Phase::HandingOver(..) => stream.unread() > 0,
            Phase::Opening(..) | Phase::Waiting(_) | Phase::Refused(_) | Phase::Sending(_) => true,
            // All of the response is the stack's.
            Phase::Draining(_) | Phase::Ending | Phase::Lingering => false,
        }
    }

    /// Whether a connection that is gone has nothing that others may miss: a file, for one.
    fn keeps_nothing(&self) -> bool {
        matches!(
            self,
            Phase::Receiving | Phase::HandingOver(..) | Phase::Lingering
        )
    }

    /// Whether `event` is a reason for a turn. Octets that come while nothing is read are found
    /// when something is.
    fn awaits(&self, event: Event, stream: &mut Stream<'_>) -> bool {
        match event {
            // The peer has acknowledged our FIN, or has sent its own, or there is no connection any
            // more: of the first there is nothing to do.
            Event::StateChange => stream.is_read_closed() || stream.is_closed(),
            Event::DataReady => match self {
                Phase::Receiving | Phase::Draining(_) | Phase::Lingering => true,
                Phase::Opening(..)
                | Phase::Waiting(_)
                | Phase::Refused(_)
                | Phase::HandingOver(..)
                | Phase::Sending(_)
                | Phase::Ending => false,
            },
            Event::WriteSpace => match self {
                Phase::Sending(response) => !response.is_reading(),
                Phase::HandingOver(..) => {
                    let is_acknowledged = stream.is_send_queue_empty();
                    if !is_acknowledged {
                        stream.await_acknowledgement();
                    }
                    is_acknowledged
                }
                Phase::Receiving
                | Phase::Opening(..)
                | Phase::Waiting(_)
                | Phase::Refused(_)
                | Phase::Ending
                | Phase::Draining(_)
                | Phase::Lingering => false,
            },
        }
    }
}

/// What a file is opened for.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// To answer the request, which is still unread.
    Answer,
    /// To be the content of an answer with an error, for that reason. The request is still unread.
    Page(Reason),
    /// The same for what is no request, or came too late; and whether it can be told to be a HEAD.
    Refusal(Reason, bool),
}

/// Which limit the deadline stands for.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Timer {
    /// The head of a request, from its first octet on; for a new connection from its begin.
    #[default]
    Header,
    /// The time between two requests.
    KeepAlive,
    /// The time for a file system to answer; for the peer there is [`Pace`].
    Send,
    /// The time until the backing server is tried again.
    Backing,
    /// The time until sending is tried again for which there was no memory.
    Memory,
    /// The time in which a part of a request's body must come.
    Body,
    /// The time for the peer's FIN.
    Linger,
}

impl Timer {
    /// The counter of those that ran out.
    pub(super) fn counter(self) -> Counter {
        match self {
            Timer::Header => Counter::TimeoutHeader,
            Timer::KeepAlive => Counter::TimeoutKeepalive,
            Timer::Send => Counter::TimeoutSend,
            Timer::Memory => Counter::OutOfMemory,
            Timer::Backing => Counter::HandoffFailed,
            Timer::Body => Counter::TimeoutBody,
            Timer::Linger => Counter::TimeoutLinger,
        }
    }
}

/// The time in which a peer must take a part of what is sent: it begins when octets are sent and
/// none are on their way, and begins anew at its end if the peer was fast enough. So there was
/// always something to acknowledge in it, unless all was.
#[derive(Clone, Copy, Default)]
pub(super) struct Pace {
    /// Its end, in seconds of the monotonic clock.
    pub(super) until: u64,
    /// Its length.
    pub(super) seconds: u32,
    /// Octets that had been acknowledged when it began.
    pub(super) mark: u64,
}

/// What a connection is in between. Behind the socket's lock.
#[derive(Default)]
pub(crate) struct State {
    /// What it waits for.
    pub(super) phase: Phase,
    /// What its deadline stands for.
    pub(super) timer: Timer,
    /// Octets of the head that were looked at in vain.
    pub(super) scanned: usize,
    /// Octets of the request's body that were passed over.
    pub(super) drained: u64,
    /// When what it stands for is over, in seconds of the monotonic clock.
    pub(super) timer_until: u64,
    /// Octets of the request's body that had come when [`Timer::Body`] was set.
    pub(super) mark: u64,
    /// How fast the peer takes what is sent.
    pub(super) pace: Pace,
    /// Octets that were thrown away while lingering.
    pub(super) discarded: u64,
    /// When lingering ends at last, in seconds of the monotonic clock.
    pub(super) linger_until: u64,
    /// Requests that were answered.
    pub(super) requests: u64,
}

impl State {
    /// Sets what the deadline stands for.
    pub(super) fn wait(&mut self, timer: Timer, workspace: &Workspace) {
        let mut until = workspace.deadline(timer);
        if timer == Timer::Linger {
            until = until.min(self.linger_until);
        }
        self.timer = timer;
        self.timer_until = until;
        self.mark = self.drained;
    }

    /// Begins to wait for the peer's FIN, after ours.
    pub(super) fn begin_linger(&mut self, workspace: &Workspace) {
        self.limit_linger(workspace);
        self.phase = Phase::Lingering;
    }

    /// Sets when lingering ends at last that begins now.
    pub(super) fn limit_linger(&mut self, workspace: &Workspace) {
        let longest = u64::from(workspace.config.linger_timeout).saturating_mul(LINGER_TIMES);
        self.linger_until = workspace.now.saturating_add(longest);
    }

    /// Begins to look at how fast the peer takes what is sent.
    pub(super) fn begin_pace(&mut self, stream: &Stream<'_>, workspace: &Workspace) {
        self.pace = Pace {
            until: workspace.deadline(Timer::Send),
            seconds: workspace.config.send_timeout,
            mark: stream.acknowledged(),
        };
    }

    /// When the connection must be looked at again.
    pub(super) fn deadline(&self, stream: &Stream<'_>) -> u64 {
        if stream.is_send_queue_empty() {
            self.timer_until
        } else {
            self.timer_until.min(self.pace.until)
        }
    }
}
