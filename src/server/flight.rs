// SPDX-License-Identifier: GPL-2.0

//! Who waits for what a file system is asked for another one already: so that it is asked once.
//!
//! ```text
//!   join() -> Flight: goes with the job of who is the first --ends, is given up--.
//!         '-> Wait: in the state of each other connection <------wakes-----------'
//! ```
//!
//! Nobody gets what a flight has led to but who began it. The others look for themselves, when they
//! are woken, at what is in memory then: so nothing is answered that was found before the request
//! came, and whoever waits by mistake, because two keys are the same, or share a place in the
//! table, only comes later, or alone.
//!
//! Nobody waits in a row. Who finds nothing in memory when a flight has landed goes alone, and
//! says so: for a moment all do who ask for the same. And a flight is joined for a moment only: who
//! comes later begins the next one, and is told if the file system is silent.

use super::connection::Connection;
use super::storage::{
    Guest,
    Place,
    Refused, //
};
use crate::linux::sock::Sock;
use crate::linux::time;
use kernel::prelude::*;
use kernel::rbtree::{
    RBTree,
    RBTreeNodeReservation, //
};
use kernel::sync::aref::ARef;
use kernel::sync::{
    new_spinlock,
    Arc,
    SpinLock, //
};

/// Flights that there may be at a time, a power of two. With more of them some go alone.
const PLACES: usize = 1024;

/// Places of which a key has one, a power of two.
const ROW: usize = 4;

/// Seconds for which a flight is joined, and for which all go alone where one was in vain.
const MOMENT: u64 = 2;

/// What is asked for; different things may have the same.
pub(super) type Key = u64;

/// The number of a flight, and that of who waits for it.
type Ticket = (u64, u64);

/// A place in the table.
#[derive(Clone)]
struct Slot {
    /// What was asked for here last.
    key: Key,
    /// The number of the flight; 0 if it has landed.
    flight: u64,
    /// The second in which it began, or was found to be in vain.
    since: u64,
    /// Whether it was.
    was_in_vain: bool,
}

/// What the lock of the flights guards.
struct Table {
    slots: KVVec<Slot>,
    waiting: RBTree<Ticket, ARef<Sock<Connection>>>,
    /// The last number.
    last: u64,
}

/// All flights.
#[pin_data]
pub(super) struct Flights {
    #[pin]
    table: SpinLock<Table>,
}

/// The part that somebody has in a flight.
pub(super) enum Part {
    /// The others wait for this one.
    First(Flight),
    /// It waits for another one.
    Other(KBox<Wait>),
    /// None.
    Alone,
}

/// A flight, as the job of who began it has it. Dropping it wakes all who wait for it.
pub(super) struct Flight {
    flights: Arc<Flights>,
    key: Key,
    number: u64,
}

/// Somebody who waits for a flight. Dropping it ends that.
pub(super) struct Wait {
    flights: Arc<Flights>,
    ticket: Ticket,
    /// Of its file system, once it was admitted.
    guest: Option<Guest>,
}

impl Table {
    /// Another number.
    fn number(&mut self) -> u64 {
        self.last = self.last.wrapping_add(1).max(1);
        self.last
    }

    /// The places for `key`.
    fn row(&mut self, key: Key) -> &mut [Slot] {
        // CAST: The upper half, which depends on all of a hash, fits.
        let first = (key >> 32) as usize & (PLACES - ROW);
        self.slots
            .get_mut(first..first.saturating_add(ROW))
            .unwrap_or(&mut [])
    }

    /// Joins the flight for `key`; or begins it, and returns its number as that of who waits, too.
    /// `None` if it is better to go alone, or if there is no room.
    fn join(&mut self, key: Key, now: u64) -> Option<Ticket> {
        let number = self.number();
        let mut free = None;
        for slot in self.row(key) {
            let is_new = now.saturating_sub(slot.since) <= MOMENT;
            if slot.key == key && is_new && slot.flight != 0 {
                return Some((slot.flight, number));
            }
            if slot.key == key && is_new && slot.was_in_vain {
                return None;
            }
            if slot.flight == 0 || !is_new {
                free = Some(slot);
            }
        }
        *free? = Slot {
            key,
            flight: number,
            since: now,
            was_in_vain: false,
        };
        Some((number, number))
    }

    /// Takes note that the last flight for `key` was in vain.
    fn note_in_vain(&mut self, key: Key, now: u64) {
        let mut row = self.row(key).iter_mut();
        if let Some(slot) = row.find(|slot| slot.flight == 0 && slot.key == key) {
            slot.since = now;
            slot.was_in_vain = true;
        }
    }

    /// Takes the flight of that `number` for `key` out: nobody joins it any more.
    fn land(&mut self, key: Key, number: u64) {
        let mut row = self.row(key).iter_mut();
        // Another one may have taken its place.
        if let Some(slot) = row.find(|slot| slot.flight == number) {
            slot.flight = 0;
        }
    }

    /// Takes one of those who wait for the flight of that `number`.
    fn next(&mut self, number: u64) -> Option<ARef<Sock<Connection>>> {
        let first = self.waiting.cursor_lower_bound_mut(&(number, 0))?;
        if first.current().0 .0 != number {
            return None;
        }
        Some(first.remove_current().1.to_key_value().1)
    }
}

impl Flights {
    /// None.
    pub(super) fn new() -> Result<Arc<Self>> {
        let slot = Slot {
            key: 0,
            flight: 0,
            since: 0,
            was_in_vain: false,
        };
        let slots = KVVec::from_elem(slot, PLACES, GFP_KERNEL)?;
        Arc::pin_init(
            pin_init!(Self {
                table <- new_spinlock!(
                    Table {
                        slots,
                        waiting: RBTree::new(),
                        last: 0,
                    },
                    "rust_tux::Flights::table"
                ),
            }),
            GFP_KERNEL,
        )
    }

    /// Lets `sock` have a part in asking `place` for what has that `key`, so that it is woken when
    /// that is there; unless it has one already that `was_in_vain`. `limit` is how many connections
    /// there may be.
    pub(super) fn join(
        self: &Arc<Self>,
        key: Key,
        was_in_vain: bool,
        place: Place,
        sock: &Sock<Connection>,
        limit: u32,
    ) -> Result<Part, Refused> {
        let now = time::monotonic_seconds();
        if was_in_vain {
            self.table.lock().note_in_vain(key, now);
            return Ok(Part::Alone);
        }
        // Without memory it goes alone.
        let Ok(seat) = RBTreeNodeReservation::new(GFP_KERNEL) else {
            return Ok(Part::Alone);
        };
        let mut table = self.table.lock();
        let Some(ticket) = table.join(key, now) else {
            return Ok(Part::Alone);
        };
        let (number, own) = ticket;
        if number != own {
            let node = seat.into_node(ticket, ARef::from(sock));
            // No other has this number: nothing is replaced.
            let _ = table.waiting.insert(node);
        }
        drop(table);
        let flights = self.clone();
        if number == own {
            return Ok(Part::First(Flight {
                flights,
                key,
                number,
            }));
        }
        let wait = Wait {
            flights,
            ticket,
            guest: None,
        };
        let Ok(mut wait) = KBox::new(wait, GFP_KERNEL) else {
            return Ok(Part::Alone);
        };
        let storage = sock.data().worker().shared().storage();
        wait.guest = Some(storage.admit(place, limit)?);
        Ok(Part::Other(wait))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.table.lock().land(self.key, self.number);
        loop {
            let next = self.flights.table.lock().next(self.number);
            let Some(sock) = next else {
                return;
            };
            sock.data().worker().post_late(&sock);
        }
    }
}

impl Wait {
    /// Whether the flight has landed, and it was woken.
    pub(super) fn is_over(&self) -> bool {
        let table = self.flights.table.lock();
        table.waiting.get(&self.ticket).is_none()
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let node = self.flights.table.lock().waiting.remove_node(&self.ticket);
        // What this drops may take locks of its own.
        drop(node);
    }
}
