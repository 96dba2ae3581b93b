/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A helper program that runs beside the machine for as long as it does: a process of ours with
 * /dev/null as its standard input and output, whose complaints we read, in a process group of its
 * own, so that Ctrl-C in the terminal is ours to handle. However this process ends, the helper is
 * told to end too (SIGTERM). What it started itself, and is still in its group, is killed at its
 * end.
 *
 * One thread at a time; started on the main thread, because the helper ends with the thread that
 * started it.
 */
#ifndef CORE_CHILD_H
#define CORE_CHILD_H

#include <sys/types.h>

#include "core/util.h"

#define CHILD_FIRST_FD 3 /* the first fd that is passed on */
#define CHILD_FDS_MAX  8u

struct child {
	pid_t pid;      /* 0: none, or waited for */
	int status;     /* as waitpid has it, once it was waited for */
	int complaints; /* its standard error, not blocking; -1: none */
};

/* Flags of child_start. */
/*
 * The helper sees all file systems read-only and opens no device, in a mount namespace of its own.
 * It stays so from when the helper has dropped CAP_SYS_ADMIN. Linux 5.12.
 */
#define CHILD_READ_ONLY 0x1u
/*
 * For a helper that has to be root, where we are not: it is, in a user namespace of its own, in
 * which it knows one user and one group, ours, as 0; all others are nobody's. To the host it is
 * still us. setgroups does nothing there, which helpers take for done, and it may open as many
 * files as we could. -EUSERS: this host does not let us make such a namespace.
 */
#define CHILD_FAKE_ROOT 0x2u

/*
 * Starts argv[0], looked for in PATH. The helper has fds[i] as CHILD_FIRST_FD + i and no other file
 * of ours. -ENOENT and others if it cannot be run; the error chain is not set.
 */
int MUST_CHECK child_start(struct child *child, const char *const argv[], const int fds[],
			   unsigned count, unsigned flags);

/* True once it has ended, with its whole group, from when on `status` says how. */
bool child_ended(struct child *child);

/* "exit status 1", "signal 9", of one that has ended. */
struct child_end {
	char s[32];
};
struct child_end child_end_text(const struct child *child);

/* A helper may complain faster than it is read: who reads takes no more lines at a time. */
#define CHILD_LINES_MAX 16u

/*
 * The next line that it complained of, cleaned of what would steer a terminal; false if there is
 * none now. What has no newline yet counts as a line, and of one longer than `size` the rest comes
 * next.
 */
bool child_complaint(struct child *child, char *buf, size_t size);

/*
 * Asks it to end, waits `limit_ms` for that and then kills it. -ETIMEDOUT if it had to be killed.
 * None or ended: does nothing.
 */
int child_stop(struct child *child, unsigned limit_ms);

/* child_stop without asking. When it returns, neither the helper nor its group reaches memory or
 * files. */
void child_kill(struct child *child);

void child_fini(struct child *child); /* kills what was not stopped; accepts a zeroed one */

#endif
