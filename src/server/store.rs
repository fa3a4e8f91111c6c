// SPDX-License-Identifier: GPL-2.0

//! What was found before: the documents that all workers share, and what each CPU has at hand.

use super::cache::{
    Cache,
    Entry, //
};
use super::config::Config;
use super::shared::Shared;
use super::shelf::{
    Place,
    Shelf, //
};
use super::stats::Kept;
use crate::linux::context::MaySleep;
use crate::linux::shrinker::Shrink;
use crate::linux::try_lock::Guard;
use kernel::cpu::{
    nr_cpu_ids,
    CpuId, //
};
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::atomic::{
    Atomic,
    Full,
    Relaxed, //
};
use kernel::sync::{
    Arc,
    SetOnce, //
};
use kernel::task::Task;

/// What was found before.
#[pin_data]
pub(super) struct Store {
    #[pin]
    cache: Cache,
    /// One for each number of a CPU.
    shelves: KVVec<Place>,
    /// How much is kept.
    kept: Arc<Kept>,
    /// Documents that are to be let go, because the machine lacks memory.
    surplus: Atomic<u64>,
    /// Who is woken for that.
    thread: SetOnce<ARef<Task>>,
}

impl Store {
    /// An empty store, to answer as `config` says. It says by `kept` how much there is.
    pub(super) fn new(config: &Arc<Config>, kept: &Arc<Kept>) -> Result<Arc<Self>> {
        let cpus = usize::try_from(nr_cpu_ids())?;
        let mut shelves = KVVec::with_capacity(cpus, GFP_KERNEL)?;
        for _ in 0..cpus {
            shelves.push_within_capacity(Place::new(config.clone())?)?;
        }
        Arc::pin_init(
            pin_init!(Self {
                cache <- Cache::new(kept.clone()),
                shelves,
                kept: kept.clone(),
                surplus: Atomic::new(0),
                thread: SetOnce::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Says which thread is to be woken when the machine lacks memory: one that sweeps.
    pub(super) fn set_thread(&self, thread: ARef<Task>) {
        self.thread.populate(thread);
    }

    /// Documents that were found before.
    pub(super) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The number of this CPU, and its shelf, unless somebody is there.
    pub(super) fn shelf(&self) -> Option<(u32, Guard<'_, Shelf>)> {
        let cpu = CpuId::current().as_u32();
        let place = self.shelves.get(usize::try_from(cpu).ok()?)?;
        Some((cpu, place.shelf()?))
    }

    /// Puts `entry` on the shelf of `cpu`.
    pub(super) fn shelve(&self, cpu: u32, entry: Arc<Entry>, _: &MaySleep) {
        let shelf = usize::try_from(cpu).ok();
        if let Some(place) = shelf.and_then(|cpu| self.shelves.get(cpu)) {
            place.put(entry);
        }
    }

    /// Whether nothing is kept. Whoever adds something doesn't rest until it is gone, and so sees
    /// to it that it is thrown out in time.
    pub(super) fn is_empty(&self) -> bool {
        self.cache.count() == 0 && self.shelves.iter().all(Place::is_empty)
    }

    /// Whether the machine lacks memory, so that a sweep can't wait.
    pub(super) fn wants_sweep(&self) -> bool {
        self.surplus.load(Relaxed) != 0
    }

    /// Throws out what must not be answered any more, or may not be kept as `config` says, which is
    /// of that `generation`; what nobody has looked at in the second `now`. Returns how many
    /// documents were thrown out because the machine lacks memory.
    pub(super) fn sweep(
        &self,
        now: u64,
        generation: u64,
        config: &Config,
        shared: &Shared,
        _: &MaySleep,
    ) -> u64 {
        let mut shed = 0;
        if self.wants_sweep() {
            shed = self.cache.shed(self.surplus.xchg(0, Full));
        }
        self.cache.sweep(now, generation, config);
        // Behind the cache: what that has lost leaves the shelves, too.
        for place in &self.shelves {
            place.sweep(now, generation, shared, shed != 0);
        }
        shed
    }

    /// Throws out all documents. For who ends.
    pub(super) fn clear(&self, shared: &Shared, _: &MaySleep) {
        for place in &self.shelves {
            place.clear(shared);
        }
        self.cache.clear();
    }
}

/// Files are closed by a worker: whoever lacks memory may have locks that this needs.
impl Shrink for Store {
    fn count(&self) -> usize {
        let left = self.kept.documents();
        let left = left.saturating_sub(self.surplus.load(Relaxed));
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    fn shrink(&self, most: usize) -> usize {
        let count = most.min(self.count());
        if count != 0 {
            // ORDERING: Full, against the worker, which looks at this before it sleeps.
            self.surplus.fetch_add(count as u64, Full);
            if let Some(thread) = self.thread.as_ref() {
                thread.wake_up();
            }
        }
        count
    }
}
