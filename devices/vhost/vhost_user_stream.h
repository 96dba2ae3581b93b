/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to a vhost-user back end as a stream of bytes, for vhost_user.c: whole or not at
 * all, and by `end` (as clock_ms has it), whatever the other side does. Any thread. -ETIMEDOUT,
 * -ECONNRESET, -EPIPE, or what the kernel says; sets no error chain.
 */
#ifndef DEVICES_VHOST_USER_STREAM_H
#define DEVICES_VHOST_USER_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "core/util.h"

/* As many as a message may have regions of memory. */
#define VHOST_USER_STREAM_FILES_MAX 8u

/* With `count` files, which go with the first byte. */
int MUST_CHECK vhost_user_stream_send(int fd, const void *buf, size_t len, const int fds[],
				      unsigned count, uint64_t end);

/* There is no room for files: the kernel drops those that come along. */
int MUST_CHECK vhost_user_stream_recv(int fd, void *buf, size_t len, uint64_t end);

#endif
