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
pub(crate) mod stats;
mod turn;
mod wheel;
mod worker;

use crate::linux::context::MaySleep;
use crate::linux::cpu;
use crate::linux::kthread::Thread;
use crate::linux::listener::wait_for_callbacks;
use crate::linux::workqueue::OwnedQueue;
use config::Config;
use kernel::cpu::nr_cpu_ids;
use kernel::prelude::*;
use kernel::sync::{
    new_mutex,
    Arc,
    Mutex, //
};
use shared::Shared;
use stats::Statistics;
use worker::{
    Local,
    Worker, //
};

/// Work items that may wait at a time, each for the answer of a file system.
const WAITING: u16 = 512;

/// The server. It stops when it is dropped, which may sleep.
#[pin_data]
pub(crate) struct Server {
    statistics: Arc<Statistics>,
    #[pin]
    control: Mutex<Control>,
}

/// What the control lock guards.
struct Control {
    /// What was configured last.
    config: Arc<Config>,
    running: Option<Running>,
}

/// A server that runs. Dropping it stops it, and waits for the end of all its parts.
struct Running {
    /// What was configured when it was started, for the settings that need a start.
    started_with: Arc<Config>,
    shared: Arc<Shared>,
    threads: KVec<Thread<Worker>>,
    workers: KVec<Arc<Worker>>,
    /// `None` when it was stopped.
    io: Option<Arc<OwnedQueue>>,
}

impl Server {
    /// A server that doesn't run yet.
    pub(crate) fn new(config: Config) -> Result<Arc<Self>> {
        let config = Arc::new(config, GFP_KERNEL)?;
        let workers = usize::try_from(nr_cpu_ids())?;
        let statistics = Arc::new(Statistics::new(workers)?, GFP_KERNEL)?;
        Arc::pin_init(
            pin_init!(Self {
                statistics,
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

    /// What was counted.
    pub(crate) fn statistics(&self) -> &Arc<Statistics> {
        &self.statistics
    }
}

impl config::Control for Server {
    fn config(&self) -> Arc<Config> {
        self.control.lock().config.clone()
    }

    fn started_with(&self) -> Option<Arc<Config>> {
        let control = self.control.lock();
        let running = control.running.as_ref();
        running.map(|running| running.started_with.clone())
    }

    fn update(&self, change: &dyn Fn(&Config) -> Result<Config>, _: &MaySleep) -> Result {
        let mut control = self.control.lock();
        let config = Arc::new(change(&control.config)?, GFP_KERNEL)?;
        if let Some(running) = &mut control.running {
            running.started_with = Arc::new(
                Config {
                    // Nobody asks for the old one, which would only keep its file system busy.
                    document_root: config.document_root.clone(),
                    ..(*running.started_with).clone()
                },
                GFP_KERNEL,
            )?;
            running.shared.configure(&config);
        }
        control.config = config;
        Ok(())
    }

    fn start(&self, may_sleep: &MaySleep) -> Result {
        let mut control = self.control.lock();
        if control.running.is_none() {
            let running = Running::start(&control.config, &self.statistics, may_sleep)?;
            control.running = Some(running);
        }
        Ok(())
    }

    fn stop(&self, _: &MaySleep) -> Result {
        let mut control = self.control.lock();
        drop(control.running.take());
        Ok(())
    }
}

impl Running {
    /// Starts the parts of a server.
    fn start(config: &Arc<Config>, statistics: &Statistics, may_sleep: &MaySleep) -> Result<Self> {
        let io = Arc::new(OwnedQueue::new(c"rust_tux", WAITING)?, GFP_KERNEL)?;
        let shared = Shared::new(config, may_sleep)?;
        let mut running = Self {
            started_with: config.clone(),
            shared,
            threads: KVec::new(),
            workers: KVec::new(),
            io: Some(io.clone()),
        };
        running.start_workers(statistics, &io, may_sleep)?;
        let mut workers = KVec::with_capacity(running.workers.len(), GFP_KERNEL)?;
        for worker in &running.workers {
            workers.push_within_capacity(worker.clone())?;
        }
        let listening = running.shared.listen(workers, may_sleep);
        listening.inspect_err(|error| {
            let why = match *error {
                error if error == EADDRINUSE => "another server listens there",
                error if error == EADDRNOTAVAIL => "no interface has this address",
                _ => "failed",
            };
            let (address, port) = (config.address, config.server_port);
            pr_err!("can't listen on address {address} port {port}: {why} ({error:?})\n");
        })?;
        Ok(running)
    }

    /// Starts as many workers as configured, or one for each CPU that is online.
    fn start_workers(
        &mut self,
        statistics: &Statistics,
        io: &Arc<OwnedQueue>,
        may_sleep: &MaySleep,
    ) -> Result {
        let wanted = usize::try_from(self.started_with.threads)?;
        let online = cpu::online().fold(0, |count: usize, _| count.saturating_add(1));
        let count = if wanted == 0 { online } else { wanted };
        self.workers = KVec::with_capacity(count, GFP_KERNEL)?;
        let mut threads = KVec::with_capacity(count, GFP_KERNEL)?;
        let mut cpus = cpu::online();
        for number in 0..count {
            // More workers than CPUs begin again with the first.
            let next = cpus.next().or_else(|| {
                cpus = cpu::online();
                cpus.next()
            });
            let counters = statistics.worker(number).ok_or(EINVAL)?;
            let worker = Arc::new(Worker::new(counters, self.shared.clone()), GFP_KERNEL)?;
            let local = Local::new(self.started_with.clone(), io.clone())?;
            self.workers.push_within_capacity(worker.clone())?;
            let number = u32::try_from(number)?;
            let thread = Thread::spawn(worker, local, number, next.unwrap_or(0), may_sleep)?;
            thread.body().set_thread(thread.task());
            threads.push_within_capacity(thread)?;
        }
        self.threads = threads;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let may_sleep = MaySleep::begin();
        self.shared.close(&may_sleep);
        // Each thread ends its connections.
        drop(core::mem::take(&mut self.threads));
        // Waits for the work items; the threads had the other references.
        drop(self.io.take());
        // An item that has ended meanwhile has queued its connection.
        for worker in &self.workers {
            worker.drain();
        }
        wait_for_callbacks(&may_sleep);
    }
}
