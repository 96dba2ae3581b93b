/* SPDX-License-Identifier: Apache-2.0 */
/* A fake device's config space and the guest's view of it; see fake_config.h. */
#include "fake_config.h"

#include <stdlib.h>

static const struct pci_dev_ops no_ops;

int fake_config_setup(void **state)
{
	struct fake_config *f = calloc(1, sizeof(*f));
	uint8_t zeroes[4096] = { 0 };

	fake_vfio_init(&f->m);
	fake_fill(VFIO_PCI_CONFIG_REGION_INDEX, 0, zeroes, sizeof(zeroes));
	fake_set_config(PCI_VENDOR_ID, 4, 0x233010de);
	fake_set_config(PCI_CLASS_REVISION, 4, 0x030200a1);
	f->dev.fd = fake.device_fd;
	f->dev.regions[VFIO_PCI_CONFIG_REGION_INDEX] = (struct vfio_region){
		.size = 4096,
		.offset = FAKE_OFFSET(VFIO_PCI_CONFIG_REGION_INDEX),
	};
	*state = f;
	return 0;
}

int fake_config_teardown(void **state)
{
	struct fake_config *f = *state;

	pci_dev_fini(&f->pci);
	fake_vfio_fini(&f->m);
	free(f);
	return 0;
}

void fake_config_init(struct fake_config *f)
{
	struct pci_ids ids;

	vfio_config_ids(&f->dev, &ids);
	pci_dev_init(&f->pci, &f->m.board, &no_ops, &ids);
	vfio_config_init(&f->cfg, &f->pci, &f->dev);
}

void fake_config_write(struct fake_config *f, unsigned off, unsigned len, uint32_t val)
{
	pci_config_write(&f->pci, off, len, val);
	vfio_config_forward(&f->cfg, off, len, val);
}

uint32_t fake_config_read(struct fake_config *f, unsigned off, unsigned len)
{
	return vfio_config_read(&f->cfg, off, len);
}
