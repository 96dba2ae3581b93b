/* SPDX-License-Identifier: Apache-2.0 */
/* A run goes into the background; see detach.h. Main thread, the only one. */
#include "cli/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "cli/commands.h"
#include "cli/table.h"
#include "control/run_folder.h"
#include "core/err.h"
#include "core/sys.h"
#include "run/run_status.h"

/* The first fd that is not a standard one: the child keeps the pipe there, and nothing above. */
#define DONE_FD 3

static int become_child(int pipe_fd)
{
	const int null = sys_open("/dev/null", O_RDONLY, 0);

	if (null < 0)
		return err_sys(ERR_HOST, null, "/dev/null");
	if (setsid() < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(pipe_fd, DONE_FD) < 0 ||
	    fcntl(DONE_FD, F_SETFD, FD_CLOEXEC) < 0 || close_range(DONE_FD + 1, ~0u, 0) < 0)
		return err_sys(ERR_HOST, -errno, "go into the background");
	return 0;
}

/* Its name, or "" if it ended before it could tell one. */
static void wait_for_name(int pipe_fd, int signal_fd, pid_t child, char name[RUN_NAME_MAX + 2])
{
	size_t len = 0;

	for (;;) {
		struct pollfd fds[] = {
			{ .fd = pipe_fd, .events = POLLIN },
			{ .fd = signal_fd, .events = POLLIN },
		};
		ssize_t n;
		int sig;

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		sig = fds[1].revents ? sys_signal_read(signal_fd) : 0;
		if (sig)
			kill(child, sig);
		if (!fds[0].revents)
			continue;
		n = read(pipe_fd, name + len, RUN_NAME_MAX + 1 - len);
		if (n > 0)
			len += (size_t)n;
		name[len] = '\0';
		if (n <= 0 || name[len - 1] == '\n')
			return;
	}
}

static int status_of(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return ERR_INTERNAL;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_SIGNAL + WTERMSIG(status);
}

static int become_parent(int pipe_fd, int signal_fd, pid_t child)
{
	char name[RUN_NAME_MAX + 2] = "";

	wait_for_name(pipe_fd, signal_fd, child, name);
	if (!name[0])
		return status_of(child);
	fputs(name, stdout);
	return table_flush(stdout) < 0 ? command_failed() : 0;
}

int detach_start(int *ret_done_fd, int *ret_status)
{
	CLEANUP(closep) int signal_fd = -1;
	int fds[2], r;
	pid_t child;

	r = command_open_signals(&signal_fd);
	if (r < 0)
		return r;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(ERR_LIMIT, -errno, "go into the background");
	child = fork();
	if (child < 0) {
		r = err_sys(ERR_LIMIT, -errno, "go into the background");
		close(fds[0]);
		close(fds[1]);
		return r;
	}
	if (child == 0) {
		r = become_child(fds[1]);
		signal_fd = -1; /* closed with all others */
		*ret_done_fd = DONE_FD;
		return r;
	}
	close(fds[1]);
	*ret_status = become_parent(fds[0], signal_fd, child);
	close(fds[0]);
	return 1;
}

void detach_done(int done_fd, const char *name)
{
	/* A parent that has gone does not want to know. */
	(void)dprintf(done_fd, "%s\n", name);
	close(done_fd);
}
