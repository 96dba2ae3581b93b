/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbered writes to a disk, and a check of what is left of them after its power was cut.
 *
 *   numbered write DISK SEED        for ever: batches of writes, each followed by a flush; a batch
 *                                   is printed as @NUMBER when the flush is done
 *   numbered check DISK SEED LAST   every sector holds what the last batch that wrote it up to LAST
 *                                   wrote, or what a later one did
 *
 * The numbers of a batch follow from the seed and its own number, so that the check knows them all.
 * One batch in eight writes zeroes, by the request for that if the disk has one. Every other batch
 * goes by the kernel's cache, with many requests at a time; the rest goes directly, sector by
 * sector.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define SECTOR     512u
#define WORDS      (SECTOR / sizeof(uint64_t))
#define EXTENTS    12u /* of a batch, at most */
#define LENGTH_MAX 48u /* of an extent, in sectors */
#define ZERO_EVERY 8u
#define CHUNK      256u  /* sectors, of a read */
#define AHEAD      1000u /* the guest may be this far ahead of what it could print */

struct extent {
	uint64_t sector, count;
};

struct batch {
	bool zeroes, direct;
	unsigned count;
	struct extent extents[EXTENTS];
};

static void die(const char *what)
{
	fprintf(stderr, "numbered: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* splitmix64 */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static void make_batch(struct batch *batch, uint64_t seed, uint64_t number, uint64_t sectors)
{
	uint64_t state = mix(seed ^ mix(number));

	batch->zeroes = number % ZERO_EVERY == 0;
	batch->direct = number & 1;
	batch->count = 1 + (unsigned)(state % EXTENTS);
	for (unsigned i = 0; i < batch->count; i++) {
		struct extent *e = &batch->extents[i];

		state = mix(state);
		e->count = 1 + state % LENGTH_MAX;
		state = mix(state);
		e->sector = state % (sectors - e->count);
	}
}

static void fill(uint64_t *words, uint64_t seed, uint64_t number, uint64_t sector)
{
	words[0] = seed;
	words[1] = number;
	words[2] = sector;
	for (unsigned i = 3; i < WORDS; i++)
		words[i] = mix(seed ^ number << 20 ^ sector) + i;
}

static void write_batch(int fd, int direct_fd, const struct batch *batch, uint64_t seed,
			uint64_t number)
{
	static uint64_t buf[LENGTH_MAX * WORDS] __attribute__((aligned(4096)));

	for (unsigned i = 0; i < batch->count; i++) {
		const struct extent *e = &batch->extents[i];
		uint64_t range[2] = { e->sector * SECTOR, e->count * SECTOR };

		if (batch->zeroes) {
			if (ioctl(fd, BLKZEROOUT, range) == 0)
				continue;
			if (errno != ENOTTY) /* a file */
				die("write zeroes");
		}
		memset(buf, 0, sizeof(buf));
		for (uint64_t s = 0; s < e->count && !batch->zeroes; s++)
			fill(&buf[s * WORDS], seed, number, e->sector + s);
		if (pwrite(batch->direct ? direct_fd : fd, buf, range[1], (off_t)range[0]) !=
		    (ssize_t)range[1])
			die("write");
	}
}

static uint64_t disk_sectors(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);

	if (size <= 0)
		die("size of the disk");
	return (uint64_t)size / SECTOR;
}

static void write_for_ever(const char *path, uint64_t seed)
{
	int fd = open(path, O_RDWR), direct_fd = open(path, O_RDWR | O_DIRECT);
	struct batch batch;
	uint64_t sectors;

	if (fd < 0 || direct_fd < 0)
		die(path);
	sectors = disk_sectors(fd);
	for (uint64_t number = 1;; number++) {
		make_batch(&batch, seed, number, sectors);
		write_batch(fd, direct_fd, &batch, seed, number);
		if (fdatasync(fd) < 0)
			die("flush");
		printf("@%llu\n", (unsigned long long)number);
		fflush(stdout);
		tcdrain(STDOUT_FILENO);
	}
}

static bool writes(const struct batch *batch, uint64_t sector)
{
	for (unsigned i = 0; i < batch->count; i++) {
		if (sector >= batch->extents[i].sector &&
		    sector - batch->extents[i].sector < batch->extents[i].count)
			return true;
	}
	return false;
}

static bool is_zero(const uint64_t *words)
{
	for (unsigned i = 0; i < WORDS; i++) {
		if (words[i])
			return false;
	}
	return true;
}

/* May the sector hold this, when `last` (0: none) was the last acknowledged batch to write it? */
static bool acceptable(const uint64_t *words, uint64_t seed, uint64_t sector, uint64_t sectors,
		       uint64_t last, uint64_t acked)
{
	uint64_t expected[WORDS];
	struct batch batch;

	if (!is_zero(words)) {
		if (words[1] < last || words[1] > acked + AHEAD)
			return false;
		make_batch(&batch, seed, words[1], sectors);
		fill(expected, seed, words[1], sector);
		return !batch.zeroes && writes(&batch, sector) &&
		       !memcmp(words, expected, SECTOR);
	}
	if (last % ZERO_EVERY == 0) /* written as zeroes, or never */
		return true;
	for (uint64_t n = acked + 1; n <= acked + AHEAD; n++) {
		make_batch(&batch, seed, n, sectors);
		if (batch.zeroes && writes(&batch, sector))
			return true;
	}
	return false;
}

static int check(const char *path, uint64_t seed, uint64_t acked)
{
	int fd = open(path, O_RDONLY);
	uint64_t sectors, lost = 0, held = 0, *last;
	static uint64_t chunk[CHUNK * WORDS];
	struct batch batch;

	if (fd < 0)
		die(path);
	sectors = disk_sectors(fd);
	last = calloc(sectors, sizeof(*last));
	if (!last)
		die("memory");
	for (uint64_t number = 1; number <= acked; number++) {
		make_batch(&batch, seed, number, sectors);
		for (unsigned i = 0; i < batch.count; i++) {
			for (uint64_t s = 0; s < batch.extents[i].count; s++)
				last[batch.extents[i].sector + s] = number;
		}
	}
	for (uint64_t sector = 0; sector < sectors; sector++) {
		const uint64_t *words = &chunk[sector % CHUNK * WORDS];

		if (sector % CHUNK == 0 &&
		    pread(fd, chunk, sizeof(chunk), (off_t)(sector * SECTOR)) <= 0)
			die("read");
		held += last[sector] != 0;
		if (acceptable(words, seed, sector, sectors, last[sector], acked))
			continue;
		if (lost++ < 5)
			printf("sector %llu: batch %llu is acknowledged, %llu is there\n",
			       (unsigned long long)sector, (unsigned long long)last[sector],
			       (unsigned long long)words[1]);
	}
	free(last);
	close(fd);
	printf("%llu batches, %llu sectors, %llu lost\n", (unsigned long long)acked,
	       (unsigned long long)held, (unsigned long long)lost);
	return lost != 0;
}

int main(int argc, char *argv[])
{
	if (argc == 4 && !strcmp(argv[1], "write"))
		write_for_ever(argv[2], strtoull(argv[3], NULL, 0));
	if (argc == 5 && !strcmp(argv[1], "check"))
		return check(argv[2], strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0));
	fprintf(stderr, "usage: numbered write DISK SEED | check DISK SEED LAST\n");
	return 2;
}
