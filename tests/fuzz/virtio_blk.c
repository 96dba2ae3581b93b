/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk and a hostile driver: the real engine, io_uring and all, on a file. Its two queues run on
 * threads as in the machine.
 */
#include "hostile_driver.h"

#include <assert.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/loop_uring.h"
#include "devices/blk/blk_file.h"
#include "devices/blk/virtio_blk.h"

#define QUEUES    2u
#define DISK_SIZE MiB
#define SECTOR    BLK_SECTOR

static struct virtio_guest guest;
static struct loop loops[QUEUES];
static char path[] = "/tmp/tinyvmm-fuzz-disk.XXXXXX";
static int disk;

static size_t seed_of(uint8_t *seed, uint32_t type, uint64_t sector, const struct hostile_buf *bufs,
		      unsigned count)
{
	/* Behind the header is what a discard has, a range. */
	const struct {
		struct virtio_blk_outhdr header;
		struct virtio_blk_discard_write_zeroes range;
	} head = { { .type = type, .sector = sector }, { .sector = 8, .num_sectors = 16 } };
	uint8_t *p = seed;

	hostile_seed_begin(&p, type == VIRTIO_BLK_T_IN ? 0 : UINT64_MAX);
	hostile_seed_request(&p, 0, &head, sizeof(head), bufs, count);
	hostile_seed_request(&p, 1, &head, sizeof(head), bufs, count);
	return (size_t)(p - seed);
}

size_t fuzz_seed(unsigned nr, uint8_t *seed)
{
	static const struct {
		uint32_t type;
		uint64_t sector;
		struct hostile_buf bufs[4];
		unsigned count;
	} requests[] = {
		{ VIRTIO_BLK_T_IN, 2, { { 16, false }, { 2 * SECTOR, true }, { 1, true } }, 3 },
		{ VIRTIO_BLK_T_OUT, 8, { { 16, false }, { SECTOR, false }, { 1, true } }, 3 },
		{ VIRTIO_BLK_T_IN,
		  0,
		  { { 16, false }, { 100, true }, { 412, true }, { 1, true } },
		  4 },
		{ VIRTIO_BLK_T_FLUSH, 0, { { 16, false }, { 1, true } }, 2 },
		{ VIRTIO_BLK_T_GET_ID, 0, { { 16, false }, { 20, true }, { 1, true } }, 3 },
		{ VIRTIO_BLK_T_DISCARD, 0, { { 16, false }, { 16, false }, { 1, true } }, 3 },
		{ VIRTIO_BLK_T_WRITE_ZEROES, 0, { { 16, false }, { 16, false }, { 1, true } }, 3 },
	};

	return nr < ARRAY_SIZE(requests) ? seed_of(seed, requests[nr].type, requests[nr].sector,
						   requests[nr].bufs, requests[nr].count)
					 : 0;
}

static void must(bool done)
{
	if (!done)
		abort();
}

static void forget_disk(void)
{
	unlink(path);
}

static void init(void)
{
	disk = mkostemp(path, O_CLOEXEC);
	must(disk >= 0);
	atexit(forget_disk);
	virtio_guest_init(&guest);
	for (unsigned i = 0; i < QUEUES; i++)
		must(loop_init_uring(&loops[i], 4 * VIRTIO_BLK_QUEUE_SIZE, 4) == 0 &&
		     loop_start_thread(&loops[i], "disk") == 0);
}

static void plug(bool read_only)
{
	struct blk_file file = { 0 };
	const struct virtio_blk_options options = {
		.path = path,
		.file = &file,
		.discard = true,
		.queues = QUEUES,
		.loops = loops,
		.loop_count = QUEUES,
	};
	struct pci_dev *dev = NULL;

	must(blk_file_open(&file, path, read_only, BLK_CACHE_UNSAFE) == 0 &&
	     virtio_blk_create(&guest.board, &options, &dev) == 0);
	virtio_guest_plug(&guest, dev);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct hostile_driver driver = {
		.guest = &guest, .queues = QUEUES, .loops = loops, .loop_count = QUEUES
	};

	if (!guest.vm.vm_fd)
		init();
	/* Disk and memory are all zeroes again, whatever the input before has done. */
	must(ftruncate(disk, 0) == 0 && ftruncate(disk, DISK_SIZE) == 0);
	must(madvise(mem_ptr(&guest.mem, 0, VIRTIO_GUEST_RAM), VIRTIO_GUEST_RAM, MADV_REMOVE) == 0);
	plug(size & 1 && data[size - 1] == 0xff);
	hostile_driver_run(&driver, &in);
	virtio_guest_unplug(&guest);
	must(virtio_guest_doorbells() == 0);
	return 0;
}
