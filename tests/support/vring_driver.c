/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's side of a split virtqueue, for tests. */
#include "vring_driver.h"

#include <assert.h>
#include <stdatomic.h>

void vring_driver_init(struct vring_driver *d, const struct guest_mem *mem, uint64_t gpa,
		       unsigned size)
{
	*d = (struct vring_driver){ .mem = mem, .size = size, .desc_gpa = gpa };
	assert(size <= VRING_DRIVER_MAX && is_pow2(size));
	d->avail_gpa = gpa + size * sizeof(struct vring_desc);
	d->used_gpa = align_up(d->avail_gpa + 6 + 2 * size, VRING_USED_ALIGN_SIZE);
	d->desc = mem_ptr(mem, gpa, vring_driver_end(d) - gpa);
	assert(d->desc);
	d->avail = mem_ptr(mem, d->avail_gpa, 6 + 2 * size);
	d->used = mem_ptr(mem, d->used_gpa, 6 + 8 * size);
	memset(d->desc, 0, vring_driver_end(d) - gpa);
	for (unsigned i = 0; i < size; i++)
		d->next_free[i] = (uint16_t)(i + 1);
	d->free_count = size;
}

uint64_t vring_driver_end(const struct vring_driver *d)
{
	return d->used_gpa + 6 + 8 * d->size;
}

static struct vring_desc buf_desc(const struct vring_buf *buf, bool last, uint16_t next)
{
	return (struct vring_desc){
		.addr = buf->gpa,
		.len = buf->len,
		.flags = (uint16_t)((buf->write ? VRING_DESC_F_WRITE : 0) |
				    (last ? 0 : VRING_DESC_F_NEXT)),
		.next = last ? 0 : next,
	};
}

void vring_driver_add_head(struct vring_driver *d, uint16_t head)
{
	d->avail->ring[d->avail_idx++ & (d->size - 1)] = head;
}

uint16_t vring_driver_add(struct vring_driver *d, const struct vring_buf *bufs, unsigned count)
{
	uint16_t head = (uint16_t)d->free_head;
	uint16_t i = head;

	assert(count && count <= d->free_count);
	for (unsigned n = 0; n < count; n++) {
		d->desc[i] = buf_desc(&bufs[n], n == count - 1, d->next_free[i]);
		i = d->next_free[i];
	}
	d->free_head = i;
	d->free_count -= count;
	d->chain_len[head] = (uint16_t)count;
	vring_driver_add_head(d, head);
	return head;
}

uint16_t vring_driver_add_indirect(struct vring_driver *d, uint64_t table_gpa,
				   const struct vring_buf *bufs, unsigned count)
{
	struct vring_desc *table = mem_ptr(d->mem, table_gpa, count * sizeof(*table));
	const struct vring_buf whole = { table_gpa, (uint32_t)(count * sizeof(*table)), false };
	uint16_t head;

	assert(table);
	for (unsigned n = 0; n < count; n++)
		table[n] = buf_desc(&bufs[n], n == count - 1, (uint16_t)(n + 1));
	head = vring_driver_add(d, &whole, 1);
	d->desc[head].flags = VRING_DESC_F_INDIRECT;
	return head;
}

bool vring_driver_expose(struct vring_driver *d)
{
	uint16_t old = d->avail_exposed;
	__virtio16 *event = (__virtio16 *)(void *)&d->used->ring[d->size];

	__atomic_store_n(&d->avail->idx, d->avail_idx, __ATOMIC_RELEASE);
	d->avail_exposed = d->avail_idx;
	atomic_thread_fence(memory_order_seq_cst);
	if (d->event_idx)
		return vring_need_event(__atomic_load_n(event, __ATOMIC_RELAXED), d->avail_idx,
					old);
	return !(__atomic_load_n(&d->used->flags, __ATOMIC_RELAXED) & VRING_USED_F_NO_NOTIFY);
}

bool vring_driver_take(struct vring_driver *d, uint16_t *ret_head, uint32_t *ret_len)
{
	const struct vring_used_elem *elem = &d->used->ring[d->used_seen & (d->size - 1)];
	uint16_t head, i;

	if (__atomic_load_n(&d->used->idx, __ATOMIC_ACQUIRE) == d->used_seen)
		return false;
	d->used_seen++;
	head = (uint16_t)elem->id;
	*ret_head = head;
	*ret_len = elem->len;
	i = head;
	for (unsigned n = 1; n < d->chain_len[head]; n++)
		i = d->next_free[i];
	if (d->chain_len[head]) {
		d->next_free[i] = (uint16_t)d->free_head;
		d->free_head = head;
		d->free_count += d->chain_len[head];
		d->chain_len[head] = 0;
	}
	return true;
}

void vring_driver_want_interrupt_after(struct vring_driver *d, uint16_t idx)
{
	__atomic_store_n(&d->avail->ring[d->size], idx, __ATOMIC_RELAXED);
	atomic_thread_fence(memory_order_seq_cst);
}

uint16_t vring_driver_avail_event(const struct vring_driver *d)
{
	const __virtio16 *event = (const __virtio16 *)(const void *)&d->used->ring[d->size];

	return __atomic_load_n(event, __ATOMIC_RELAXED);
}
