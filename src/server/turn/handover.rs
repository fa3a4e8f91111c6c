// SPDX-License-Identifier: GPL-2.0

//! Handing a connection over to the backing server, with its unread request.

use super::super::connection::{
    Phase,
    Timer, //
};
use super::super::stats::Counter;
use super::{
    Next,
    Turn, //
};
use crate::http::handoff;
use crate::linux::handoff::Refused;
use crate::linux::sock::Close;

impl Turn<'_> {
    /// Begins to hand the connection over.
    #[inline(never)]
    pub(super) fn begin_handover(&mut self, why: handoff::Reason) -> Next {
        self.state.scanned = 0;
        self.state.phase = Phase::HandingOver(why, None);
        Next::Go
    }

    /// Hands the connection over, as soon as all that was sent on it is acknowledged.
    pub(super) fn hand_over(&mut self, why: handoff::Reason) -> Next {
        if self.stream.is_send_queue_empty() {
            return Next::HandOver(why);
        }
        self.stream.await_acknowledgement();
        self.wait(Timer::Send);
        Next::Wait
    }

    /// Waits for the backing server, which has `refused` the connection; or refuses the request.
    #[inline(never)]
    pub(in super::super) fn not_handed_over(mut self, refused: Refused) -> Next {
        let now = self.local.now;
        let Phase::HandingOver(why, until) = &mut self.state.phase else {
            return Next::Again;
        };
        if refused == Refused::Changed {
            return Next::Again;
        }
        if matches!(why, handoff::Reason::Idle | handoff::Reason::FailSafe) {
            return self.stay(refused);
        }
        let seconds = u64::from(self.local.config.handoff_timeout);
        let is_new = until.is_none();
        // The second that runs now is not a whole one, unless none is waited for.
        let whole = seconds.saturating_add(u64::from(seconds > 0));
        let last = *until.get_or_insert(now.saturating_add(whole));
        let is_over = now >= last || !self.local.config.has_backing_server();
        if !is_over {
            if is_new {
                self.count(Counter::HandoffWaited);
            }
            self.wait(Timer::Backing);
            // Room may come at any time, as a rule soon; whoever begins to listen takes longer.
            let is_soon = now.saturating_add(seconds) <= last;
            return match refused {
                Refused::Full | Refused::NoMemory if is_soon => Next::Later,
                _ => Next::Wait,
            };
        }
        self.count(Counter::HandoffFailed);
        if self.local.config.handoff_close != 0 {
            return Next::End(Close::Orderly, Counter::Closed);
        }
        self.state.phase = Phase::Receiving;
        self.wait(Timer::Header);
        match self.receive(None, false) {
            Next::Go => Next::Again,
            next => next,
        }
    }
}
