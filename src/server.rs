// SPDX-License-Identifier: GPL-2.0

//! LAYER 3, the server: start, stop, and who owns whom.
//!
//! ```text
//!   Server
//!     `- Control, behind a Mutex: the configuration, and, while the server runs,
//!          Running
//!            |- Shared, which connections and work items see, too
//!            |    `- the listening socket
//!            |- a thread for each Worker; the thread has the connections
//!            `- the work queue
//! ```
//!
//! A server that starts makes its listening socket last; one that stops does it first. Then the
//! workers end, each with its connections, then the work items.

#![forbid(unsafe_code)]

pub(crate) mod config;
mod connection;
mod dispatch;
mod job;
mod listener;
mod lookup;
mod reply;
mod shared;
mod stats;
mod wheel;
mod worker;

use crate::linux::context::MaySleep;
use crate::linux::cpu;
use crate::linux::kthread::Thread;
use crate::linux::listener::wait_for_callbacks;
use crate::linux::workqueue::OwnedQueue;
use config::Config;
use kernel::prelude::*;
use kernel::sync::{
    new_mutex,
    Arc,
    Mutex, //
};
use shared::Shared;
use stats::Stats;
use worker::{
    Local,
    Worker, //
};

/// Work items that may wait at a time, each for the answer of a file system.
const WAITING: u16 = 512;

/// The server.
#[pin_data]
pub(crate) struct Server {
    stats: Arc<Stats>,
    #[pin]
    control: Mutex<Control>,
}

/// What the control lock guards.
struct Control {
    /// What was configured last.
    config: Arc<Config>,
    running: Option<Running>,
}

/// A server that runs. Fields are dropped in this order by [`Running::stop`].
struct Running {
    /// What was configured when it was started.
    config: Arc<Config>,
    shared: Arc<Shared>,
    threads: KVec<Thread<Worker>>,
    workers: KVec<Arc<Worker>>,
    io: Arc<OwnedQueue>,
}

impl Server {
    /// A server that doesn't run yet.
    pub(crate) fn new(config: Config) -> Result<Arc<Self>> {
        let config = Arc::new(config, GFP_KERNEL)?;
        let stats = Arc::new(Stats::new()?, GFP_KERNEL)?;
        Arc::pin_init(
            pin_init!(Self {
                stats,
                control <- new_mutex!(
                    Control {
                        config,
                        running: None,
                    },
                    "rust_tux::Server::control"
                ),
            }),
            GFP_KERNEL,
        )
    }

    /// Starts the server, unless it runs.
    pub(crate) fn start(&self, may_sleep: &MaySleep) -> Result {
        let mut control = self.control.lock();
        if control.running.is_none() {
            let running = Running::start(&control.config, &self.stats, may_sleep)?;
            control.running = Some(running);
        }
        Ok(())
    }

    /// Stops the server, if it runs. All connections are closed.
    pub(crate) fn stop(&self, may_sleep: &MaySleep) {
        let mut control = self.control.lock();
        if let Some(running) = control.running.take() {
            running.stop(may_sleep);
        }
    }
}

impl Running {
    /// Starts the parts of a server.
    fn start(config: &Arc<Config>, stats: &Arc<Stats>, may_sleep: &MaySleep) -> Result<Self> {
        let io = Arc::new(OwnedQueue::new(c"rust_tux", WAITING)?, GFP_KERNEL)?;
        let shared = Shared::new(config, stats, may_sleep)?;
        let mut running = Self {
            config: config.clone(),
            shared,
            threads: KVec::new(),
            workers: KVec::new(),
            io,
        };
        let result = running.start_workers(may_sleep).and_then(|()| {
            let mut workers = KVec::new();
            for worker in &running.workers {
                workers.push(worker.clone(), GFP_KERNEL)?;
            }
            running.shared.listen(workers, may_sleep)
        });
        match result {
            Ok(()) => Ok(running),
            Err(error) => {
                running.stop(may_sleep);
                Err(error)
            }
        }
    }

    /// Starts as many workers as configured, or one for each CPU that is online.
    fn start_workers(&mut self, may_sleep: &MaySleep) -> Result {
        let wanted = usize::try_from(self.config.threads)?;
        let mut cpus = KVec::new();
        for cpu in cpu::online() {
            cpus.push(cpu, GFP_KERNEL)?;
        }
        let count = if wanted == 0 { cpus.len() } else { wanted };
        for (number, cpu) in cpus.iter().cycle().take(count).enumerate() {
            let worker = Arc::new(Worker::new(number, self.shared.clone()), GFP_KERNEL)?;
            let local = Local::new(self.config.clone(), self.io.clone())?;
            self.workers.push(worker.clone(), GFP_KERNEL)?;
            self.threads.reserve(1, GFP_KERNEL)?;
            let number = u32::try_from(number)?;
            let thread = Thread::spawn(worker.clone(), local, number, *cpu, may_sleep)?;
            worker.set_thread(thread.task());
            self.threads.push(thread, GFP_KERNEL)?;
        }
        Ok(())
    }

    /// Stops it, and waits for the end of all its parts.
    fn stop(self, may_sleep: &MaySleep) {
        let Self {
            config,
            shared,
            threads,
            workers,
            io,
        } = self;
        shared.close(may_sleep);
        // Each thread ends its connections.
        drop(threads);
        // Waits for the work items; the threads had the other references.
        drop(io);
        // An item that has ended meanwhile has queued its connection.
        for worker in &workers {
            worker.drain();
        }
        drop(workers);
        wait_for_callbacks(may_sleep);
        drop(shared);
        drop(config);
    }
}
