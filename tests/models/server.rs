// SPDX-License-Identifier: GPL-2.0

//! Layer 3: the files that decide when something is done, and by whom; what is done is little.

pub(crate) mod config;
#[path = "../../src/server/connection.rs"]
pub(crate) mod connection;
mod content;
mod directory;
pub(crate) mod dispatch;
#[path = "../../src/server/drain.rs"]
mod drain;
#[path = "../../src/server/failsafe.rs"]
mod failsafe;
#[path = "../../src/server/flight.rs"]
mod flight;
mod hot;
#[path = "../../src/server/job.rs"]
mod job;
#[path = "../../src/server/listener.rs"]
mod listener;
pub(crate) mod lookup;
pub(crate) mod outcome;
mod reply;
mod response;
#[path = "../../src/server/running.rs"]
mod running;
#[path = "../../src/server/shared.rs"]
mod shared;
#[path = "../../src/server/stats.rs"]
pub(crate) mod stats;
#[path = "../../src/server/storage.rs"]
mod storage;
mod store;
mod turn;
#[path = "../../src/server/wheel.rs"]
mod wheel;
#[path = "../../src/server/worker.rs"]
mod worker;
#[path = "../../src/server/workspace.rs"]
mod workspace;

use crate::linux::context::MaySleep;
use crate::linux::file::File;
use crate::linux::proc::Show;
use crate::linux::sock::Memory;
use config::Config;
use connection::Connection;
use failsafe::Failsafe;
use job::{
    Closing,
    Task, //
};
use kernel::prelude::GFP_KERNEL;
use kernel::seq_file::SeqFile;
use kernel::sync::Arc;
use kernel::world::world;
use running::Running;
use shared::Shared;
use stats::{
    Counters,
    Statistics, //
};
use std::rc::Rc;
use storage::{
    Keeper,
    Place, //
};
use store::Store;
use worker::Worker;

/// The memory of connections.
fn memory() -> Arc<Memory<Connection>> {
    Arc::new(Memory::new(c"").expect("memory"), GFP_KERNEL).expect("memory")
}

/// Nobody would help.
fn failsafe() -> Arc<Failsafe> {
    Arc::new(Failsafe::new(), GFP_KERNEL).expect("memory")
}

/// What the parts of a server with one connection share, without the server.
fn shared(keeper: &Keeper) -> Arc<Shared> {
    let config = Arc::new(Config::new(1, 1), GFP_KERNEL).expect("memory");
    let shared = Shared::new(
        &config,
        keeper.storage(),
        &failsafe(),
        &memory(),
        &MaySleep::begin(),
    );
    shared.expect("memory")
}

/// A server that runs, without what the sysctls do.
pub(crate) struct Server {
    statistics: Arc<Statistics>,
    running: Running,
    files: Files,
}

/// A server that is stopped, and not unloaded.
pub(crate) struct Stopped {
    statistics: Arc<Statistics>,
    files: Files,
    /// A reference count orders nothing here: the last who has it is one who comes after all.
    _config: Option<Arc<Config>>,
}

/// What others do to a server that runs.
pub(crate) struct Control {
    shared: Arc<Shared>,
}

impl Server {
    /// Starts a server of `threads` workers that serves up to `max_connect` connections.
    pub(crate) fn start(max_connect: u32, threads: u32) -> Self {
        Self::start_with_places(max_connect, threads, 2)
    }

    /// The same, where up to `places` work items may run at a time.
    pub(crate) fn start_with_places(max_connect: u32, threads: u32, places: u32) -> Self {
        let config = Arc::new(Config::new(max_connect, threads), GFP_KERNEL).expect("memory");
        let keeper = Keeper::new(places, 4).expect("memory");
        let storage = keeper.storage();
        let statistics = Statistics::new(1, storage.clone()).expect("memory");
        let statistics = Arc::new(statistics, GFP_KERNEL).expect("memory");
        let may_sleep = MaySleep::begin();
        let running = Running::start(&config, &statistics, storage, &memory(), &may_sleep);
        let running = running.expect("a start");
        Self {
            statistics,
            files: Files {
                shared: running.shared().clone(),
                keeper,
                places,
            },
            running,
        }
    }

    /// The files that it may have to wait for.
    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// For another thread.
    pub(crate) fn control(&self) -> Control {
        Control {
            shared: self.running.shared().clone(),
        }
    }

    /// Lets what is under way come to its end.
    pub(crate) fn drain(&self) {
        let config = Config::new(8, 1);
        drain::drain(&self.running, &config, || false, &MaySleep::begin());
    }

    /// Stops the server, and unloads it. Returns what is counted, which has to fit: nothing is
    /// served any more.
    pub(crate) fn stop(self) -> Counted {
        self.halt().unload()
    }

    /// Stops the server.
    pub(crate) fn halt(self) -> Stopped {
        let mut never = u64::MAX;
        let config = self.running.shared().newer_config(&mut never);
        drop(self.running);
        Stopped {
            statistics: self.statistics,
            files: self.files,
            _config: config,
        }
    }
}

impl Stopped {
    /// Unloads the server.
    pub(crate) fn unload(self) -> Counted {
        self.files.unload();
        let counted = Counted::new(&self.statistics);
        assert_eq!(counted.get("connections_open"), 0);
        assert_eq!(
            counted.get("connections_accepted"),
            counted.get("connections_closed")
        );
        counted
    }
}

/// What may have to wait for file systems.
pub(crate) struct Files {
    shared: Arc<Shared>,
    keeper: Keeper,
    places: u32,
}

impl Files {
    /// Without a server. Three of the `lanes` belong to no file system.
    pub(crate) fn new(places: u32, lanes: usize) -> Self {
        let keeper = Keeper::new(places, lanes).expect("memory");
        Self {
            shared: shared(&keeper),
            keeper,
            places,
        }
    }

    /// Closes `file`, of the file system on `device`, in a work item.
    pub(crate) fn close(&self, device: u32, file: File) {
        close(&self.shared, Place::Device(device), file);
    }

    /// The same for a file that has octets for the disk.
    pub(crate) fn flush(&self, device: u32, file: File) {
        close(&self.shared, Place::Closing(device), file);
    }

    /// The same for one that was deleted.
    pub(crate) fn free(&self, device: u32, file: File) {
        close(&self.shared, Place::Freeing(device), file);
    }

    /// Waits for all work items, after which no place is taken, and no lane in use.
    pub(crate) fn unload(self) {
        let storage = self.keeper.storage().clone();
        drop(self.keeper);
        let numbers = storage.numbers();
        assert_eq!(numbers.running, 0, "a place that is never given back");
        assert_eq!(numbers.waiting, 0, "a work item that never begins");
        assert_eq!(numbers.abandoned, 0, "a work item that was never missed");
        // Two work items of two lanes have room in two places, those of one lane have not. None
        // runs any more, as there is no work queue.
        if self.places == 2 {
            close(&self.shared, Place::Device(u32::MAX), File::new());
            close(&self.shared, Place::Anywhere, File::new());
            close(&self.shared, Place::Closing(u32::MAX), File::new());
            close(&self.shared, Place::Freeing(u32::MAX), File::new());
            assert_eq!(storage.numbers().running, 4, "a lane that is never left");
        }
    }
}

/// Closes `file` in a work item.
fn close(shared: &Arc<Shared>, place: Place, file: File) {
    let closing = Closing::new(place, shared).expect("memory");
    closing.start(Task::Close(file));
}

impl Control {
    /// Lets there be up to `max_connect` connections.
    pub(crate) fn configure(&self, max_connect: u32) {
        let config = Arc::new(Config::new(max_connect, 1), GFP_KERNEL).expect("memory");
        self.shared.configure(&config);
    }
}

/// Places for connections.
#[derive(Clone)]
pub(crate) struct Room(Arc<Shared>, Rc<Keeper>);

impl Room {
    /// One place.
    pub(crate) fn new() -> Self {
        let keeper = Keeper::new(1, 1).expect("memory");
        Self(shared(&keeper), Rc::new(keeper))
    }

    /// Takes a place. Returns whether there was one.
    pub(crate) fn enter(&self) -> bool {
        self.0.enter()
    }

    /// Gives a place back. Returns whether somebody waits for it.
    pub(crate) fn leave(&self) -> bool {
        self.0.leave()
    }
}

/// A worker without a thread, and with a backing server.
#[derive(Clone)]
pub(crate) struct Watched(Arc<Worker>, Rc<Keeper>);

impl Watched {
    /// One that nobody has wanted yet.
    pub(crate) fn new() -> Self {
        let keeper = Keeper::new(1, 1).expect("memory");
        let mut config = Config::new(1, 1);
        (config.client_port, config.failsafe_timeout) = (81, 1);
        let config = Arc::new(config, GFP_KERNEL).expect("memory");
        let shared = shared(&keeper);
        shared.configure(&config);
        let statistics = Statistics::new(1, keeper.storage().clone()).expect("memory");
        let counters = statistics.worker(0).expect("counters");
        let store = Store::new(&config, statistics.kept()).expect("memory");
        let worker = Worker::new(counters, shared, store);
        Self(
            Arc::new(worker, GFP_KERNEL).expect("memory"),
            Rc::new(keeper),
        )
    }

    /// Wants it.
    pub(crate) fn want(&self) {
        self.0.want();
    }

    /// Whether it has let somebody wait for too long.
    pub(crate) fn is_stalled(&self) -> bool {
        self.0.is_stalled(world().now.get())
    }
}

/// Counters, that two workers have together.
pub(crate) struct Counts {
    statistics: Statistics,
    _keeper: Keeper,
}

impl Counts {
    pub(crate) fn new() -> Self {
        let keeper = Keeper::new(1, 1).expect("memory");
        let statistics = Statistics::new(1, keeper.storage().clone());
        Self {
            statistics: statistics.expect("memory"),
            _keeper: keeper,
        }
    }

    /// The counters of the worker `number`.
    pub(crate) fn worker(&self, number: usize) -> Arc<Counters> {
        self.statistics.worker(number).expect("counters")
    }

    /// What is shown of them.
    pub(crate) fn show(&self) -> Counted {
        Counted::new(&self.statistics)
    }
}

/// What `/proc/net/http/stat` shows.
pub(crate) struct Counted(String);

impl Counted {
    fn new(statistics: &Statistics) -> Self {
        let file = SeqFile(String::new().into());
        statistics.show(&file);
        Self(file.0.into_inner())
    }

    /// The number behind `name`.
    pub(crate) fn get(&self, name: &str) -> u64 {
        let line = self
            .0
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.expect("a counter").parse().expect("a number")
    }
}
