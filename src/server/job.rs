// SPDX-License-Identifier: GPL-2.0

//! What may wait for a disk or for another machine: a work item that ends by waking its connection.
//!
//! ```text
//!   ToDo -> Busy -> Done        the connection takes the result, by its Pending
//!    |  ^    |
//!    |  '----'                  it leads to another file system, and waits for a place there
//!    '-> Over                   the connection has dropped its Pending
//! ```
//!
//! A connection that ends gives its job up: it keeps nothing of the connection, and nobody gets its
//! result. One that has begun goes on until the file system answers, since nothing can call it
//! back; the listing of a directory asks at each entry whether it is wanted, and ends if it isn't.

use super::connection::Connection;
use super::content::Read;
use super::flight::Flight;
use super::lookup::{
    Open,
    Resolution, //
};
use super::shared::Shared;
use super::storage::{
    Place,
    Refused,
    Seat,
    Storage,
    Ticket, //
};
use crate::linux::context::MaySleep;
use crate::linux::file::File;
use crate::linux::fragment::Fragments;
use crate::linux::sock::Sock;
use crate::linux::witness::Chain;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::{
    new_spinlock,
    Arc,
    SpinLock, //
};
use kernel::workqueue::{
    impl_has_work,
    new_work,
    Work,
    WorkItem, //
};

/// Whether a connection still waits for what is done. Once it doesn't, nobody looks at the output.
pub(super) type IsWanted<'a> = dyn Fn() -> bool + 'a;

/// What is to be done.
pub(super) enum Task {
    /// A name is looked up, and the file opened.
    Open(Open),
    /// Octets of a file are read.
    Read(Read),
    /// A file is closed.
    Close(File),
    /// What was deleted, and the cache had, is given up.
    Forget(Chain),
}

/// What it leads to.
pub(super) enum Output {
    /// What was found.
    Opened(Resolution),
    /// Fragments, and how many octets more are in them.
    Read(Fragments, Result<usize>),
}

/// What became of a task.
enum Outcome {
    /// It has led to this, if to anything.
    Output(Option<Output>),
    /// It needs a file system that it wasn't begun for.
    Elsewhere(Task),
}

impl Task {
    /// Does it, with the credentials that files are opened with.
    fn run(self, shared: &Arc<Shared>, is_wanted: &IsWanted<'_>, may_sleep: &MaySleep) -> Outcome {
        Outcome::Output(match self {
            Task::Open(open) => match open.run(shared, is_wanted, may_sleep) {
                Ok(resolution) => Some(Output::Opened(resolution)),
                Err(open) => return Outcome::Elsewhere(Task::Open(open)),
            },
            Task::Read(read) => {
                let (fragments, result) = read.run(may_sleep);
                Some(Output::Read(fragments, result))
            }
            Task::Close(file) => {
                file.close(may_sleep);
                None
            }
            Task::Forget(chain) => {
                chain.give_up(may_sleep);
                None
            }
        })
    }
}

/// How far a job has come.
enum Stage {
    /// It waits for its turn.
    ToDo(Task),
    /// It is being done.
    Busy,
    /// The result.
    Done(Output),
    /// The result was taken, or nobody waits for it.
    Over,
}

/// What the lock of a job guards.
struct Progress {
    stage: Stage,
    /// Who waits for it.
    sock: Option<ARef<Sock<Connection>>>,
    /// Where it waits or runs.
    ticket: Ticket,
    /// Whether its connection has given it up while it ran.
    is_abandoned: bool,
    /// Who else waits for its end.
    flight: Option<Flight>,
}

/// A work item.
#[pin_data]
pub(super) struct Job {
    #[pin]
    work: Work<Job>,
    #[pin]
    progress: SpinLock<Progress>,
    shared: Arc<Shared>,
}

impl_has_work! {
    impl HasWork<Self> for Job { self.work }
}

/// A job as its connection has it. Dropping it gives the job up, which may sleep.
pub(super) struct Pending(Arc<Job>);

impl Pending {
    /// Does `task`, which touches `place`, when its turn has come; its end wakes `sock`, and those
    /// who wait for `flight`. `limit` is how many connections there may be.
    pub(super) fn start(
        task: Task,
        place: Place,
        flight: Option<Flight>,
        sock: &Sock<Connection>,
        shared: &Arc<Shared>,
        limit: u32,
    ) -> Result<Self, Refused> {
        let seat = Storage::seat().map_err(|_| Refused::NoMemory)?;
        let job = Job::idle(shared).map_err(|_| Refused::NoMemory)?;
        let mut progress = job.progress.lock();
        match shared.storage().enter(place, &job, seat, limit) {
            Ok(ticket) => {
                progress.stage = Stage::ToDo(task);
                progress.sock = Some(ARef::from(sock));
                progress.ticket = ticket;
                progress.flight = flight;
                drop(progress);
                Ok(Self(job))
            }
            Err(refused) => {
                drop(progress);
                Err(refused)
            }
        }
    }

    /// Takes the result, if it is there.
    #[inline(never)]
    pub(super) fn result(&self) -> Option<Output> {
        let mut progress = self.0.progress.lock();
        if !matches!(progress.stage, Stage::Done(_)) {
            return None;
        }
        match core::mem::replace(&mut progress.stage, Stage::Over) {
            Stage::Done(output) => Some(output),
            Stage::ToDo(_) | Stage::Busy | Stage::Over => None,
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut progress = self.0.progress.lock();
        let is_busy = matches!(progress.stage, Stage::Busy);
        let stage = match progress.stage {
            Stage::Busy => Stage::Busy,
            _ => core::mem::replace(&mut progress.stage, Stage::Over),
        };
        let sock = progress.sock.take();
        // What runs goes on for the others.
        let flight = progress.flight.take_if(|_| !is_busy);
        let mut waiting = None;
        if sock.is_some() {
            progress.is_abandoned = is_busy;
            waiting = self.0.shared.storage().forget(progress.ticket, is_busy);
        }
        drop(progress);
        // What these drop may take locks of their own.
        drop(stage);
        drop(sock);
        drop(waiting);
        drop(flight);
    }
}

/// The end of a file that may have to wait for it. It has the memory that it needs.
pub(super) struct Closing {
    job: Arc<Job>,
    seat: Seat,
    place: Place,
}

impl Closing {
    /// For a file of the file system `place`.
    pub(super) fn new(place: Place, shared: &Arc<Shared>) -> Result<Self> {
        let seat = Storage::seat()?;
        let job = Job::idle(shared)?;
        Ok(Self { job, seat, place })
    }

    /// Does `task`, of which there is no result, in a work item. May be called where a spin lock is
    /// not held.
    pub(super) fn start(self, task: Task) {
        let mut progress = self.job.progress.lock();
        progress.stage = Stage::ToDo(task);
        let storage = self.job.shared.storage();
        progress.ticket = storage.enter_alone(self.place, &self.job, self.seat);
        drop(progress);
    }
}

impl Job {
    /// A job without a task, which nobody waits for.
    fn idle(shared: &Arc<Shared>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                work <- new_work!("rust_tux::Job"),
                progress <- new_spinlock!(
                    Progress {
                        stage: Stage::Over,
                        sock: None,
                        ticket: (0, 0),
                        is_abandoned: false,
                        flight: None,
                    },
                    "rust_tux::Job::progress"
                ),
                shared: shared.clone(),
            }),
            GFP_KERNEL,
        )
    }

    /// Takes the task, and where the job runs. The former is `None` if nobody waits for it.
    fn begin(&self) -> (Option<Task>, Ticket) {
        let mut progress = self.progress.lock();
        let ticket = progress.ticket;
        if !matches!(progress.stage, Stage::ToDo(_)) {
            return (None, ticket);
        }
        match core::mem::replace(&mut progress.stage, Stage::Busy) {
            Stage::ToDo(task) => (Some(task), ticket),
            Stage::Busy | Stage::Done(_) | Stage::Over => (None, ticket),
        }
    }

    /// Leaves the result to the connection, and wakes it, and those who wait for the same.
    fn finish(&self, output: Option<Output>) {
        let mut progress = self.progress.lock();
        let lane = progress.ticket.0;
        // Landed at the end: those who are woken must not be refused because of a silence that is
        // over.
        let _flight = progress.flight.take();
        let Some(sock) = progress.sock.take() else {
            progress.stage = Stage::Over;
            let is_abandoned = progress.is_abandoned;
            drop(progress);
            if is_abandoned {
                self.shared.storage().end_abandoned(lane);
            }
            // Nobody waits for it.
            drop(output);
            return;
        };
        progress.stage = output.map_or(Stage::Over, Stage::Done);
        self.shared.storage().answered(lane);
        drop(progress);
        sock.data().worker().post_late(&sock);
    }

    /// Goes on with `task` among those that may touch any file system.
    fn wander(self: &Arc<Self>, task: Task) {
        let Ok(seat) = Storage::seat() else {
            return self.finish(Some(Output::Opened(Resolution::Busy)));
        };
        let mut progress = self.progress.lock();
        if progress.sock.is_none() {
            drop(progress);
            drop(task);
            return self.finish(None);
        }
        progress.stage = Stage::ToDo(task);
        let ticket = progress.ticket;
        progress.ticket = self.shared.storage().wander(ticket, self, seat);
    }
}

impl WorkItem for Job {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let may_sleep = MaySleep::begin();
        #[cfg(kcov)]
        let _section = {
            let sock = this.progress.lock().sock.clone();
            sock.map(|sock| sock.coverage(&may_sleep))
        };
        let shared = this.shared.clone();
        let (task, ticket) = this.begin();
        if let Some(task) = task {
            let is_wanted = || this.progress.lock().sock.is_some();
            let run = || task.run(&shared, &is_wanted, &may_sleep);
            match shared.credentials().assume(run) {
                Outcome::Output(output) => this.finish(output),
                Outcome::Elsewhere(task) => this.wander(task),
            }
        }
        drop(this);
        shared.storage().leave(ticket.0);
    }
}
