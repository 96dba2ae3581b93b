/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Begins the command's process: its streams, its user with the host's names, its folder, and the
 * word to the host whether it is the command now. [Linux: user_namespaces(7)]
 */
#include "guest/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/job.h"
#include "guest/ports.h"

/* What the child does before it is the command. */
enum child_step { STEP_STREAMS, STEP_MEMORY, STEP_FOLDER, STEP_USER, STEP_EXEC };

struct child_failure {
	enum child_step step;
	int error;
};

/* What went wrong, through a pipe that exec closes. */
static void child_fail(int report, enum child_step step)
{
	const struct child_failure failure = { step, errno };

	if (write(report, &failure, sizeof(failure)) != sizeof(failure))
		_exit(126);
	_exit(127);
}

/* Users and groups of the host that nobody has told of come as this [Linux: overflowuid]. */
#define NOBODY 65534u

/* Root is what the host's other users are, unless the command is root itself. */
static bool write_map(pid_t pid, const char *which, unsigned id)
{
	char path[32], map[64];
	int fd, len;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, which);
	len = snprintf(map, sizeof(map), "%u 0 1\n0 %u 1\n", id, NOBODY);
	if (id == 0)
		len = snprintf(map, sizeof(map), "0 0 1\n");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, map, (size_t)len) == len;
}

/*
 * The host's files belong to 0 and to nobody: in a user namespace of its own, the command sees the
 * names that go with them. Only who stays outside of it may write so much of a map.
 */
static bool enter_users(const struct job *job)
{
	const pid_t self = getpid();
	int go[2], status, error = 0;
	pid_t writer;
	char byte = 0;

	if (pipe2(go, O_CLOEXEC) < 0)
		return false;
	writer = fork();
	if (writer < 0)
		return false;
	if (writer == 0) {
		close(go[1]);
		if (read(go[0], &byte, 1) != 1)
			_exit(0); /* there is no namespace */
		_exit(write_map(self, "uid_map", job->uid) && write_map(self, "gid_map", job->gid)
			      ? 0
			      : errno);
	}
	close(go[0]);
	if (unshare(CLONE_NEWUSER) < 0)
		error = errno;
	else if (write(go[1], &byte, 1) != 1)
		error = EPIPE;
	close(go[1]);
	if (waitpid(writer, &status, 0) != writer || !WIFEXITED(status))
		return false;
	errno = error ? error : WEXITSTATUS(status);
	return errno == 0;
}

static int become_user(const struct job *job)
{
	const bool apart = job->alone && job->uid != 0;

	if (apart && !enter_users(job))
		return -1;
	/* Groups that have no files here are none of the namespace's. */
	if (setgroups(apart ? 1 : job->group_count, apart ? &job->gid : job->groups) < 0 ||
	    setgid(job->gid) < 0)
		return -1;
	return setuid(job->uid);
}

static void child_run(const struct job *job, const int fds[3], bool terminal, int report)
{
	sigset_t none;
	int adj;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	for (int i = 0; i < 3; i++) {
		if (dup2(fds[i], i) < 0)
			child_fail(report, STEP_STREAMS);
	}
	if (terminal)
		ioctl(0, TIOCSCTTY, 0);
	adj = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (adj < 0 || write(adj, "0", 1) != 1)
		child_fail(report, STEP_MEMORY);
	if (become_user(job) < 0)
		child_fail(report, STEP_USER);
	if (chdir(job->cwd) < 0)
		child_fail(report, STEP_FOLDER);
	environ = (char **)job->env;
	execvp(job->args[0], job->args);
	child_fail(report, STEP_EXEC);
}

/* The text of an exec that failed, as a shell sorts them: 127 is "not found", 126 the rest. */
static void refuse(const struct job *job, const struct child_failure *failure)
{
	const char *why = strerror(failure->error);

	switch (failure->step) {
	case STEP_EXEC:
		ports_say("%s %s: %s", failure->error == ENOENT ? "not-found" : "not-executable",
			  job->args[0], why);
		break;
	case STEP_FOLDER:
		ports_say("failed the folder '%s': %s", job->cwd, why);
		break;
	case STEP_USER:
		ports_say("failed to be user %u: %s", job->uid, why);
		break;
	case STEP_STREAMS:
	case STEP_MEMORY:
		ports_say("failed to prepare the process: %s", why);
		break;
	}
}

pid_t process_start(const struct job *job, const int fds[3], bool terminal)
{
	struct child_failure failure;
	int report[2];
	pid_t pid;
	ssize_t n;

	if (pipe2(report, O_CLOEXEC) < 0)
		fail_errno("make a pipe");
	pid = fork();
	if (pid < 0)
		fail_errno("start a process");
	if (pid == 0)
		child_run(job, fds, terminal, report[1]);
	close(report[1]);
	do {
		n = read(report[0], &failure, sizeof(failure));
	} while (n < 0 && errno == EINTR);
	close(report[0]);
	if (n == sizeof(failure))
		refuse(job, &failure);
	else
		ports_say("started");
	return pid;
}
