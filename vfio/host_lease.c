/* SPDX-License-Identifier: Apache-2.0 */
/* Lock files; see host_lease.h. [flock(2)] */
#include "vfio/host_lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "core/err.h"
#include "core/sys.h"
#include "vfio/host_sysfs.h"

/* What is leased: "iommu-group-4294967295" in the file's name, "IOMMU group ..." in messages. */
struct lease {
	char file[32], text[32];
};

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
	const struct host_sysfs_path path = host_sysfs_path(state_dir, "%s.lock", lease->file);
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
		struct lease *device = &leases[n++], *group = &leases[n++];

		strcpy(device->file, pci_addr_text(dev->addr).s);
		strcpy(device->text, device->file);
		snprintf(group->file, sizeof(group->file), "iommu-group-%u", dev->group);
		snprintf(group->text, sizeof(group->text), "IOMMU group %u", dev->group);
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
