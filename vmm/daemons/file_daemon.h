/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder of the host that a virtiofsd serves to the guest. One daemon a folder, started before
 * the machine is built and stopped after it. Main thread.
 */
#ifndef FILE_DAEMON_H
#define FILE_DAEMON_H

#include "core/util.h"

struct file_daemon;
struct vhost_user_backend;

/*
 * Starts it and waits until it answers. With `read_only` the daemon itself cannot write: it sees
 * the host's file systems in a mount namespace of its own, all of them read-only and without
 * devices, and drops the capability that could change that before it hears the guest. No threads,
 * no guest memory yet. `path` outlives it.
 */
int MUST_CHECK file_daemon_start(const char *path, bool read_only, struct file_daemon **ret_daemon);

/*
 * Whether this user may start one: who is not root needs a user namespace. ERR_HOST, with what
 * would allow it. What a start checks by itself, for who only looks.
 */
int MUST_CHECK file_daemon_allowed(void);

/* For the device, which takes it over. */
struct vhost_user_backend *file_daemon_backend(struct file_daemon *daemon);

/* NULL: nothing. */
void file_daemon_stop(struct file_daemon *daemon);

#endif
