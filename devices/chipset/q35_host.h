/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host bridge of a Q35 machine, function 00:00.0: firmware recognises the platform by its ID
 * and says in its PCIEXBAR register where configuration space is memory-mapped (ECAM).
 * [MCH-3series 5.1 DRAM Controller Registers (D0:F0), Intel 3 Series Express Chipset datasheet]
 */
#ifndef DEVICES_Q35_HOST_H
#define DEVICES_Q35_HOST_H

#include "devices/pci/pci.h"

/* PCIEXBAR: the low half has address and flags, the high half the address above 4 GiB. */
#define Q35_PCIEXBAR        0x60
#define Q35_PCIEXBAR_HIGH   0x64
#define Q35_PCIEXBAR_ENABLE 1u /* with length 0, 256 MiB: all 256 buses */

/*
 * `ecam_changed` runs when ECAM begins, ends (base and size are 0 then) or moves: on a vCPU's
 * thread, or main's at reset, with the function's lock held. -ENOMEM.
 */
int MUST_CHECK q35_host_create(const struct board *board,
			       void (*ecam_changed)(void *opaque, bool on, uint64_t base,
						    uint64_t size),
			       void *opaque, struct pci_dev **ret_dev);

#endif
