/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block device as a driver sees it: real files, real io_uring, a real loop.
 * [virtio-1.2 5.2 Block Device]
 */
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "core/err.h"
#include "core/log.h"
#include "devices/virtio_blk.h"
#include "virtio_guest.h"

#define QUEUE       256u
#define SECTOR      512u
#define SECTORS     8192u
#define IMAGE_SIZE  (SECTORS * SECTOR)
#define RINGS       0x1000u
#define HEADERS     0x10000u /* 32 bytes a chain: the header, then the status */
#define DATA        0x100000u
#define TIMEOUT     20000u
#define NOTHING     20u
#define F_EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)
#define F_INDIRECT  (1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define F_FLUSH     (1ull << VIRTIO_BLK_F_FLUSH)
#define PENDING     0xaau /* a status byte that the device has not written */

struct fixture {
	struct virtio_guest guest;
	struct vring_driver drv;
	char path[64];
	uint8_t image[IMAGE_SIZE]; /* what it holds, or should */
};

/* --- the driver --- */

static void drive(struct fixture *f, uint64_t features)
{
	assert_true(virtio_guest_negotiate(&f->guest, features));
	virtio_guest_enable_msix(&f->guest, 1);
	virtio_guest_setup_queue(&f->guest, 0, &f->drv, RINGS, QUEUE);
	f->drv.event_idx = features & F_EVENT_IDX;
	virtio_guest_driver_ok(&f->guest);
}

static uint8_t *ram(struct fixture *f, uint64_t gpa)
{
	return mem_ptr(&f->guest.mem, gpa, 1);
}

static uint64_t header_gpa(unsigned slot)
{
	return HEADERS + 32 * slot;
}

static uint64_t status_gpa(unsigned slot)
{
	return header_gpa(slot) + sizeof(struct virtio_blk_outhdr);
}

static uint8_t request_status(struct fixture *f, unsigned slot)
{
	return __atomic_load_n(ram(f, status_gpa(slot)), __ATOMIC_RELAXED);
}

static void put_header(struct fixture *f, unsigned slot, uint32_t type, uint64_t sector)
{
	const struct virtio_blk_outhdr hdr = { .type = type, .sector = sector };

	memcpy(ram(f, header_gpa(slot)), &hdr, sizeof(hdr));
	*ram(f, status_gpa(slot)) = PENDING;
}

static void ring(struct fixture *f)
{
	if (vring_driver_expose(&f->drv))
		virtio_guest_ring(&f->guest, 0);
}

/* Header, one buffer of data (or none) and status, each in a descriptor of its own. */
static uint16_t add(struct fixture *f, unsigned slot, uint32_t type, uint64_t sector, uint64_t gpa,
		    uint32_t len)
{
	const struct vring_buf bufs[] = {
		{ header_gpa(slot), sizeof(struct virtio_blk_outhdr), false },
		{ gpa, len, type != VIRTIO_BLK_T_OUT },
		{ status_gpa(slot), 1, true },
	};

	put_header(f, slot, type, sector);
	return len ? vring_driver_add(&f->drv, bufs, 3)
		   : vring_driver_add(&f->drv, (struct vring_buf[]){ bufs[0], bufs[2] }, 2);
}

/* Rings, waits for `head` alone and returns the used length. */
static uint32_t finish(struct fixture *f, uint16_t head)
{
	uint16_t used = 0;
	uint32_t len = 0;

	if (f->drv.event_idx)
		vring_driver_want_interrupt_after(&f->drv, f->drv.used_seen);
	ring(f);
	assert_true(virtio_guest_wait_vector(&f->guest, 1, TIMEOUT));
	assert_true(vring_driver_take(&f->drv, &used, &len));
	assert_int_equal(used, head);
	return len;
}

/* One request from start to end; its status. */
static uint8_t request(struct fixture *f, uint32_t type, uint64_t sector, uint64_t gpa,
		       uint32_t len, uint32_t *ret_used_len)
{
	*ret_used_len = finish(f, add(f, 0, type, sector, gpa, len));
	return request_status(f, 0);
}

static void assert_read_ok(struct fixture *f)
{
	uint32_t used;

	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 5, DATA, 2 * SECTOR, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(used, 2 * SECTOR + 1);
	assert_memory_equal(ram(f, DATA), f->image + 5 * SECTOR, 2 * SECTOR);
}

/* --- the fixture --- */

static int plug(struct fixture *f, bool read_only, const char *serial)
{
	const struct virtio_blk_options options = { f->path, read_only, serial };
	struct pci_dev *dev;
	int r = virtio_blk_create(&f->guest.board, &f->guest.loop, &options, &dev);

	if (r == 0)
		virtio_guest_plug(&f->guest, dev);
	return r;
}

static int setup_bare(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fd;

	log_set_level(LOG_ERROR);
	signal(SIGXFSZ, SIG_IGN);
	snprintf(f->path, sizeof(f->path), "/tmp/test_virtio_blk.XXXXXX");
	fd = mkstemp(f->path);
	srandom(1);
	for (unsigned i = 0; i < IMAGE_SIZE; i++)
		f->image[i] = (uint8_t)random();
	if (fd < 0 || write(fd, f->image, IMAGE_SIZE) != IMAGE_SIZE)
		return -1;
	close(fd);
	virtio_guest_init(&f->guest);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return setup_bare(state) || plug(*state, false, NULL) ? -1 : 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_guest_fini(&f->guest);
	unlink(f->path);
	free(f);
	return 0;
}

/* The device's own file descriptor, so that a test can put something slower in its place. */
static int device_fd(const struct fixture *f)
{
	for (int fd = 3; fd < 1024; fd++) {
		char link[64], target[128] = "";

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		if (readlink(link, target, sizeof(target) - 1) > 0 && !strcmp(target, f->path))
			return fd;
	}
	fail_msg("the device has no open file");
	return -1;
}

/* From now on the device's reads wait until something is written to the fd returned. */
static int make_reads_wait(const struct fixture *f)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_true(dup2(fds[0], device_fd(f)) >= 0);
	close(fds[0]);
	return fds[1];
}

/* --- configuration --- */

static uint64_t config(struct fixture *f, unsigned off, unsigned len)
{
	return virtio_guest_read(&f->guest, f->guest.device_cfg + off, len);
}

static uint32_t features_low(struct fixture *f)
{
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	return (uint32_t)virtio_guest_get(&f->guest, VIRTIO_PCI_COMMON_DF, 4);
}

static void identity_and_configuration(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(virtio_guest_config_read(&f->guest, PCI_VENDOR_ID, 4), 0x10421af4);
	assert_int_equal(virtio_guest_config_read(&f->guest, PCI_CLASS_REVISION, 4) >> 24, 1);
	assert_int_equal(features_low(f),
			 F_FLUSH | F_EVENT_IDX | F_INDIRECT | 1u << VIRTIO_BLK_F_SEG_MAX |
				 1u << VIRTIO_BLK_F_BLK_SIZE | 1u << VIRTIO_BLK_F_TOPOLOGY);
	assert_int_equal(config(f, offsetof(struct virtio_blk_config, capacity), 8), SECTORS);
	assert_int_equal(config(f, offsetof(struct virtio_blk_config, seg_max), 4), QUEUE - 2);
	assert_int_equal(config(f, offsetof(struct virtio_blk_config, blk_size), 4), SECTOR);
	assert_int_equal(config(f, offsetof(struct virtio_blk_config, physical_block_exp), 1), 3);
	assert_int_equal(virtio_guest_get(&f->guest, VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE);
}

static void get_id_is_the_serial_number(void **state)
{
	struct fixture *f = *state;
	char first[VIRTIO_BLK_ID_BYTES];
	uint32_t used;

	/* Made from the path: the same at every start, and 20 bytes with no end mark. */
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(plug(f, false, NULL), 0);
		drive(f, 0);
		assert_int_equal(request(f, VIRTIO_BLK_T_GET_ID, 0, DATA, VIRTIO_BLK_ID_BYTES,
					 &used),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(used, VIRTIO_BLK_ID_BYTES + 1);
		assert_memory_equal(ram(f, DATA), "tvmm", 4);
		if (i)
			assert_memory_equal(ram(f, DATA), first, sizeof(first));
		memcpy(first, ram(f, DATA), sizeof(first));
		virtio_guest_unplug(&f->guest);
	}

	assert_int_equal(plug(f, false, "scratch"), 0);
	drive(f, 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_GET_ID, 0, DATA, 64, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(used, VIRTIO_BLK_ID_BYTES); /* the status lies behind a gap */
	assert_memory_equal(ram(f, DATA), "scratch\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	virtio_guest_unplug(&f->guest);

	assert_int_equal(plug(f, false, "a serial number that is too long"), 0);
	drive(f, 0);
	memset(ram(f, DATA), 0, 64);
	assert_int_equal(request(f, VIRTIO_BLK_T_GET_ID, 0, DATA, 64, &used), VIRTIO_BLK_S_OK);
	assert_string_equal((char *)ram(f, DATA), "a serial number that");
}

static void constructor_says_which_disk_and_why(void **state)
{
	struct fixture *f = *state;
	struct virtio_blk_options options = { "/nonexistent/disk.img", false, NULL };
	struct pci_dev *dev = NULL;
	struct rlimit old, tight;
	int next;

	assert_true(virtio_blk_create(&f->guest.board, &f->guest.loop, &options, &dev) < 0);
	assert_non_null(strstr(err_text(), "/nonexistent/disk.img"));
	/* With 0, 1, 2 ... free descriptors it fails at every step, and cleans up. */
	options.path = f->path;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	for (unsigned room = 0;; room++) {
		int r;

		next = dup(0);
		close(next);
		tight = old;
		tight.rlim_cur = (rlim_t)next + room;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
		r = virtio_blk_create(&f->guest.board, &f->guest.loop, &options, &dev);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
		if (r == 0)
			break;
		assert_true(room < 10);
		assert_null(dev);
		assert_non_null(strstr(err_text(), f->path));
	}
	dev->device.ops->destroy(&dev->device);
}

/* --- requests --- */

static void read_returns_what_the_image_holds(void **state)
{
	struct fixture *f = *state;
	uint32_t used;

	drive(f, F_FLUSH);
	assert_read_ok(f);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, SECTORS - 1, DATA, SECTOR, &used),
			 VIRTIO_BLK_S_OK);
	assert_memory_equal(ram(f, DATA), f->image + IMAGE_SIZE - SECTOR, SECTOR);
}

static void assert_image(struct fixture *f)
{
	uint8_t *now = malloc(IMAGE_SIZE);
	int fd = open(f->path, O_RDONLY);

	assert_int_equal(read(fd, now, IMAGE_SIZE), IMAGE_SIZE);
	assert_memory_equal(now, f->image, IMAGE_SIZE);
	close(fd);
	free(now);
}

static void write_reaches_the_image(void **state)
{
	static const uint64_t modes[] = { 0, F_FLUSH }; /* durable writes, and a flush after */
	struct fixture *f = *state;
	uint32_t used;

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		drive(f, modes[i]);
		memset(ram(f, DATA), 0x30 + (int)i, 8 * SECTOR);
		memset(f->image + 100 * SECTOR, 0x30 + (int)i, 8 * SECTOR);
		assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 100, DATA, 8 * SECTOR, &used),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(used, 1);
		assert_int_equal(request(f, VIRTIO_BLK_T_FLUSH, 0, 0, 0, &used), VIRTIO_BLK_S_OK);
		assert_int_equal(used, 1);
		assert_image(f);
	}
}

static void header_split_over_descriptors(void **state)
{
	struct fixture *f = *state;
	struct vring_buf bufs[19];
	uint16_t head;

	drive(f, 0);
	put_header(f, 0, VIRTIO_BLK_T_IN, 7);
	for (unsigned i = 0; i < 16; i++)
		bufs[i] = (struct vring_buf){ header_gpa(0) + i, 1, false };
	/* Data in pieces that are no sectors, the status in the last one. */
	bufs[16] = (struct vring_buf){ DATA + 1, 1, true };
	bufs[17] = (struct vring_buf){ DATA + 2, 500, true };
	bufs[18] = (struct vring_buf){ DATA + 502, 12, true };
	*ram(f, DATA + 513) = PENDING;
	head = vring_driver_add(&f->drv, bufs, 19);
	assert_int_equal(finish(f, head), SECTOR + 1);
	assert_memory_equal(ram(f, DATA + 1), f->image + 7 * SECTOR, SECTOR);
	assert_int_equal(*ram(f, DATA + 513), VIRTIO_BLK_S_OK);
}

static void header_and_data_in_one_descriptor(void **state)
{
	struct fixture *f = *state;
	struct virtio_blk_outhdr hdr = { .type = VIRTIO_BLK_T_OUT, .sector = 9 };
	uint16_t head;

	drive(f, 0);
	memcpy(ram(f, DATA), &hdr, sizeof(hdr));
	memset(ram(f, DATA + sizeof(hdr)), 0x77, SECTOR);
	memset(f->image + 9 * SECTOR, 0x77, SECTOR);
	head = vring_driver_add(&f->drv,
				(struct vring_buf[]){ { DATA, sizeof(hdr) + SECTOR, false },
						      { status_gpa(0), 1, true } },
				2);
	assert_int_equal(finish(f, head), 1);
	assert_int_equal(request_status(f, 0), VIRTIO_BLK_S_OK);
	assert_image(f);
}

static void indirect_request_of_the_most_segments(void **state)
{
	struct fixture *f = *state;
	struct vring_buf bufs[QUEUE];
	uint16_t head;

	drive(f, F_INDIRECT | F_EVENT_IDX);
	put_header(f, 0, VIRTIO_BLK_T_IN, 0);
	bufs[0] = (struct vring_buf){ header_gpa(0), sizeof(struct virtio_blk_outhdr), false };
	for (unsigned i = 1; i < QUEUE - 1; i++)
		bufs[i] = (struct vring_buf){ DATA + (uint64_t)i * 0x1000, SECTOR, true };
	bufs[QUEUE - 1] = (struct vring_buf){ status_gpa(0), 1, true };
	head = vring_driver_add_indirect(&f->drv, 0x8000, bufs, QUEUE);
	assert_int_equal(finish(f, head), (QUEUE - 2) * SECTOR + 1);
	for (unsigned i = 1; i < QUEUE - 1; i++)
		assert_memory_equal(ram(f, DATA + (uint64_t)i * 0x1000),
				    f->image + (uint64_t)(i - 1) * SECTOR, SECTOR);
}

static void huge_single_segment(void **state)
{
	struct fixture *f = *state;
	const uint32_t len = 40 * MiB;
	uint32_t used;

	virtio_guest_unplug(&f->guest);
	assert_int_equal(truncate(f->path, 2 * len), 0);
	assert_int_equal(plug(f, false, NULL), 0);
	drive(f, 0);
	memset(ram(f, DATA), 0xff, len);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, DATA, len, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(used, len + 1);
	assert_memory_equal(ram(f, DATA), f->image, IMAGE_SIZE);
	for (uint32_t i = IMAGE_SIZE; i < len; i += 4096)
		assert_int_equal(*ram(f, DATA + i), 0);
}

/* The kernel moves 2 GiB less a page in one call: what is left has to be asked for again. */
static void request_beyond_two_gib_is_continued(void **state)
{
	enum { SEGMENT = 32 * MiB, SEGMENTS = 65 };
	struct fixture *f = *state;
	struct vring_buf bufs[SEGMENTS + 2];
	const uint64_t end = (uint64_t)SEGMENT * SEGMENTS;
	uint16_t head;
	int fd;

	virtio_guest_unplug(&f->guest);
	assert_int_equal(truncate(f->path, (off_t)end), 0);
	fd = open(f->path, O_WRONLY);
	assert_int_equal(pwrite(fd, "the end", 7, (off_t)end - 7), 7);
	close(fd);
	assert_int_equal(plug(f, false, NULL), 0);
	drive(f, 0);
	put_header(f, 0, VIRTIO_BLK_T_IN, 0);
	bufs[0] = (struct vring_buf){ header_gpa(0), sizeof(struct virtio_blk_outhdr), false };
	for (unsigned i = 1; i <= SEGMENTS; i++) /* all to the same memory */
		bufs[i] = (struct vring_buf){ DATA, SEGMENT, true };
	bufs[SEGMENTS + 1] = (struct vring_buf){ status_gpa(0), 1, true };
	head = vring_driver_add(&f->drv, bufs, SEGMENTS + 2);
	assert_int_equal(finish(f, head), end + 1);
	assert_int_equal(request_status(f, 0), VIRTIO_BLK_S_OK);
	assert_memory_equal(ram(f, DATA + SEGMENT - 7), "the end", 7);
}

static void unsupported_type(void **state)
{
	static const uint32_t types[] = { 2,
					  VIRTIO_BLK_T_DISCARD,
					  VIRTIO_BLK_T_WRITE_ZEROES,
					  VIRTIO_BLK_T_SECURE_ERASE,
					  0x80000001,
					  UINT32_MAX };
	struct fixture *f = *state;
	uint32_t used;

	drive(f, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		assert_int_equal(request(f, types[i], 0, DATA, SECTOR, &used), VIRTIO_BLK_S_UNSUPP);
	assert_read_ok(f);
}

static void out_of_range_or_not_whole_sectors(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
	} bad[] = {
		{ SECTORS, SECTOR },    { SECTORS - 1, 2 * SECTOR },
		{ UINT64_MAX, SECTOR }, { UINT64_MAX / 512, SECTOR },
		{ 1ull << 55, SECTOR }, { 0, 511 },
		{ 0, SECTOR + 1 },      { 0, IMAGE_SIZE + SECTOR },
	};
	struct fixture *f = *state;
	uint32_t used;

	drive(f, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(request(f, VIRTIO_BLK_T_IN, bad[i].sector, DATA, bad[i].len,
					 &used),
				 VIRTIO_BLK_S_IOERR);
		assert_int_equal(used, 0); /* no data came */
		assert_int_equal(request(f, VIRTIO_BLK_T_OUT, bad[i].sector, DATA, bad[i].len,
					 &used),
				 VIRTIO_BLK_S_IOERR);
	}
	assert_image(f);
	/* Nothing, at the end, is a request like any other. */
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, SECTORS, 0, 0, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(used, 1);
}

static void read_only_disk_is_never_written(void **state)
{
	struct fixture *f = *state;
	uint32_t used;

	assert_int_equal(plug(f, true, NULL), 0);
	assert_true(features_low(f) & 1u << VIRTIO_BLK_F_RO);
	/* Whether the driver took notice or not. */
	drive(f, 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 0, DATA, SECTOR, &used), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_FLUSH, 0, 0, 0, &used), VIRTIO_BLK_S_OK);
	assert_read_ok(f);
	assert_image(f);
}

static void header_cut_short(void **state)
{
	struct fixture *f = *state;
	uint16_t head;

	drive(f, 0);
	put_header(f, 0, VIRTIO_BLK_T_IN, 0);
	head = vring_driver_add(&f->drv,
				(struct vring_buf[]){ { header_gpa(0), 15, false },
						      { status_gpa(0), 1, true } },
				2);
	finish(f, head);
	assert_int_equal(request_status(f, 0), VIRTIO_BLK_S_IOERR);
	put_header(f, 0, VIRTIO_BLK_T_IN, 0);
	head = vring_driver_add(&f->drv, &(struct vring_buf){ status_gpa(0), 1, true }, 1);
	finish(f, head);
	assert_int_equal(request_status(f, 0), VIRTIO_BLK_S_IOERR);
	assert_read_ok(f);
}

static void status_byte_missing(void **state)
{
	struct fixture *f = *state;

	drive(f, 0);
	put_header(f, 0, VIRTIO_BLK_T_IN, 0);
	vring_driver_add(&f->drv, &(struct vring_buf){ header_gpa(0), 16, false }, 1);
	ring(f);
	/* Nowhere to say so but here. */
	assert_true(virtio_guest_wait_vector(&f->guest, 0, TIMEOUT));
	assert_true(virtio_guest_get(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1) &
		    VIRTIO_CONFIG_S_NEEDS_RESET);
	drive(f, 0);
	assert_read_ok(f);
}

static void truncated_image(void **state)
{
	struct fixture *f = *state;
	uint32_t used;

	drive(f, 0);
	assert_int_equal(truncate(f->path, 10 * SECTOR + 100), 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 20, DATA, SECTOR, &used), VIRTIO_BLK_S_IOERR);
	/* Across the end: the first part arrives, then there is nothing more. */
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 8, DATA, 4 * SECTOR, &used),
			 VIRTIO_BLK_S_IOERR);
	assert_read_ok(f);
}

static void short_write_is_continued_until_the_host_refuses(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, tight;
	uint8_t got[SECTOR];
	uint32_t used;
	int fd;

	drive(f, 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight = old;
	tight.rlim_cur = 21 * SECTOR; /* the second sector of the request does not fit */
	memset(ram(f, DATA), 0x66, 2 * SECTOR);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 20, DATA, 2 * SECTOR, &used),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	fd = open(f->path, O_RDONLY);
	assert_int_equal(pread(fd, got, SECTOR, 20 * SECTOR), SECTOR);
	assert_memory_equal(got, ram(f, DATA), SECTOR);
	close(fd);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 20, DATA, 2 * SECTOR, &used),
			 VIRTIO_BLK_S_OK);
}

/* --- many at a time, and the end of it --- */

static void take_all(struct fixture *f, unsigned count)
{
	uint16_t head;
	uint32_t len;

	while (count) {
		if (vring_driver_take(&f->drv, &head, &len)) {
			count--;
			continue;
		}
		if (f->drv.event_idx) {
			vring_driver_want_interrupt_after(&f->drv, f->drv.used_seen);
			if (__atomic_load_n(&f->drv.used->idx, __ATOMIC_RELAXED) !=
			    f->drv.used_seen)
				continue;
		}
		assert_true(virtio_guest_wait_vector(&f->guest, 1, TIMEOUT));
	}
	assert_false(vring_driver_take(&f->drv, &head, &len));
}

static void full_queue_of_requests(void **state)
{
	enum { REQUESTS = QUEUE / 3 };
	struct fixture *f = *state;

	drive(f, F_EVENT_IDX | F_FLUSH);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < REQUESTS; i++)
			add(f, i, VIRTIO_BLK_T_IN, i * 7 + round, DATA + (uint64_t)i * 0x1000,
			    4 * SECTOR);
		ring(f);
		take_all(f, REQUESTS);
		for (unsigned i = 0; i < REQUESTS; i++) {
			assert_int_equal(request_status(f, i), VIRTIO_BLK_S_OK);
			assert_memory_equal(ram(f, DATA + (uint64_t)i * 0x1000),
					    f->image + (uint64_t)(i * 7 + round) * SECTOR,
					    4 * SECTOR);
		}
	}
}

/* All 256 descriptors in flight, as indirect requests; then doorbells for nothing. */
static void every_descriptor_in_flight(void **state)
{
	struct fixture *f = *state;
	uint8_t sector[SECTOR] = { 0 };
	int fd;

	drive(f, F_INDIRECT);
	fd = make_reads_wait(f);
	for (unsigned i = 0; i < QUEUE; i++) {
		const struct vring_buf bufs[] = {
			{ header_gpa(i), sizeof(struct virtio_blk_outhdr), false },
			{ DATA, SECTOR, true },
			{ status_gpa(i), 1, true },
		};

		put_header(f, i, VIRTIO_BLK_T_IN, 0);
		vring_driver_add_indirect(&f->drv, 0x40000 + 48 * i, bufs, 3);
	}
	ring(f);
	for (unsigned i = 0; i < 50; i++)
		virtio_guest_ring(&f->guest, 0);
	assert_false(virtio_guest_wait_vector(&f->guest, 1, NOTHING));
	for (unsigned i = 0; i < QUEUE; i++)
		assert_int_equal(write(fd, sector, SECTOR), SECTOR);
	take_all(f, QUEUE);
	for (unsigned i = 0; i < QUEUE; i++)
		assert_int_equal(request_status(f, i), VIRTIO_BLK_S_OK);
	/* One more than there can be. */
	for (unsigned i = 0; i <= QUEUE; i++)
		vring_driver_add_head(&f->drv, (uint16_t)(i % QUEUE));
	ring(f);
	virtio_guest_ring(&f->guest, 0);
	assert_true(virtio_guest_wait_vector(&f->guest, 0, TIMEOUT));
	close(fd);
}

struct resetter {
	struct fixture *f;
	atomic_bool done;
};

static void *reset_device(void *arg)
{
	struct resetter *r = arg;

	virtio_guest_set(&r->f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	atomic_store(&r->done, true);
	return NULL;
}

static void reset_drains_inflight(void **state)
{
	struct fixture *f = *state;
	struct resetter resetter = { .f = f };
	uint8_t sector[SECTOR] = { 1 };
	pthread_t thread;
	int fd;

	drive(f, 0);
	fd = make_reads_wait(f);
	for (unsigned i = 0; i < 3; i++)
		add(f, i, VIRTIO_BLK_T_IN, 0, DATA, SECTOR);
	ring(f);
	usleep(1000 * NOTHING);
	assert_int_equal(pthread_create(&thread, NULL, reset_device, &resetter), 0);
	for (unsigned i = 0; i < 3; i++) {
		usleep(1000 * NOTHING);
		assert_false(atomic_load(&resetter.done));
		assert_int_equal(write(fd, sector, SECTOR), SECTOR);
	}
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(request_status(f, i), VIRTIO_BLK_S_OK);
	assert_int_equal(f->drv.used->idx, 3);
	assert_int_equal(virtio_guest_get(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1), 0);
	close(fd);
}

static void *feed(void *arg)
{
	uint8_t sector[SECTOR] = { 1 };

	usleep(1000 * NOTHING);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(write(*(int *)arg, sector, SECTOR), SECTOR);
	return NULL;
}

static void destroying_drains_inflight(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	int fd;

	drive(f, 0);
	fd = make_reads_wait(f);
	for (unsigned i = 0; i < 3; i++)
		add(f, i, VIRTIO_BLK_T_IN, 0, DATA, SECTOR);
	ring(f);
	usleep(1000 * NOTHING);
	assert_int_equal(pthread_create(&thread, NULL, feed, &fd), 0);
	virtio_guest_unplug(&f->guest);
	pthread_join(thread, NULL);
	assert_int_equal(f->drv.used->idx, 3);
	close(fd);
	/* And the disk is free again, at once. */
	assert_int_equal(plug(f, false, NULL), 0);
}

static void machine_reset_with_requests_in_flight(void **state)
{
	struct fixture *f = *state;

	for (unsigned round = 0; round < 30; round++) {
		drive(f, F_EVENT_IDX);
		for (unsigned i = 0; i < 64; i++)
			add(f, i, VIRTIO_BLK_T_IN, i, DATA + (uint64_t)i * 0x10000, 64 * SECTOR);
		ring(f);
		f->guest.dev->device.ops->reset(&f->guest.dev->device);
		virtio_guest_map_bar(&f->guest, VIRTIO_GUEST_BAR);
	}
	drive(f, 0);
	assert_read_ok(f);
}

/* Cuts [gpa, gpa + len) into up to `max` buffers at random. */
static unsigned cut(struct vring_buf *bufs, unsigned max, uint64_t gpa, uint32_t len, bool write)
{
	unsigned n = 0;

	while (len) {
		uint32_t piece = n + 1 < max && random() & 3 ? 1 + (uint32_t)random() % len : len;

		bufs[n++] = (struct vring_buf){ gpa, piece, write };
		gpa += piece;
		len -= piece;
	}
	return n;
}

/* Random reads and writes in random layouts, against a copy of what the disk should hold. */
static void random_requests(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 3000; i++) {
		uint32_t sectors = 1 + (uint32_t)random() % 16;
		uint64_t sector = (uint64_t)random() % (SECTORS - sectors);
		uint32_t type = random() & 1 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT;
		uint64_t gpa = DATA + (uint64_t)random() % 0x10000;
		uint32_t len = sectors * SECTOR;
		struct vring_buf bufs[24];
		unsigned n;
		uint16_t head;

		if (i % 500 == 0)
			drive(f, F_INDIRECT | (random() & 1 ? F_EVENT_IDX : 0) |
					 (random() & 1 ? F_FLUSH : 0));
		put_header(f, 0, type, sector);
		n = cut(bufs, 4, header_gpa(0), sizeof(struct virtio_blk_outhdr), false);
		if (type == VIRTIO_BLK_T_OUT) {
			for (uint32_t b = 0; b < len; b += 8)
				store_le(ram(f, gpa + b), 8, (uint64_t)random());
			memcpy(f->image + sector * SECTOR, ram(f, gpa), len);
		}
		n += cut(bufs + n, 16, gpa, len, type == VIRTIO_BLK_T_IN);
		bufs[n++] = (struct vring_buf){ status_gpa(0), 1, true };
		head = random() & 1 ? vring_driver_add(&f->drv, bufs, n)
				    : vring_driver_add_indirect(&f->drv, 0x8000, bufs, n);
		assert_int_equal(finish(f, head), type == VIRTIO_BLK_T_IN ? len + 1 : 1);
		assert_int_equal(request_status(f, 0), VIRTIO_BLK_S_OK);
		if (type == VIRTIO_BLK_T_IN)
			assert_memory_equal(ram(f, gpa), f->image + sector * SECTOR, len);
	}
	assert_image(f);
}

/* Anything in the rings, headers and lengths; afterwards a reset heals the device. */
static void random_rings(void **state)
{
	struct fixture *f = *state;

	for (unsigned round = 0; round < 300; round++) {
		drive(f, F_INDIRECT | (round & 1 ? F_EVENT_IDX : 0));
		for (unsigned i = 0; i < 64; i++)
			put_header(f, i, (uint32_t)random() % 9,
				   (uint64_t)random() % (2 * SECTORS));
		for (unsigned i = 0; i < QUEUE; i++) {
			f->drv.desc[i] = (struct vring_desc){
				.addr = random() & 1 ? header_gpa((unsigned)random() % 64)
						     : DATA + (uint64_t)random() % MiB,
				.len = random() & 1 ? 16 : SECTOR * (uint32_t)(random() % 4),
				.flags = (uint16_t)(random() % (random() & 7 ? 4 : 8)),
				.next = (uint16_t)(i + (unsigned)random() % 2),
			};
			vring_driver_add_head(&f->drv, (uint16_t)(random() % QUEUE));
		}
		(void)vring_driver_expose(&f->drv);
		virtio_guest_ring(&f->guest, 0);
		virtio_guest_ring(&f->guest, 0);
		if (random() & 1)
			usleep(500);
	}
	virtio_guest_unplug(&f->guest);
	assert_int_equal(plug(f, true, NULL), 0);
	drive(f, 0);
	assert_int_equal(finish(f, add(f, 0, VIRTIO_BLK_T_IN, 0, DATA, SECTOR)), SECTOR + 1);
}

#define TEST(name)      cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_BARE(name) cmocka_unit_test_setup_teardown(name, setup_bare, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identity_and_configuration),
		TEST_BARE(get_id_is_the_serial_number),
		TEST_BARE(constructor_says_which_disk_and_why),
		TEST(read_returns_what_the_image_holds),
		TEST(write_reaches_the_image),
		TEST(header_split_over_descriptors),
		TEST(header_and_data_in_one_descriptor),
		TEST(indirect_request_of_the_most_segments),
		TEST(huge_single_segment),
		TEST(request_beyond_two_gib_is_continued),
		TEST(unsupported_type),
		TEST(out_of_range_or_not_whole_sectors),
		TEST_BARE(read_only_disk_is_never_written),
		TEST(header_cut_short),
		TEST(status_byte_missing),
		TEST(truncated_image),
		TEST(short_write_is_continued_until_the_host_refuses),
		TEST(full_queue_of_requests),
		TEST(every_descriptor_in_flight),
		TEST(reset_drains_inflight),
		TEST(destroying_drains_inflight),
		TEST(machine_reset_with_requests_in_flight),
		TEST(random_requests),
		TEST(random_rings),
	};

	return cmocka_run_group_tests_name("virtio_blk", tests, NULL, NULL);
}
