/* SPDX-License-Identifier: Apache-2.0 */
/* The entropy device as a driver sees it. [virtio-1.2 5.4 Entropy Device] */
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>

#include "cmocka_all.h"
#include "core/log.h"
#include "devices/virtio/virtio_rng.h"
#include "virtio_guest.h"

#define RINGS       0x1000u
#define DATA        0x100000u
#define QUEUE       8u
#define TIMEOUT     10000u
#define NOTHING     20u
#define REQUEST_MAX 4096u /* what one request is given at most */

struct fixture {
	struct virtio_guest guest;
	struct vring_driver drv;
};

static void drive(struct fixture *f, uint64_t features)
{
	virtio_guest_drive(&f->guest, features, &f->drv, RINGS, QUEUE);
}

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));
	struct pci_dev *dev;

	log_set_level(LOG_ERROR);
	virtio_guest_init(&f->guest);
	if (virtio_rng_create(&f->guest.board, &f->guest.loop, &dev) < 0)
		return -1;
	virtio_guest_plug(&f->guest, dev);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_guest_fini(&f->guest);
	test_free(f);
	return 0;
}

/* The number of bytes the device gave for a request of these buffers. */
static uint32_t ask(struct fixture *f, const struct vring_buf *bufs, unsigned count)
{
	uint16_t head = vring_driver_add(&f->drv, bufs, count), used = 0;
	uint32_t len = 0;

	if (vring_driver_expose(&f->drv))
		virtio_guest_ring(&f->guest, 0);
	assert_true(virtio_guest_wait_vector(&f->guest, 1, TIMEOUT));
	assert_true(vring_driver_take(&f->drv, &used, &len));
	assert_int_equal(used, head);
	return len;
}

static void identity(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(virtio_guest_config_read(&f->guest, PCI_VENDOR_ID, 4), 0x10441af4);
	assert_int_equal(virtio_guest_get(&f->guest, VIRTIO_PCI_COMMON_NUMQ, 2), 1);
	assert_int_equal(f->guest.device_cfg_len, 0); /* it has no configuration of its own */
}

static void fills_the_buffer_with_random_bytes(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = mem_ptr(&f->guest.mem, DATA, 256);
	unsigned zeroes = 0;

	drive(f, 0);
	assert_int_equal(ask(f, &(struct vring_buf){ DATA, 192, true }, 1), 192);
	for (unsigned i = 0; i < 192; i++)
		zeroes += data[i] == 0;
	assert_true(zeroes < 32);
	for (unsigned i = 192; i < 256; i++)
		assert_int_equal(data[i], 0);
}

static void fills_scattered_buffers_in_order(void **state)
{
	struct fixture *f = *state;
	const struct vring_buf bufs[] = { { DATA, 8, true },
					  { DATA + 0x1000, 8, true },
					  { DATA + 0x2000, 8, true } };

	drive(f, F_EVENT_IDX);
	assert_int_equal(ask(f, bufs, 3), 24);
	for (unsigned i = 0; i < 3; i++)
		assert_true(load_le(mem_ptr(&f->guest.mem, bufs[i].gpa, 8), 8) != 0);
}

static void huge_request_is_cut(void **state)
{
	struct fixture *f = *state;

	drive(f, 0);
	assert_int_equal(ask(f, &(struct vring_buf){ DATA, 32 * MiB, true }, 1), REQUEST_MAX);
	assert_true(load_le(mem_ptr(&f->guest.mem, DATA + REQUEST_MAX, 8), 8) == 0);
}

static void readable_buffers_get_nothing(void **state)
{
	struct fixture *f = *state;

	drive(f, 0);
	assert_int_equal(ask(f, &(struct vring_buf){ DATA, 64, false }, 1), 0);
	assert_int_equal(load_le(mem_ptr(&f->guest.mem, DATA, 8), 8), 0);
	assert_int_equal(ask(f,
			     (struct vring_buf[]){ { DATA, 64, false },
						   { DATA + 0x1000, 8, true } },
			     2),
			 8);
	assert_int_equal(load_le(mem_ptr(&f->guest.mem, DATA, 8), 8), 0);
}

static void many_requests_make_one_interrupt(void **state)
{
	struct fixture *f = *state;
	uint16_t head;
	uint32_t len;

	drive(f, F_EVENT_IDX);
	vring_driver_want_interrupt_after(&f->drv, QUEUE - 1);
	for (unsigned i = 0; i < QUEUE; i++)
		vring_driver_add(&f->drv, &(struct vring_buf){ DATA, 8, true }, 1);
	assert_true(vring_driver_expose(&f->drv));
	virtio_guest_ring(&f->guest, 0);
	assert_true(virtio_guest_wait_vector(&f->guest, 1, TIMEOUT));
	for (unsigned i = 0; i < QUEUE; i++)
		assert_true(vring_driver_take(&f->drv, &head, &len));
	assert_false(virtio_guest_wait_vector(&f->guest, 1, NOTHING));
}

static void works_again_after_a_reset(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 50; i++) {
		drive(f, i & 1 ? F_EVENT_IDX : 0);
		assert_int_equal(ask(f, &(struct vring_buf){ DATA, 8, true }, 1), 8);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identity),
		TEST(fills_the_buffer_with_random_bytes),
		TEST(fills_scattered_buffers_in_order),
		TEST(huge_request_is_cut),
		TEST(readable_buffers_get_nothing),
		TEST(many_requests_make_one_interrupt),
		TEST(works_again_after_a_reset),
	};

	return cmocka_run_group_tests_name("virtio_rng", tests, NULL, NULL);
}
