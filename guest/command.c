/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the command, between its standard streams and the ports. With a terminal there are two
 * streams, its input and its output; without, three pipes. How its process begins: process.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/job.h"
#include "guest/ports.h"
#include "guest/process.h"

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
	int pressure; /* of memory; or -1 */
	int terminal; /* the agent's side of it, or -1 */
	bool ended;
	int status;
	struct stream in, out, err;
	char line[GUEST_LINE_MAX]; /* of the host, as far as it is here */
	size_t line_len;
};

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

	if (sscanf(line, "signal %d", &sig) == 1 && !run->ended) {
		report_signal();
		kill(-run->pid, sig);
	} else if (sscanf(line, "size %hu %hu", &rows, &columns) == 2) {
		set_size(run, rows, columns);
	}
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
	struct pollfd p[10];

	watch(&run->in, &p[0]);
	watch(&run->out, &p[2]);
	watch(&run->err, &p[4]);
	p[6] = (struct pollfd){ .fd = run->signals, .events = POLLIN };
	p[7] = (struct pollfd){ .fd = run->control, .events = POLLIN };
	p[8] = (struct pollfd){ .fd = run->pressure, .events = POLLPRI };
	p[9] = (struct pollfd){ .fd = router_file(), .events = POLLIN };
	if (poll(p, 10, timeout) < 0)
		return;
	move_some(&run->in, p[0].revents, p[1].revents);
	move_some(&run->out, p[2].revents, p[3].revents);
	move_some(&run->err, p[4].revents, p[5].revents);
	if (p[6].revents)
		reap(run);
	if (p[7].revents & POLLIN)
		listen_to_host(run);
	if (p[9].revents)
		router_serve();
	if (p[8].revents & POLLPRI)
		pressure_felt();
	else if (p[8].revents)
		close_fd(&run->pressure);
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
	run->pid = process_start(run->job, fds, run->terminal >= 0);
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
	run->pid = process_start(run->job, fds, run->terminal >= 0);
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
	run.pressure = pressure_open();
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
