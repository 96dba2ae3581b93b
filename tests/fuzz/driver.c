/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives a fuzz target where there is no libFuzzer: the inputs that are named, then changes of the
 * seeds, the same ones each time.
 *   TARGET [-runs=N] [FILE...]
 * An input that ends the process, or takes too long, is left in ./crash-input.
 */
#include "fuzz.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define SEEDS_MAX    32u
#define SECONDS_MAX  20u /* for one input, on a machine that does much else */
#define CHANGES_MAX  8u
#define RUNS         2000u
#define KEPT         "crash-input"
#define FIRST_RANDOM 0x9e3779b97f4a7c15ull

static struct {
	uint8_t bytes[FUZZ_INPUT_MAX];
	size_t size;
} seeds[SEEDS_MAX], input;
static unsigned seed_count;
static int kept_fd;

/* Before each run, because a sanitizer ends the process without asking. */
static void keep_input(void)
{
	if (ftruncate(kept_fd, 0) < 0 ||
	    pwrite(kept_fd, input.bytes, input.size, 0) != (ssize_t)input.size)
		abort();
}

static void run(void)
{
	/* The input's own copy, so that a read behind its end is one behind an allocation. */
	uint8_t *copy = malloc(input.size ? input.size : 1);

	memcpy(copy, input.bytes, input.size);
	keep_input();
	alarm(SECONDS_MAX);
	LLVMFuzzerTestOneInput(copy, input.size);
	alarm(0);
	free(copy);
}

static void too_slow(int sig)
{
	abort();
}

static void run_file(const char *path)
{
	FILE *file = fopen(path, "re");

	if (!file) {
		perror(path);
		exit(1);
	}
	input.size = fread(input.bytes, 1, sizeof(input.bytes), file);
	fclose(file);
	run();
}

/* [Vigna, "An experimental exploration of Marsaglia's xorshift generators", xorshift64*] */
static uint64_t random_number(void)
{
	static uint64_t x = FIRST_RANDOM;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	return x * 0x2545f4914f6cdd1dull;
}

static size_t random_below(size_t count)
{
	return (size_t)(random_number() >> 16) % count;
}

/* A part of another seed, or of this input, to another place in it. */
static void copy_part(void)
{
	const unsigned from = (unsigned)random_below(seed_count + 1);
	const uint8_t *bytes = from < seed_count ? seeds[from].bytes : input.bytes;
	const size_t size = from < seed_count ? seeds[from].size : input.size;
	const size_t at = random_below(sizeof(input.bytes));
	const size_t start = random_below(size + 1);
	const size_t len = random_below(MIN(size - start, sizeof(input.bytes) - at) + 1);

	memmove(input.bytes + MIN(at, input.size), bytes + start, len);
	input.size = MAX(input.size, MIN(at, input.size) + len);
}

static void change(void)
{
	static const uint64_t edges[] = { 0,        1,          0x7f,      0x80,      0xff,
					  0x7fff,   0x8000,     0xffff,    0x10000,   0x7fffffff,
					  1u << 31, UINT32_MAX, INT64_MAX, UINT64_MAX };
	const size_t at = input.size ? random_below(input.size) : 0;
	const unsigned len = 1u << random_below(4);

	switch (random_below(6)) {
	case 0:
		input.bytes[at] = (uint8_t)(input.bytes[at] ^ 1u << random_below(8));
		break;
	case 1:
		input.bytes[at] = (uint8_t)random_number();
		break;
	case 2:
		if (len <= input.size - at)
			store_le(input.bytes + at, len, edges[random_below(ARRAY_SIZE(edges))]);
		break;
	case 3:
		if (len <= input.size - at)
			store_le(input.bytes + at, len,
				 load_le(input.bytes + at, len) + random_below(33) - 16);
		break;
	case 4:
		copy_part();
		break;
	default:
		if (random_below(4) == 0)
			input.size = at;
	}
}

int main(int argc, char **argv)
{
	unsigned long runs = RUNS;
	int first = 1;

	LLVMFuzzerInitialize(&argc, &argv);
	kept_fd = open(KEPT, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	assert(kept_fd >= 0);
	signal(SIGALRM, too_slow);
	if (argc > 1 && strncmp(argv[1], "-runs=", 6) == 0)
		runs = strtoul(argv[first++] + 6, NULL, 0);
	for (int i = first; i < argc; i++)
		run_file(argv[i]);

	while (seed_count < SEEDS_MAX &&
	       (seeds[seed_count].size = fuzz_seed(seed_count, seeds[seed_count].bytes)) != 0)
		seed_count++;
	assert(seed_count);
	for (unsigned long i = 0; i < runs; i++) {
		input = seeds[i % seed_count];
		/* The seeds themselves come first. */
		for (size_t n = i < seed_count ? 0 : 1 + random_below(CHANGES_MAX); n; n--)
			change();
		run();
	}
	unlink(KEPT);
	printf("%lu inputs of %u seeds, %d files\n", runs, seed_count, argc - first);
	return 0;
}
