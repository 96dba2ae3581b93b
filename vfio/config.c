/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's view of a device's config space, register by register. A vCPU's thread with the
 * device's lock held, or main before the guest runs. [PCI-3.0 6], [PCIe-5.0 7.5, 7.6, 7.8, 7.9].
 */
#include "vfio/config.h"

#include "core/log.h"
#include "vfio/pci_msi.h"

/* Capabilities lie on multiples of 4 behind the header, so that a chain cannot be longer. */
#define STD_CAPS_MAX ((256u - PCI_STD_HEADER_SIZEOF) / 4)
#define EXT_CAPS_MAX ((PCI_CONFIG_SIZE - PCI_CFG_SPACE_SIZE) / 8)

/* linux/pci_regs.h has no name for it. [PCIe-5.0 7.8.7 VF Resizable BAR Extended Capability] */
#define EXT_CAP_ID_VF_REBAR 0x24

#define EXP_LINK_END  (PCI_EXP_LNKSTA + 2)
#define EXP_LINK2_END (PCI_EXP_LNKSTA2 + 2)

/*
 * The header: bits that the guest reads from pci->config. Registers that are not here are the
 * device's, as vfio-pci shows it: IDs, class, cache line size, latency timer, BIST, most of STATUS.
 */
static const struct {
	uint8_t off, len;
	uint32_t emulated;
} header[] = {
	/* Forwarded as a whole by whoever handles the write: BARs come and go in step with it. */
	{ PCI_COMMAND, 2, 0xffff },
	{ PCI_STATUS, 2, PCI_STATUS_CAP_LIST },
	/* Multifunction is a matter of the guest's slot, not of the host's. */
	{ PCI_HEADER_TYPE, 1, 0xff },
	/* Addresses are the guest's. */
	{ PCI_BASE_ADDRESS_0, 4, 0xffffffff },
	{ PCI_BASE_ADDRESS_1, 4, 0xffffffff },
	{ PCI_BASE_ADDRESS_2, 4, 0xffffffff },
	{ PCI_BASE_ADDRESS_3, 4, 0xffffffff },
	{ PCI_BASE_ADDRESS_4, 4, 0xffffffff },
	{ PCI_BASE_ADDRESS_5, 4, 0xffffffff },
	{ PCI_ROM_ADDRESS, 4, 0xffffffff },
	{ PCI_CAPABILITY_LIST, 1, 0xff },
	{ PCI_INTERRUPT_LINE, 1, 0xff },
	{ PCI_INTERRUPT_PIN, 1, 0xff },
};

/*
 * Extended capabilities that the guest does not see. All others are shown; what they configure of
 * the link or of error reporting vfio-pci keeps read-only.
 */
static const struct {
	uint16_t id, len;
} hidden[] = {
	/* Functions that do not exist in the guest; firmware would assign BARs to them. */
	{ PCI_EXT_CAP_ID_SRIOV, PCI_EXT_CAP_SRIOV_SIZEOF },
	{ PCI_EXT_CAP_ID_MRIOV, 4 },
	{ EXT_CAP_ID_VF_REBAR, 4 + 6 * 8 },
	/* The next function number is the host's. */
	{ PCI_EXT_CAP_ID_ARI, PCI_EXT_CAP_ARI_SIZEOF },
	/* A BAR's size is fixed while VFIO has the device. */
	{ PCI_EXT_CAP_ID_REBAR, 4 + 6 * 8 },
	/* The translations are those of the host's IOMMU, and the guest has none. */
	{ PCI_EXT_CAP_ID_ATS, PCI_EXT_CAP_ATS_SIZEOF },
	{ PCI_EXT_CAP_ID_PRI, PCI_EXT_CAP_PRI_SIZEOF },
	{ PCI_EXT_CAP_ID_PASID, PCI_EXT_CAP_PASID_SIZEOF },
	/* Both ends of the link must agree on these, and the guest reaches one of them only. */
	{ PCI_EXT_CAP_ID_L1SS, 16 },
	{ PCI_EXT_CAP_ID_LTR, PCI_EXT_CAP_LTR_SIZEOF },
	{ PCI_EXT_CAP_ID_PTM, 12 },
};

uint32_t vfio_config_raw_read(const struct vfio_device *dev, unsigned off, unsigned len)
{
	return (uint32_t)vfio_region_read(dev, VFIO_PCI_CONFIG_REGION_INDEX, off, len);
}

void vfio_config_raw_write(const struct vfio_device *dev, unsigned off, unsigned len, uint32_t val)
{
	vfio_region_write(dev, VFIO_PCI_CONFIG_REGION_INDEX, off, len, val);
}

void vfio_config_ids(const struct vfio_device *dev, struct pci_ids *ret_ids)
{
	*ret_ids = (struct pci_ids){
		.vendor = (uint16_t)vfio_config_raw_read(dev, PCI_VENDOR_ID, 2),
		.device = (uint16_t)vfio_config_raw_read(dev, PCI_DEVICE_ID, 2),
		.subsys_vendor = (uint16_t)vfio_config_raw_read(dev, PCI_SUBSYSTEM_VENDOR_ID, 2),
		.subsys = (uint16_t)vfio_config_raw_read(dev, PCI_SUBSYSTEM_ID, 2),
		.class = vfio_config_raw_read(dev, PCI_CLASS_REVISION, 4) >> 8,
		.revision = (uint8_t)vfio_config_raw_read(dev, PCI_REVISION_ID, 1),
	};
}

static void emulate_bits(struct vfio_config *cfg, unsigned off, unsigned len, uint32_t bits)
{
	for (unsigned i = 0; i < len; i++)
		cfg->emulated[off + i] |= (uint8_t)(bits >> (8 * i));
}

/* Emulated, with a value of our own that the guest cannot change. */
static void emulate_value(struct vfio_config *cfg, unsigned off, unsigned len, uint32_t val)
{
	emulate_bits(cfg, off, len, 0xffffffff);
	store_le(cfg->pci->config + off, len, val);
}

static void hide(struct vfio_config *cfg, unsigned off, unsigned len)
{
	memset(cfg->emulated + off, 0xff, len);
	memset(cfg->pci->config + off, 0, len);
	memset(cfg->pci->wmask + off, 0, len);
}

void vfio_config_emulate(struct vfio_config *cfg, unsigned off, unsigned len)
{
	memset(cfg->emulated + off, 0xff, len);
	for (unsigned i = 0; i < len; i++)
		cfg->pci->config[off + i] = (uint8_t)vfio_config_raw_read(cfg->dev, off + i, 1);
}

/* The first capability above `cap` in the chain that VFIO shows, or the end of the space. */
static unsigned next_cap_above(const struct vfio_config *cfg, unsigned cap)
{
	unsigned pos = vfio_config_raw_read(cfg->dev, PCI_CAPABILITY_LIST, 1) & ~3u;
	unsigned end = PCI_CFG_SPACE_SIZE;

	for (unsigned i = 0; i < STD_CAPS_MAX && pos >= PCI_STD_HEADER_SIZEOF; i++) {
		if (pos > cap)
			end = MIN(end, pos);
		pos = vfio_config_raw_read(cfg->dev, pos + PCI_CAP_LIST_NEXT, 1) & ~3u;
	}
	return end;
}

/*
 * What sits in the host's root complex has no link. Behind a root port it needs one: the slowest
 * and narrowest there is, which nobody ever trains.
 */
static void show_as_endpoint(struct vfio_config *cfg)
{
	const unsigned exp = cfg->exp, room = next_cap_above(cfg, exp) - exp;
	const uint32_t flags = vfio_config_raw_read(cfg->dev, exp + PCI_EXP_FLAGS, 2);
	const bool v1 = (flags & PCI_EXP_FLAGS_VERS) == 1;

	if (room < (v1 ? EXP_LINK_END : EXP_LINK2_END)) {
		log_warn("%s: is part of the root complex and has no room to look like an endpoint",
			 cfg->dev->bdf);
		return;
	}
	emulate_bits(cfg, exp + PCI_EXP_FLAGS, 2, PCI_EXP_FLAGS_TYPE);
	store_le(cfg->pci->config + exp + PCI_EXP_FLAGS, 2, PCI_EXP_TYPE_ENDPOINT << 4);
	emulate_value(cfg, exp + PCI_EXP_LNKCAP, 4,
		      PCI_EXP_LNKCAP_SLS_2_5GB | PCI_EXP_LNKSTA_NLW_X1);
	emulate_value(cfg, exp + PCI_EXP_LNKCTL, 2, 0);
	emulate_value(cfg, exp + PCI_EXP_LNKSTA, 2,
		      PCI_EXP_LNKSTA_CLS_2_5GB | PCI_EXP_LNKSTA_NLW_X1);
	if (v1)
		return;
	emulate_value(cfg, exp + PCI_EXP_LNKCAP2, 4, PCI_EXP_LNKCAP2_SLS_2_5GB);
	emulate_value(cfg, exp + PCI_EXP_LNKCTL2, 2, PCI_EXP_LNKCTL2_TLS_2_5GT);
	emulate_value(cfg, exp + PCI_EXP_LNKSTA2, 2, 0);
}

static void found_exp(struct vfio_config *cfg, unsigned cap)
{
	const uint32_t flags = vfio_config_raw_read(cfg->dev, cap + PCI_EXP_FLAGS, 2);

	cfg->exp = cap;
	if (vfio_config_raw_read(cfg->dev, cap + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR)
		cfg->dev->has_flr = true;
	if ((flags & PCI_EXP_FLAGS_TYPE) >> 4 == PCI_EXP_TYPE_RC_END)
		show_as_endpoint(cfg);
}

static void found_pm(struct vfio_config *cfg, unsigned cap)
{
	cfg->pm = cap;
	cfg->dev->pm = cap;
	cfg->dev->pm_reset =
		!(vfio_config_raw_read(cfg->dev, cap + PCI_PM_CTRL, 2) & PCI_PM_CTRL_NO_SOFT_RESET);
}

static void found_af(struct vfio_config *cfg, unsigned cap)
{
	const uint32_t bits = PCI_AF_CAP_TP | PCI_AF_CAP_FLR;

	cfg->af = cap;
	if ((vfio_config_raw_read(cfg->dev, cap + PCI_AF_CAP, 1) & bits) == bits)
		cfg->dev->has_flr = true;
}

static void found_cap(struct vfio_config *cfg, unsigned cap)
{
	const uint32_t head = vfio_config_raw_read(cfg->dev, cap, 4);
	unsigned len;

	switch (head & 0xff) {
	case PCI_CAP_ID_PM:
		found_pm(cfg, cap);
		break;
	case PCI_CAP_ID_EXP:
		found_exp(cfg, cap);
		break;
	case PCI_CAP_ID_AF:
		found_af(cfg, cap);
		break;
	case PCI_CAP_ID_MSI:
		/* Addresses and data are the guest's, and the enable bit means an ioctl. */
		len = pci_msi_len(head >> 16);
		if (range_fits(cap, len, PCI_CFG_SPACE_SIZE)) {
			cfg->msi = cap;
			vfio_config_emulate(cfg, cap + PCI_MSI_FLAGS, len - PCI_MSI_FLAGS);
		}
		break;
	case PCI_CAP_ID_MSIX:
		if (range_fits(cap, PCI_CAP_MSIX_SIZEOF, PCI_CFG_SPACE_SIZE)) {
			cfg->msix = cap;
			vfio_config_emulate(cfg, cap + PCI_MSIX_FLAGS,
					    PCI_CAP_MSIX_SIZEOF - PCI_MSIX_FLAGS);
		}
		break;
	default:
		break;
	}
}

/* The chain is copied link by link, so that one can be taken out of it later. */
static void init_caps(struct vfio_config *cfg)
{
	const uint32_t status = vfio_config_raw_read(cfg->dev, PCI_STATUS, 2);
	unsigned link = PCI_CAPABILITY_LIST;

	/* All ones: the device is gone. */
	if (!(status & PCI_STATUS_CAP_LIST) || status == 0xffff)
		return;
	cfg->pci->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	for (unsigned i = 0; i < STD_CAPS_MAX; i++) {
		unsigned cap = vfio_config_raw_read(cfg->dev, link, 1) & ~3u;

		/* Seen before: the device's chain is a loop. */
		if (cap < PCI_STD_HEADER_SIZEOF || cfg->emulated[cap + PCI_CAP_LIST_ID] == 0xff)
			cap = 0;
		emulate_value(cfg, link, 1, cap);
		if (!cap)
			return;
		vfio_config_emulate(cfg, cap + PCI_CAP_LIST_ID, 1);
		found_cap(cfg, cap);
		link = cap + PCI_CAP_LIST_NEXT;
	}
	emulate_value(cfg, link, 1, 0);
}

void vfio_config_hide_cap(struct vfio_config *cfg, unsigned cap, unsigned len)
{
	uint8_t *config = cfg->pci->config;
	unsigned link = PCI_CAPABILITY_LIST;

	while (config[link] && config[link] != cap)
		link = config[link] + PCI_CAP_LIST_NEXT;
	if (!config[link])
		return;
	config[link] = config[cap + PCI_CAP_LIST_NEXT];
	hide(cfg, cap, len);
	if (!config[PCI_CAPABILITY_LIST])
		config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_CAP_LIST;
}

static unsigned hidden_len(unsigned id)
{
	for (unsigned i = 0; i < ARRAY_SIZE(hidden); i++) {
		if (hidden[i].id == id)
			return hidden[i].len;
	}
	return 0;
}

static uint32_t ext_head(const struct vfio_config *cfg, unsigned cap)
{
	return vfio_config_raw_read(cfg->dev, cap, 4);
}

/* Hides a capability's bytes, but none of one that overlaps it. */
static void hide_ext(struct vfio_config *cfg, unsigned cap, unsigned len)
{
	unsigned end = MIN(cap + len, PCI_CONFIG_SIZE), pos = PCI_CFG_SPACE_SIZE;

	for (unsigned i = 0; i < EXT_CAPS_MAX && pos >= PCI_CFG_SPACE_SIZE; i++) {
		if (pos > cap)
			end = MIN(end, pos);
		pos = PCI_EXT_CAP_NEXT(ext_head(cfg, pos));
	}
	hide(cfg, cap, end - cap);
}

static void set_ext_next(struct vfio_config *cfg, unsigned cap, unsigned next)
{
	uint32_t head = (uint32_t)load_le(cfg->pci->config + cap, 4);

	emulate_value(cfg, cap, 4, (head & 0xfffff) | next << 20);
}

/*
 * Links what the guest sees, beginning at 0x100: the chain has its head there whatever comes first.
 * A hidden first capability leaves a null one: ID 0, version 0, and the way to the next.
 * [PCIe-5.0 7.6.3 PCI Express Extended Capability Header]
 */
static void init_ext_caps(struct vfio_config *cfg)
{
	const uint64_t size = cfg->dev->regions[VFIO_PCI_CONFIG_REGION_INDEX].size;
	unsigned cap = PCI_CFG_SPACE_SIZE, last = PCI_CFG_SPACE_SIZE;

	if (size < PCI_CONFIG_SIZE) {
		/* A conventional device. An extended space of zeroes has no capabilities. */
		hide(cfg, PCI_CFG_SPACE_SIZE, PCI_CONFIG_SIZE - PCI_CFG_SPACE_SIZE);
		return;
	}
	for (unsigned i = 0; i < EXT_CAPS_MAX && cap >= PCI_CFG_SPACE_SIZE; i++) {
		const uint32_t head = ext_head(cfg, cap);
		const unsigned len = hidden_len(PCI_EXT_CAP_ID(head));

		/* The end, a device that is gone, a loop. */
		if (head == 0 || head == 0xffffffff || cfg->emulated[cap] == 0xff)
			break;
		if (len)
			hide_ext(cfg, cap, len);
		else
			emulate_value(cfg, cap, 4, head & 0xfffff);
		if (!len && cap != last)
			set_ext_next(cfg, last, cap);
		if (!len)
			last = cap;
		cap = PCI_EXT_CAP_NEXT(head);
	}
}

void vfio_config_init(struct vfio_config *cfg, struct pci_dev *pci, struct vfio_device *dev)
{
	*cfg = (struct vfio_config){ .pci = pci, .dev = dev };
	for (unsigned i = 0; i < ARRAY_SIZE(header); i++)
		emulate_bits(cfg, header[i].off, header[i].len, header[i].emulated);
	init_caps(cfg);
	init_ext_caps(cfg);
}

uint32_t vfio_config_read(const struct vfio_config *cfg, unsigned off, unsigned len)
{
	const uint32_t emulated = (uint32_t)load_le(cfg->emulated + off, len);
	uint32_t val = 0;

	if (emulated != ones(len))
		val = vfio_config_raw_read(cfg->dev, off, len) & ~emulated;
	return val | (pci_config_read(cfg->pci, off, len) & emulated);
}

static bool all_forwarded(const struct vfio_config *cfg, unsigned off, unsigned len)
{
	for (unsigned i = 0; i < len; i++) {
		if (cfg->emulated[off + i] == 0xff)
			return false;
	}
	return true;
}

void vfio_config_forward(const struct vfio_config *cfg, unsigned off, unsigned len, uint32_t val)
{
	unsigned n;

	/* The widest aligned accesses that touch no emulated byte; off is aligned to len. */
	for (unsigned i = 0; i < len; i += n) {
		for (n = len; n > 1; n /= 2) {
			if (i % n == 0 && all_forwarded(cfg, off + i, n))
				break;
		}
		if (n > 1 || cfg->emulated[off + i] != 0xff)
			vfio_config_raw_write(cfg->dev, off + i, n,
					      (uint32_t)(val >> (8 * i) & ones(n)));
	}
}

/* The byte that a write of `len` bytes at `off` puts at `reg`; 0 if it does not reach there. */
static uint8_t written_byte(unsigned off, unsigned len, uint32_t val, unsigned reg)
{
	return reg >= off && reg - off < len ? (uint8_t)(val >> (8 * (reg - off))) : 0;
}

bool vfio_config_starts_flr(const struct vfio_config *cfg, unsigned off, unsigned len, uint32_t val)
{
	if (!cfg->dev->has_flr)
		return false;
	if (cfg->exp && written_byte(off, len, val, cfg->exp + PCI_EXP_DEVCTL + 1) &
				PCI_EXP_DEVCTL_BCR_FLR >> 8)
		return true;
	return cfg->af && written_byte(off, len, val, cfg->af + PCI_AF_CTRL) & PCI_AF_CTRL_FLR;
}
