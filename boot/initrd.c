/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a cpio archive; see initrd.h. Main thread. */
#include "boot/initrd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"

/* Of the format: header, name and data each end at a multiple of 4. */
#define ALIGNMENT 4u

#define READ_CHUNK (256 * KiB)

struct entry {
	const char *path;
	unsigned mode, major, minor;
	uint32_t size;
};

static int put(struct initrd *initrd, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		const ssize_t n = write(initrd->fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(ERR_LIMIT, n ? -errno : -ENOSPC,
				       "write the initial RAM disk");
		p += n;
		len -= (size_t)n;
		initrd->size += (size_t)n;
	}
	return 0;
}

static int pad(struct initrd *initrd)
{
	static const char zeroes[ALIGNMENT];

	return put(initrd, zeroes, -initrd->size % ALIGNMENT);
}

static int put_header(struct initrd *initrd, const struct entry *entry)
{
	const uint32_t name = (uint32_t)strlen(entry->path) + 1;
	char header[111];
	int r;

	/* The fields' order: number, mode, user, group, links, time, size, device, of what, name.
	 */
	snprintf(header, sizeof(header),
		 "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", ++initrd->files,
		 entry->mode, 0, 0, 1, 0, entry->size, 0, 0, entry->major, entry->minor, name, 0);
	r = put(initrd, header, sizeof(header) - 1);
	if (r == 0)
		r = put(initrd, entry->path, name);
	return r == 0 ? pad(initrd) : r;
}

int initrd_init(struct initrd *initrd)
{
	*initrd = (struct initrd){ .fd = memfd_create("initrd", MFD_CLOEXEC) };
	return initrd->fd < 0 ? err_sys(ERR_LIMIT, -errno, "make an initial RAM disk") : 0;
}

void initrd_fini(struct initrd *initrd)
{
	if (initrd->files)
		close_fd(&initrd->fd);
	initrd->files = 0;
}

int initrd_add_folder(struct initrd *initrd, const char *path)
{
	const struct entry entry = { .path = path, .mode = S_IFDIR | 0755 };

	return put_header(initrd, &entry);
}

int initrd_add_device(struct initrd *initrd, const char *path, unsigned major, unsigned minor)
{
	const struct entry entry = {
		.path = path,
		.mode = S_IFCHR | 0600,
		.major = major,
		.minor = minor,
	};

	return put_header(initrd, &entry);
}

int initrd_add_file(struct initrd *initrd, const char *path, unsigned mode, const void *data,
		    size_t len)
{
	const struct entry entry = { path, S_IFREG | mode, 0, 0, (uint32_t)len };
	int r;

	if (len > UINT32_MAX)
		return err_set(ERR_LIMIT, -EFBIG, "'%s' does not fit into an initial RAM disk",
			       path);
	r = put_header(initrd, &entry);
	if (r == 0)
		r = put(initrd, data, len);
	return r == 0 ? pad(initrd) : r;
}

/* Everything from `fd`, in one piece of memory; its length was not known before. */
static int read_all(int fd, uint8_t **ret_data, size_t *ret_len)
{
	uint8_t *data = NULL;
	size_t len = 0, room = 0;

	for (;;) {
		ssize_t n;

		if (room - len < READ_CHUNK) {
			uint8_t *more = realloc(data, room += MAX(room, 2 * READ_CHUNK));

			if (!more) {
				free(data);
				return -ENOMEM;
			}
			data = more;
		}
		n = read(fd, data + len, room - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			const int r = -errno;

			free(data);
			return r;
		}
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret_data = data;
	*ret_len = len;
	return 0;
}

int initrd_add_from(struct initrd *initrd, const char *path, unsigned mode, int fd)
{
	uint8_t *data = NULL;
	size_t len = 0;
	int r = read_all(fd, &data, &len);

	if (r < 0)
		return err_sys(ERR_FILE, r, "read %s for the initial RAM disk", path);
	r = initrd_add_file(initrd, path, mode, data, len);
	free(data);
	return r;
}

int initrd_end(struct initrd *initrd)
{
	const struct entry entry = { .path = "TRAILER!!!" };

	return put_header(initrd, &entry);
}
