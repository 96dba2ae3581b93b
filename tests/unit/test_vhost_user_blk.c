/* SPDX-License-Identifier: Apache-2.0 */
/* A disk behind vhost-user, as a driver sees it: served, interrupted for, reset, lost. */
#include "cmocka_all.h"

#include <errno.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/child.h"
#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "devices/vhost/vhost_user_blk.h"
#include "devices/vhost/vhost_user_server.h"
#include "vhost_backend.h"
#include "virtio_guest.h"

#define TIMEOUT   20000u
#define RINGS(q)  (0x1000u + (q)*0x1000u)
#define RING_SIZE 16u
#define DATA      0x100000u
#define F_FLUSH   (1ull << VIRTIO_BLK_F_FLUSH)
#define F_MQ      (1ull << VIRTIO_BLK_F_MQ)

struct fixture {
	struct virtio_guest guest;
	struct vhost_backend backend;
	struct vring_driver drv[VHOST_BACKEND_QUEUES];
	struct vhost_user_dev *dev;
	struct child child;
	int server;
};

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));

	log_set_level(LOG_ERROR);
	virtio_guest_init(&f->guest);
	f->server = -1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_guest_fini(&f->guest);
	vhost_backend_stop(&f->backend);
	if (f->child.pid || f->child.complaints)
		child_fini(&f->child);
	test_free(f);
	return 0;
}

static void plug(struct fixture *f, unsigned queues)
{
	struct vhost_user_backend backend = { .server = f->server };
	struct pci_dev *dev;

	if (f->child.pid)
		backend.child = &f->child;
	vhost_backend_start(&f->backend);
	if (f->backend.listen_fd)
		f->backend.fd = vhost_user_connect(f->server);
	assert_int_equal(vhost_user_open(&backend.vu, f->backend.fd, "the disk",
					 VHOST_USER_BLK_NEEDED, TIMEOUT),
			 0);
	assert_int_equal(vhost_user_blk_create(&f->guest.board, &f->guest.loop, &backend, queues,
					       &dev),
			 0);
	f->dev = container_of(container_of(dev, struct virtio_pci, pci), struct vhost_user_dev,
			      vdev);
	virtio_guest_plug(&f->guest, dev);
}

static void drive(struct fixture *f, uint64_t features, bool msix)
{
	assert_true(virtio_guest_negotiate(&f->guest, features));
	if (msix)
		virtio_guest_enable_msix(&f->guest, 1);
	virtio_guest_setup_queue(&f->guest, 0, &f->drv[0], RINGS(0), RING_SIZE);
	virtio_guest_driver_ok(&f->guest);
}

static volatile uint8_t *status_of(struct fixture *f, unsigned slot)
{
	return mem_ptr(&f->guest.mem, DATA + slot * 0x1000 + 512 + 64, 1);
}

/* A request of one sector in memory of its own, shown and rung for. */
static void submit(struct fixture *f, unsigned queue, unsigned slot, uint32_t type, uint64_t sector)
{
	const uint64_t gpa = DATA + slot * 0x1000;
	const struct virtio_blk_outhdr hdr = { .type = type, .sector = sector };
	const struct vring_buf bufs[] = {
		{ gpa + 512, sizeof(hdr), false },
		{ gpa, 512, type == VIRTIO_BLK_T_IN },
		{ gpa + 512 + 64, 1, true },
	};

	*status_of(f, slot) = 0xff;
	assert_true(mem_write(&f->guest.mem, gpa + 512, &hdr, sizeof(hdr)));
	vring_driver_add(&f->drv[queue], bufs, ARRAY_SIZE(bufs));
	vring_driver_expose(&f->drv[queue]);
	virtio_guest_ring(&f->guest, queue);
}

static void take(struct fixture *f, unsigned queue, unsigned slot)
{
	uint16_t head;
	uint32_t len;

	for (unsigned i = 0; i < TIMEOUT && !vring_driver_take(&f->drv[queue], &head, &len); i++)
		usleep(1000);
	assert_int_equal(*status_of(f, slot), VIRTIO_BLK_S_OK);
}

static uint8_t status(struct fixture *f)
{
	return (uint8_t)virtio_guest_get(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1);
}

static void wait_status(struct fixture *f, uint8_t bit)
{
	for (unsigned i = 0; i < TIMEOUT && !(status(f) & bit); i++)
		usleep(1000);
	assert_true(status(f) & bit);
}

/* What the vector's eventfd counted: all that came without this process. */
static void vectors_are_signalled_by_the_back_end_itself(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = mem_ptr(&f->guest.mem, DATA, 512);

	plug(f, 1);
	drive(f, F_FLUSH, true);
	assert_int_equal(f->dev->rings[0].call.fd, f->dev->vdev.msix.vecs[1].eventfd);
	/* Nobody here listens for its doorbell or its interrupts any more. */
	loop_join_thread(&f->guest.loop);
	memset(data, 0x42, 512);
	submit(f, 0, 0, VIRTIO_BLK_T_OUT, 5);
	assert_true(virtio_guest_wait_vector(&f->guest, 1, TIMEOUT));
	take(f, 0, 0);
	assert_int_equal(f->backend.disk[5 * 512], 0x42);
	submit(f, 0, 1, VIRTIO_BLK_T_IN, 5);
	assert_true(virtio_guest_wait_vector(&f->guest, 1, TIMEOUT));
	take(f, 0, 1);
	assert_memory_equal(mem_ptr(&f->guest.mem, DATA + 0x1000, 512), data, 512);
	assert_int_equal(loop_start_thread(&f->guest.loop, "test-loop"), 0);
}

static void the_line_is_raised_without_msix(void **state)
{
	struct fixture *f = *state;

	plug(f, 1);
	drive(f, F_FLUSH, false);
	submit(f, 0, 0, VIRTIO_BLK_T_IN, 1);
	assert_true(virtio_guest_wait_line(&f->guest, true, TIMEOUT));
	take(f, 0, 0);
	assert_int_equal(virtio_guest_read(&f->guest, f->guest.isr, 1) & 1, 1);
	assert_true(virtio_guest_wait_line(&f->guest, false, TIMEOUT));
}

static void interrupts_follow_the_vector_while_it_runs(void **state)
{
	struct fixture *f = *state;

	plug(f, 1);
	drive(f, F_FLUSH, false);
	virtio_guest_enable_msix(&f->guest, 1);
	submit(f, 0, 0, VIRTIO_BLK_T_IN, 1);
	assert_true(virtio_guest_wait_vector(&f->guest, 1, TIMEOUT));
	take(f, 0, 0);
	/* To the vector of the configuration, which a driver may share. */
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
	virtio_guest_wait_vector(&f->guest, 0, 0);
	submit(f, 0, 1, VIRTIO_BLK_T_IN, 1);
	assert_true(virtio_guest_wait_vector(&f->guest, 0, TIMEOUT));
	take(f, 0, 1);
	/* And back to the line. */
	virtio_guest_config_write(&f->guest, f->guest.msix_cap + PCI_MSIX_FLAGS, 2, 0);
	submit(f, 0, 2, VIRTIO_BLK_T_IN, 1);
	assert_true(virtio_guest_wait_line(&f->guest, true, TIMEOUT));
	take(f, 0, 2);
	/* Without a vector nothing is interrupted for. */
	virtio_guest_config_write(&f->guest, f->guest.msix_cap + PCI_MSIX_FLAGS, 2,
				  PCI_MSIX_FLAGS_ENABLE);
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_Q_MSIX, 2, VIRTIO_MSI_NO_VECTOR);
	virtio_guest_wait_vector(&f->guest, 0, 0);
	submit(f, 0, 3, VIRTIO_BLK_T_IN, 1);
	take(f, 0, 3);
	assert_false(virtio_guest_wait_vector(&f->guest, 0, 20));
}

static void configuration_and_features_are_the_back_ends(void **state)
{
	struct fixture *f = *state;
	struct virtio_guest *g = &f->guest;

	plug(f, 2);
	assert_int_equal(virtio_guest_read(g, g->device_cfg, 8), VHOST_BACKEND_SECTORS);
	assert_int_equal(virtio_guest_read(g,
					   g->device_cfg +
						   offsetof(struct virtio_blk_config, num_queues),
					   2),
			 2);
	virtio_guest_set(g, VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	/* Neither the protocol's own bit nor the cache's, which is for us to set. */
	assert_int_equal(virtio_guest_get(g, VIRTIO_PCI_COMMON_DF, 4),
			 F_FLUSH | F_MQ | F_EVENT_IDX | F_INDIRECT);
	assert_false(virtio_guest_negotiate(g, 1ull << VIRTIO_BLK_F_CONFIG_WCE));
}

static void driver_that_cannot_flush_gets_stable_writes(void **state)
{
	struct fixture *f = *state;

	plug(f, 1);
	f->backend.wce = 0xff;
	drive(f, 0, true);
	assert_int_equal(f->backend.wce, 0);
	drive(f, F_FLUSH, true);
	assert_int_equal(f->backend.wce, 1);
}

static void queues_work_side_by_side(void **state)
{
	struct fixture *f = *state;

	plug(f, 8);
	assert_int_equal(virtio_guest_get(&f->guest, VIRTIO_PCI_COMMON_NUMQ, 2),
			 VHOST_BACKEND_QUEUES);
	assert_true(virtio_guest_negotiate(&f->guest, F_FLUSH | F_MQ));
	virtio_guest_enable_msix(&f->guest, 2);
	for (unsigned q = 0; q < 2; q++)
		virtio_guest_setup_queue(&f->guest, q, &f->drv[q], RINGS(q), RING_SIZE);
	virtio_guest_driver_ok(&f->guest);
	for (unsigned i = 0; i < 6; i++) {
		submit(f, i % 2, i, VIRTIO_BLK_T_IN, 1);
		assert_true(virtio_guest_wait_vector(&f->guest, 1 + i % 2, TIMEOUT));
		take(f, i % 2, i);
	}
}

static void *release_later(void *arg)
{
	struct fixture *f = arg;

	usleep(50 * 1000);
	assert_int_equal(*status_of(f, 0), 0xff);
	atomic_store(&f->backend.hold, false);
	vhost_backend_wake(&f->backend);
	return NULL;
}

static void reset_waits_for_what_is_in_flight(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;

	plug(f, 1);
	drive(f, F_FLUSH, true);
	atomic_store(&f->backend.hold, true);
	submit(f, 0, 0, VIRTIO_BLK_T_IN, 1);
	assert_int_equal(pthread_create(&thread, NULL, release_later, f), 0);
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(*status_of(f, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(status(f), 0);
	pthread_join(thread, NULL);
	/* And it works again. */
	drive(f, F_FLUSH, true);
	submit(f, 0, 1, VIRTIO_BLK_T_IN, 1);
	assert_true(virtio_guest_wait_vector(&f->guest, 1, TIMEOUT));
	take(f, 0, 1);
}

/* The driver was stopped between the ring and the doorbell. */
static void reset_rings_for_what_was_not_rung_for(void **state)
{
	struct fixture *f = *state;
	const struct vring_buf bufs[] = { { DATA + 512, 16, false }, { DATA + 512 + 64, 1, true } };
	const struct virtio_blk_outhdr hdr = { .type = VIRTIO_BLK_T_FLUSH };

	plug(f, 1);
	drive(f, F_FLUSH, true);
	/* Only now, so that the first look of the start finds nothing. */
	submit(f, 0, 1, VIRTIO_BLK_T_IN, 1);
	take(f, 0, 1);
	assert_true(mem_write(&f->guest.mem, DATA + 512, &hdr, sizeof(hdr)));
	vring_driver_add(&f->drv[0], bufs, ARRAY_SIZE(bufs));
	vring_driver_expose(&f->drv[0]);
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(atomic_load(&f->backend.flushes), 1);
}

static void resets_come_many_times(void **state)
{
	struct fixture *f = *state;

	plug(f, 1);
	for (unsigned i = 0; i < 20; i++) {
		drive(f, F_FLUSH, i % 2);
		submit(f, 0, 0, VIRTIO_BLK_T_IN, 1);
		take(f, 0, 0);
		f->guest.dev->device.ops->reset(&f->guest.dev->device);
		virtio_guest_map_bar(&f->guest, VIRTIO_GUEST_BAR);
	}
}

static void death_asks_for_a_reset_and_then_refuses_drivers(void **state)
{
	struct fixture *f = *state;

	plug(f, 1);
	drive(f, F_FLUSH, true);
	atomic_store(&f->backend.hold, true);
	submit(f, 0, 0, VIRTIO_BLK_T_IN, 1);
	vhost_backend_die(&f->backend);
	wait_status(f, VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_true(virtio_guest_wait_vector(&f->guest, 0, TIMEOUT));
	/* Nothing to wait for. */
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(status(f), 0);
	assert_false(virtio_guest_negotiate(&f->guest, F_FLUSH));
	/* A guest can do without a disk. */
	assert_int_equal(atomic_load(&f->guest.vm.request), VM_REQUEST_NONE);
}

static void death_at_the_start_is_the_same(void **state)
{
	struct fixture *f = *state;

	f->backend.fault = VHOST_FAULT_DIE;
	plug(f, 1);
	atomic_store(&f->backend.fault_at, 13); /* SET_VRING_CALL */
	drive(f, F_FLUSH, true);
	wait_status(f, VIRTIO_CONFIG_S_NEEDS_RESET);
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_false(virtio_guest_negotiate(&f->guest, F_FLUSH));
}

static void death_before_any_driver(void **state)
{
	struct fixture *f = *state;

	plug(f, 1);
	vhost_backend_die(&f->backend);
	wait_status(f, VIRTIO_CONFIG_S_NEEDS_RESET);
	/* Nobody is there who could make a line low again. */
	assert_false(virtio_guest_wait_line(&f->guest, true, 20));
	assert_false(virtio_guest_negotiate(&f->guest, F_FLUSH));
}

static void death_ends_the_run_where_the_guest_cannot_do_without(void **state)
{
	struct fixture *f = *state;

	plug(f, 1);
	f->dev->vital = true;
	drive(f, F_FLUSH, true);
	assert_int_equal(atomic_load(&f->guest.vm.request), VM_REQUEST_NONE);
	vhost_backend_die(&f->backend);
	for (unsigned i = 0; i < TIMEOUT && !atomic_load(&f->guest.vm.request); i++)
		usleep(1000);
	assert_int_equal(atomic_load(&f->guest.vm.request), VM_REQUEST_SERVER_LOST);
}

static void unasked_message_ends_the_connection(void **state)
{
	struct fixture *f = *state;

	plug(f, 1);
	drive(f, F_FLUSH, true);
	assert_int_equal(send(f->backend.own_fd, "garbage", 7, 0), 7);
	wait_status(f, VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void back_end_that_never_finishes_is_given_up(void **state)
{
	struct fixture *f = *state;

	plug(f, 1);
	f->dev->stop_limit_ms = 50;
	drive(f, F_FLUSH, true);
	atomic_store(&f->backend.hold, true);
	submit(f, 0, 0, VIRTIO_BLK_T_IN, 1);
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_false(virtio_guest_negotiate(&f->guest, F_FLUSH));
}

/* Its process lives, and can be connected to. */
static void lost_connection_is_made_again_by_a_reset(void **state)
{
	struct fixture *f = *state;
	int listen_fd;

	assert_int_equal(vhost_user_listen(&listen_fd, &f->server), 0);
	f->backend.listen_fd = listen_fd;
	plug(f, 1);
	drive(f, F_FLUSH, true);
	submit(f, 0, 0, VIRTIO_BLK_T_IN, 1);
	take(f, 0, 0);
	vhost_backend_stop(&f->backend);
	wait_status(f, VIRTIO_CONFIG_S_NEEDS_RESET);

	memset(&f->backend, 0, sizeof(f->backend));
	f->backend.listen_fd = listen_fd;
	vhost_backend_start(&f->backend);
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(status(f), 0);
	drive(f, F_FLUSH, true);
	submit(f, 0, 0, VIRTIO_BLK_T_IN, 1);
	assert_true(virtio_guest_wait_vector(&f->guest, 1, TIMEOUT));
	take(f, 0, 0);
	close(listen_fd);
}

/* Lost between a reset and the next driver: it is the start that connects. */
static void new_connection_is_told_of_the_cache(void **state)
{
	struct fixture *f = *state;
	int listen_fd;

	assert_int_equal(vhost_user_listen(&listen_fd, &f->server), 0);
	f->backend.listen_fd = listen_fd;
	plug(f, 1);
	drive(f, F_FLUSH, true);
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	vhost_backend_stop(&f->backend);
	wait_status(f, VIRTIO_CONFIG_S_NEEDS_RESET);

	memset(&f->backend, 0, sizeof(f->backend));
	f->backend.listen_fd = listen_fd;
	f->backend.wce = 0xff;
	vhost_backend_start(&f->backend);
	drive(f, 0, true);
	assert_int_equal(f->backend.wce, 0);
	submit(f, 0, 0, VIRTIO_BLK_T_IN, 1);
	take(f, 0, 0);
	close(listen_fd);
}

/* Each answer comes in time, and all of them together do not. */
static void slow_back_end_does_not_hold_a_start_for_long(void **state)
{
	struct fixture *f = *state;

	plug(f, 1);
	drive(f, F_FLUSH, true);
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	f->dev->timeout_ms = 300;
	atomic_store(&f->backend.slow_ms, 60);
	drive(f, F_FLUSH, true);
	assert_true(status(f) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void slow_back_end_does_not_hold_a_reset_for_long(void **state)
{
	struct fixture *f = *state;

	plug(f, 2);
	assert_true(virtio_guest_negotiate(&f->guest, F_FLUSH | F_MQ));
	for (unsigned q = 0; q < 2; q++)
		virtio_guest_setup_queue(&f->guest, q, &f->drv[q], RINGS(q), RING_SIZE);
	virtio_guest_driver_ok(&f->guest);
	f->dev->stop_limit_ms = 0;
	f->dev->timeout_ms = 100;
	atomic_store(&f->backend.slow_ms, 60);
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_false(virtio_guest_negotiate(&f->guest, F_FLUSH));
}

static void call_link(void *arg)
{
	struct vhost_user_dev *dev = arg;

	dev->link.ready(&dev->link);
}

static void wakeup_without_a_cause_is_no_loss(void **state)
{
	struct fixture *f = *state;

	plug(f, 1);
	drive(f, F_FLUSH, true);
	loop_call(f->dev->loop, call_link, f->dev);
	assert_false(status(f) & VIRTIO_CONFIG_S_NEEDS_RESET);
	submit(f, 0, 0, VIRTIO_BLK_T_IN, 1);
	take(f, 0, 0);
}

/* One that cannot be had back must not write to memory any more. */
static void process_that_does_not_answer_is_killed(void **state)
{
	const char *const argv[] = { "sleep", "1000", NULL };
	struct fixture *f = *state;
	int listen_fd;

	assert_int_equal(vhost_user_listen(&listen_fd, &f->server), 0);
	assert_int_equal(child_start(&f->child, argv, NULL, 0, 0), 0);
	f->backend.listen_fd = listen_fd;
	plug(f, 1);
	drive(f, F_FLUSH, true);
	f->dev->timeout_ms = 50;
	vhost_backend_die(&f->backend);
	wait_status(f, VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_false(child_ended(&f->child));
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_true(child_ended(&f->child));
	assert_false(virtio_guest_negotiate(&f->guest, F_FLUSH));
	close(listen_fd);
}

/* It complains faster than it is read. */
static void process_that_complains_all_the_time_is_served_beside(void **state)
{
	const char *const argv[] = { "sh", "-c", "exec yes complaint >&2", NULL };
	struct fixture *f = *state;

	assert_int_equal(child_start(&f->child, argv, NULL, 0, 0), 0);
	plug(f, 1);
	alarm(TIMEOUT / 1000); /* kills the test if the loop does not come back */
	drive(f, F_FLUSH, true);
	submit(f, 0, 0, VIRTIO_BLK_T_IN, 1);
	take(f, 0, 0);
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	virtio_guest_unplug(&f->guest);
	alarm(0);
}

static void socket_has_no_name_and_serves_many(void **state)
{
	int listen_fd, server;

	assert_int_equal(vhost_user_listen(&listen_fd, &server), 0);
	for (unsigned i = 0; i < 3; i++) {
		int fd = vhost_user_connect(server), other;

		assert_true(fd >= 0);
		other = accept(listen_fd, NULL, NULL);
		assert_true(other >= 0);
		close(fd);
		close(other);
	}
	close(listen_fd);
	assert_int_equal(vhost_user_connect(server), -ECONNREFUSED);
	close(server);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(vectors_are_signalled_by_the_back_end_itself),
		TEST(the_line_is_raised_without_msix),
		TEST(interrupts_follow_the_vector_while_it_runs),
		TEST(configuration_and_features_are_the_back_ends),
		TEST(driver_that_cannot_flush_gets_stable_writes),
		TEST(queues_work_side_by_side),
		TEST(reset_waits_for_what_is_in_flight),
		TEST(reset_rings_for_what_was_not_rung_for),
		TEST(resets_come_many_times),
		TEST(death_asks_for_a_reset_and_then_refuses_drivers),
		TEST(death_at_the_start_is_the_same),
		TEST(death_before_any_driver),
		TEST(death_ends_the_run_where_the_guest_cannot_do_without),
		TEST(unasked_message_ends_the_connection),
		TEST(back_end_that_never_finishes_is_given_up),
		TEST(lost_connection_is_made_again_by_a_reset),
		TEST(new_connection_is_told_of_the_cache),
		TEST(slow_back_end_does_not_hold_a_start_for_long),
		TEST(slow_back_end_does_not_hold_a_reset_for_long),
		TEST(wakeup_without_a_cause_is_no_loss),
		TEST(process_that_does_not_answer_is_killed),
		TEST(process_that_complains_all_the_time_is_served_beside),
		cmocka_unit_test(socket_has_no_name_and_serves_many),
	};

	return cmocka_run_group_tests_name("vhost_user_blk", tests, NULL, NULL);
}
