/* SPDX-License-Identifier: Apache-2.0 */
/* Lock files; see host_lease.h. [flock(2)] */
#include "vfio/host_lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "core/err.h"
#include "core/sys.h"
#include "vfio/host_sysfs.h"

/* What is leased: "iommu-group-4294967295" in the file's name, "IOMMU group ..." in messages. */
struct lease {
	char file[32], text[32];
};

static struct lease device_lease(struct pci_addr addr)
{
	struct lease lease;

	strcpy(lease.file, pci_addr_text(addr).s);
	strcpy(lease.text, lease.file);
	return lease;
}

static struct lease group_lease(unsigned group)
{
	struct lease lease;

	snprintf(lease.file, sizeof(lease.file), "iommu-group-%u", group);
	snprintf(lease.text, sizeof(lease.text), "IOMMU group %u", group);
	return lease;
}

static struct host_sysfs_path lease_path(const char *state_dir, const struct lease *lease)
{
	return host_sysfs_path(state_dir, "%s.lock", lease->file);
}

void host_lease_state_dir(const char *root, char buf[VFIO_HOST_PATH_SIZE])
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int n;

	if (root[0] || geteuid() == 0)
		n = snprintf(buf, VFIO_HOST_PATH_SIZE, "%s/run/tinyvmm", root);
	else if (runtime && runtime[0] == '/')
		n = snprintf(buf, VFIO_HOST_PATH_SIZE, "%s/tinyvmm", runtime);
	else
		n = snprintf(buf, VFIO_HOST_PATH_SIZE, "/run/user/%u/tinyvmm", geteuid());
	if (n < 0 || n >= VFIO_HOST_PATH_SIZE)
		buf[0] = '\0';
}

int host_lease_make_dir(const char *path)
{
	struct stat st;
	int r;

	if (mkdir(path, 0700) < 0 && errno != EEXIST) {
		r = err_sys(ERR_HOST, -errno, "create the directory %s", path);
		if (geteuid() != 0)
			err_hint("XDG_RUNTIME_DIR must name a directory of yours");
		return r;
	}
	/* Nobody else may have put it there: files of ours are made and believed in it. */
	if (lstat(path, &st) < 0)
		return err_sys(ERR_HOST, -errno, "%s", path);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return err_set(ERR_HOST, -EPERM, "%s is not a directory of this user", path);
	return 0;
}

/* A lock that is waited for by nobody: at once or -EBUSY. */
static int take_lock(const char *state_dir, const struct lease *lease, int *ret_fd)
{
	const struct host_sysfs_path path = lease_path(state_dir, lease);
	CLEANUP(closep) int fd = sys_open(path.s, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	char pid[16];
	int r;

	if (fd < 0)
		return err_sys(ERR_HOST, fd, "%s", path.s);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return err_sys(ERR_HOST, -errno, "lock %s", path.s);
		if (sys_read_text(path.s, pid, sizeof(pid)) < 0 || !pid[0])
			strcpy(pid, "unknown");
		return err_set(ERR_DEVICE, -EBUSY, "%s is in use by another tinyvmm (pid %s)",
			       lease->text, pid);
	}
	snprintf(pid, sizeof(pid), "%d\n", getpid());
	r = ftruncate(fd, 0) < 0 ? -errno : sys_pwrite_full(fd, pid, strlen(pid), 0);
	if (r < 0)
		return err_sys(ERR_HOST, r, "%s", path.s);
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static int compare_leases(const void *a, const void *b)
{
	return strcmp(((const struct lease *)a)->file, ((const struct lease *)b)->file);
}

int host_lease_take(struct vfio_host *host)
{
	struct lease leases[ARRAY_SIZE(host->leases)];
	unsigned n = 0;
	int r;

	if (!host->state_dir[0])
		return err_set(ERR_HOST, -ENAMETOOLONG, "the path in XDG_RUNTIME_DIR is too long");
	r = host_lease_make_dir(host->state_dir);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < host->count; i++) {
		const struct vfio_host_device *dev = &host->devices[i];

		leases[n++] = device_lease(dev->addr);
		leases[n++] = group_lease(dev->group);
	}
	/* In one order, so that of two runs that start together one gets all. */
	qsort(leases, n, sizeof(leases[0]), compare_leases);
	for (unsigned i = 0; i < n; i++) {
		if (i && compare_leases(&leases[i], &leases[i - 1]) == 0)
			continue; /* two devices of one group */
		r = take_lock(host->state_dir, &leases[i], &host->leases[host->lease_count]);
		if (r < 0)
			goto fail;
		host->lease_count++;
	}
	return 0;

fail:
	host_lease_drop(host);
	return r;
}

void host_lease_drop(struct vfio_host *host)
{
	while (host->lease_count)
		close(host->leases[--host->lease_count]);
}

/* A line of /proc/locks [proc_locks(5)]: "1: FLOCK  ADVISORY  WRITE 812 00:19:1093 0 EOF". */
static int holder(const char *root, const char *state_dir, const struct lease *lease)
{
	char line[256];
	struct stat st;
	FILE *locks;
	int found = 0;

	if (stat(lease_path(state_dir, lease).s, &st) < 0)
		return 0;
	locks = fopen(host_sysfs_path(root, "proc/locks").s, "re");
	while (locks && !found && fgets(line, sizeof(line), locks)) {
		unsigned dev_major, dev_minor;
		unsigned long long inode;
		int pid;

		if (sscanf(line, "%*u: FLOCK %*s WRITE %d %x:%x:%llu", &pid, &dev_major, &dev_minor,
			   &inode) == 4 &&
		    pid > 0 && inode == st.st_ino && dev_major == major(st.st_dev) &&
		    dev_minor == minor(st.st_dev))
			found = pid;
	}
	if (locks)
		fclose(locks);
	return found;
}

int host_lease_holder(const char *root, const char *state_dir, struct pci_addr addr)
{
	const struct lease lease = device_lease(addr);

	return holder(root, state_dir, &lease);
}

int host_lease_group_holder(const char *root, const char *state_dir, unsigned group)
{
	const struct lease lease = group_lease(group);

	return holder(root, state_dir, &lease);
}
