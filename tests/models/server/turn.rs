// SPDX-License-Identifier: GPL-2.0

//! A turn: a request is an octet, and answered at once or after a task.

use super::connection::{
    Connection,
    Phase,
    Purpose,
    State,
    Timer, //
};
use super::flight::Part;
use super::job::{
    Output,
    Pending,
    Task, //
};
use super::lookup::Resolution;
use super::response::Response;
use super::stats::Counter;
use super::storage::{
    Place,
    Refused, //
};
use super::worker::Worker;
use super::workspace::Workspace;
use super::{
    lookup,
    outcome, //
};
use crate::http::handoff::Reason;
use crate::linux::context::MaySleep;
use crate::linux::handoff;
use crate::linux::sock::{
    Close,
    Locked,
    Sock, //
};
use crate::linux::stream::Stream;

pub(super) enum Next {
    Wait,
    Again,
    /// None is so short of time.
    Later,
    /// None is for others.
    HandOver(Reason),
    End(Close, Counter),
}

pub(super) struct Turn<'a> {
    worker: &'a Worker,
    sock: &'a Sock<Connection>,
    state: &'a mut State,
    stream: Stream<'a>,
    local: &'a mut Workspace,
}

impl<'a> Turn<'a> {
    pub(super) fn new(
        worker: &'a Worker,
        sock: &'a Sock<Connection>,
        locked: &'a mut Locked<'_, Connection, MaySleep>,
        local: &'a mut Workspace,
        _: &'a MaySleep,
    ) -> Self {
        let (state, stream) = locked.parts();
        Self {
            worker,
            sock,
            state,
            stream,
            local,
        }
    }

    pub(super) fn run(mut self, is_late: bool) -> Next {
        if self.sock.data().is_first_look() {
            self.wait(Timer::Header);
            outcome::tell(|outcome| outcome.accepted += 1);
        }
        self.local.config.check();
        if self.stream.is_closed() {
            return self.end(Counter::Reset);
        }
        if is_late {
            return self.end(Counter::TimeoutHeader);
        }
        loop {
            match &self.state.phase {
                Phase::Receiving if self.stream.unread() == 0 => {
                    if self.stream.is_read_closed() {
                        return self.end(Counter::Closed);
                    }
                    if self.local.config.is_last && self.state.requests > 0 {
                        return self.end(Counter::Closed);
                    }
                    return Next::Wait;
                }
                Phase::Receiving if outcome::asks_file() => {
                    let shared = self.worker.shared();
                    let limit = self.local.config.max_connect;
                    let task = Task::Open(lookup::Open::new());
                    let place = Place::Device(1);
                    let part = if outcome::shares() {
                        shared.flights().join(7, false, place, self.sock, limit)
                    } else {
                        Ok(Part::Alone)
                    };
                    let flight = match part {
                        Ok(Part::Other(wait)) => {
                            self.state.phase = Phase::Waiting(wait);
                            outcome::tell(|outcome| outcome.waiting += 1);
                            continue;
                        }
                        Ok(Part::First(flight)) => Some(flight),
                        Ok(Part::Alone) => None,
                        Err(_) => return self.end(Counter::StorageRefused),
                    };
                    match Pending::start(task, place, flight, self.sock, shared, limit) {
                        Ok(job) => {
                            self.state.phase = Phase::Opening(job, Purpose::Answer);
                            outcome::tell(|outcome| outcome.asked += 1);
                        }
                        Err(Refused::Silent) => return self.end(Counter::StorageRefused),
                        Err(Refused::NoMemory) => return self.end(Counter::OutOfMemory),
                    }
                }
                Phase::Waiting(wait) => {
                    if !wait.is_over() {
                        return Next::Wait;
                    }
                    // What it waited for is in memory.
                    self.answer();
                }
                Phase::Opening(job, _) => {
                    match job.result() {
                        None => return Next::Wait,
                        Some(Output::Opened(Resolution::Opened(opened))) => opened.check(),
                        Some(_) => return self.end(Counter::OutOfMemory),
                    }
                    self.answer();
                }
                _ => self.answer(),
            }
        }
    }

    pub(super) fn not_handed_over(self, _: handoff::Refused) -> Next {
        Next::Wait
    }

    fn wait(&self, timer: Timer) {
        self.sock.data().set_deadline(self.local.deadline(timer));
    }

    fn end(&self, why: Counter) -> Next {
        outcome::tell(|outcome| outcome.ended += 1);
        Next::End(Close::Orderly, why)
    }

    fn answer(&mut self) {
        self.stream.consume(1);
        self.state.requests += 1;
        self.state.phase = Phase::Sending(Response::new());
        if let Phase::Sending(response) = &mut self.state.phase {
            response.send(&mut self.stream);
        }
        self.state.phase = Phase::Receiving;
        self.wait(Timer::KeepAlive);
        self.worker.counters().count(Counter::Requests);
        outcome::tell(|outcome| outcome.answered += 1);
    }
}
