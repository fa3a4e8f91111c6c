// SPDX-License-Identifier: GPL-2.0

//! What may wait for a disk or for another machine: a work item that ends by waking its connection.

use super::config::DocumentRoot;
use super::connection::Connection;
use super::lookup::{
    self,
    Resolution, //
};
use super::shared::Shared;
use crate::http::target;
use crate::linux::context::MaySleep;
use crate::linux::file::File;
use crate::linux::fragment::Fragments;
use crate::linux::path::Lookup;
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

/// What is to be done, or was done.
pub(super) enum Task {
    /// Look a name up, and open the file.
    Open {
        /// The document root.
        root: Arc<DocumentRoot>,
        /// The name, decoded and normalized.
        name: KVVec<u8>,
        /// Whether the name is of a directory.
        is_directory: bool,
    },
    /// Read octets of a file.
    Read {
        /// The file.
        file: Arc<File>,
        /// The first octet.
        offset: u64,
        /// How many.
        len: usize,
        /// Where to.
        fragments: Fragments,
    },
    /// It is being done, or the result was taken.
    Busy,
    /// What [`Task::Open`] led to.
    Opened(Resolution),
    /// What [`Task::Read`] led to, and how many octets it read.
    WasRead(Fragments, Result<usize>),
}

/// A work item for a connection.
#[pin_data]
pub(super) struct Job {
    #[pin]
    work: Work<Job>,
    #[pin]
    task: SpinLock<Task>,
    sock: ARef<Sock<Connection>>,
    shared: Arc<Shared>,
}

impl_has_work! {
    impl HasWork<Self> for Job { self.work }
}

impl Job {
    /// Queues `task`; its end wakes `sock`.
    pub(super) fn start(
        task: Task,
        sock: &Sock<Connection>,
        shared: &Arc<Shared>,
        queue: &Queue,
    ) -> Result<Arc<Self>> {
        let job = Arc::pin_init(
            pin_init!(Self {
                work <- new_work!("rust_tux::Job"),
                task <- new_spinlock!(task, "rust_tux::Job::task"),
                sock: ARef::from(sock),
                shared: shared.clone(),
            }),
            GFP_KERNEL,
        )?;
        // A new item is on no queue, so that this can't fail.
        let _ = queue.enqueue(job.clone());
        Ok(job)
    }

    /// Takes the result, if it is there.
    pub(super) fn result(&self) -> Option<Task> {
        let mut task = self.task.lock();
        match &*task {
            Task::Opened(..) | Task::WasRead(..) => {
                Some(core::mem::replace(&mut *task, Task::Busy))
            }
            Task::Open { .. } | Task::Read { .. } | Task::Busy => None,
        }
    }
}

impl Task {
    /// To look `path` up below `root`.
    pub(super) fn open(root: &Arc<DocumentRoot>, path: &target::Path<'_>) -> Result<Self> {
        let mut name = KVVec::from_elem(0, path.name.len(), GFP_KERNEL)?;
        for (to, from) in name.iter_mut().zip(path.name) {
            *to = *from;
        }
        Ok(Task::Open {
            root: root.clone(),
            name,
            is_directory: path.is_directory,
        })
    }

    /// Does it.
    fn run(self, may_sleep: &MaySleep) -> Self {
        match self {
            Task::Open {
                root,
                name,
                is_directory,
            } => {
                let len = name.len().saturating_add(lookup::BEYOND);
                let path = target::Path {
                    name: &name,
                    is_directory,
                };
                let resolution =
                    KVVec::from_elem(0, len, GFP_KERNEL)
                        .ok()
                        .and_then(|mut buffer| {
                            lookup::resolve(
                                root.root(),
                                &path,
                                Lookup::MayBlock,
                                &mut buffer,
                                may_sleep,
                            )
                        });
                Task::Opened(resolution.unwrap_or(Resolution::Busy))
            }
            Task::Read {
                file,
                offset,
                len,
                mut fragments,
            } => {
                let result = file.read(offset, len, &mut fragments, may_sleep);
                Task::WasRead(fragments, result)
            }
            done @ (Task::Busy | Task::Opened(..) | Task::WasRead(..)) => done,
        }
    }
}

impl WorkItem for Job {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let may_sleep = MaySleep::begin();
        if this.sock.data().is_gone() {
            return;
        }
        let task = core::mem::replace(&mut *this.task.lock(), Task::Busy);
        let done = this.shared.credentials().assume(|| task.run(&may_sleep));
        *this.task.lock() = done;
        this.sock.data().worker().post(&this.sock);
    }
}
