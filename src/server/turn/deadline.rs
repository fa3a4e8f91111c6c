// SPDX-License-Identifier: GPL-2.0

//! The deadlines of a connection: what they stand for, and what is done when one has passed.

use super::super::connection::Timer;
use super::super::dispatch::Reason;
use super::{
    Next,
    Turn, //
};
use crate::http::request;
use crate::http::response::Status;
use crate::linux::sock::Close;

impl Turn<'_> {
    /// Sets what the deadline stands for, and when it is.
    pub(super) fn wait(&mut self, timer: Timer) {
        let mut deadline = self.local.deadline(timer);
        if timer == Timer::Linger {
            deadline = deadline.min(self.state.linger_until);
        }
        self.state.mark = self.octets_of(timer);
        self.state.timer = timer;
        self.sock.data().set_deadline(deadline);
    }

    /// Octets that tell whether what `timer` stands for makes progress: those that the peer has
    /// acknowledged, or those of a body that have come.
    fn octets_of(&self, timer: Timer) -> u64 {
        match timer {
            Timer::Send | Timer::KeepAlive => self.stream.acknowledged(),
            Timer::Body => self.state.drained,
            Timer::Header | Timer::Memory | Timer::Linger => 0,
        }
    }

    /// Whether the peer was fast enough since the deadline was set: one octet at least, and `rate`
    /// of them in each second of `seconds`.
    fn has_progressed(&self, rate: u32, seconds: u32) -> bool {
        let octets = self.octets_of(self.state.timer);
        let wanted = u64::from(rate).saturating_mul(seconds.into());
        octets.saturating_sub(self.state.mark) >= wanted.max(1)
    }

    /// Does what is to be done when a deadline has passed.
    #[inline(never)]
    pub(super) fn late(&mut self) -> Next {
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
            // The last response is still on its way. A request behind it would be answered by a
            // RST, which takes with it what the peer has not read.
            Timer::KeepAlive
                if !self.stream.is_send_queue_empty()
                    && self.has_progressed(config.min_send_rate, config.keepalive_timeout) =>
            {
                self.wait(Timer::KeepAlive);
                Next::Wait
            }
            Timer::Header | Timer::KeepAlive | Timer::Linger => Next::End(Close::Orderly, counter),
            Timer::Body if self.has_progressed(config.min_receive_rate, config.body_timeout) => {
                self.wait(Timer::Body);
                Next::Go
            }
            // The response may still be on its way.
            Timer::Body => {
                self.count(counter);
                self.begin_linger()
            }
            // There is no event until a third of the send buffer is free: megabytes, which a slow
            // client may need longer for.
            Timer::Send if self.has_progressed(config.min_send_rate, config.send_timeout) => {
                self.wait(Timer::Send);
                Next::Wait
            }
            Timer::Memory => Next::Go,
            Timer::Send => Next::End(Close::Abort, counter),
        }
    }
}
