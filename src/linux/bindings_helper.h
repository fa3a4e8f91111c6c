/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What bindgen reads: the kernel's headers, and the prototypes of helpers.c.
 *
 * A static inline function or a macro has no symbol that Rust could call: it
 * gets a helper here, named tux_helper_ and then as in C. In Rust the prefix
 * is gone. A constant that is a cast or a sizeof gets a TUX_CONST_.
 */
#ifndef RUST_TUX_BINDINGS_HELPER_H
#define RUST_TUX_BINDINGS_HELPER_H

#include <linux/bvec.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fsnotify.h>
#include <linux/fs_dirent.h>
#ifdef RUST_TUX_KCOV
#include <linux/kcov.h>
#endif
#include <linux/iversion.h>
#include <linux/kthread.h>
#include <linux/llist.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/net.h>
#include <linux/netdevice.h>
#include <linux/page_frag_cache.h>
#include <linux/pagemap.h>
#include <linux/path.h>
#include <linux/pipe_fs_i.h>
#include <linux/posix_acl.h>
#include <linux/proc_fs.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/security.h>
#include <linux/seq_file.h>
#include <linux/shrinker.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/stat.h>
#include <linux/swap.h>
#include <linux/sysctl.h>
#include <linux/tcp.h>
#include <linux/uio.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <net/dst.h>
#include <net/gso.h>
#include <net/hotdata.h>
#include <net/inet6_hashtables.h>
#include <net/inet_connection_sock.h>
#include <net/inet_hashtables.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>
#include <net/proto_memory.h>
#include <net/request_sock.h>
#include <net/sock.h>
#include <net/tcp.h>

#ifdef __BINDGEN__
const gfp_t TUX_CONST_GFP_ATOMIC = GFP_ATOMIC;
const gfp_t TUX_CONST_GFP_KERNEL = GFP_KERNEL;
const gfp_t TUX_CONST___GFP_NOWARN = __GFP_NOWARN;
const size_t TUX_CONST_PAGE_SIZE = PAGE_SIZE;
const unsigned long TUX_CONST_HWPOISON_FLAG = __PG_HWPOISON;
const size_t TUX_CONST_XA_CHUNK_SIZE = XA_CHUNK_SIZE;
const xa_mark_t TUX_CONST_PAGECACHE_TAG_DIRTY = PAGECACHE_TAG_DIRTY;
const unsigned long TUX_CONST_SB_POSIXACL = SB_POSIXACL;
const u32 TUX_CONST_I_CTIME_QUERIED = I_CTIME_QUERIED;
const netdev_features_t TUX_CONST_NETIF_F_SG = NETIF_F_SG;
const netdev_features_t TUX_CONST_NETIF_F_HW_CSUM = NETIF_F_HW_CSUM;
const netdev_features_t TUX_CONST_NETIF_F_CSUM_MASK = NETIF_F_CSUM_MASK;
const netdev_features_t TUX_CONST_NETIF_F_GSO_MASK = NETIF_F_GSO_MASK;
const unsigned int TUX_CONST_LOOKUP_FOLLOW = LOOKUP_FOLLOW;
const unsigned int TUX_CONST_LOOKUP_DIRECTORY = LOOKUP_DIRECTORY;
const unsigned int TUX_CONST_LOOKUP_CACHED = LOOKUP_CACHED;
const unsigned int TUX_CONST_LOOKUP_NO_MAGICLINKS = LOOKUP_NO_MAGICLINKS;
const unsigned int TUX_CONST_LOOKUP_IN_ROOT = LOOKUP_IN_ROOT;
const unsigned int TUX_CONST_LOOKUP_MOUNTPOINT = LOOKUP_MOUNTPOINT;
const unsigned int TUX_CONST_LOOKUP_NO_SYMLINKS = LOOKUP_NO_SYMLINKS;
const unsigned int TUX_CONST_LOOKUP_NO_XDEV = LOOKUP_NO_XDEV;
#endif

/* net/sock.h, net/inet_connection_sock.h, net/request_sock.h, net/tcp.h */
void tux_helper_lock_sock(struct sock *sk);
bool tux_helper_sock_owned_by_user_nocheck(const struct sock *sk);
void tux_helper_sk_callback_lock(struct sock *sk);
void tux_helper_sk_callback_unlock(struct sock *sk);
void *tux_helper_rcu_dereference_sk_user_data(const struct sock *sk);
void tux_helper_rcu_assign_sk_user_data(struct sock *sk, void *data);
void tux_helper_sk_set_bare_socket(struct sock *sk, struct socket *sock);
void tux_helper_sk_set_no_socket(struct sock *sk);
void tux_helper_bh_lock_sock(struct sock *sk);
void tux_helper_bh_unlock_sock(struct sock *sk);
struct net *tux_helper_sock_net(const struct sock *sk);
bool tux_helper_sock_hold_not_zero(struct sock *sk);
bool tux_helper_sk_acceptq_is_full(const struct sock *sk);
void tux_helper_sk_acceptq_added(struct sock *sk);
void tux_helper_reqsk_set_one(struct request_sock *req);
void tux_helper_sk_tx_queue_clear(struct sock *sk);
bool tux_helper_sock_flag(const struct sock *sk, enum sock_flags flag);
void tux_helper_sock_valbool_flag(struct sock *sk, enum sock_flags flag, bool value);
void tux_helper_sk_prot_keepalive(struct sock *sk, int value);
int tux_helper_sk_prot_addrform_inet(struct sock *sk);
void tux_helper_sk_set_nospace(struct sock *sk);
void tux_helper_sk_prot_close(struct sock *sk);
void tux_helper_sk_prot_shutdown(struct sock *sk, int how);
void tux_helper_sk_prot_unhash(struct sock *sk);
long tux_helper_sk_memory_allocated(const struct sock *sk);
long tux_helper_sk_prot_mem_limits(const struct sock *sk, int index);
int tux_helper_inet_csk_reqsk_queue_len(const struct sock *sk);
void tux_helper_sk_set_linger_zero(struct sock *sk);
int tux_helper_sock_set_int_option(struct socket *sock, int level, int name, int value);
int tux_helper_sock_somaxconn(const struct sock *sk);
bool tux_helper_reqsk_queue_empty(const struct request_sock_queue *queue);
struct request_sock *tux_helper_reqsk_queue_remove(struct request_sock_queue *queue,
						   struct sock *listener);
int tux_helper_inet_sk_state_load(const struct sock *sk);
void tux_helper_inet_csk_enter_pingpong_mode(struct sock *sk);
void tux_helper_sock_hold(struct sock *sk);
void tux_helper_sock_set_urginline(struct sock *sk);
void tux_helper_sk_acceptq_removed(struct sock *sk);
void tux_helper_reqsk_queue_lock(struct request_sock_queue *queue);
void tux_helper_reqsk_queue_lock_nested(struct request_sock_queue *queue);
void tux_helper_reqsk_queue_unlock(struct request_sock_queue *queue);
bool tux_helper_reqsk_dec_and_test(struct request_sock *req);
struct sock *tux_helper_reqsk_listener(struct request_sock *req);
void tux_helper_sock_put(struct sock *sk);
struct sk_buff *tux_helper_tcp_send_head(const struct sock *sk);
int tux_helper_tcp_inq(struct sock *sk);
bool tux_helper_sk_stream_is_writeable(const struct sock *sk);
void tux_helper_sock_clear_nospace(struct socket *sock);
void tux_helper_init_waitqueue_head(struct wait_queue_head *head);
void tux_helper_sk_clear_reuseport(struct sock *sk);
void tux_helper_sk_set_reuse(struct sock *sk, unsigned char reuse);
void tux_helper_sk_set_fastopen_max_qlen(struct sock *sk, int max_qlen);

/* linux/skbuff.h, linux/mm.h, linux/page_frag_cache.h */
unsigned int tux_helper_skb_headlen(const struct sk_buff *skb);
unsigned int tux_helper_skb_nr_frags(const struct sk_buff *skb);
bool tux_helper_skb_has_frag_list(const struct sk_buff *skb);
void *tux_helper_skb_frag_address(const struct sk_buff *skb);
unsigned int tux_helper_skb_frag_size(const struct sk_buff *skb);
struct sk_buff *tux_helper_skb_peek_next(struct sk_buff *skb, const struct sk_buff_head *list);
bool tux_helper_skb_frags_readable(const struct sk_buff *skb);
bool tux_helper_skb_has_shared_frag(const struct sk_buff *skb);
struct skb_shared_info *tux_helper_skb_shinfo(const struct sk_buff *skb);
size_t tux_helper_max_skb_frags(void);
bool tux_helper_sk_wmem_schedule(struct sock *sk, int size);
u32 tux_helper_tcp_skb_seq(const struct sk_buff *skb);
unsigned int tux_helper_skb_ip_summed(const struct sk_buff *skb);
void tux_helper_skb_set_checksum_none(struct sk_buff *skb);
struct sk_buff *tux_helper_skb_next(const struct sk_buff *skb);
bool tux_helper_skb_encapsulation(const struct sk_buff *skb);
int tux_helper_secpath_exists(const struct sk_buff *skb);
int tux_helper_skb_checksum_start_offset(const struct sk_buff *skb);
unsigned int tux_helper_skb_csum_offset(const struct sk_buff *skb);
void *tux_helper_skb_frag_address_of(const skb_frag_t *frag);
struct page *tux_helper_virt_to_page(const void *address);
unsigned long tux_helper_offset_in_page(const void *address);
void tux_helper_put_page(struct page *page);
void *tux_helper_page_frag_alloc(struct page_frag_cache *cache, unsigned int size, gfp_t gfp);
void tux_helper_page_frag_cache_init(struct page_frag_cache *cache);

unsigned long tux_helper_page_private(const struct page *page);
void tux_helper_set_page_private(struct page *page, unsigned long number);

/* net/dst.h, net/sock.h */
struct dst_entry *tux_helper___sk_dst_get(const struct sock *sk);
struct net_device *tux_helper_dst_dev_rcu(const struct dst_entry *dst);

/* linux/slab.h */
struct kmem_cache *tux_helper_kmem_cache_create(const char *name, unsigned int size,
						unsigned int align);
void *tux_helper_kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp);

/* linux/kthread.h, linux/sched.h */
struct task_struct *tux_helper_kthread_create(int (*function)(void *data), void *data, int number);
void tux_helper_set_current_state_idle(void);
void tux_helper_set_current_state_running(void);
unsigned int tux_helper_raw_smp_processor_id(void);
bool tux_helper_signal_pending(void);
int tux_helper_cond_resched(void);
bool tux_helper_cpu_online(unsigned int cpu);

#ifdef RUST_TUX_KCOV
/* linux/preempt.h, net/sock.h */
bool tux_helper_in_serving_softirq(void);
__be32 tux_helper_sk_daddr(const struct sock *sk);
#endif

/* linux/list.h */
void tux_helper_INIT_LIST_HEAD(struct list_head *head);
void tux_helper_list_add_tail(struct list_head *node, struct list_head *head);
void tux_helper_list_del(struct list_head *node);

/* linux/llist.h */
bool tux_helper_llist_add(struct llist_node *node, struct llist_head *head);
struct llist_node *tux_helper_llist_del_all(struct llist_head *head);
bool tux_helper_llist_empty(const struct llist_head *head);

/* linux/workqueue.h */
struct workqueue_struct *tux_helper_alloc_workqueue_unbound(const char *name, int max_active);

/* linux/cred.h */
const struct cred *tux_helper_override_creds(const struct cred *cred);
const struct cred *tux_helper_current_cred(void);
void tux_helper_revert_creds(const struct cred *cred);
void tux_helper_put_cred(const struct cred *cred);
void tux_helper_put_group_info(struct group_info *groups);

/* linux/fsnotify.h */
bool tux_helper_sb_has_permission_watchers(struct super_block *sb);

/* linux/dcache.h, linux/fs.h, linux/namei.h, linux/posix_acl.h */
struct inode *tux_helper_d_backing_inode(const struct dentry *dentry);
struct dentry *tux_helper_dget(struct dentry *dentry);
struct qstr tux_helper_QSTR(const char *name);
int tux_helper_inode_trylock_shared(struct inode *inode);
void tux_helper_inode_unlock_shared(struct inode *inode);
void tux_helper_posix_acl_release(struct posix_acl *acl);
int tux_helper_path_permission(const struct path *path, int mask);
loff_t tux_helper_i_size_read(const struct inode *inode);
bool tux_helper_mapping_tagged(const struct address_space *mapping, xa_mark_t tag);

/* linux/xarray.h */
void tux_helper_xas_set(struct xa_state *xas, unsigned long index);

/* linux/mm.h, linux/page-flags.h, linux/pagemap.h */
bool tux_helper_folio_try_get(struct folio *folio);
struct folio *tux_helper_page_folio(struct page *page);
struct page *tux_helper_folio_page(struct folio *folio, unsigned long n);
loff_t tux_helper_folio_pos(const struct folio *folio);
size_t tux_helper_folio_size(const struct folio *folio);
bool tux_helper_folio_test_uptodate(const struct folio *folio);
bool tux_helper_folio_contain_hwpoisoned_page(struct folio *folio);
void tux_helper_folio_put(struct folio *folio);
void tux_helper_get_page(struct page *page);
struct page *tux_helper_alloc_pages_at_once(size_t len);
void *tux_helper_page_address(const struct page *page);
bool tux_helper_page_maybe_dma_pinned(struct page *page);
bool tux_helper_sendpage_ok(struct page *page);

/* linux/proc_fs.h */
struct proc_dir_entry *tux_helper_proc_net_mkdir(struct net *net, const char *name,
						 struct proc_dir_entry *parent);

#endif
