/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two sides of a split virtqueue on threads of their own: no doorbell, no interrupt and no
 * store may be lost. [virtio-1.2 2.7 Split Virtqueues]
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cmocka_all.h"
#include "vq_pair.h"

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
	struct vq_pair *f;
	struct bell doorbell, interrupt;
};

static void *stress_device(void *arg)
{
	struct stress *s = arg;
	struct vq_pair *f = s->f;
	unsigned done = 0;

	while (done < STRESS_CHAINS) {
		bell_wait(&s->doorbell);
		do {
			virtqueue_doorbell_off(&f->vq);
			virtqueue_fetch(&f->vq);
			while (vq_pair_pop(f)) {
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
static void stress(struct vq_pair *f, uint64_t features)
{
	struct stress s = { .f = f };
	unsigned added = 0, taken = 0;
	pthread_t device;

	vq_pair_start(f, features);
	assert_int_equal(pthread_create(&device, NULL, stress_device, &s), 0);
	while (taken < STRESS_CHAINS) {
		uint16_t head;
		uint32_t len;

		while (added < STRESS_CHAINS && f->drv.free_count >= 2) {
			uint64_t slot = PAIR_DATA + 8 * f->drv.free_head;
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
			uint32_t *data = mem_ptr(&f->mem, PAIR_DATA + 8 * head, 8);

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, vq_pair_setup, vq_pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(two_threads_with_flags),
		TEST(two_threads_with_event_idx),
	};

	return cmocka_run_group_tests_name("virtqueue_threads", tests, NULL, NULL);
}
