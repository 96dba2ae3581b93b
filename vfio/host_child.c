/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Child processes for what may hang; see host_child.h. A child that hangs in a driver cannot even
 * be killed: it is left behind, and because it has closed every file first, it keeps neither a
 * lease nor a terminal nor a pipe of ours.
 */
#include "vfio/host_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "core/clock.h"
#include "core/sys.h"

#define STEP_FIRST_NS (100 * 1000l)
#define STEP_LAST_NS  (20 * 1000 * 1000l)
#define STATUS_NO_RUN 127 /* what a shell says of a program that cannot be run */

void host_child_wait_init(struct host_child_wait *wait, unsigned limit_ms)
{
	wait->end_ns = clock_ns() + limit_ms * NS_PER_MS;
	wait->step_ns = STEP_FIRST_NS;
}

bool host_child_wait_step(struct host_child_wait *wait)
{
	const struct timespec step = { .tv_nsec = wait->step_ns };

	if (clock_ns() >= wait->end_ns)
		return false;
	nanosleep(&step, NULL);
	wait->step_ns = MIN(wait->step_ns * 2, STEP_LAST_NS);
	return true;
}

/* The child's exit status, or a negative errno. At the limit it is killed, or just left. */
static int wait_for(pid_t pid, unsigned limit_ms, bool kill_it)
{
	struct host_child_wait wait;
	int status;

	host_child_wait_init(&wait, limit_ms);
	do {
		pid_t r = waitpid(pid, &status, WNOHANG);

		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
	} while (host_child_wait_step(&wait));
	if (!kill_it)
		return -ETIMEDOUT;
	/* It may be past killing. Who ever reaps it, we are not waiting for that. */
	kill(pid, SIGKILL);
	waitpid(pid, &status, WNOHANG);
	return -ETIMEDOUT;
}

static int write_in_child(const char *path, const char *text, unsigned limit_ms, bool kill_it)
{
	pid_t pid = fork();
	int r;

	/* A limit may have come in mid-run: better to risk a hang than to keep a device. */
	if (pid < 0)
		return sys_write_text(path, text);
	if (pid == 0) {
		close_range(0, ~0u, 0);
		/* An errno fits into an exit status. */
		_exit(-sys_write_text(path, text));
	}
	r = wait_for(pid, limit_ms, kill_it);
	return r > 0 ? -r : r;
}

int host_child_write(const char *path, const char *text, unsigned limit_ms)
{
	return write_in_child(path, text, limit_ms, true);
}

int host_child_write_unkilled(const char *path, const char *text, unsigned limit_ms)
{
	return write_in_child(path, text, limit_ms, false);
}

int host_child_run(char *const argv[], unsigned limit_ms)
{
	/* The caller's environment (MODPROBE_OPTIONS, LD_PRELOAD) is none of the program's. */
	static char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		sigset_t none;

		/* Blocked signals would stay blocked across exec. */
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		close(STDIN_FILENO);
		close(STDOUT_FILENO);
		if (open("/dev/null", O_RDWR) == STDIN_FILENO && dup(STDIN_FILENO) == STDOUT_FILENO)
			execve(argv[0], argv, env);
		_exit(STATUS_NO_RUN);
	}
	return wait_for(pid, limit_ms, true);
}
