/* SPDX-License-Identifier: Apache-2.0 */
/* `tinyvmm logs`: what a guest in the background has said, and says. Main thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cli/commands.h"
#include "cli/table.h"
#include "control/control_client.h"
#include "control/run_folder.h"
#include "core/err.h"
#include "core/sys.h"
#include "options/options.h"

/* How long what was written may stay unread. */
#define FOLLOW_MS 200

/* Up to the end that it has now. */
static int show_rest(int fd)
{
	char data[16384];
	ssize_t n;

	while ((n = read(fd, data, sizeof(data))) > 0)
		fwrite(data, 1, (size_t)n, stdout);
	if (n < 0)
		return err_sys(ERR_FILE, -errno, "read the log");
	return table_flush(stdout);
}

static int open_log(const struct run_folder *folder, const char *file)
{
	return sys_open(run_folder_path(folder, file).s, O_RDONLY | O_NOFOLLOW, 0);
}

static int show_old(const struct run_folder *folder)
{
	CLEANUP(closep) int fd = open_log(folder, RUN_FOLDER_OLD_LOG);

	return fd < 0 ? 0 : show_rest(fd);
}

/* Once the log has been full, another file has its name. */
static bool is_current(const struct run_folder *folder, int fd)
{
	struct stat have, is;

	return fstat(fd, &have) == 0 &&
	       (fstatat(folder->fd, RUN_FOLDER_LOG, &is, AT_SYMLINK_NOFOLLOW) < 0 ||
		have.st_ino == is.st_ino);
}

static int show_new(const struct run_folder *folder, int *fd)
{
	int r = show_rest(*fd), next;

	if (r < 0 || is_current(folder, *fd))
		return r;
	/* Its last words came before the other was made. */
	r = show_rest(*fd);
	next = open_log(folder, RUN_FOLDER_LOG);
	if (r < 0 || next < 0)
		return r;
	close(*fd);
	*fd = next;
	return show_rest(next);
}

/* Until the run has ended; its exit status. */
static int follow(const struct run_folder *folder, struct control_client *client, int *fd)
{
	int r, status = -1;
	char *line;

	do {
		/* No line and no word of the end: it was killed. */
		r = control_client_line(client, FOLLOW_MS, &line);
		if (r == 1)
			status = control_client_exit_status(line);
		if (show_new(folder, fd) < 0)
			return command_failed();
	} while (r != 0 && status < 0);
	if (status >= 0)
		return status;
	err_set(ERR_GUEST, -ECONNRESET, "the run ended without an exit status: it was killed");
	return command_failed();
}

static int show(const struct run_folder *folder, int *fd)
{
	int r;

	*fd = open_log(folder, RUN_FOLDER_LOG);
	if (*fd < 0) {
		r = err_sys(ERR_USAGE, *fd, "the log of the guest '%s'", folder->name);
		err_hint("only one that was started with --detach has a log");
		return r;
	}
	r = show_old(folder);
	return r < 0 ? r : show_rest(*fd);
}

static int show_and_follow(const struct run_folder *folder, int *fd)
{
	static struct control_client client;
	int status, r;

	client.fd = -1;
	r = control_client_open("", folder->name, &client);
	if (r == 0)
		r = control_client_ask(&client, "\"do\":\"events\"", CONTROL_ANSWER_MS, NULL);
	if (r == 0)
		r = show(folder, fd);
	status = r < 0 ? command_failed() : follow(folder, &client, fd);
	control_client_close(&client);
	return status;
}

int cmd_logs(const struct options *options)
{
	CLEANUP(closep) int fd = -1;
	struct run_folder folder;
	int status = 0;

	if (run_folder_open("", options->arguments[0], &folder) < 0)
		return command_failed();
	if (options->follow)
		status = show_and_follow(&folder, &fd);
	else if (show(&folder, &fd) < 0)
		status = command_failed();
	run_folder_close(&folder);
	return status;
}
