/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes and files over a UNIX socket, with a time limit; see vhost_user_stream.h. */
#include "devices/vhost/vhost_user_stream.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "core/clock.h"

/* Until the connection can be read or written, or `end` has come. */
static int wait_for(int fd, short events, uint64_t end)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		const uint64_t now = clock_ms();
		int n = poll(&p, 1, now < end ? (int)(end - now) : 0);

		if (n > 0)
			return 0;
		if (n == 0 && clock_ms() >= end)
			return -ETIMEDOUT;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

int vhost_user_stream_send(int fd, const void *buf, size_t len, const int fds[], unsigned count,
			   uint64_t end)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * VHOST_USER_STREAM_FILES_MAX)];
	} control = { 0 };
	const uint8_t *p = buf;

	while (len) {
		struct iovec iov = { (void *)p, len };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n;

		/* The files go with the first byte. */
		if (count && p == buf) {
			struct cmsghdr *head;

			msg.msg_control = control.buf;
			msg.msg_controllen = CMSG_SPACE(sizeof(int) * count);
			head = CMSG_FIRSTHDR(&msg);
			head->cmsg_level = SOL_SOCKET;
			head->cmsg_type = SCM_RIGHTS;
			head->cmsg_len = CMSG_LEN(sizeof(int) * count);
			memcpy(CMSG_DATA(head), fds, sizeof(int) * count);
		}
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN) {
			int r = wait_for(fd, POLLOUT, end);

			if (r < 0)
				return r;
		} else if (n < 0 && errno != EINTR) {
			return -errno;
		} else if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

int vhost_user_stream_recv(int fd, void *buf, size_t len, uint64_t end)
{
	uint8_t *p = buf;

	while (len) {
		ssize_t n = recv(fd, p, len, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			int r = wait_for(fd, POLLIN, end);

			if (r < 0)
				return r;
		} else if (n < 0 && errno != EINTR) {
			return -errno;
		} else if (n == 0) {
			return -ECONNRESET;
		} else if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}
