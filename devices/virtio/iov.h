/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic on arrays of struct iovec, as descriptor chains become them. Pure; the memory they
 * point to is the guest's, so what is copied out of it is copied once.
 */
#ifndef DEVICES_IOV_H
#define DEVICES_IOV_H

#include <sys/uio.h>

#include "core/util.h"

uint64_t iov_length(const struct iovec *iov, unsigned count);

/* Copies from the front; the number of bytes copied, less than `len` if the array is shorter. */
size_t iov_read(const struct iovec *iov, unsigned count, void *buf, size_t len);
size_t iov_write(const struct iovec *iov, unsigned count, const void *buf, size_t len);

/*
 * Drops the first `bytes`, which are at most its length, from the array: moves *iov and *count past
 * the entries used up and shortens the first one left, in place.
 */
void iov_advance(struct iovec **iov, unsigned *count, uint64_t bytes);

#endif
