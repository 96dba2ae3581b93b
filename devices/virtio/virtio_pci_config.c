/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration space of a virtio device: where its structures lie in BAR 0, and the window
 * onto them. vCPUs, with the device's lock held. [virtio-1.2 4.1.4 Virtio Structure PCI
 * Capabilities]
 */
#include "devices/virtio/virtio_pci_config.h"

#include <assert.h>
#include <linux/virtio_pci.h>

#include "devices/virtio/virtio_common.h"

/*
 * The window onto BAR 0 in configuration space: where, and of which width, it is now.
 * [virtio-1.2 4.1.4.9 PCI configuration access capability]. False if the driver aimed it badly.
 */
static bool window(const struct virtio_pci *vdev, uint64_t *ret_off, unsigned *ret_len)
{
	const uint8_t *cap = vdev->pci.config + vdev->cfg_cap;
	uint64_t off = load_le(cap + VIRTIO_PCI_CAP_OFFSET, 4);
	uint64_t len = load_le(cap + VIRTIO_PCI_CAP_LENGTH, 4);

	if (cap[VIRTIO_PCI_CAP_BAR] != VIRTIO_BAR || (len != 1 && len != 2 && len != 4) ||
	    off % len || !range_fits(off, len, VIRTIO_BAR_SIZE))
		return false;
	*ret_off = off;
	*ret_len = (unsigned)len;
	return true;
}

static bool hits_window(const struct virtio_pci *vdev, unsigned off, unsigned len)
{
	return pci_access_hits(off, len,
			       vdev->cfg_cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data),
			       sizeof(((struct virtio_pci_cfg_cap *)0)->pci_cfg_data));
}

static uint8_t *window_data(struct virtio_pci *vdev)
{
	return vdev->pci.config + vdev->cfg_cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);
}

uint32_t virtio_pci_config_read(struct pci_dev *pci, unsigned off, unsigned len)
{
	struct virtio_pci *vdev = virtio_pci_of(pci);
	uint64_t bar_off;
	unsigned bar_len;

	if (hits_window(vdev, off, len) && window(vdev, &bar_off, &bar_len))
		store_le(window_data(vdev), bar_len, virtio_bar_read(vdev, bar_off, bar_len));
	pthread_mutex_lock(&vdev->intx_lock);
	pci->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTERRUPT;
	if (vdev->isr)
		pci->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
	pthread_mutex_unlock(&vdev->intx_lock);
	return pci_config_read(pci, off, len);
}

void virtio_pci_config_write(struct pci_dev *pci, unsigned off, unsigned len, uint32_t val)
{
	struct virtio_pci *vdev = virtio_pci_of(pci);
	uint64_t bar_off;
	unsigned bar_len;

	pci_config_write(pci, off, len, val);
	if (pci_access_hits(off, len, vdev->msix.cap, PCI_CAP_MSIX_SIZEOF)) {
		pci_msix_config_written(&vdev->msix);
		if (vdev->started && vdev->class->retarget)
			vdev->class->retarget(vdev);
	}
	if (hits_window(vdev, off, len) && window(vdev, &bar_off, &bar_len))
		virtio_bar_write(vdev, bar_off, bar_len, load_le(window_data(vdev), bar_len));

	pthread_mutex_lock(&vdev->intx_lock);
	vdev->intx_disabled = pci_command(pci) & PCI_COMMAND_INTX_DISABLE;
	virtio_intx_update(vdev);
	pthread_mutex_unlock(&vdev->intx_lock);
}

static unsigned add_cap(struct virtio_pci *vdev, uint8_t type, unsigned cap_len, uint32_t offset,
			uint32_t length)
{
	unsigned cap = pci_add_cap(&vdev->pci, PCI_CAP_ID_VNDR, cap_len);
	uint8_t *p = vdev->pci.config + cap;

	p[VIRTIO_PCI_CAP_LEN] = (uint8_t)cap_len;
	p[VIRTIO_PCI_CAP_CFG_TYPE] = type;
	p[VIRTIO_PCI_CAP_BAR] = VIRTIO_BAR;
	store_le(p + VIRTIO_PCI_CAP_OFFSET, 4, offset);
	store_le(p + VIRTIO_PCI_CAP_LENGTH, 4, length);
	return cap;
}

static void add_caps(struct virtio_pci *vdev)
{
	struct pci_dev *pci = &vdev->pci;
	const unsigned len = sizeof(struct virtio_pci_cap);
	unsigned cap;

	add_cap(vdev, VIRTIO_PCI_CAP_COMMON_CFG, len, VIRTIO_PAGE_COMMON * VIRTIO_BAR_PAGE,
		VIRTIO_COMMON_LEN);
	add_cap(vdev, VIRTIO_PCI_CAP_ISR_CFG, len, VIRTIO_PAGE_ISR * VIRTIO_BAR_PAGE,
		VIRTIO_ISR_LEN);
	cap = add_cap(vdev, VIRTIO_PCI_CAP_NOTIFY_CFG, sizeof(struct virtio_pci_notify_cap),
		      VIRTIO_PAGE_NOTIFY * VIRTIO_BAR_PAGE,
		      vdev->queue_count * VIRTIO_NOTIFY_MULTIPLIER);
	store_le(pci->config + cap + VIRTIO_PCI_NOTIFY_CAP_MULT, 4, VIRTIO_NOTIFY_MULTIPLIER);
	if (vdev->class->config_len)
		add_cap(vdev, VIRTIO_PCI_CAP_DEVICE_CFG, len, VIRTIO_PAGE_DEVICE * VIRTIO_BAR_PAGE,
			vdev->class->config_len);

	cap = add_cap(vdev, VIRTIO_PCI_CAP_PCI_CFG, sizeof(struct virtio_pci_cfg_cap), 0, 0);
	pci_set_wmask(pci, cap + VIRTIO_PCI_CAP_BAR, 1, 0xff);
	pci_set_wmask(pci, cap + VIRTIO_PCI_CAP_OFFSET, 4, 0xffffffff);
	pci_set_wmask(pci, cap + VIRTIO_PCI_CAP_LENGTH, 4, 0xffffffff);
	pci_set_wmask(pci, cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data), 4, 0xffffffff);
	vdev->cfg_cap = cap;
}

/* A vector a queue and one for configuration changes, as drivers like best. */
static int add_msix(struct virtio_pci *vdev)
{
	struct pci_dev *pci = &vdev->pci;
	unsigned count = vdev->queue_count + 1;
	unsigned cap = pci_add_cap(pci, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);

	static_assert((VIRTIO_QUEUES_MAX + 1) * PCI_MSIX_ENTRY_SIZE <= VIRTIO_BAR_PAGE, "one page");
	store_le(pci->config + cap + PCI_MSIX_FLAGS, 2, count - 1);
	store_le(pci->config + cap + PCI_MSIX_TABLE, 4,
		 VIRTIO_PAGE_MSIX_TABLE * VIRTIO_BAR_PAGE | VIRTIO_BAR);
	store_le(pci->config + cap + PCI_MSIX_PBA, 4,
		 VIRTIO_PAGE_MSIX_PBA * VIRTIO_BAR_PAGE | VIRTIO_BAR);
	return pci_msix_init(&vdev->msix, pci, cap, count, NULL);
}

int virtio_pci_config_init(struct virtio_pci *vdev)
{
	add_caps(vdev);
	return add_msix(vdev);
}
