/* SPDX-License-Identifier: Apache-2.0 */
/* virtiofsd's command line, its start and its end; see file_daemon.h. Main thread. */
#include "daemons/file_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "core/sys.h"
#include "daemons/vhost_daemon.h"
#include "devices/vhost/vhost_user_fs.h"

#define DAEMON "virtiofsd"

/* Distributions do not agree on where it is; none has it in PATH. */
static const char *const places[] = {
	"/usr/libexec/virtiofsd",
	"/usr/lib/qemu/virtiofsd",
	"/usr/lib/virtiofsd",
	"/usr/local/libexec/virtiofsd",
};

#define START_LIMIT_MS 20000u
#define STOP_LIMIT_MS  20000u

struct file_daemon {
	const char *path;
	struct vhost_daemon vhost;
};

static const char *find_program(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		if (access(places[i], X_OK) == 0)
			return places[i];
	}
	return DAEMON;
}

/*
 * What makes it say errors only is one word to the first virtiofsd and another one to its
 * successor, and each ends at the other's. The first has its word in it as it is written.
 */
static const char *quiet_word(const char *program)
{
	static const char first[] = "log_level=err";
	CLEANUP(closep) int fd = -1;
	const char *word = "loglevel=err";
	struct stat st;
	void *text;

	/* One that is only called by its name is in PATH, and not in the current folder. */
	if (strchr(program, '/'))
		fd = sys_open(program, O_RDONLY, 0);
	if (fd < 0 || fstat(fd, &st) < 0)
		return word;
	text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		return word;
	if (memmem(text, (size_t)st.st_size, first, sizeof(first) - 1))
		word = first;
	munmap(text, (size_t)st.st_size);
	return word;
}

/* A comma would end the value of one option and begin the next. */
static int check_path(const char *path)
{
	if (access(path, R_OK | X_OK) < 0)
		return err_sys(ERR_FILE, -errno, "folder '%s'", path);
	if (strchr(path, ','))
		return err_set(ERR_FILE, -EINVAL, "folder '%s' has a comma in its name", path);
	return 0;
}

/* Who is not root needs a user namespace, in which the daemon takes itself for root. */
static bool is_root(void)
{
	return geteuid() == 0;
}

/* What keeps users from it, and how to allow it. */
static int refuse_user(void)
{
	static const struct {
		const char *file, *value, *setting;
	} locks[] = {
		/* Ubuntu 24.04 */
		{ "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
		  "kernel.apparmor_restrict_unprivileged_userns=0" },
		/* Debian before 11 */
		{ "/proc/sys/kernel/unprivileged_userns_clone", "0",
		  "kernel.unprivileged_userns_clone=1" },
		{ "/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=10000" },
	};
	char value[16];
	int r = err_set(ERR_HOST, -EUSERS,
			"without root, " DAEMON " needs a user namespace, "
			"and this host lets users make none");

	for (unsigned i = 0; i < ARRAY_SIZE(locks); i++) {
		if (sys_read_text(locks[i].file, value, sizeof(value)) == 0 &&
		    strcmp(value, locks[i].value) == 0) {
			err_hint("run it as root, or allow them: sudo sysctl -w %s",
				 locks[i].setting);
			return r;
		}
	}
	err_hint("run it as root; a container has to allow it with its seccomp profile");
	return r;
}

/* A profile of AppArmor lets one be made, and nothing be done in it. */
static bool is_refusal(int r)
{
	return !is_root() && (r == -EUSERS || r == -EPERM || r == -EACCES);
}

static unsigned start_flags(bool read_only)
{
	return (read_only ? CHILD_READ_ONLY : 0) | (is_root() ? 0 : CHILD_FAKE_ROOT);
}

int file_daemon_allowed(void)
{
	const char *const argv[] = { "true", NULL };
	struct child child;
	int r = is_root() ? -ENOENT : child_start(&child, argv, NULL, 0, start_flags(true));

	if (r == 0)
		child_fini(&child);
	return is_refusal(r) ? refuse_user() : 0;
}

static int launch(struct file_daemon *daemon, bool read_only)
{
	char source[PATH_MAX + 16], fd[16];
	/*
	 * The host's root cannot be pivoted to from itself; it needs no sandbox to hide the rest,
	 * of which there is none, nor to forbid writing, which the mount namespace does.
	 */
	const char *const sandbox = read_only ? "sandbox=chroot" : "sandbox=namespace";
	const char *const program = find_program();
	/*
	 * No guest makes devices. What it has seen of a file of the root, it need not ask again:
	 * that is most of what a command's start waits for.
	 */
	const char *const words = read_only ? "cache=always,no_writeback,modcaps=-mknod"
					    : "cache=auto,no_writeback,modcaps=-mknod";
	/* The words of the first virtiofsd, which its successor understands too, but for one. */
	const char *const argv[] = {
		program,
		"-f",
		fd,
		"-o",
		source,
		"-o",
		words,
		"-o",
		quiet_word(program),
		"-o",
		sandbox,
		/* It would try to raise it above what we may. */
		is_root() ? NULL : "--rlimit-nofile=0",
		NULL,
	};
	const struct vhost_daemon_command command = {
		.argv = argv,
		.flags = start_flags(read_only),
		.more_fd = -1,
		.to_do = "Debian, Ubuntu: apt-get install virtiofsd, or qemu-system-common before "
			 "Debian 13",
	};
	int r;

	snprintf(source, sizeof(source), "source=%s", daemon->path);
	snprintf(fd, sizeof(fd), "--fd=%d", VHOST_DAEMON_LISTEN_FD);
	r = vhost_daemon_launch(&daemon->vhost, &command);
	return is_refusal(r) ? err_wrap(refuse_user(), "%s", daemon->vhost.subject) : r;
}

/* Why it does not answer: in its own words if it ended, of which the last say why. */
static int explain(struct file_daemon *daemon, int r)
{
	struct child *child = &daemon->vhost.child;
	char line[512] = "";

	if (r != -ECONNRESET)
		return err_wrap(r, "%s", daemon->vhost.subject);
	(void)child_stop(child, STOP_LIMIT_MS);
	while (child_complaint(child, line, sizeof(line)))
		log_debug("%s: %s", daemon->vhost.name, line);
	if (!line[0])
		return err_wrap(r, "%s", daemon->vhost.subject);
	return err_set(ERR_HOST, -EIO, "%s: " DAEMON ": %s", daemon->vhost.subject, line);
}

static int start(struct file_daemon *daemon, bool read_only)
{
	int r = check_path(daemon->path);

	if (r == 0)
		r = launch(daemon, read_only);
	if (r < 0)
		return r;
	r = vhost_daemon_open(&daemon->vhost, VHOST_USER_FS_NEEDED, START_LIMIT_MS);
	return r < 0 ? explain(daemon, r) : 0;
}

int file_daemon_start(const char *path, bool read_only, struct file_daemon **ret_daemon)
{
	struct file_daemon *daemon = calloc(1, sizeof(*daemon));
	struct err_chain why;
	int r;

	if (!daemon)
		return err_sys(ERR_LIMIT, -ENOMEM, "folder '%s'", path);
	daemon->path = path;
	vhost_daemon_init(&daemon->vhost, DAEMON, "folder", path);
	r = start(daemon, read_only);
	if (r < 0) {
		err_save(&why);
		file_daemon_stop(daemon);
		err_restore(&why);
		return r;
	}
	*ret_daemon = daemon;
	return 0;
}

struct vhost_user_backend *file_daemon_backend(struct file_daemon *daemon)
{
	return &daemon->vhost.backend;
}

void file_daemon_stop(struct file_daemon *daemon)
{
	if (!daemon)
		return;
	vhost_daemon_stop(&daemon->vhost, STOP_LIMIT_MS, LOG_DEBUG);
	free(daemon);
}
