// SPDX-License-Identifier: GPL-2.0
/*
 * Functions for what C has as static inline functions or macros only. No logic
 * stands here: each body is the call of the one thing it is named after.
 */
#include "bindings_helper.h"

/* net/sock.h, net/inet_connection_sock.h, net/request_sock.h, net/tcp.h */

void tux_helper_lock_sock(struct sock *sk)
{
	lock_sock(sk);
}

bool tux_helper_sock_owned_by_user_nocheck(const struct sock *sk)
{
	return sock_owned_by_user_nocheck(sk);
}

void tux_helper_sk_callback_lock(struct sock *sk)
{
	write_lock_bh(&sk->sk_callback_lock);
}

void tux_helper_sk_callback_unlock(struct sock *sk)
{
	write_unlock_bh(&sk->sk_callback_lock);
}

void *tux_helper_rcu_dereference_sk_user_data(const struct sock *sk)
{
	return rcu_dereference_sk_user_data(sk);
}

void tux_helper_rcu_assign_sk_user_data(struct sock *sk, void *data)
{
	rcu_assign_sk_user_data(sk, data);
}

/* No inode stands behind @sock: sk_set_socket() and sock_graft() would read it. */
void tux_helper_sk_set_bare_socket(struct sock *sk, struct socket *sock)
{
	WRITE_ONCE(sk->sk_socket, sock);
	rcu_assign_pointer(sk->sk_wq, &sock->wq);
}

void tux_helper_sk_set_no_socket(struct sock *sk)
{
	WRITE_ONCE(sk->sk_socket, NULL);
	RCU_INIT_POINTER(sk->sk_wq, NULL);
}

void tux_helper_bh_lock_sock(struct sock *sk)
{
	local_bh_disable();
	bh_lock_sock(sk);
}

void tux_helper_bh_unlock_sock(struct sock *sk)
{
	bh_unlock_sock(sk);
	local_bh_enable();
}

struct net *tux_helper_sock_net(const struct sock *sk)
{
	return sock_net(sk);
}

bool tux_helper_sock_hold_not_zero(struct sock *sk)
{
	return refcount_inc_not_zero(&sk->sk_refcnt);
}

bool tux_helper_sk_acceptq_is_full(const struct sock *sk)
{
	return sk_acceptq_is_full(sk);
}

void tux_helper_sk_acceptq_added(struct sock *sk)
{
	sk_acceptq_added(sk);
}

/* Readers of a freed request that look it up without a lock may take it now. */
void tux_helper_reqsk_set_one(struct request_sock *req)
{
	smp_wmb();
	refcount_set(&req->rsk_refcnt, 1);
}

void tux_helper_sk_tx_queue_clear(struct sock *sk)
{
	sk_tx_queue_clear(sk);
}

bool tux_helper_sock_flag(const struct sock *sk, enum sock_flags flag)
{
	return sock_flag(sk, flag);
}

void tux_helper_sock_valbool_flag(struct sock *sk, enum sock_flags flag, bool value)
{
	sock_valbool_flag(sk, flag, value);
}

void tux_helper_sk_prot_keepalive(struct sock *sk, int value)
{
	sk->sk_prot->keepalive(sk, value);
}

int tux_helper_sk_prot_addrform_inet(struct sock *sk)
{
	int family = PF_INET;

	return sk->sk_prot->setsockopt(sk, SOL_IPV6, IPV6_ADDRFORM, KERNEL_SOCKPTR(&family),
				       sizeof(family));
}

void tux_helper_sk_set_nospace(struct sock *sk)
{
	set_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
}

void tux_helper_sk_prot_close(struct sock *sk)
{
	sk->sk_prot->close(sk, 0);
}

void tux_helper_sk_prot_shutdown(struct sock *sk, int how)
{
	sk->sk_prot->shutdown(sk, how);
}

void tux_helper_sk_prot_unhash(struct sock *sk)
{
	sk->sk_prot->unhash(sk);
}

long tux_helper_sk_memory_allocated(const struct sock *sk)
{
	return sk_memory_allocated(sk);
}

long tux_helper_sk_prot_mem_limits(const struct sock *sk, int index)
{
	return sk_prot_mem_limits(sk, index);
}

int tux_helper_inet_csk_reqsk_queue_len(const struct sock *sk)
{
	return inet_csk_reqsk_queue_len(sk);
}

void tux_helper_sk_set_linger_zero(struct sock *sk)
{
	WRITE_ONCE(sk->sk_lingertime, 0);
	sock_set_flag(sk, SOCK_LINGER);
}

int tux_helper_sock_set_int_option(struct socket *sock, int level, int name, int value)
{
	return sock->ops->setsockopt(sock, level, name, KERNEL_SOCKPTR(&value), sizeof(value));
}

int tux_helper_sock_somaxconn(const struct sock *sk)
{
	return READ_ONCE(sock_net(sk)->core.sysctl_somaxconn);
}

bool tux_helper_reqsk_queue_empty(const struct request_sock_queue *queue)
{
	return reqsk_queue_empty(queue);
}

struct request_sock *tux_helper_reqsk_queue_remove(struct request_sock_queue *queue,
						   struct sock *listener)
{
	return reqsk_queue_remove(queue, listener);
}

int tux_helper_inet_sk_state_load(const struct sock *sk)
{
	return inet_sk_state_load(sk);
}

void tux_helper_inet_csk_enter_pingpong_mode(struct sock *sk)
{
	inet_csk_enter_pingpong_mode(sk);
}

void tux_helper_sock_hold(struct sock *sk)
{
	sock_hold(sk);
}

void tux_helper_sock_set_urginline(struct sock *sk)
{
	sock_set_flag(sk, SOCK_URGINLINE);
}

void tux_helper_sk_acceptq_removed(struct sock *sk)
{
	sk_acceptq_removed(sk);
}

void tux_helper_reqsk_queue_lock(struct request_sock_queue *queue)
{
	spin_lock_bh(&queue->rskq_lock);
}

void tux_helper_reqsk_queue_lock_nested(struct request_sock_queue *queue)
{
	local_bh_disable();
	spin_lock_nested(&queue->rskq_lock, SINGLE_DEPTH_NESTING);
}

void tux_helper_reqsk_queue_unlock(struct request_sock_queue *queue)
{
	spin_unlock_bh(&queue->rskq_lock);
}

bool tux_helper_reqsk_dec_and_test(struct request_sock *req)
{
	return refcount_dec_and_test(&req->rsk_refcnt);
}

struct sock *tux_helper_reqsk_listener(struct request_sock *req)
{
	return req->rsk_listener;
}

void tux_helper_sock_put(struct sock *sk)
{
	sock_put(sk);
}

struct sk_buff *tux_helper_tcp_send_head(const struct sock *sk)
{
	return tcp_send_head(sk);
}

int tux_helper_tcp_inq(struct sock *sk)
{
	return tcp_inq(sk);
}

bool tux_helper_sk_stream_is_writeable(const struct sock *sk)
{
	return sk_stream_is_writeable(sk);
}

void tux_helper_sock_clear_nospace(struct socket *sock)
{
	clear_bit(SOCK_NOSPACE, &sock->flags);
}

void tux_helper_init_waitqueue_head(struct wait_queue_head *head)
{
	init_waitqueue_head(head);
}

void tux_helper_sk_clear_reuseport(struct sock *sk)
{
	lock_sock(sk);
	sk->sk_reuseport = 0;
	release_sock(sk);
}

void tux_helper_sk_set_reuse(struct sock *sk, unsigned char reuse)
{
	lock_sock(sk);
	sk->sk_reuse = reuse;
	release_sock(sk);
}

void tux_helper_sk_set_fastopen_max_qlen(struct sock *sk, int max_qlen)
{
	WRITE_ONCE(inet_csk(sk)->icsk_accept_queue.fastopenq.max_qlen, max_qlen);
}

/* linux/skbuff.h, linux/mm.h, linux/page_frag_cache.h */

unsigned int tux_helper_skb_headlen(const struct sk_buff *skb)
{
	return skb_headlen(skb);
}

unsigned int tux_helper_skb_nr_frags(const struct sk_buff *skb)
{
	return skb_shinfo(skb)->nr_frags;
}

bool tux_helper_skb_has_frag_list(const struct sk_buff *skb)
{
	return skb_has_frag_list(skb);
}

void *tux_helper_skb_frag_address(const struct sk_buff *skb)
{
	return skb_frag_address(&skb_shinfo(skb)->frags[0]);
}

unsigned int tux_helper_skb_frag_size(const struct sk_buff *skb)
{
	return skb_frag_size(&skb_shinfo(skb)->frags[0]);
}

struct sk_buff *tux_helper_skb_peek_next(struct sk_buff *skb, const struct sk_buff_head *list)
{
	return skb_peek_next(skb, list);
}

bool tux_helper_skb_frags_readable(const struct sk_buff *skb)
{
	return skb_frags_readable(skb);
}

bool tux_helper_skb_has_shared_frag(const struct sk_buff *skb)
{
	return skb_has_shared_frag(skb);
}

struct skb_shared_info *tux_helper_skb_shinfo(const struct sk_buff *skb)
{
	return skb_shinfo(skb);
}

size_t tux_helper_max_skb_frags(void)
{
	return READ_ONCE(net_hotdata.sysctl_max_skb_frags);
}

bool tux_helper_sk_wmem_schedule(struct sock *sk, int size)
{
	return sk_wmem_schedule(sk, size);
}

u32 tux_helper_tcp_skb_seq(const struct sk_buff *skb)
{
	return TCP_SKB_CB(skb)->seq;
}

unsigned int tux_helper_skb_ip_summed(const struct sk_buff *skb)
{
	return skb->ip_summed;
}

void tux_helper_skb_set_checksum_none(struct sk_buff *skb)
{
	skb->ip_summed = CHECKSUM_NONE;
}

struct sk_buff *tux_helper_skb_next(const struct sk_buff *skb)
{
	return skb->next;
}

bool tux_helper_skb_encapsulation(const struct sk_buff *skb)
{
	return skb->encapsulation;
}

int tux_helper_secpath_exists(const struct sk_buff *skb)
{
	return secpath_exists(skb);
}

int tux_helper_skb_checksum_start_offset(const struct sk_buff *skb)
{
	return skb_checksum_start_offset(skb);
}

unsigned int tux_helper_skb_csum_offset(const struct sk_buff *skb)
{
	return skb->csum_offset;
}

void *tux_helper_skb_frag_address_of(const skb_frag_t *frag)
{
	return skb_frag_address(frag);
}

struct page *tux_helper_virt_to_page(const void *address)
{
	return virt_to_page(address);
}

unsigned long tux_helper_offset_in_page(const void *address)
{
	return offset_in_page(address);
}

void tux_helper_put_page(struct page *page)
{
	put_page(page);
}

void *tux_helper_page_frag_alloc(struct page_frag_cache *cache, unsigned int size, gfp_t gfp)
{
	return page_frag_alloc(cache, size, gfp);
}

void tux_helper_page_frag_cache_init(struct page_frag_cache *cache)
{
	page_frag_cache_init(cache);
}

unsigned long tux_helper_page_private(const struct page *page)
{
	return page_private(page);
}

void tux_helper_set_page_private(struct page *page, unsigned long number)
{
	set_page_private(page, number);
}

/* net/dst.h, net/sock.h */

struct dst_entry *tux_helper___sk_dst_get(const struct sock *sk)
{
	return __sk_dst_get(sk);
}

struct net_device *tux_helper_dst_dev_rcu(const struct dst_entry *dst)
{
	return dst_dev_rcu(dst);
}

/* linux/slab.h */

struct kmem_cache *tux_helper_kmem_cache_create(const char *name, unsigned int size,
						unsigned int align)
{
	return kmem_cache_create(name, size, align, SLAB_NO_MERGE, NULL);
}

void *tux_helper_kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp)
{
	return kmem_cache_alloc(cache, gfp);
}

/* linux/kthread.h, linux/sched.h */

struct task_struct *tux_helper_kthread_create(int (*function)(void *data), void *data, int number)
{
	return kthread_create(function, data, "rust_tux/%d", number);
}

void tux_helper_set_current_state_idle(void)
{
	set_current_state(TASK_IDLE);
}

void tux_helper_set_current_state_running(void)
{
	__set_current_state(TASK_RUNNING);
}

unsigned int tux_helper_raw_smp_processor_id(void)
{
	return raw_smp_processor_id();
}

bool tux_helper_signal_pending(void)
{
	return signal_pending(current);
}

int tux_helper_cond_resched(void)
{
	return cond_resched();
}

bool tux_helper_cpu_online(unsigned int cpu)
{
	return cpu_online(cpu);
}

#ifdef RUST_TUX_KCOV

/* linux/preempt.h, net/sock.h */

bool tux_helper_in_serving_softirq(void)
{
	return in_serving_softirq();
}

__be32 tux_helper_sk_daddr(const struct sock *sk)
{
	return sk->sk_daddr;
}

#endif

/* linux/list.h */

void tux_helper_INIT_LIST_HEAD(struct list_head *head)
{
	INIT_LIST_HEAD(head);
}

void tux_helper_list_add_tail(struct list_head *node, struct list_head *head)
{
	list_add_tail(node, head);
}

void tux_helper_list_del(struct list_head *node)
{
	list_del(node);
}

/* linux/llist.h */

bool tux_helper_llist_add(struct llist_node *node, struct llist_head *head)
{
	return llist_add(node, head);
}

struct llist_node *tux_helper_llist_del_all(struct llist_head *head)
{
	return llist_del_all(head);
}

bool tux_helper_llist_empty(const struct llist_head *head)
{
	return llist_empty(head);
}

/* linux/workqueue.h */

struct workqueue_struct *tux_helper_alloc_workqueue_unbound(const char *name, int max_active)
{
	return alloc_workqueue("%s", WQ_UNBOUND, max_active, name);
}

/* linux/cred.h */

const struct cred *tux_helper_override_creds(const struct cred *cred)
{
	return override_creds(cred);
}

const struct cred *tux_helper_current_cred(void)
{
	return current_cred();
}

void tux_helper_revert_creds(const struct cred *cred)
{
	revert_creds(cred);
}

void tux_helper_put_cred(const struct cred *cred)
{
	put_cred(cred);
}

void tux_helper_put_group_info(struct group_info *groups)
{
	put_group_info(groups);
}

/* linux/fsnotify.h */

bool tux_helper_sb_has_permission_watchers(struct super_block *sb)
{
	return fsnotify_sb_has_priority_watchers(sb, FSNOTIFY_PRIO_CONTENT);
}

/* linux/dcache.h, linux/fs.h, linux/namei.h, linux/posix_acl.h */

struct inode *tux_helper_d_backing_inode(const struct dentry *dentry)
{
	return d_backing_inode(dentry);
}

struct dentry *tux_helper_dget(struct dentry *dentry)
{
	return dget(dentry);
}

struct qstr tux_helper_QSTR(const char *name)
{
	return QSTR(name);
}

int tux_helper_inode_trylock_shared(struct inode *inode)
{
	return inode_trylock_shared(inode);
}

void tux_helper_inode_unlock_shared(struct inode *inode)
{
	inode_unlock_shared(inode);
}

void tux_helper_posix_acl_release(struct posix_acl *acl)
{
	posix_acl_release(acl);
}

int tux_helper_path_permission(const struct path *path, int mask)
{
	return path_permission(path, mask);
}

loff_t tux_helper_i_size_read(const struct inode *inode)
{
	return i_size_read(inode);
}

bool tux_helper_mapping_tagged(const struct address_space *mapping, xa_mark_t tag)
{
	return mapping_tagged(mapping, tag);
}

/* linux/xarray.h */

void tux_helper_xas_set(struct xa_state *xas, unsigned long index)
{
	xas_set(xas, index);
}

/* linux/mm.h, linux/page-flags.h, linux/pagemap.h */

bool tux_helper_folio_try_get(struct folio *folio)
{
	return folio_try_get(folio);
}

struct folio *tux_helper_page_folio(struct page *page)
{
	return page_folio(page);
}

struct page *tux_helper_folio_page(struct folio *folio, unsigned long n)
{
	return folio_page(folio, n);
}

loff_t tux_helper_folio_pos(const struct folio *folio)
{
	return folio_pos(folio);
}

size_t tux_helper_folio_size(const struct folio *folio)
{
	return folio_size(folio);
}

bool tux_helper_folio_test_uptodate(const struct folio *folio)
{
	return folio_test_uptodate(folio);
}

bool tux_helper_folio_contain_hwpoisoned_page(struct folio *folio)
{
	return folio_contain_hwpoisoned_page(folio);
}

void tux_helper_folio_put(struct folio *folio)
{
	folio_put(folio);
}

struct page *tux_helper_alloc_pages_at_once(size_t len)
{
	return alloc_pages(GFP_ATOMIC | __GFP_NOWARN | __GFP_COMP, get_order(len));
}

void *tux_helper_page_address(const struct page *page)
{
	return page_address(page);
}

bool tux_helper_page_maybe_dma_pinned(struct page *page)
{
	return folio_maybe_dma_pinned(page_folio(page));
}

void tux_helper_get_page(struct page *page)
{
	get_page(page);
}

bool tux_helper_sendpage_ok(struct page *page)
{
	return sendpage_ok(page);
}

/* linux/proc_fs.h */

struct proc_dir_entry *tux_helper_proc_net_mkdir(struct net *net, const char *name,
						 struct proc_dir_entry *parent)
{
	return proc_net_mkdir(net, name, parent);
}
