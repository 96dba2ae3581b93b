/* SPDX-License-Identifier: Apache-2.0 */
/* Folders of runs, see run_folder.h. [flock(2)]: a lock on the folder itself. */
#include "control/run_folder.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "core/err.h"
#include "core/sys.h"
#include "vfio/host_lease.h"
#include "vfio/host_sysfs.h"

/* Numbers that a run tries for its name. */
#define NUMBERS_MAX 10000u

/* Who removes an old folder has its lock for a moment. */
#define TRIES    20u
#define PAUSE_US 20000u

/* Everything that is ever made there. */
static const char *const files[] = { RUN_FOLDER_SOCKET, RUN_FOLDER_LOG, RUN_FOLDER_OLD_LOG,
				     RUN_FOLDER_PID };

bool run_folder_name_fits(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_.";
	const size_t len = strlen(name);

	return len && len <= RUN_NAME_MAX && strspn(name, letters) == len && !strchr("-_.", *name);
}

bool run_folder_place(const char *root, struct run_folder_place *ret_place)
{
	char state[VFIO_HOST_PATH_SIZE];
	struct stat st;

	host_lease_state_dir(root, state);
	static_assert(sizeof(ret_place->s) >= sizeof(state), "it is cut from that");
	strcpy(ret_place->s, state);
	if (strrchr(ret_place->s, '/'))
		*strrchr(ret_place->s, '/') = '\0';
	return stat(ret_place->s, &st) == 0;
}

/* The folder of all folders; `make`: and its parent are made if they are not there. */
static int open_parent(const char *root, bool make)
{
	char state[VFIO_HOST_PATH_SIZE], path[VFIO_HOST_PATH_SIZE + 16];
	struct stat st;
	int fd, r = 0;

	host_lease_state_dir(root, state);
	snprintf(path, sizeof(path), "%s/guests", state);
	if (make)
		r = host_lease_make_dir(state);
	if (r == 0 && make)
		r = host_lease_make_dir(path);
	if (r < 0)
		return r;
	fd = sys_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (!make && fd == -ENOENT)
		return fd;
	if (fd < 0) {
		r = err_sys(ERR_HOST, fd, "%s", path);
		if (geteuid() != 0)
			err_hint("XDG_RUNTIME_DIR must name a directory of yours");
		return r;
	}
	/* Who looks believes the sockets there, and removes what nobody has locked. */
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid()) {
		close(fd);
		return err_set(ERR_HOST, -EPERM, "%s is not a directory of this user", path);
	}
	return fd;
}

static int open_in(int parent, const char *name)
{
	const int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Whether `fd` is what has the name now: it may have been removed before it was locked. */
static bool is_still_there(int parent, const char *name, int fd)
{
	struct stat have, is;

	return fstat(fd, &have) == 0 && fstatat(parent, name, &is, AT_SYMLINK_NOFOLLOW) == 0 &&
	       have.st_ino == is.st_ino && have.st_dev == is.st_dev;
}

/* The folder's fd with its lock; -EWOULDBLOCK: somebody else has it. */
static int try_lock(int parent, const char *name)
{
	int fd = open_in(parent, name);

	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return -EWOULDBLOCK;
	}
	if (is_still_there(parent, name, fd))
		return fd;
	close(fd);
	return -ENOENT;
}

static void empty(int fd)
{
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++)
		(void)unlinkat(fd, files[i], 0);
}

/* Locked. */
static void remove_locked(int parent, const char *name, int fd)
{
	empty(fd);
	(void)unlinkat(parent, name, AT_REMOVEDIR);
}

/* `patient`: waits a moment for who only looks. */
static int claim(int parent, const char *name, bool patient)
{
	int fd = -EWOULDBLOCK;

	for (unsigned i = 0; i < (patient ? TRIES : 1); i++) {
		if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
			return -errno;
		fd = try_lock(parent, name);
		if (fd != -EWOULDBLOCK && fd != -ENOENT)
			break;
		if (patient)
			usleep(PAUSE_US);
	}
	if (fd >= 0)
		empty(fd);
	return fd;
}

static int claim_number(int parent, char name[RUN_NAME_MAX + 1])
{
	int fd = -EWOULDBLOCK;

	for (unsigned i = 1; i < NUMBERS_MAX; i++) {
		snprintf(name, RUN_NAME_MAX + 1, "%u", i);
		fd = claim(parent, name, false);
		if (fd != -EWOULDBLOCK && fd != -ENOENT)
			break;
	}
	return fd;
}

static int write_pid(const struct run_folder *folder)
{
	const int fd =
		openat(folder->fd, RUN_FOLDER_PID, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (dprintf(fd, "%d\n", (int)getpid()) < 0)
		r = -errno;
	close(fd);
	return r;
}

int run_folder_create(const char *root, const char *name, struct run_folder *ret_folder)
{
	CLEANUP(closep) int parent = open_parent(root, true);
	struct run_folder folder = { .fd = -1 };
	int r;

	if (parent < 0)
		return parent;
	snprintf(folder.name, sizeof(folder.name), "%s", name);
	folder.fd = name[0] ? claim(parent, name, true) : claim_number(parent, folder.name);
	if (folder.fd == -EWOULDBLOCK) {
		r = err_set(ERR_USAGE, -EEXIST, "--name: a guest named '%s' runs already", name);
		err_hint("tinyvmm ps lists them");
		return r;
	}
	if (folder.fd < 0)
		return err_sys(ERR_HOST, folder.fd, "make a folder for the run '%s'", folder.name);
	r = write_pid(&folder);
	if (r < 0) {
		run_folder_remove(root, &folder);
		return err_sys(ERR_HOST, r, "write to the folder of the run '%s'", folder.name);
	}
	*ret_folder = folder;
	return 0;
}

void run_folder_remove(const char *root, struct run_folder *folder)
{
	CLEANUP(closep) int parent = open_parent(root, false);

	if (folder->fd < 0)
		return;
	if (parent >= 0)
		remove_locked(parent, folder->name, folder->fd);
	close_fd(&folder->fd);
}

int run_folder_open(const char *root, const char *name, struct run_folder *ret_folder)
{
	CLEANUP(closep) int parent = open_parent(root, false);
	struct run_folder folder = { .fd = -ENOENT };
	struct run_folder_place place;
	int r;

	if (parent < 0 && parent != -ENOENT)
		return parent;
	if (parent >= 0 && run_folder_name_fits(name))
		folder.fd = open_in(parent, name);
	if (folder.fd < 0 && folder.fd != -ENOENT)
		return err_sys(ERR_HOST, folder.fd, "the folder of the run '%s'", name);
	if (folder.fd >= 0 && run_folder_is_alive(&folder)) {
		snprintf(folder.name, sizeof(folder.name), "%s", name);
		*ret_folder = folder;
		return 0;
	}
	closep(&folder.fd);
	r = err_set(ERR_USAGE, -ENOENT, "no guest named '%s' runs", name);
	if (run_folder_place(root, &place))
		err_hint("tinyvmm ps lists those that do");
	else
		err_hint("there is no %s: XDG_RUNTIME_DIR must be what it was at the guest's start",
			 place.s);
	return r;
}

void run_folder_close(struct run_folder *folder)
{
	close_fd(&folder->fd);
}

bool run_folder_is_alive(const struct run_folder *folder)
{
	if (flock(folder->fd, LOCK_SH | LOCK_NB) < 0)
		return true;
	(void)flock(folder->fd, LOCK_UN);
	return false;
}

/* Numbers by their value, before words. */
static int compare(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	const bool nx = strspn(x, "0123456789") == strlen(x);
	const bool ny = strspn(y, "0123456789") == strlen(y);

	if (nx != ny)
		return nx ? -1 : 1;
	if (nx && strlen(x) != strlen(y))
		return strlen(x) < strlen(y) ? -1 : 1;
	return strcmp(x, y);
}

/* A folder of a run that was killed is removed. */
static bool runs(int parent, const char *name)
{
	const int fd = try_lock(parent, name);

	if (fd >= 0) {
		remove_locked(parent, name, fd);
		close(fd);
	}
	return fd == -EWOULDBLOCK;
}

int run_folder_list(const char *root, char ***ret_names, unsigned *ret_count)
{
	int parent = open_parent(root, false);
	char **names = NULL;
	unsigned count = 0;
	DIR *dir = NULL;
	int r = -ENOMEM;

	*ret_names = NULL;
	*ret_count = 0;
	if (parent < 0)
		return parent == -ENOENT ? 0 : parent;
	dir = fdopendir(parent);
	if (!dir)
		goto fail;
	for (struct dirent *entry; (entry = readdir(dir));) {
		char **more;

		if (!run_folder_name_fits(entry->d_name) || !runs(parent, entry->d_name))
			continue;
		more = realloc(names, (count + 1) * sizeof(*names));
		if (!more)
			goto fail;
		names = more;
		names[count] = strdup(entry->d_name);
		if (!names[count])
			goto fail;
		count++;
	}
	closedir(dir);
	if (count)
		qsort(names, count, sizeof(*names), compare);
	*ret_names = names;
	*ret_count = count;
	return 0;
fail:
	r = err_sys(ERR_LIMIT, r, "list the guests");
	while (count)
		free(names[--count]);
	free(names);
	if (dir)
		closedir(dir);
	else
		close(parent);
	return r;
}

struct run_folder_path run_folder_path(const struct run_folder *folder, const char *file)
{
	struct run_folder_path path;

	snprintf(path.s, sizeof(path.s), "/proc/self/fd/%d/%s", folder->fd, file);
	return path;
}
