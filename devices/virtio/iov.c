/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic on arrays of struct iovec. Pure, any thread.
 */
#include "devices/virtio/iov.h"

#include <assert.h>

uint64_t iov_length(const struct iovec *iov, unsigned count)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum += iov[i].iov_len;
	return sum;
}

size_t iov_read(const struct iovec *iov, unsigned count, void *buf, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < count && done < len; i++) {
		size_t n = MIN(iov[i].iov_len, len - done);

		memcpy((uint8_t *)buf + done, iov[i].iov_base, n);
		done += n;
	}
	/* The compiler must not fetch from guest memory again what the caller reads in `buf`. */
	__asm__ volatile("" : : : "memory");
	return done;
}

size_t iov_write(const struct iovec *iov, unsigned count, const void *buf, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < count && done < len; i++) {
		size_t n = MIN(iov[i].iov_len, len - done);

		memcpy(iov[i].iov_base, (const uint8_t *)buf + done, n);
		done += n;
	}
	return done;
}

void iov_advance(struct iovec **iov, unsigned *count, uint64_t bytes)
{
	while (*count && bytes >= (*iov)->iov_len) {
		bytes -= (*iov)->iov_len;
		(*iov)++;
		(*count)--;
	}
	if (!bytes)
		return;
	assert(*count);
	(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + bytes;
	(*iov)->iov_len -= bytes;
}
