/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GPUDirect cliques: a capability by which NVIDIA's driver learns that GPUs of a virtual machine
 * can reach each other's memory over PCI Express, which it cannot find out by itself there. Those
 * of one clique can. Which ones are, is read off the host's PCI tree.
 */
#ifndef VFIO_CLIQUE_H
#define VFIO_CLIQUE_H

#include "core/util.h"
#include "vfio/config.h"
#include "vfio/pci_addr.h"

#define VFIO_CLIQUES 16u /* 4 bits */

enum vfio_clique_kind {
	VFIO_CLIQUE_AUTO,
	VFIO_CLIQUE_NONE,
	VFIO_CLIQUE_ID,
};

struct vfio_clique {
	enum vfio_clique_kind kind;
	unsigned id; /* of VFIO_CLIQUE_ID, below VFIO_CLIQUES */
};

struct vfio_clique_member {
	struct pci_addr addr;
	struct vfio_clique clique;
};

/*
 * Makes each VFIO_CLIQUE_AUTO an ID or _NONE: NVIDIA's GPUs behind one root port of the host (a
 * switch is between) are a clique, and so are those of one root complex of a kind that is known to
 * forward requests between its ports. `root` is in front of /sys and /proc.
 */
void vfio_clique_choose(const char *root, struct vfio_clique_member *members, unsigned count);

/*
 * -EINVAL, kind ERR_USAGE, if the PCI device is none that a clique can be told to. `root` is in
 * front of /sys.
 */
int MUST_CHECK vfio_clique_check(const char *root, struct pci_addr addr);

/* Adds the capability to what the guest sees; after vfio_irq_init. -EINVAL if it is no such GPU. */
int MUST_CHECK vfio_clique_add(struct vfio_config *cfg, unsigned id);

#endif
