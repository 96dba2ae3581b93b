/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks of a real qemu-storage-daemon, as a driver sees them and as qemu-img finds them afterwards.
 * Skipped where the two are not installed.
 */
#include "temp_dir.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_pci.h>
#include <signal.h>
#include <stdlib.h>

#include "core/child.h"
#include "core/err.h"
#include "core/log.h"
#include "daemons/storage_daemon.h"
#include "devices/vhost/vhost_user_blk.h"
#include "options/options.h"
#include "virtio_guest.h"

#define TIMEOUT   20000u
#define RINGS     0x1000u
#define RING_SIZE 64u
#define DATA      0x100000u
#define SIZE      (4 * MiB)
#define F_FLUSH   (1ull << VIRTIO_BLK_F_FLUSH)

struct fixture {
	struct virtio_guest guest;
	struct vring_driver drv;
	struct temp_dir dir;
	struct options_disk disk;
	struct storage_daemon *daemon;
	struct child *child;
};

static int have_tools(void)
{
	return system("qemu-img --version >/dev/null 2>&1 && "
		      "qemu-storage-daemon --version >/dev/null 2>&1") == 0;
}

/* A command in the test's folder; its exit status. */
static int PRINTF_LIKE(2, 3) shell(struct fixture *f, const char *fmt, ...)
{
	char command[512], all[640];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	snprintf(all, sizeof(all), "cd %s && { %s; } >/dev/null 2>&1", f->dir.path, command);
	return system(all);
}

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));

	log_set_level(LOG_ERROR);
	temp_dir_init(&f->dir);
	setenv("TMPDIR", f->dir.path, 1);
	virtio_guest_init(&f->guest);
	*state = f;
	return 0;
}

static void unplug(struct fixture *f)
{
	virtio_guest_unplug(&f->guest);
	storage_daemon_stop(f->daemon);
	f->daemon = NULL;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unplug(f);
	virtio_guest_fini(&f->guest);
	unsetenv("TMPDIR");
	temp_dir_fini(&f->dir);
	test_free(f);
	return 0;
}

static int start(struct fixture *f, const char *name, bool snapshot)
{
	snprintf(f->disk.file, sizeof(f->disk.file), "%s/%s", f->dir.path, name);
	f->disk.snapshot = snapshot;
	return storage_daemon_start(&f->disk, 2, &f->daemon);
}

static void plug(struct fixture *f, const char *name, bool snapshot)
{
	struct pci_dev *dev;

	assert_int_equal(start(f, name, snapshot), 0);
	f->child = storage_daemon_backend(f->daemon)->child;
	assert_int_equal(vhost_user_blk_create(&f->guest.board, &f->guest.loop,
					       storage_daemon_backend(f->daemon), 2, &dev),
			 0);
	virtio_guest_plug(&f->guest, dev);
}

static void drive(struct fixture *f)
{
	virtio_guest_drive(&f->guest, F_FLUSH, &f->drv, RINGS, RING_SIZE);
}

/* Shown and rung for. */
static volatile uint8_t *submit(struct fixture *f, uint32_t type, uint64_t sector, uint32_t len)
{
	const uint64_t gpa = DATA + f->drv.avail_idx * 0x20000u;
	const struct virtio_blk_outhdr hdr = { .type = type, .sector = sector };
	const struct vring_buf bufs[] = {
		{ gpa + 0x10000, sizeof(hdr), false },
		{ gpa + 0x10000 + 64, 1, true },
		{ gpa, len, type == VIRTIO_BLK_T_IN },
	};
	const struct vring_buf data[] = { bufs[0], bufs[2], bufs[1] };
	volatile uint8_t *status = mem_ptr(&f->guest.mem, gpa + 0x10000 + 64, 1);

	*status = 0xff;
	assert_true(mem_write(&f->guest.mem, gpa + 0x10000, &hdr, sizeof(hdr)));
	if (len)
		vring_driver_add(&f->drv, data, 3);
	else
		vring_driver_add(&f->drv, bufs, 2);
	vring_driver_expose(&f->drv);
	virtio_guest_ring(&f->guest, 0);
	return status;
}

static uint8_t *next_data(struct fixture *f)
{
	return mem_ptr(&f->guest.mem, DATA + f->drv.avail_idx * 0x20000u, 0x10000);
}

static uint8_t request(struct fixture *f, uint32_t type, uint64_t sector, uint32_t len)
{
	volatile uint8_t *status = submit(f, type, sector, len);
	uint16_t head;
	uint32_t used;

	for (unsigned i = 0; i < TIMEOUT && !vring_driver_take(&f->drv, &head, &used); i++)
		usleep(1000);
	return *status;
}

static void reads_and_writes(struct fixture *f)
{
	uint8_t *data = next_data(f);

	memset(data, 0x5a, 8192);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 100, 8192), VIRTIO_BLK_S_OK);
	assert_int_equal(request(f, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
	data = next_data(f);
	memset(data, 0, 16384);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 100, 8192), VIRTIO_BLK_S_OK);
	assert_int_equal(data[0], 0x5a);
	assert_int_equal(data[8191], 0x5a);
	assert_int_equal(data[8192], 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, SIZE / 512, 512), VIRTIO_BLK_S_IOERR);
}

static void make_images(struct fixture *f)
{
	assert_int_equal(shell(f, "head -c 4M /dev/urandom >base.img && md5sum base.img >md5 && "
				  "qemu-img create -f qcow2 -F raw -b base.img over.qcow2 && "
				  "qemu-img convert -O qcow2 base.img whole.qcow2 && "
				  "md5sum whole.qcow2 >>md5"),
			 0);
}

static void image_on_a_backing_file(void **state)
{
	struct fixture *f = *state;
	uint8_t *data, want[512];

	make_images(f);
	plug(f, "over.qcow2", false);
	assert_int_equal(virtio_guest_read(&f->guest, f->guest.device_cfg, 8), SIZE / 512);
	drive(f);
	data = next_data(f);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 7, 512), VIRTIO_BLK_S_OK);
	{
		int fd = open(temp_path(&f->dir, "base.img"), O_RDONLY | O_CLOEXEC);

		assert_int_equal(pread(fd, want, 512, 7 * 512), 512);
		close(fd);
	}
	assert_memory_equal(data, want, 512);
	reads_and_writes(f);
	unplug(f);
	assert_int_equal(shell(f, "qemu-img check over.qcow2 && md5sum -c md5"), 0);
	assert_int_equal(shell(f, "qemu-io -r -c 'read -P 0x5a 51200 8192' over.qcow2 | "
				  "grep -v failed"),
			 0);
}

static void snapshots_leave_their_base_alone(void **state)
{
	static const char *const bases[] = { "base.img", "whole.qcow2" };
	struct fixture *f = *state;

	make_images(f);
	for (unsigned i = 0; i < ARRAY_SIZE(bases); i++) {
		plug(f, bases[i], true);
		drive(f);
		reads_and_writes(f);
		unplug(f);
	}
	assert_int_equal(shell(f, "md5sum -c md5 && [ $(ls -A | wc -l) = 4 ]"), 0);
}

static void several_snapshots_have_one_base(void **state)
{
	struct fixture *f = *state;
	struct storage_daemon *other;

	make_images(f);
	assert_int_equal(start(f, "whole.qcow2", true), 0);
	other = f->daemon;
	plug(f, "whole.qcow2", true);
	drive(f);
	reads_and_writes(f);
	storage_daemon_stop(other);
	assert_int_equal(shell(f, "md5sum -c md5"), 0);
}

static void image_in_use_is_refused(void **state)
{
	struct fixture *f = *state;
	struct storage_daemon *other;

	make_images(f);
	assert_int_equal(start(f, "over.qcow2", false), 0);
	other = f->daemon;
	f->daemon = NULL;
	assert_int_equal(start(f, "over.qcow2", false), -EBUSY);
	assert_non_null(strstr(err_text(), "is in use by another process"));
	storage_daemon_stop(other);
	/* And free as soon as it has stopped. */
	assert_int_equal(start(f, "over.qcow2", false), 0);
}

static void what_the_daemon_says_is_told(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(shell(f, "printf 'QFI\\373\\0\\0\\0\\11' >new.qcow2; "
				  "truncate -s 1M new.qcow2; mkdir folder.qcow2"),
			 0);
	assert_int_equal(start(f, "new.qcow2", false), -EIO);
	assert_non_null(strstr(err_text(), "new.qcow2': qemu-storage-daemon: Unsupported qcow2 "
					   "version"));
	assert_int_equal(err_kind(), ERR_FILE);
	assert_int_equal(start(f, "folder.qcow2", false), -EISDIR);
	assert_int_equal(start(f, "absent.qcow2", false), -ENOENT);
}

static void odd_names_are_no_options(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(shell(f,
			       "qemu-img create -f qcow2 x 4M && mv x 'a,read-only=on: b.qcow2'"),
			 0);
	plug(f, "a,read-only=on: b.qcow2", false);
	drive(f);
	reads_and_writes(f);
}

/* Requests are in flight when the driver resets: all of them have ended by then. */
static void reset_with_requests_in_flight(void **state)
{
	struct fixture *f = *state;

	make_images(f);
	plug(f, "over.qcow2", false);
	for (unsigned round = 0; round < 20; round++) {
		volatile uint8_t *status[16];

		drive(f);
		for (unsigned i = 0; i < ARRAY_SIZE(status); i++)
			status[i] = submit(f, VIRTIO_BLK_T_OUT, i * 128, 0x10000);
		virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
		for (unsigned i = 0; i < ARRAY_SIZE(status); i++)
			assert_int_equal(*status[i], VIRTIO_BLK_S_OK);
	}
	drive(f);
	reads_and_writes(f);
	unplug(f);
	assert_int_equal(shell(f, "qemu-img check over.qcow2"), 0);
}

static bool wait_needs_reset(struct fixture *f)
{
	for (unsigned i = 0; i < TIMEOUT; i++) {
		if (virtio_guest_get(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1) &
		    VIRTIO_CONFIG_S_NEEDS_RESET)
			return true;
		usleep(1000);
	}
	return false;
}

/* The daemon gives up the connection over it, and serves the next driver. */
static void ring_that_makes_no_sense(void **state)
{
	struct fixture *f = *state;

	make_images(f);
	plug(f, "over.qcow2", false);
	for (unsigned round = 0; round < 3; round++) {
		drive(f);
		reads_and_writes(f);
		vring_driver_add_head(&f->drv, 0x7fff);
		vring_driver_expose(&f->drv);
		virtio_guest_ring(&f->guest, 0);
		assert_true(wait_needs_reset(f));
		virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	}
	drive(f);
	reads_and_writes(f);
	unplug(f);
	assert_int_equal(shell(f, "qemu-img check over.qcow2"), 0);
}

static void daemon_that_is_killed(void **state)
{
	struct fixture *f = *state;

	make_images(f);
	plug(f, "over.qcow2", false);
	drive(f);
	reads_and_writes(f);
	kill(f->child->pid, SIGKILL);
	assert_true(wait_needs_reset(f));
	submit(f, VIRTIO_BLK_T_IN, 0, 512);
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_false(virtio_guest_negotiate(&f->guest, F_FLUSH));
	unplug(f);
	assert_int_equal(shell(f, "qemu-img check over.qcow2"), 0);
}

/* It is as stopped as can be, with requests. */
static void daemon_that_hangs(void **state)
{
	struct fixture *f = *state;
	struct vhost_user_dev *dev;

	make_images(f);
	plug(f, "over.qcow2", false);
	dev = container_of(container_of(f->guest.dev, struct virtio_pci, pci),
			   struct vhost_user_dev, vdev);
	drive(f);
	dev->stop_limit_ms = 100;
	dev->timeout_ms = 100;
	kill(f->child->pid, SIGSTOP);
	submit(f, VIRTIO_BLK_T_IN, 0, 512);
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_true(child_ended(f->child));
	assert_false(virtio_guest_negotiate(&f->guest, F_FLUSH));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(image_on_a_backing_file),         TEST(snapshots_leave_their_base_alone),
		TEST(several_snapshots_have_one_base), TEST(image_in_use_is_refused),
		TEST(what_the_daemon_says_is_told),    TEST(odd_names_are_no_options),
		TEST(reset_with_requests_in_flight),   TEST(ring_that_makes_no_sense),
		TEST(daemon_that_is_killed),           TEST(daemon_that_hangs),
	};

	if (!have_tools()) {
		puts("1..0 # SKIP qemu-storage-daemon or qemu-img is not installed");
		return 77;
	}
	return cmocka_run_group_tests_name("storage_daemon", tests, NULL, NULL);
}
