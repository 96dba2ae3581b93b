/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The qemu-storage-daemon's command line, its start and its end; see storage_daemon.h. Main thread.
 * [QEMU: qemu-storage-daemon(1)]
 */
#include "daemons/storage_daemon.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "core/err.h"
#include "daemons/vhost_daemon.h"
#include "devices/vhost/vhost_user_blk.h"
#include "options/options.h"

#define DAEMON "qemu-storage-daemon"

/* An image that was not closed well may be checked first. */
#define START_LIMIT_MS 60000u
/* The end writes what is left of the image's own tables, and waits for the medium. */
#define STOP_LIMIT_MS 60000u

#define ARGS_MAX 16
#define ARG_SIZE (2 * PATH_MAX + 256) /* a path whose every character is a comma, and more */

struct storage_daemon {
	const struct options_disk *disk;
	struct vhost_daemon vhost;
};

struct command {
	const char *argv[ARGS_MAX + 1];
	unsigned count;
	char text[ARGS_MAX / 2][ARG_SIZE];
	unsigned texts;
};

bool storage_daemon_serves(const struct options_disk *disk)
{
	const enum blk_format format = disk->format ? disk->format : blk_format_of_file(disk->file);

	return disk->snapshot || format != BLK_FORMAT_RAW;
}

/* --- the command line --- */

static void PRINTF_LIKE(3, 4) add(struct command *cmd, const char *option, const char *fmt, ...)
{
	char *text = cmd->text[cmd->texts++];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, ARG_SIZE, fmt, ap);
	va_end(ap);
	cmd->argv[cmd->count++] = option;
	cmd->argv[cmd->count++] = text;
}

/* A comma in a value is written twice. */
static void escape(const char *path, char ret_text[2 * PATH_MAX])
{
	for (; *path; path++) {
		*ret_text++ = *path;
		if (*path == ',')
			*ret_text++ = ',';
	}
	*ret_text = '\0';
}

/* io_uring where the kernel lets us use it, which some containers do not. */
static const char *choose_aio(void)
{
	struct io_uring_params params = { 0 };
	int fd = (int)syscall(SYS_io_uring_setup, 1, &params);

	if (fd < 0)
		return "threads";
	close(fd);
	return "io_uring";
}

static const char *cache_options(enum blk_cache cache)
{
	switch (cache) {
	case BLK_CACHE_WRITEBACK:
		break;
	case BLK_CACHE_DIRECT:
		return ",cache.direct=on";
	case BLK_CACHE_UNSAFE:
		return ",cache.no-flush=on";
	}
	return "";
}

/*
 * The nodes from the file to what the guest sees. Each driver is named, so that nothing is guessed
 * from content. What goes to an overlay need not be there after a power failure.
 */
static void make_command(struct command *cmd, const struct options_disk *disk, unsigned queues)
{
	const enum blk_format format = disk->format ? disk->format : blk_format_of_file(disk->file);
	const char *const aio = choose_aio();
	const char *const cache = cache_options(disk->cache);
	const char *const discard = disk->keep_space ? "ignore" : "unmap";
	const bool read_only = disk->readonly || disk->snapshot;
	char file[2 * PATH_MAX];
	struct stat st;
	bool block = stat(disk->file, &st) == 0 && S_ISBLK(st.st_mode);

	escape(disk->file, file);
	*cmd = (struct command){ .argv = { DAEMON }, .count = 1 };
	add(cmd, "--blockdev",
	    "driver=%s,node-name=file,filename=%s,aio=%s,discard=%s,read-only=%s%s",
	    block ? "host_device" : "file", file, aio, discard, read_only ? "on" : "off", cache);
	add(cmd, "--blockdev", "driver=%s,node-name=%s,file=file,discard=%s,read-only=%s%s",
	    blk_format_name(format), disk->snapshot ? "base" : "disk", discard,
	    read_only ? "on" : "off", cache);
	if (disk->snapshot) {
		add(cmd, "--blockdev",
		    "driver=file,node-name=overlay,filename=/proc/self/fd/%d,aio=%s,discard=unmap,"
		    "cache.no-flush=on",
		    VHOST_DAEMON_MORE_FD, aio);
		add(cmd, "--blockdev",
		    "driver=qcow2,node-name=disk,file=overlay,backing=base,discard=unmap,"
		    "cache.no-flush=on");
	}
	add(cmd, "--export",
	    "type=vhost-user-blk,id=disk,node-name=disk,addr.type=fd,addr.str=%d,writable=%s,"
	    "num-queues=%u",
	    VHOST_DAEMON_LISTEN_FD, disk->readonly ? "off" : "on", queues);
}

/* --- start --- */

/* What the daemon said, without its own name and the option that we gave it. */
static const char *strip(const char *line, const struct command *cmd)
{
	static const char own[] = DAEMON ": ";

	if (strncmp(line, own, sizeof(own) - 1) != 0)
		return line;
	line += sizeof(own) - 1;
	for (unsigned i = 1; i + 1 < cmd->count; i += 2) {
		const size_t option = strlen(cmd->argv[i]), value = strlen(cmd->argv[i + 1]);

		if (strncmp(line, cmd->argv[i], option) == 0 && line[option] == ' ' &&
		    strncmp(line + option + 1, cmd->argv[i + 1], value) == 0 &&
		    strncmp(line + option + 1 + value, ": ", 2) == 0)
			return line + option + 1 + value + 2;
	}
	return line;
}

/* Why it has no connection with us: in its own words if it ended, else as the error chain says. */
static int explain(struct storage_daemon *daemon, const struct command *cmd, int r)
{
	const char *file = daemon->disk->file;
	char line[ARG_SIZE + 512], more[256];

	/* It ends as soon as it has complained. */
	if (r == -ECONNRESET)
		(void)child_stop(&daemon->vhost.child, STOP_LIMIT_MS);
	if (!child_complaint(&daemon->vhost.child, line, sizeof(line)))
		return err_wrap(r, "disk '%s'", file);
	for (unsigned i = 0; i < CHILD_LINES_MAX; i++) {
		if (!child_complaint(&daemon->vhost.child, more, sizeof(more)))
			break;
		log_debug("%s: %s", daemon->vhost.name, more);
	}
	if (strstr(line, "Failed to get") && strstr(line, "lock")) {
		r = err_set(ERR_FILE, -EBUSY, "disk '%s' is in use by another process", file);
		err_hint("is it the disk of a running machine? fuser -v '%s' names the process",
			 file);
		return r;
	}
	r = err_set(ERR_FILE, -EIO, "disk '%s': " DAEMON ": %s", file, strip(line, cmd));
	err_hint("qemu-img check '%s' tells more of an image that is damaged", file);
	return r;
}

/* Before the daemon has a chance to say it in more words. */
static int check_file(const struct options_disk *disk)
{
	struct stat st;

	if (stat(disk->file, &st) < 0)
		return err_sys(ERR_FILE, -errno, "open disk '%s'", disk->file);
	if (S_ISDIR(st.st_mode))
		return err_set(ERR_FILE, -EISDIR, "disk '%s' is a directory", disk->file);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(ERR_FILE, -EINVAL,
			       "disk '%s' is neither a regular file nor a block device",
			       disk->file);
	return 0;
}

static int make_overlay(const struct options_disk *disk, int *ret_fd)
{
	const enum blk_format format = disk->format ? disk->format : blk_format_of_file(disk->file);
	const char *dir = getenv("TMPDIR");
	uint64_t size = 0;
	int r;

	if (!dir || !*dir)
		dir = "/var/tmp";
	r = blk_format_size(disk->file, format, &size);
	if (r < 0)
		return r;
	r = blk_format_make_overlay(dir, size, ret_fd);
	if (r < 0) {
		err_sys(ERR_FILE, r, "disk '%s': make a throw-away overlay in %s", disk->file, dir);
		err_hint("TMPDIR names another folder for it");
		return r;
	}
	log_debug("disk '%s': what the guest writes is in a file without a name in %s", disk->file,
		  dir);
	return 0;
}

static int launch(struct storage_daemon *daemon, const struct command *cmd, int overlay_fd)
{
	const struct vhost_daemon_command command = {
		.argv = cmd->argv,
		.more_fd = overlay_fd,
		.to_do = "it is a part of QEMU (Debian, Ubuntu: qemu-system-common); "
			 "or make a raw disk: qemu-img convert -O raw",
	};
	int r = vhost_daemon_launch(&daemon->vhost, &command);

	if (r < 0)
		return r;
	r = vhost_daemon_open(&daemon->vhost, VHOST_USER_BLK_NEEDED, START_LIMIT_MS);
	return r < 0 ? explain(daemon, cmd, r) : 0;
}

static int start(struct storage_daemon *daemon, unsigned queues)
{
	CLEANUP(closep) int overlay_fd = -1;
	struct command *cmd;
	int r = check_file(daemon->disk);

	if (r == 0 && daemon->disk->snapshot)
		r = make_overlay(daemon->disk, &overlay_fd);
	if (r < 0)
		return r;
	cmd = malloc(sizeof(*cmd));
	if (!cmd)
		return err_sys(ERR_LIMIT, -ENOMEM, "disk '%s'", daemon->disk->file);
	make_command(cmd, daemon->disk, queues);
	r = launch(daemon, cmd, overlay_fd);
	free(cmd);
	return r;
}

int storage_daemon_start(const struct options_disk *disk, unsigned queues,
			 struct storage_daemon **ret_daemon)
{
	struct storage_daemon *daemon = calloc(1, sizeof(*daemon));
	struct err_chain why;
	int r;

	if (!daemon)
		return err_sys(ERR_LIMIT, -ENOMEM, "disk '%s'", disk->file);
	daemon->disk = disk;
	vhost_daemon_init(&daemon->vhost, DAEMON, "disk", disk->file);
	r = start(daemon, queues);
	if (r < 0) {
		err_save(&why);
		storage_daemon_stop(daemon);
		err_restore(&why);
		return r;
	}
	*ret_daemon = daemon;
	return 0;
}

struct vhost_user_backend *storage_daemon_backend(struct storage_daemon *daemon)
{
	return &daemon->vhost.backend;
}

void storage_daemon_stop(struct storage_daemon *daemon)
{
	if (!daemon)
		return;
	vhost_daemon_stop(&daemon->vhost, STOP_LIMIT_MS, LOG_WARN);
	free(daemon);
}
