/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VFIO host without a kernel: containers, groups, an iommufd and one device, in place of
 * sys_ioctl and sys_open (link with --wrap of both, of host_sysfs_link_name and host_sysfs_cdev).
 * Regions are parts of a memfd, so that pread, pwrite and mmap are real; config space is plain
 * memory in it. What the code under test asked for is kept as a text, a word a call.
 */
#ifndef TESTS_FAKE_VFIO_H
#define TESTS_FAKE_VFIO_H

#include <linux/kvm.h>
#include <linux/vfio.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/mem.h"
#include "core/util.h"
#include "core/vm.h"

#define FAKE_BDF        "0000:01:00.0"
#define FAKE_GROUP      7
#define FAKE_IOAS       3
#define FAKE_MDEV_GROUP 8
#define FAKE_OFFSET(ix) ((uint64_t)(ix) << 40) /* of a region in the device's fd */

struct fake_region {
	uint64_t size;
	uint32_t flags;
	unsigned area_count;
	struct vfio_region_sparse_mmap_area areas[4];
	bool msix_mappable; /* without areas */
};

struct fake_vfio {
	int device_fd; /* the memfd */
	uint32_t device_flags;
	struct fake_region regions[VFIO_PCI_NUM_REGIONS];
	uint32_t irq_counts[VFIO_PCI_NUM_IRQS];
	uint32_t irq_flags;     /* besides VFIO_IRQ_INFO_EVENTFD */
	unsigned vectors_given; /* by the host; 0: as many as asked for */

	uint32_t group_flags;
	int open_cdev_error, bind_error, attach_error; /* of iommufd's devices */
	int open_group_error, open_device_error, set_iommu_error, set_irqs_error, reset_error,
		map_error;
	unsigned reset_error_times;   /* after which a reset works; 0: it never does */
	uint16_t command_after_reset; /* that the device has by itself; 0: untouched */
	void (*on_map)(const struct vfio_iommu_type1_dma_map *map); /* may wait */
	int hot_reset_error;
	bool dies;                /* of a reset of the function; that of the bus brings it back */
	bool stays_dead;          /* of that of the bus, too */
	bool dead;                /* it reads as all ones, until fake_revive */
	const char *reset_method; /* NULL: this kernel has no such file */
	unsigned affected_count;  /* by a reset of the bus; 0: it has none */
	struct vfio_pci_dependent_device affected[4];
	unsigned range_count;
	struct vfio_iova_range ranges[4];
	unsigned more_ranges; /* that iommufd has, but there was no room for */
	uint32_t maps_left;
	struct kvm_userspace_memory_region last_slot; /* that was mapped */

	/*
	 * "msix[0+16]=-" all unarmed, "msix[3+1]=fd", "msix-off", "intx-unmask", "irqfd+",
	 * "irqfd-", "resample+", "slot+0xADDR/0xSIZE", "slot-", "reset", "hot-reset",
	 * "dma+0xADDR/0xSIZE", "dma-", ...
	 */
	char log[8192];
};

extern struct fake_vfio fake;

/* A machine with nothing in it. */
struct fake_machine {
	struct vm vm;
	struct irq irq;
	struct bus pio, mmio;
	struct guest_mem mem;
	struct board board;
};

/*
 * An endpoint of 0x10de:0x2330, class 0x0302: BAR 0 of 64 KiB with the MSI-X table of 16 vectors at
 * 0x8000 and its pending bits at 0x9000, BAR 2 of 1 MiB (64 bits, prefetchable), BAR 4 with 128
 * ports, FLR, a reset.
 */
void fake_vfio_init(struct fake_machine *m);
void fake_vfio_fini(struct fake_machine *m);

/* The device's registers, past the code under test. */
uint32_t fake_config(unsigned off, unsigned len);
void fake_set_config(unsigned off, unsigned len, uint32_t val);
void fake_kill(void); /* from now on the device's own registers read as ones */
void fake_revive(void);
void fake_fill(unsigned region, uint64_t off, const void *data, size_t len);

void fake_clear_log(void);

/* Offsets of the fake device's capabilities. */
#define FAKE_PM    0x40
#define FAKE_MSI   0x50
#define FAKE_EXP   0x70
#define FAKE_MSIX  0xb0
#define FAKE_TABLE 0x8000
#define FAKE_PBA   0x9000

#endif
