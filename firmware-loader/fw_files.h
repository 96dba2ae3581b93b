/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What firmware asks fw_cfg for, as a plain list: the memory map, the processors, the tables and
 * the boot order. [QEMU docs/specs/fw_cfg: QEMU Firmware Configuration Device], the files as edk2's
 * OvmfPkg reads them. Main thread, before the machine starts.
 *
 * What is left out on purpose: etc/system-states (without it there is no S3), etc/hardware-info
 * (edk2 up to 202411 fails on it), key 0x0f and the CPU hot-plug block.
 */
#ifndef FIRMWARE_LOADER_FW_FILES_H
#define FIRMWARE_LOADER_FW_FILES_H

#include "core/util.h"

struct acpi_tables;
struct smbios_tables;

#define FW_FILE_NAME_MAX 56u /* with its NUL */
#define FW_FILES_MAX     16u

enum fw_e820_type { FW_E820_RAM = 1, FW_E820_RESERVED = 2 };

struct fw_e820 {
	uint64_t base, len;
	enum fw_e820_type type;
};

/* What firmware can boot from: a virtio-blk disk on the root bus, or a controller behind a port. */
struct fw_boot_device {
	unsigned root; /* the root bus: 0, or 1, 2, ... for the extra ones */
	bool behind_port;
	uint8_t port; /* the root port's slot */
	uint8_t slot, function;
};

#define FW_BOOT_DEVICES_MAX 32u

struct fw_machine {
	const struct fw_e820 *e820; /* ascending, low RAM from 0 without a hole */
	size_t e820_count;
	uint16_t vcpus;      /* that are started with the machine */
	uint32_t mmio64_mib; /* knob of the plan in mmio_window.h; 0: leave it to firmware */
	unsigned extra_roots; /* root buses beside number 0, which firmware has to look for */
	/*
	 * Tried in this order, and nothing else is: firmware connects these only, and forgets all
	 * other boot entries. None: it looks at every device it finds, networks too.
	 */
	struct fw_boot_device boot[FW_BOOT_DEVICES_MAX];
	unsigned boot_count;
	const struct acpi_tables *acpi;     /* NULL: none */
	const struct smbios_tables *smbios; /* NULL: none */
};

struct fw_file {
	char name[FW_FILE_NAME_MAX]; /* of a file; "": the item `key` */
	uint16_t key;
	uint8_t *data;
	size_t len;
};

struct fw_files {
	struct fw_file files[FW_FILES_MAX];
	unsigned count;
};

/* Everything is copied. -EINVAL (kind ERR_INTERNAL) for a place that no device can have, -ENOMEM.
 */
int MUST_CHECK fw_files_init(const struct fw_machine *m, struct fw_files *ret_files);
void fw_files_fini(struct fw_files *files);

/* The file of that name, or NULL. */
const struct fw_file *fw_files_find(const struct fw_files *files, const char *name);

#endif
