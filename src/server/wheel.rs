// SPDX-License-Identifier: GPL-2.0

//! The deadlines of a worker's connections, to the second.
//!
//! A connection stands in the list of the second in which it must be looked at again. That is its
//! deadline or, if the deadline was moved away or is far, an earlier second: then it is put where
//! it belongs. So a connection that waits costs nothing until its time has come, and moving a
//! deadline away is a store.

use crate::linux::list::Lists;
use crate::linux::sock::Sock;
use crate::server::connection::Connection;
use kernel::prelude::*;
use kernel::sync::aref::ARef;

/// Lists, and seconds, of one turn of the wheel.
const SECONDS: usize = 64;

/// The deadlines. It also is the list of all connections of its worker.
pub(super) struct Wheel {
    lists: Lists<Connection, SECONDS>,
    /// The second that was looked at last.
    now: u64,
    /// How many connections there are.
    count: usize,
}

impl Wheel {
    /// A wheel without connections, at the second `now`.
    pub(super) fn new(now: u64) -> Result<Self> {
        Ok(Self {
            lists: Lists::new()?,
            now,
            count: 0,
        })
    }

    /// Whether there are no connections.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The list for the second `at`.
    fn index(at: u64) -> usize {
        usize::try_from(at & (SECONDS as u64).wrapping_sub(1)).unwrap_or(0)
    }

    /// Puts `sock` where it is looked at again at `deadline`, or earlier.
    pub(super) fn set(&mut self, sock: &ARef<Sock<Connection>>, deadline: u64) {
        let first = self.now.saturating_add(1);
        let last = self.now.saturating_add(SECONDS as u64).saturating_sub(1);
        let at = deadline.min(last).max(first);
        if self.lists.insert(Self::index(at), sock.clone()) {
            self.count = self.count.saturating_add(1);
        }
    }

    /// Whether `sock` is here.
    pub(super) fn has(&self, sock: &Sock<Connection>) -> bool {
        self.lists.has(sock)
    }

    /// Removes `sock`.
    pub(super) fn remove(&mut self, sock: &Sock<Connection>) {
        if self.lists.remove(sock).is_some() {
            self.count = self.count.saturating_sub(1);
        }
    }

    /// Removes a connection that must be looked at, now that it is the second `now`.
    pub(super) fn expire(&mut self, now: u64) -> Option<ARef<Sock<Connection>>> {
        // After a long sleep one turn of the wheel has every connection.
        self.now = self.now.max(now.saturating_sub(SECONDS as u64));
        loop {
            if let Some(sock) = self.lists.pop(Self::index(self.now)) {
                self.count = self.count.saturating_sub(1);
                return Some(sock);
            }
            if self.now >= now {
                return None;
            }
            self.now = self.now.saturating_add(1);
        }
    }

    /// Removes any connection.
    pub(super) fn pop(&mut self) -> Option<ARef<Sock<Connection>>> {
        let sock = (0..SECONDS).find_map(|index| self.lists.pop(index));
        self.count = self.count.saturating_sub(usize::from(sock.is_some()));
        sock
    }
}
