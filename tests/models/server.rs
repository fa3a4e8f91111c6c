// SPDX-License-Identifier: GPL-2.0

//! Layer 3: the files that decide when something is done, and by whom; what is done is little.

pub(crate) mod config;
#[path = "../../src/server/connection.rs"]
pub(crate) mod connection;
mod content;
pub(crate) mod dispatch;
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
mod turn;
#[path = "../../src/server/wheel.rs"]
mod wheel;
#[path = "../../src/server/worker.rs"]
mod worker;

use crate::linux::context::MaySleep;
use crate::linux::proc::Show;
use config::Config;
use kernel::prelude::GFP_KERNEL;
use kernel::seq_file::SeqFile;
use kernel::sync::Arc;
use running::Running;
use shared::Shared;
use stats::{
    Counters,
    Statistics, //
};
use std::rc::Rc;
use storage::Keeper;

/// A server that runs, without what the sysctls do.
pub(crate) struct Server {
    statistics: Arc<Statistics>,
    running: Running,
    keeper: Keeper,
}

/// What others do to a server that runs.
pub(crate) struct Control {
    shared: Arc<Shared>,
}

impl Server {
    /// Starts a server of `threads` workers that serves up to `max_connect` connections.
    pub(crate) fn start(max_connect: u32, threads: u32) -> Self {
        let config = Arc::new(Config::new(max_connect, threads), GFP_KERNEL).expect("memory");
        let keeper = Keeper::new().expect("memory");
        let storage = keeper.storage();
        let statistics = Statistics::new(1, storage.clone()).expect("memory");
        let statistics = Arc::new(statistics, GFP_KERNEL).expect("memory");
        let may_sleep = MaySleep::begin();
        let running = Running::start(&config, &statistics, storage, &may_sleep);
        Self {
            statistics,
            running: running.expect("a start"),
            keeper,
        }
    }

    /// For another thread.
    pub(crate) fn control(&self) -> Control {
        Control {
            shared: self.running.shared().clone(),
        }
    }

    /// Stops the server, and unloads it. Returns what is counted, which has to fit: nothing is
    /// served any more.
    pub(crate) fn stop(self) -> Counted {
        // A reference count orders nothing here: the last who has it is one who comes after all.
        let mut never = u64::MAX;
        let config = self.running.shared().newer_config(&mut never);
        drop(self.running);
        drop(self.keeper);
        drop(config);
        let counted = Counted::new(&self.statistics);
        assert_eq!(counted.get("connections_open"), 0);
        assert_eq!(
            counted.get("connections_accepted"),
            counted.get("connections_closed")
        );
        counted
    }
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
        let config = Arc::new(Config::new(1, 1), GFP_KERNEL).expect("memory");
        let keeper = Keeper::new().expect("memory");
        let shared = Shared::new(&config, keeper.storage(), &MaySleep::begin());
        Self(shared.expect("memory"), Rc::new(keeper))
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

/// Counters, that two workers have together.
pub(crate) struct Counts {
    statistics: Statistics,
    _keeper: Keeper,
}

impl Counts {
    pub(crate) fn new() -> Self {
        let keeper = Keeper::new().expect("memory");
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
