// SPDX-License-Identifier: GPL-2.0

//! LAYER 3, the server: start, stop, and who owns whom.
//!
//! ```text
//!   Server
//!     |- Settings, behind a Mutex that is held for moments only
//!     `- Running, behind the Mutex of who starts and stops it
//!          |- Shared, which connections and work items see, too
//!          |    `- the listening socket
//!          `- a thread for each Worker; the thread has the connections
//!     |- Keeper, which has the work queue
//!     `- the memory of connections
//! ```
//!
//! A server that starts makes its listening socket last; one that stops does it first. Then the
//! workers end, each with its connections. Work items that wait for a file system are waited for
//! when the module is unloaded.

#![forbid(unsafe_code)]

mod cache;
pub(crate) mod config;
mod connection;
mod content;
mod directory;
mod dispatch;
mod drain;
mod failsafe;
mod flight;
mod held;
mod hot;
mod job;
pub(crate) mod knobs;
mod listener;
mod lookup;
mod media_types;
mod reply;
mod response;
mod running;
mod shared;
mod shelf;
pub(crate) mod stats;
mod storage;
mod store;
mod turn;
mod wheel;
mod worker;
mod workspace;

use crate::linux::context::MaySleep;
use crate::linux::sock::Memory;
use config::Config;
use connection::Connection;
use drain::{
    drain,
    Outcome, //
};
use kernel::cpu::nr_cpu_ids;
use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use kernel::sync::lock::mutex::MutexBackend;
use kernel::sync::lock::Guard;
use kernel::sync::{
    new_mutex,
    Arc,
    Mutex, //
};
use running::Running;
use shared::Shared;
use stats::Statistics;
use storage::{
    Keeper,
    LANES,
    PLACES, //
};

/// The server. It stops at once when it is dropped, which may sleep; then it waits for file
/// systems. The fields are dropped in this order.
#[pin_data]
pub(crate) struct Server {
    statistics: Arc<Statistics>,
    /// Held while the server is started and stopped, which may take some time. Taken before
    /// `settings`.
    #[pin]
    control: Mutex<Option<Running>>,
    /// Those who wait for `control`.
    waiting: Atomic<i32>,
    /// Whether who has `control` waits for what is under way.
    draining: Atomic<i32>,
    #[pin]
    settings: Mutex<Settings>,
    keeper: Keeper,
    /// What connections are in, all of which are gone by then.
    memory: Arc<Memory<Connection>>,
}

/// What was configured.
struct Settings {
    /// What was configured last.
    config: Arc<Config>,
    /// While the server runs: what was configured when it was started, for the settings that need
    /// a start; and who has to know of the others.
    running: Option<(Arc<Config>, Arc<Shared>)>,
}

impl Server {
    /// A server that doesn't run yet.
    pub(crate) fn new(config: Config) -> Result<Arc<Self>> {
        let config = Arc::new(config, GFP_KERNEL)?;
        let memory = Arc::new(Memory::new(c"rust_tux_connection")?, GFP_KERNEL)?;
        let workers = usize::try_from(nr_cpu_ids())?;
        let keeper = Keeper::new(PLACES, LANES)?;
        let statistics = Statistics::new(workers, keeper.storage().clone())?;
        let statistics = Arc::new(statistics, GFP_KERNEL)?;
        Arc::pin_init(
            pin_init!(Self {
                statistics,
                control <- new_mutex!(None, "rust_tux::Server::control"),
                waiting: Atomic::new(0),
                draining: Atomic::new(0),
                settings <- new_mutex!(
                    Settings {
                        config,
                        running: None,
                    },
                    "rust_tux::Server::settings"
                ),
                keeper,
                memory,
            }),
            GFP_KERNEL,
        )
    }

    /// Who starts and stops the server: one at a time. Whoever asks for this ends the wait of who
    /// has it.
    fn control(&self) -> Guard<'_, Option<Running>, MutexBackend> {
        self.waiting.fetch_add(1, Relaxed);
        let control = self.control.lock();
        self.waiting.fetch_sub(1, Relaxed);
        control
    }

    /// What was counted.
    pub(crate) fn statistics(&self) -> &Arc<Statistics> {
        &self.statistics
    }
}

/// Says what is served, and whether its file system lets documents be kept.
#[inline(never)]
fn announce(config: &Config) {
    let root = config.document_root.root();
    let name = config.document_root.name();
    let file_system = root.file_system();
    if root.is_local() {
        pr_info!("serving {name} ({file_system}), from memory in softirq where it can be\n");
    } else {
        pr_info!(
            "serving {name} ({file_system}), which may change unseen: each request asks the file \
             system\n"
        );
    }
}

impl knobs::Control for Server {
    fn config(&self) -> Arc<Config> {
        self.settings.lock().config.clone()
    }

    fn started_with(&self) -> Option<Arc<Config>> {
        let settings = self.settings.lock();
        let running = settings.running.as_ref();
        running.map(|(started_with, _)| started_with.clone())
    }

    fn update(&self, change: &dyn Fn(&Config) -> Result<Config>, _: &MaySleep) -> Result {
        let mut settings = self.settings.lock();
        let config = Arc::new(change(&settings.config)?, GFP_KERNEL)?;
        if let Some((started_with, shared)) = &mut settings.running {
            // Nobody asks for the old document root, which would only keep its file system busy, or
            // for the old media types, which may be large.
            let document_root = config.document_root.clone();
            let media_types = config.media_types.clone();
            let rest = Config::clone(started_with);
            *started_with = Arc::new(
                Config {
                    document_root,
                    media_types,
                    ..rest
                },
                GFP_KERNEL,
            )?;
            shared.configure(&config);
        }
        settings.config = config;
        Ok(())
    }

    fn start(&self, may_sleep: &MaySleep) -> Result {
        let mut control = self.control();
        if control.is_some() {
            return Ok(());
        }
        let config = self.config();
        let storage = self.keeper.storage();
        let (statistics, memory) = (&self.statistics, &self.memory);
        let running = Running::start(&config, statistics, storage, memory, may_sleep)?;
        announce(&config);
        let mut settings = self.settings.lock();
        // What was changed meanwhile.
        running.shared().configure(&settings.config);
        settings.running = Some((config, running.shared().clone()));
        *control = Some(running);
        Ok(())
    }

    fn stop(&self, may_sleep: &MaySleep) -> Result {
        let mut control = self.control();
        self.draining.store(1, Relaxed);
        let (settings, config) = {
            let mut settings = self.settings.lock();
            (settings.running.take(), settings.config.clone())
        };
        drop(settings);
        if let Some(running) = control.take() {
            let outcome = Outcome::new(&self.statistics);
            let is_hurried = || self.waiting.load(Relaxed) != 0;
            drain(&running, &config, is_hurried, may_sleep);
            drop(running);
            outcome.announce(&self.statistics);
        }
        self.draining.store(0, Relaxed);
        Ok(())
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Relaxed) != 0
    }
}
