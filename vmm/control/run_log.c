/* SPDX-License-Identifier: Apache-2.0 */
/* The log of a run in the background, see run_log.h. */
#include "control/run_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "core/err.h"
#include "core/sys.h"

static int open_file(const struct run_folder *folder)
{
	return sys_open(run_folder_path(folder, RUN_FOLDER_LOG).s,
			O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
}

/* A file that cannot be made anew stays the one it is, and begins again. */
static void rotate(struct run_log *log)
{
	int fd = -1;

	log->size = 0;
	if (renameat(log->folder->fd, RUN_FOLDER_LOG, log->folder->fd, RUN_FOLDER_OLD_LOG) == 0)
		fd = open_file(log->folder);
	if (fd < 0) {
		(void)!ftruncate(log->file, 0);
		return;
	}
	close(log->file);
	log->file = fd;
}

/* A full file system loses what does not fit: the run goes on. */
static void put(struct run_log *log, const char *data, size_t len)
{
	while (len) {
		ssize_t n;

		if (log->size >= RUN_LOG_MAX)
			rotate(log);
		n = write(log->file, data, MIN(len, RUN_LOG_MAX - log->size));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		log->size += (uint64_t)n;
		data += n;
		len -= (size_t)n;
	}
}

/* True if there may be more. */
static bool move(struct run_log *log)
{
	char data[4096];
	const ssize_t n = read(log->pipe.fd, data, sizeof(data));

	if (n > 0)
		put(log, data, (size_t)n);
	return n > 0 || (n < 0 && errno == EINTR);
}

static void pipe_ready(struct loop_source *source)
{
	(void)move(container_of(source, struct run_log, pipe));
}

static int become(int fd, int number)
{
	return dup2(fd, number) < 0 ? err_sys(ERR_LIMIT, -errno, "the log of the run") : 0;
}

static void become_both(int fd)
{
	(void)dup2(fd, STDOUT_FILENO);
	(void)dup2(fd, STDERR_FILENO);
}

int run_log_open(struct run_log *log, const struct run_folder *folder)
{
	*log = (struct run_log){ .folder = folder };
	log->file = open_file(folder);
	if (log->file < 0)
		return err_sys(ERR_HOST, log->file, "the log of the run");
	return become(log->file, STDOUT_FILENO);
}

int run_log_start(struct run_log *log)
{
	int fds[2], r = loop_init(&log->loop);

	if (r < 0)
		return r;
	if (pipe2(fds, O_CLOEXEC) < 0) {
		r = err_sys(ERR_LIMIT, -errno, "the log of the run");
		loop_fini(&log->loop);
		return r;
	}
	/* Only our end: who writes waits for us. */
	(void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
	log->pipe = (struct loop_source){ .fd = fds[0], .ready = pipe_ready };
	log->size = (uint64_t)lseek(log->file, 0, SEEK_END);
	r = loop_add(&log->loop, &log->pipe);
	if (r == 0)
		r = loop_start_thread(&log->loop, "log");
	if (r == 0)
		r = become(fds[1], STDOUT_FILENO);
	if (r == 0)
		r = become(fds[1], STDERR_FILENO);
	close(fds[1]);
	return r;
}

void run_log_stop(struct run_log *log)
{
	if (log->file < 0 || !log->pipe.fd)
		return;
	/* In this order nothing is lost or waits: from here on nobody writes to the pipe. */
	become_both(log->file);
	loop_join_thread(&log->loop);
	while (move(log))
		;
	/* It may be another file now. */
	become_both(log->file);
	loop_fini(&log->loop);
	close(log->pipe.fd);
	log->pipe.fd = 0;
}

void run_log_close(struct run_log *log)
{
	run_log_stop(log);
	close_fd(&log->file);
}
