// SPDX-License-Identifier: GPL-2.0

//! What the listening socket asks of the server: who serves a new connection.

use super::connection::{
    Admission,
    Connection, //
};
use super::shared::Shared;
use super::stats::Counter;
use super::worker::Worker;
use crate::http::handoff::Reason;
use crate::linux::callbacks::Accept;
use crate::linux::cpu;
use crate::linux::time;
use kernel::cpu::{
    nr_cpu_ids,
    CpuId, //
};
use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use kernel::sync::Arc;

/// Gives each connection to a worker of the CPU that it came in on.
///
/// Workers are bound to the online CPUs in turn: with `n` of them, the workers of the CPU with the
/// ordinal `o` are the numbers `o`, `o + n`, `o + 2n`...
pub(super) struct Acceptor {
    shared: Arc<Shared>,
    /// At least one.
    workers: Arc<KVec<Arc<Worker>>>,
    /// For each number of a CPU, its ordinal among those that were online.
    ordinals: KVec<usize>,
    /// CPUs that were online.
    online: usize,
    /// Chooses among the workers of a CPU.
    next: Atomic<u64>,
}

impl Acceptor {
    /// For `workers`, of which there is one at least.
    pub(super) fn new(shared: Arc<Shared>, workers: Arc<KVec<Arc<Worker>>>) -> Result<Self> {
        let mut ordinals = KVec::from_elem(0, usize::try_from(nr_cpu_ids())?, GFP_KERNEL)?;
        let mut online: usize = 0;
        for cpu in cpu::online() {
            if let Some(ordinal) = ordinals.get_mut(usize::try_from(cpu)?) {
                *ordinal = online;
            }
            online = online.saturating_add(1);
        }
        Ok(Self {
            shared,
            workers,
            ordinals,
            online,
            next: Atomic::new(0),
        })
    }

    /// A worker for this CPU. The CPU may change at any time; then another CPU's worker does it.
    fn worker(&self) -> Option<&Arc<Worker>> {
        let cpu = usize::try_from(CpuId::current().as_u32()).ok()?;
        let ordinal = self.ordinals.get(cpu).copied().unwrap_or(0);
        let count = self.workers.len();
        if count <= self.online {
            return self.workers.get(ordinal.checked_rem(count)?);
        }
        let rest = count.saturating_sub(ordinal).saturating_sub(1);
        let workers = rest.checked_div(self.online)?.saturating_add(1);
        let next = usize::try_from(self.next.fetch_add(1, Relaxed)).ok()?;
        let round = next.checked_rem(workers)?.saturating_mul(self.online);
        self.workers.get(ordinal.saturating_add(round))
    }
}

impl Acceptor {
    /// A worker for this CPU or, if it is in trouble, any one that isn't, which can hand over.
    fn able_worker(&self) -> Option<&Arc<Worker>> {
        let worker = self.worker()?;
        if !self.shared.failsafe().is_armed() {
            return Some(worker);
        }
        let now = time::monotonic_seconds();
        if !worker.is_stalled(now) {
            return Some(worker);
        }
        let failsafe = self.shared.failsafe();
        if failsafe.set(now, Counter::FailsafeStalled, worker.counters()) {
            // Nobody may have wanted the others, who are in the same trouble, perhaps.
            for other in self.workers.iter() {
                other.want();
            }
        }
        self.workers.iter().find(|other| !other.is_stalled(now))
    }
}

impl Accept for Acceptor {
    type Connection = Connection;

    fn elsewhere(&self) -> Option<u16> {
        let port = self.shared.failsafe().port()?;
        self.able_worker().is_none().then_some(port)
    }

    fn passed_on(&self) {
        if let Some(worker) = self.worker() {
            worker.counters().count(Counter::Accepted);
            worker.count_handover(Reason::FailSafe);
        }
    }

    fn admit(&self) -> Option<Connection> {
        // If all are stalled, one of them has it when it looks.
        let worker = self.able_worker().or_else(|| self.worker())?;
        let Some(admission) = Admission::new(worker) else {
            worker.counters().count(Counter::Delayed);
            return None;
        };
        Some(Connection::new(admission))
    }

    fn takes_at_once(&self) -> bool {
        self.shared.takes_at_once()
    }

    fn responds(&self) -> bool {
        self.shared.responds()
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
