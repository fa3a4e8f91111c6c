// SPDX-License-Identifier: GPL-2.0

//! What the listening socket asks of the server: who serves a new connection.

use super::connection::{
    Admission,
    Connection, //
};
use super::shared::Shared;
use super::stats::Counter;
use super::worker::Worker;
use crate::linux::callbacks::Accept;
use kernel::cpu::CpuId;
use kernel::prelude::*;
use kernel::sync::Arc;

/// Gives each connection to the worker of the CPU that it came in on.
pub(super) struct Acceptor {
    shared: Arc<Shared>,
    /// At least one.
    workers: Arc<KVec<Arc<Worker>>>,
}

impl Acceptor {
    /// For `workers`, of which there is one at least.
    pub(super) fn new(shared: Arc<Shared>, workers: Arc<KVec<Arc<Worker>>>) -> Self {
        Self { shared, workers }
    }

    /// The worker for this CPU. The CPU may change at any time; then another worker does it.
    fn worker(&self) -> Option<&Arc<Worker>> {
        let cpu = usize::try_from(CpuId::current().as_u32()).ok()?;
        self.workers.get(cpu.checked_rem(self.workers.len())?)
    }
}

impl Accept for Acceptor {
    type Connection = Connection;

    fn admit(&self) -> Option<Connection> {
        let worker = self.worker()?.clone();
        let Some(admission) = Admission::new(&self.shared) else {
            worker.counters().count(Counter::Delayed);
            return None;
        };
        Some(Connection::new(worker, admission))
    }

    fn pending(&self) {
        self.shared.set_pending();
        if let Some(worker) = self.worker() {
            worker.wake();
        }
    }

    fn aborted(&self) {
        self.shared.set_aborted();
        if let Some(worker) = self.worker() {
            worker.wake();
        }
    }
}
