/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a split virtqueue; runs on the loop that owns the queue.
 * [virtio-1.2 2.7 Split Virtqueues]
 *
 * Ordering: the driver's index is loaded with acquire, so that the ring entries and descriptors
 * behind it are visible; ours is stored with release, after the entries. Each of the two decisions
 * whether to ring is "store my index, then load the other's wish", which needs a full barrier in
 * between on both sides [virtio-1.2 2.7.13.4.1, 2.7.14].
 */
#include "devices/virtio/virtqueue.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdatomic.h>

#include "core/log.h"
#include "core/mem.h"

/* [virtio-1.2 2.7.5.2]: a driver must not make a chain longer than 2^32 bytes in total. */
#define CHAIN_BYTES_MAX (4 * GiB)

static uint16_t load_relaxed(const __virtio16 *p)
{
	return le16toh(__atomic_load_n(p, __ATOMIC_RELAXED));
}

static uint16_t load_acquire(const __virtio16 *p)
{
	return le16toh(__atomic_load_n(p, __ATOMIC_ACQUIRE));
}

static void store_relaxed(__virtio16 *p, uint16_t v)
{
	__atomic_store_n(p, htole16(v), __ATOMIC_RELAXED);
}

static void store_release(__virtio16 *p, uint16_t v)
{
	__atomic_store_n(p, htole16(v), __ATOMIC_RELEASE);
}

static unsigned ring_slot(const struct virtqueue *vq, uint16_t index)
{
	return index & (vq->size - 1);
}

/* The driver's wish for interrupts, in the last field of its ring. */
static const __virtio16 *used_event(const struct virtqueue *vq)
{
	return &vq->avail->ring[vq->size];
}

/* Ours for doorbells. */
static __virtio16 *avail_event(const struct virtqueue *vq)
{
	return (__virtio16 *)(void *)&vq->used->ring[vq->size];
}

int virtqueue_init(struct virtqueue *vq, const char *name, const struct guest_mem *mem,
		   unsigned size, uint64_t desc, uint64_t avail, uint64_t used)
{
	struct virtqueue q = { .name = name, .mem = mem, .size = size };

	if (!is_pow2(size) || size > VIRTQUEUE_SIZE_MAX)
		return -EINVAL;
	if (desc % VRING_DESC_ALIGN_SIZE || avail % VRING_AVAIL_ALIGN_SIZE ||
	    used % VRING_USED_ALIGN_SIZE)
		return -EINVAL;
	/* Both rings end with the other side's event index, negotiated or not. */
	q.desc = mem_ptr(mem, desc, size * sizeof(q.desc[0]));
	q.avail = mem_ptr(mem, avail,
			  sizeof(*q.avail) + size * sizeof(q.avail->ring[0]) + sizeof(__virtio16));
	q.used = mem_ptr(mem, used,
			 sizeof(*q.used) + size * sizeof(q.used->ring[0]) + sizeof(__virtio16));
	if (!q.desc || !q.avail || !q.used)
		return -EINVAL;
	*vq = q;
	return 0;
}

void virtqueue_set_features(struct virtqueue *vq, uint64_t features)
{
	vq->event_idx = features & (1ull << VIRTIO_RING_F_EVENT_IDX);
	vq->indirect = features & (1ull << VIRTIO_RING_F_INDIRECT_DESC);
}

void virtqueue_break(struct virtqueue *vq, const char *why)
{
	if (!vq->broken)
		log_guest("%s: the driver broke a queue: %s", vq->name, why);
	vq->broken = true;
}

bool virtqueue_fetch(struct virtqueue *vq)
{
	uint16_t idx;

	if (vq->broken)
		return false;
	idx = load_acquire(&vq->avail->idx);
	if ((uint16_t)(idx - vq->avail_next) > vq->size) {
		virtqueue_break(vq, "available index jumped");
		return false;
	}
	vq->avail_seen = idx;
	return vq->avail_next != idx;
}

/* The guest may change a descriptor at any time: one copy, which the compiler must not redo. */
static struct vring_desc copy_desc(const struct vring_desc *table, unsigned i)
{
	struct vring_desc d;

	/* An indirect table may lie at any address. */
	memcpy(&d, (const uint8_t *)table + i * sizeof(d), sizeof(d));
	__asm__ volatile("" : : : "memory");
	d.addr = le64toh(d.addr);
	d.len = le32toh(d.len);
	d.flags = le16toh(d.flags);
	d.next = le16toh(d.next);
	return d;
}

/* Appends a buffer to the chain; says what is wrong with it, or NULL. */
static const char *chain_add(const struct virtqueue *vq, struct virtqueue_chain *chain,
			     struct iovec *iov, const struct vring_desc *d)
{
	unsigned count = chain->readable + chain->writable;
	void *p;

	if (count == vq->size)
		return "chain loops or is longer than the queue";
	if (!d->len)
		return "empty descriptor";
	p = mem_ptr(vq->mem, d->addr, d->len);
	if (!p)
		return "descriptor outside RAM";
	iov[count] = (struct iovec){ .iov_base = p, .iov_len = d->len };
	if (d->flags & VRING_DESC_F_WRITE) {
		chain->writable++;
	} else {
		if (chain->writable)
			return "readable descriptor after a writable one";
		chain->readable++;
	}
	return NULL;
}

/*
 * Follows the chain that begins at chain->head: descriptors of the queue's table, the last of which
 * may stand for a whole indirect table [virtio-1.2 2.7.5.3]. Ends because chain_add accepts
 * vq->size buffers and one indirect descriptor at most is followed.
 */
static const char *chain_walk(const struct virtqueue *vq, struct virtqueue_chain *chain,
			      struct iovec *iov)
{
	const struct vring_desc *table = vq->desc;
	unsigned table_size = vq->size;
	unsigned i = chain->head;
	bool indirect = false;
	uint64_t total = 0;

	for (;;) {
		struct vring_desc d;
		const char *why;

		if (i >= table_size)
			return "descriptor index outside its table";
		d = copy_desc(table, i);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			if (!vq->indirect || indirect || d.flags & VRING_DESC_F_NEXT)
				return "indirect descriptor where none may be";
			if (!d.len || d.len % sizeof(d))
				return "indirect table of a broken size";
			table = mem_ptr(vq->mem, d.addr, d.len);
			if (!table)
				return "indirect table outside RAM";
			table_size = d.len / sizeof(d);
			indirect = true;
			i = 0;
			continue;
		}
		why = chain_add(vq, chain, iov, &d);
		if (why)
			return why;
		total += d.len;
		if (total > CHAIN_BYTES_MAX)
			return "chain longer than 4 GiB";
		if (!(d.flags & VRING_DESC_F_NEXT))
			return NULL;
		i = d.next;
	}
}

bool virtqueue_pop(struct virtqueue *vq, struct iovec *iov, struct virtqueue_chain *ret_chain)
{
	struct virtqueue_chain chain = { 0 };
	const char *why;

	if (vq->broken || vq->avail_next == vq->avail_seen)
		return false;
	chain.head = load_relaxed(&vq->avail->ring[ring_slot(vq, vq->avail_next)]);
	if (chain.head >= vq->size)
		why = "descriptor index outside its table";
	else if (vq->held[chain.head / 64] & 1ull << chain.head % 64)
		why = "chain made available twice";
	else
		why = chain_walk(vq, &chain, iov);
	if (why) {
		virtqueue_break(vq, why);
		return false;
	}
	vq->held[chain.head / 64] |= 1ull << chain.head % 64;
	vq->avail_next++;
	*ret_chain = chain;
	return true;
}

void virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t len)
{
	struct vring_used_elem *elem = &vq->used->ring[ring_slot(vq, vq->used_next)];

	assert(vq->held[head / 64] & 1ull << head % 64);
	vq->held[head / 64] &= ~(1ull << head % 64);
	elem->id = htole32(head);
	elem->len = htole32(len);
	vq->used_next++;
}

bool virtqueue_publish(struct virtqueue *vq)
{
	uint16_t old = vq->used_published;

	if (old == vq->used_next)
		return false;
	store_release(&vq->used->idx, vq->used_next);
	vq->used_published = vq->used_next;
	atomic_thread_fence(memory_order_seq_cst);
	if (vq->event_idx)
		return vring_need_event(load_relaxed(used_event(vq)), vq->used_next, old);
	return !(load_relaxed(&vq->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
}

void virtqueue_doorbell_off(struct virtqueue *vq)
{
	/* With the event index nothing is to be done: the driver rings only when it passes it. */
	if (!vq->event_idx)
		store_relaxed(&vq->used->flags, VRING_USED_F_NO_NOTIFY);
}

bool virtqueue_doorbell_on(struct virtqueue *vq)
{
	if (vq->event_idx)
		store_relaxed(avail_event(vq), vq->avail_seen);
	else
		store_relaxed(&vq->used->flags, 0);
	atomic_thread_fence(memory_order_seq_cst);
	return !vq->broken && load_relaxed(&vq->avail->idx) != vq->avail_seen;
}
