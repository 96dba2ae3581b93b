/* SPDX-License-Identifier: Apache-2.0 */
/* System calls that return a result or a negative errno; see sys.h. */
#include "core/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>

int sys_open(const char *path, int flags, mode_t mode)
{
	int fd;

	do {
		fd = open(path, flags | O_CLOEXEC, mode);
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

int sys_ioctl(int fd, unsigned long request, void *arg)
{
	int r = ioctl(fd, request, arg);

	return r < 0 ? -errno : r;
}

int sys_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void sys_eventfd_signal(int fd)
{
	const uint64_t one = 1;

	/* EAGAIN: the counter is full, so the reader has enough to see already. */
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

uint64_t sys_eventfd_drain(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

/* Of those that are blocked and have come. Asked for only then: it takes a system call each. */
static void drop_ignored_signals(void)
{
	const struct timespec now = { 0 };
	sigset_t pending, ignored;
	struct sigaction action;

	sigemptyset(&ignored);
	if (sigpending(&pending) < 0)
		return;
	for (int sig = 1; sig < SIGRTMIN; sig++) {
		if (sigismember(&pending, sig) == 1 && sigaction(sig, NULL, &action) == 0 &&
		    action.sa_handler == SIG_IGN)
			sigaddset(&ignored, sig);
	}
	if (!sigisemptyset(&ignored)) {
		while (sigtimedwait(&ignored, NULL, &now) > 0)
			;
	}
}

int sys_signal_read(int fd)
{
	struct signalfd_siginfo info;

	if (!sys_signal_waits(fd) || read(fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	return (int)info.ssi_signo;
}

bool sys_signal_waits(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, 0) != 1)
		return false;
	drop_ignored_signals();
	return poll(&p, 1, 0) == 1;
}

/* Moves all bytes one way or the other, in as many calls as it takes. */
static int transfer(int fd, uint8_t *p, size_t len, uint64_t off, bool out)
{
	while (len) {
		ssize_t n = out ? pwrite(fd, p, len, (off_t)off) : pread(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int sys_pread_full(int fd, void *buf, size_t len, uint64_t off)
{
	return transfer(fd, buf, len, off, false);
}

int sys_pwrite_full(int fd, const void *buf, size_t len, uint64_t off)
{
	return transfer(fd, (uint8_t *)buf, len, off, true);
}

int sys_read_text(const char *path, char *buf, size_t size)
{
	CLEANUP(closep) int fd = sys_open(path, O_RDONLY, 0);
	size_t len = 0;

	if (fd < 0)
		return fd;
	for (;;) {
		ssize_t n = read(fd, buf + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len == size)
			return -EFBIG;
	}
	if (len && buf[len - 1] == '\n')
		len--;
	buf[len] = '\0';
	return 0;
}

int sys_read_head(const char *path, char *buf, size_t size)
{
	CLEANUP(closep) int fd = sys_open(path, O_RDONLY, 0);
	ssize_t n;

	if (fd < 0)
		return fd;
	do {
		n = read(fd, buf, size - 1);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return 0;
}

int sys_write_text(const char *path, const char *text)
{
	CLEANUP(closep) int fd = sys_open(path, O_WRONLY, 0);
	size_t len = strlen(text);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = write(fd, text, len);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

int sys_read_file(const char *path, size_t max, void **ret_data, size_t *ret_len)
{
	/* Not blocking: a FIFO is refused below and not waited for. */
	CLEANUP(closep) int fd = sys_open(path, O_RDONLY | O_NONBLOCK, 0);
	struct stat st;
	size_t len;
	char *data;
	int r;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	len = (size_t)st.st_size;
	data = malloc(len + 1);
	if (!data)
		return -ENOMEM;
	r = sys_pread_full(fd, data, len, 0);
	if (r < 0) {
		free(data);
		return r;
	}
	data[len] = '\0';
	*ret_data = data;
	*ret_len = len;
	return 0;
}
