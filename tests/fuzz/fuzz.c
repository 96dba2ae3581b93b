/* SPDX-License-Identifier: Apache-2.0 */
/* What all fuzz targets share: the sanitizers' settings, silence, seeds as files. */
#include "fuzz.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/log.h"

/* Read by the sanitizers before main, from a library of theirs, or it would not be found. */
#define FOR_SANITIZERS __attribute__((visibility("default"), used))

FOR_SANITIZERS const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "handle_abort=1:allocator_may_return_null=1:detect_stack_use_after_return=0";
}

FOR_SANITIZERS const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
	return "halt_on_error=1:print_stacktrace=1";
}

static void drop(void *opaque, enum log_level level, const char *text)
{
}

/* For a corpus: one file a seed, in a folder that is there. */
static void write_seeds(const char *folder)
{
	static uint8_t seed[FUZZ_INPUT_MAX];
	size_t size;

	for (unsigned nr = 0; memset(seed, 0, sizeof(seed)), (size = fuzz_seed(nr, seed)); nr++) {
		char path[256];
		FILE *file;

		snprintf(path, sizeof(path), "%s/seed-%u", folder, nr);
		file = fopen(path, "we");
		assert(file && fwrite(seed, 1, size, file) == size);
		fclose(file);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *seeds = getenv("FUZZ_SEEDS");

	/* An assertion of a fixture that fails is a crash, not the end of a test. */
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	/* All messages are made, and nobody hears them. */
	log_set_level(LOG_DEBUG);
	log_set_sink(drop, NULL);
	if (seeds) {
		write_seeds(seeds);
		exit(0);
	}
	return 0;
}

int fuzz_file(const void *data, size_t size, char ret_path[32])
{
	const int fd = memfd_create("fuzz", MFD_CLOEXEC);

	assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(ret_path, 32, "/proc/self/fd/%d", fd);
	return fd;
}
