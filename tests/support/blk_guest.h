/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest with one disk, for tests: an image of random bytes in a file, real io_uring, and a driver
 * that makes requests. All but plug and setup assert.
 */
#ifndef SUPPORT_BLK_GUEST_H
#define SUPPORT_BLK_GUEST_H

#include <linux/virtio_blk.h>

#include "devices/blk/blk_file.h"
#include "virtio_guest.h"

#define BLK_QUEUE      256u
#define BLK_SECTORS    8192u
#define BLK_IMAGE_SIZE (BLK_SECTORS * BLK_SECTOR)
#define BLK_DATA       0x100000u /* from here the guest's RAM is free for buffers */
#define BLK_LOOPS      2u
#define BLK_TIMEOUT    120000u /* for what must happen, on a machine that does much else */
#define BLK_PENDING    0xaau  /* a status byte that the device has not written */
#define BLK_F_FLUSH    (1ull << VIRTIO_BLK_F_FLUSH)

struct blk_guest {
	struct virtio_guest guest;
	struct loop loops[BLK_LOOPS]; /* what the disk's queues run on, in turn */
	unsigned loop_count, queues;  /* one of each, unless changed before the plug */
	struct vring_driver drv;      /* of queue 0 */
	enum blk_cache cache;
	bool no_discard;
	int replaced[16]; /* the device's, where something else is in the file's place */
	unsigned replaced_count;
	char path[64];
	uint8_t image[BLK_IMAGE_SIZE]; /* what it holds, or should */
};

/* For cmocka; *state is the guest, with the disk or, bare, with the image only. */
int blk_guest_setup(void **state);
int blk_guest_setup_bare(void **state);
int blk_guest_teardown(void **state);
int blk_guest_plug(struct blk_guest *f, bool read_only, const char *serial);

/* From reset to DRIVER_OK. */
void blk_guest_drive(struct blk_guest *f, uint64_t features);
uint32_t blk_guest_features(struct blk_guest *f); /* offered, the lower half */
uint8_t *blk_guest_ram(struct blk_guest *f, uint64_t gpa);

/* A request has a slot for its header and status, which are pending once the header is put. */
uint64_t blk_guest_header_gpa(unsigned slot);
uint64_t blk_guest_status_gpa(unsigned slot);
uint8_t blk_guest_status(struct blk_guest *f, unsigned slot);
void blk_guest_put_header(struct blk_guest *f, unsigned slot, uint32_t type, uint64_t sector);

/* Header, one buffer of data (or none) and status, each in a descriptor of its own; the head. */
uint16_t blk_guest_add(struct blk_guest *f, unsigned slot, uint32_t type, uint64_t sector,
		       uint64_t gpa, uint32_t len);
/* Shows the device what was added; rings if it wants that. */
void blk_guest_ring(struct blk_guest *f);
/* Rings, waits for `head` alone and returns the used length. */
uint32_t blk_guest_finish(struct blk_guest *f, uint16_t head);
/* One request from start to end; its status. */
uint8_t blk_guest_request(struct blk_guest *f, uint32_t type, uint64_t sector, uint64_t gpa,
			  uint32_t len, uint32_t *ret_used_len);

/* Waits until the disk's loops have taken off the rings what was rung for. */
void blk_guest_settle(struct blk_guest *f);

/* From now on the device's reads wait until something is written to the fd returned. */
int blk_guest_make_reads_wait(struct blk_guest *f);
void blk_guest_give_file_back(struct blk_guest *f);

void blk_guest_assert_read_ok(struct blk_guest *f); /* the device works */
void blk_guest_assert_image(struct blk_guest *f);   /* the file holds what f->image does */

#endif
