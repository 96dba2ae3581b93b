/* SPDX-License-Identifier: Apache-2.0 */
/* A virtqueue and its driver in the same process, for tests. */
#include "vq_pair.h"

#include "cmocka_all.h"
#include "core/log.h"

#define PAIR_RINGS 0x1000u

void vq_pair_start(struct vq_pair *f, uint64_t features)
{
	vring_driver_init(&f->drv, &f->mem, PAIR_RINGS, PAIR_QUEUE);
	f->drv.event_idx = features & F_EVENT_IDX;
	assert_int_equal(virtqueue_init(&f->vq, "test", &f->mem, PAIR_QUEUE, f->drv.desc_gpa,
					f->drv.avail_gpa, f->drv.used_gpa),
			 0);
	virtqueue_set_features(&f->vq, features);
}

int vq_pair_setup(void **state)
{
	struct vq_pair *f = test_calloc(1, sizeof(*f));

	log_set_level(LOG_ERROR);
	guest_mem_init(&f->mem);
	if (guest_mem_add(&f->mem, 0, PAIR_RAM) < 0 ||
	    guest_mem_add(&f->mem, PAIR_HIGH_BANK, PAIR_HIGH_SIZE) < 0)
		return -1;
	vq_pair_start(f, F_INDIRECT);
	*state = f;
	return 0;
}

int vq_pair_teardown(void **state)
{
	struct vq_pair *f = *state;

	guest_mem_fini(&f->mem);
	test_free(f);
	return 0;
}

bool vq_pair_pop(struct vq_pair *f)
{
	return virtqueue_pop(&f->vq, f->iov, &f->chain);
}

void vq_pair_add_writable(struct vq_pair *f)
{
	vring_driver_add(&f->drv, &(struct vring_buf){ PAIR_DATA, 16, true }, 1);
}
