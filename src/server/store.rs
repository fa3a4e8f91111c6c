// SPDX-License-Identifier: GPL-2.0

//! What was found before: the documents that all workers share, and what each CPU has at hand.

use super::cache::{
    Cache,
    Entry, //
};
use super::config::Config;
use super::shared::Shared;
use super::shelf::{
    self,
    Shelf, //
};
use crate::linux::context::MaySleep;
use crate::linux::try_lock::TryLock;
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
    shelves: KVVec<TryLock<Shelf>>,
}

impl Store {
    /// An empty store, to answer as `config` says.
    pub(super) fn new(config: &Arc<Config>) -> Result<Arc<Self>> {
        let cpus = usize::try_from(nr_cpu_ids())?;
        let mut shelves = KVVec::with_capacity(cpus, GFP_KERNEL)?;
        for _ in 0..cpus {
            shelves.push_within_capacity(Shelf::new(config.clone())?)?;
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

    /// The number of this CPU, and its shelf.
    pub(super) fn shelf(&self) -> Option<(u32, &TryLock<Shelf>)> {
        let cpu = CpuId::current().as_u32();
        Some((cpu, self.shelves.get(usize::try_from(cpu).ok()?)?))
    }

    /// Puts `entry` on the shelf of `cpu`.
    pub(super) fn shelve(&self, cpu: u32, entry: Arc<Entry>, _: &MaySleep) {
        let shelf = usize::try_from(cpu).ok();
        let shelf = shelf.and_then(|cpu| self.shelves.get(cpu));
        let before = match shelf.and_then(TryLock::try_lock) {
            Some(mut shelf) => shelf.documents.put(entry),
            None => Some(entry),
        };
        // Its file may be closed here.
        drop(before);
    }

    /// Throws out what must not be answered any more, from the shelves of every `count`th CPU from
    /// `first` on.
    pub(super) fn sweep(
        &self,
        first: usize,
        count: usize,
        config: &Config,
        shared: &Shared,
        _: &MaySleep,
    ) {
        for shelf in self.shelves.iter().skip(first).step_by(count.max(1)) {
            shelf::sweep(shelf, shared, false);
        }
        if first == 0 {
            self.cache.sweep(config);
        }
    }

    /// Throws out all documents. For who ends.
    pub(super) fn clear(&self, shared: &Shared, _: &MaySleep) {
        for shelf in &self.shelves {
            shelf::sweep(shelf, shared, true);
        }
        self.cache.clear();
    }
}
