/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio driver that does what an input says. [virtio-1.2 2.7 Split Virtqueues] */
#include "hostile_driver.h"

#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

/* Where it has what: a page a queue, indirect tables, and buffers behind them. */
#define RINGS(q)    (0x1000u * (1 + (q)))
#define AVAIL       0x400u
#define USED        0x800u
#define TABLES      0x20000u
#define DATA        0x30000u
#define DATA_SIZE   0x10000u
#define BUFS_MAX    6u
#define HEAD_MAX    64u
#define CONFIG_SIZE 256u
#define STEPS_MAX   256u /* so that no input is slow */

enum {
	REQUEST,
	DESCRIPTOR,
	AVAILABLE,
	DOORBELL,
	COMMON,
	READ,
	WRITE,
	CONFIG_READ,
	CONFIG_WRITE,
	WINDOW,
	MEMORY,
	RESET,
	SETTLE,
	HOST,
	STEPS
};

/* How a buffer's address is written: of its own, or any. */
enum { BUF_NEXT, BUF_RINGS, BUF_RAM_END, BUF_ANY, BUF_KINDS };

static void nothing(void *arg)
{
}

/* A call is handled in its turn with the doorbells that were rung before it. */
static void settle(struct hostile_driver *h)
{
	for (unsigned i = 0; i < 4 * h->loop_count; i++)
		loop_call(&h->loops[i / 4], nothing, NULL);
}

static uint64_t offered(struct virtio_guest *g)
{
	uint64_t features = 0;

	for (unsigned half = 0; half < 2; half++) {
		virtio_guest_set(g, VIRTIO_PCI_COMMON_DFSELECT, 4, half);
		features |= virtio_guest_get(g, VIRTIO_PCI_COMMON_DF, 4) << (32 * half);
	}
	return features;
}

static void begin(struct hostile_driver *h, uint64_t features)
{
	struct virtio_guest *g = h->guest;

	memset(h->avail, 0, sizeof(h->avail));
	virtio_guest_map_bar(g, VIRTIO_GUEST_BAR);
	/* Where it asks for too much, and is refused, it takes what there is of it. */
	if (!virtio_guest_negotiate(g, features))
		(void)virtio_guest_negotiate(g, features & offered(g));
	virtio_guest_enable_msix(g, h->queues);
	for (unsigned q = 0; q < h->queues; q++) {
		virtio_guest_set(g, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
		virtio_guest_set(g, VIRTIO_PCI_COMMON_Q_SIZE, 2, HOSTILE_SIZE);
		virtio_guest_set(g, VIRTIO_PCI_COMMON_Q_DESCLO, 4, RINGS(q));
		virtio_guest_set(g, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, RINGS(q) + AVAIL);
		virtio_guest_set(g, VIRTIO_PCI_COMMON_Q_USEDLO, 4, RINGS(q) + USED);
		virtio_guest_set(g, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	}
	virtio_guest_driver_ok(g);
}

static void poke(struct hostile_driver *h, uint64_t gpa, const void *data, size_t len)
{
	(void)!mem_write(&h->guest->mem, gpa, data, len);
}

static uint64_t address(struct fuzz_input *in, uint64_t *next)
{
	switch (fuzz_below(in, BUF_KINDS)) {
	case BUF_NEXT:
		return *next;
	case BUF_RINGS:
		return fuzz_take(in, 2);
	case BUF_RAM_END:
		return VIRTIO_GUEST_RAM - fuzz_take(in, 1);
	default:
		return fuzz_take(in, 8);
	}
}

static void ring(struct hostile_driver *h, unsigned queue)
{
	/* The doorbells of all queues are there in their order, as the transport has them. */
	virtio_guest_write(h->guest, h->guest->notify + queue * h->guest->notify_multiplier, 2,
			   queue);
}

static void make_available(struct hostile_driver *h, unsigned queue, uint16_t head)
{
	uint16_t *idx = &h->avail[queue];

	poke(h, RINGS(queue) + AVAIL + 4 + 2 * (*idx % HOSTILE_SIZE), &head, 2);
	++*idx;
	poke(h, RINGS(queue) + AVAIL + 2, idx, 2);
}

/* A chain as a driver makes it, of buffers that the input says; through a table if it says so. */
static void request(struct hostile_driver *h, unsigned queue, struct fuzz_input *in)
{
	const unsigned choice = (unsigned)fuzz_take(in, 1);
	const bool indirect = choice & 0x80;
	const unsigned count = 1 + choice % BUFS_MAX;
	const unsigned first = indirect ? 0 : h->avail[queue] * BUFS_MAX % HOSTILE_SIZE;
	const uint64_t table = indirect ? TABLES + queue * 0x100u : RINGS(queue);
	uint64_t next = DATA;
	const uint8_t *head;
	struct vring_desc desc;
	size_t head_len = fuzz_below(in, HEAD_MAX + 1);

	head_len = fuzz_bytes(in, head_len, &head);
	for (unsigned i = 0; i < count; i++) {
		const unsigned at = (first + i) % HOSTILE_SIZE;

		desc.addr = address(in, &next);
		desc.len = (uint32_t)fuzz_take(in, 4);
		desc.flags = (uint16_t)(fuzz_take(in, 1) & VRING_DESC_F_WRITE);
		if (i + 1 < count)
			desc.flags |= VRING_DESC_F_NEXT;
		desc.next = (uint16_t)((at + 1) % HOSTILE_SIZE);
		if (i == 0)
			poke(h, desc.addr, head, head_len);
		poke(h, table + at * sizeof(desc), &desc, sizeof(desc));
		next += desc.len % DATA_SIZE;
	}
	if (indirect) {
		desc = (struct vring_desc){ .addr = table,
					    .len = count * (uint32_t)sizeof(desc),
					    .flags = VRING_DESC_F_INDIRECT };
		poke(h, RINGS(queue), &desc, sizeof(desc));
	}
	make_available(h, queue, (uint16_t)first);
	ring(h, queue);
}

/* [virtio-1.2 4.1.4.9 PCI configuration access capability] */
static void access_by_window(struct virtio_guest *g, struct fuzz_input *in)
{
	const unsigned cap = g->cfg_cap, data = cap + sizeof(struct virtio_pci_cap);
	const unsigned len = 1u << fuzz_below(in, 3);

	virtio_guest_config_write(g, cap + VIRTIO_PCI_CAP_BAR, 1, (uint32_t)fuzz_take(in, 1));
	virtio_guest_config_write(g, cap + VIRTIO_PCI_CAP_OFFSET, 4, (uint32_t)fuzz_take(in, 4));
	virtio_guest_config_write(g, cap + VIRTIO_PCI_CAP_LENGTH, 4, (uint32_t)fuzz_take(in, 1));
	if (fuzz_below(in, 2))
		virtio_guest_config_write(g, data, len, (uint32_t)fuzz_take(in, len));
	else
		(void)virtio_guest_config_read(g, data, len);
}

static void step(struct hostile_driver *h, struct fuzz_input *in)
{
	struct virtio_guest *g = h->guest;
	const unsigned what = fuzz_below(in, STEPS);
	const unsigned queue = fuzz_below(in, h->queues);
	const uint8_t *bytes;
	uint64_t next = DATA, at;
	unsigned len;
	size_t count;

	switch (what) {
	case REQUEST:
		request(h, queue, in);
		break;
	case DESCRIPTOR:
		at = fuzz_below(in, 2) ? TABLES + queue * 0x100u : RINGS(queue);
		at += fuzz_below(in, HOSTILE_SIZE) * sizeof(struct vring_desc);
		count = fuzz_bytes(in, sizeof(struct vring_desc), &bytes);
		poke(h, at, bytes, count);
		break;
	case AVAILABLE:
		h->avail[queue] = (uint16_t)(h->avail[queue] + fuzz_take(in, 1));
		make_available(h, queue, (uint16_t)fuzz_take(in, 2));
		break;
	case DOORBELL:
		ring(h, queue);
		break;
	case COMMON:
		len = fuzz_access(in);
		at = fuzz_below(in, g->common_len + 8);
		virtio_guest_set(g, (unsigned)at, len, fuzz_take(in, len));
		break;
	case READ:
		len = fuzz_access(in);
		(void)virtio_guest_read(g, fuzz_take(in, 2) % g->dev->bars[0].size, len);
		break;
	case WRITE:
		len = fuzz_access(in);
		at = fuzz_take(in, 2) % g->dev->bars[0].size;
		virtio_guest_write(g, at, len, fuzz_take(in, len));
		break;
	case CONFIG_READ:
		len = 1u << fuzz_below(in, 3);
		at = align_down(fuzz_below(in, CONFIG_SIZE), len);
		(void)virtio_guest_config_read(g, (unsigned)at, len);
		break;
	case CONFIG_WRITE:
		len = 1u << fuzz_below(in, 3);
		at = align_down(fuzz_below(in, CONFIG_SIZE), len);
		virtio_guest_config_write(g, (unsigned)at, len, (uint32_t)fuzz_take(in, len));
		break;
	case WINDOW:
		access_by_window(g, in);
		break;
	case MEMORY:
		at = address(in, &next);
		count = fuzz_bytes(in, fuzz_below(in, HEAD_MAX + 1), &bytes);
		poke(h, at, bytes, count);
		break;
	case RESET:
		g->dev->device.ops->reset(&g->dev->device);
		begin(h, fuzz_take(in, 8));
		break;
	case SETTLE:
		settle(h);
		break;
	default:
		if (h->host)
			h->host(h->opaque, in);
	}
}

void hostile_driver_run(struct hostile_driver *h, struct fuzz_input *in)
{
	begin(h, fuzz_take(in, 8));
	for (unsigned i = 0; i < STEPS_MAX && in->left; i++)
		step(h, in);
	settle(h);
}

void hostile_seed_begin(uint8_t **p, uint64_t features)
{
	fuzz_put(p, 8, features);
}

void hostile_seed_request(uint8_t **p, unsigned queue, const void *head, unsigned head_len,
			  const struct hostile_buf *bufs, unsigned count)
{
	fuzz_put(p, 1, REQUEST);
	fuzz_put(p, 1, queue);
	fuzz_put(p, 1, count - 1);
	fuzz_put(p, 1, head_len);
	memcpy(*p, head, head_len);
	*p += head_len;
	for (unsigned i = 0; i < count; i++) {
		fuzz_put(p, 1, BUF_NEXT);
		fuzz_put(p, 4, bufs[i].len);
		fuzz_put(p, 1, bufs[i].write ? VRING_DESC_F_WRITE : 0);
	}
	fuzz_put(p, 1, SETTLE);
	fuzz_put(p, 1, 0);
}

void hostile_seed_window(uint8_t **p, uint32_t off, uint32_t val)
{
	fuzz_put(p, 1, WINDOW);
	fuzz_put(p, 1, 0);
	fuzz_put(p, 1, 2); /* 4 bytes */
	fuzz_put(p, 1, 0); /* in BAR 0 */
	fuzz_put(p, 4, off);
	fuzz_put(p, 1, 4);
	fuzz_put(p, 1, 1);
	fuzz_put(p, 4, val);
}

void hostile_seed_host(uint8_t **p)
{
	fuzz_put(p, 1, HOST);
	fuzz_put(p, 1, 0);
}
