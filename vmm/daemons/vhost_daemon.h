/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A helper process that is the vhost-user back end of one device: its start over a socket without a
 * name, and its end. What it is told on its command line is its owner's affair. Main thread.
 */
#ifndef VHOST_DAEMON_H
#define VHOST_DAEMON_H

#include <limits.h>

#include "core/child.h"
#include "core/log.h"
#include "devices/vhost/vhost_user_dev.h"

/* What the daemon has of ours: the socket that it listens on, and one more file if there is one. */
#define VHOST_DAEMON_LISTEN_FD CHILD_FIRST_FD
#define VHOST_DAEMON_MORE_FD   (CHILD_FIRST_FD + 1)

struct vhost_daemon {
	const char *program;        /* for messages, as is */
	char subject[PATH_MAX + 8]; /* "disk 'a.img'", */
	char name[PATH_MAX + 64];   /* and with the program's name */
	struct child child;
	struct vhost_user_backend backend; /* for the device, which takes it over */
	int connection;                    /* until it is opened; else -1 */
};

struct vhost_daemon_command {
	const char *const *argv;
	unsigned flags;    /* of child_start */
	int more_fd;       /* -1: none */
	const char *to_do; /* where it is not installed */
};

/* `subject` is "disk" or the like, `path` what it serves of it. Then vhost_daemon_stop may come. */
void vhost_daemon_init(struct vhost_daemon *daemon, const char *program, const char *subject,
		       const char *path);

/* Starts the program. */
int MUST_CHECK vhost_daemon_launch(struct vhost_daemon *daemon,
				   const struct vhost_daemon_command *command);

/*
 * Waits until it answers with the protocol features `needed`. -ECONNRESET if it ended instead: what
 * it complained of can then be read.
 */
int MUST_CHECK vhost_daemon_open(struct vhost_daemon *daemon, uint64_t needed, unsigned limit_ms);

/* Waits for its end, and tells what it still complained of. Zeroed: nothing. */
void vhost_daemon_stop(struct vhost_daemon *daemon, unsigned limit_ms, enum log_level level);

#endif
