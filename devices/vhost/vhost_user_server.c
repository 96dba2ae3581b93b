/* SPDX-License-Identifier: Apache-2.0 */
/* A back end's socket; see vhost_user_server.h. [unix(7), open(2): O_PATH] */
#include "devices/vhost/vhost_user_server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/sys.h"

#define BACKLOG 1

/* The socket's name exists between bind and unlink, in a folder that is this user's alone. */
static int bind_nameless(int fd, const char *base, int *ret_server)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char dir[64];
	int r;

	snprintf(dir, sizeof(dir), "%s/tinyvmm-XXXXXX", base);
	if (!mkdtemp(dir))
		return -errno;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/socket", dir);
	r = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	if (r == 0) {
		r = sys_open(addr.sun_path, O_PATH, 0);
		unlink(addr.sun_path);
	}
	rmdir(dir);
	if (r < 0)
		return r;
	*ret_server = r;
	return 0;
}

int vhost_user_listen(int *ret_listen, int *ret_server)
{
	static const char *const bases[] = { "/tmp", "/dev/shm", "/run" };
	int server = -1, r = -ENOENT;

	for (unsigned i = 0; i < ARRAY_SIZE(bases) && r < 0; i++) {
		/* A failed bind may leave it bound. */
		CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0)
			return -errno;
		r = bind_nameless(fd, bases[i], &server);
		if (r == 0 && listen(fd, BACKLOG) < 0)
			r = -errno;
		if (r == 0) {
			*ret_listen = fd;
			*ret_server = server;
			fd = -1;
		} else {
			close_fd(&server);
		}
	}
	return r;
}

int vhost_user_connect(int server)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	/* Not blocking: a back end that does not accept must not keep us. */
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return -errno;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d", server);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}
