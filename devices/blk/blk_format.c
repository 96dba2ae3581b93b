/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling disk images apart, and as much of qcow2 as that takes; see blk_format.h. Main thread.
 * [QEMU: docs/interop/qcow2.txt, Header]
 */
#include "devices/blk/blk_format.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/err.h"
#include "core/sys.h"

#define HEAD_SIZE 4096u /* as much as is looked at */
#define SECTOR    512u
#define CHAIN_MAX 64u /* backing files, one behind the other */

static const struct {
	const char *name;
	const char *endings[3];
	/* What an image begins with; some kinds of VMDK and VPC begin otherwise. */
	unsigned magic_at, magic_len;
	uint8_t magic[8];
	bool always;
} formats[] = {
	[BLK_FORMAT_RAW] = { .name = "raw" },
	[BLK_FORMAT_QCOW2] = { "qcow2", { ".qcow2", ".qcow" }, 0, 4, "QFI\xfb", true },
	[BLK_FORMAT_VMDK] = { "vmdk", { ".vmdk" }, 0, 4, "KDMV", false },
	[BLK_FORMAT_VDI] = { "vdi", { ".vdi" }, 64, 4, "\x7f\x10\xda\xbe", true },
	[BLK_FORMAT_VHDX] = { "vhdx", { ".vhdx" }, 0, 8, "vhdxfile", true },
	[BLK_FORMAT_VPC] = { "vpc", { ".vhd", ".vpc" }, 0, 8, "conectix", false },
};

const char *blk_format_name(enum blk_format format)
{
	return formats[format].name;
}

enum blk_format blk_format_of(const char *name)
{
	for (unsigned i = BLK_FORMAT_RAW; i < ARRAY_SIZE(formats); i++) {
		if (strcmp(name, formats[i].name) == 0)
			return (enum blk_format)i;
	}
	return BLK_FORMAT_BY_NAME;
}

enum blk_format blk_format_of_file(const char *path)
{
	const char *ending = strrchr(path, '.');

	for (unsigned i = BLK_FORMAT_RAW; ending && i < ARRAY_SIZE(formats); i++) {
		for (unsigned k = 0; formats[i].endings[k]; k++) {
			if (strcasecmp(ending, formats[i].endings[k]) == 0)
				return (enum blk_format)i;
		}
	}
	return BLK_FORMAT_RAW;
}

/* --- content --- */

/* The format that the content begins like, raw if none. */
static enum blk_format content_of(const uint8_t *head)
{
	for (unsigned i = BLK_FORMAT_RAW + 1; i < ARRAY_SIZE(formats); i++) {
		if (memcmp(head + formats[i].magic_at, formats[i].magic, formats[i].magic_len) == 0)
			return (enum blk_format)i;
	}
	return BLK_FORMAT_RAW;
}

/* The beginning of the file, zeroes where it has less; the bytes read, or -errno. */
static int read_head(const char *path, uint8_t head[HEAD_SIZE])
{
	/* Not blocking: a FIFO is refused by who opens it later. */
	CLEANUP(closep) int fd = sys_open(path, O_RDONLY | O_NONBLOCK, 0);
	struct stat st;
	ssize_t n;

	memset(head, 0, HEAD_SIZE);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -EINVAL;
	n = pread(fd, head, HEAD_SIZE, 0);
	return n < 0 ? -errno : (int)n;
}

static uint64_t load_be(const uint8_t *p, unsigned len)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < len; i++)
		v = v << 8 | p[i];
	return v;
}

static void store_be(uint8_t *p, unsigned len, uint64_t v)
{
	for (unsigned i = len; i-- > 0; v >>= 8)
		p[i] = (uint8_t)v;
}

/* The fields of qcow2's header, which is big-endian, and of its extensions. */
enum {
	QCOW2_VERSION = 4,
	QCOW2_BACKING_OFFSET = 8,
	QCOW2_BACKING_SIZE = 16,
	QCOW2_CLUSTER_BITS = 20,
	QCOW2_SIZE = 24,
	QCOW2_L1_SIZE = 36,
	QCOW2_L1_OFFSET = 40,
	QCOW2_REFCOUNT_OFFSET = 48,
	QCOW2_REFCOUNT_CLUSTERS = 56,
	QCOW2_REFCOUNT_ORDER = 96,
	QCOW2_HEADER_LENGTH = 100,
	QCOW2_V2_LENGTH = 72,
	QCOW2_V3_LENGTH = 104,
	QCOW2_EXT_HEAD = 8,
};
#define QCOW2_EXT_BACKING_FORMAT 0xe2792acau

/* What the image says of its backing file's format: where in the head, and how long; 0: nothing. */
static unsigned backing_format(const uint8_t *head, const uint8_t **ret_text)
{
	const uint64_t version = load_be(head + QCOW2_VERSION, 4);
	uint64_t at = version < 3 ? QCOW2_V2_LENGTH : load_be(head + QCOW2_HEADER_LENGTH, 4);

	while (at <= HEAD_SIZE - QCOW2_EXT_HEAD) {
		const uint64_t type = load_be(head + at, 4), len = load_be(head + at + 4, 4);

		at += QCOW2_EXT_HEAD;
		if (type == QCOW2_EXT_BACKING_FORMAT && range_fits(at, len, HEAD_SIZE)) {
			*ret_text = head + at;
			return (unsigned)len;
		}
		if (!type)
			break;
		at += align_up(len, 8);
	}
	return 0;
}

/*
 * The backing file's path, relative to that of the image as the daemon has it. False if it is none
 * of this file system's, or not where qemu-img writes it.
 */
static bool backing_path(const uint8_t *head, const char *image, char ret_path[PATH_MAX])
{
	const uint64_t at = load_be(head + QCOW2_BACKING_OFFSET, 8);
	const uint64_t len = load_be(head + QCOW2_BACKING_SIZE, 4);
	const char *slash = strrchr(image, '/');
	size_t folder = slash ? (size_t)(slash + 1 - image) : 0;

	if (!range_fits(at, len, HEAD_SIZE) || !len)
		return false;
	if (head[at] == '/')
		folder = 0;
	else if (memchr(head + at, ':', len))
		return false; /* "nbd://...", "json:..." */
	if (folder + len >= PATH_MAX)
		return false;
	memcpy(ret_path, image, folder);
	memcpy(ret_path + folder, head + at, len);
	ret_path[folder + len] = '\0';
	return true;
}

/*
 * Without the format of a backing file, the daemon would go by what that contains: a raw disk that
 * some guest may have written. So each qcow2 image of the chain has to say it.
 */
static int check_backing(const char *first, const uint8_t *first_head)
{
	char path[PATH_MAX], next[PATH_MAX];
	uint8_t head[HEAD_SIZE];

	snprintf(path, sizeof(path), "%s", first);
	memcpy(head, first_head, sizeof(head));
	for (unsigned i = 0; i < CHAIN_MAX; i++) {
		const uint8_t *format = NULL;
		unsigned len = backing_format(head, &format);

		if (!load_be(head + QCOW2_BACKING_OFFSET, 8))
			return 0;
		if (!len) {
			err_set(ERR_FILE, -EINVAL,
				"disk '%s' has a backing file, but does not say of which format",
				path);
			err_hint("qemu-img info shows the file; then qemu-img rebase -u -b FILE "
				 "-F FORMAT '%s'",
				 path);
			return -EINVAL;
		}
		if (len != strlen("qcow2") || memcmp(format, "qcow2", len) != 0 ||
		    !backing_path(head, path, next) || read_head(next, head) < 0 ||
		    content_of(head) != BLK_FORMAT_QCOW2)
			return 0; /* the end of the chain, or one that the daemon will refuse */
		memcpy(path, next, sizeof(path));
	}
	return err_set(ERR_FILE, -EINVAL, "disk '%s' has more than %u backing files", first,
		       CHAIN_MAX);
}

int blk_format_check(const char *path, enum blk_format said)
{
	const enum blk_format format = said ? said : blk_format_of_file(path);
	uint8_t head[HEAD_SIZE];
	enum blk_format content;

	if (read_head(path, head) < 0)
		return 0;
	content = content_of(head);
	if (format == BLK_FORMAT_RAW && !said && content != BLK_FORMAT_RAW) {
		err_set(ERR_FILE, -EINVAL, "disk '%s' is a %s image, and not named like one", path,
			formats[content].name);
		err_hint("if you made it, add format=%s; if a guest wrote that into its raw disk, "
			 "format=raw",
			 formats[content].name);
		return -EINVAL;
	}
	if (format != BLK_FORMAT_RAW && content != format &&
	    (content != BLK_FORMAT_RAW || formats[format].always)) {
		err_set(ERR_FILE, -EINVAL, "disk '%s' is not a %s image", path,
			formats[format].name);
		err_hint("it looks like %s: say so with format=%s, if that is right",
			 formats[content].name, formats[content].name);
		return -EINVAL;
	}
	return format == BLK_FORMAT_QCOW2 ? check_backing(path, head) : 0;
}

int blk_format_size(const char *path, enum blk_format format, uint64_t *ret_size)
{
	CLEANUP(closep) int fd = sys_open(path, O_RDONLY | O_NONBLOCK, 0);
	uint8_t head[HEAD_SIZE];
	uint64_t size = 0;
	struct stat st;
	int r = fd;

	if (r >= 0)
		r = fstat(fd, &st) < 0 ? -errno : 0;
	if (r == 0 && format == BLK_FORMAT_QCOW2) {
		r = read_head(path, head);
		size = load_be(head + QCOW2_SIZE, 8);
	} else if (r == 0 && S_ISBLK(st.st_mode)) {
		r = sys_ioctl(fd, BLKGETSIZE64, &size);
	} else if (r == 0) {
		size = (uint64_t)st.st_size;
	}
	if (r < 0)
		return err_sys(ERR_FILE, r, "open disk '%s'", path);
	if (!size)
		return err_set(ERR_FILE, -EINVAL, "disk '%s' is empty", path);
	if (size > INT64_MAX - SECTOR)
		return err_set(ERR_FILE, -EINVAL,
			       "disk '%s' has %llu bytes, by its header: more than any disk", path,
			       (unsigned long long)size);
	*ret_size = align_up(size, SECTOR);
	return 0;
}

/* --- overlays --- */

/* The header, one cluster for the refcounts' table, one for them, and the L1 table. */
#define CLUSTER_BITS   16u
#define CLUSTER        (1u << CLUSTER_BITS)
#define L1_ENTRY       8u
#define L2_REACH       ((uint64_t)CLUSTER / L1_ENTRY * CLUSTER) /* bytes of disk an L1 entry */
#define REFCOUNT_ORDER 4u                                       /* of 16 bits */

static int write_empty(int fd, uint64_t size)
{
	const uint64_t l1_size = (size + L2_REACH - 1) / L2_REACH;
	const uint64_t clusters = 3 + (l1_size * L1_ENTRY + CLUSTER - 1) / CLUSTER;
	uint8_t head[QCOW2_V3_LENGTH] = { 'Q', 'F', 'I', 0xfb };
	uint8_t table[8], counts[64];
	int r;

	/* What fits is 29 clusters of L1 table, for a disk of 116 TiB. */
	if (clusters > sizeof(counts) / 2)
		return -EFBIG;
	store_be(head + QCOW2_VERSION, 4, 3);
	store_be(head + QCOW2_CLUSTER_BITS, 4, CLUSTER_BITS);
	store_be(head + QCOW2_SIZE, 8, size);
	store_be(head + QCOW2_L1_SIZE, 4, l1_size);
	store_be(head + QCOW2_L1_OFFSET, 8, 3 * CLUSTER);
	store_be(head + QCOW2_REFCOUNT_OFFSET, 8, CLUSTER);
	store_be(head + QCOW2_REFCOUNT_CLUSTERS, 4, 1);
	store_be(head + QCOW2_REFCOUNT_ORDER, 4, REFCOUNT_ORDER);
	store_be(head + QCOW2_HEADER_LENGTH, 4, QCOW2_V3_LENGTH);
	store_be(table, 8, 2 * CLUSTER);
	memset(counts, 0, sizeof(counts));
	for (unsigned i = 0; i < clusters; i++)
		store_be(counts + 2 * (size_t)i, 2, 1);
	r = ftruncate(fd, (off_t)(clusters * CLUSTER)) < 0 ? -errno : 0;
	if (r == 0)
		r = sys_pwrite_full(fd, head, sizeof(head), 0);
	if (r == 0)
		r = sys_pwrite_full(fd, table, sizeof(table), CLUSTER);
	if (r == 0)
		r = sys_pwrite_full(fd, counts, sizeof(counts), 2 * CLUSTER);
	return r;
}

int blk_format_make_overlay(const char *dir, uint64_t size, int *ret_fd)
{
	int fd = sys_open(dir, O_TMPFILE | O_RDWR | O_EXCL, 0600);
	int r;

	/* Not every file system has files without names. */
	if (fd == -EOPNOTSUPP || fd == -EISDIR) {
		char path[512];

		if ((size_t)snprintf(path, sizeof(path), "%s/tinyvmm-XXXXXX", dir) >= sizeof(path))
			return -ENAMETOOLONG;
		fd = mkostemp(path, O_CLOEXEC);
		if (fd < 0)
			return -errno;
		unlink(path);
	}
	if (fd < 0)
		return fd;
	r = write_empty(fd, size);
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}
