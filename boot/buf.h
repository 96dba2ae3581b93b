/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A buffer that grows, for tables written front to back. The first error sticks and turns every
 * later call into nothing, so a table is written without a check a line and checked once at its
 * end. Build time, any one thread.
 */
#ifndef BOOT_BUF_H
#define BOOT_BUF_H

#include "core/util.h"

struct buf {
	uint8_t *data;
	size_t len;
	size_t size; /* allocated */
	int error;   /* 0 or the first error: -ENOMEM, or what buf_fail was given */
};

void buf_init(struct buf *b);
void buf_fini(struct buf *b);

void buf_put(struct buf *b, const void *data, size_t len);
void buf_zero(struct buf *b, size_t len);
void buf_le(struct buf *b, unsigned len, uint64_t val); /* little-endian, len 1..8 */
/* Fixed-width text, cut or padded with `pad`. */
void buf_text(struct buf *b, const char *text, size_t width, char pad);
void buf_align(struct buf *b, size_t align); /* zeroes up to a power of two */

/* Moves what lies from `off` to the end up by `len` bytes and puts `data` before it. */
void buf_insert(struct buf *b, size_t off, const void *data, size_t len);
/* Overwrites; what lies past the end is not written (an earlier error cut the buffer short). */
void buf_patch_le(struct buf *b, size_t off, unsigned len, uint64_t val);

void buf_fail(struct buf *b, int error); /* keeps an earlier error */

#endif
