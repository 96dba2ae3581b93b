/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that the qemu-storage-daemon serves: images of other formats than raw, and throw-away
 * overlays. One daemon a disk, started before the machine is built and waited for at its end, so
 * that the image is whole and free when we are gone. Main thread.
 */
#ifndef STORAGE_DAEMON_H
#define STORAGE_DAEMON_H

#include "core/util.h"

struct options_disk;
struct storage_daemon;
struct vhost_user_backend;

/* Whether a disk is the daemon's; the others are served in this process. */
bool storage_daemon_serves(const struct options_disk *disk);

/*
 * Starts it and waits until it has the image open. What it cannot do is an error that says why, as
 * the daemon did, and what to do about it. `disk` outlives the daemon. No threads, no guest memory.
 */
int MUST_CHECK storage_daemon_start(const struct options_disk *disk, unsigned queues,
				    struct storage_daemon **ret_daemon);

/* For the device, which takes it over. */
struct vhost_user_backend *storage_daemon_backend(struct storage_daemon *daemon);

/* Waits until it has written all and ended. NULL: nothing. */
void storage_daemon_stop(struct storage_daemon *daemon);

#endif
