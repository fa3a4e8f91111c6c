// SPDX-License-Identifier: GPL-2.0

//! What may wait for a disk or for another machine: a work item that ends by waking its connection.

use super::connection::Connection;
use super::shared::Shared;
use crate::linux::context::MaySleep;
use crate::linux::sock::Sock;
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
    Queue,
    Work,
    WorkItem, //
};

/// What is to be done.
pub(super) trait Task: Send + Unpin + 'static {
    /// What it leads to.
    type Output: Send + Unpin;

    /// Does it, with the credentials that files are opened with.
    fn run(self, context: &MaySleep) -> Self::Output;
}

/// How far a job has come.
enum Stage<T: Task> {
    /// It waits for its turn.
    ToDo(T),
    /// It is being done, or the result was taken.
    Busy,
    /// The result.
    Done(T::Output),
}

/// A work item for a connection.
#[pin_data]
pub(super) struct Job<T: Task> {
    #[pin]
    work: Work<Job<T>>,
    #[pin]
    stage: SpinLock<Stage<T>>,
    sock: ARef<Sock<Connection>>,
    shared: Arc<Shared>,
}

impl_has_work! {
    impl{T: Task} HasWork<Self> for Job<T> { self.work }
}

impl<T: Task> Job<T> {
    /// Queues `task`; its end wakes `sock`.
    pub(super) fn start(
        task: T,
        sock: &Sock<Connection>,
        shared: &Arc<Shared>,
        queue: &Queue,
    ) -> Result<Arc<Self>> {
        let job = Arc::pin_init(
            pin_init!(Self {
                work <- new_work!("rust_tux::Job"),
                stage <- new_spinlock!(Stage::ToDo(task), "rust_tux::Job::stage"),
                sock: ARef::from(sock),
                shared: shared.clone(),
            }),
            GFP_KERNEL,
        )?;
        // A new item is on no queue, so that this can't fail.
        let _ = queue.enqueue(job.clone());
        Ok(job)
    }

    /// Puts `stage` in the place of what there is.
    fn replace(&self, stage: Stage<T>) -> Stage<T> {
        core::mem::replace(&mut *self.stage.lock(), stage)
    }

    /// Takes the result, if it is there.
    #[inline(never)]
    pub(super) fn result(&self) -> Option<T::Output> {
        let mut stage = self.stage.lock();
        if !matches!(*stage, Stage::Done(_)) {
            return None;
        }
        match core::mem::replace(&mut *stage, Stage::Busy) {
            Stage::Done(output) => Some(output),
            Stage::ToDo(_) | Stage::Busy => None,
        }
    }
}

impl<T: Task> WorkItem for Job<T> {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let may_sleep = MaySleep::begin();
        #[cfg(kcov)]
        let _section = this.sock.coverage(&may_sleep);
        if this.sock.data().is_gone() {
            return;
        }
        let Stage::ToDo(task) = this.replace(Stage::Busy) else {
            return;
        };
        let output = this.shared.credentials().assume(|| task.run(&may_sleep));
        this.replace(Stage::Done(output));
        this.sock.data().worker().post(&this.sock);
    }
}
