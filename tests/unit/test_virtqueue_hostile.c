/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a split virtqueue against a hostile driver: the queue breaks, nothing else
 * does. [virtio-1.2 2.7 Split Virtqueues]
 */
#include <stdlib.h>

#include "cmocka_all.h"
#include "vq_pair.h"

/* The device pops nothing from what was exposed, and the queue stays broken. */
static void assert_breaks(struct vq_pair *f)
{
	(void)vring_driver_expose(&f->drv);
	(void)virtqueue_fetch(&f->vq);
	assert_false(vq_pair_pop(f));
	assert_true(f->vq.broken);
	assert_false(virtqueue_fetch(&f->vq));
	assert_false(vq_pair_pop(f));
}

static void chain_self_loop(void **state)
{
	struct vq_pair *f = *state;

	f->drv.desc[3] = (struct vring_desc){ PAIR_DATA, 16, VRING_DESC_F_NEXT, 3 };
	vring_driver_add_head(&f->drv, 3);
	assert_breaks(f);
}

static void chain_loops_through_indirect_table(void **state)
{
	struct vq_pair *f = *state;
	struct vring_desc *table = mem_ptr(&f->mem, PAIR_TABLE, 2 * sizeof(*table));

	vring_driver_add_indirect(&f->drv, PAIR_TABLE,
				  (struct vring_buf[]){ { PAIR_DATA, 4, false },
							{ PAIR_DATA, 4, false } },
				  2);
	table[1].flags = VRING_DESC_F_NEXT;
	table[1].next = 0;
	assert_breaks(f);
}

static void indirect_chain_longer_than_the_queue(void **state)
{
	struct vq_pair *f = *state;
	struct vring_buf bufs[PAIR_QUEUE + 1];

	for (unsigned i = 0; i <= PAIR_QUEUE; i++)
		bufs[i] = (struct vring_buf){ PAIR_DATA, 4, true };
	vring_driver_add_indirect(&f->drv, PAIR_TABLE, bufs, PAIR_QUEUE + 1);
	assert_breaks(f);
}

static void indirect_inside_indirect(void **state)
{
	struct vq_pair *f = *state;
	struct vring_desc *table = mem_ptr(&f->mem, PAIR_TABLE, 2 * sizeof(*table));

	vring_driver_add_indirect(&f->drv, PAIR_TABLE, &(struct vring_buf){ PAIR_TABLE, 32, false },
				  1);
	table[0].flags = VRING_DESC_F_INDIRECT;
	assert_breaks(f);
}

static void indirect_with_next(void **state)
{
	struct vq_pair *f = *state;

	vring_driver_add_indirect(&f->drv, PAIR_TABLE, &(struct vring_buf){ PAIR_DATA, 4, false },
				  1);
	f->drv.desc[0].flags |= VRING_DESC_F_NEXT;
	assert_breaks(f);
}

static void indirect_not_negotiated(void **state)
{
	struct vq_pair *f = *state;

	vq_pair_start(f, 0);
	vring_driver_add_indirect(&f->drv, PAIR_TABLE, &(struct vring_buf){ PAIR_DATA, 4, false },
				  1);
	assert_breaks(f);
}

static void indirect_table_of_broken_size(void **state)
{
	static const uint32_t sizes[] = { 0, 15, 17, UINT32_MAX };
	struct vq_pair *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		vq_pair_start(f, F_INDIRECT);
		vring_driver_add_indirect(&f->drv, PAIR_TABLE,
					  &(struct vring_buf){ PAIR_DATA, 4, false }, 1);
		f->drv.desc[0].len = sizes[i];
		assert_breaks(f);
	}
}

static void indirect_table_outside_ram(void **state)
{
	struct vq_pair *f = *state;

	vring_driver_add_indirect(&f->drv, PAIR_TABLE, &(struct vring_buf){ PAIR_DATA, 4, false },
				  1);
	f->drv.desc[0].addr = PAIR_RAM + PAIR_HIGH_SIZE;
	assert_breaks(f);
}

static void next_outside_the_table(void **state)
{
	struct vq_pair *f = *state;

	f->drv.desc[0] = (struct vring_desc){ PAIR_DATA, 16, VRING_DESC_F_NEXT, PAIR_QUEUE };
	vring_driver_add_head(&f->drv, 0);
	assert_breaks(f);

	vq_pair_start(f, F_INDIRECT);
	vring_driver_add_indirect(&f->drv, PAIR_TABLE, &(struct vring_buf){ PAIR_DATA, 4, false },
				  1);
	((struct vring_desc *)mem_ptr(&f->mem, PAIR_TABLE, 16))->flags = VRING_DESC_F_NEXT;
	((struct vring_desc *)mem_ptr(&f->mem, PAIR_TABLE, 16))->next = 1;
	assert_breaks(f);
}

static void head_outside_the_table(void **state)
{
	struct vq_pair *f = *state;

	vring_driver_add_head(&f->drv, PAIR_QUEUE);
	assert_breaks(f);
}

static void desc_outside_ram(void **state)
{
	static const struct vring_buf bufs[] = {
		{ PAIR_RAM + PAIR_HIGH_SIZE, 1, true },     /* just behind */
		{ PAIR_RAM + PAIR_HIGH_SIZE - 1, 2, true }, /* across the end */
		{ UINT64_MAX, 1, true },                    /* the last byte there is */
		{ UINT64_MAX - 3, 16, true },               /* wraps */
		{ 0, UINT32_MAX, true },                    /* larger than PAIR_RAM */
		{ PAIR_RAM - 8, 16, true },                 /* across two banks */
	};
	struct vq_pair *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bufs); i++) {
		vq_pair_start(f, F_INDIRECT);
		vring_driver_add(&f->drv, &bufs[i], 1);
		assert_breaks(f);
	}
}

static void desc_of_length_zero(void **state)
{
	struct vq_pair *f = *state;

	vring_driver_add(&f->drv, &(struct vring_buf){ PAIR_DATA, 0, true }, 1);
	assert_breaks(f);
}

static void chain_longer_than_four_gib(void **state)
{
	struct vq_pair *f = *state;
	struct vring_buf bufs[] = { { PAIR_HIGH_BANK, PAIR_HIGH_SIZE, true },
				    { PAIR_HIGH_BANK, PAIR_HIGH_SIZE, true },
				    { PAIR_HIGH_BANK, PAIR_HIGH_SIZE, true },
				    { PAIR_HIGH_BANK, PAIR_HIGH_SIZE, true },
				    { PAIR_HIGH_BANK, 1, true } };

	vring_driver_add(&f->drv, bufs, 4);
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	assert_true(vq_pair_pop(f));
	vq_pair_start(f, 0);
	vring_driver_add(&f->drv, bufs, 5);
	assert_breaks(f);
}

static void writable_before_readable(void **state)
{
	struct vq_pair *f = *state;

	vring_driver_add(&f->drv,
			 (struct vring_buf[]){ { PAIR_DATA, 4, true }, { PAIR_DATA, 4, false } },
			 2);
	assert_breaks(f);
}

static void avail_idx_jump(void **state)
{
	struct vq_pair *f = *state;

	f->drv.avail_idx = PAIR_QUEUE; /* as many as fit are fine */
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));

	vq_pair_start(f, 0);
	f->drv.avail_idx = PAIR_QUEUE + 1;
	assert_breaks(f);

	vq_pair_start(f, 0);
	f->drv.avail_idx = UINT16_MAX; /* backwards */
	assert_breaks(f);
}

static void same_chain_made_available_twice(void **state)
{
	struct vq_pair *f = *state;

	vq_pair_add_writable(f);
	vring_driver_add_head(&f->drv, 0);
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	assert_true(vq_pair_pop(f));
	assert_false(vq_pair_pop(f));
	assert_true(f->vq.broken);
	/* What was popped before can still be given back. */
	virtqueue_push(&f->vq, f->chain.head, 0);
	assert_true(virtqueue_publish(&f->vq));
}

static void rings_must_be_aligned_and_in_ram(void **state)
{
	struct vq_pair *f = *state;
	struct virtqueue vq = { 0 };
	const uint64_t d = 0x1000, a = 0x2000, u = 0x3000, end = PAIR_RAM + PAIR_HIGH_SIZE;

#define INIT(size, desc, avail, used) \
	virtqueue_init(&vq, "test", &f->mem, (size), (desc), (avail), (used))
	assert_int_equal(INIT(PAIR_QUEUE, d, a, u), 0);
	assert_int_equal(INIT(VIRTQUEUE_SIZE_MAX, 0x1000, 0x6000, 0x8000), 0);
	assert_true(INIT(0, d, a, u) < 0);
	assert_true(INIT(3, d, a, u) < 0);
	assert_true(INIT(2 * VIRTQUEUE_SIZE_MAX, d, a, u) < 0);
	assert_true(INIT(PAIR_QUEUE, d + 8, a, u) < 0);
	assert_true(INIT(PAIR_QUEUE, d, a + 1, u) < 0);
	assert_true(INIT(PAIR_QUEUE, d, a, u + 2) < 0);
	assert_int_equal(INIT(PAIR_QUEUE, end - 16 * PAIR_QUEUE, a, u), 0);
	assert_true(INIT(PAIR_QUEUE, end - 16 * PAIR_QUEUE + 16, a, u) < 0);
	assert_int_equal(INIT(PAIR_QUEUE, d, end - (6 + 2 * PAIR_QUEUE), u), 0);
	assert_true(INIT(PAIR_QUEUE, d, end - (6 + 2 * PAIR_QUEUE) + 2, u) < 0);
	assert_int_equal(INIT(PAIR_QUEUE, d, a, align_down(end - (6 + 8 * PAIR_QUEUE), 4)), 0);
	assert_true(INIT(PAIR_QUEUE, d, a, align_down(end - (6 + 8 * PAIR_QUEUE), 4) + 4) < 0);
	assert_true(INIT(PAIR_QUEUE, UINT64_MAX - 15, a, u) < 0);
	/* A ring across two banks is not contiguous for us. */
	assert_true(INIT(PAIR_QUEUE, PAIR_RAM - 16, a, u) < 0);
#undef INIT
}

/*
 * Anything at all in the rings: no crash, no hang, no address outside RAM. Whether a chain is
 * accepted is not the question here.
 */
static void random_rings(void **state)
{
	struct vq_pair *f = *state;

	srandom(1);
	for (unsigned round = 0; round < 20000; round++) {
		vq_pair_start(f, F_INDIRECT | (round & 1 ? F_EVENT_IDX : 0));
		for (unsigned i = 0; i < PAIR_QUEUE; i++) {
			f->drv.desc[i] = (struct vring_desc){
				.addr = random() & 3 ? (uint64_t)random() % PAIR_RAM
						     : (uint64_t)random() << 20,
				.len = random() & 3 ? (uint32_t)random() % 64 : (uint32_t)random(),
				.flags = (uint16_t)(random() & (random() & 1 ? 7 : 3)),
				.next = (uint16_t)(random() % (PAIR_QUEUE + 1)),
			};
			f->drv.avail->ring[i] = (uint16_t)(random() % (PAIR_QUEUE + 1));
		}
		f->drv.avail_idx = (uint16_t)(random() % (PAIR_QUEUE + 2));
		(void)vring_driver_expose(&f->drv);
		(void)virtqueue_fetch(&f->vq);
		while (vq_pair_pop(f)) {
			unsigned count = f->chain.readable + f->chain.writable;

			assert_in_range(count, 1, PAIR_QUEUE);
			for (unsigned i = 0; i < count; i++)
				memset(f->iov[i].iov_base, 0, MIN(f->iov[i].iov_len, 64));
			virtqueue_push(&f->vq, f->chain.head, 0);
		}
		if (virtqueue_publish(&f->vq))
			continue;
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vq_pair_setup, vq_pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	return cmocka_run_group_tests_name("virtqueue_hostile", tests, NULL, NULL);
}
