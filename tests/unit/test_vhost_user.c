/* SPDX-License-Identifier: Apache-2.0 */
/* The vhost-user protocol against a back end that serves, and against ones that do not. */
#include "cmocka_all.h"

#include <dirent.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/sys.h"
#include "devices/vhost/vhost_user.h"
#include "vhost_backend.h"
#include "vring_driver.h"

#define TIMEOUT_MS 20000
#define RINGS      0x1000u
#define RING_SIZE  16u
#define DATA       0x10000u
#define NEEDED     (1ull << VHOST_USER_PROTOCOL_F_CONFIG)

struct fixture {
	struct vhost_backend backend;
	struct vhost_user vu;
	struct guest_mem mem;
	struct vring_driver drv;
	int kick, call;
};

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));

	guest_mem_init(&f->mem);
	f->mem.shared = true;
	assert_int_equal(guest_mem_add(&f->mem, 0, 2 * MiB), 0);
	assert_int_equal(guest_mem_add(&f->mem, 4 * GiB, 2 * MiB), 0);
	f->kick = sys_eventfd();
	f->call = sys_eventfd();
	f->vu.fd = -1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	vhost_user_close(&f->vu);
	vhost_backend_stop(&f->backend);
	guest_mem_fini(&f->mem);
	close_fd(&f->kick);
	close_fd(&f->call);
	test_free(f);
	return 0;
}

static int open_it(struct fixture *f, unsigned timeout_ms)
{
	vhost_backend_start(&f->backend);
	return vhost_user_open(&f->vu, f->backend.fd, "the disk", NEEDED, timeout_ms);
}

static int start(struct fixture *f, uint64_t features)
{
	struct vhost_user_ring ring = { .size = RING_SIZE, .kick_fd = f->kick, .call_fd = f->call };
	int r = vhost_user_set_mem(&f->vu, &f->mem);

	vring_driver_init(&f->drv, &f->mem, 4 * GiB + RINGS, RING_SIZE);
	f->drv.event_idx = features & F_EVENT_IDX;
	ring.desc = f->drv.desc_gpa;
	ring.avail = f->drv.avail_gpa;
	ring.used = f->drv.used_gpa;
	if (r == 0)
		r = vhost_user_set_features(&f->vu, features);
	return r < 0 ? r : vhost_user_start_ring(&f->vu, 0, &ring);
}

static void wait_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, TIMEOUT_MS), 1);
}

/* One request of one sector, in the second bank but for the header. */
static uint8_t request(struct fixture *f, uint32_t type, uint64_t sector, int call)
{
	const struct virtio_blk_outhdr hdr = { .type = type, .sector = sector };
	const struct vring_buf bufs[] = {
		{ DATA, sizeof(hdr), false },
		{ 4 * GiB + DATA, 512, type == VIRTIO_BLK_T_IN },
		{ 4 * GiB + DATA + 512, 1, true },
	};
	uint8_t *status = mem_ptr(&f->mem, 4 * GiB + DATA + 512, 1);
	uint16_t head;
	uint32_t len;

	*status = 0xff;
	if (f->drv.event_idx)
		vring_driver_want_interrupt_after(&f->drv, f->drv.used_seen);
	assert_true(mem_write(&f->mem, DATA, &hdr, sizeof(hdr)));
	vring_driver_add(&f->drv, bufs, ARRAY_SIZE(bufs));
	if (vring_driver_expose(&f->drv))
		sys_eventfd_signal(f->kick);
	wait_readable(call);
	sys_eventfd_drain(call);
	assert_true(vring_driver_take(&f->drv, &head, &len));
	return *status;
}

static void serves_reads_and_writes(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = mem_ptr(&f->mem, 4 * GiB + DATA, 512);
	uint16_t base;

	assert_int_equal(open_it(f, TIMEOUT_MS), 0);
	assert_int_equal(f->vu.features, VHOST_BACKEND_FEATURES);
	assert_int_equal(f->vu.queues, VHOST_BACKEND_QUEUES);
	assert_int_equal(f->vu.protocol, 1 | 1 << VHOST_USER_PROTOCOL_F_REPLY_ACK | NEEDED);
	assert_int_equal(start(f, 1ull << VIRTIO_F_VERSION_1 | F_EVENT_IDX), 0);
	assert_int_equal(f->backend.driver_features,
			 1ull << VIRTIO_F_VERSION_1 | F_EVENT_IDX | 1ull << 30);
	sys_eventfd_drain(f->call);
	memset(data, 0x5a, 512);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 3, f->call), VIRTIO_BLK_S_OK);
	assert_int_equal(f->backend.disk[3 * 512 + 511], 0x5a);
	memset(f->backend.disk + 512, 0xa5, 512);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 1, f->call), VIRTIO_BLK_S_OK);
	assert_int_equal(data[511], 0xa5);
	assert_int_equal(vhost_user_stop_ring(&f->vu, 0, &base), 0);
	assert_int_equal(base, 2);
}

static void interrupts_go_where_they_were_last_sent(void **state)
{
	struct fixture *f = *state;
	int other = sys_eventfd();

	assert_int_equal(open_it(f, TIMEOUT_MS), 0);
	assert_int_equal(start(f, 1ull << VIRTIO_F_VERSION_1), 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 1, f->call), VIRTIO_BLK_S_OK);
	assert_int_equal(vhost_user_set_call(&f->vu, 0, other), 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 1, other), VIRTIO_BLK_S_OK);
	assert_int_equal(sys_eventfd_drain(f->call), 0);
	close(other);
}

static void starts_again_after_a_stop(void **state)
{
	struct fixture *f = *state;
	uint16_t base;

	assert_int_equal(open_it(f, TIMEOUT_MS), 0);
	assert_int_equal(start(f, 1ull << VIRTIO_F_VERSION_1), 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 1, f->call), VIRTIO_BLK_S_OK);
	for (unsigned i = 0; i < 3; i++) {
		struct vhost_user_ring ring = { RING_SIZE,       f->drv.desc_gpa, f->drv.avail_gpa,
						f->drv.used_gpa, f->kick,         f->call };

		assert_int_equal(vhost_user_stop_ring(&f->vu, 0, &base), 0);
		assert_int_equal(base, 1);
		vring_driver_init(&f->drv, &f->mem, 4 * GiB + RINGS, RING_SIZE);
		assert_int_equal(vhost_user_set_features(&f->vu, 1ull << VIRTIO_F_VERSION_1), 0);
		assert_int_equal(vhost_user_start_ring(&f->vu, 0, &ring), 0);
		assert_int_equal(request(f, VIRTIO_BLK_T_IN, 1, f->call), VIRTIO_BLK_S_OK);
	}
}

static void configuration_is_read_and_written(void **state)
{
	struct fixture *f = *state;
	struct virtio_blk_config config = { 0 };
	uint8_t wce = 1;

	assert_int_equal(open_it(f, TIMEOUT_MS), 0);
	assert_int_equal(vhost_user_get_config(&f->vu, &config, 60), 0);
	assert_int_equal(config.capacity, VHOST_BACKEND_SECTORS);
	assert_int_equal(vhost_user_set_config(&f->vu, offsetof(struct virtio_blk_config, wce),
					       &wce, 1),
			 0);
	/* A message that is answered comes after those that are not. */
	assert_int_equal(vhost_user_get_config(&f->vu, &config, 8), 0);
	assert_int_equal(f->backend.wce, 1);
}

static void plain_back_end_without_acknowledgements(void **state)
{
	struct fixture *f = *state;

	f->backend.protocol = NEEDED;
	assert_int_equal(open_it(f, TIMEOUT_MS), 0);
	assert_int_equal(f->vu.queues, 1);
	assert_int_equal(f->vu.protocol, NEEDED);
	assert_int_equal(start(f, 1ull << VIRTIO_F_VERSION_1), 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 1, f->call), VIRTIO_BLK_S_OK);
}

static void back_end_that_lacks_what_is_needed(void **state)
{
	struct fixture *f = *state;

	f->backend.protocol = 1ull << VHOST_USER_PROTOCOL_F_REPLY_ACK;
	assert_int_equal(open_it(f, TIMEOUT_MS), -EPROTO);
	assert_string_equal(err_text(), "the disk lacks protocol features 0x200");
	assert_int_equal(f->vu.fd, -1);
}

static void old_back_end_without_protocol_features(void **state)
{
	struct fixture *f = *state;

	f->backend.features = VHOST_BACKEND_FEATURES & ~(1ull << 30);
	assert_int_equal(open_it(f, TIMEOUT_MS), -EPROTO);
}

static int everything(struct fixture *f)
{
	uint8_t config[16], wce = 0;
	uint16_t base;
	int r = vhost_user_get_config(&f->vu, config, sizeof(config));

	if (r == 0)
		r = vhost_user_set_config(&f->vu, offsetof(struct virtio_blk_config, wce), &wce, 1);
	if (r == 0)
		r = start(f, 1ull << VIRTIO_F_VERSION_1);
	return r < 0 ? r : vhost_user_stop_ring(&f->vu, 0, &base);
}

static unsigned open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* A fault in the course of everything, with a fresh back end each time; what comes of it. */
static int with_fault(enum vhost_fault fault, unsigned at, unsigned timeout_ms)
{
	const unsigned files = open_files();
	struct fixture *f;
	void *state;
	int r;

	setup(&state);
	f = state;
	f->backend.fault = fault;
	f->backend.fault_at = at;
	r = open_it(f, timeout_ms);
	if (r == 0)
		r = everything(f);
	teardown(&state);
	assert_int_equal(open_files(), files);
	return r;
}

static const unsigned with_reply[] = { GET_FEATURES, GET_PROTOCOL_FEATURES, GET_QUEUE_NUM,
				       GET_VRING_BASE, GET_CONFIG };
static const unsigned acknowledged[] = { SET_FEATURES,   SET_MEM_TABLE,    SET_VRING_NUM,
					 SET_VRING_ADDR, SET_VRING_BASE,   SET_VRING_KICK,
					 SET_VRING_CALL, SET_VRING_ENABLE, SET_CONFIG };
static const unsigned silent[] = { SET_OWNER, SET_PROTOCOL_FEATURES };

static void death_at_each_message_is_an_error(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(with_reply); i++)
		assert_int_equal(with_fault(VHOST_FAULT_DIE, with_reply[i], TIMEOUT_MS),
				 -ECONNRESET);
	for (unsigned i = 0; i < ARRAY_SIZE(acknowledged); i++)
		assert_int_equal(with_fault(VHOST_FAULT_DIE, acknowledged[i], TIMEOUT_MS),
				 -ECONNRESET);
	for (unsigned i = 0; i < ARRAY_SIZE(silent); i++)
		assert_int_equal(with_fault(VHOST_FAULT_DIE, silent[i], TIMEOUT_MS), -ECONNRESET);
	assert_string_equal(err_text(), "the disk closed the connection");
}

static void replies_that_make_no_sense_are_errors(void **state)
{
	static const enum vhost_fault faults[] = { VHOST_FAULT_OTHER, VHOST_FAULT_NO_FLAG,
						   VHOST_FAULT_SHORT, VHOST_FAULT_HUGE };

	for (unsigned k = 0; k < ARRAY_SIZE(faults); k++) {
		for (unsigned i = 0; i < ARRAY_SIZE(with_reply); i++)
			assert_int_equal(with_fault(faults[k], with_reply[i], TIMEOUT_MS), -EPROTO);
		for (unsigned i = 0; i < ARRAY_SIZE(acknowledged); i++)
			assert_int_equal(with_fault(faults[k], acknowledged[i], TIMEOUT_MS),
					 -EPROTO);
	}
	assert_int_equal(with_fault(VHOST_FAULT_WRONG, GET_VRING_BASE, TIMEOUT_MS), -EPROTO);
	assert_int_equal(with_fault(VHOST_FAULT_WRONG, GET_CONFIG, TIMEOUT_MS), -EPROTO);
	assert_string_equal(err_text(), "the disk broke the vhost-user protocol: "
					"wrong content of the reply to message 24");
}

static void silence_is_an_error_in_time(void **state)
{
	assert_int_equal(with_fault(VHOST_FAULT_SILENCE, GET_FEATURES, 50), -ETIMEDOUT);
	assert_int_equal(with_fault(VHOST_FAULT_HALF, GET_FEATURES, 50), -ETIMEDOUT);
	assert_int_equal(with_fault(VHOST_FAULT_SILENCE, SET_MEM_TABLE, 200), -ETIMEDOUT);
	assert_non_null(strstr(err_text(), "the disk does not answer message"));
}

static void refusal_is_an_error(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(acknowledged); i++)
		assert_int_equal(with_fault(VHOST_FAULT_REFUSE, acknowledged[i], TIMEOUT_MS), -EIO);
	assert_string_equal(err_text(), "the disk refused message 25");
}

static void files_from_the_back_end_are_dropped(void **state)
{
	assert_int_equal(with_fault(VHOST_FAULT_FILES, GET_FEATURES, TIMEOUT_MS), 0);
	assert_int_equal(with_fault(VHOST_FAULT_FILES, SET_MEM_TABLE, TIMEOUT_MS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(serves_reads_and_writes, setup, teardown),
		cmocka_unit_test_setup_teardown(interrupts_go_where_they_were_last_sent, setup,
						teardown),
		cmocka_unit_test_setup_teardown(starts_again_after_a_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(configuration_is_read_and_written, setup, teardown),
		cmocka_unit_test_setup_teardown(plain_back_end_without_acknowledgements, setup,
						teardown),
		cmocka_unit_test_setup_teardown(back_end_that_lacks_what_is_needed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(old_back_end_without_protocol_features, setup,
						teardown),
		cmocka_unit_test(death_at_each_message_is_an_error),
		cmocka_unit_test(replies_that_make_no_sense_are_errors),
		cmocka_unit_test(silence_is_an_error_in_time),
		cmocka_unit_test(refusal_is_an_error),
		cmocka_unit_test(files_from_the_back_end_are_dropped),
	};

	return cmocka_run_group_tests_name("vhost_user", tests, NULL, NULL);
}
