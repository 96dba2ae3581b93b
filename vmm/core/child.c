/* SPDX-License-Identifier: Apache-2.0 */
/* Helper programs; see child.h. */
#include "core/child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "core/text.h"

#define STEP_FIRST_NS (100 * 1000l)
#define STEP_LAST_NS  (10 * 1000 * 1000l)
#define NS_PER_MS     1000000u

/*
 * What was killed is gone in less, waits for a medium that does not answer, or is gone but for its
 * entry, where the host's process 1 waits for no children.
 */
#define GROUP_LIMIT_MS 200u

/* The errno that kept the program from running goes to its parent; end of file says that it runs.
 */
static _Noreturn void give_up(int report)
{
	const int code = errno;

	/* The pipe is empty and has a reader. */
	if (write(report, &code, sizeof(code)) != sizeof(code))
		_exit(126);
	_exit(127);
}

/*
 * Whoever breaks the helper still writes nothing, once it has dropped CAP_SYS_ADMIN, which could
 * undo this. A device node is written on a read-only file system too: none can be opened.
 */
static int make_read_only(void)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV };

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	return (int)syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &attr, sizeof(attr));
}

/* For a process of its own number only, as an unprivileged user may. */
#define ID_MAP_SIZE 32

/* What the new process is made of. */
struct start {
	const char *const *argv;
	const int *fds;
	unsigned count, flags;
	int complaints, report; /* ends of the pipes that it writes */
	pid_t parent;
	char uid_map[ID_MAP_SIZE], gid_map[ID_MAP_SIZE];
};

static int write_own(const char *path, const char *text)
{
	const int fd = open(path, O_WRONLY | O_CLOEXEC);
	const size_t len = strlen(text);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len)
		return -1;
	close(fd);
	return 0;
}

/* The kernel lets nobody change groups whom it did not have to trust to get there. */
static int pretend_setgroups(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setgroups, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO), /* none: it returns 0 */
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(filter), filter };

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

static int become_fake_root(const struct start *start)
{
	struct rlimit files;

	if (unshare(CLONE_NEWUSER) < 0 || write_own("/proc/self/setgroups", "deny") < 0 ||
	    write_own("/proc/self/uid_map", start->uid_map) < 0 ||
	    write_own("/proc/self/gid_map", start->gid_map) < 0 || pretend_setgroups() < 0) {
		errno = EUSERS;
		return -1;
	}
	/* Root would raise the limit above this one. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	return 0;
}

/* Between fork and exec: only what is safe in a signal handler. */
static _Noreturn void become(const struct start *start)
{
	const int above = CHILD_FIRST_FD + CHILD_FDS_MAX;
	int complaints, report, safe[CHILD_FDS_MAX];
	sigset_t none;

	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* What we ignore, or were told to, would be ignored by it too. */
	signal(SIGTERM, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);

	/* Out of the way first: one may lie where another has to go. */
	complaints = fcntl(start->complaints, F_DUPFD_CLOEXEC, above);
	report = fcntl(start->report, F_DUPFD_CLOEXEC, above);
	for (unsigned i = 0; i < start->count; i++)
		safe[i] = fcntl(start->fds[i], F_DUPFD_CLOEXEC, above);
	for (unsigned i = 0; i < start->count; i++) {
		if (dup2(safe[i], CHILD_FIRST_FD + (int)i) < 0)
			give_up(report);
	}
	close(STDIN_FILENO);
	if (open("/dev/null", O_RDWR) != STDIN_FILENO || dup2(STDIN_FILENO, STDOUT_FILENO) < 0 ||
	    dup2(complaints, STDERR_FILENO) < 0)
		give_up(report);
	if (start->flags & CHILD_FAKE_ROOT && become_fake_root(start) < 0)
		give_up(report);
	if (start->flags & CHILD_READ_ONLY && make_read_only() < 0)
		give_up(report);
	/* After what changes who it is, because that may take it back. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	/* It may have died just before. */
	if (getppid() != start->parent)
		_exit(127);
	/* Whatever we were started with is not for the helper: who waits for the end of a pipe
	 * waits for us. Without the call (before Linux 5.11), what is ours is closed all the same.
	 */
	(void)close_range(CHILD_FIRST_FD + start->count, ~0u, CLOSE_RANGE_CLOEXEC);
	execvp(start->argv[0], (char *const *)start->argv);
	give_up(report);
}

/* Signals of a program that has handlers interrupt this and the next, and change nothing. */
static void wait_for(pid_t pid, int *ret_status)
{
	while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
		;
}

/* The errno of give_up; 0: the program runs. */
static int read_report(int fd)
{
	ssize_t n;
	int code;

	do {
		n = read(fd, &code, sizeof(code));
	} while (n < 0 && errno == EINTR);
	return n == sizeof(code) ? code : 0;
}

int child_start(struct child *child, const char *const argv[], const int fds[], unsigned count,
		unsigned flags)
{
	int complaints[2] = { -1, -1 }, report[2] = { -1, -1 };
	struct start start = { argv, fds, count, flags, .parent = getpid() };
	int r = 0;
	pid_t pid = -1;

	assert(count <= CHILD_FDS_MAX);
	snprintf(start.uid_map, ID_MAP_SIZE, "0 %u 1", geteuid());
	snprintf(start.gid_map, ID_MAP_SIZE, "0 %u 1", getegid());
	if (pipe2(complaints, O_CLOEXEC) < 0 || pipe2(report, O_CLOEXEC) < 0 ||
	    (pid = fork()) < 0) {
		r = -errno;
	} else if (pid == 0) {
		start.complaints = complaints[1];
		start.report = report[1];
		become(&start);
	}
	close_fd(&complaints[1]);
	close_fd(&report[1]);
	if (r == 0)
		r = -read_report(report[0]);
	if (r < 0 && pid > 0)
		wait_for(pid, NULL);
	close_fd(&report[0]);
	if (r < 0) {
		close_fd(&complaints[0]);
		return r;
	}
	(void)fcntl(complaints[0], F_SETFL, O_NONBLOCK);
	*child = (struct child){ .pid = pid, .complaints = complaints[0] };
	return 0;
}

/*
 * The group's others die with its leader, or before they could see that it did. Until the leader is
 * waited for, its number can be no other group's.
 */
static void take_end(struct child *child)
{
	kill(-child->pid, SIGKILL);
	wait_for(child->pid, &child->status);
	for (unsigned ms = 0; ms < GROUP_LIMIT_MS && kill(-child->pid, 0) == 0; ms++)
		nanosleep(&(struct timespec){ .tv_nsec = NS_PER_MS }, NULL);
	child->pid = 0;
}

bool child_ended(struct child *child)
{
	siginfo_t info = { .si_pid = 0 };

	if (!child->pid)
		return true;
	if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		child->pid = 0; /* somebody waited for it in our place */
	else if (info.si_pid)
		take_end(child);
	return !child->pid;
}

struct child_end child_end_text(const struct child *child)
{
	struct child_end end;

	if (WIFSIGNALED(child->status))
		snprintf(end.s, sizeof(end.s), "signal %d", WTERMSIG(child->status));
	else
		snprintf(end.s, sizeof(end.s), "exit status %d", WEXITSTATUS(child->status));
	return end;
}

bool child_complaint(struct child *child, char *buf, size_t size)
{
	size_t len = 0;
	bool any = false;
	char c;

	/* A byte at a time: these lines are few, and the rest of them stays in the pipe. */
	while (len + 1 < size && child->complaints > 0 && read(child->complaints, &c, 1) == 1) {
		any = true;
		if (c == '\n')
			break;
		buf[len++] = c;
	}
	if (!any)
		return false;
	buf[len] = '\0';
	text_clean(buf);
	return true;
}

int child_stop(struct child *child, unsigned limit_ms)
{
	uint64_t left = (uint64_t)limit_ms * NS_PER_MS;
	struct timespec step = { .tv_nsec = STEP_FIRST_NS };

	if (child_ended(child))
		return 0;
	kill(child->pid, SIGTERM);
	while (!child_ended(child)) {
		if (left < (uint64_t)step.tv_nsec) {
			child_kill(child);
			return -ETIMEDOUT;
		}
		nanosleep(&step, NULL);
		left -= (uint64_t)step.tv_nsec;
		step.tv_nsec = MIN(step.tv_nsec * 2, STEP_LAST_NS);
	}
	return 0;
}

void child_kill(struct child *child)
{
	if (child_ended(child))
		return;
	take_end(child);
}

void child_fini(struct child *child)
{
	child_kill(child);
	if (child->complaints > 0)
		close_fd(&child->complaints);
	*child = (struct child){ .complaints = -1 };
}
