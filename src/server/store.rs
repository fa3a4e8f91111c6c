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
use crate::linux::context::MaySleep;
use crate::linux::try_lock::Guard;
use kernel::cpu::{
    nr_cpu_ids,
    CpuId, //
};
use kernel::prelude::*;
use kernel::sync::Arc;

/// What was found before.
#[pin_data]
pub(super) struct Store {
    #[pin]
    cache: Cache,
    /// One for each number of a CPU.
    shelves: KVVec<Place>,
}

impl Store {
    /// An empty store, to answer as `config` says.
    pub(super) fn new(config: &Arc<Config>) -> Result<Arc<Self>> {
        let cpus = usize::try_from(nr_cpu_ids())?;
        let mut shelves = KVVec::with_capacity(cpus, GFP_KERNEL)?;
        for _ in 0..cpus {
            shelves.push_within_capacity(Place::new(config.clone())?)?;
        }
        Arc::pin_init(
            pin_init!(Self {
                cache <- Cache::new(),
                shelves,
            }),
            GFP_KERNEL,
        )
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

    /// Whether nothing is kept. Whoever adds something doesn't rest until it is gone, and so sees to
    /// it that it is thrown out in time.
    pub(super) fn is_empty(&self) -> bool {
        self.cache.count() == 0 && self.shelves.iter().all(Place::is_empty)
    }

    /// Throws out what must not be answered any more, or may not be kept as `config` says, which is
    /// of that `generation`; what nobody has looked at in the second `now`.
    pub(super) fn sweep(
        &self,
        now: u64,
        generation: u64,
        config: &Config,
        shared: &Shared,
        _: &MaySleep,
    ) {
        for place in &self.shelves {
            place.sweep(now, generation, shared);
        }
        self.cache.sweep(now, generation, config);
    }

    /// Throws out all documents. For who ends.
    pub(super) fn clear(&self, shared: &Shared, _: &MaySleep) {
        for place in &self.shelves {
            place.clear(shared);
        }
        self.cache.clear();
    }
}
