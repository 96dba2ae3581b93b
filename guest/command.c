/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the command, between its standard streams and the ports. With a terminal there are two
 * streams, its input and its output; without, three pipes.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/job.h"
#include "guest/ports.h"

#define BUFFER 65536

/* Bytes on their way from one fd to another. An fd is -1 when it is done with. */
struct stream {
	int from, to;
	size_t start, end; /* of what is in the buffer */
	char buf[BUFFER];
};

struct run {
	const struct job *job;
	pid_t pid;
	int signals; /* a signalfd of SIGCHLD */
	int control;
	int terminal; /* the agent's side of it, or -1 */
	bool ended;
	int status;
	struct stream in, out, err;
	char line[GUEST_LINE_MAX]; /* of the host, as far as it is here */
	size_t line_len;
};

/* --- the child --- */

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

static void start(struct run *run, const int fds[3])
{
	struct child_failure failure;
	int report[2];
	ssize_t n;

	if (pipe2(report, O_CLOEXEC) < 0)
		fail_errno("make a pipe");
	run->pid = fork();
	if (run->pid < 0)
		fail_errno("start a process");
	if (run->pid == 0)
		child_run(run->job, fds, run->terminal >= 0, report[1]);
	close(report[1]);
	do {
		n = read(report[0], &failure, sizeof(failure));
	} while (n < 0 && errno == EINTR);
	close(report[0]);
	if (n == sizeof(failure))
		refuse(run->job, &failure);
	else
		ports_say("started");
}

/* --- the streams --- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static size_t held(const struct stream *s)
{
	return s->end - s->start;
}

static void read_some(struct stream *s)
{
	const ssize_t n = read(s->from, s->buf, BUFFER);

	if (n > 0) {
		s->start = 0;
		s->end = (size_t)n;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		/* The end; a terminal that nobody has open any more reads as an error. */
		close_fd(&s->from);
	}
}

/* Nobody reads it any more: who writes it shall notice. */
static void give_up(struct stream *s)
{
	s->start = s->end;
	close_fd(&s->from);
}

static void write_some(struct stream *s)
{
	const ssize_t n = write(s->to, s->buf + s->start, held(s));

	if (n > 0) {
		s->start += (size_t)n;
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		give_up(s);
	}
}

/* Moves what can be moved now. What is at its end is closed. */
static void move_some(struct stream *s, short from_events, short to_events)
{
	if (to_events & (POLLHUP | POLLERR))
		give_up(s);
	if (from_events && s->from >= 0 && !held(s))
		read_some(s);
	if ((to_events || from_events) && s->to >= 0 && held(s))
		write_some(s);
	if (s->from < 0 && !held(s))
		close_fd(&s->to);
}

static void watch(const struct stream *s, struct pollfd p[2])
{
	p[0] = (struct pollfd){ .fd = held(s) ? -1 : s->from, .events = POLLIN };
	/* Without anything to write, only for the news that nobody reads. */
	p[1] = (struct pollfd){ .fd = s->to, .events = held(s) ? POLLOUT : 0 };
}

/* --- the host's words --- */

static void set_size(struct run *run, unsigned short rows, unsigned short columns)
{
	struct winsize size = { .ws_row = rows, .ws_col = columns };

	if (run->terminal >= 0)
		ioctl(run->terminal, TIOCSWINSZ, &size);
}

static void obey(struct run *run, const char *line)
{
	unsigned short rows, columns;
	int sig;

	if (sscanf(line, "signal %d", &sig) == 1 && !run->ended)
		kill(-run->pid, sig);
	else if (sscanf(line, "size %hu %hu", &rows, &columns) == 2)
		set_size(run, rows, columns);
}

static void listen_to_host(struct run *run)
{
	const ssize_t n = read(run->control, run->line + run->line_len,
			       sizeof(run->line) - 1 - run->line_len);
	char *end;

	if (n <= 0)
		return;
	run->line_len += (size_t)n;
	run->line[run->line_len] = '\0';
	while ((end = strchr(run->line, '\n'))) {
		*end = '\0';
		obey(run, run->line);
		run->line_len -= (size_t)(end + 1 - run->line);
		memmove(run->line, end + 1, run->line_len + 1);
	}
	if (run->line_len == sizeof(run->line) - 1)
		run->line_len = 0;
}

/* --- the run --- */

/* Process 1 is the parent of all that lost theirs. */
static void reap(struct run *run)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(run->signals, &info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == run->pid) {
			run->ended = true;
			run->status = status;
		}
	}
}

static void step(struct run *run, int timeout)
{
	struct pollfd p[8];

	watch(&run->in, &p[0]);
	watch(&run->out, &p[2]);
	watch(&run->err, &p[4]);
	p[6] = (struct pollfd){ .fd = run->signals, .events = POLLIN };
	p[7] = (struct pollfd){ .fd = run->control, .events = POLLIN };
	if (poll(p, 8, timeout) < 0)
		return;
	move_some(&run->in, p[0].revents, p[1].revents);
	move_some(&run->out, p[2].revents, p[3].revents);
	move_some(&run->err, p[4].revents, p[5].revents);
	if (p[6].revents)
		reap(run);
	if (p[7].revents & POLLIN)
		listen_to_host(run);
}

static void nonblocking(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void make_pipe(int *ret_read, int *ret_write)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		fail_errno("make a pipe");
	*ret_read = fds[0];
	*ret_write = fds[1];
}

static void start_with_pipes(struct run *run)
{
	int fds[3];

	make_pipe(&fds[0], &run->in.to);
	make_pipe(&run->out.from, &fds[1]);
	make_pipe(&run->err.from, &fds[2]);
	run->err.to = ports_open(GUEST_STDERR);
	nonblocking(run->in.to);
	nonblocking(run->out.from);
	nonblocking(run->err.from);
	start(run, fds);
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
}

static void start_with_terminal(struct run *run)
{
	unsigned short rows, columns;
	int fds[3];

	if (openpty(&run->terminal, &fds[0], NULL, NULL, NULL) < 0)
		fail_errno("make a terminal");
	fds[1] = fds[2] = fds[0];
	fcntl(run->terminal, F_SETFD, FD_CLOEXEC);
	fcntl(fds[0], F_SETFD, FD_CLOEXEC);
	if (run->job->term_size && sscanf(run->job->term_size, "%hu %hu", &rows, &columns) == 2)
		set_size(run, rows, columns);
	nonblocking(run->terminal);
	run->in.to = fcntl(run->terminal, F_DUPFD_CLOEXEC, 0);
	run->out.from = fcntl(run->terminal, F_DUPFD_CLOEXEC, 0);
	start(run, fds);
	close(fds[0]);
}

/* What is left in the pipes when nobody is left who writes to them. */
static void drain(struct run *run)
{
	struct stream *const streams[] = { &run->out, &run->err };

	for (unsigned i = 0; i < 2; i++) {
		struct stream *s = streams[i];

		while (s->to >= 0) {
			struct pollfd p = { .fd = s->to, .events = POLLOUT };

			if (!held(s) && s->from >= 0)
				read_some(s);
			if (!held(s))
				break;
			write_some(s);
			if (held(s) && poll(&p, 1, -1) == 1 && p.revents & POLLHUP)
				give_up(s);
		}
		close_fd(&s->from);
		close_fd(&s->to);
	}
	close_fd(&run->in.from);
	close_fd(&run->in.to);
	close_fd(&run->terminal);
}

int command_run(const struct job *job, int control)
{
	static struct run run;
	sigset_t mask;

	run = (struct run){
		.job = job,
		.terminal = -1,
		.control = control,
		.in = { .from = -1, .to = -1 },
		.out = { .from = -1, .to = -1 },
		.err = { .from = -1, .to = -1 },
	};
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	run.signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	run.in.from = ports_open(GUEST_STDIN);
	run.out.to = ports_open(GUEST_STDOUT);
	if (job->tty)
		start_with_terminal(&run);
	else
		start_with_pipes(&run);
	while (!run.ended)
		step(&run, -1);
	/* Who is left may write for ever; what was written is in the pipes. */
	kill(-1, SIGKILL);
	drain(&run);
	return run.status;
}
