/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a split virtqueue against a driver in the same process, well-behaved and
 * hostile. [virtio-1.2 2.7 Split Virtqueues]
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cmocka_all.h"
#include "core/log.h"
#include "core/mem.h"
#include "devices/virtqueue.h"
#include "vring_driver.h"

#define QUEUE     8u
#define RAM       (2 * MiB)
#define HIGH_BANK RAM /* a second bank, adjacent in the guest and not in the host */
#define HIGH_SIZE (1 * GiB)
#define RINGS     0x1000u
#define TABLE     0x8000u
#define DATA      0x10000u

#define F_EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)
#define F_INDIRECT  (1ull << VIRTIO_RING_F_INDIRECT_DESC)

struct fixture {
	struct guest_mem mem;
	struct vring_driver drv;
	struct virtqueue vq;
	struct iovec iov[QUEUE];
	struct virtqueue_chain chain;
};

static void start(struct fixture *f, uint64_t features)
{
	vring_driver_init(&f->drv, &f->mem, RINGS, QUEUE);
	f->drv.event_idx = features & F_EVENT_IDX;
	assert_int_equal(virtqueue_init(&f->vq, "test", &f->mem, QUEUE, f->drv.desc_gpa,
					f->drv.avail_gpa, f->drv.used_gpa),
			 0);
	virtqueue_set_features(&f->vq, features);
}

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));

	log_set_level(LOG_ERROR);
	guest_mem_init(&f->mem);
	if (guest_mem_add(&f->mem, 0, RAM) < 0 || guest_mem_add(&f->mem, HIGH_BANK, HIGH_SIZE) < 0)
		return -1;
	start(f, F_INDIRECT);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	guest_mem_fini(&f->mem);
	test_free(f);
	return 0;
}

static bool pop(struct fixture *f)
{
	return virtqueue_pop(&f->vq, f->iov, &f->chain);
}

/* The device pops nothing from what was exposed, and the queue stays broken. */
static void assert_breaks(struct fixture *f)
{
	(void)vring_driver_expose(&f->drv);
	(void)virtqueue_fetch(&f->vq);
	assert_false(pop(f));
	assert_true(f->vq.broken);
	assert_false(virtqueue_fetch(&f->vq));
	assert_false(pop(f));
}

static void add_writable(struct fixture *f)
{
	vring_driver_add(&f->drv, &(struct vring_buf){ DATA, 16, true }, 1);
}

/* --- well-behaved --- */

static void chain_becomes_readable_then_writable_iovecs(void **state)
{
	struct fixture *f = *state;
	const struct vring_buf bufs[] = { { DATA, 16, false },
					  { DATA + 0x1000, 512, false },
					  { DATA + 0x2000, 1, true } };
	uint16_t head = vring_driver_add(&f->drv, bufs, 3), used;
	uint32_t len;

	assert_true(vring_driver_expose(&f->drv));
	assert_true(virtqueue_fetch(&f->vq));
	assert_true(pop(f));
	assert_int_equal(f->chain.head, head);
	assert_int_equal(f->chain.readable, 2);
	assert_int_equal(f->chain.writable, 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_ptr_equal(f->iov[i].iov_base, mem_ptr(&f->mem, bufs[i].gpa, 1));
		assert_int_equal(f->iov[i].iov_len, bufs[i].len);
	}
	assert_false(pop(f));

	virtqueue_push(&f->vq, f->chain.head, 7);
	assert_false(vring_driver_take(&f->drv, &used, &len));
	assert_true(virtqueue_publish(&f->vq));
	assert_true(vring_driver_take(&f->drv, &used, &len));
	assert_int_equal(used, head);
	assert_int_equal(len, 7);
}

static void chains_are_pushed_in_any_order(void **state)
{
	struct fixture *f = *state;
	uint16_t heads[3], used;
	uint32_t len;

	for (unsigned i = 0; i < 3; i++)
		add_writable(f);
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	for (unsigned i = 0; i < 3; i++) {
		assert_true(pop(f));
		heads[i] = f->chain.head;
	}
	for (unsigned i = 3; i-- > 0;)
		virtqueue_push(&f->vq, heads[i], i);
	assert_true(virtqueue_publish(&f->vq));
	for (unsigned i = 3; i-- > 0;) {
		assert_true(vring_driver_take(&f->drv, &used, &len));
		assert_int_equal(used, heads[i]);
		assert_int_equal(len, i);
	}
}

static void chain_may_fill_the_whole_queue(void **state)
{
	struct fixture *f = *state;
	struct vring_buf bufs[QUEUE];

	for (unsigned i = 0; i < QUEUE; i++)
		bufs[i] = (struct vring_buf){ DATA + i * 64, 64, i >= 4 };
	vring_driver_add(&f->drv, bufs, QUEUE);
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	assert_true(pop(f));
	assert_int_equal(f->chain.readable, 4);
	assert_int_equal(f->chain.writable, QUEUE - 4);
}

static void indirect_table_may_fill_the_whole_queue(void **state)
{
	struct fixture *f = *state;
	struct vring_buf bufs[QUEUE];

	for (unsigned i = 0; i < QUEUE; i++)
		bufs[i] = (struct vring_buf){ DATA + i * 64, 64, true };
	/* At an odd address: nothing demands that a table be aligned. */
	vring_driver_add_indirect(&f->drv, TABLE + 8, bufs, QUEUE);
	/* The device must ignore WRITE beside INDIRECT [virtio-1.2 2.7.5.3.2]. */
	f->drv.desc[0].flags |= VRING_DESC_F_WRITE;
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	assert_true(pop(f));
	assert_int_equal(f->chain.readable, 0);
	assert_int_equal(f->chain.writable, QUEUE);
}

static void direct_descriptors_may_end_in_an_indirect_one(void **state)
{
	struct fixture *f = *state;
	struct vring_desc *table = mem_ptr(&f->mem, TABLE, sizeof(*table));

	f->drv.desc[0] = (struct vring_desc){ DATA, 16, VRING_DESC_F_NEXT, 1 };
	f->drv.desc[1] = (struct vring_desc){ TABLE, sizeof(*table), VRING_DESC_F_INDIRECT, 0 };
	*table = (struct vring_desc){ DATA + 16, 1, VRING_DESC_F_WRITE, 0 };
	vring_driver_add_head(&f->drv, 0);
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	assert_true(pop(f));
	assert_int_equal(f->chain.readable, 1);
	assert_int_equal(f->chain.writable, 1);
}

static void pop_sees_only_what_was_fetched(void **state)
{
	struct fixture *f = *state;

	add_writable(f);
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	add_writable(f);
	(void)vring_driver_expose(&f->drv);
	assert_true(pop(f));
	assert_false(pop(f));
	assert_true(virtqueue_fetch(&f->vq));
	assert_true(pop(f));
}

static void single_huge_segment(void **state)
{
	struct fixture *f = *state;
	const struct vring_buf buf = { 0x1000, RAM - 0x1000, true };

	vring_driver_add(&f->drv, &buf, 1);
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	assert_true(pop(f));
	assert_int_equal(f->iov[0].iov_len, RAM - 0x1000);
}

/* --- notifications --- */

static void doorbell_off_and_on_by_flag(void **state)
{
	struct fixture *f = *state;

	virtqueue_doorbell_off(&f->vq);
	add_writable(f);
	assert_false(vring_driver_expose(&f->drv));
	/* The driver added while the doorbell was off: nobody will ring. */
	assert_true(virtqueue_doorbell_on(&f->vq));
	assert_true(virtqueue_fetch(&f->vq));
	assert_false(virtqueue_doorbell_on(&f->vq));
	add_writable(f);
	assert_true(vring_driver_expose(&f->drv));
}

static void doorbell_off_and_on_by_event_idx(void **state)
{
	struct fixture *f = *state;

	start(f, F_EVENT_IDX);
	add_writable(f);
	assert_true(vring_driver_expose(&f->drv)); /* avail_event is 0 at the start */
	virtqueue_doorbell_off(&f->vq);
	assert_int_equal(f->drv.used->flags, 0); /* [virtio-1.2 2.7.10.2] */
	assert_true(virtqueue_fetch(&f->vq));
	add_writable(f);
	assert_false(vring_driver_expose(&f->drv));
	assert_true(virtqueue_doorbell_on(&f->vq));
	assert_true(virtqueue_fetch(&f->vq));
	assert_false(virtqueue_doorbell_on(&f->vq));
	assert_int_equal(vring_driver_avail_event(&f->drv), 2);
	add_writable(f);
	assert_true(vring_driver_expose(&f->drv));
}

static void buffers_left_on_purpose_are_no_reason_to_look_again(void **state)
{
	struct fixture *f = *state;

	add_writable(f);
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	assert_false(virtqueue_doorbell_on(&f->vq)); /* seen, not popped */
	assert_true(pop(f));
}

static void no_interrupt_flag_suppresses(void **state)
{
	struct fixture *f = *state;

	assert_false(virtqueue_publish(&f->vq)); /* nothing to show */
	f->drv.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	add_writable(f);
	add_writable(f);
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	assert_true(pop(f));
	virtqueue_push(&f->vq, f->chain.head, 0);
	assert_false(virtqueue_publish(&f->vq));
	f->drv.avail->flags = 0;
	assert_true(pop(f));
	virtqueue_push(&f->vq, f->chain.head, 0);
	assert_true(virtqueue_publish(&f->vq));
}

static void one_interrupt_for_a_batch_that_passes_used_event(void **state)
{
	struct fixture *f = *state;

	start(f, F_EVENT_IDX);
	vring_driver_want_interrupt_after(&f->drv, 2);
	for (unsigned i = 0; i < 6; i++)
		add_writable(f);
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	for (unsigned batch = 0; batch < 3; batch++) {
		for (unsigned i = 0; i < 2; i++) {
			assert_true(pop(f));
			virtqueue_push(&f->vq, f->chain.head, 0);
		}
		/* Chains 0,1 then 2,3 then 4,5: only the second batch uses number 2. */
		assert_int_equal(virtqueue_publish(&f->vq), batch == 1);
	}
}

static void event_idx_wraps(void **state)
{
	struct fixture *f = *state;
	uint16_t head;
	uint32_t len;

	start(f, F_EVENT_IDX);
	for (unsigned i = 0; i < 3 * 65536; i++) {
		vring_driver_want_interrupt_after(&f->drv, f->drv.used_seen);
		add_writable(f);
		assert_true(vring_driver_expose(&f->drv));
		assert_true(virtqueue_fetch(&f->vq));
		assert_true(pop(f));
		virtqueue_push(&f->vq, f->chain.head, i);
		assert_true(virtqueue_publish(&f->vq));
		assert_true(vring_driver_take(&f->drv, &head, &len));
		assert_int_equal(len, i);
		assert_false(virtqueue_doorbell_on(&f->vq));
	}
}

/* --- hostile --- */

static void chain_self_loop(void **state)
{
	struct fixture *f = *state;

	f->drv.desc[3] = (struct vring_desc){ DATA, 16, VRING_DESC_F_NEXT, 3 };
	vring_driver_add_head(&f->drv, 3);
	assert_breaks(f);
}

static void chain_loops_through_indirect_table(void **state)
{
	struct fixture *f = *state;
	struct vring_desc *table = mem_ptr(&f->mem, TABLE, 2 * sizeof(*table));

	vring_driver_add_indirect(&f->drv, TABLE,
				  (struct vring_buf[]){ { DATA, 4, false }, { DATA, 4, false } },
				  2);
	table[1].flags = VRING_DESC_F_NEXT;
	table[1].next = 0;
	assert_breaks(f);
}

static void indirect_chain_longer_than_the_queue(void **state)
{
	struct fixture *f = *state;
	struct vring_buf bufs[QUEUE + 1];

	for (unsigned i = 0; i <= QUEUE; i++)
		bufs[i] = (struct vring_buf){ DATA, 4, true };
	vring_driver_add_indirect(&f->drv, TABLE, bufs, QUEUE + 1);
	assert_breaks(f);
}

static void indirect_inside_indirect(void **state)
{
	struct fixture *f = *state;
	struct vring_desc *table = mem_ptr(&f->mem, TABLE, 2 * sizeof(*table));

	vring_driver_add_indirect(&f->drv, TABLE, &(struct vring_buf){ TABLE, 32, false }, 1);
	table[0].flags = VRING_DESC_F_INDIRECT;
	assert_breaks(f);
}

static void indirect_with_next(void **state)
{
	struct fixture *f = *state;

	vring_driver_add_indirect(&f->drv, TABLE, &(struct vring_buf){ DATA, 4, false }, 1);
	f->drv.desc[0].flags |= VRING_DESC_F_NEXT;
	assert_breaks(f);
}

static void indirect_not_negotiated(void **state)
{
	struct fixture *f = *state;

	start(f, 0);
	vring_driver_add_indirect(&f->drv, TABLE, &(struct vring_buf){ DATA, 4, false }, 1);
	assert_breaks(f);
}

static void indirect_table_of_broken_size(void **state)
{
	static const uint32_t sizes[] = { 0, 15, 17, UINT32_MAX };
	struct fixture *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		start(f, F_INDIRECT);
		vring_driver_add_indirect(&f->drv, TABLE, &(struct vring_buf){ DATA, 4, false }, 1);
		f->drv.desc[0].len = sizes[i];
		assert_breaks(f);
	}
}

static void indirect_table_outside_ram(void **state)
{
	struct fixture *f = *state;

	vring_driver_add_indirect(&f->drv, TABLE, &(struct vring_buf){ DATA, 4, false }, 1);
	f->drv.desc[0].addr = RAM + HIGH_SIZE;
	assert_breaks(f);
}

static void next_outside_the_table(void **state)
{
	struct fixture *f = *state;

	f->drv.desc[0] = (struct vring_desc){ DATA, 16, VRING_DESC_F_NEXT, QUEUE };
	vring_driver_add_head(&f->drv, 0);
	assert_breaks(f);

	start(f, F_INDIRECT);
	vring_driver_add_indirect(&f->drv, TABLE, &(struct vring_buf){ DATA, 4, false }, 1);
	((struct vring_desc *)mem_ptr(&f->mem, TABLE, 16))->flags = VRING_DESC_F_NEXT;
	((struct vring_desc *)mem_ptr(&f->mem, TABLE, 16))->next = 1;
	assert_breaks(f);
}

static void head_outside_the_table(void **state)
{
	struct fixture *f = *state;

	vring_driver_add_head(&f->drv, QUEUE);
	assert_breaks(f);
}

static void desc_outside_ram(void **state)
{
	static const struct vring_buf bufs[] = {
		{ RAM + HIGH_SIZE, 1, true },     /* just behind */
		{ RAM + HIGH_SIZE - 1, 2, true }, /* across the end */
		{ UINT64_MAX, 1, true },          /* the last byte there is */
		{ UINT64_MAX - 3, 16, true },     /* wraps */
		{ 0, UINT32_MAX, true },          /* larger than RAM */
		{ RAM - 8, 16, true },            /* across two banks */
	};
	struct fixture *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bufs); i++) {
		start(f, F_INDIRECT);
		vring_driver_add(&f->drv, &bufs[i], 1);
		assert_breaks(f);
	}
}

static void desc_of_length_zero(void **state)
{
	struct fixture *f = *state;

	vring_driver_add(&f->drv, &(struct vring_buf){ DATA, 0, true }, 1);
	assert_breaks(f);
}

static void chain_longer_than_four_gib(void **state)
{
	struct fixture *f = *state;
	struct vring_buf bufs[] = { { HIGH_BANK, HIGH_SIZE, true },
				    { HIGH_BANK, HIGH_SIZE, true },
				    { HIGH_BANK, HIGH_SIZE, true },
				    { HIGH_BANK, HIGH_SIZE, true },
				    { HIGH_BANK, 1, true } };

	vring_driver_add(&f->drv, bufs, 4);
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	assert_true(pop(f));
	start(f, 0);
	vring_driver_add(&f->drv, bufs, 5);
	assert_breaks(f);
}

static void writable_before_readable(void **state)
{
	struct fixture *f = *state;

	vring_driver_add(&f->drv, (struct vring_buf[]){ { DATA, 4, true }, { DATA, 4, false } }, 2);
	assert_breaks(f);
}

static void avail_idx_jump(void **state)
{
	struct fixture *f = *state;

	f->drv.avail_idx = QUEUE; /* as many as fit are fine */
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));

	start(f, 0);
	f->drv.avail_idx = QUEUE + 1;
	assert_breaks(f);

	start(f, 0);
	f->drv.avail_idx = UINT16_MAX; /* backwards */
	assert_breaks(f);
}

static void same_chain_made_available_twice(void **state)
{
	struct fixture *f = *state;

	add_writable(f);
	vring_driver_add_head(&f->drv, 0);
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	assert_true(pop(f));
	assert_false(pop(f));
	assert_true(f->vq.broken);
	/* What was popped before can still be given back. */
	virtqueue_push(&f->vq, f->chain.head, 0);
	assert_true(virtqueue_publish(&f->vq));
}

static void rings_must_be_aligned_and_in_ram(void **state)
{
	struct fixture *f = *state;
	struct virtqueue vq = { 0 };
	const uint64_t d = 0x1000, a = 0x2000, u = 0x3000, end = RAM + HIGH_SIZE;

#define INIT(size, desc, avail, used) \
	virtqueue_init(&vq, "test", &f->mem, (size), (desc), (avail), (used))
	assert_int_equal(INIT(QUEUE, d, a, u), 0);
	assert_int_equal(INIT(VIRTQUEUE_SIZE_MAX, 0x1000, 0x6000, 0x8000), 0);
	assert_true(INIT(0, d, a, u) < 0);
	assert_true(INIT(3, d, a, u) < 0);
	assert_true(INIT(2 * VIRTQUEUE_SIZE_MAX, d, a, u) < 0);
	assert_true(INIT(QUEUE, d + 8, a, u) < 0);
	assert_true(INIT(QUEUE, d, a + 1, u) < 0);
	assert_true(INIT(QUEUE, d, a, u + 2) < 0);
	assert_int_equal(INIT(QUEUE, end - 16 * QUEUE, a, u), 0);
	assert_true(INIT(QUEUE, end - 16 * QUEUE + 16, a, u) < 0);
	assert_int_equal(INIT(QUEUE, d, end - (6 + 2 * QUEUE), u), 0);
	assert_true(INIT(QUEUE, d, end - (6 + 2 * QUEUE) + 2, u) < 0);
	assert_int_equal(INIT(QUEUE, d, a, align_down(end - (6 + 8 * QUEUE), 4)), 0);
	assert_true(INIT(QUEUE, d, a, align_down(end - (6 + 8 * QUEUE), 4) + 4) < 0);
	assert_true(INIT(QUEUE, UINT64_MAX - 15, a, u) < 0);
	/* A ring across two banks is not contiguous for us. */
	assert_true(INIT(QUEUE, RAM - 16, a, u) < 0);
#undef INIT
}

/*
 * Anything at all in the rings: no crash, no hang, no address outside RAM. Whether a chain is
 * accepted is not the question here.
 */
static void random_rings(void **state)
{
	struct fixture *f = *state;

	srandom(1);
	for (unsigned round = 0; round < 20000; round++) {
		start(f, F_INDIRECT | (round & 1 ? F_EVENT_IDX : 0));
		for (unsigned i = 0; i < QUEUE; i++) {
			f->drv.desc[i] = (struct vring_desc){
				.addr = random() & 3 ? (uint64_t)random() % RAM
						     : (uint64_t)random() << 20,
				.len = random() & 3 ? (uint32_t)random() % 64 : (uint32_t)random(),
				.flags = (uint16_t)(random() & (random() & 1 ? 7 : 3)),
				.next = (uint16_t)(random() % (QUEUE + 1)),
			};
			f->drv.avail->ring[i] = (uint16_t)(random() % (QUEUE + 1));
		}
		f->drv.avail_idx = (uint16_t)(random() % (QUEUE + 2));
		(void)vring_driver_expose(&f->drv);
		(void)virtqueue_fetch(&f->vq);
		while (pop(f)) {
			unsigned count = f->chain.readable + f->chain.writable;

			assert_in_range(count, 1, QUEUE);
			for (unsigned i = 0; i < count; i++)
				memset(f->iov[i].iov_base, 0, MIN(f->iov[i].iov_len, 64));
			virtqueue_push(&f->vq, f->chain.head, 0);
		}
		if (virtqueue_publish(&f->vq))
			continue;
	}
}

/* --- two threads --- */

#define STRESS_CHAINS 200000u
#define STRESS_LOST   20 /* seconds without a bell: it was lost */

/*
 * The doorbell and the interrupt of the two sides. No lock and little sleep: what a side stored
 * before it looks for the bell must be made visible by the queue's own barriers.
 */
struct bell {
	atomic_bool rung;
};

static void bell_ring(struct bell *b)
{
	atomic_store_explicit(&b->rung, true, memory_order_release);
}

static void bell_wait(struct bell *b)
{
	time_t start = time(NULL);

	for (unsigned spins = 0; !atomic_exchange_explicit(&b->rung, false, memory_order_acquire);
	     spins++) {
		if (spins % 1000 == 999)
			sched_yield();
		if (spins % 1000000 == 999999 && time(NULL) - start > STRESS_LOST) {
			fputs("a doorbell or an interrupt was lost\n", stderr);
			abort();
		}
	}
}

struct stress {
	struct fixture *f;
	struct bell doorbell, interrupt;
};

static void *stress_device(void *arg)
{
	struct stress *s = arg;
	struct fixture *f = s->f;
	unsigned done = 0;

	while (done < STRESS_CHAINS) {
		bell_wait(&s->doorbell);
		do {
			virtqueue_doorbell_off(&f->vq);
			virtqueue_fetch(&f->vq);
			while (pop(f)) {
				uint32_t in, *out = f->iov[1].iov_base;

				memcpy(&in, f->iov[0].iov_base, sizeof(in));
				*out = ~in;
				virtqueue_push(&f->vq, f->chain.head, sizeof(*out));
				done++;
			}
			if (virtqueue_publish(&f->vq))
				bell_ring(&s->interrupt);
		} while (virtqueue_doorbell_on(&f->vq));
		if (f->vq.broken)
			break;
	}
	return NULL;
}

/* A lost doorbell or interrupt hangs this test; a torn chain fails it. */
static void stress(struct fixture *f, uint64_t features)
{
	struct stress s = { .f = f };
	unsigned added = 0, taken = 0;
	pthread_t device;

	start(f, features);
	assert_int_equal(pthread_create(&device, NULL, stress_device, &s), 0);
	while (taken < STRESS_CHAINS) {
		uint16_t head;
		uint32_t len;

		while (added < STRESS_CHAINS && f->drv.free_count >= 2) {
			uint64_t slot = DATA + 8 * f->drv.free_head;
			uint32_t *data = mem_ptr(&f->mem, slot, 8);

			data[0] = added++;
			data[1] = 0;
			vring_driver_add(&f->drv,
					 (struct vring_buf[]){ { slot, 4, false },
							       { slot + 4, 4, true } },
					 2);
			if (random() & 1)
				break;
		}
		if (vring_driver_expose(&f->drv))
			bell_ring(&s.doorbell);
		if (f->drv.event_idx)
			vring_driver_want_interrupt_after(&f->drv, f->drv.used_seen);
		if (!vring_driver_take(&f->drv, &head, &len)) {
			/* Often with one chain outstanding: nothing later makes up for it then. */
			if (added == STRESS_CHAINS || f->drv.free_count < 2 ||
			    (added > taken && random() & 3))
				bell_wait(&s.interrupt);
			continue;
		}
		do {
			uint32_t *data = mem_ptr(&f->mem, DATA + 8 * head, 8);

			assert_int_equal(len, 4);
			assert_int_equal(data[1], ~data[0]);
			taken++;
		} while (vring_driver_take(&f->drv, &head, &len));
	}
	pthread_join(device, NULL);
	assert_false(f->vq.broken);
}

static void two_threads_with_flags(void **state)
{
	stress(*state, 0);
}

static void two_threads_with_event_idx(void **state)
{
	stress(*state, F_EVENT_IDX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(chain_becomes_readable_then_writable_iovecs),
		TEST(chains_are_pushed_in_any_order),
		TEST(chain_may_fill_the_whole_queue),
		TEST(indirect_table_may_fill_the_whole_queue),
		TEST(direct_descriptors_may_end_in_an_indirect_one),
		TEST(pop_sees_only_what_was_fetched),
		TEST(single_huge_segment),
		TEST(doorbell_off_and_on_by_flag),
		TEST(doorbell_off_and_on_by_event_idx),
		TEST(buffers_left_on_purpose_are_no_reason_to_look_again),
		TEST(no_interrupt_flag_suppresses),
		TEST(one_interrupt_for_a_batch_that_passes_used_event),
		TEST(event_idx_wraps),
		TEST(chain_self_loop),
		TEST(chain_loops_through_indirect_table),
		TEST(indirect_chain_longer_than_the_queue),
		TEST(indirect_inside_indirect),
		TEST(indirect_with_next),
		TEST(indirect_not_negotiated),
		TEST(indirect_table_of_broken_size),
		TEST(indirect_table_outside_ram),
		TEST(next_outside_the_table),
		TEST(head_outside_the_table),
		TEST(desc_outside_ram),
		TEST(desc_of_length_zero),
		TEST(chain_longer_than_four_gib),
		TEST(writable_before_readable),
		TEST(avail_idx_jump),
		TEST(same_chain_made_available_twice),
		TEST(rings_must_be_aligned_and_in_ram),
		TEST(random_rings),
		TEST(two_threads_with_flags),
		TEST(two_threads_with_event_idx),
	};

	return cmocka_run_group_tests_name("virtqueue", tests, NULL, NULL);
}
