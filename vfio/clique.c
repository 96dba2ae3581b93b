/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The capability that tells NVIDIA's driver of a clique. Main thread. [NVIDIA: GPUDirect P2P on
 * Hypervisors, as QEMU's hw/vfio/pci-quirks.c reports it: lists.gnu.org/archive/html/qemu-devel/
 * 2017-08/pdfUda5iEpgOS.pdf, and 2023-06/pdf142OR4O4c2.pdf for Turing and later].
 */
#include "vfio/clique.h"

#include <errno.h>

#include "core/err.h"
#include "devices/pci/pci_ids.h"
#include "vfio/pci_msi.h"

/* The capability: vendor specific, "P2P", version 0 in bits 2:0 of the word behind it. */
#define CLIQUE_CAP_LEN  8u
#define CLIQUE_SIG_OFF  3u
#define CLIQUE_WORD_OFF 6u
#define CLIQUE_ID_SHIFT 3

/* Capabilities lie on multiples of 4 behind the header, so that a chain cannot be longer. */
#define STD_CAPS_MAX ((PCI_CFG_SPACE_SIZE - PCI_STD_HEADER_SIZEOF) / 4)

/* Those without a name in Linux's headers [PCI-3.0 appendix I], [SHPC-1.0], [PCI-BRIDGE-1.2]. */
#define VPD_CAP_LEN   8u
#define SHPC_CAP_LEN  8u
#define SSVID_CAP_LEN 8u

/* [PCIe-5.0 7.8.5 Enhanced Allocation]: each entry says how many words follow its first. */
static unsigned ea_len(const struct vfio_config *cfg, unsigned cap, unsigned flags)
{
	unsigned len = PCI_EA_FIRST_ENT;

	for (unsigned n = flags & PCI_EA_NUM_ENT_MASK; n && cap + len < PCI_CFG_SPACE_SIZE; n--)
		len += 4 + 4 * (vfio_config_raw_read(cfg->dev, cap + len, 1) & PCI_EA_ES);
	return len;
}

/* At least so much of it is the capability's; what is not known has its header. */
static unsigned cap_len(const struct vfio_config *cfg, unsigned cap)
{
	const unsigned flags = vfio_config_raw_read(cfg->dev, cap + 2, 2);

	switch (vfio_config_raw_read(cfg->dev, cap, 1)) {
	case PCI_CAP_ID_PM:
		return PCI_PM_SIZEOF;
	case PCI_CAP_ID_MSI:
		return (unsigned)align_up(pci_msi_len(flags), 4);
	case PCI_CAP_ID_VNDR:
		return MAX(flags & 0xff, 4u);
	case PCI_CAP_ID_EXP:
		return (flags & PCI_EXP_FLAGS_VERS) == 1 ? PCI_CAP_EXP_ENDPOINT_SIZEOF_V1
							 : PCI_CAP_EXP_ENDPOINT_SIZEOF_V2;
	case PCI_CAP_ID_MSIX:
		return PCI_CAP_MSIX_SIZEOF;
	case PCI_CAP_ID_VPD:
		return VPD_CAP_LEN;
	case PCI_CAP_ID_AGP:
	case PCI_CAP_ID_AGP3:
		return PCI_AGP_SIZEOF;
	case PCI_CAP_ID_PCIX:
		return PCI_CAP_PCIX_SIZEOF_V2; /* the longest */
	case PCI_CAP_ID_SHPC:
		return SHPC_CAP_LEN;
	case PCI_CAP_ID_SSVID:
		return SSVID_CAP_LEN;
	case PCI_CAP_ID_SATA:
		return PCI_SATA_SIZEOF_LONG; /* with its registers in place, the longest */
	case PCI_CAP_ID_AF:
		return PCI_CAP_AF_SIZEOF;
	case PCI_CAP_ID_EA:
		return ea_len(cfg, cap, flags);
	default:
		return 4;
	}
}

/* Whether a capability of the device lies there, shown to the guest or not. */
static bool is_free(const struct vfio_config *cfg, unsigned off)
{
	unsigned cap = vfio_config_raw_read(cfg->dev, PCI_CAPABILITY_LIST, 1) & ~3u;

	for (unsigned i = 0; i < STD_CAPS_MAX && cap >= PCI_STD_HEADER_SIZEOF; i++) {
		if (ranges_overlap(cap, cap_len(cfg, cap), off, CLIQUE_CAP_LEN))
			return false;
		cap = vfio_config_raw_read(cfg->dev, cap + PCI_CAP_LIST_NEXT, 1) & ~3u;
	}
	return true;
}

/* Where the specification wants it; the second since Turing, whose MSI-X is at the first. */
static unsigned find_place(const struct vfio_config *cfg)
{
	static const unsigned places[] = { 0xc8, 0xd4 };

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		if (is_free(cfg, places[i]))
			return places[i];
	}
	return 0;
}

int vfio_clique_add(struct vfio_config *cfg, unsigned id)
{
	uint8_t *config = cfg->pci->config;
	unsigned cap, link = PCI_CAPABILITY_LIST;

	/* Only a mediated device was not asked before, see vfio_clique_check. */
	if (load_le(config + PCI_VENDOR_ID, 2) != PCI_VENDOR_NVIDIA ||
	    config[PCI_CLASS_DEVICE + 1] != PCI_CLASS_DISPLAY) {
		err_set(ERR_DEVICE, -EINVAL, "clique is for GPUs of NVIDIA");
		err_hint("leave it away");
		return -EINVAL;
	}
	cap = find_place(cfg);
	if (!cap)
		return err_set(ERR_DEVICE, -ENOSPC,
			       "its configuration space has no room for a clique");

	memset(cfg->emulated + cap, 0xff, CLIQUE_CAP_LEN);
	memset(cfg->pci->wmask + cap, 0, CLIQUE_CAP_LEN);
	config[cap + PCI_CAP_LIST_ID] = PCI_CAP_ID_VNDR;
	config[cap + PCI_CAP_LIST_NEXT] = 0;
	config[cap + PCI_CAP_FLAGS] = CLIQUE_CAP_LEN;
	memcpy(config + cap + CLIQUE_SIG_OFF, "P2P", 3);
	store_le(config + cap + CLIQUE_WORD_OFF, 2, id << CLIQUE_ID_SHIFT);

	/* It is the last one, as the specification has it. Each link is copied and ends. */
	while (config[link])
		link = config[link] + PCI_CAP_LIST_NEXT;
	config[link] = (uint8_t)cap;
	memset(cfg->emulated + link, 0xff, 1);
	config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	return 0;
}
