// SPDX-License-Identifier: GPL-2.0

//! LAYER 2, the kernel: safe Rust for what the `kernel` crate lacks.
//!
//! Each file could be one of `rust/kernel/`, and goes when that grows its equal. There is no
//! policy here: no default, no limit, no word of HTTP. All the module's `unsafe` is here.
//!
//! | C object | file |
//! |---|---|
//! | `struct socket` | `socket.rs` |
//! | a listening `struct sock` | `listener.rs`, `accept_queue.rs` |
//! | an established `struct sock` | `sock.rs`, `stream.rs`, `send.rs`, `handoff.rs` |
//! | the callbacks of both | `callbacks.rs` |
//! | `struct bio_vec`, `struct page_frag_cache` | `fragment.rs` |
//! | `struct sk_buff` on its way to a device | `checksum.rs` |
//! | `struct list_head`, `struct llist_head` | `list.rs`, `llist.rs` |
//! | `struct kmem_cache` | `slab.rs` |
//! | `struct shrinker` | `shrinker.rs` |
//! | `struct task_struct` of a kernel thread | `kthread.rs` |
//! | `struct workqueue_struct` | `workqueue.rs` |
//! | `struct cred` | `cred.rs` |
//! | `struct path`, `struct kstat` | `path.rs` |
//! | `struct file` | `file.rs` |
//! | `struct address_space`, `struct folio` | `page_cache.rs` |
//! | `struct dir_context` | `directory.rs` |
//! | `struct kernel_param` | `param.rs` |
//! | `struct dentry`, `struct inode` | `witness.rs` |
//! | `struct ctl_table` | `sysctl.rs` |
//! | `struct proc_dir_entry` | `proc.rs` |

mod accept_queue;
pub(crate) mod address;
mod bindings;
pub(crate) mod callbacks;
pub(crate) mod checksum;
pub(crate) mod context;
#[cfg(kcov)]
pub(crate) mod coverage;
pub(crate) mod cpu;
pub(crate) mod cred;
pub(crate) mod directory;
pub(crate) mod file;
pub(crate) mod fragment;
pub(crate) mod handoff;
pub(crate) mod kthread;
pub(crate) mod list;
pub(crate) mod listener;
pub(crate) mod llist;
mod page_cache;
pub(crate) mod page_frag;
pub(crate) mod param;
pub(crate) mod path;
#[cfg(planted)]
pub(crate) mod planted;
pub(crate) mod proc;
pub(crate) mod random;
pub(crate) mod send;
pub(crate) mod shrinker;
mod slab;
pub(crate) mod sock;
pub(crate) mod socket;
pub(crate) mod stat;
pub(crate) mod stream;
pub(crate) mod sysctl;
pub(crate) mod time;
pub(crate) mod try_lock;
mod unlinked;
pub(crate) mod witness;
pub(crate) mod workqueue;
