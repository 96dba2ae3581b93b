/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Q35 host bridge: an identity and PCIEXBAR. What else the chip has there (PAM, SMRAM, TSEG)
 * belongs to SMM and to BIOSes that shadow ROMs; none of it is decoded. vCPU threads.
 * [MCH-3series 5.1.14 PCIEXBAR PCI Express Register Range Base Address]
 */
#include "devices/chipset/q35_host.h"

#include <errno.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "devices/pci/pci_ids.h"

#define PCIEXBAR_SIZE         8u /* bytes: both halves */
#define PCIEXBAR_LENGTH_SHIFT 1
#define PCIEXBAR_LENGTH_MASK  3u
/* Address bits 35:26; a longer window ignores the lower ones. */
#define PCIEXBAR_ADDRESS 0xffc000000ull

struct q35_host {
	struct pci_dev pci; /* first */
	void (*ecam_changed)(void *opaque, bool on, uint64_t base, uint64_t size);
	void *opaque;
	uint64_t ecam_base, ecam_size; /* as last told; size 0: off. pci.lock */
};

static void decode_pciexbar(const struct q35_host *host, uint64_t *ret_base, uint64_t *ret_size)
{
	const uint64_t bar = load_le(host->pci.config + Q35_PCIEXBAR, PCIEXBAR_SIZE);
	uint64_t size = 0;

	if (bar & Q35_PCIEXBAR_ENABLE) {
		switch (bar >> PCIEXBAR_LENGTH_SHIFT & PCIEXBAR_LENGTH_MASK) {
		case 0:
			size = 256 * MiB;
			break;
		case 1:
			size = 128 * MiB;
			break;
		case 2:
			size = 64 * MiB;
			break;
		default:
			log_guest("PCIEXBAR has the reserved length");
			break;
		}
	}
	*ret_base = size ? align_down(bar & PCIEXBAR_ADDRESS, size) : 0;
	*ret_size = size;
}

/* With the lock. */
static void update_ecam(struct q35_host *host)
{
	uint64_t base, size;

	decode_pciexbar(host, &base, &size);
	if (base == host->ecam_base && size == host->ecam_size)
		return;
	host->ecam_base = base;
	host->ecam_size = size;
	host->ecam_changed(host->opaque, size != 0, base, size);
}

static void q35_host_config_write(struct pci_dev *pci, unsigned off, unsigned len, uint32_t val)
{
	pci_config_write(pci, off, len, val);
	if (pci_access_hits(off, len, Q35_PCIEXBAR, PCIEXBAR_SIZE))
		update_ecam(container_of(pci, struct q35_host, pci));
}

static void q35_host_reset(struct device *dev)
{
	struct q35_host *host = container_of(dev, struct q35_host, pci.device);

	pci_dev_reset(&host->pci);
	pthread_mutex_lock(&host->pci.lock);
	update_ecam(host);
	pthread_mutex_unlock(&host->pci.lock);
}

static void q35_host_destroy(struct device *dev)
{
	struct q35_host *host = container_of(dev, struct q35_host, pci.device);

	pci_dev_fini(&host->pci);
	free(host);
}

static const struct device_ops q35_host_device_ops = {
	.reset = q35_host_reset,
	.destroy = q35_host_destroy,
};

static const struct pci_dev_ops q35_host_pci_ops = {
	.config_write = q35_host_config_write,
};

int q35_host_create(const struct board *board,
		    void (*ecam_changed)(void *opaque, bool on, uint64_t base, uint64_t size),
		    void *opaque, struct pci_dev **ret_dev)
{
	static const struct pci_ids ids = { .vendor = PCI_VENDOR_INTEL,
					    .device = 0x29c0,
					    .class = PCI_CLASS_BRIDGE_HOST,
					    .revision = 2 };
	struct q35_host *host = calloc(1, sizeof(*host));

	if (!host)
		return err_sys(ERR_LIMIT, -ENOMEM, "host bridge");
	host->pci.device = (struct device){ .name = "host-bridge", .ops = &q35_host_device_ops };
	host->ecam_changed = ecam_changed;
	host->opaque = opaque;
	pci_dev_init(&host->pci, board, &q35_host_pci_ops, &ids);
	pci_set_wmask(&host->pci, Q35_PCIEXBAR, 4,
		      (uint32_t)PCIEXBAR_ADDRESS | PCIEXBAR_LENGTH_MASK << PCIEXBAR_LENGTH_SHIFT |
			      Q35_PCIEXBAR_ENABLE);
	pci_set_wmask(&host->pci, Q35_PCIEXBAR_HIGH, 4, (uint32_t)(PCIEXBAR_ADDRESS >> 32));
	*ret_dev = &host->pci;
	return 0;
}
