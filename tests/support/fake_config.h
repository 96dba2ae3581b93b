/* SPDX-License-Identifier: Apache-2.0 */
/* A device of the fake host that is no more than a config space, and what the guest sees of it. */
#ifndef SUPPORT_FAKE_CONFIG_H
#define SUPPORT_FAKE_CONFIG_H

#include "fake_vfio.h"
#include "vfio/config.h"

struct fake_config {
	struct fake_machine m;
	struct vfio_device dev;
	struct pci_dev pci;
	struct vfio_config cfg;
};

/* For cmocka: a GPU of NVIDIA without capabilities, all zeroes but for the header's least. */
int fake_config_setup(void **state);
int fake_config_teardown(void **state);

/* The guest's view, of what the device has by now. */
void fake_config_init(struct fake_config *f);

/* As vfio_pci does it, without what a write sets off. */
void fake_config_write(struct fake_config *f, unsigned off, unsigned len, uint32_t val);
uint32_t fake_config_read(struct fake_config *f, unsigned off, unsigned len);

#endif
