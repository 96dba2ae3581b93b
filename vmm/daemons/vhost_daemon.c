/* SPDX-License-Identifier: Apache-2.0 */
/* Starts and ends a vhost-user back end; see vhost_daemon.h. Main thread. */
#include "daemons/vhost_daemon.h"

#include <errno.h>
#include <stdio.h>

#include "core/err.h"
#include "devices/vhost/vhost_user_server.h"

void vhost_daemon_init(struct vhost_daemon *daemon, const char *program, const char *subject,
		       const char *path)
{
	*daemon = (struct vhost_daemon){ .program = program, .connection = -1 };
	daemon->backend.vu.fd = daemon->backend.server = -1;
	snprintf(daemon->subject, sizeof(daemon->subject), "%s '%s'", subject, path);
	snprintf(daemon->name, sizeof(daemon->name), "%s of %s", program, daemon->subject);
}

static int start(struct vhost_daemon *daemon, const struct vhost_daemon_command *command,
		 int listen_fd)
{
	const int fds[] = { listen_fd, command->more_fd };
	int r = child_start(&daemon->child, command->argv, fds, command->more_fd < 0 ? 1 : 2,
			    command->flags);

	if (r == -ENOENT) {
		err_set(ERR_HOST, r, "%s needs %s, which is not installed", daemon->subject,
			daemon->program);
		err_hint("%s", command->to_do);
	} else if (r < 0) {
		err_sys(ERR_HOST, r, "%s: start %s", daemon->subject, daemon->program);
	}
	return r;
}

int vhost_daemon_launch(struct vhost_daemon *daemon, const struct vhost_daemon_command *command)
{
	CLEANUP(closep) int listen_fd = -1;
	int r = vhost_user_listen(&listen_fd, &daemon->backend.server);

	if (r < 0)
		return err_sys(ERR_HOST, r, "%s: make a socket for %s", daemon->subject,
			       daemon->program);
	/* It is accepted when the daemon is ready. */
	daemon->connection = vhost_user_connect(daemon->backend.server);
	if (daemon->connection < 0)
		return err_sys(ERR_HOST, daemon->connection, "%s: connect to %s", daemon->subject,
			       daemon->program);
	/* After this only the daemon listens: its end is the end of the connection. */
	r = start(daemon, command, listen_fd);
	if (r == 0)
		daemon->backend.child = &daemon->child;
	return r;
}

int vhost_daemon_open(struct vhost_daemon *daemon, uint64_t needed, unsigned limit_ms)
{
	const int fd = daemon->connection;
	int r;

	daemon->connection = -1;
	r = vhost_user_open(&daemon->backend.vu, fd, daemon->name, needed, limit_ms);
	daemon->backend.vu.timeout_ms = VHOST_USER_TIMEOUT_MS;
	return r;
}

void vhost_daemon_stop(struct vhost_daemon *daemon, unsigned limit_ms, enum log_level level)
{
	char line[256];

	if (!daemon->program)
		return;
	vhost_user_close(&daemon->backend.vu);
	close_fd(&daemon->backend.server);
	close_fd(&daemon->connection);
	if (child_stop(&daemon->child, limit_ms) < 0)
		log_error("%s does not end; it was killed", daemon->name);
	for (unsigned i = 0; i < CHILD_LINES_MAX; i++) {
		if (!child_complaint(&daemon->child, line, sizeof(line)))
			break;
		log_msg(level, "%s: %s", daemon->name, line);
	}
	child_fini(&daemon->child);
}
