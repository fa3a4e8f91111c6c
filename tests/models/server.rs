// SPDX-License-Identifier: GPL-2.0

//! Layer 3: the files that decide when something is done, and by whom; what is done is little.

pub(crate) mod config;
#[path = "../../src/server/connection.rs"]
pub(crate) mod connection;
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
use stats::Statistics;

/// A server that runs, without what the sysctls do.
pub(crate) struct Server {
    statistics: Arc<Statistics>,
    running: Running,
}

/// What others do to a server that runs.
pub(crate) struct Control {
    shared: Arc<Shared>,
}

impl Server {
    /// Starts a server of `threads` workers that serves up to `max_connect` connections.
    pub(crate) fn start(max_connect: u32, threads: u32) -> Self {
        let config = Arc::new(Config::new(max_connect, threads), GFP_KERNEL).expect("memory");
        let statistics = Statistics::new(1).expect("memory");
        let statistics = Arc::new(statistics, GFP_KERNEL).expect("memory");
        let may_sleep = MaySleep::begin();
        let running = Running::start(&config, &statistics, &may_sleep).expect("a start");
        Self {
            statistics,
            running,
        }
    }

    /// For another thread.
    pub(crate) fn control(&self) -> Control {
        Control {
            shared: self.running.shared().clone(),
        }
    }

    /// Stops the server. Returns what is counted, which has to fit: nothing is served any more.
    pub(crate) fn stop(self) -> Counted {
        drop(self.running);
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
pub(crate) struct Room(Arc<Shared>);

impl Room {
    /// One place.
    pub(crate) fn new() -> Self {
        let config = Arc::new(Config::new(1, 1), GFP_KERNEL).expect("memory");
        Self(Shared::new(&config, &MaySleep::begin()).expect("memory"))
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

/// What `/proc/net/http/stat` shows.
pub(crate) struct Counted(String);

impl Counted {
    pub(crate) fn new(statistics: &Statistics) -> Self {
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
