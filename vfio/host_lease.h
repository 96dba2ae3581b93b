/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases: a lock file for each device and each IOMMU group, so that two runs of one user never
 * share one. The kernel lets a lock go when its holder ends, however it ends; the files stay, empty
 * of meaning. Each user has a state directory: root and another user do not see each other's
 * leases, and neither does a program of another kind. Main thread.
 */
#ifndef VFIO_HOST_LEASE_H
#define VFIO_HOST_LEASE_H

#include "core/util.h"
#include "vfio/host.h"

/* Where root, or else this user, keeps leases and journal. "" if there is no such place. */
void host_lease_state_dir(const char *root, char buf[VFIO_HOST_PATH_SIZE]);

/* Makes `path` a directory that only this user can enter. */
int MUST_CHECK host_lease_make_dir(const char *path);

/*
 * Whether the directory is there, or can be made, for who only looks. ERR_HOST, with what to do.
 */
int MUST_CHECK host_lease_check_place(const char *state_dir);

/*
 * All devices of `host`, and their groups, or none. Waits for one that another tinyvmm has: at most
 * host->wait_ms, and in any case for one that it has only briefly. -EBUSY (kind ERR_DEVICE) then,
 * with the pid of who has it; -EINTR when host->signal_fd ended the wait.
 */
int MUST_CHECK host_lease_take(struct vfio_host *host);
/* The same, at once or not at all. No error chain for -EBUSY. */
int MUST_CHECK host_lease_try(struct vfio_host *host);
void host_lease_drop(struct vfio_host *host);

/* Waits so long; true if host->signal_fd or the caller ended it. */
bool host_lease_pause(const struct vfio_host *host, unsigned ms);

/*
 * The process of this user that has the device, or 0: for who only looks. It reads the kernel's
 * list of locks, because trying to lock would get into the way of a run that starts now.
 */
int host_lease_holder(const char *root, const char *state_dir, struct pci_addr addr);
int host_lease_group_holder(const char *root, const char *state_dir, unsigned group);

#endif
