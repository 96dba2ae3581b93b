/* SPDX-License-Identifier: Apache-2.0 */
/* A guest with one disk, for tests. [virtio-1.2 5.2 Block Device] */
#include "blk_guest.h"

#include <fcntl.h>
#include <linux/virtio_pci.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "core/log.h"
#include "core/loop_uring.h"
#include "devices/blk/blk_file.h"
#include "devices/blk/virtio_blk.h"

#define RINGS   0x1000u
#define HEADERS 0x10000u /* 32 bytes a chain: the header, then the status */

void blk_guest_drive(struct blk_guest *f, uint64_t features)
{
	virtio_guest_drive(&f->guest, features, &f->drv, RINGS, BLK_QUEUE);
}

uint8_t *blk_guest_ram(struct blk_guest *f, uint64_t gpa)
{
	return mem_ptr(&f->guest.mem, gpa, 1);
}

uint64_t blk_guest_header_gpa(unsigned slot)
{
	return HEADERS + 32 * slot;
}

uint64_t blk_guest_status_gpa(unsigned slot)
{
	return blk_guest_header_gpa(slot) + sizeof(struct virtio_blk_outhdr);
}

uint8_t blk_guest_status(struct blk_guest *f, unsigned slot)
{
	return __atomic_load_n(blk_guest_ram(f, blk_guest_status_gpa(slot)), __ATOMIC_RELAXED);
}

void blk_guest_put_header(struct blk_guest *f, unsigned slot, uint32_t type, uint64_t sector)
{
	const struct virtio_blk_outhdr hdr = { .type = type, .sector = sector };

	memcpy(blk_guest_ram(f, blk_guest_header_gpa(slot)), &hdr, sizeof(hdr));
	*blk_guest_ram(f, blk_guest_status_gpa(slot)) = BLK_PENDING;
}

void blk_guest_ring(struct blk_guest *f)
{
	if (vring_driver_expose(&f->drv))
		virtio_guest_ring(&f->guest, 0);
}

uint16_t blk_guest_add(struct blk_guest *f, unsigned slot, uint32_t type, uint64_t sector,
		       uint64_t gpa, uint32_t len)
{
	const struct vring_buf bufs[] = {
		{ blk_guest_header_gpa(slot), sizeof(struct virtio_blk_outhdr), false },
		{ gpa, len, type != VIRTIO_BLK_T_OUT },
		{ blk_guest_status_gpa(slot), 1, true },
	};

	blk_guest_put_header(f, slot, type, sector);
	return len ? vring_driver_add(&f->drv, bufs, 3)
		   : vring_driver_add(&f->drv, (struct vring_buf[]){ bufs[0], bufs[2] }, 2);
}

uint32_t blk_guest_finish(struct blk_guest *f, uint16_t head)
{
	uint16_t used = 0;
	uint32_t len = 0;

	if (f->drv.event_idx)
		vring_driver_want_interrupt_after(&f->drv, f->drv.used_seen);
	blk_guest_ring(f);
	assert_true(virtio_guest_wait_vector(&f->guest, 1, BLK_TIMEOUT));
	assert_true(vring_driver_take(&f->drv, &used, &len));
	assert_int_equal(used, head);
	return len;
}

uint8_t blk_guest_request(struct blk_guest *f, uint32_t type, uint64_t sector, uint64_t gpa,
			  uint32_t len, uint32_t *ret_used_len)
{
	*ret_used_len = blk_guest_finish(f, blk_guest_add(f, 0, type, sector, gpa, len));
	return blk_guest_status(f, 0);
}

void blk_guest_assert_read_ok(struct blk_guest *f)
{
	uint32_t used;

	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_IN, 5, BLK_DATA, 2 * BLK_SECTOR, &used),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(used, 2 * BLK_SECTOR + 1);
	assert_memory_equal(blk_guest_ram(f, BLK_DATA), f->image + 5 * BLK_SECTOR, 2 * BLK_SECTOR);
}

void blk_guest_assert_image(struct blk_guest *f)
{
	uint8_t *now = malloc(BLK_IMAGE_SIZE);
	int fd = open(f->path, O_RDONLY);

	assert_int_equal(read(fd, now, BLK_IMAGE_SIZE), BLK_IMAGE_SIZE);
	assert_memory_equal(now, f->image, BLK_IMAGE_SIZE);
	close(fd);
	free(now);
}

uint32_t blk_guest_features(struct blk_guest *f)
{
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	return (uint32_t)virtio_guest_get(&f->guest, VIRTIO_PCI_COMMON_DF, 4);
}

int blk_guest_plug(struct blk_guest *f, bool read_only, const char *serial)
{
	struct blk_file file = { 0 };
	const struct virtio_blk_options options = {
		.path = f->path,
		.file = &file,
		.serial = serial,
		.discard = !f->no_discard,
		.queues = f->queues,
		.loops = f->loops,
		.loop_count = f->loop_count,
	};
	struct pci_dev *dev;
	int r = blk_file_open(&file, f->path, read_only, f->cache);

	if (r == 0)
		r = virtio_blk_create(&f->guest.board, &options, &dev);
	if (r == 0)
		virtio_guest_plug(&f->guest, dev);
	return r;
}

/* The device's own file descriptors become copies of `fd`: each queue may have one. */
static void replace_files(struct blk_guest *f, int fd)
{
	for (int i = 3; i < 1024; i++) {
		char link[64], target[128] = "";

		snprintf(link, sizeof(link), "/proc/self/fd/%d", i);
		if (i == fd || readlink(link, target, sizeof(target) - 1) <= 0 ||
		    strcmp(target, f->path))
			continue;
		assert_true(f->replaced_count < ARRAY_SIZE(f->replaced));
		f->replaced[f->replaced_count++] = i;
		assert_true(dup2(fd, i) >= 0);
	}
	assert_true(f->replaced_count);
}

static void nothing(void *arg)
{
	(void)arg;
}

void blk_guest_settle(struct blk_guest *f)
{
	/* One call may come between the doorbell and the work that it asks for, two may not. */
	for (unsigned i = 0; i < 2 * f->loop_count; i++)
		loop_call(&f->loops[i / 2], nothing, NULL);
}

int blk_guest_make_reads_wait(struct blk_guest *f)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	replace_files(f, fds[0]);
	close(fds[0]);
	return fds[1];
}

void blk_guest_give_file_back(struct blk_guest *f)
{
	int fd = open(f->path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	while (f->replaced_count)
		assert_true(dup2(fd, f->replaced[--f->replaced_count]) >= 0);
	close(fd);
}

int blk_guest_setup_bare(void **state)
{
	struct blk_guest *f = calloc(1, sizeof(*f));
	int fd;

	log_set_level(LOG_ERROR);
	signal(SIGXFSZ, SIG_IGN);
	snprintf(f->path, sizeof(f->path), "/tmp/test_virtio_blk.XXXXXX");
	fd = mkstemp(f->path);
	srandom(1);
	for (unsigned i = 0; i < BLK_IMAGE_SIZE; i++)
		f->image[i] = (uint8_t)random();
	if (fd < 0 || write(fd, f->image, BLK_IMAGE_SIZE) != BLK_IMAGE_SIZE)
		return -1;
	close(fd);
	virtio_guest_init(&f->guest);
	for (unsigned i = 0; i < BLK_LOOPS; i++) {
		if (loop_init_uring(&f->loops[i], 4 * BLK_QUEUE, 4) < 0 ||
		    loop_start_thread(&f->loops[i], "disk") < 0)
			return -1;
	}
	f->loop_count = f->queues = 1;
	*state = f;
	return 0;
}

int blk_guest_setup(void **state)
{
	return blk_guest_setup_bare(state) || blk_guest_plug(*state, false, NULL) ? -1 : 0;
}

int blk_guest_teardown(void **state)
{
	struct blk_guest *f = *state;

	virtio_guest_unplug(&f->guest);
	for (unsigned i = 0; i < BLK_LOOPS; i++) {
		loop_join_thread(&f->loops[i]);
		loop_fini(&f->loops[i]);
	}
	virtio_guest_fini(&f->guest);
	unlink(f->path);
	free(f);
	return 0;
}
