// SPDX-License-Identifier: GPL-2.0

//! The deadlines of a connection: what they stand for, and what is done when one has passed.

use super::super::connection::Timer;
use super::super::dispatch::Reason;
use super::super::stats::Counter;
use super::{
    Next,
    Turn, //
};
use crate::http::request;
use crate::http::status::Status;
use crate::linux::sock::Close;

impl Turn<'_> {
    /// Sets what the deadline stands for, and when it is.
    pub(super) fn wait(&mut self, timer: Timer) {
        self.state.wait(timer, self.local);
        self.set_deadline();
    }

    /// Begins to look at how fast the peer takes what is sent.
    pub(super) fn begin_pace(&mut self) {
        self.state.begin_pace(&self.stream, self.local);
    }

    /// Sets when the connection must be looked at again.
    fn set_deadline(&self) {
        let deadline = self.state.deadline(&self.stream);
        self.sock.data().set_deadline(deadline);
    }

    /// Whether the peer has taken as many octets as it must since [`Self::begin_pace`].
    fn has_kept_pace(&self) -> bool {
        let pace = &self.state.pace;
        let octets = self.stream.acknowledged().saturating_sub(pace.mark);
        self.stream.is_send_queue_empty()
            || is_enough(octets, self.local.config.min_send_rate, pace.seconds)
    }

    /// Does what is to be done when a deadline has passed.
    #[inline(never)]
    pub(super) fn late(&mut self) -> Next {
        let now = self.local.now;
        if self.state.pace.until <= now {
            if !self.has_kept_pace() {
                return Next::End(Close::Abort, Counter::TimeoutSend);
            }
            self.begin_pace();
        }
        if self.state.timer_until > now {
            self.set_deadline();
            return Next::Wait;
        }
        let counter = self.state.timer.counter();
        let config = &self.local.config;
        match self.state.timer {
            // Whoever has begun a request is told (RFC 9110 15.5.9).
            Timer::Header if self.stream.unread() > 0 => {
                self.count(counter);
                let is_head = request::is_head(self.stream.peek(&mut self.local.scratch));
                let reason = Reason::new(Status::RequestTimeout, "The request took too long.");
                self.refuse(reason, is_head)
            }
            Timer::KeepAlive if self.stream.unread() > 0 => Next::Go,
            // The last response is still on its way, and the peer keeps pace. A request behind it
            // would be answered by a RST, which takes with it what the peer has not read.
            Timer::KeepAlive if !self.stream.is_send_queue_empty() => {
                self.wait(Timer::KeepAlive);
                Next::Wait
            }
            Timer::Header | Timer::KeepAlive | Timer::Linger => Next::End(Close::Orderly, counter),
            Timer::Body
                if is_enough(
                    self.state.drained.saturating_sub(self.state.mark),
                    config.min_receive_rate,
                    config.body_timeout,
                ) =>
            {
                self.wait(Timer::Body);
                Next::Go
            }
            // The response may still be on its way.
            Timer::Body => {
                self.count(counter);
                self.begin_linger()
            }
            // The peer may take as long as it keeps pace.
            Timer::Send if self.state.phase.is_up_to_peer() => {
                self.wait(Timer::Send);
                Next::Go
            }
            Timer::Memory | Timer::Backing => Next::Go,
            Timer::Send => Next::End(Close::Abort, counter),
        }
    }
}

/// Whether `octets` in `seconds` are enough for `rate`: one octet at least.
fn is_enough(octets: u64, rate: u32, seconds: u32) -> bool {
    let wanted = u64::from(rate).saturating_mul(seconds.into());
    octets >= wanted.max(1)
}
