// SPDX-License-Identifier: GPL-2.0

//! A server that runs: its parts, and the order in which they begin and end.

use super::config::Config;
use super::connection::Connection;
use super::shared::Shared;
use super::stats::Statistics;
use super::storage::Storage;
use super::store::Store;
use super::worker::{
    Local,
    Worker, //
};
use crate::linux::context::MaySleep;
use crate::linux::cpu;
use crate::linux::kthread::Thread;
use crate::linux::listener::wait_for_callbacks;
use crate::linux::shrinker::Shrinker;
use crate::linux::sock::Memory;
use kernel::prelude::*;
use kernel::sync::Arc;

/// A server that runs. Dropping it stops it, and waits for the end of all its parts.
pub(super) struct Running {
    /// Gives back what `store` keeps when the machine lacks memory. There as long as it listens.
    shrinker: Option<Shrinker<Store>>,
    shared: Arc<Shared>,
    store: Arc<Store>,
    threads: KVec<Thread<Worker>>,
    workers: KVec<Arc<Worker>>,
}

impl Running {
    /// Starts the parts of a server.
    #[inline(never)]
    pub(super) fn start(
        config: &Arc<Config>,
        statistics: &Statistics,
        storage: &Arc<Storage>,
        memory: &Arc<Memory<Connection>>,
        may_sleep: &MaySleep,
    ) -> Result<Self> {
        let failsafe = statistics.failsafe();
        let shared = Shared::new(config, storage, failsafe, memory, may_sleep)?;
        let mut running = Self {
            shrinker: None,
            shared,
            store: Store::new(config, statistics.kept())?,
            threads: KVec::new(),
            workers: KVec::new(),
        };
        running.start_workers(config, statistics, may_sleep)?;
        if let Some(thread) = running.threads.first() {
            running.store.set_thread(thread.task());
        }
        let store = running.store.clone();
        let shrinker = Shrinker::new(c"rust_tux_documents", store, may_sleep)?;
        running.shrinker = Some(shrinker);
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

    /// The workers.
    pub(super) fn workers(&self) -> &[Arc<Worker>] {
        &self.workers
    }

    /// What its parts share.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Starts as many workers as configured, or one for each CPU that is online.
    #[inline(never)]
    fn start_workers(
        &mut self,
        config: &Arc<Config>,
        statistics: &Statistics,
        may_sleep: &MaySleep,
    ) -> Result {
        let wanted = usize::try_from(config.threads)?;
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
            let worker = Worker::new(counters, self.shared.clone(), self.store.clone());
            let worker = Arc::new(worker, GFP_KERNEL)?;
            let local = Local::new(config.clone())?;
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
        drop(self.shrinker.take());
        self.shared.close(&may_sleep);
        // Each thread ends its connections, which give their work items up.
        drop(core::mem::take(&mut self.threads));
        wait_for_callbacks(&may_sleep);
        // An item that has ended meanwhile has queued its connection, or a callback has.
        for worker in &self.workers {
            worker.drain();
        }
        self.store.clear(&self.shared, &may_sleep);
    }
}
