/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of passed-through devices: checks everything before anything is touched, takes
 * the devices from their drivers for vfio-pci, and gives them back. Main thread only.
 * docs/host-devices.md tells the user's side of it.
 *
 * The order of a run: vfio_host_init, vfio_host_check, vfio_host_take, then the machine is built,
 * run and torn down (all VFIO fds closed, guest memory unmapped), then vfio_host_fini.
 */
#ifndef VFIO_HOST_H
#define VFIO_HOST_H

#include <stdatomic.h>
#include <sys/types.h>

#include "core/util.h"
#include "vfio/iommu_kind.h"
#include "vfio/p2p.h"
#include "vfio/pci_addr.h"

#define VFIO_HOST_DEVICES_MAX 16
#define VFIO_HOST_PATH_SIZE   512
#define VFIO_HOST_DRIVER_SIZE 256 /* a file name in sysfs, NUL included */

/* A write that a driver does not answer for so long is given up. */
#define VFIO_HOST_LIMIT_MS 20000

/* The same for one that makes a driver take a device: it may have to load firmware into it. */
#define VFIO_HOST_BIND_LIMIT_MS 120000

/* How a device was before this program changed it; "" for none. */
struct vfio_host_before {
	char driver[VFIO_HOST_DRIVER_SIZE];
	char override[VFIO_HOST_DRIVER_SIZE]; /* driver_override */
	bool node_given;                      /* /dev/vfio/GROUP has been given to a user; */
	unsigned node_uid, node_gid;          /* before that it was theirs */
};

struct vfio_host_device {
	struct pci_addr addr;
	unsigned group; /* IOMMU group */
	bool taken;     /* changed, and to be given back to `before` */
	bool stuck;     /* a driver hangs on it: no write to it would return */
	bool dirty;     /* between _begin_use and _end_use: see there */
	struct vfio_host_before before;
};

struct vfio_host {
	char root[VFIO_HOST_PATH_SIZE];      /* in front of /sys, /proc and /dev: "" but in tests */
	char state_dir[VFIO_HOST_PATH_SIZE]; /* leases and journal; "" if there is no place */
	unsigned limit_ms, bind_limit_ms;
	enum vfio_iommu_kind iommu; /* what to use, the caller's; settled by vfio_host_take */
	enum vfio_p2p_mode p2p;     /* the caller's */
	unsigned wait_ms;           /* for another tinyvmm's lease; 0: not at all */
	bool at_once;               /* ... not even the moment that all wait for */
	bool was_busy;              /* that was why vfio_host_check failed: */
	struct pci_addr busy;       /* another tinyvmm has this one, or one of its group */
	int signal_fd; /* borrowed; what can be read from it ends that wait; -1: none */
	const atomic_bool *stop; /* the caller's, ends it too; NULL: none */
	bool plain;    /* a device is given as BDF, not as --gpu BDF: for hints */
	bool brief;    /* the leases are held for moments only: others wait for them */
	struct vfio_host_device devices[VFIO_HOST_DEVICES_MAX]; /* in the order of _check */
	unsigned count;
	int leases[2 * VFIO_HOST_DEVICES_MAX]; /* locked fds: the devices and their groups */
	unsigned lease_count;
};

/* `root` is "" on a real host. Touches nothing. */
void vfio_host_init(struct vfio_host *host, const char *root);

/* Gives everything back, then lets the leases go. */
void vfio_host_fini(struct vfio_host *host);

/* Whether this is one of its devices. */
bool vfio_host_has(const struct vfio_host *host, struct pci_addr addr);

/*
 * Whether all `count` devices (at most VFIO_HOST_DEVICES_MAX) can be passed to one guest, and
 * leases them, so that no other run of this user can have them or a device of their IOMMU groups.
 * Changes no device. -EBUSY, with the other's pid, when another run has one, and still has after
 * wait_ms; -EINTR when signal_fd ended the wait.
 */
int MUST_CHECK vfio_host_check(struct vfio_host *host, const struct pci_addr *addrs,
			       unsigned count);

/*
 * Binds the checked devices to vfio-pci, decides for one of the IOMMU interfaces, and waits until
 * their files of it can be opened. A device that a VFIO driver has already is left as it is, now
 * and at the end. How the others were is written to the journal first. -EBUSY, with nothing
 * changed, when another program has a device of their groups, whoever runs it. On failure
 * everything has been given back.
 *
 * Forks: neither threads nor guest memory may exist yet.
 */
int MUST_CHECK vfio_host_take(struct vfio_host *host);

/*
 * A guest is about to have the devices. `dirty` of each says then whether its last guest's state
 * may still be there, because it was not reset after it or the run was killed. Until _end_use, when
 * `dirty` says how it is now, they all count as dirty on disk; on failure, those that did before.
 */
int MUST_CHECK vfio_host_begin_use(struct vfio_host *host);
void vfio_host_end_use(struct vfio_host *host);

/*
 * Puts every taken device back to exactly the driver that it had, last first, and says so; with
 * whom the bus finds if that driver is not loaded any more. All VFIO fds
 * must be closed. May be called at any time and any number of times. The error chain may hold the
 * reason of the exit, so failures are logged and not added to it; the first one is returned.
 */
int vfio_host_give_back(struct vfio_host *host);

/*
 * Takes the checked devices as vfio_host_take does, and leaves them with vfio-pci for good: a later
 * vfio_host_take of any user leaves them there, and recovery too. With `owner` their
 * /dev/vfio/GROUP is given to that user. What is bound already stays so. On failure those that were
 * taken here have been given back.
 */
int MUST_CHECK vfio_host_bind(struct vfio_host *host, const uid_t *owner);

/*
 * Leases devices for vfio_host_release, in place of vfio_host_check: their groups may be as they
 * are.
 */
int MUST_CHECK vfio_host_lease(struct vfio_host *host, const struct pci_addr *addrs,
			       unsigned count);

/*
 * Undoes vfio_host_bind: marks the leased devices as taken, for vfio_host_give_back to bring them
 * to the drivers that they had. One that was bound to VFIO by somebody else goes at once to whom
 * the bus finds. -EBUSY when a program has a device's group open.
 */
int MUST_CHECK vfio_host_release(struct vfio_host *host);

/*
 * Gives back every device that an earlier run of this user left behind because it was killed, and
 * that no run and no other program has now. One that has been given to another driver since is
 * forgotten. Failures are logged; the first is returned. `ret_count` devices were given back, also
 * on failure.
 */
int vfio_host_recover(const char *root, unsigned *ret_count);

#endif
