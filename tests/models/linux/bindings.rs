// SPDX-License-Identifier: GPL-2.0

//! What C offers, as far as the models need it.
//!
//! A lock is loom's, and what several contexts read and write without one is loom's atomic; what a
//! lock guards is an `UnsafeCell` of loom's, which tells who comes without it.

#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals)]

use core::ffi::{
    c_char,
    c_int,
    c_void, //
};
use kernel::alloc::Flags;
use kernel::world::world;
use loom::sync::atomic::{
    fence,
    AtomicUsize,
    Ordering::{
        AcqRel,
        Acquire,
        Relaxed,
        Release,
        SeqCst, //
    }, //
};
use loom::sync::{
    Condvar,
    Mutex,
    MutexGuard, //
};
use std::alloc::Layout;
use std::cell::{
    Cell,
    RefCell, //
};
use std::ops::Deref;
use std::ptr::{
    null_mut,
    NonNull, //
};

pub(crate) use kernel::task::{
    kthread_create,
    kthread_should_stop,
    kthread_stop,
    schedule_timeout,
    set_current_state_idle,
    set_current_state_running,
    Task as task_struct, //
};

pub(crate) const TCP_ESTABLISHED: u32 = 1;
pub(crate) const TCP_CLOSE: u32 = 7;
pub(crate) const TCP_LISTEN: u32 = 10;
pub(crate) const GFP_KERNEL: u32 = 1;
pub(crate) const GFP_ATOMIC: u32 = 2;
pub(crate) const __GFP_NOWARN: u32 = 4;
pub(crate) const socket_state_SS_CONNECTED: u32 = 3;
pub(crate) const sock_type_SOCK_STREAM: u32 = 1;

pub(crate) type gfp_t = u32;

/// A callback.
pub(crate) type Callback = Option<unsafe extern "C" fn(*mut sock)>;

/// What comes in for a sock whose owner is another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segment {
    Octet,
    Fin,
    Reset,
}

/// What has come in: behind the socket's lock.
#[derive(Default)]
pub(crate) struct Received {
    pub(crate) unread: usize,
    pub(crate) is_ended: bool,
}

/// A TCP sock.
pub(crate) struct sock {
    pub(crate) sk_state_change: Callback,
    pub(crate) sk_data_ready: Callback,
    pub(crate) sk_write_space: Callback,
    pub(crate) sk_error_report: Callback,
    pub(crate) sk_allocation: u32,
    pub(crate) sk_use_task_frag: bool,
    pub(crate) user_data: AtomicUsize,
    pub(crate) slock: Mutex<()>,
    pub(crate) released: Condvar,
    pub(crate) is_owned: Cell<bool>,
    pub(crate) backlog: RefCell<Vec<Segment>>,
    pub(crate) received: loom::cell::UnsafeCell<Received>,
    pub(crate) state: Cell<u32>,
    refs: Cell<i32>,
}

/// As C has it.
#[repr(C)]
pub(crate) struct inet_connection_sock {
    pub(crate) icsk_inet: sock,
    pub(crate) icsk_accept_queue: request_sock_queue,
}

/// An accept queue.
pub(crate) struct request_sock_queue {
    lock: Mutex<()>,
    guard: Cell<Option<MutexGuard<'static, ()>>>,
    pub(crate) rskq_accept_head: *mut request_sock,
    pub(crate) rskq_accept_tail: *mut request_sock,
    /// Whether there is a head, for who looks without the lock.
    is_filled: AtomicUsize,
    /// Handshakes that are under way. (One that is a single step isn't.)
    handshakes: AtomicUsize,
}

/// A connection on an accept queue.
pub(crate) struct request_sock {
    pub(crate) sk: *mut sock,
    pub(crate) dl_next: *mut request_sock,
    pub(crate) rsk_ops: *const request_sock_ops,
    pub(crate) saved_syn: *mut c_void,
}

pub(crate) struct request_sock_ops {
    pub(crate) destructor: Option<unsafe extern "C" fn(*mut request_sock)>,
    pub(crate) slab: *mut c_void,
}

#[derive(Default)]
pub(crate) struct wait_queue_head;

#[derive(Default)]
pub(crate) struct socket_wq {
    pub(crate) wait: wait_queue_head,
}

pub(crate) struct socket {
    pub(crate) state: u32,
    pub(crate) type_: i16,
    pub(crate) sk: *mut sock,
    pub(crate) wq: socket_wq,
}

impl Default for socket {
    fn default() -> Self {
        Self {
            state: 0,
            type_: 0,
            sk: null_mut(),
            wq: socket_wq::default(),
        }
    }
}

#[derive(Default)]
pub(crate) struct kvfree_rcu_head;

/// A callback that does nothing.
unsafe extern "C" fn nothing(_: *mut sock) {}

impl sock {
    /// Makes a sock with one reference, that of the caller.
    pub(crate) fn new(state: u32) -> *mut sock {
        let sk = Box::new(inet_connection_sock {
            icsk_inet: sock {
                sk_state_change: Some(nothing),
                sk_data_ready: Some(nothing),
                sk_write_space: Some(nothing),
                sk_error_report: Some(nothing),
                sk_allocation: GFP_KERNEL,
                sk_use_task_frag: true,
                user_data: AtomicUsize::new(0),
                slock: Mutex::new(()),
                released: Condvar::new(),
                is_owned: Cell::new(false),
                backlog: RefCell::default(),
                received: loom::cell::UnsafeCell::new(Received::default()),
                state: Cell::new(state),
                refs: Cell::new(1),
            },
            icsk_accept_queue: request_sock_queue {
                lock: Mutex::new(()),
                guard: Cell::new(None),
                rskq_accept_head: null_mut(),
                rskq_accept_tail: null_mut(),
                is_filled: AtomicUsize::new(0),
                handshakes: AtomicUsize::new(0),
            },
        });
        let sk = Box::into_raw(sk);
        world().kept.borrow_mut().push(Box::new(Kept(sk)));
        sk.cast()
    }

    /// Whether nobody has a reference.
    pub(crate) fn is_gone(&self) -> bool {
        self.refs.get() == 0
    }

    /// Whether there is one reference.
    pub(crate) fn is_last(&self) -> bool {
        self.refs.get() == 1
    }

    fn assert_alive(&self) {
        assert!(self.refs.get() > 0, "a sock is used that was freed");
    }

    /// The slock.
    pub(crate) fn bh_lock(&self) -> MutexGuard<'_, ()> {
        self.assert_alive();
        self.slock.lock().unwrap()
    }
}

/// A sock, which is freed at the end of the execution.
struct Kept(*mut inet_connection_sock);

impl Drop for Kept {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // SAFETY: `sock::new()` made the box.
        let sk = unsafe { Box::from_raw(self.0) };
        assert!(sk.icsk_inet.is_gone(), "a sock that was never freed");
    }
}

pub(crate) unsafe fn inet_csk_enter_pingpong_mode(_: *mut sock) {}

pub(crate) unsafe fn sock_hold(sk: *mut sock) {
    // SAFETY: The world keeps socks.
    let sk = unsafe { &*sk };
    sk.assert_alive();
    sk.refs.set(sk.refs.get() + 1);
}

pub(crate) unsafe fn sock_put(sk: *mut sock) {
    // SAFETY: As above.
    let sk = unsafe { &*sk };
    sk.assert_alive();
    sk.refs.set(sk.refs.get() - 1);
}

pub(crate) unsafe fn lock_sock(sk: *mut sock) {
    // SAFETY: As above.
    let sk = unsafe { &*sk };
    let mut guard = sk.bh_lock();
    while sk.is_owned.get() {
        guard = sk.released.wait(guard).unwrap();
    }
    sk.is_owned.set(true);
    drop(guard);
}

pub(crate) unsafe fn release_sock(pointer: *mut sock) {
    // SAFETY: As above.
    let sk = unsafe { &*pointer };
    assert!(sk.is_owned.get(), "a sock is released that nobody owned");
    loop {
        let guard = sk.bh_lock();
        let backlog = sk.backlog.take();
        if backlog.is_empty() {
            sk.is_owned.set(false);
            sk.released.notify_one();
            drop(guard);
            return;
        }
        drop(guard);
        for segment in backlog {
            // SAFETY: The sock is owned.
            unsafe { super::network::receive(pointer, segment) };
        }
    }
}

/// `__sk_flush_backlog()`, as a send does it.
pub(crate) unsafe fn sk_flush_backlog(pointer: *mut sock) {
    // SAFETY: As above.
    let sk = unsafe { &*pointer };
    let guard = sk.bh_lock();
    let backlog = sk.backlog.take();
    drop(guard);
    for segment in backlog {
        // SAFETY: The sock is owned.
        unsafe { super::network::receive(pointer, segment) };
    }
}

pub(crate) unsafe fn sock_owned_by_user_nocheck(sk: *const sock) -> bool {
    // SAFETY: As above.
    unsafe { (*sk).is_owned.get() }
}

// The callbacks are only changed with the sock locked, and by the model's stack only read so.
pub(crate) unsafe fn sk_callback_lock(_: *mut sock) {}
pub(crate) unsafe fn sk_callback_unlock(_: *mut sock) {}

pub(crate) unsafe fn rcu_dereference_sk_user_data(sk: *const sock) -> *mut c_void {
    // SAFETY: As above.
    let data = unsafe { (*sk).user_data.load(Acquire) } as *mut c_void;
    kernel::alloc::assert_alive(data.cast());
    kernel::sync::rcu::found(data.cast());
    data
}

pub(crate) unsafe fn rcu_assign_sk_user_data(sk: *mut sock, data: *mut c_void) {
    // SAFETY: As above.
    unsafe { (*sk).user_data.store(data as usize, Release) };
}

pub(crate) unsafe fn sk_set_bare_socket(_: *mut sock, _: *mut socket) {}
pub(crate) unsafe fn sk_set_linger_zero(_: *mut sock) {}
pub(crate) unsafe fn sock_clear_nospace(_: *mut socket) {}
pub(crate) unsafe fn init_waitqueue_head(_: *mut wait_queue_head) {}

pub(crate) unsafe fn sk_stream_is_writeable(_: *const sock) -> bool {
    true
}

pub(crate) unsafe fn inet_sk_state_load(sk: *const sock) -> c_int {
    // SAFETY: As above.
    unsafe { (*sk).state.get() as c_int }
}

/// `tcp_close()`, by which the caller's reference goes.
pub(crate) unsafe fn sk_prot_close(sk: *mut sock) {
    // SAFETY: The caller has a reference.
    unsafe {
        lock_sock(sk);
        super::network::end_listening(sk);
        (*sk).state.set(TCP_CLOSE);
        assert_eq!(
            (*sk).user_data.load(Acquire),
            0,
            "a sock is closed that has our callbacks"
        );
        release_sock(sk);
        sock_put(sk);
    }
}

pub(crate) unsafe fn sk_prot_unhash(sk: *mut sock) {
    super::network::forget_listener(sk);
}

/// Where handshakes with `listener` are counted.
unsafe fn handshakes<'a>(listener: *const sock) -> &'a AtomicUsize {
    let icsk: *const inet_connection_sock = listener.cast();
    // SAFETY: The world keeps socks.
    unsafe { &(*icsk).icsk_accept_queue.handshakes }
}

pub(crate) unsafe fn inet_csk_reqsk_queue_len(listener: *const sock) -> c_int {
    // SAFETY: As above.
    unsafe { handshakes(listener).load(Relaxed) as c_int }
}

pub(crate) unsafe fn reqsk_queue_added(listener: *const sock) {
    // SAFETY: As above.
    unsafe { handshakes(listener).fetch_add(1, Relaxed) };
}

pub(crate) unsafe fn reqsk_queue_removed(listener: *const sock) {
    // SAFETY: As above.
    unsafe { handshakes(listener).fetch_sub(1, Relaxed) };
}

pub(crate) unsafe fn signal_pending() -> bool {
    false
}

/// A slab cache.
pub(crate) struct kmem_cache {
    layout: Layout,
}

pub(crate) unsafe fn kmem_cache_create(_: *const c_char, size: u32, align: u32) -> *mut kmem_cache {
    let layout = Layout::from_size_align(size as usize, align as usize).expect("a layout");
    Box::into_raw(Box::new(kmem_cache { layout }))
}

pub(crate) unsafe fn kmem_cache_alloc(cache: *mut kmem_cache, flags: gfp_t) -> *mut c_void {
    // SAFETY: The cache is alive.
    let memory = kernel::alloc::allocate(unsafe { (*cache).layout }, Flags(flags));
    memory.map_or(null_mut(), |memory| memory.as_ptr().cast())
}

/// The end of an execution sees what is left.
pub(crate) unsafe fn kmem_cache_destroy(cache: *mut kmem_cache) {
    // SAFETY: `kmem_cache_create()` made the box.
    drop(unsafe { Box::from_raw(cache) });
}

pub(crate) unsafe fn kvfree_call_rcu(_: *mut kvfree_rcu_head, object: *mut c_void) {
    kernel::alloc::free_rcu(object.cast());
}

pub(crate) unsafe fn synchronize_net() {
    kernel::sync::rcu::synchronize();
}

pub(crate) unsafe fn reqsk_queue_lock(queue: *mut request_sock_queue) {
    // SAFETY: The queue is part of a sock, which the world keeps.
    let queue = unsafe { &*queue };
    let guard = queue.lock.lock().unwrap();
    queue.guard.set(Some(guard));
}

pub(crate) unsafe fn reqsk_queue_unlock(queue: *mut request_sock_queue) {
    // SAFETY: As above.
    let queue = unsafe { &*queue };
    let is_filled = usize::from(!queue.rskq_accept_head.is_null());
    // Who looks without the lock sees this store, or one before.
    queue.is_filled.store(is_filled, Relaxed);
    drop(queue.guard.take());
}

pub(crate) unsafe fn reqsk_queue_empty(queue: *const request_sock_queue) -> bool {
    // SAFETY: As above.
    unsafe { (*queue).is_filled.load(Relaxed) == 0 }
}

pub(crate) unsafe fn reqsk_queue_remove(
    queue: *mut request_sock_queue,
    listener: *mut sock,
) -> *mut request_sock {
    // SAFETY: As above; what is on the queue is alive.
    unsafe {
        reqsk_queue_lock(queue);
        let request = (*queue).rskq_accept_head;
        if !request.is_null() {
            sk_acceptq_removed(listener);
            (*queue).rskq_accept_head = (*request).dl_next;
            if (*queue).rskq_accept_head.is_null() {
                (*queue).rskq_accept_tail = null_mut();
            }
        }
        reqsk_queue_unlock(queue);
        request
    }
}

/// Puts `child` on the queue, with the reference of the caller. Only while `listener` listens.
pub(crate) unsafe fn reqsk_queue_add(listener: *mut sock, child: *mut sock) -> bool {
    let icsk: *mut inet_connection_sock = listener.cast();
    // SAFETY: The world keeps socks.
    unsafe {
        let queue = &raw mut (*icsk).icsk_accept_queue;
        reqsk_queue_lock(queue);
        let is_listening = (*listener).state.get() == TCP_LISTEN;
        if is_listening {
            let request = Box::into_raw(Box::new(request_sock {
                sk: child,
                dl_next: null_mut(),
                rsk_ops: &OPERATIONS,
                saved_syn: null_mut(),
            }));
            if (*queue).rskq_accept_head.is_null() {
                (*queue).rskq_accept_head = request;
            } else {
                (*(*queue).rskq_accept_tail).dl_next = request;
            }
            (*queue).rskq_accept_tail = request;
        }
        reqsk_queue_unlock(queue);
        is_listening
    }
}

// SAFETY: Nobody writes to it.
unsafe impl Sync for request_sock_ops {}

static OPERATIONS: request_sock_ops = request_sock_ops {
    destructor: None,
    slab: null_mut(),
};

pub(crate) unsafe fn sk_acceptq_removed(_: *mut sock) {}

pub(crate) unsafe fn reqsk_dec_and_test(_: *mut request_sock) -> bool {
    true
}

pub(crate) unsafe fn reqsk_listener(_: *mut request_sock) -> *mut sock {
    null_mut()
}

pub(crate) unsafe fn kfree(_: *mut c_void) {}

pub(crate) unsafe fn kmem_cache_free(_: *mut c_void, request: *mut c_void) {
    // SAFETY: `reqsk_queue_add()` made the box.
    drop(unsafe { Box::from_raw(request.cast::<request_sock>()) });
}

pub(crate) unsafe fn kthread_bind(_: *mut task_struct, _: u32) {}

pub(crate) unsafe fn cond_resched() -> c_int {
    0
}

pub(crate) unsafe fn cpu_online(_: u32) -> bool {
    true
}

pub(crate) unsafe fn ktime_get_seconds() -> i64 {
    world().now.get() as i64
}

pub(crate) unsafe fn ktime_get_real_seconds() -> i64 {
    world().now.get() as i64
}

/// A work queue.
pub(crate) type workqueue_struct = kernel::workqueue::Queue;

pub(crate) unsafe fn alloc_workqueue_unbound(
    _: *const core::ffi::c_char,
    _: c_int,
) -> *mut workqueue_struct {
    Box::into_raw(Box::default())
}

pub(crate) unsafe fn destroy_workqueue(queue: *mut workqueue_struct) {
    // SAFETY: `alloc_workqueue_unbound()` made the box.
    let queue = unsafe { Box::from_raw(queue) };
    queue.drain();
}

/// A node of a list of one thread.
pub(crate) struct list_head {
    pub(crate) next: *mut list_head,
    pub(crate) prev: *mut list_head,
}

impl Default for list_head {
    fn default() -> Self {
        Self {
            next: null_mut(),
            prev: null_mut(),
        }
    }
}

pub(crate) unsafe fn INIT_LIST_HEAD(head: *mut list_head) {
    // SAFETY: The caller's promise.
    unsafe {
        (*head).next = head;
        (*head).prev = head;
    }
}

pub(crate) unsafe fn list_add_tail(node: *mut list_head, head: *mut list_head) {
    // SAFETY: The caller's promise.
    unsafe {
        assert!((*node).next.is_null(), "a node is added twice");
        let previous = (*head).prev;
        (*node).next = head;
        (*node).prev = previous;
        (*previous).next = node;
        (*head).prev = node;
    }
}

pub(crate) unsafe fn list_del(node: *mut list_head) {
    // SAFETY: The caller's promise.
    unsafe {
        assert!(!(*node).next.is_null(), "a node is removed twice");
        (*(*node).prev).next = (*node).next;
        (*(*node).next).prev = (*node).prev;
        *node = list_head::default();
    }
}

/// The link of a node, which loom watches: who has taken a chain reads it, who adds writes it.
pub(crate) struct Next {
    pub(crate) next: *mut llist_node,
}

/// A node of a lock-free list.
pub(crate) struct llist_node {
    link: loom::cell::UnsafeCell<Next>,
}

impl Default for llist_node {
    fn default() -> Self {
        Self {
            link: loom::cell::UnsafeCell::new(Next { next: null_mut() }),
        }
    }
}

impl Deref for llist_node {
    type Target = Next;

    fn deref(&self) -> &Next {
        // SAFETY: Loom fails if somebody writes meanwhile.
        self.link.with(|next| unsafe { &*next })
    }
}

impl llist_node {
    fn set(&self, next: *mut llist_node) {
        // SAFETY: Loom fails if somebody reads or writes meanwhile.
        self.link.with_mut(|link| unsafe { (*link).next = next });
    }
}

/// A lock-free list.
pub(crate) struct llist_head {
    first: AtomicUsize,
}

impl Default for llist_head {
    fn default() -> Self {
        Self {
            first: AtomicUsize::new(0),
        }
    }
}

pub(crate) unsafe fn llist_add(node: *mut llist_node, head: *mut llist_head) -> bool {
    // SAFETY: The caller's promise.
    let (node, head) = unsafe { (&*node, &*head) };
    let mut first = head.first.load(Relaxed);
    loop {
        node.set(first as *mut llist_node);
        let new = std::ptr::from_ref(node) as usize;
        // try_cmpxchg() is fully ordered.
        fence(SeqCst);
        match head.first.compare_exchange(first, new, AcqRel, Relaxed) {
            Ok(_) => {
                fence(SeqCst);
                return first == 0;
            }
            Err(other) => first = other,
        }
    }
}

pub(crate) unsafe fn llist_del_all(head: *mut llist_head) -> *mut llist_node {
    // SAFETY: The caller's promise.
    unsafe { (*head).first.swap(0, AcqRel) as *mut llist_node }
}

pub(crate) unsafe fn llist_empty(head: *const llist_head) -> bool {
    // SAFETY: The caller's promise.
    unsafe { (*head).first.load(Relaxed) == 0 }
}

pub(crate) unsafe fn llist_reverse_order(mut chain: *mut llist_node) -> *mut llist_node {
    let mut reversed = null_mut();
    while let Some(node) = NonNull::new(chain) {
        // SAFETY: The chain is the caller's.
        let node = unsafe { node.as_ref() };
        chain = node.next;
        node.set(reversed);
        reversed = std::ptr::from_ref(node).cast_mut();
    }
    reversed
}
