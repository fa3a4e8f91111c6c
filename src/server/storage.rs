// SPDX-License-Identifier: GPL-2.0

//! Who may make file systems wait: so that one that hangs leaves room for the others.
//!
//! ```text
//!   enter() -> waiting, first come first served in each lane -> running -> leave()
//! ```
//!
//! Jobs that touch one file system are a *lane*. A lane may begin another job as long as it has
//! fewer running than there are places free: alone it gets half of them, and each lane that hangs
//! leaves half of what it found to the rest. In a lane that is silent (jobs run, and none has ended
//! for [`SILENCE`] seconds) nobody waits for a place, and no more connections wait at all than half
//! of those that there may be: who comes then is refused at once.
//!
//! Local files whose end is work for the disk are closed in other lanes of their file system, one
//! at a time: whoever else closed one would wait for the same. That takes no place. What is written
//! out and what is freed have a lane each: it is the former that requests may make more of.
//!
//! What can't be told to stay within one file system, because it follows a symbolic link or lists a
//! directory, has a lane of its own, [`ANYWHERE`].

use super::job::Job;
use crate::linux::context::MaySleep;
use crate::linux::time;
use crate::linux::workqueue::{
    Handle,
    OwnedQueue, //
};
use kernel::prelude::*;
use kernel::rbtree::{
    RBTree,
    RBTreeNodeReservation, //
};
use kernel::sync::{
    new_spinlock,
    Arc,
    SpinLock, //
};

/// Jobs that may run at a time, each in a thread of the kernel's that waits for a file system.
pub(super) const PLACES: u32 = 512;

/// Lanes. With more of them in use at the same time, the rest share [`ANYWHERE`],
/// [`CLOSING_ANYWHERE`] and [`FREEING_ANYWHERE`].
pub(super) const LANES: usize = 128;

/// The lane of jobs that may touch any file system.
const ANYWHERE: usize = 0;

/// The lane of files that are written out and have no other one.
const CLOSING_ANYWHERE: usize = 1;

/// The lane of what is freed and has no other one.
const FREEING_ANYWHERE: usize = 2;

/// Lanes that belong to no file system.
const SHARED: usize = 3;

/// Seconds without an end of a job after which a lane is silent.
const SILENCE: u64 = 2;

/// Files of a file system that may wait to be written out, before no more are opened that have to
/// if none has been closed for [`SILENCE`] seconds.
const CLOSINGS: u32 = 2048;

/// The same, whether others are closed or not: requests may come faster than that.
const MOST_CLOSINGS: u32 = 16384;

/// Seconds for which a module that is unloaded waits for jobs before it says so.
const PATIENCE: u64 = 5;

/// Items that the work queue may run: as many as the kernel allows, since that is divided among the
/// NUMA nodes, and [`PLACES`], with one for each lane that takes none, is the bound.
const ACTIVE: u16 = 2048;

/// What a job may touch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The file system on that device.
    Device(u32),
    /// The same, for local files with octets for the disk, which are closed.
    Closing(u32),
    /// The same, for what was deleted there, and is given up.
    Freeing(u32),
    /// Any.
    Anywhere,
}

impl Place {
    /// The device, if it is one.
    pub(super) fn device(self) -> Option<u32> {
        match self {
            Place::Device(device) | Place::Closing(device) | Place::Freeing(device) => Some(device),
            Place::Anywhere => None,
        }
    }

    /// The lane for it if no other is left.
    fn shared(self) -> usize {
        match self {
            Place::Device(_) | Place::Anywhere => ANYWHERE,
            Place::Closing(_) => CLOSING_ANYWHERE,
            Place::Freeing(_) => FREEING_ANYWHERE,
        }
    }

    /// Whether jobs there go one at a time, and take no place of others.
    fn is_apart(self) -> bool {
        matches!(self, Place::Closing(_) | Place::Freeing(_))
    }
}

/// Why a job is not begun.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no memory.
    NoMemory,
    /// The file system doesn't answer those who asked before.
    Silent,
}

/// Where a job waits: its lane, and its number.
pub(super) type Ticket = (usize, u64);

/// Memory for the place of a job among those that wait.
pub(super) type Seat = RBTreeNodeReservation<Ticket, Arc<Job>>;

/// Jobs that touch one file system.
#[derive(Clone)]
struct Lane {
    /// What they touch; in a lane that belongs to no file system the device says nothing.
    place: Place,
    running: u32,
    waiting: u32,
    /// Connections that wait for a job, be it running or not, their own or not.
    connections: u32,
    /// The second in which a job was answered or has ended, or was the first to run.
    heard: u64,
}

impl Lane {
    /// Whether no job is in it.
    fn is_empty(&self) -> bool {
        self.running == 0 && self.waiting == 0 && self.connections == 0
    }

    /// Whether another job may begin while so many places are `free`.
    fn may_begin(&self, free: u32) -> bool {
        let limit = if self.place.is_apart() { 1 } else { free };
        self.waiting > 0 && self.running < limit
    }

    /// What a job takes: places, and a part in [`Lanes::apart`].
    fn takes(&self) -> (u32, u32) {
        let is_apart = self.place.is_apart();
        (u32::from(!is_apart), u32::from(is_apart))
    }

    /// Whether jobs run, and none has ended for long.
    fn is_silent(&self, now: u64) -> bool {
        self.running > 0 && now.saturating_sub(self.heard) > SILENCE
    }
}

/// All lanes.
struct Lanes {
    lanes: KVec<Lane>,
    waiting: RBTree<Ticket, Arc<Job>>,
    /// The number of the next job that waits.
    next: u64,
    /// Places that there are.
    places: u32,
    /// Places that are free.
    free: u32,
    /// Jobs that run and take no place.
    apart: u32,
    /// Sums over the lanes.
    waiting_count: u32,
    connections: u32,
    /// Jobs that run for a connection that has ended.
    abandoned: u32,
}

impl Lanes {
    /// The lane for `place`.
    fn find(&mut self, place: Place) -> usize {
        if place == Place::Anywhere {
            return ANYWHERE;
        }
        let shared = place.shared();
        let mut found = shared;
        for index in SHARED..self.lanes.len() {
            let Some(lane) = self.lanes.get(index) else {
                break;
            };
            if !lane.is_empty() && lane.place == place {
                return index;
            }
            if lane.is_empty() && found == shared {
                found = index;
            }
        }
        if found != shared {
            if let Some(lane) = self.lanes.get_mut(found) {
                lane.place = place;
            }
        }
        found
    }

    /// Whether a connection more may wait in a lane, of `limit` that there may be.
    fn admits(&self, index: usize, limit: u32, now: u64) -> bool {
        let Some(lane) = self.lanes.get(index) else {
            return false;
        };
        let is_full = lane.waiting > 0 || lane.running >= self.free;
        let is_crowded = lane.connections >= limit.saturating_sub(self.connections);
        !(lane.is_silent(now) && (is_full || is_crowded))
    }

    /// Lets a connection, of `limit` that there may be, wait in the lane for `place`, and returns
    /// that.
    fn admit(&mut self, place: Place, limit: u32, now: u64) -> Result<usize, Refused> {
        let index = self.find(place);
        if !self.admits(index, limit, now) {
            return Err(Refused::Silent);
        }
        self.connections = self.connections.saturating_add(1);
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.connections = lane.connections.saturating_add(1);
        }
        Ok(index)
    }

    /// Takes note that a connection doesn't wait any more in a lane, and returns that.
    fn stop_waiting(&mut self, index: usize) -> Option<&mut Lane> {
        self.connections = self.connections.saturating_sub(1);
        let lane = self.lanes.get_mut(index)?;
        lane.connections = lane.connections.saturating_sub(1);
        Some(lane)
    }

    /// Takes the first job of a lane that may begin.
    fn begin(&mut self, index: usize, now: u64) -> Option<Arc<Job>> {
        let lane = self.lanes.get_mut(index)?;
        if !lane.may_begin(self.free) {
            return None;
        }
        let first = self.waiting.cursor_lower_bound_mut(&(index, 0))?;
        if first.current().0 .0 != index {
            return None;
        }
        let (_, node) = first.remove_current();
        if lane.running == 0 {
            lane.heard = now;
        }
        lane.running = lane.running.saturating_add(1);
        lane.waiting = lane.waiting.saturating_sub(1);
        self.waiting_count = self.waiting_count.saturating_sub(1);
        let (places, apart) = lane.takes();
        self.free = self.free.saturating_sub(places);
        self.apart = self.apart.saturating_add(apart);
        Some(node.to_key_value().1)
    }

    /// Takes a job that may begin, of the lane with the fewest that run.
    fn begin_any(&mut self, now: u64) -> Option<Arc<Job>> {
        if self.waiting_count == 0 {
            return None;
        }
        let running = |index: &usize| {
            let lane = self.lanes.get(*index)?;
            lane.may_begin(self.free).then_some(lane.running)
        };
        let waiting = (0..self.lanes.len()).filter(|index| running(index).is_some());
        let index = waiting.min_by_key(running)?;
        self.begin(index, now)
    }
}

/// A connection that waits in a lane for a job of another one. Dropping it ends that.
pub(super) struct Guest {
    storage: Arc<Storage>,
    lane: usize,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.storage.lanes.lock().stop_waiting(self.lane);
    }
}

/// What is there to be told of the jobs.
#[derive(Clone, Copy)]
pub(super) struct Numbers {
    /// Jobs that run.
    pub(super) running: u32,
    /// Jobs that wait for a place.
    pub(super) waiting: u32,
    /// Jobs that run for a connection that has ended.
    pub(super) abandoned: u32,
}

/// The lanes, and the work queue behind them.
#[pin_data]
pub(super) struct Storage {
    queue: Handle,
    #[pin]
    lanes: SpinLock<Lanes>,
}

impl Storage {
    /// Memory for a job to wait.
    pub(super) fn seat() -> Result<Seat> {
        RBTreeNodeReservation::new(GFP_KERNEL)
    }

    /// Lets `job` run for a connection, of `limit` that there may be, when its turn has come.
    pub(super) fn enter(
        &self,
        place: Place,
        job: &Arc<Job>,
        seat: Seat,
        limit: u32,
    ) -> Result<Ticket, Refused> {
        let now = time::monotonic_seconds();
        let mut lanes = self.lanes.lock();
        let index = lanes.admit(place, limit, now)?;
        let ticket = Self::add(&mut lanes, index, job, seat);
        let first = lanes.begin(index, now);
        drop(lanes);
        self.run(first);
        Ok(ticket)
    }

    /// Lets a connection wait for a job of another one, which touches `place`.
    pub(super) fn admit(self: &Arc<Self>, place: Place, limit: u32) -> Result<Guest, Refused> {
        let now = time::monotonic_seconds();
        let lane = self.lanes.lock().admit(place, limit, now)?;
        Ok(Guest {
            storage: self.clone(),
            lane,
        })
    }

    /// Lets `job` run for nobody, when its turn has come.
    pub(super) fn enter_alone(&self, place: Place, job: &Arc<Job>, seat: Seat) -> Ticket {
        let now = time::monotonic_seconds();
        let mut lanes = self.lanes.lock();
        let index = lanes.find(place);
        let ticket = Self::add(&mut lanes, index, job, seat);
        let first = lanes.begin(index, now);
        drop(lanes);
        self.run(first);
        ticket
    }

    /// Whether as many files of that `device` wait to be written out as may.
    pub(super) fn is_jammed(&self, device: u32) -> bool {
        let now = time::monotonic_seconds();
        let mut lanes = self.lanes.lock();
        let index = lanes.find(Place::Closing(device));
        lanes.lanes.get(index).is_some_and(|lane| {
            lane.waiting >= MOST_CLOSINGS || (lane.waiting >= CLOSINGS && lane.is_silent(now))
        })
    }

    /// Lets `job`, which has begun, and whose connection waits for it, go on among those that may
    /// touch any file system. The place that it has is given back by [`Self::leave`].
    pub(super) fn wander(&self, ticket: Ticket, job: &Arc<Job>, seat: Seat) -> Ticket {
        let now = time::monotonic_seconds();
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.lanes.get_mut(ticket.0) {
            lane.connections = lane.connections.saturating_sub(1);
        }
        if let Some(lane) = lanes.lanes.get_mut(ANYWHERE) {
            lane.connections = lane.connections.saturating_add(1);
        }
        let ticket = Self::add(&mut lanes, ANYWHERE, job, seat);
        let first = lanes.begin(ANYWHERE, now);
        drop(lanes);
        self.run(first);
        ticket
    }

    /// Puts `job` behind the others of a lane.
    fn add(lanes: &mut Lanes, index: usize, job: &Arc<Job>, seat: Seat) -> Ticket {
        let ticket = (index, lanes.next);
        lanes.next = lanes.next.wrapping_add(1);
        // No other has this number: nothing is replaced.
        let _ = lanes.waiting.insert(seat.into_node(ticket, job.clone()));
        lanes.waiting_count = lanes.waiting_count.saturating_add(1);
        if let Some(lane) = lanes.lanes.get_mut(index) {
            lane.waiting = lane.waiting.saturating_add(1);
        }
        ticket
    }

    /// Gives the place of a job back, and lets others run.
    pub(super) fn leave(&self, index: usize) {
        let now = time::monotonic_seconds();
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.lanes.get_mut(index) {
            lane.running = lane.running.saturating_sub(1);
            lane.heard = now;
            let (places, apart) = lane.takes();
            lanes.free = lanes.free.saturating_add(places);
            lanes.apart = lanes.apart.saturating_sub(apart);
        }
        drop(lanes);
        // The lane itself, and others that may begin another one now.
        loop {
            let next = self.lanes.lock().begin_any(now);
            if next.is_none() {
                return;
            }
            self.run(next);
        }
    }

    /// Takes note that the file system has answered a job that runs, whose connection waits no
    /// more.
    ///
    /// Before that one is told: what it asks for next must not be refused because of a silence that
    /// is over.
    pub(super) fn answered(&self, index: usize) {
        let now = time::monotonic_seconds();
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.stop_waiting(index) {
            lane.heard = now;
        }
    }

    /// Takes note that a connection doesn't wait any more for its job. `is_abandoned` says that the
    /// job runs.
    pub(super) fn forget(&self, ticket: Ticket, is_abandoned: bool) -> Option<Arc<Job>> {
        let mut lanes = self.lanes.lock();
        lanes.abandoned = lanes.abandoned.saturating_add(u32::from(is_abandoned));
        let node = lanes.waiting.remove_node(&ticket);
        let is_waiting = u32::from(node.is_some());
        lanes.waiting_count = lanes.waiting_count.saturating_sub(is_waiting);
        if let Some(lane) = lanes.stop_waiting(ticket.0) {
            lane.waiting = lane.waiting.saturating_sub(is_waiting);
        }
        drop(lanes);
        node.map(|node| node.to_key_value().1)
    }

    /// Takes note that the file system has answered a job whose connection had ended before.
    pub(super) fn end_abandoned(&self, index: usize) {
        let now = time::monotonic_seconds();
        let mut lanes = self.lanes.lock();
        lanes.abandoned = lanes.abandoned.saturating_sub(1);
        if let Some(lane) = lanes.lanes.get_mut(index) {
            lane.heard = now;
        }
    }

    /// Has the work queue run `job`.
    fn run(&self, job: Option<Arc<Job>>) {
        if let Some(job) = job {
            // The queue is there as long as there are jobs. A job is on no queue before its turn
            // has come, so that this can't fail.
            let _ = self.queue.enqueue(job);
        }
    }

    /// How many jobs there are.
    pub(super) fn numbers(&self) -> Numbers {
        let lanes = self.lanes.lock();
        Numbers {
            running: lanes
                .places
                .saturating_sub(lanes.free)
                .saturating_add(lanes.apart),
            waiting: lanes.waiting_count,
            abandoned: lanes.abandoned,
        }
    }

    /// A device for which a job runs; 0 if it may be any.
    fn busy_device(&self) -> u32 {
        let lanes = self.lanes.lock();
        let mut lanes = lanes.lanes.iter().skip(SHARED);
        lanes
            .find(|lane| lane.running > 0)
            .and_then(|lane| lane.place.device())
            .unwrap_or(0)
    }
}

/// The owner of the work queue, which stays as long as the module. Dropping it waits for all jobs.
pub(super) struct Keeper {
    storage: Arc<Storage>,
    _queue: OwnedQueue,
}

impl Keeper {
    /// A work queue without jobs, of which `places` may run at a time, in so many `lanes`, three of
    /// which belong to no file system.
    pub(super) fn new(places: u32, lanes: usize) -> Result<Self> {
        let queue = OwnedQueue::new(c"rust_tux", ACTIVE)?;
        let lane = Lane {
            place: Place::Anywhere,
            running: 0,
            waiting: 0,
            connections: 0,
            heard: 0,
        };
        let mut lanes = KVec::from_elem(lane, lanes, GFP_KERNEL)?;
        let apart = [
            (CLOSING_ANYWHERE, Place::Closing(0)),
            (FREEING_ANYWHERE, Place::Freeing(0)),
        ];
        for (index, place) in apart {
            if let Some(lane) = lanes.get_mut(index) {
                lane.place = place;
            }
        }
        let handle = queue.handle();
        let storage = Arc::pin_init(
            pin_init!(Storage {
                queue: handle,
                lanes <- new_spinlock!(
                    Lanes {
                        lanes,
                        waiting: RBTree::new(),
                        next: 0,
                        places,
                        free: places,
                        apart: 0,
                        waiting_count: 0,
                        connections: 0,
                        abandoned: 0,
                    },
                    "rust_tux::Storage::lanes"
                ),
            }),
            GFP_KERNEL,
        )?;
        Ok(Self {
            storage,
            _queue: queue,
        })
    }

    /// The lanes.
    pub(super) fn storage(&self) -> &Arc<Storage> {
        &self.storage
    }
}

impl Drop for Keeper {
    /// Waits for all jobs, and says so if that takes long.
    fn drop(&mut self) {
        let may_sleep = MaySleep::begin();
        let begin = time::monotonic_seconds();
        let mut has_said = false;
        let mut pause: u32 = 1;
        loop {
            let Numbers {
                running, waiting, ..
            } = self.storage.numbers();
            if running == 0 && waiting == 0 {
                return;
            }
            if !has_said && time::monotonic_seconds().saturating_sub(begin) > PATIENCE {
                has_said = true;
                let device = self.storage.busy_device();
                let (major, minor) = (device >> 20, device & 0xf_ffff);
                pr_warn!(
                    "unloading waits for {running} work items, which a file system does not \
                     answer (device {major}:{minor})\n"
                );
            }
            may_sleep.pause(time::milliseconds(pause));
            pause = pause.saturating_mul(2).min(500);
        }
    }
}
