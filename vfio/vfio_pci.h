/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host's PCI device in the guest: VFIO on one side, a struct pci_dev on the other. It must be
 * bound to vfio-pci, and its place in the guest is below a root port.
 *
 * Order of a run: vfio_type1_create or vfio_iommufd_create, vfio_pci_create for each device,
 * pci_bus_add, vfio_p2p_init, vfio_iommu_check_clean and _check_ram, the guest, vfio_pin_start,
 * vfio_pci_allow_dma once all is pinned; then vfio_pin_stop, device.destroy of each,
 * vfio_iommu_destroy, and only then may guest RAM go. The devices are reset before and after.
 */
#ifndef VFIO_VFIO_PCI_H
#define VFIO_VFIO_PCI_H

#include "core/device.h"
#include "core/util.h"
#include "vfio/clique.h"

struct loop;
struct pci_dev;
struct vfio_iommu;
struct vfio_rom_file;

struct vfio_pci_config {
	const char *bdf;                      /* or UUID; see struct vfio_target */
	const struct vfio_rom_file *rom_file; /* the ROM to show, copied; NULL: the device's own */
	bool rom_off;                         /* show none */
	const char *vf_token;                 /* see struct vfio_target; NULL: none */
	/*
	 * What the last guest left in the device may still be there: a reset failed. In: so it was
	 * known from earlier; out: so it is after device.destroy. NULL: not known, nobody asks.
	 */
	bool *dirty;
	struct vfio_clique clique; /* _NONE or _ID; _AUTO counts as _NONE */
};

/*
 * Opens and probes the device; its power-on state and the sizes of its BARs are in *ret. Events
 * from the host are watched on `main_loop` (which does not run yet): an uncorrectable error and the
 * host's wish to have the device back are logged and end in a VM_REQUEST_DEVICE_*, and so does a
 * reset with the machine after which the device does not answer.
 * device.destroy resets the device and gives it back. All errors begin with its address.
 */
int MUST_CHECK vfio_pci_create(const struct board *board, struct vfio_iommu *iommu,
			       const struct vfio_pci_config *config, struct loop *main_loop,
			       struct pci_dev **ret);

/*
 * All guest memory is mapped: the device may be a bus master from now on, and is one at once if the
 * guest has switched that on. A vCPU that did so before is held (vm_hold_vcpu) until the caller's
 * vcpus_release. Any thread.
 */
void vfio_pci_allow_dma(struct pci_dev *pci);

#endif
