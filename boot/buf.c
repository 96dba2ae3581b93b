/* SPDX-License-Identifier: Apache-2.0 */
/* A growing buffer with sticky errors; see buf.h. */
#include "boot/buf.h"

#include <errno.h>
#include <stdlib.h>

#define BUF_FIRST_SIZE 1024u

void buf_init(struct buf *b)
{
	*b = (struct buf){ 0 };
}

void buf_fini(struct buf *b)
{
	if (!b)
		return;
	free(b->data);
	buf_init(b);
}

void buf_fail(struct buf *b, int error)
{
	if (!b->error)
		b->error = error;
}

/* Room for `len` more bytes. */
static bool buf_reserve(struct buf *b, size_t len)
{
	size_t size = MAX(b->size, BUF_FIRST_SIZE);
	uint8_t *data;

	if (b->error)
		return false;
	if (len <= b->size - b->len)
		return true;
	while (size - b->len < len) {
		if (size > SIZE_MAX / 2) {
			buf_fail(b, -ENOMEM);
			return false;
		}
		size *= 2;
	}
	data = realloc(b->data, size);
	if (!data) {
		buf_fail(b, -ENOMEM);
		return false;
	}
	b->data = data;
	b->size = size;
	return true;
}

void buf_put(struct buf *b, const void *data, size_t len)
{
	buf_insert(b, b->len, data, len);
}

void buf_zero(struct buf *b, size_t len)
{
	if (!len || !buf_reserve(b, len))
		return;
	memset(b->data + b->len, 0, len);
	b->len += len;
}

void buf_le(struct buf *b, unsigned len, uint64_t val)
{
	uint8_t bytes[8];

	store_le(bytes, sizeof(bytes), val);
	buf_put(b, bytes, len);
}

void buf_text(struct buf *b, const char *text, size_t width, char pad)
{
	size_t len = strnlen(text, width);

	buf_put(b, text, len);
	for (; len < width; len++)
		buf_put(b, &pad, 1);
}

void buf_align(struct buf *b, size_t align)
{
	buf_zero(b, (size_t)align_up(b->len, align) - b->len);
}

void buf_insert(struct buf *b, size_t off, const void *data, size_t len)
{
	if (!len || !buf_reserve(b, len))
		return;
	memmove(b->data + off + len, b->data + off, b->len - off);
	memcpy(b->data + off, data, len);
	b->len += len;
}

void buf_patch_le(struct buf *b, size_t off, unsigned len, uint64_t val)
{
	if (!b->error && range_fits(off, len, b->len))
		store_le(b->data + off, len, val);
}
