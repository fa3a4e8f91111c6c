// SPDX-License-Identifier: GPL-2.0

//! What the parts of a running server share.

use super::config::Config;
use super::connection::Connection;
use super::directory;
use super::failsafe::Failsafe;
use super::flight::Flights;
use super::listener::Acceptor;
use super::stats::{
    Counter,
    Counters, //
};
use super::storage::Storage;
use super::worker::Worker;
use crate::linux::address::Address;
use crate::linux::context::MaySleep;
use crate::linux::cred::Credentials;
use crate::linux::listener::Listener;
use crate::linux::sock::Memory;
use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Full,
    Relaxed, //
};
use kernel::sync::{
    new_mutex,
    Arc,
    Mutex, //
};

/// The user and group that files are opened as: "nobody".
const USER: u32 = 65534;

/// Connections that a worker takes from the accept queue at a time.
const ACCEPT: usize = 64;

/// What the lock of the listening socket guards.
struct Listening {
    /// Who gets the connections. `None` unless the server runs.
    workers: Option<Arc<KVec<Arc<Worker>>>>,
    /// `None`, while the server runs, if somebody has closed it and it could not be opened again.
    listener: Option<KBox<Listener<Acceptor>>>,
    /// Where the server listens.
    place: Place,
}

/// Where a server listens, as it was configured when it was started.
#[derive(Clone, Copy)]
struct Place {
    address: Address,
    port: u16,
    backlog: u32,
    /// Whether another server may listen there, too.
    takes_over: bool,
}

/// What the parts of a running server share.
#[pin_data]
pub(super) struct Shared {
    /// Connections that there are.
    open: Atomic<i64>,
    /// Connections that there may be.
    max_connect: Atomic<i64>,
    /// [`Config::fast_accept`].
    fast_accept: Atomic<u32>,
    /// [`Config::ack_pingpong`].
    ack_pingpong: Atomic<u32>,
    /// Whether a connection was not admitted since one has ended.
    is_full: Atomic<i32>,
    /// Whether the accept queue must be looked at.
    is_pending: Atomic<i32>,
    /// Whether the listening socket must be looked at.
    is_aborted: Atomic<i32>,
    /// Whether connections were left on the accept queue when it was looked at last.
    is_waiting: Atomic<i32>,
    /// The second of the monotonic clock in which is tried again what could not be done.
    retry_at: Atomic<u64>,
    /// Changes with the configuration.
    generation: Atomic<u64>,
    #[pin]
    config: Mutex<Arc<Config>>,
    #[pin]
    listening: Mutex<Listening>,
    credentials: Credentials,
    storage: Arc<Storage>,
    flights: Arc<Flights>,
    memory: Arc<Memory<Connection>>,
    listings: Arc<directory::Memory>,
    failsafe: Arc<Failsafe>,
}

impl Shared {
    /// For a server that starts as `config` says, and reads by `storage`. Its connections are in
    /// `memory`.
    pub(super) fn new(
        config: &Arc<Config>,
        storage: &Arc<Storage>,
        failsafe: &Arc<Failsafe>,
        memory: &Arc<Memory<Connection>>,
        may_sleep: &MaySleep,
    ) -> Result<Arc<Self>> {
        let credentials = Credentials::unprivileged(USER, may_sleep)?;
        let flights = Flights::new()?;
        let listings = Arc::new(directory::Memory::new(), GFP_KERNEL)?;
        let place = Place {
            address: config.address,
            port: config.server_port,
            backlog: config.max_backlog,
            takes_over: config.takeover != 0,
        };
        Arc::pin_init(
            pin_init!(Self {
                open: Atomic::new(0),
                max_connect: Atomic::new(i64::from(config.max_connect)),
                fast_accept: Atomic::new(config.fast_accept),
                ack_pingpong: Atomic::new(config.ack_pingpong),
                is_full: Atomic::new(0),
                is_pending: Atomic::new(0),
                is_aborted: Atomic::new(0),
                is_waiting: Atomic::new(0),
                retry_at: Atomic::new(0),
                generation: Atomic::new(0),
                config <- new_mutex!(config.clone(), "rust_tux::Shared::config"),
                listening <- new_mutex!(
                    Listening {
                        workers: None,
                        listener: None,
                        place,
                    },
                    "rust_tux::Shared::listening"
                ),
                credentials,
                storage: storage.clone(),
                flights,
                memory: memory.clone(),
                listings,
                failsafe: failsafe.clone(),
            }),
            GFP_KERNEL,
        )
    }

    /// Whether connections are taken in softirq. Any context.
    pub(super) fn takes_at_once(&self) -> bool {
        self.fast_accept.load(Relaxed) != 0
    }

    /// Whether responses acknowledge requests from the begin of a connection. Any context.
    pub(super) fn responds(&self) -> bool {
        self.ack_pingpong.load(Relaxed) != 0
    }

    /// Puts `config` into force.
    pub(super) fn configure(&self, config: &Arc<Config>) {
        let max_connect = i64::from(config.max_connect);
        let raised = self.max_connect.xchg(max_connect, Relaxed) < max_connect;
        self.failsafe.configure(config);
        self.fast_accept.store(config.fast_accept, Relaxed);
        self.ack_pingpong.store(config.ack_pingpong, Relaxed);
        *self.config.lock() = config.clone();
        self.generation.fetch_add(1, Full);
        if raised {
            self.set_pending();
        }
        // A worker that sleeps holds on to what it had: to a document root whose file system is to
        // be unmounted, for one.
        let workers = self.listening.lock().workers.clone();
        for worker in workers.iter().flat_map(|workers| workers.iter()) {
            worker.wake();
        }
    }

    /// Which configuration is the current one.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// The configuration, if it has changed since `generation`, which is brought up to date.
    pub(super) fn newer_config(&self, generation: &mut u64) -> Option<Arc<Config>> {
        let current = self.generation();
        if current == *generation {
            return None;
        }
        let config = self.config.lock().clone();
        *generation = current;
        Some(config)
    }

    /// What files are opened with.
    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Who may make file systems wait.
    pub(super) fn storage(&self) -> &Arc<Storage> {
        &self.storage
    }

    /// Who waits for what others have asked file systems for.
    pub(super) fn flights(&self) -> &Arc<Flights> {
        &self.flights
    }

    /// Whether the server is in trouble.
    pub(super) fn failsafe(&self) -> &Failsafe {
        &self.failsafe
    }

    /// What listings take their memory from.
    pub(super) fn listings(&self) -> &Arc<directory::Memory> {
        &self.listings
    }

    /// Counts one more connection, unless there are as many as may be. Any context.
    pub(super) fn enter(&self) -> bool {
        if self.try_enter() {
            return true;
        }
        // ORDERING: Full, against `leave()`: either that sees this, or its place is seen below.
        self.is_full.xchg(1, Full);
        self.try_enter()
    }

    /// Counts one more connection, if there may be one more.
    fn try_enter(&self) -> bool {
        if self.open.fetch_add(1, Full) < self.max_connect.load(Relaxed) {
            return true;
        }
        self.open.fetch_sub(1, Full);
        false
    }

    /// Counts one connection less. Any context. Returns whether a worker is to be woken, because
    /// others wait for the place.
    pub(super) fn leave(&self) -> bool {
        self.open.fetch_sub(1, Full);
        if self.is_full.load(Relaxed) == 0 {
            return false;
        }
        self.is_full.store(0, Relaxed);
        self.set_pending();
        true
    }

    /// Says that connections wait on the accept queue. Any context.
    pub(super) fn set_pending(&self) {
        self.is_pending.store(1, Relaxed);
    }

    /// Says that the listening socket was closed by somebody else. Any context.
    pub(super) fn set_aborted(&self) {
        self.is_aborted.store(1, Relaxed);
    }

    /// Whether a worker should call [`Self::attend`], at the second `now`.
    pub(super) fn wants_attention(&self, now: u64) -> bool {
        self.is_pending.load(Relaxed) != 0
            || (self.wants_attention_later() && now >= self.retry_at.load(Relaxed))
    }

    /// Whether something could not be done for the listening socket that will be tried again in
    /// the next second.
    pub(super) fn wants_attention_later(&self) -> bool {
        self.is_aborted.load(Relaxed) != 0 || self.is_waiting.load(Relaxed) != 0
    }

    /// Begins to listen. `workers` get the connections.
    pub(super) fn listen(
        self: &Arc<Self>,
        workers: KVec<Arc<Worker>>,
        may_sleep: &MaySleep,
    ) -> Result {
        let workers = Arc::new(workers, GFP_KERNEL)?;
        let mut listening = self.listening.lock();
        let listener = self.open_listener(&listening.place, workers.clone(), may_sleep)?;
        listening.listener = Some(listener);
        listening.workers = Some(workers);
        Ok(())
    }

    /// Opens a listening socket.
    fn open_listener(
        self: &Arc<Self>,
        place: &Place,
        workers: Arc<KVec<Arc<Worker>>>,
        may_sleep: &MaySleep,
    ) -> Result<KBox<Listener<Acceptor>>> {
        Listener::open(
            (&place.address, place.port),
            place.backlog,
            place.takes_over,
            Acceptor::new(self.clone(), workers)?,
            self.memory.clone(),
            may_sleep,
        )
    }

    /// Lets nobody connect any more who has not begun to.
    pub(super) fn hide(&self, may_sleep: &MaySleep) {
        let mut listening = self.listening.lock();
        // From here on the socket isn't made anew.
        drop(listening.workers.take());
        if let Some(listener) = &listening.listener {
            listener.hide(may_sleep);
        }
    }

    /// Whether a server that has hidden has nothing to do any more. Stops listening as soon as
    /// nobody is connecting for whom it `awaits_handshakes`.
    pub(super) fn is_done(&self, awaits_handshakes: bool, may_sleep: &MaySleep) -> bool {
        let is_deserted = {
            let listening = self.listening.lock();
            let listener = listening.listener.as_ref();
            listener.map(|listener| listener.is_deserted(awaits_handshakes))
        };
        if is_deserted == Some(true) {
            self.close(may_sleep);
        }
        is_deserted != Some(false) && self.open.load(Relaxed) == 0
    }

    /// Stops listening. Connections that nobody has taken are closed. May sleep.
    pub(super) fn close(&self, _: &MaySleep) {
        let (listener, workers) = {
            let mut listening = self.listening.lock();
            (listening.listener.take(), listening.workers.take())
        };
        drop(listener);
        drop(workers);
    }

    /// Does what is to be done for the listening socket in a thread, at the second `now`; counted
    /// by `counters`.
    pub(super) fn attend(self: &Arc<Self>, now: u64, counters: &Counters, may_sleep: &MaySleep) {
        if !self.wants_attention(now) {
            return;
        }
        let mut listening = self.listening.lock();
        if now >= self.retry_at.load(Relaxed) && self.is_aborted.xchg(0, Full) != 0 {
            self.repair(&mut listening, now, counters, may_sleep);
        }
        self.is_pending.xchg(0, Full);
        let Some(listener) = &listening.listener else {
            return;
        };
        let (taken, is_left) = listener.accept(ACCEPT, may_sleep);
        counters.add(Counter::AcceptedByWorker, taken as u64);
        // What is left has no room now, or there was no memory: others may have their turn.
        self.is_waiting.store(i32::from(is_left), Relaxed);
        if is_left {
            self.retry_at.store(now.saturating_add(1), Relaxed);
        }
        if taken == ACCEPT {
            self.set_pending();
        }
    }

    /// Opens the listening socket again that somebody else has closed.
    fn repair(
        self: &Arc<Self>,
        listening: &mut Listening,
        now: u64,
        counters: &Counters,
        may_sleep: &MaySleep,
    ) {
        let Some(workers) = listening.workers.clone() else {
            // The server stops.
            return;
        };
        drop(listening.listener.take());
        match self.open_listener(&listening.place, workers, may_sleep) {
            Ok(listener) => {
                counters.count(Counter::ListenerRepairs);
                listening.listener = Some(listener);
            }
            Err(_) => {
                counters.count(Counter::ListenerRepairsFailed);
                self.retry_at.store(now.saturating_add(1), Relaxed);
                self.set_aborted();
            }
        }
    }
}
