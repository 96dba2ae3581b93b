/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of changed devices; see host_journal.h. A file holds "driver=...\noverride=...\n",
 * and "node=UID:GID\n" if the device's file was given to a user.
 */
#include "vfio/host_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "core/err.h"
#include "core/sys.h"
#include "vfio/host_lease.h"
#include "vfio/host_sysfs.h"

#define KEY_DRIVER   "driver="
#define KEY_OVERRIDE "override="
#define KEY_NODE     "node="
#define TEXT_SIZE    (2 * VFIO_HOST_DRIVER_SIZE + 64)

static const char *const folders[] = {
	[HOST_JOURNAL_TAKEN] = "journal",
	[HOST_JOURNAL_BOUND] = "bound",
	[HOST_JOURNAL_DIRTY] = "dirty",
};

static struct host_sysfs_path folder_path(const char *state_dir, enum host_journal kind)
{
	return host_sysfs_path(state_dir, "%s", folders[kind]);
}

static struct host_sysfs_path journal_path(const char *state_dir, enum host_journal kind,
					   struct pci_addr addr)
{
	return host_sysfs_path(state_dir, "%s/%s", folders[kind], pci_addr_text(addr).s);
}

static int sync_dir(const char *path)
{
	CLEANUP(closep) int fd = sys_open(path, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return fd;
	return fsync(fd) < 0 ? -errno : 0;
}

/* A new file with the text, on disk. */
static int write_file(const char *path, const char *text)
{
	CLEANUP(closep) int fd = sys_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0)
		return fd;
	r = sys_pwrite_full(fd, text, strlen(text), 0);
	if (r < 0)
		return r;
	return fsync(fd) < 0 ? -errno : 0;
}

static int write_journal(const char *state_dir, enum host_journal kind, struct pci_addr addr,
			 const char *text)
{
	const struct host_sysfs_path dir = folder_path(state_dir, kind);
	const struct host_sysfs_path path = journal_path(state_dir, kind, addr);
	const struct host_sysfs_path fresh =
		host_sysfs_path(dir.s, "%s.new", pci_addr_text(addr).s);
	int r = host_lease_make_dir(dir.s);

	if (r < 0)
		return r;
	r = write_file(fresh.s, text);
	if (r == 0 && rename(fresh.s, path.s) < 0)
		r = -errno;
	if (r == 0)
		r = sync_dir(dir.s);
	return r < 0 ? err_sys(ERR_HOST, r, "write the journal %s", path.s) : 0;
}

int host_journal_write(const char *state_dir, enum host_journal kind, struct pci_addr addr,
		       const struct vfio_host_before *before)
{
	char text[TEXT_SIZE];
	size_t len;

	snprintf(text, sizeof(text), KEY_DRIVER "%s\n" KEY_OVERRIDE "%s\n", before->driver,
		 before->override);
	len = strlen(text);
	if (before->node_given)
		snprintf(text + len, sizeof(text) - len, KEY_NODE "%u:%u\n", before->node_uid,
			 before->node_gid);
	return write_journal(state_dir, kind, addr, text);
}

/* The rest of a line that begins with `key`; false if the text does not, or it is a path. */
static bool take_line(const char **pos, const char *key, char buf[VFIO_HOST_DRIVER_SIZE])
{
	const size_t key_len = strlen(key);
	size_t len;

	if (strncmp(*pos, key, key_len) != 0)
		return false;
	*pos += key_len;
	len = strcspn(*pos, "\n");
	if (len >= VFIO_HOST_DRIVER_SIZE || memchr(*pos, '/', len))
		return false;
	memcpy(buf, *pos, len);
	buf[len] = '\0';
	*pos += len;
	if (**pos == '\n')
		(*pos)++;
	return true;
}

int host_journal_read(const char *state_dir, enum host_journal kind, struct pci_addr addr,
		      struct vfio_host_before *ret_before)
{
	struct vfio_host_before before = { 0 };
	char text[TEXT_SIZE];
	const char *pos = text;
	int r = sys_read_text(journal_path(state_dir, kind, addr).s, text, sizeof(text));

	if (r < 0)
		return r;
	if (!take_line(&pos, KEY_DRIVER, before.driver) ||
	    !take_line(&pos, KEY_OVERRIDE, before.override))
		return -EBADMSG;
	before.node_given = sscanf(pos, KEY_NODE "%u:%u", &before.node_uid, &before.node_gid) == 2;
	*ret_before = before;
	return 0;
}

int host_journal_move(const char *state_dir, struct pci_addr addr, enum host_journal from,
		      enum host_journal to)
{
	const struct host_sysfs_path dir = folder_path(state_dir, to);
	const struct host_sysfs_path path = journal_path(state_dir, to, addr);
	int r = host_lease_make_dir(dir.s);

	if (r < 0)
		return r;
	if (rename(journal_path(state_dir, from, addr).s, path.s) < 0)
		r = -errno;
	if (r == 0)
		r = sync_dir(dir.s);
	if (r == 0)
		r = sync_dir(folder_path(state_dir, from).s);
	return r < 0 ? err_sys(ERR_HOST, r, "write the journal %s", path.s) : 0;
}

/* Which boot of the host this is, as "boot=..."; a mark of another one says nothing. */
static void boot_text(const char *root, char text[TEXT_SIZE])
{
	char id[64];

	if (sys_read_text(host_sysfs_path(root, "proc/sys/kernel/random/boot_id").s, id,
			  sizeof(id)) < 0)
		id[0] = '\0';
	snprintf(text, TEXT_SIZE, "boot=%s\n", id);
}

int host_journal_mark(const char *state_dir, const char *root, struct pci_addr addr)
{
	char text[TEXT_SIZE];

	boot_text(root, text);
	return write_journal(state_dir, HOST_JOURNAL_DIRTY, addr, text);
}

bool host_journal_is_marked(const char *state_dir, const char *root, struct pci_addr addr)
{
	char boot[TEXT_SIZE], text[TEXT_SIZE];

	boot_text(root, boot);
	boot[strcspn(boot, "\n")] = '\0';
	return sys_read_text(journal_path(state_dir, HOST_JOURNAL_DIRTY, addr).s, text,
			     sizeof(text)) == 0 &&
	       strcmp(text, boot) == 0;
}

int host_journal_remove(const char *state_dir, enum host_journal kind, struct pci_addr addr)
{
	if (unlink(journal_path(state_dir, kind, addr).s) < 0)
		return errno == ENOENT ? 0 : -errno;
	return sync_dir(folder_path(state_dir, kind).s);
}

int host_journal_list(const char *state_dir, enum host_journal kind, struct pci_addr **ret_addrs,
		      unsigned *ret_count)
{
	int r = host_sysfs_list(folder_path(state_dir, kind).s, ret_addrs, ret_count);

	if (r == -ENOENT) {
		*ret_addrs = NULL;
		*ret_count = 0;
		r = 0;
	}
	return r;
}
