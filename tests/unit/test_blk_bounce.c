/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that direct I/O does not take as they are, on a real ring. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "devices/blk/blk_uring.h"
#include "devices/virtio/iov.h"

#define BLOCK    4096u
#define SIZE     (512 * KiB)
#define SECTORS  (SIZE / BLK_SECTOR)
#define REQUESTS 64u

struct fixture {
	struct loop loop;
	struct blk_uring uring;
	struct blk_file file;
	char path[64];
	uint8_t image[SIZE]; /* what the file should hold */
	uint8_t memory[4 * MiB];
	struct blk_request reqs[REQUESTS];
	struct iovec iovs[REQUESTS];
	uint8_t *memories[REQUESTS];
	uint64_t offsets[REQUESTS], lens[REQUESTS];
	int errors[REQUESTS];
	unsigned done;
	unsigned pieces; /* that went through a buffer */
	bool fail_reads; /* those of pieces */
};

static struct fixture *fixture;

void __real_blk_uring_start(struct blk_uring *uring, struct blk_request *req);
void __wrap_blk_uring_start(struct blk_uring *uring, struct blk_request *req);

/* What blk_bounce submits is what the host asked for. */
void __wrap_blk_uring_start(struct blk_uring *uring, struct blk_request *req)
{
	struct blk_direct align = fixture->file.direct;

	assert_int_equal(req->offset % align.offset, 0);
	for (unsigned i = 0; i < req->iov_count; i++) {
		assert_int_equal(req->iov[i].iov_len % align.offset, 0);
		assert_int_equal((uintptr_t)req->iov[i].iov_base % align.memory, 0);
	}
	fixture->pieces += req->job != NULL;
	if (fixture->fail_reads && req->job && req->op == BLK_READ)
		req->offset = SIZE;
	__real_blk_uring_start(uring, req);
}

static void request_done(struct blk_uring *uring, struct blk_request *req, int error)
{
	(void)uring;
	assert_in_range(req - fixture->reqs, 0, REQUESTS - 1);
	fixture->errors[req - fixture->reqs] = error;
	fixture->done++;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fd;

	snprintf(f->path, sizeof(f->path), "/tmp/test_blk_bounce.XXXXXX");
	fd = mkstemp(f->path);
	srandom(1);
	for (unsigned i = 0; i < SIZE; i++)
		f->image[i] = (uint8_t)random();
	if (fd < 0 || write(fd, f->image, SIZE) != (ssize_t)SIZE ||
	    loop_init_uring(&f->loop, REQUESTS, 1) < 0)
		return -1;
	/* The test's thread is the loop's. */
	f->loop.ops->begin(&f->loop);
	f->file = (struct blk_file){
		.fd = fd,
		.size = SIZE,
		.topology = { .logical = BLK_SECTOR, .physical = BLOCK },
		.direct = { .offset = BLOCK, .memory = BLOCK },
	};
	*state = fixture = f;
	return blk_uring_init(&f->uring, &f->loop, &f->file, request_done);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	blk_uring_fini(&f->uring);
	f->loop.ops->end(&f->loop);
	loop_fini(&f->loop);
	blk_file_close(&f->file);
	unlink(f->path);
	free(f);
	return 0;
}

static void queue(struct fixture *f, unsigned i, enum blk_op op, uint64_t sector, uint64_t sectors,
		  uint8_t *memory)
{
	f->errors[i] = 1;
	f->memories[i] = memory;
	f->offsets[i] = sector * BLK_SECTOR;
	f->lens[i] = sectors * BLK_SECTOR;
	f->iovs[i] = (struct iovec){ memory, f->lens[i] };
	f->reqs[i] = (struct blk_request){
		.op = op,
		.iov = &f->iovs[i],
		.iov_count = 1,
		.offset = f->offsets[i],
	};
	blk_uring_queue(&f->uring, &f->reqs[i]);
}

static void assert_file(const struct fixture *f)
{
	uint8_t *now = malloc(SIZE);

	assert_int_equal(pread(f->file.fd, now, SIZE, 0), SIZE);
	assert_memory_equal(now, f->image, SIZE);
	free(now);
}

static void aligned_requests_go_as_they_are(void **state)
{
	struct fixture *f = *state;
	uint8_t *memory = (uint8_t *)align_up((uintptr_t)f->memory, BLOCK);

	queue(f, 0, BLK_READ, 16, 24, memory);
	blk_uring_drain(&f->uring);
	assert_int_equal(f->errors[0], 0);
	assert_int_equal(f->pieces, 0);
	assert_memory_equal(memory, f->image + 16 * BLK_SECTOR, 24 * BLK_SECTOR);
}

static void unaligned_memory_goes_through_a_buffer(void **state)
{
	struct fixture *f = *state;
	uint8_t *memory = (uint8_t *)align_up((uintptr_t)f->memory, BLOCK) + 4;

	queue(f, 0, BLK_READ, 16, 600, memory);
	blk_uring_drain(&f->uring);
	assert_int_equal(f->errors[0], 0);
	assert_int_equal(f->pieces, 3); /* 300 KiB by 128 KiB */
	assert_memory_equal(memory, f->image + 16 * BLK_SECTOR, 600 * BLK_SECTOR);

	memset(memory, 0x33, 600 * BLK_SECTOR);
	memset(f->image + 16 * BLK_SECTOR, 0x33, 600 * BLK_SECTOR);
	queue(f, 0, BLK_WRITE, 16, 600, memory);
	blk_uring_drain(&f->uring);
	assert_int_equal(f->pieces, 6);
	assert_file(f);
}

/* Eight writers of one sector each in one block, all at a time: each would undo the others. */
static void writes_in_one_block_keep_each_other(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 8; i++) {
		memset(f->memory + i * BLK_SECTOR, 0x50 + (int)i, BLK_SECTOR);
		memset(f->image + (8 + i) * BLK_SECTOR, 0x50 + (int)i, BLK_SECTOR);
		queue(f, i, BLK_WRITE, 8 + i, 1, f->memory + i * BLK_SECTOR);
	}
	blk_uring_drain(&f->uring);
	assert_int_equal(f->done, 8);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(f->errors[i], 0);
	assert_file(f);
}

/* A write of whole blocks neither starts within a write of a part, nor is it undone by one. */
static void whole_blocks_wait_for_parts(void **state)
{
	struct fixture *f = *state;
	uint8_t *whole = (uint8_t *)align_up((uintptr_t)f->memory, BLOCK), *part = whole + SIZE;

	for (unsigned order = 0; order < 2; order++) {
		memset(whole, 0x61 + (int)order, 2 * BLOCK);
		memset(part, 0x71 + (int)order, BLK_SECTOR);
		/* The part lies in the second block, of which the rest is the whole's. */
		memcpy(f->image, whole, 2 * BLOCK);
		if (order)
			memcpy(f->image + BLOCK, part, BLK_SECTOR);
		else
			queue(f, 0, BLK_WRITE, 8, 1, part);
		queue(f, 1, BLK_WRITE, 0, 16, whole);
		if (order)
			queue(f, 2, BLK_WRITE, 8, 1, part);
		blk_uring_drain(&f->uring);
		assert_file(f);
	}
	assert_int_equal(f->done, 4);
}

static void zeroes_wait_for_parts(void **state)
{
	struct fixture *f = *state;
	uint8_t *part = f->memory + 1;

	for (unsigned order = 0; order < 2; order++) {
		memset(part, 0x71 + (int)order, BLK_SECTOR);
		memset(f->image, 0, 2 * BLOCK);
		if (order)
			memcpy(f->image + BLOCK, part, BLK_SECTOR);
		else
			queue(f, 0, BLK_WRITE, 8, 1, part);
		f->reqs[1] = (struct blk_request){
			.op = BLK_FALLOCATE,
			.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			.len = 2 * BLOCK,
		};
		blk_uring_queue(&f->uring, &f->reqs[1]);
		if (order)
			queue(f, 2, BLK_WRITE, 8, 1, part);
		blk_uring_drain(&f->uring);
		if (f->errors[1] == -EOPNOTSUPP)
			skip(); /* /tmp has no holes here */
		assert_file(f);
	}
	assert_int_equal(f->done, 4);
}

/* Many at a time, no two of the same sector, most of them in blocks of others. */
static void random_requests(void **state)
{
	struct fixture *f = *state;
	unsigned count = 0;

	for (unsigned round = 0; round < 200; round++) {
		uint64_t sector = (uint64_t)random() % 8;

		for (count = 0; count < REQUESTS && sector + 16 <= SECTORS; count++) {
			const uint64_t sectors = 1 + (uint64_t)random() % 12;
			const enum blk_op op = random() & 1 ? BLK_WRITE : BLK_READ;
			uint8_t *memory = f->memory + count * 32 * KiB;

			memory += random() & 1 ? 512 : (unsigned)random() % BLOCK;
			if (random() & 1)
				memory = (uint8_t *)align_up((uintptr_t)memory, BLOCK);
			if (op == BLK_WRITE) {
				for (unsigned b = 0; b < sectors * BLK_SECTOR; b++)
					memory[b] = (uint8_t)random();
				memcpy(f->image + sector * BLK_SECTOR, memory,
				       sectors * BLK_SECTOR);
			}
			queue(f, count, op, sector, sectors, memory);
			if (random() % 5 == 0 && f->uring.in_flight)
				loop_pass(&f->loop);
			sector += sectors + (uint64_t)random() % 2;
		}
		blk_uring_drain(&f->uring);
		for (unsigned i = 0; i < count; i++) {
			assert_int_equal(f->errors[i], 0);
			/* What was read, and what was written is unchanged. */
			assert_memory_equal(f->memories[i], f->image + f->offsets[i], f->lens[i]);
		}
		assert_file(f);
	}
	assert_true(f->pieces > REQUESTS);
}

static void error_of_a_piece_is_the_requests(void **state)
{
	struct fixture *f = *state;

	f->fail_reads = true;
	memset(f->memory, 0x7e, BLK_SECTOR);
	queue(f, 0, BLK_WRITE, 3, 1, f->memory);
	queue(f, 1, BLK_WRITE, 4, 1, f->memory); /* waits for it */
	blk_uring_drain(&f->uring);
	assert_int_equal(f->errors[0], -EIO);
	assert_int_equal(f->errors[1], -EIO);
	assert_file(f);
	f->fail_reads = false;
	queue(f, 0, BLK_WRITE, 3, 1, f->memory);
	blk_uring_drain(&f->uring);
	assert_int_equal(f->errors[0], 0);
	memset(f->image + 3 * BLK_SECTOR, 0x7e, BLK_SECTOR);
	assert_file(f);
}

/* More than there are buffers, and none is lost. */
static void requests_wait_for_a_buffer(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < REQUESTS; i++)
		queue(f, i, BLK_READ, i * 8 + 1, 9, f->memory + i * 32 * KiB + 1);
	blk_uring_drain(&f->uring);
	assert_int_equal(f->done, REQUESTS);
	for (unsigned i = 0; i < REQUESTS; i++) {
		assert_int_equal(f->errors[i], 0);
		assert_memory_equal(f->memory + i * 32 * KiB + 1,
				    f->image + (i * 8 + 1) * BLK_SECTOR, 9 * BLK_SECTOR);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(aligned_requests_go_as_they_are),
		TEST(unaligned_memory_goes_through_a_buffer),
		TEST(writes_in_one_block_keep_each_other),
		TEST(whole_blocks_wait_for_parts),
		TEST(zeroes_wait_for_parts),
		TEST(random_requests),
		TEST(error_of_a_piece_is_the_requests),
		TEST(requests_wait_for_a_buffer),
	};

	return cmocka_run_group_tests_name("blk_bounce", tests, NULL, NULL);
}
