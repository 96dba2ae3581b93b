/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a split virtqueue against a well-behaved driver: chains, doorbells and
 * interrupts. [virtio-1.2 2.7 Split Virtqueues]
 */
#include "cmocka_all.h"
#include "vq_pair.h"

/* --- chains --- */

static void chain_becomes_readable_then_writable_iovecs(void **state)
{
	struct vq_pair *f = *state;
	const struct vring_buf bufs[] = { { PAIR_DATA, 16, false },
					  { PAIR_DATA + 0x1000, 512, false },
					  { PAIR_DATA + 0x2000, 1, true } };
	uint16_t head = vring_driver_add(&f->drv, bufs, 3), used;
	uint32_t len;

	assert_true(vring_driver_expose(&f->drv));
	assert_true(virtqueue_fetch(&f->vq));
	assert_true(vq_pair_pop(f));
	assert_int_equal(f->chain.head, head);
	assert_int_equal(f->chain.readable, 2);
	assert_int_equal(f->chain.writable, 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_ptr_equal(f->iov[i].iov_base, mem_ptr(&f->mem, bufs[i].gpa, 1));
		assert_int_equal(f->iov[i].iov_len, bufs[i].len);
	}
	assert_false(vq_pair_pop(f));

	virtqueue_push(&f->vq, f->chain.head, 7);
	assert_false(vring_driver_take(&f->drv, &used, &len));
	assert_true(virtqueue_publish(&f->vq));
	assert_true(vring_driver_take(&f->drv, &used, &len));
	assert_int_equal(used, head);
	assert_int_equal(len, 7);
}

static void chains_are_pushed_in_any_order(void **state)
{
	struct vq_pair *f = *state;
	uint16_t heads[3], used;
	uint32_t len;

	for (unsigned i = 0; i < 3; i++)
		vq_pair_add_writable(f);
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	for (unsigned i = 0; i < 3; i++) {
		assert_true(vq_pair_pop(f));
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
	struct vq_pair *f = *state;
	struct vring_buf bufs[PAIR_QUEUE];

	for (unsigned i = 0; i < PAIR_QUEUE; i++)
		bufs[i] = (struct vring_buf){ PAIR_DATA + i * 64, 64, i >= 4 };
	vring_driver_add(&f->drv, bufs, PAIR_QUEUE);
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	assert_true(vq_pair_pop(f));
	assert_int_equal(f->chain.readable, 4);
	assert_int_equal(f->chain.writable, PAIR_QUEUE - 4);
}

static void indirect_table_may_fill_the_whole_queue(void **state)
{
	struct vq_pair *f = *state;
	struct vring_buf bufs[PAIR_QUEUE];

	for (unsigned i = 0; i < PAIR_QUEUE; i++)
		bufs[i] = (struct vring_buf){ PAIR_DATA + i * 64, 64, true };
	/* At an odd address: nothing demands that a table be aligned. */
	vring_driver_add_indirect(&f->drv, PAIR_TABLE + 8, bufs, PAIR_QUEUE);
	/* The device must ignore WRITE beside INDIRECT [virtio-1.2 2.7.5.3.2]. */
	f->drv.desc[0].flags |= VRING_DESC_F_WRITE;
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	assert_true(vq_pair_pop(f));
	assert_int_equal(f->chain.readable, 0);
	assert_int_equal(f->chain.writable, PAIR_QUEUE);
}

static void direct_descriptors_may_end_in_an_indirect_one(void **state)
{
	struct vq_pair *f = *state;
	struct vring_desc *table = mem_ptr(&f->mem, PAIR_TABLE, sizeof(*table));

	f->drv.desc[0] = (struct vring_desc){ PAIR_DATA, 16, VRING_DESC_F_NEXT, 1 };
	f->drv.desc[1] =
		(struct vring_desc){ PAIR_TABLE, sizeof(*table), VRING_DESC_F_INDIRECT, 0 };
	*table = (struct vring_desc){ PAIR_DATA + 16, 1, VRING_DESC_F_WRITE, 0 };
	vring_driver_add_head(&f->drv, 0);
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	assert_true(vq_pair_pop(f));
	assert_int_equal(f->chain.readable, 1);
	assert_int_equal(f->chain.writable, 1);
}

static void pop_sees_only_what_was_fetched(void **state)
{
	struct vq_pair *f = *state;

	vq_pair_add_writable(f);
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	vq_pair_add_writable(f);
	(void)vring_driver_expose(&f->drv);
	assert_true(vq_pair_pop(f));
	assert_false(vq_pair_pop(f));
	assert_true(virtqueue_fetch(&f->vq));
	assert_true(vq_pair_pop(f));
}

static void single_huge_segment(void **state)
{
	struct vq_pair *f = *state;
	const struct vring_buf buf = { 0x1000, PAIR_RAM - 0x1000, true };

	vring_driver_add(&f->drv, &buf, 1);
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	assert_true(vq_pair_pop(f));
	assert_int_equal(f->iov[0].iov_len, PAIR_RAM - 0x1000);
}

/* --- notifications --- */

static void doorbell_off_and_on_by_flag(void **state)
{
	struct vq_pair *f = *state;

	virtqueue_doorbell_off(&f->vq);
	vq_pair_add_writable(f);
	assert_false(vring_driver_expose(&f->drv));
	/* The driver added while the doorbell was off: nobody will ring. */
	assert_true(virtqueue_doorbell_on(&f->vq));
	assert_true(virtqueue_fetch(&f->vq));
	assert_false(virtqueue_doorbell_on(&f->vq));
	vq_pair_add_writable(f);
	assert_true(vring_driver_expose(&f->drv));
}

static void doorbell_off_and_on_by_event_idx(void **state)
{
	struct vq_pair *f = *state;

	vq_pair_start(f, F_EVENT_IDX);
	vq_pair_add_writable(f);
	assert_true(vring_driver_expose(&f->drv)); /* avail_event is 0 at the start */
	virtqueue_doorbell_off(&f->vq);
	assert_int_equal(f->drv.used->flags, 0); /* [virtio-1.2 2.7.10.2] */
	assert_true(virtqueue_fetch(&f->vq));
	vq_pair_add_writable(f);
	assert_false(vring_driver_expose(&f->drv));
	assert_true(virtqueue_doorbell_on(&f->vq));
	assert_true(virtqueue_fetch(&f->vq));
	assert_false(virtqueue_doorbell_on(&f->vq));
	assert_int_equal(vring_driver_avail_event(&f->drv), 2);
	vq_pair_add_writable(f);
	assert_true(vring_driver_expose(&f->drv));
}

static void buffers_left_on_purpose_are_no_reason_to_look_again(void **state)
{
	struct vq_pair *f = *state;

	vq_pair_add_writable(f);
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	assert_false(virtqueue_doorbell_on(&f->vq)); /* seen, not popped */
	assert_true(vq_pair_pop(f));
}

static void no_interrupt_flag_suppresses(void **state)
{
	struct vq_pair *f = *state;

	assert_false(virtqueue_publish(&f->vq)); /* nothing to show */
	f->drv.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	vq_pair_add_writable(f);
	vq_pair_add_writable(f);
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	assert_true(vq_pair_pop(f));
	virtqueue_push(&f->vq, f->chain.head, 0);
	assert_false(virtqueue_publish(&f->vq));
	f->drv.avail->flags = 0;
	assert_true(vq_pair_pop(f));
	virtqueue_push(&f->vq, f->chain.head, 0);
	assert_true(virtqueue_publish(&f->vq));
}

static void one_interrupt_for_a_batch_that_passes_used_event(void **state)
{
	struct vq_pair *f = *state;

	vq_pair_start(f, F_EVENT_IDX);
	vring_driver_want_interrupt_after(&f->drv, 2);
	for (unsigned i = 0; i < 6; i++)
		vq_pair_add_writable(f);
	(void)vring_driver_expose(&f->drv);
	assert_true(virtqueue_fetch(&f->vq));
	for (unsigned batch = 0; batch < 3; batch++) {
		for (unsigned i = 0; i < 2; i++) {
			assert_true(vq_pair_pop(f));
			virtqueue_push(&f->vq, f->chain.head, 0);
		}
		/* Chains 0,1 then 2,3 then 4,5: only the second batch uses number 2. */
		assert_int_equal(virtqueue_publish(&f->vq), batch == 1);
	}
}

static void event_idx_wraps(void **state)
{
	struct vq_pair *f = *state;
	uint16_t head;
	uint32_t len;

	vq_pair_start(f, F_EVENT_IDX);
	for (unsigned i = 0; i < 3 * 65536; i++) {
		vring_driver_want_interrupt_after(&f->drv, f->drv.used_seen);
		vq_pair_add_writable(f);
		assert_true(vring_driver_expose(&f->drv));
		assert_true(virtqueue_fetch(&f->vq));
		assert_true(vq_pair_pop(f));
		virtqueue_push(&f->vq, f->chain.head, i);
		assert_true(virtqueue_publish(&f->vq));
		assert_true(vring_driver_take(&f->drv, &head, &len));
		assert_int_equal(len, i);
		assert_false(virtqueue_doorbell_on(&f->vq));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vq_pair_setup, vq_pair_teardown)

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
	};

	return cmocka_run_group_tests_name("virtqueue", tests, NULL, NULL);
}
