/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a fuzz target is made of: a function that takes any bytes, seeds that are worth changing,
 * and a cursor that takes numbers from the bytes. README.md says how to add one.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "core/util.h"

#define FUZZ_INPUT_MAX 8192u

/* The target's. Returns 0; what is wrong ends the process, by an assert or a sanitizer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/*
 * The target's: a good input, the nr-th of some, in `seed` of FUZZ_INPUT_MAX zeroes; its length. 0:
 * there are no more.
 */
size_t fuzz_seed(unsigned nr, uint8_t *seed);

/* Before the first input; whoever drives the target calls it. */
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* The bytes that are left. Where there are too few, the rest of a number is zeroes. */
struct fuzz_input {
	const uint8_t *p;
	size_t left;
};

static inline uint64_t fuzz_take(struct fuzz_input *in, unsigned len)
{
	const unsigned have = (unsigned)MIN(in->left, len);
	const uint64_t v = have ? load_le(in->p, have) : 0;

	in->p += have;
	in->left -= have;
	return v;
}

/* 0 .. count - 1, of a byte; `count` up to 256. */
static inline unsigned fuzz_below(struct fuzz_input *in, unsigned count)
{
	return (unsigned)fuzz_take(in, 1) % count;
}

/* How long an access of a CPU is: 1, 2, 4 or 8. */
static inline unsigned fuzz_access(struct fuzz_input *in)
{
	return 1u << fuzz_below(in, 4);
}

/* Up to `len` of the bytes; how many there were. */
static inline size_t fuzz_bytes(struct fuzz_input *in, size_t len, const uint8_t **ret_bytes)
{
	*ret_bytes = in->p;
	len = MIN(len, in->left);
	in->p += len;
	in->left -= len;
	return len;
}

/* A file of memory that holds these bytes; its path, for those who open by name. */
int fuzz_file(const void *data, size_t size, char ret_path[32]);

/* The other direction: puts a number into a seed, and goes on behind it. */
static inline void fuzz_put(uint8_t **p, unsigned len, uint64_t v)
{
	store_le(*p, len, v);
	*p += len;
}

/* A seed that is a text; NULL: none. */
static inline size_t fuzz_put_text(uint8_t *seed, const char *text)
{
	return text ? strlen(strcpy((char *)seed, text)) : 0;
}

#endif
