/* SPDX-License-Identifier: Apache-2.0 */
/* Lock files; see host_lease.h. [flock(2)] */
#include "vfio/host_lease.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "vfio/host_sysfs.h"

/* In /run, or in the user's own folder of that kind. */
#define STATE_FOLDER "/tinyvmm"

#define LEASES_MAX (2 * VFIO_HOST_DEVICES_MAX)

/*
 * Everybody's wait: who only tries, or recovers what a killed run left behind, has a lease for no
 * longer than that, or says in the file that it will not take long.
 */
#define MOMENT_MS 300u
#define POLL_MS   50u
#define BRIEF     " brief"

/* What is leased: "iommu-group-4294967295" in the file's name, "IOMMU group ..." in messages. */
struct lease {
	char file[32], text[32];
};

struct lease_user {
	char pid[16];
	bool brief; /* holds it for a step of its own, and no guest */
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

	/* What geteuid() says without asking the kernel: a run begins with this. */
	if (root[0] || getauxval(AT_EUID) == 0)
		n = snprintf(buf, VFIO_HOST_PATH_SIZE, "%s/run" STATE_FOLDER, root);
	else if (runtime && runtime[0] == '/')
		n = snprintf(buf, VFIO_HOST_PATH_SIZE, "%s" STATE_FOLDER, runtime);
	else
		n = snprintf(buf, VFIO_HOST_PATH_SIZE, "/run/user/%u" STATE_FOLDER, geteuid());
	if (n < 0 || n >= VFIO_HOST_PATH_SIZE)
		buf[0] = '\0';
}

static int not_made(const char *path, int r)
{
	r = err_sys(ERR_HOST, r, "create the directory %s", path);
	if (geteuid() != 0)
		err_hint("XDG_RUNTIME_DIR must name a directory of yours");
	return r;
}

int host_lease_make_dir(const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return not_made(path, -errno);
	/* Nobody else may have put it there: files of ours are made and believed in it. */
	if (lstat(path, &st) < 0)
		return err_sys(ERR_HOST, -errno, "%s", path);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return err_set(ERR_HOST, -EPERM, "%s is not a directory of this user", path);
	return 0;
}

/*
 * "812" or "812 brief". Who has just locked the file has not written it yet: what can be read is
 * the one before, but not for longer than a moment.
 */
static void read_user(const char *path, struct lease_user *ret_user)
{
	struct lease_user user = { .pid = "unknown" };
	char text[64];
	size_t len;

	if (sys_read_text(path, text, sizeof(text)) == 0) {
		len = strspn(text, "0123456789");
		user.brief = strncmp(text + len, BRIEF, strlen(BRIEF)) == 0;
		if (len && len < sizeof(user.pid)) {
			memcpy(user.pid, text, len);
			user.pid[len] = '\0';
		}
	}
	*ret_user = user;
}

/* At once, or -EBUSY without an error chain, and who has it. */
static int take_lock(const struct vfio_host *host, const struct lease *lease,
		     struct lease_user *ret_user, int *ret_fd)
{
	const struct host_sysfs_path path = lease_path(host->state_dir, lease);
	CLEANUP(closep) int fd = sys_open(path.s, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	char text[64];
	int r;

	if (fd < 0)
		return err_sys(ERR_HOST, fd, "%s", path.s);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return err_sys(ERR_HOST, -errno, "lock %s", path.s);
		read_user(path.s, ret_user);
		return -EBUSY;
	}
	/* Written before it is cut: there is a whole first line at any time. */
	snprintf(text, sizeof(text), "%d%s\n", getpid(), host->brief ? BRIEF : "");
	r = sys_pwrite_full(fd, text, strlen(text), 0);
	if (r == 0 && ftruncate(fd, (off_t)strlen(text)) < 0)
		r = -errno;
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

/* Sorted, so that of two runs that start together one gets all. */
static unsigned list_leases(const struct vfio_host *host, struct lease leases[LEASES_MAX])
{
	unsigned n = 0, count = 0;

	for (unsigned i = 0; i < host->count; i++) {
		leases[n++] = device_lease(host->devices[i].addr);
		leases[n++] = group_lease(host->devices[i].group);
	}
	qsort(leases, n, sizeof(leases[0]), compare_leases);
	for (unsigned i = 0; i < n; i++) {
		/* Two devices of one group. */
		if (!count || compare_leases(&leases[i], &leases[count - 1]) != 0)
			leases[count++] = leases[i];
	}
	return count;
}

/* All or none. For -EBUSY `busy` is the one that somebody has. */
static int take_all(struct vfio_host *host, const struct lease *leases, unsigned count,
		    const struct lease **busy, struct lease_user *user)
{
	for (unsigned i = 0; i < count; i++) {
		int r = take_lock(host, &leases[i], user, &host->leases[host->lease_count]);

		if (r < 0) {
			*busy = &leases[i];
			host_lease_drop(host);
			return r;
		}
		host->lease_count++;
	}
	return 0;
}

static int no_place(const char *state_dir, int r)
{
	const int parent_len = (int)(strlen(state_dir) - strlen(STATE_FOLDER));
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	r = err_set(ERR_HOST, r,
		    "this user has no place for the leases of devices: %.*s does not exist%s",
		    parent_len, state_dir, runtime ? "" : ", and XDG_RUNTIME_DIR is not set");
	err_hint("a login session has one (loginctl enable-linger keeps it); or set "
		 "XDG_RUNTIME_DIR to a directory of yours, the same one for all runs");
	return r;
}

static int too_long(void)
{
	return err_set(ERR_HOST, -ENAMETOOLONG, "the path in XDG_RUNTIME_DIR is too long");
}

static int make_state_dir(const struct vfio_host *host)
{
	int r;

	if (!host->state_dir[0])
		return too_long();
	r = host_lease_make_dir(host->state_dir);
	return r != -ENOENT || geteuid() == 0 ? r : no_place(host->state_dir, r);
}

int host_lease_check_place(const char *state_dir)
{
	char parent[VFIO_HOST_PATH_SIZE];
	struct stat st;

	if (!state_dir[0])
		return too_long();
	if (lstat(state_dir, &st) == 0)
		return host_lease_make_dir(state_dir);
	snprintf(parent, sizeof(parent), "%.*s", (int)(strlen(state_dir) - strlen(STATE_FOLDER)),
		 state_dir);
	if (faccessat(AT_FDCWD, parent, W_OK | X_OK, AT_EACCESS) == 0)
		return 0;
	return errno == ENOENT ? no_place(state_dir, -errno) : not_made(state_dir, -errno);
}

int host_lease_try(struct vfio_host *host)
{
	struct lease leases[LEASES_MAX];
	const struct lease *busy;
	struct lease_user user;
	int r = make_state_dir(host);

	return r < 0 ? r : take_all(host, leases, list_leases(host, leases), &busy, &user);
}

bool host_lease_pause(const struct vfio_host *host, unsigned ms)
{
	struct pollfd p = { .fd = host->signal_fd, .events = POLLIN };

	return (poll(&p, 1, (int)ms) > 0 && sys_signal_waits(host->signal_fd)) ||
	       (host->stop && atomic_load(host->stop));
}

/* Whose lease it is, for who asks at once. */
static void set_busy(struct vfio_host *host, const struct lease *busy)
{
	host->was_busy = true;
	for (unsigned i = 0; i < host->count; i++) {
		const struct vfio_host_device *dev = &host->devices[i];
		const struct lease device = device_lease(dev->addr);
		const struct lease group = group_lease(dev->group);

		if (compare_leases(&device, busy) == 0 || compare_leases(&group, busy) == 0)
			host->busy = dev->addr;
	}
}

/*
 * Polls: flock(2) knows no limit of time, and no signal may interrupt it here. Nothing is held
 * meanwhile, so that a wait for one device keeps nobody from another.
 */
int host_lease_take(struct vfio_host *host)
{
	struct lease leases[LEASES_MAX];
	const unsigned count = list_leases(host, leases);
	const uint64_t start = clock_ms();
	bool told = false;
	int r = make_state_dir(host);

	host->was_busy = false;
	while (r == 0) {
		const struct lease *busy;
		struct lease_user user;
		uint64_t waited, limit;

		r = take_all(host, leases, count, &busy, &user);
		if (r != -EBUSY)
			return r;
		set_busy(host, busy);
		waited = clock_ms() - start;
		limit = user.brief ? host->limit_ms + host->bind_limit_ms : MOMENT_MS;
		limit = host->at_once ? 0 : MAX(limit, (uint64_t)host->wait_ms);
		if (waited >= limit)
			return err_set(ERR_DEVICE, -EBUSY,
				       "%s is in use by another tinyvmm (pid %s)", busy->text,
				       user.pid);
		if (waited >= MOMENT_MS && !told) {
			log_info("waiting for %s, in use by tinyvmm (pid %s)", busy->text,
				 user.pid);
			told = true;
		}
		r = host_lease_pause(host, (unsigned)MIN((uint64_t)POLL_MS, limit - waited));
		if (r)
			return err_set(ERR_INTERNAL, -EINTR, "the wait for %s was ended",
				       busy->text);
	}
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
