// SPDX-License-Identifier: GPL-2.0

//! What an execution of a model has for itself: its clock, and what it has allocated.
//!
//! Loom runs the threads of a model on one thread of this machine, one at a time. So this needs no
//! lock, and is the same to all of them.

use std::alloc::Layout;
use std::cell::{
    Cell,
    RefCell, //
};
use std::collections::{
    HashMap,
    HashSet, //
};
use std::rc::Rc;

/// The state of the machine that a model runs on.
#[derive(Default)]
pub struct World {
    /// Seconds of both clocks.
    pub now: Cell<u64>,
    /// How often a thread that sleeps for a while may be woken by the clock.
    pub ticks: Cell<u32>,
    /// Whether a thread that sleeps for a tick has to be woken by others.
    pub is_tickless: Cell<bool>,
    /// How often somebody who is no kernel thread has slept.
    pub pauses: Cell<u32>,
    /// Whether counters are loom's.
    pub counts: Cell<bool>,
    /// Whether RCU's readers are waited for.
    pub waits_for_readers: Cell<bool>,
    /// How many readers of RCU each thread is, and what they have found.
    pub readers: RefCell<HashMap<loom::thread::ThreadId, (usize, Vec<usize>)>>,
    /// How many of the allocations in softirq are still to fail.
    pub failures: Cell<u32>,
    /// How many values there are to which references are counted.
    pub arcs: Cell<usize>,
    /// What was allocated and not freed, and is freed without its type.
    pub memory: RefCell<HashMap<usize, Layout>>,
    /// What was freed: kept until the end, so that no address comes twice.
    pub freed: RefCell<HashMap<usize, Layout>>,
    /// What of it was freed without regard to readers of RCU.
    pub gone: RefCell<HashSet<usize>>,
    /// What is dropped at the end.
    pub kept: RefCell<Vec<Box<dyn std::any::Any>>>,
}

thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// The world of this execution.
pub fn world() -> Rc<World> {
    WORLD.with_borrow(|world| world.clone().expect("a model runs"))
}

/// The same, unless the last execution failed, and what it has left is dropped.
pub fn try_world() -> Option<Rc<World>> {
    WORLD
        .try_with(|world| world.try_borrow().ok()?.clone())
        .ok()?
}

/// Begins an execution.
pub fn begin() {
    let world = World::default();
    world.now.set(1000);
    WORLD.set(Some(Rc::new(world)));
}

/// Ends an execution, in which nothing may have been forgotten.
pub fn end() {
    let world = WORLD.take().expect("a model runs");
    let left = world.memory.borrow().len();
    assert_eq!(left, 0, "objects that were never freed");
    let left = world.arcs.get();
    assert_eq!(left, 0, "references that were never dropped");
    for (address, layout) in world.freed.take() {
        // SAFETY: `KBox` allocated it so, and nobody uses it any more.
        unsafe { std::alloc::dealloc(address as *mut u8, layout) };
    }
}

/// Whether a mistake is planted that is called `name`.
pub fn planted(name: &str) -> bool {
    thread_local! {
        static PLANTED: Option<String> = std::env::var("RUST_TUX_PLANTED").ok();
    }
    PLANTED.with(|planted| planted.as_deref() == Some(name))
}
