// SPDX-License-Identifier: GPL-2.0

//! What a model is told of what the server does, and what its requests ask for.

use loom::sync::{
    Condvar,
    Mutex, //
};
use std::cell::Cell;

/// What has happened.
#[derive(Clone, Copy, Default)]
pub(crate) struct Outcome {
    /// Requests that were answered; a request is an octet.
    pub(crate) answered: u32,
    /// Connections that a worker has looked at.
    pub(crate) accepted: u32,
    /// Connections that it has ended.
    pub(crate) ended: u32,
    /// Configurations that were dropped.
    pub(crate) dropped: u32,
    /// Jobs that connections have asked for.
    pub(crate) asked: u32,
    /// Connections that wait for a job of another one.
    pub(crate) waiting: u32,
    /// Whether look-ups go on that hang.
    pub(crate) goes_on: bool,
    /// Look-ups that have begun.
    pub(crate) begun: u32,
    /// Files that were closed.
    pub(crate) closed: u32,
    /// Listening sockets.
    pub(crate) listening: u32,
}

struct Shared {
    outcome: Mutex<Outcome>,
    changed: Condvar,
}

loom::lazy_static! {
    static ref OUTCOME: Shared = Shared {
        outcome: Mutex::new(Outcome::default()),
        changed: Condvar::new(),
    };
}

thread_local! {
    /// Whether requests are for files that must be waited for.
    static ASKS_FILE: Cell<bool> = const { Cell::new(false) };
    /// Whether these hang.
    static HANGS: Cell<bool> = const { Cell::new(false) };
    /// Whether all ask for the same.
    static SHARES: Cell<bool> = const { Cell::new(false) };
    /// Whether these are of another file system than it seems.
    static WANDERS: Cell<bool> = const { Cell::new(false) };
}

/// Forgets the last execution.
pub(crate) fn begin() {
    ASKS_FILE.set(false);
    HANGS.set(false);
    SHARES.set(false);
    WANDERS.set(false);
}

/// Lets requests be for files that must be waited for.
pub(crate) fn set_asks_file() {
    ASKS_FILE.set(true);
}

pub(super) fn asks_file() -> bool {
    ASKS_FILE.get()
}

/// Lets requests be for files that can't be had before the model says so.
pub(crate) fn set_hangs() {
    ASKS_FILE.set(true);
    HANGS.set(true);
}

pub(super) fn hangs() -> bool {
    HANGS.get()
}

/// Lets all requests be for the same file, that must be waited for.
pub(crate) fn set_shares() {
    ASKS_FILE.set(true);
    SHARES.set(true);
}

pub(super) fn shares() -> bool {
    SHARES.get()
}

/// Lets requests be for files of another file system than it seems.
pub(crate) fn set_wanders() {
    ASKS_FILE.set(true);
    WANDERS.set(true);
}

pub(super) fn wanders() -> bool {
    WANDERS.get()
}

/// Says what has happened.
pub(crate) fn tell(change: impl FnOnce(&mut Outcome)) {
    change(&mut OUTCOME.outcome.lock().unwrap());
    OUTCOME.changed.notify_all();
}

/// Waits until `is_enough`. If that never is, loom finds that nobody can go on.
pub(crate) fn wait(is_enough: impl Fn(&Outcome) -> bool) {
    let mut outcome = OUTCOME.outcome.lock().unwrap();
    while !is_enough(&outcome) {
        outcome = OUTCOME.changed.wait(outcome).unwrap();
    }
}
