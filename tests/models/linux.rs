// SPDX-License-Identifier: GPL-2.0

//! Layer 2: the files that lend what contexts share, over a small model of the stack.

#[path = "../../src/linux/accept_queue.rs"]
mod accept_queue;
#[path = "../../src/linux/address.rs"]
pub(crate) mod address;
pub(crate) mod bindings;
#[path = "../../src/linux/callbacks.rs"]
pub(crate) mod callbacks;
pub(crate) mod checksum;
#[path = "../../src/linux/context.rs"]
pub(crate) mod context;
#[path = "../../src/linux/cpu.rs"]
pub(crate) mod cpu;
pub(crate) mod cred;
pub(crate) mod file;
pub(crate) mod fragment;
pub(crate) mod handoff;
#[path = "../../src/linux/kthread.rs"]
pub(crate) mod kthread;
#[path = "../../src/linux/list.rs"]
pub(crate) mod list;
#[path = "../../src/linux/listener.rs"]
pub(crate) mod listener;
#[path = "../../src/linux/llist.rs"]
pub(crate) mod llist;
pub(crate) mod network;
pub(crate) mod page_frag;
pub(crate) mod proc;
pub(crate) mod shrinker;
#[path = "../../src/linux/slab.rs"]
mod slab;
#[path = "../../src/linux/sock.rs"]
pub(crate) mod sock;
pub(crate) mod socket;
pub(crate) mod stream;
#[path = "../../src/linux/time.rs"]
pub(crate) mod time;
#[path = "../../src/linux/try_lock.rs"]
pub(crate) mod try_lock;
pub(crate) mod witness;
#[path = "../../src/linux/workqueue.rs"]
pub(crate) mod workqueue;
