// SPDX-License-Identifier: GPL-2.0

//! What a connection that waits for a request leaves this server for, whatever the request is.
//!
//! When the server is stopped, connections go to the backing server with all that is unread. If
//! that doesn't take them, or there is none, one without a request is closed. But a request that
//! has begun is waited for and answered here, as is the first of a connection: its client has no
//! other one to ask again. That response says that it is the last.
//!
//! While the server is in trouble, new connections go to the backing server in the same way; if
//! that doesn't take them, they stay. So does any one of which the rest of a head can't come,
//! because TCP has no memory for more than what is unread: the backing server reads that.

use super::super::connection::{
    Phase,
    Timer, //
};
use super::super::stats::Counter;
use super::{
    Next,
    Turn, //
};
use crate::http::handoff::Reason;
use crate::linux::handoff::Refused;
use crate::linux::sock::Close;

impl Turn<'_> {
    /// What is to be done in place of reading a request; `None` if one is to be read.
    #[inline(never)]
    pub(super) fn leave(&mut self) -> Option<Next> {
        self.local.take_config(self.worker.shared());
        let config = &self.local.config;
        if config.hands_all_over() {
            return Some(self.begin_handover(Reason::Everything));
        }
        let failsafe = self.worker.shared().failsafe();
        let is_new = self.state.requests == 0;
        let is_in_trouble =
            (is_new && failsafe.is_on(self.local.now)) || (self.is_stuck() && failsafe.is_armed());
        if is_in_trouble && !config.is_last {
            return Some(self.begin_handover(Reason::FailSafe));
        }
        if !config.is_last {
            return None;
        }
        let is_over = self.stream.is_read_closed() && self.stream.unread() == 0;
        if config.has_backing_server() && !is_over {
            return Some(self.begin_handover(Reason::Idle));
        }
        self.end_idle()
    }

    /// Whether a head has begun, and TCP has no memory for the rest of it.
    fn is_stuck(&self) -> bool {
        self.state.scanned > 0 && self.stream.is_over_memory_limit()
    }

    /// Goes on with a connection that the backing server has `refused`, but that has nothing that
    /// only the backing server can answer.
    pub(super) fn stay(&mut self, refused: Refused) -> Next {
        self.state.phase = Phase::Receiving;
        let may_have_room = matches!(refused, Refused::Full | Refused::NoMemory);
        if self.local.config.is_last && may_have_room && self.stream.unread() == 0 {
            return Next::Later;
        }
        if let Some(next) = self.end_idle() {
            return next;
        }
        // The time of a head that has begun goes on.
        if self.state.timer != Timer::Header {
            self.wait(Timer::Header);
        }
        match self.receive(None, true) {
            Next::Go => Next::Again,
            next => next,
        }
    }

    /// Ends the connection, if nobody misses it.
    fn end_idle(&self) -> Option<Next> {
        let is_last = self.local.config.is_last;
        let is_idle = is_last && self.state.requests > 0 && self.stream.unread() == 0;
        is_idle.then_some(Next::End(Close::Orderly, Counter::Closed))
    }
}
